import type { Socket } from "node:net"
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

export class TcpTransport implements Transport {
  readonly #socket: Socket
  readonly remoteAddress: string

  constructor(socket: Socket, remoteAddress: string) {
    this.#socket = socket
    this.remoteAddress = remoteAddress
  }

  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  write(buffers: ReadonlyArray<Uint8Array>): void {
    const socket = this.#socket
    if (socket.writableEnded || socket.destroyed) return
    const joined = join(buffers)
    if (joined !== undefined) {
      socket.write(joined)
      return
    }
    socket.cork()
    for (const buffer of buffers) socket.write(buffer)
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
