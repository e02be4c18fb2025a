import * as net from "node:net"

/** One read takes at most this much; Node's own reads allocate as much each time. */
const readBytesMax = 64 * 1024

/**
 * All connections read into one buffer. Node allocates 64 KB per read and its collection was 30 % of the CPU of an
 * MQTT load; bytes that live longer than the callback are copied by whoever keeps them, in exact size.
 * A read's callback runs at once and to its end, so no two connections have the buffer at the same time.
 */
const shared = Buffer.allocUnsafeSlow(readBytesMax)

interface WithHandle {
  _handle: unknown
}

const takeHandle = (accepted: net.Socket): unknown => {
  const withHandle = accepted as unknown as WithHandle
  const handle = withHandle._handle
  if (handle === null || typeof handle !== "object" || !("useUserBuffer" in handle)) return undefined
  withHandle._handle = null
  return handle
}

/**
 * The connection of `accepted` with its bytes handed to `onChunk`; a chunk is valid until the callback returns.
 * Needs a server with `pauseOnConnect`. Takes the accepted socket's private handle, since Node has no public way to
 * give an accepted socket a read buffer; a handle of another kind is read in the ordinary way.
 */
export const readShared = (accepted: net.Socket, onChunk: (chunk: Buffer) => void): net.Socket => {
  const handle = takeHandle(accepted)
  if (handle === undefined) {
    accepted.on("data", onChunk)
    accepted.resume()
    return accepted
  }
  const options = {
    handle,
    allowHalfOpen: false,
    onread: {
      buffer: shared,
      callback: (bytes: number, buffer: Uint8Array): boolean => {
        onChunk((buffer as Buffer).subarray(0, bytes))
        return true
      }
    }
  }
  const socket = new net.Socket(options as unknown as net.SocketConstructorOpts)
  // The server counts its connections by the socket it has made.
  socket.once("close", () => accepted.destroy())
  socket.resume()
  return socket
}
