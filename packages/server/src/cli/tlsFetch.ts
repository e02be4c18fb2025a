import type { IncomingMessage } from "node:http"
import * as https from "node:https"
import { Readable } from "node:stream"
import type { ClientTls } from "./clients/clientTls.ts"

const headersOf = (given: RequestInit["headers"]): Record<string, string> => Object.fromEntries(new Headers(given))

const responseOf = (message: IncomingMessage): Response => {
  const headers = new Headers()
  for (const [name, values] of Object.entries(message.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  const status = message.statusCode ?? 0
  const hasBody = status !== 204 && status !== 304
  return new Response(hasBody ? (Readable.toWeb(message) as ReadableStream) : null, { status, headers })
}

/**
 * Node's `fetch` for an `https:` URL with a client's own authority and certificate, which `fetch` itself does not take. The body of
 * `init` is text, if there is one. Rejects as `fetch` does: with an error whose cause has the system's code.
 */
export const tlsFetch = (url: URL, init: RequestInit, client: ClientTls): Promise<Response> => {
  const { promise, resolve, reject } = Promise.withResolvers<Response>()
  const { method = "GET", headers, body, signal } = init
  const options = { ...client, method, headers: headersOf(headers), agent: false, ...(signal && { signal }) }
  const request = https.request(url, options, (message) => resolve(responseOf(message)))
  request.on("error", (cause) => reject(new TypeError("fetch failed", { cause })))
  request.end(body)
  return promise
}
