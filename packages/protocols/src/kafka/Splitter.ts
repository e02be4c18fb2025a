import { WireError } from "./Wire.ts"

const prefixBytes = 4
/** The buffer of an unfinished message is at most this many times what has arrived of it, and 1 KB at least. */
const growth = 4
const bufferBytesMin = 1024

/** Where messages lie: `take` gives at least so many bytes, whatever is in them; `give` takes back what no message needs. */
export interface MessageBuffers {
  readonly take: (bytes: number) => Uint8Array
  readonly give: (bytes: Uint8Array) => void
}

const newBuffers: MessageBuffers = { take: (bytes) => Buffer.allocUnsafe(bytes), give: () => undefined }

/**
 * Cuts a connection's bytes into messages, which are requests at a server and responses at a client: 4 bytes of size, then
 * so many bytes. Between messages it holds no buffer. A message handed out has a buffer of its own, which is the receiver's:
 * the chunks may be reused once `push` has returned. After a throw the connection must be closed.
 */
export class Splitter {
  /** The largest message allowed, in bytes without the prefix; a change counts from the next message on. */
  sizeMax: number
  #size = 0
  #prefixHave = 0
  #have = 0
  #message: Uint8Array | undefined
  readonly #buffers: MessageBuffers

  constructor(sizeMax: number, buffers: MessageBuffers = newBuffers) {
    this.sizeMax = sizeMax
    this.#buffers = buffers
  }

  /** Some of a message has come, but not all. */
  get isWithinMessage(): boolean {
    return this.#prefixHave > 0
  }

  /**
   * Tells how many bytes it has taken: all, unless `onMessage` returns false, which leaves those behind that message to the
   * caller. Throws `WireError`: a size that is negative or zero (`length`) or over `sizeMax` (`too-large`).
   */
  push(chunk: Uint8Array, onMessage: (message: Uint8Array) => unknown): number {
    let at = 0
    while (at < chunk.length) {
      if (this.#prefixHave < prefixBytes) {
        this.#size = (this.#size << 8) | (chunk[at] as number)
        at += 1
        this.#prefixHave += 1
        if (this.#prefixHave === prefixBytes) this.#check()
        continue
      }
      const end = Math.min(chunk.length, at + this.#size - this.#have)
      this.#copy(chunk, at, end)
      at = end
      if (this.#have === this.#size && !this.#emit(onMessage)) break
    }
    return at
  }

  #check(): void {
    const size = this.#size
    if (size <= 0) throw new WireError("length", `a message of ${size} bytes`)
    if (size > this.sizeMax) throw new WireError("too-large", `a message of ${size} bytes, ${this.sizeMax} are allowed`)
  }

  #copy(chunk: Uint8Array, from: number, to: number): void {
    const needed = this.#have + to - from
    let message = this.#message
    if (message === undefined || message.length < needed) {
      const grown = this.#buffers.take(Math.min(this.#size, Math.max(bufferBytesMin, needed * growth)))
      if (message !== undefined) {
        grown.set(message.subarray(0, this.#have))
        this.#buffers.give(message)
      }
      this.#message = message = grown
    }
    // `set` of a whole view is faster than of a subarray, which has to be made first.
    message.set(to - from === chunk.length ? chunk : chunk.subarray(from, to), this.#have)
    this.#have = needed
  }

  #emit(onMessage: (message: Uint8Array) => unknown): boolean {
    const message = this.#message!
    const size = this.#size
    this.#message = undefined
    this.#size = 0
    this.#prefixHave = 0
    this.#have = 0
    return onMessage(message.length === size ? message : message.subarray(0, size)) !== false
  }
}
