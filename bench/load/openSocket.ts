import * as net from "node:net"
import * as tls from "node:tls"

const host = "127.0.0.1"

/**
 * Connects to a server of this machine, whose bytes come in `buffer`. Over TLS it is taken for whoever it says that it is: its
 * certificate was made for the run.
 */
export const openSocket = (
  port: number,
  isTls: boolean,
  buffer: Buffer,
  onBytes: (buffer: Buffer, bytes: number) => void
): net.Socket => {
  const callback = (bytes: number, read: Uint8Array): boolean => {
    onBytes(read as Buffer, bytes)
    return true
  }
  const onread = { buffer, callback }
  if (!isTls) return net.connect({ port, host, noDelay: true, onread })
  // Node's types leave out that TLS takes it too.
  const options = { port, host, rejectUnauthorized: false, onread } as tls.ConnectionOptions
  return tls.connect(options).setNoDelay(true)
}

/** The event of a socket that can be used. */
export const openedEvent = (isTls: boolean): "connect" | "secureConnect" => (isTls ? "secureConnect" : "connect")
