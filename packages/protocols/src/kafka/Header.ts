import { ApiVersions } from "./messages/18_ApiVersions.ts"
import { isFlexible } from "./Schema.ts"
import type { AnyApi, Api, RequestInputOf } from "./Schema.ts"
import { Reader, WireError, Writer } from "./Wire.ts"

/** The part of a request header that every version of it begins with. */
interface RequestStart {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
}

/** A request that can be decoded from `bodyOffset` on, with `api` and `apiVersion`. */
export interface RequestHeader extends RequestStart {
  readonly _tag: "Request"
  readonly api: AnyApi
  readonly clientId: string | null
  readonly bodyOffset: number
}

/** A key that is not known. Nothing is known of its header beyond the correlation id. */
export interface UnknownApi extends RequestStart {
  readonly _tag: "UnknownApi"
}

/**
 * A version that is not known. For ApiVersions the answer is UNSUPPORTED_VERSION in a v0 body that lists key 18's
 * range (KIP-511); every other request ends the connection.
 */
export interface UnsupportedVersion extends RequestStart {
  readonly _tag: "UnsupportedVersion"
  readonly api: AnyApi
}

export type DecodedHeader = RequestHeader | UnknownApi | UnsupportedVersion

/** Request header v1 or v2 at the start of a request (without its size prefix). `apis`: the known ones. Throws `WireError`. */
export function decodeRequestHeader(request: Uint8Array, apis: ReadonlyMap<number, AnyApi>): DecodedHeader {
  const r = new Reader(request)
  const apiKey = r.int16()
  const apiVersion = r.int16()
  const correlationId = r.int32()
  const api = apis.get(apiKey)
  if (api === undefined) return { _tag: "UnknownApi", apiKey, apiVersion, correlationId }
  if (apiVersion < api.versions[0] || apiVersion > api.versions[1]) {
    return { _tag: "UnsupportedVersion", api, apiKey, apiVersion, correlationId }
  }
  const clientId = readClientId(r)
  if (isFlexible(api.flexible, apiVersion)) skipTags(r)
  return { _tag: "Request", api, apiKey, apiVersion, correlationId, clientId, bodyOffset: r.offset }
}

/** Not compact in header v2 either: the server must be able to read it before it knows the version. */
function readClientId(r: Reader): string | null {
  const length = r.int16()
  return length === -1 ? null : r.utf8(length)
}

function skipTags(r: Reader): void {
  for (let left = r.uvarint(); left > 0; left--) {
    r.uvarint()
    r.skip(r.uvarint())
  }
}

/** Response header v1 has tagged fields; ApiVersions always has v0, which a client of any version can read (KIP-511). */
function hasResponseTags(api: Pick<AnyApi, "key" | "flexible">, version: number): boolean {
  return api.key !== ApiVersions.key && isFlexible(api.flexible, version)
}

/** A whole response: size prefix, header and body. Record bytes are passed on by reference. */
export function encodeWholeResponse<Req, ReqIn, Res, ResIn>(
  api: Api<Req, ReqIn, Res, ResIn>,
  version: number,
  correlationId: number,
  value: ResIn
): Array<Uint8Array> {
  const w = new Writer()
  w.int32(correlationId)
  if (hasResponseTags(api, version)) w.uvarint(0)
  api.writeResponse(w, version, value)
  return w.finish()
}

/** A whole request: size prefix, header v1 or v2, and body. */
export function encodeWholeRequest<A extends AnyApi>(
  api: A,
  version: number,
  header: { readonly correlationId: number; readonly clientId: string | null },
  value: RequestInputOf<A>
): Array<Uint8Array> {
  const w = new Writer()
  w.int16(api.key)
  w.int16(version)
  w.int32(header.correlationId)
  if (header.clientId === null) w.int16(-1)
  else w.string(header.clientId, false)
  if (isFlexible(api.flexible, version)) w.uvarint(0)
  api.writeRequest(w, version, value as never)
  return w.finish()
}

/** The header of a response (without its size prefix) to a request of this API and version. */
export function decodeResponseHeader(
  response: Uint8Array,
  api: AnyApi,
  version: number
): { readonly correlationId: number; readonly bodyOffset: number } {
  if (version < api.versions[0] || version > api.versions[1]) {
    throw new WireError("version", `${api.name} has no version ${version}`)
  }
  const r = new Reader(response)
  const correlationId = r.int32()
  if (hasResponseTags(api, version)) skipTags(r)
  return { correlationId, bodyOffset: r.offset }
}
