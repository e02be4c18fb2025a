/** The first four bytes of HTTP requests, and of HTTP/2 with prior knowledge. */
const httpStarts = new Set(["GET ", "HEAD", "POST", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI "])
export const httpRequest = "an HTTP request"

/** A handshake record of TLS 1.0 to 1.3 (RFC 8446, 5.1). */
const tlsHandshake = [0x16, 0x03]

/** Whether the first bytes of a connection may be those of TLS. */
export const isTlsHandshake = (bytes: Uint8Array): boolean =>
  bytes[0] === tlsHandshake[0] && (bytes.length < 2 || bytes[1] === tlsHandshake[1])

/** The protocol of a client that has come to the wrong port, by its first four bytes; undefined where they do not tell. */
export const foreignProtocol = (bytes: Uint8Array): string | undefined => {
  if (bytes.length < 4) return undefined
  if (httpStarts.has(String.fromCharCode(...bytes.subarray(0, 4)))) return httpRequest
  return tlsHandshake.every((byte, at) => bytes[at] === byte) ? "a TLS handshake" : undefined
}
