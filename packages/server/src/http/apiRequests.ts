import type { IncomingMessage } from "node:http"
import * as Effect from "effect/Effect"
import { unknownCaller } from "./Caller.ts"
import { isNestedDeeper } from "./nesting.ts"
import { notAllowed, RequestRefused } from "./refusals.ts"
import { send, sendDefect, sendJson } from "./respond.ts"
import type { Exchange, Shell } from "./Shell.ts"

/**
 * Undefined: the body is longer. The rest of it is read and dropped while the answer goes out: a close behind unread
 * input would reset the connection, and the answer with it. Interrupts if the connection ends before the body: nobody is there
 * to be answered.
 */
const bodyOf = (request: IncomingMessage, bytesMax: number): Effect.Effect<Buffer | undefined> =>
  Effect.async((resume) => {
    const parts: Array<Buffer> = []
    let bytes = 0
    request.on("data", (part: Buffer) => {
      bytes += part.length
      if (bytes <= bytesMax) parts.push(part)
      else {
        parts.length = 0
        resume(Effect.succeed(undefined))
      }
    })
    request.on("end", () => resume(Effect.succeed(Buffer.concat(parts))))
    request.on("error", () => resume(Effect.interrupt))
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

/** The body of a request that has one: JSON that the API's own parser can read. */
const checkedBody = (request: IncomingMessage, bytesMax: number): Effect.Effect<Buffer, RequestRefused> =>
  Effect.gen(function* () {
    // Any page may send a form across sites; JSON only after a preflight, which is never granted.
    if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) {
      const message = "the body is JSON: content-type application/json"
      return yield* new RequestRefused({ code: "UNSUPPORTED_MEDIA_TYPE", message })
    }
    const body = yield* bodyOf(request, bytesMax)
    if (body === undefined) {
      return yield* new RequestRefused({ code: "TOO_LARGE", message: `a body has ${bytesMax} bytes at most` })
    }
    const problem = problemOf(body)
    if (problem !== undefined) return yield* new RequestRefused({ code: "BAD_REQUEST", message: problem })
    return body
  })

/** Answers a request to the API: what an endpoint must not see is refused, the rest is the library's. */
export const answerApi = ({ api, broker, callers }: Shell, { request, response, url }: Exchange) =>
  Effect.gen(function* () {
    const method = request.method ?? "GET"
    const methods = yield* Effect.promise(() => api.methodsAt(url.pathname))
    if (methods.length === 0) {
      return yield* new RequestRefused({ code: "NOT_FOUND", message: `there is nothing at ${url.pathname}` })
    }
    if (!methods.includes(method)) return yield* notAllowed(methods)
    const init: RequestInit = { method, headers: new Headers({ "content-type": "application/json" }) }
    if (method === "POST" || method === "PATCH") {
      init.body = new Uint8Array(yield* checkedBody(request, broker.limits.httpBodyBytesMax))
    }
    const caller = callers.get(request.socket) ?? unknownCaller
    const reply = yield* Effect.promise(() => api.handle(new Request(url, init), caller))
    const text = yield* Effect.promise(() => reply.text())
    if (reply.status === 400) sendJson(response, 400, badRequest(text))
    else if (reply.status >= 500 && text === "") sendDefect(response, "the request failed; the server's log says why")
    else send(response, reply.status, "application/json", text)
  })

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
