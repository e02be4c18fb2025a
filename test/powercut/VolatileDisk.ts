/** What a disk may tear: a sector is written whole or not at all. */
export const sectorBytes = 512

/** What becomes of the writes that no flush has covered when the power goes. */
export type Fate = "none" | "all" | "writes" | "sectors" | "newest"

export const fates: ReadonlyArray<Fate> = ["none", "all", "writes", "sectors", "newest"]

interface Write {
  readonly offset: number
  readonly bytes: Buffer
  readonly before: Buffer
}

/**
 * A disk with a volatile write cache: a write is readable at once, and durable once a flush that came after it was
 * answered. When the power goes, any part of what was not flushed is there, in any order.
 */
export class VolatileDisk {
  /** What a reader sees. */
  readonly image: Buffer
  #pending: Array<Write> = []

  constructor(image: Buffer) {
    this.image = image
  }

  /** Writes that no flush has covered. */
  get unflushed(): number {
    return this.#pending.length
  }

  read(offset: number, length: number): Buffer {
    return this.image.subarray(offset, Math.min(offset + length, this.image.length))
  }

  /** Takes a copy of the bytes. */
  write(offset: number, bytes: Buffer): void {
    const before = Buffer.from(this.image.subarray(offset, offset + bytes.length))
    this.#pending.push({ offset, bytes: Buffer.from(bytes), before })
    bytes.copy(this.image, offset)
  }

  flush(): void {
    this.#pending = []
  }

  /** Only what was durable is there, and what `fate` leaves of the rest. Says how many writes were not wholly kept. */
  losePower(fate: Fate, random: () => number): number {
    const share = random()
    const newest = Math.floor(this.#pending.length * share)
    for (const { offset, before } of this.#pending.toReversed()) before.copy(this.image, offset)
    let lost = 0
    for (const [i, write] of this.#pending.entries()) {
      if (fate === "sectors") lost += this.#keepSectors(write, random, share)
      else if (fate === "all" || (fate === "writes" && random() < share) || (fate === "newest" && i >= newest))
        write.bytes.copy(this.image, write.offset)
      else lost++
    }
    this.#pending = []
    return lost
  }

  #keepSectors({ offset, bytes }: Write, random: () => number, share: number): number {
    let lost = 0
    for (let at = 0; at < bytes.length; at += sectorBytes) {
      if (random() < share) bytes.copy(this.image, offset + at, at, at + sectorBytes)
      else lost = 1
    }
    return lost
  }
}
