import type { Socket } from "node:net"

/** One write at most: on loopback 4.5 GB/s, against 2 with pieces of 64 KB. */
const pieceBytesMax = 1024 * 1024

/** What is to be written to one socket, without a copy: pieces of whole chunks, the next when the last has gone out. */
export class SocketOutput {
  readonly #socket: Socket
  readonly #onProgress: (bytes: number) => void
  #chunks: Array<Uint8Array> = []
  /** The first chunk that is not written yet. */
  #at = 0
  #isWriting = false
  #isScheduled = false
  #isEnding = false
  unsentBytes = 0

  /** `onProgress`: so many bytes were handed to the system. */
  constructor(socket: Socket, onProgress: (bytes: number) => void) {
    this.#socket = socket
    this.#onProgress = onProgress
  }

  /** Written with what else comes in this turn. */
  push(chunks: ReadonlyArray<Uint8Array>, bytes: number): void {
    for (const chunk of chunks) this.#chunks.push(chunk)
    this.unsentBytes += bytes
    if (this.#isWriting || this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#write()
    })
  }

  /** Closes the socket behind what was pushed. */
  end(): void {
    this.#isEnding = true
    if (!this.#isScheduled && !this.#isWriting) this.#write()
  }

  #write(): void {
    if (this.#isWriting || this.#socket.destroyed) return
    if (this.#at === this.#chunks.length) {
      this.#chunks = []
      this.#at = 0
      if (this.#isEnding) this.#socket.destroySoon()
      return
    }
    this.#isWriting = true
    let bytes = 0
    const wrote = (): void => {
      this.#isWriting = false
      this.unsentBytes -= bytes
      this.#onProgress(bytes)
      this.#write()
    }
    this.#socket.cork()
    for (;;) {
      const chunk = this.#takePiece(pieceBytesMax - bytes)
      bytes += chunk.length
      const isLast = bytes >= pieceBytesMax || this.#at === this.#chunks.length
      if (isLast) this.#socket.write(chunk, (error) => (error ? undefined : wrote()))
      else this.#socket.write(chunk)
      if (isLast) break
    }
    this.#socket.uncork()
  }

  /** The next chunk, cut when it is longer than `bytesMax`. */
  #takePiece(bytesMax: number): Uint8Array {
    const chunk = this.#chunks[this.#at]!
    if (chunk.length <= bytesMax) {
      this.#at++
      return chunk
    }
    this.#chunks[this.#at] = chunk.subarray(bytesMax)
    return chunk.subarray(0, bytesMax)
  }
}
