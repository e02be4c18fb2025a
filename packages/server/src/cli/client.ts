import * as Effect from "effect/Effect"
import { CliError, exitCodes, usageError, type ExitCode } from "./CliError.ts"
import { CommandTls, tlsHint } from "./clients/clientTls.ts"
import { tlsFetch } from "./tlsFetch.ts"
import { hear } from "./warnings.ts"

const timeoutMs = 60_000

const exitOf = (status: number): ExitCode => {
  if (status === 400) return exitCodes.usage
  if (status === 404 || status === 410) return exitCodes.notFound
  if (status === 401 || status === 403) return exitCodes.denied
  return exitCodes.failure
}

/** Somebody took the connection, and answered with something else or not at all. */
const noHttp = /^(HPE_|HTTPParserError$|UND_ERR_SOCKET$|ECONNRESET$|EPIPE$)/
const noTls = /^(ERR_SSL_|EPROTO$)/

const portsHint = "MQTT (1883, 8083) and Kafka (9092) have ports of their own: name that of the HTTP API (18083)"

const noLogbrook = (url: string, detail = ""): CliError =>
  new CliError(exitCodes.failure, "E_HTTP", `what answers at ${url} is no Logbrook${detail}`, portsHint)

const unreachable = (url: string, error: unknown): CliError => {
  const { cause, message } = error as Error & {
    readonly cause?: { readonly name?: string; readonly code?: string; readonly message?: string }
  }
  const { unreachable: exit } = exitCodes
  const code = cause?.code ?? cause?.name ?? ""
  if (noHttp.test(code)) {
    return new CliError(exit, "E_NO_HTTP", `what listens at ${url} speaks no HTTP (${code})`, portsHint)
  }
  const hint = tlsHint(code)
  if (hint !== undefined) return new CliError(exit, "E_TLS", `no TLS with what listens at ${url} (${code})`, hint)
  if (noTls.test(code)) {
    return new CliError(
      exit,
      "E_NO_HTTP",
      `what listens at ${url} speaks no TLS (${code})`,
      "http:// instead of https://"
    )
  }
  return new CliError(
    exit,
    "E_UNREACHABLE",
    `no server answers at ${url} (${cause?.code ?? cause?.message ?? message})`,
    "start one with logbrook serve, or name another with --url or LOGBROOK_URL"
  )
}

const warningsOf = (response: Response): ReadonlyArray<unknown> => {
  try {
    const read: unknown = JSON.parse(response.headers.get("logbrook-warnings") ?? "[]")
    return Array.isArray(read) ? read : []
  } catch {
    // Not a Logbrook's.
    return []
  }
}

/** What a server says instead of an answer. */
const refusalOf = (url: string, status: number, text: string): CliError => {
  let error: { readonly code?: string; readonly message?: string } = {}
  try {
    error = (JSON.parse(text) as typeof error | null) ?? {}
  } catch {
    // Not a Logbrook: the status is all there is to say.
  }
  const { code, message = `the server answers ${status}` } = error
  if (code === undefined) return noLogbrook(url, ` (status ${status})`)
  return new CliError(exitOf(status), `E_${code}`, message)
}

/** Fails when nobody answers, and with an error that the server gives. */
export const fetched = (url: string, path: string, init: RequestInit = {}): Effect.Effect<Response, CliError> =>
  Effect.gen(function* () {
    const tls = yield* CommandTls
    const whole = { signal: AbortSignal.timeout(timeoutMs), ...init }
    const response = yield* Effect.tryPromise({
      try: () => (tls === undefined ? fetch(new URL(path, url), whole) : tlsFetch(new URL(path, url), whole, tls)),
      catch: (error) => unreachable(url, error)
    })
    for (const text of warningsOf(response)) hear(String(text))
    if (response.ok) return response
    const text = yield* Effect.tryPromise({
      try: () => response.text(),
      catch: (error) => unreachable(url, error)
    })
    return yield* Effect.fail(refusalOf(url, response.status, text))
  })

/** A name as one segment of a path; there is none for names that URLs take for directories, however they are escaped. */
export const pathSegment = (name: string): Effect.Effect<string, CliError> => {
  if (name !== "" && name !== "." && name !== "..") return Effect.succeed(encodeURIComponent(name))
  return Effect.fail(usageError(`"${name}" cannot be asked for: no URL has such a name in its path`))
}

/** The names of the fields that a command reads of an answer. */
export type FieldsOf<A> = ReadonlyArray<keyof A & string>

/** Another server may well answer in JSON: an answer without the fields that a Logbrook's has is not one of its answers. */
const lackOf = <A>(value: unknown, fields: FieldsOf<A>): string | undefined => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "its JSON is no object"
  const missing = fields.find((field) => !Object.hasOwn(value, field))
  return missing === undefined ? undefined : `its JSON has no "${missing}"`
}

const answerOf = <A>(url: string, value: unknown, fields: FieldsOf<A>): Effect.Effect<A, CliError> => {
  const lack = lackOf<A>(value, fields)
  return lack === undefined ? Effect.succeed(value as A) : Effect.fail(noLogbrook(url, `: ${lack}`))
}

/** `fields`: those of the answer that are read; "E_HTTP" for an answer that lacks one. */
export const requestJson = <A>(
  url: string,
  path: string,
  fields: FieldsOf<A>,
  method = "GET",
  body?: unknown
): Effect.Effect<A, CliError> => {
  const init: RequestInit =
    body === undefined
      ? { method }
      : { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
  return Effect.flatMap(fetched(url, path, init), (response) =>
    Effect.tryPromise({
      try: () => response.json() as Promise<unknown>,
      catch: (error) => (error instanceof SyntaxError ? noLogbrook(url) : unreachable(url, error))
    })
  ).pipe(Effect.flatMap((value) => answerOf<A>(url, value, fields)))
}

export interface PageMeta {
  readonly cursor: string | null
  readonly hasnext: boolean
}

export interface Listed<A> {
  readonly data: ReadonlyArray<A>
  readonly meta: PageMeta
}

/** One page of a list. `fields`: those that are read of each item. */
export const requestPage = <A>(url: string, path: string, fields: FieldsOf<A>): Effect.Effect<Listed<A>, CliError> =>
  Effect.gen(function* () {
    const page = yield* requestJson<Listed<A>>(url, path, ["data", "meta"])
    yield* answerOf<PageMeta>(url, page.meta, ["cursor", "hasnext"])
    if (!Array.isArray(page.data)) return yield* Effect.fail(noLogbrook(url, `: its "data" is no list`))
    for (const item of page.data) yield* answerOf<A>(url, item, fields)
    return page
  })

/** All pages of a list; of those that `params` select. */
export const listAll = <A>(
  url: string,
  path: string,
  fields: FieldsOf<A>,
  params: Readonly<Record<string, string | undefined>> = {}
): Effect.Effect<ReadonlyArray<A>, CliError> =>
  Effect.gen(function* () {
    const all: Array<A> = []
    let cursor: string | null = null
    for (;;) {
      const page: Listed<A> = yield* requestPage<A>(url, pagePath(path, params, cursor, pageLimit), fields)
      for (const item of page.data) all.push(item)
      if (!page.meta.hasnext) return all
      cursor = page.meta.cursor
    }
  })

/** The server gives no larger page. */
export const pageLimit = 1000

/** Where a page of a list is; `params` of undefined are left out. */
export const pagePath = (
  path: string,
  params: Readonly<Record<string, string | undefined>>,
  cursor: string | null,
  limit: number
): string => {
  const given = Object.entries(params).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  if (cursor !== null) given.push(["cursor", cursor])
  return `${path}?${new URLSearchParams([["limit", String(limit)], ...given] as Array<[string, string]>).toString()}`
}
