/** A buffer at least `bytes` long; what is in it is anything. */
export type Take = (bytes: number) => Uint8Array

/** Where large buffers come from and go to. */
export interface Buffers {
  /** At least `bytes` long; what is in it is anything. */
  readonly take: Take
  /** `bytes`, or any view of the same buffer, is used by nobody any more. */
  readonly give: (bytes: Uint8Array) => void
}

/** Plain arrays, not of Node's class, whose `slice` does not copy. */
const allocate = (bytes: number): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)

/** Buffers for once: they are garbage when nobody uses them. */
export const freshBuffers: Buffers = { take: allocate, give: () => undefined }

/** Smaller ones are left to the garbage collector. */
const pooledBytesMin = 4096
/** Sizes between a power of two and the next. */
const sizesPerPower = 4

/** The smallest of the sizes 2^n, 1.25 x 2^n, 1.5 x 2^n and 1.75 x 2^n that holds `bytes`: a fifth is wasted at most. */
const sizeOf = (bytes: number): number => {
  const step = 2 ** (31 - Math.clz32(bytes - 1)) / sizesPerPower
  return Math.ceil(bytes / step) * step
}

/**
 * Large buffers that go round. V8 counts every new one, and collects the whole heap for each 64 MB of them: at 150 MB/s
 * of records that was a third of the server's CPU. Whoever takes one owns it, and gives it back once, when nobody reads
 * it any more; one that is never given back is left to the garbage collector.
 */
export class BufferPool implements Buffers {
  readonly #freeBytesMax: number
  /** By size, that which was not asked for the longest first: it gives way to others. */
  readonly #free = new Map<number, Array<ArrayBufferLike>>()
  /** The buffers that were taken and not given back: a buffer of another owner is never taken in, and none twice. */
  readonly #taken = new WeakSet<ArrayBufferLike>()
  freeBytes = 0
  /** For tests: what is given back is filled with it, so that whoever reads it still is found out. */
  poison: number | undefined

  /** `freeBytesMax`: what lies here unused at most. */
  constructor(freeBytesMax: number) {
    this.#freeBytesMax = freeBytesMax
  }

  take(bytes: number): Uint8Array {
    if (bytes < pooledBytesMin) return freshBuffers.take(bytes)
    const size = sizeOf(bytes)
    const kept = this.#free.get(size) ?? []
    this.#free.delete(size)
    this.#free.set(size, kept)
    const free = kept.pop()
    if (free !== undefined) this.freeBytes -= size
    const buffer = free ?? allocate(size).buffer
    this.#taken.add(buffer)
    return new Uint8Array(buffer)
  }

  give({ buffer }: Uint8Array): void {
    if (!this.#taken.delete(buffer)) return
    if (this.poison !== undefined) new Uint8Array(buffer).fill(this.poison)
    this.freeBytes += buffer.byteLength
    const kept = this.#free.get(buffer.byteLength)
    if (kept === undefined) this.#free.set(buffer.byteLength, [buffer])
    else kept.push(buffer)
    while (this.freeBytes > this.#freeBytesMax) this.#dropOne()
  }

  /** Without this the pool fills up with sizes that are not asked for any more, and from then on keeps nothing else. */
  #dropOne(): void {
    for (const [size, kept] of this.#free) {
      if (kept.pop() === undefined) this.#free.delete(size)
      else {
        this.freeBytes -= size
        return
      }
    }
  }
}

/** The buffers that one answer has borrowed of a pool; they are given back together. */
export class Loan {
  readonly #buffers: Buffers
  #borrowed: Array<Uint8Array> = []

  constructor(buffers: Buffers) {
    this.#buffers = buffers
  }

  readonly take = (bytes: number): Uint8Array => {
    const buffer = this.#buffers.take(bytes)
    this.#borrowed.push(buffer)
    return buffer
  }

  /** Nobody reads what was taken any more. Only the first call counts. */
  end(): void {
    const borrowed = this.#borrowed
    this.#borrowed = []
    for (const buffer of borrowed) this.#buffers.give(buffer)
  }
}
