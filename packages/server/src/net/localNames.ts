import { isLoopback } from "../config/values.ts"
import type { ListenAddress } from "./Listener.ts"
import type { ClientCertificates } from "./tls/TlsOptions.ts"

/** As in a URL or a Host header: brackets, capitals and a last dot make no other name. */
const isLocal = (host: string): boolean => isLoopback(host.replaceAll(/[[\]]/g, "").replace(/\.$/, "").toLowerCase())

/** Browsers of this machine reach it, and so do pages of any site in them. They open no Unix sockets. */
const isOnLoopback = (at: ListenAddress): boolean => "host" in at && isLoopback(at.host)

/**
 * A page of another site may make its name point here (DNS rebinding): on loopback only local names are answered. Browsers
 * always name one; old health checks (HTTP/1.0) do not.
 */
export const isForeignHost = (header: string | undefined, at: ListenAddress): boolean =>
  header !== undefined && isOnLoopback(at) && !isLocal(/^(\[[^\]]*\]|[^:]*)(:\d+)?$/.exec(header)?.[1] ?? "")

/**
 * WebSockets are not bound to the site of the page that opens them. A browser reaches what listens on its machine, and shows its user's
 * certificate, for a page of any site: there only pages of local names may, and those of `allowed` origins (`https://app.example.org`),
 * or of any with `any`. Only browsers send an origin.
 */
export const isForeignOrigin = (
  header: string | undefined,
  at: ListenAddress,
  clientCertificates: ClientCertificates,
  allowed: ReadonlySet<string>
): boolean => {
  const isGuarded = isOnLoopback(at) || clientCertificates !== "off"
  if (header === undefined || !isGuarded || allowed.has("any") || allowed.has(header)) return false
  return !URL.canParse(header) || !isLocal(new URL(header).hostname)
}

/** The headers in which browsers tell where a request comes from, as Node names them. */
export interface FetchHeaders {
  readonly host?: string | undefined
  readonly origin?: string | undefined
  readonly "sec-fetch-site"?: string | ReadonlyArray<string> | undefined
  readonly "sec-fetch-mode"?: string | ReadonlyArray<string> | undefined
  readonly "sec-fetch-dest"?: string | ReadonlyArray<string> | undefined
}

/**
 * A page of another site can read no answer, but any request that it can send costs. Links may be followed. Browsers say
 * where a request comes from (Fetch Metadata) to addresses that they trust, loopback among them; else some name an origin.
 */
export const isCrossSite = (headers: FetchHeaders): boolean => {
  const { host, origin } = headers
  const site = headers["sec-fetch-site"]
  if (site !== undefined) {
    const isLink = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document"
    return site === "cross-site" && !isLink
  }
  if (origin === undefined) return false
  if (!URL.canParse(origin)) return true
  const from = new URL(origin)
  return from.host !== host?.toLowerCase() && !isLocal(from.hostname)
}
