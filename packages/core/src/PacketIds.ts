const pageBits = 10
const wordsPerPage = 32

/**
 * A set of MQTT packet ids, 1 to 65,535, a bit each: clients number their packets in a row, so a thousand of them take
 * some 250 bytes, and all of them 15 KB, where a `Set` takes 20 bytes and more for each.
 */
export class PacketIds {
  /** By the id's upper bits; undefined: none of these. */
  readonly #pages: Array<Uint32Array | undefined> = []
  #size = 0

  static of(packetIds: Iterable<number>): PacketIds {
    const set = new PacketIds()
    for (const packetId of packetIds) set.add(packetId)
    return set
  }

  get size(): number {
    return this.#size
  }

  has(packetId: number): boolean {
    const page = this.#pages[packetId >>> pageBits]
    return page !== undefined && (page[(packetId >>> 5) % wordsPerPage]! & (1 << (packetId & 31))) !== 0
  }

  add(packetId: number): this {
    if (this.has(packetId)) return this
    const page = (this.#pages[packetId >>> pageBits] ??= new Uint32Array(wordsPerPage))
    page[(packetId >>> 5) % wordsPerPage]! |= 1 << (packetId & 31)
    this.#size++
    return this
  }

  /** Tells whether it was there. */
  delete(packetId: number): boolean {
    if (!this.has(packetId)) return false
    const at = packetId >>> pageBits
    const page = this.#pages[at]!
    const word = (packetId >>> 5) % wordsPerPage
    page[word]! &= ~(1 << (packetId & 31))
    this.#size--
    if (page[word] === 0 && page.every((bits) => bits === 0)) this.#pages[at] = undefined
    return true
  }

  /** Ascending. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (const [at, page] of this.#pages.entries()) {
      if (page === undefined) continue
      for (let i = 0; i < 1 << pageBits; i++) {
        if ((page[i >>> 5]! & (1 << (i & 31))) !== 0) yield (at << pageBits) | i
      }
    }
  }
}
