import * as http from "node:http"
import * as Effect from "effect/Effect"
import type { Journal } from "@logbrook/core/journal/Journal"
import type { Broker } from "../Broker.ts"
import { listen } from "../net/listen.ts"
import { isCrossSite, isForeignHost } from "../net/localNames.ts"
import { JournalQueryRefused } from "../tools/journalTools.ts"
import type { ApiParts } from "./ApiParts.ts"
import { deniedOf, onCluster, type Need } from "./access.ts"
import { EventTail } from "./eventTail.ts"
import { isNestedDeeper } from "./nesting.ts"
import { livenessText, memoryAccounts, unreadyReasons, type Readiness } from "./health.ts"
import { LazyApi } from "./LazyApi.ts"
import { livePast } from "./livePast.ts"
import { MetricsPage } from "./MetricsPage.ts"
import { rootHtml, rootJson } from "./root.ts"
import { Warnings, warningsHeader } from "./Warnings.ts"

export interface HttpOptions extends ApiParts {
  readonly host: string
  readonly port: number
  readonly readiness: Readiness
  /** Under the broker's shard. */
  readonly journal: Journal
}

interface Shell {
  readonly broker: Broker
  readonly options: HttpOptions
  readonly api: LazyApi
  readonly tail: EventTail
  readonly metrics: MetricsPage
  readonly warnings: Warnings
}

/** How often Node looks for requests that take too long. */
const lookEveryMs = 1000

const serverOf = (shell: Shell): http.Server => {
  const { limits, log } = shell.broker
  const server = http.createServer({ connectionsCheckingInterval: lookEveryMs }, (request, response) => {
    answer(shell, request, response).catch((error: unknown) => {
      log.error("an HTTP request failed", { url: request.url, error: describe(error) })
      if (response.headersSent) response.destroy()
      else sendError(response, 500, "INTERNAL", "the request failed; the server's log says why")
    })
  })
  server.headersTimeout = limits.httpHeadersTimeoutMs
  server.requestTimeout = limits.httpRequestTimeoutMs
  server.maxConnections = limits.httpConnectionsMax
  return server
}

/** The HTTP API, health, metrics and live events, until the scope closes. */
export const listenHttp = (broker: Broker, options: HttpOptions) =>
  Effect.gen(function* () {
    const past = livePast(broker, options.journal)
    const api = yield* Effect.acquireRelease(
      Effect.sync(() => new LazyApi(broker, past, options)),
      (lazy) => Effect.promise(() => lazy.dispose())
    )
    const metrics = new MetricsPage(broker.metrics, broker.limits.metricsRowsMax)
    const warnings = new Warnings(broker, options.retentionClock)
    const server = serverOf({ broker, options, api, tail: new EventTail(broker, past), metrics, warnings })
    const end = async (closed: Promise<unknown>): Promise<void> => {
      server.closeAllConnections()
      await closed
    }
    const { host, port } = options
    return yield* listen(server, { what: "http", host, port, log: broker.log, end })
  })

const describe = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))

const writeHead = (response: http.ServerResponse, status: number, type: string, bytes: number): void => {
  response.writeHead(status, {
    "content-type": type,
    "content-length": bytes,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff"
  })
}

const send = (response: http.ServerResponse, status: number, type: string, text: string): void => {
  writeHead(response, status, type, Buffer.byteLength(text))
  response.end(text)
}

const sendJson = (response: http.ServerResponse, status: number, value: unknown): void =>
  send(response, status, "application/json", JSON.stringify(value))

const sendError = (response: http.ServerResponse, status: number, code: string, message: string): void =>
  sendJson(response, status, { code, message })

const sendNotAllowed = (response: http.ServerResponse, methods: ReadonlyArray<string>): void => {
  const allowed = methods.join(", ")
  response.setHeader("allow", allowed)
  sendError(response, 405, "METHOD_NOT_ALLOWED", `this path takes ${allowed}`)
}

const addWarnings = ({ warnings }: Shell, response: http.ServerResponse): void => {
  const texts = warnings.texts()
  if (texts.length > 0) response.setHeader(warningsHeader, JSON.stringify(texts))
}

const isDecodable = (pathname: string): boolean => {
  try {
    decodeURIComponent(pathname)
    return true
  } catch {
    return false
  }
}

const answer = async (shell: Shell, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
  const { broker, options } = shell
  if (isForeignHost(request.headers.host, options.host)) {
    sendError(response, 403, "FOREIGN_HOST", "this server listens on loopback and answers to local names only")
    return
  }
  if (isCrossSite(request.headers)) {
    sendError(response, 403, "CROSS_SITE", "pages of other sites are not answered")
    return
  }
  const url = URL.canParse(request.url ?? "", "http://localhost")
    ? new URL(request.url!, "http://localhost")
    : undefined
  if (url === undefined) {
    sendError(response, 400, "BAD_REQUEST", "the request's target is no path")
    return
  }
  if (!isDecodable(url.pathname)) {
    sendError(response, 404, "NOT_FOUND", `there is nothing at ${url.pathname}, which is no UTF-8`)
    return
  }
  if (url.pathname.startsWith("/api/")) addWarnings(shell, response)
  const page = pages.get(url.pathname)
  if (page === undefined && url.pathname.startsWith("/api/v1/")) {
    await answerApi(shell, request, response, url)
    return
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    sendNotAllowed(response, ["GET", "HEAD"])
    return
  }
  if (page === undefined) {
    sendError(response, 404, "NOT_FOUND", `there is nothing at ${url.pathname}`)
    return
  }
  const denied = deniedOf(broker, page.needs)
  if (denied === undefined) await page.answer(shell, request, response, url)
  else sendError(response, 403, "FORBIDDEN", denied.text)
}

/** A page that is served beside the API, to whoever may do what it needs. */
interface Page {
  readonly needs: ReadonlyArray<Need>
  readonly answer: (
    shell: Shell,
    request: http.IncomingMessage,
    response: http.ServerResponse,
    url: URL
  ) => void | Promise<void>
}

/** Links for people in a browser, else JSON. */
const answerRoot = (request: http.IncomingMessage, response: http.ServerResponse): void => {
  response.setHeader("vary", "accept")
  if (/\btext\/html\b/.test(request.headers.accept ?? "")) {
    response.setHeader("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
    send(response, 200, "text/html; charset=utf-8", rootHtml)
  } else sendJson(response, 200, rootJson)
}

const answerMetrics = async ({ metrics }: Shell, response: http.ServerResponse, url: URL): Promise<void> => {
  const series = url.searchParams.get("series")
  if (series !== null && series !== "all") {
    sendError(response, 400, "BAD_REQUEST", "series takes all; without it, the largest")
    return
  }
  const parts = await metrics.render(series === "all")
  const bytes = parts.reduce((sum, { length }) => sum + length, 0)
  writeHead(response, 200, "text/plain; version=0.0.4; charset=utf-8", bytes)
  for (const part of parts) response.write(part)
  response.end()
}

const tailRefusals: Readonly<Record<JournalQueryRefused["reason"], readonly [status: number, code: string]>> = {
  InvalidActor: [400, "INVALID_ACTOR"],
  InvalidType: [400, "INVALID_TYPE"],
  UnknownActor: [404, "UNKNOWN_ACTOR"],
  UnknownEvent: [404, "UNKNOWN_EVENT"],
  Expired: [410, "EXPIRED"]
}

const answerTail = ({ tail }: Shell, request: http.IncomingMessage, response: http.ServerResponse, url: URL): void => {
  if (request.method !== "GET") {
    sendNotAllowed(response, ["GET"])
    return
  }
  const lastId = request.headers["last-event-id"]
  const from = url.searchParams.get("from")
  const text = typeof lastId === "string" ? lastId : from
  if (text !== null && !/^\d{1,15}$/.test(text)) {
    sendError(response, 400, "BAD_REQUEST", "Last-Event-ID and from are a seq")
    return
  }
  if (tail.isFull) {
    sendError(response, 503, "UNAVAILABLE", "too many live views are open")
    return
  }
  const param = (name: string): string | undefined => url.searchParams.get(name) ?? undefined
  const fromSeq = text === null ? undefined : Number(text) + (typeof lastId === "string" ? 1 : 0)
  try {
    tail.serve(request, response, fromSeq, { kind: param("kind"), actor: param("actor"), type: param("type") })
  } catch (error) {
    if (!(error instanceof JournalQueryRefused)) throw error
    const [status, code] = tailRefusals[error.reason]
    sendError(response, status, code, error.message)
  }
}

const answerReadiness = ({ broker, options }: Shell, response: http.ServerResponse): void => {
  const reasons = unreadyReasons(broker, options.readiness)
  const isReady = reasons.length === 0
  sendJson(response, isReady ? 200 : 503, { ready: isReady, reasons, memory: memoryAccounts(broker) })
}

const pages: ReadonlyMap<string, Page> = new Map<string, Page>([
  ["/", { needs: [], answer: (_shell, request, response) => answerRoot(request, response) }],
  [
    "/healthz",
    { needs: [], answer: ({ broker }, _request, response) => send(response, 200, "text/plain", livenessText(broker)) }
  ],
  ["/readyz", { needs: [], answer: (shell, _request, response) => answerReadiness(shell, response) }],
  [
    "/metrics",
    { needs: [onCluster("Describe")], answer: (shell, _request, response, url) => answerMetrics(shell, response, url) }
  ],
  [
    "/openapi.json",
    {
      needs: [],
      answer: async ({ api }, _request, response) => send(response, 200, "application/json", await api.openApi())
    }
  ],
  ["/api/v1/journal/tail", { needs: [onCluster("ClusterAction")], answer: answerTail }]
])

/**
 * Undefined: the body is longer. The rest of it is read and dropped while the answer goes out: a close behind unread
 * input would reset the connection, and the answer with it.
 */
const bodyOf = (request: http.IncomingMessage, bytesMax: number): Promise<Buffer | undefined> =>
  new Promise((resolve, reject) => {
    const parts: Array<Buffer> = []
    let bytes = 0
    request.on("data", (part: Buffer) => {
      bytes += part.length
      if (bytes <= bytesMax) parts.push(part)
      else {
        parts.length = 0
        resolve(undefined)
      }
    })
    request.on("end", () => resolve(Buffer.concat(parts)))
    request.on("error", reject)
  })

/** The API's bodies have three levels; a parser that goes down by recursion ends at some thousand. */
const nestingMax = 32

/** Says what is wrong with a body that is no JSON, and where; undefined for JSON. */
const problemOf = (body: Buffer): string | undefined => {
  if (isNestedDeeper(body, nestingMax)) return `the body nests more than ${nestingMax} levels`
  try {
    JSON.parse(body.toString())
    return undefined
  } catch (error) {
    return `the body is no JSON: ${(error as SyntaxError).message}`
  }
}

const answerApi = async (shell: Shell, request: http.IncomingMessage, response: http.ServerResponse, url: URL) => {
  const method = request.method ?? "GET"
  const methods = await shell.api.methodsAt(url.pathname)
  if (methods.length === 0) {
    sendError(response, 404, "NOT_FOUND", `there is nothing at ${url.pathname}`)
    return
  }
  if (!methods.includes(method)) {
    sendNotAllowed(response, methods)
    return
  }
  const hasBody = method === "POST" || method === "PATCH"
  // Any page may send a form across sites; JSON only after a preflight, which is never granted.
  if (hasBody && !/^application\/json\b/.test(request.headers["content-type"] ?? "")) {
    sendError(response, 415, "UNSUPPORTED_MEDIA_TYPE", "the body is JSON: content-type application/json")
    return
  }
  const { httpBodyBytesMax } = shell.broker.limits
  const body = hasBody ? await bodyOf(request, httpBodyBytesMax) : undefined
  if (hasBody && body === undefined) {
    sendError(response, 413, "TOO_LARGE", `a body has ${httpBodyBytesMax} bytes at most`)
    return
  }
  const problem = body && problemOf(body)
  if (problem !== undefined) {
    sendError(response, 400, "BAD_REQUEST", problem)
    return
  }
  const headers = new Headers({ "content-type": "application/json" })
  const init: RequestInit = body === undefined ? { method, headers } : { method, headers, body: new Uint8Array(body) }
  const reply = await shell.api.handle(new Request(url, init))
  const text = await reply.text()
  if (reply.status === 400) sendJson(response, 400, badRequest(text))
  else if (reply.status >= 500 && text === "") sendError(response, reply.status, "INTERNAL", "the request failed")
  else send(response, reply.status, "application/json", text)
}

interface BadRequest {
  /** The code of our own refusals. */
  readonly code?: string
  readonly message?: string
  /** The faults that a schema found. */
  readonly issues?: ReadonlyArray<{ readonly path: ReadonlyArray<string | number>; readonly message: string }>
}

/** The library has a form of its own for what a schema refuses: we tell the fields and what is wrong with each. */
const badRequest = (text: string): unknown => {
  let read: BadRequest
  try {
    read = JSON.parse(text) as BadRequest
  } catch {
    read = {}
  }
  const { code = "BAD_REQUEST", message = "the request is not valid", issues } = read
  if (issues === undefined || issues.length === 0) return { code, message }
  // There is one for each member of a union: the first says what the field wants, the others that it may be left out.
  const wrong = new Map<string, string>()
  for (const { path, message: what } of issues) {
    const field = path.join(".")
    if (!wrong.has(field)) wrong.set(field, field === "" ? what : `${field}: ${what}`)
  }
  return { code, message: [...wrong.values()].join("; ") }
}
