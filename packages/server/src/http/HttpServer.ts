import * as http from "node:http"
import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import { defectText } from "../defectText.ts"
import { Arrivals } from "../net/Arrivals.ts"
import { letInBy } from "../net/httpArrivals.ts"
import { listen } from "../net/listen.ts"
import type { ListenAddress, ListenerOptions } from "../net/Listener.ts"
import { isCrossSite, isForeignHost } from "../net/localNames.ts"
import { deniedOf } from "./access.ts"
import { answerApi } from "./apiRequests.ts"
import { unknownCaller } from "./Caller.ts"
import { EventTail } from "./eventTail.ts"
import { LazyApi } from "./LazyApi.ts"
import { livePast } from "./livePast.ts"
import { MetricsPage } from "./MetricsPage.ts"
import { pages } from "./pages.ts"
import { type EndpointFailure, notAllowed, RequestRefused } from "./refusals.ts"
import { sendDefect, sendRefusal } from "./respond.ts"
import type { HttpOptions, Shell } from "./Shell.ts"
import { Warnings, warningsHeader } from "./Warnings.ts"

/** How often Node looks for requests that take too long. */
const lookEveryMs = 1000

const isDecodable = (pathname: string): boolean => {
  try {
    decodeURIComponent(pathname)
    return true
  } catch {
    return false
  }
}

/** The target of a request from whoever may ask at all. */
const targetOf = ({ url: target = "", headers }: http.IncomingMessage, at: ListenAddress) =>
  Effect.gen(function* () {
    if (isForeignHost(headers.host, at)) {
      const message = "this server listens on loopback and answers to local names only"
      return yield* new RequestRefused({ code: "FOREIGN_HOST", message })
    }
    if (isCrossSite(headers)) {
      return yield* new RequestRefused({ code: "CROSS_SITE", message: "pages of other sites are not answered" })
    }
    if (!URL.canParse(target, "http://localhost")) {
      return yield* new RequestRefused({ code: "BAD_REQUEST", message: "the request's target is no path" })
    }
    const url = new URL(target, "http://localhost")
    if (isDecodable(url.pathname)) return url
    const message = `there is nothing at ${url.pathname}, which is no UTF-8`
    return yield* new RequestRefused({ code: "NOT_FOUND", message })
  })

const addWarnings = ({ warnings }: Shell, response: http.ServerResponse): void => {
  const texts = warnings.texts()
  if (texts.length > 0) response.setHeader(warningsHeader, JSON.stringify(texts))
}

const answer = (
  shell: Shell,
  at: ListenAddress,
  request: http.IncomingMessage,
  response: http.ServerResponse
): Effect.Effect<void, RequestRefused | EndpointFailure> =>
  Effect.gen(function* () {
    const { broker } = shell
    const url = yield* targetOf(request, at)
    if (url.pathname.startsWith("/api/")) addWarnings(shell, response)
    const page = pages.get(url.pathname)
    if (page === undefined && url.pathname.startsWith("/api/v1/")) {
      return yield* answerApi(shell, { request, response, url })
    }
    if (request.method !== "GET" && request.method !== "HEAD") return yield* notAllowed(["GET", "HEAD"])
    if (page === undefined) {
      return yield* new RequestRefused({ code: "NOT_FOUND", message: `there is nothing at ${url.pathname}` })
    }
    const { principal } = shell.callers.get(request.socket) ?? unknownCaller
    const denied = deniedOf(broker, principal, page.needs)
    if (denied !== undefined) return yield* new RequestRefused({ code: "FORBIDDEN", message: denied.text })
    yield* page.answer(shell, { request, response, url })
  })

/** The one place where failures become answers. */
const serverOf = (shell: Shell, at: ListenAddress): http.Server => {
  const { limits, log } = shell.broker
  const server = http.createServer({ connectionsCheckingInterval: lookEveryMs }, (request, response) => {
    const failed = (defect: unknown): void => {
      log.error("an HTTP request failed", { url: request.url, error: defectText(defect) })
      if (response.headersSent) response.destroy()
      else sendDefect(response, "the request failed; the server's log says why")
    }
    const answered = answer(shell, at, request, response).pipe(
      Effect.catchAll((failure) => Effect.sync(() => sendRefusal(response, failure))),
      Effect.catchAllDefect((defect) => Effect.sync(() => failed(defect)))
    )
    Effect.runFork(answered)
  })
  server.headersTimeout = limits.httpHeadersTimeoutMs
  server.requestTimeout = limits.httpRequestTimeoutMs
  server.maxConnections = limits.httpConnectionsMax
  return server
}

const listenAt = (shell: Shell, options: ListenerOptions) => {
  const { broker } = shell
  const { name, at, limits } = options
  const server = serverOf(shell, at)
  const gate = broker.gate.ofListener(name, "http", limits)
  // Not by the server's own gate: whoever looks after a server that clients have filled has to get in.
  const arrivals = new Arrivals(broker, options, (address) => gate.admit(address))
  letInBy(server, arrivals, (socket, { address, principal }) => shell.callers.set(socket, { address, principal }))
  const end = async (closed: Promise<unknown>): Promise<void> => {
    arrivals.stop()
    server.closeAllConnections()
    await closed
  }
  return listen(server, { protocol: "http", name, at, isTls: options.tls !== undefined, log: broker.log, end })
}

/** The HTTP API, health, metrics and live events, on every listener, until the scope closes. */
export const listenHttp = (broker: Broker, options: HttpOptions, listeners: ReadonlyArray<ListenerOptions>) =>
  Effect.gen(function* () {
    const past = livePast(broker, options.journal)
    const api = yield* Effect.acquireRelease(
      Effect.sync(() => new LazyApi(broker, past, options)),
      (lazy) => Effect.promise(() => lazy.dispose())
    )
    const shell: Shell = {
      broker,
      options,
      api,
      tail: new EventTail(broker, past),
      metrics: new MetricsPage(broker.metrics, broker.limits.metricsRowsMax),
      warnings: new Warnings(broker, options.retentionClock),
      callers: new WeakMap()
    }
    return yield* Effect.parallelFinalizers(Effect.forEach(listeners, (listener) => listenAt(shell, listener)))
  })
