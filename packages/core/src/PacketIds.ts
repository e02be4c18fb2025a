const wordBits = 32

/**
 * A set of MQTT packet ids, 1 to 65,535, a bit each: clients number their packets in a row, so a thousand of them take
 * 2 KB, where a `Set` takes 20 bytes and more for each; ids far from each other take as much as there.
 */
export class PacketIds {
  /** 32 ids each, by the id's upper bits. Never 0. */
  readonly #words = new Map<number, number>()
  #size = 0

  static of(packetIds: Iterable<number>): PacketIds {
    const set = new PacketIds()
    for (const packetId of packetIds) set.add(packetId)
    return set
  }

  get size(): number {
    return this.#size
  }

  /** Entries of the map: what the memory goes by. */
  get words(): number {
    return this.#words.size
  }

  has(packetId: number): boolean {
    const word = this.#words.get(Math.floor(packetId / wordBits))
    return word !== undefined && (word & bitOf(packetId)) !== 0
  }

  add(packetId: number): this {
    const at = Math.floor(packetId / wordBits)
    const word = this.#words.get(at) ?? 0
    if ((word & bitOf(packetId)) !== 0) return this
    this.#words.set(at, word | bitOf(packetId))
    this.#size++
    return this
  }

  /** Tells whether it was there. */
  delete(packetId: number): boolean {
    if (!this.has(packetId)) return false
    const at = Math.floor(packetId / wordBits)
    const word = this.#words.get(at)! & ~bitOf(packetId)
    if (word === 0) this.#words.delete(at)
    else this.#words.set(at, word)
    this.#size--
    return true
  }

  /** Ascending. */
  *[Symbol.iterator](): IterableIterator<number> {
    for (const [at, word] of [...this.#words].sort(([a], [b]) => a - b)) {
      for (let bit = 0; bit < wordBits; bit++) if ((word & (1 << bit)) !== 0) yield at * wordBits + bit
    }
  }
}

const bitOf = (packetId: number): number => 1 << (packetId % wordBits)
