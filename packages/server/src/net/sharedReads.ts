import * as net from "node:net"

/** The most that one read takes; Node's own reads allocate as much each time. */
const readBytesMax = 64 * 1024

/**
 * All connections read into one buffer. Node allocates 64 KB per read and its collection was 30 % of the CPU of an
 * MQTT load; bytes that live longer than the callback are copied by whoever keeps them, in exact size.
 * A read's callback runs at once and to its end, so no two connections have the buffer at the same time.
 */
const shared = Buffer.allocUnsafeSlow(readBytesMax)

/** The receiver of the bytes; a socket without it is one of Node's own. */
const onChunk = Symbol("onChunk")

interface SharedSocket extends net.Socket {
  [onChunk]?: (chunk: Buffer) => void
}

/**
 * Node calls it as the socket's method: no function per connection. Behind a full read the others are read: libuv
 * reads a connection up to 32 times in a row, which is a million of the smallest packets.
 */
function onRead(this: SharedSocket, bytes: number, buffer: Uint8Array): boolean {
  this[onChunk]!((buffer as Buffer).subarray(0, bytes))
  if (bytes < readBytesMax) return true
  setImmediate(readOn, this)
  return false
}

/** Unless its owner has paused it meanwhile. */
const readOn = (socket: net.Socket): void => {
  if (!socket.destroyed && !socket.isPaused()) socket.resume()
}

/** The fields that Node keeps private and that a server with its own sockets needs. */
interface ServerInternals {
  readonly _handle: { onconnection: (status: number, handle: unknown) => void } | null
  _connections: number
}

interface SocketInternals {
  _server: net.Server
}

const ignore = (): void => undefined

const canReadShared = (handle: unknown): boolean =>
  typeof handle === "object" && handle !== null && "useUserBuffer" in handle

/**
 * A server whose sockets read by `readShared`, and nothing before that is called. A peer that ends its side gets what is
 * written until its socket is ended here. Node has no public way to give an
 * accepted socket a read buffer, so the socket is made from the accepted handle, as Node's own server does it; where
 * that cannot be had, sockets are Node's and read in the ordinary way. A second socket around the first would do as
 * well and cost 1.1 kB of heap and 2.6 kB of memory per connection.
 */
export const createSharedServer = (onSocket: (socket: net.Socket) => void): net.Server => {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, onSocket)
  const internals = server as unknown as ServerInternals
  server.on("listening", () => {
    if (internals._handle === null || typeof internals._handle.onconnection !== "function") return
    const ordinary = internals._handle.onconnection
    internals._handle.onconnection = function (this: unknown, status: number, handle: unknown): void {
      if (status !== 0 || !canReadShared(handle)) {
        ordinary.call(this, status, handle)
        return
      }
      const onread = { buffer: shared, callback: onRead }
      const options = { handle, pauseOnCreate: true, allowHalfOpen: true, onread }
      const socket = new net.Socket(options as unknown as net.SocketConstructorOpts)
      // The server counts its connections, and closes behind the last one.
      internals._connections++
      ;(socket as unknown as SocketInternals)._server = server
      ;(socket as SharedSocket)[onChunk] = ignore
      onSocket(socket)
    }
  })
  return server
}

/** Reads a socket of a shared server from now on; a chunk is valid until the callback returns. */
export const readShared = (socket: net.Socket, receive: (chunk: Buffer) => void): void => {
  const own = socket as SharedSocket
  if (own[onChunk] === undefined) socket.on("data", receive)
  else own[onChunk] = receive
  socket.resume()
}
