import type { Socket } from "node:net"
import { directHandleOf, type DirectHandle, writeDirectly, type Writer } from "../net/directWrites.ts"
import type { Transport } from "./Transport.ts"

/** Up to so many bytes in all, or of each, one copy is cheaper than a vector of buffers. */
const joinBytesMax = 16 * 1024
const smallBytesMax = 1024

const join = (buffers: ReadonlyArray<Uint8Array>): Uint8Array | undefined => {
  if (buffers.length === 1) return buffers[0]!
  let bytes = 0
  for (const buffer of buffers) bytes += buffer.length
  const isCheap = bytes <= joinBytesMax || bytes <= smallBytesMax * buffers.length
  return isCheap ? Buffer.concat(buffers, bytes) : undefined
}

/** `ECONNRESET` and the like. */
export const errorName = (error: NodeJS.ErrnoException): string => error.code ?? error.name

export class TcpTransport implements Transport, Writer {
  readonly #socket: Socket
  readonly #handle: DirectHandle | undefined
  readonly #onDrain: () => void
  readonly remoteAddress: string
  /** Bytes of a write past the socket's own queue, which waits until they are taken. */
  #directBytes = 0
  /** A write past the socket's queue was not taken at once: it is to be told when all is. */
  #owesDrain = false

  /** `onDrain`: all that was written has been taken, where that was not so at once. */
  constructor(socket: Socket, remoteAddress: string, onDrain: () => void) {
    this.#socket = socket
    this.#handle = directHandleOf(socket)
    this.#onDrain = onDrain
    this.remoteAddress = remoteAddress
    socket.on("drain", onDrain)
  }

  get unsentBytes(): number {
    return this.#directBytes + this.#socket.writableLength
  }

  taken(bytes: number): void {
    this.#directBytes -= bytes
    if (this.unsentBytes > 0) return
    this.#owesDrain = false
    this.#onDrain()
  }

  write(buffers: ReadonlyArray<Uint8Array>): void {
    const socket = this.#socket
    if (socket.writableEnded || socket.destroyed) return
    const joined = join(buffers)
    if (joined !== undefined && this.#handle !== undefined && this.unsentBytes === 0) {
      this.#directBytes = writeDirectly(this.#handle, socket, joined, this)
      this.#owesDrain = this.#directBytes > 0
      return
    }
    // The socket tells when it is drained only of what was too much for its own queue.
    const done = this.#owesDrain ? () => this.taken(0) : undefined
    socket.cork()
    for (const buffer of joined === undefined ? buffers : [joined]) socket.write(buffer, done)
    socket.uncork()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }
}
