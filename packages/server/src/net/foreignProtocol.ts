/** The first four bytes of HTTP requests, and of HTTP/2 with prior knowledge. */
const httpStarts = new Set(["GET ", "HEAD", "POST", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI "])
/** A handshake record of TLS 1.0 to 1.3 (RFC 8446, 5.1). */
const tlsHandshake = [0x16, 0x03]

/** The protocol of a client that has come to the wrong port, by its first four bytes; undefined where they do not tell. */
export const foreignProtocol = (bytes: Uint8Array): string | undefined => {
  if (bytes.length < 4) return undefined
  if (httpStarts.has(String.fromCharCode(...bytes.subarray(0, 4)))) return "an HTTP request"
  return tlsHandshake.every((byte, at) => bytes[at] === byte) ? "a TLS handshake" : undefined
}
