import { isIPv4, isIPv6 } from "node:net"

// The PROXY protocol of HAProxy, versions 1 and 2: what a load balancer writes in front of a connection's own bytes, so that
// the server knows whose they are (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).

/** The end of a connection that the load balancer has with a client. */
export interface ProxySource {
  readonly address: string
  readonly port: number
}

export interface ProxyHeader {
  /** The connection's own bytes begin behind so many. */
  readonly byteLength: number
  /** Undefined: the load balancer's own connection, such as a health check's, or one whose client has no address. */
  readonly source: ProxySource | undefined
}

/** The only error that `decodeProxyHeader` throws: the bytes are no PROXY header. */
export class ProxyError extends Error {
  readonly _tag = "ProxyError"
  override readonly name = "ProxyError"
}

/** The longest header of version 1, its line end included. */
const textBytesMax = 107
const textStart = Buffer.from("PROXY ")
const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n")
const fixedBytes = 16
/** The most that is read of version 2 behind its fixed part: addresses take 216 bytes at most, the rest is other facts. */
const variableBytesMax = 4096

/** The most bytes that a header may have. */
export const proxyHeaderBytesMax = fixedBytes + variableBytesMax

const command = { local: 0, proxy: 1 } as const
const family = { ipv4: 1, ipv6: 2 } as const
const addressBytes = { ipv4: 12, ipv6: 36 } as const

/** Whether `bytes` begin as `wanted` does, as far as both go. */
const beginsAs = (bytes: Uint8Array, wanted: Uint8Array): boolean => {
  const length = Math.min(bytes.length, wanted.length)
  for (let at = 0; at < length; at++) if (bytes[at] !== wanted[at]) return false
  return true
}

/** The header with which a connection's first bytes begin; undefined: it is not there as a whole yet. Throws `ProxyError`. */
export const decodeProxyHeader = (bytes: Uint8Array): ProxyHeader | undefined => {
  if (beginsAs(bytes, textStart)) return decodeText(bytes)
  if (beginsAs(bytes, signature)) return decodeBinary(bytes)
  throw new ProxyError("the connection does not begin with a PROXY header")
}

// --- Version 1: a line ---

const carriageReturn = 0x0d
const newline = 0x0a

const decodeText = (bytes: Uint8Array): ProxyHeader | undefined => {
  const end = bytes.subarray(0, textBytesMax).indexOf(carriageReturn)
  if (end === -1 || end + 1 === bytes.length) {
    if (bytes.length >= textBytesMax) throw new ProxyError("a PROXY line is longer than it may be")
    return undefined
  }
  if (bytes[end + 1] !== newline || end + 2 > textBytesMax) throw new ProxyError("a PROXY line does not end as a line")
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString("latin1")
  return { byteLength: end + 2, source: sourceOf(line) }
}

const sourceOf = (line: string): ProxySource | undefined => {
  const [, protocol, source, destination, sourcePort, destinationPort, ...rest] = line.split(" ")
  // What follows says nothing then.
  if (protocol === "UNKNOWN") return undefined
  const isAddress = protocol === "TCP4" ? isIPv4 : protocol === "TCP6" ? isPlainIPv6 : undefined
  if (isAddress === undefined) throw new ProxyError("a PROXY line is of a protocol that is none")
  const isWhole =
    rest.length === 0 &&
    isAddress(source ?? "") &&
    isAddress(destination ?? "") &&
    isPort(sourcePort) &&
    isPort(destinationPort)
  if (!isWhole) throw new ProxyError("a PROXY line has not two addresses and two ports")
  return { address: source!, port: Number(sourcePort) }
}

/** Without a zone. */
const isPlainIPv6 = (text: string): boolean => isIPv6(text) && !text.includes("%")

const isPort = (text: string | undefined): boolean =>
  text !== undefined && /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535

// --- Version 2: binary ---

const decodeBinary = (bytes: Uint8Array): ProxyHeader | undefined => {
  if (bytes.length < fixedBytes) return undefined
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const version = view[12]! >>> 4
  if (version !== 2) throw new ProxyError(`a PROXY header is of version ${version}`)
  const length = view.readUInt16BE(14)
  if (length > variableBytesMax) throw new ProxyError("a PROXY header is longer than it may be")
  if (bytes.length < fixedBytes + length) return undefined
  return { byteLength: fixedBytes + length, source: binarySourceOf(view, length) }
}

const binarySourceOf = (view: Buffer, length: number): ProxySource | undefined => {
  const told = view[12]! & 0x0f
  if (told === command.local) return undefined
  if (told !== command.proxy) throw new ProxyError(`a PROXY header has the command ${told}`)
  switch (view[13]! >>> 4) {
    case family.ipv4:
      if (length < addressBytes.ipv4) throw new ProxyError("a PROXY header has no room for its addresses")
      return { address: view.subarray(16, 20).join("."), port: view.readUInt16BE(24) }
    case family.ipv6:
      if (length < addressBytes.ipv6) throw new ProxyError("a PROXY header has no room for its addresses")
      return { address: ipv6Text(view.subarray(16, 32)), port: view.readUInt16BE(48) }
    default:
      // Unspecified, or a Unix socket: no address that could be told.
      return undefined
  }
}

const groupsOf = (address: Buffer): Array<number> => Array.from({ length: 8 }, (_, at) => address.readUInt16BE(2 * at))

/** The longest run of groups that are 0, the first of several; undefined if none is longer than one. */
const zeroRunOf = (groups: ReadonlyArray<number>): { readonly start: number; readonly length: number } | undefined => {
  let best = { start: 0, length: 1 }
  for (let start = 0; start < groups.length; start++) {
    let end = start
    while (groups[end] === 0) end++
    if (end - start > best.length) best = { start, length: end - start }
  }
  return best.length > 1 ? best : undefined
}

const hex = (groups: ReadonlyArray<number>): string => groups.map((group) => group.toString(16)).join(":")

/** An IPv6 address as RFC 5952 writes it, which is how sockets tell theirs. */
const ipv6Text = (address: Buffer): string => {
  const groups = groupsOf(address)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isMapped) return `::ffff:${address.subarray(12).join(".")}`
  const zeros = zeroRunOf(groups)
  if (zeros === undefined) return hex(groups)
  return `${hex(groups.slice(0, zeros.start))}::${hex(groups.slice(zeros.start + zeros.length))}`
}
