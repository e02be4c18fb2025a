import { WireError } from "./Wire.ts"

const prefixBytes = 4
/** The buffer of an unfinished frame is at most this many times what has arrived of it, and 1 KB at least. */
const growth = 4
const bufferBytesMin = 1024

/** Where frames lie: `take` gives at least so many bytes, whatever is in them; `give` takes back what no frame needs. */
export interface FrameBuffers {
  readonly take: (bytes: number) => Uint8Array
  readonly give: (bytes: Uint8Array) => void
}

const newBuffers: FrameBuffers = { take: (bytes) => Buffer.allocUnsafe(bytes), give: () => undefined }

/**
 * Cuts a connection's bytes into frames: 4 bytes of size, then so many bytes. Between frames it holds no buffer. A frame
 * handed out has a buffer of its own, which is the receiver's: the chunks may be reused once `push` has returned. After a
 * throw the connection must be closed.
 */
export class Splitter {
  /** The largest frame allowed, in bytes without the prefix; a change counts from the next frame on. */
  sizeMax: number
  #size = 0
  #prefixHave = 0
  #have = 0
  #frame: Uint8Array | undefined
  readonly #buffers: FrameBuffers

  constructor(sizeMax: number, buffers: FrameBuffers = newBuffers) {
    this.sizeMax = sizeMax
    this.#buffers = buffers
  }

  /** Some of a frame has come, but not all. */
  get isWithinFrame(): boolean {
    return this.#prefixHave > 0
  }

  /**
   * Tells how many bytes it has taken: all, unless `onFrame` returns false, which leaves those behind that frame to the
   * caller. Throws `WireError`: a size that is negative or zero (`length`) or over `sizeMax` (`too-large`).
   */
  push(chunk: Uint8Array, onFrame: (frame: Uint8Array) => unknown): number {
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
      if (this.#have === this.#size && !this.#emit(onFrame)) break
    }
    return at
  }

  #check(): void {
    const size = this.#size
    if (size <= 0) throw new WireError("length", `a frame of ${size} bytes`)
    if (size > this.sizeMax) throw new WireError("too-large", `a frame of ${size} bytes, ${this.sizeMax} are allowed`)
  }

  #copy(chunk: Uint8Array, from: number, to: number): void {
    const needed = this.#have + to - from
    let frame = this.#frame
    if (frame === undefined || frame.length < needed) {
      const grown = this.#buffers.take(Math.min(this.#size, Math.max(bufferBytesMin, needed * growth)))
      if (frame !== undefined) {
        grown.set(frame.subarray(0, this.#have))
        this.#buffers.give(frame)
      }
      this.#frame = frame = grown
    }
    // `set` of a whole view is faster than of a subarray, which has to be made first.
    frame.set(to - from === chunk.length ? chunk : chunk.subarray(from, to), this.#have)
    this.#have = needed
  }

  #emit(onFrame: (frame: Uint8Array) => unknown): boolean {
    const frame = this.#frame!
    const size = this.#size
    this.#frame = undefined
    this.#size = 0
    this.#prefixHave = 0
    this.#have = 0
    return onFrame(frame.length === size ? frame : frame.subarray(0, size)) !== false
  }
}
