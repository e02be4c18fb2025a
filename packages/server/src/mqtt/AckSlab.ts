const slabBytes = 16 * 1024
const ackBytes = 4

/** The owner of acknowledgements in the slab. */
interface Owner {
  readonly pushOut: (bytes: Uint8Array) => void
}

/**
 * Acknowledgements of four bytes for all connections, written one behind the other: those of one connection that
 * follow each other become one slice. A slab is never written twice, so its slices need no copy.
 */
export class AckSlab {
  #bytes = Buffer.allocUnsafeSlow(slabBytes)
  #owner: Owner | undefined
  #start = 0
  #at = 0

  write(owner: Owner, firstByte: number, packetId: number): void {
    if (this.#owner !== owner || this.#at === slabBytes) this.#begin(owner)
    const bytes = this.#bytes
    const at = this.#at
    bytes[at] = firstByte
    bytes[at + 1] = 2
    bytes[at + 2] = packetId >>> 8
    bytes[at + 3] = packetId
    this.#at = at + ackBytes
  }

  /** Hands the owner its slice, so that something else can follow it. */
  leave(owner: Owner): void {
    if (this.#owner !== owner) return
    this.#owner = undefined
    owner.pushOut(this.#bytes.subarray(this.#start, this.#at))
    this.#start = this.#at
  }

  #begin(owner: Owner): void {
    if (this.#owner !== undefined) this.leave(this.#owner)
    if (this.#at === slabBytes) {
      this.#bytes = Buffer.allocUnsafeSlow(slabBytes)
      this.#start = this.#at = 0
    }
    this.#owner = owner
  }
}
