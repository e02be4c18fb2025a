/** 32 bits of a text, FNV-1a. */
export const hash32 = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/**
 * Seeded chance (sfc32). Each part of a simulation has its own by name, so that leaving one part out when a failure is
 * shrunk does not change what the others do.
 */
export class Random {
  #a: number
  #b: number
  #c: number
  #count = 1

  constructor(seed: number, name: string) {
    this.#a = hash32(`${seed}/${name}/a`)
    this.#b = hash32(`${seed}/${name}/b`)
    this.#c = hash32(`${seed}/${name}/c`)
    for (let i = 0; i < 12; i++) this.#uint32()
  }

  #uint32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0
    return t >>> 0
  }

  /** From 0 up to 1, without 1. */
  next(): number {
    return this.#uint32() / 0x1_0000_0000
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(values: ReadonlyArray<T>): T {
    return values[this.between(0, values.length - 1)]!
  }

  /** Mostly near `min`, now and then up to `max`: latencies have long tails. */
  tail(min: number, max: number): number {
    return Math.floor(min + (max - min) * this.next() ** 4)
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.#uint32() & 0xff
    return bytes
  }
}

export const times = <T>(count: number, make: (i: number) => T): Array<T> =>
  Array.from({ length: count }, (_, i) => make(i))
