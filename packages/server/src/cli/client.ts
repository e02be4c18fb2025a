import { CliError, exitCodes, usageError, type ExitCode } from "./CliError.ts"

const timeoutMs = 60_000

const exitOf = (status: number): ExitCode => {
  if (status === 400) return exitCodes.usage
  if (status === 404 || status === 410) return exitCodes.notFound
  if (status === 401 || status === 403) return exitCodes.denied
  return exitCodes.failure
}

const unreachable = (url: string, error: unknown): CliError => {
  const { cause, message } = error as Error & { readonly cause?: { readonly code?: string; readonly message?: string } }
  return new CliError(
    exitCodes.unreachable,
    "E_UNREACHABLE",
    `no server answers at ${url} (${cause?.code ?? cause?.message ?? message})`,
    "start one with logbrook serve, or name another with --url or LOGBROOK_URL"
  )
}

/** Throws `CliError` when nobody answers, and for an error that the server gives. */
export const fetchOrThrow = async (url: string, path: string, init: RequestInit = {}): Promise<Response> => {
  if (!URL.canParse(path, url)) throw usageError(`"${url}" is no URL`)
  let response: Response
  try {
    response = await fetch(new URL(path, url), { signal: AbortSignal.timeout(timeoutMs), ...init })
  } catch (error) {
    throw unreachable(url, error)
  }
  if (response.ok) return response
  const text = await response.text()
  let error: { readonly code?: string; readonly message?: string } = {}
  try {
    error = JSON.parse(text) as typeof error
  } catch {
    // Not a Logbrook: the status is all there is to say.
  }
  const code = error.code === undefined ? "E_HTTP" : `E_${error.code}`
  throw new CliError(exitOf(response.status), code, error.message ?? `the server answers ${response.status}`)
}

/** A name as one segment of a path. Throws `CliError` for names that URLs take for directories, however they are escaped. */
export const pathSegment = (name: string): string => {
  if (name !== "" && name !== "." && name !== "..") return encodeURIComponent(name)
  throw usageError(`"${name}" cannot be asked for: no URL has such a name in its path`)
}

export const requestJson = async <A>(url: string, path: string, method = "GET", body?: unknown): Promise<A> => {
  const init: RequestInit =
    body === undefined
      ? { method }
      : { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
  const response = await fetchOrThrow(url, path, init)
  try {
    return (await response.json()) as A
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw unreachable(url, error)
    throw new CliError(exitCodes.failure, "E_HTTP", `what answers at ${url} is no Logbrook`)
  }
}

export interface Listed<A> {
  readonly data: ReadonlyArray<A>
  readonly meta: { readonly cursor: string | null; readonly hasnext: boolean }
}

/** All pages of a list. */
export const listAll = async <A>(url: string, path: string): Promise<ReadonlyArray<A>> => {
  const all: Array<A> = []
  let cursor: string | null = null
  for (;;) {
    const query: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`
    const page: Listed<A> = await requestJson<Listed<A>>(url, `${path}?limit=1000${query}`)
    all.push(...page.data)
    if (!page.meta.hasnext) return all
    cursor = page.meta.cursor
  }
}
