import type { ServerResponse } from "node:http"
import { type EndpointFailure, type Refusal, refusalOf, type RequestRefused, statuses } from "./refusals.ts"

export const writeHead = (response: ServerResponse, status: number, type: string, bytes: number): void => {
  response.writeHead(status, {
    "content-type": type,
    "content-length": bytes,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff"
  })
}

export const send = (response: ServerResponse, status: number, type: string, text: string): void => {
  writeHead(response, status, type, Buffer.byteLength(text))
  response.end(text)
}

export const sendJson = (response: ServerResponse, status: number, value: unknown): void =>
  send(response, status, "application/json", JSON.stringify(value))

/** Every refusal has this form: the status of its code, and a body of code and message. */
export const sendRefusal = (response: ServerResponse, failure: RequestRefused | EndpointFailure): void => {
  if (failure._tag === "RequestRefused" && failure.allow !== undefined) {
    response.setHeader("allow", failure.allow.join(", "))
  }
  const { code, message }: Refusal = failure._tag === "RequestRefused" ? failure : refusalOf(failure)
  sendJson(response, statuses.get(code)!, { code, message })
}

/** The fault is the server's, and in its log. */
export const sendDefect = (response: ServerResponse, message: string): void =>
  sendJson(response, 500, { code: "INTERNAL", message })
