import type { IncomingMessage, ServerResponse } from "node:http"
import * as Effect from "effect/Effect"
import { onCluster, type Need } from "./access.ts"
import { livenessText, memoryAccounts, unreadyReasons } from "./health.ts"
import { type EndpointFailure, notAllowed, RequestRefused } from "./refusals.ts"
import { send, sendJson, writeHead } from "./respond.ts"
import { rootHtml, rootJson } from "./root.ts"
import type { Exchange, Shell } from "./Shell.ts"

/** A page that is served beside the API, to whoever may do what it needs. */
export interface Page {
  readonly needs: ReadonlyArray<Need>
  readonly answer: (shell: Shell, exchange: Exchange) => Effect.Effect<void, RequestRefused | EndpointFailure>
}

/** Links for people in a browser, else JSON. */
const answerRoot = (request: IncomingMessage, response: ServerResponse): void => {
  response.setHeader("vary", "accept")
  if (/\btext\/html\b/.test(request.headers.accept ?? "")) {
    response.setHeader("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
    send(response, 200, "text/html; charset=utf-8", rootHtml)
  } else sendJson(response, 200, rootJson)
}

const answerReadiness = ({ broker, options }: Shell, response: ServerResponse): void => {
  const reasons = unreadyReasons(broker, options.readiness)
  const isReady = reasons.length === 0
  sendJson(response, isReady ? 200 : 503, { ready: isReady, reasons, memory: memoryAccounts(broker) })
}

const answerMetrics = ({ metrics }: Shell, { response, url }: Exchange) =>
  Effect.gen(function* () {
    const series = url.searchParams.get("series")
    if (series !== null && series !== "all") {
      return yield* new RequestRefused({ code: "BAD_REQUEST", message: "series takes all; without it, the largest" })
    }
    const parts = yield* Effect.promise(() => metrics.render(series === "all"))
    const bytes = parts.reduce((sum, { length }) => sum + length, 0)
    writeHead(response, 200, "text/plain; version=0.0.4; charset=utf-8", bytes)
    for (const part of parts) response.write(part)
    response.end()
  })

const answerTail = ({ tail }: Shell, { request, response, url }: Exchange) =>
  Effect.gen(function* () {
    if (request.method !== "GET") return yield* notAllowed(["GET"])
    const lastId = request.headers["last-event-id"]
    const from = url.searchParams.get("from")
    const text = typeof lastId === "string" ? lastId : from
    if (text !== null && !/^\d{1,15}$/.test(text)) {
      return yield* new RequestRefused({ code: "BAD_REQUEST", message: "Last-Event-ID and from are a seq" })
    }
    if (tail.isFull) {
      return yield* new RequestRefused({ code: "UNAVAILABLE", message: "too many live views are open" })
    }
    const param = (name: string): string | undefined => url.searchParams.get(name) ?? undefined
    const fromSeq = text === null ? undefined : Number(text) + (typeof lastId === "string" ? 1 : 0)
    const filter = { kind: param("kind"), actor: param("actor"), type: param("type") }
    yield* tail.serve(request, response, fromSeq, filter)
  })

/** A page that is always answered at once. */
const plainly =
  (answer: (shell: Shell, exchange: Exchange) => void): Page["answer"] =>
  (shell, exchange) =>
    Effect.sync(() => answer(shell, exchange))

/** By path. */
export const pages: ReadonlyMap<string, Page> = new Map<string, Page>([
  ["/", { needs: [], answer: plainly((_shell, { request, response }) => answerRoot(request, response)) }],
  [
    "/healthz",
    {
      needs: [],
      answer: plainly(({ broker }, { response }) => send(response, 200, "text/plain", livenessText(broker)))
    }
  ],
  ["/readyz", { needs: [], answer: plainly((shell, { response }) => answerReadiness(shell, response)) }],
  ["/metrics", { needs: [onCluster("Describe")], answer: answerMetrics }],
  [
    "/openapi.json",
    {
      needs: [],
      answer: ({ api }, { response }) =>
        Effect.map(
          Effect.promise(() => api.openApi()),
          (text) => send(response, 200, "application/json", text)
        )
    }
  ],
  ["/api/v1/journal/tail", { needs: [onCluster("ClusterAction")], answer: answerTail }]
])
