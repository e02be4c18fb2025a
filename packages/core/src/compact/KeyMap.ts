import { hash } from "node:crypto"

/** Hash 16, offset 8. */
const slotBytes = 24
const hashWords = 4
const usedShareMax = 3 / 4
const slotsMin = 16

/**
 * The newest offset of every key, in a table of fixed size. A key stands there as 128 bits of its SHA-256, as Kafka's cleaner
 * takes those of its MD5: two keys are taken for one only where these agree, which nobody can bring about.
 */
export class KeyMap {
  readonly #words: Uint32Array
  /** The newest offset plus one; 0: a free slot. */
  readonly #offsets: Float64Array
  readonly #mask: number
  readonly #keysMax: number
  #keys = 0

  private constructor(slots: number) {
    this.#words = new Uint32Array(slots * hashWords)
    this.#offsets = new Float64Array(slots)
    this.#mask = slots - 1
    this.#keysMax = Math.floor(slots * usedShareMax)
  }

  /** For `keys` keys, or as many as `bytesMax` has room for, but `keysMin` in any case. */
  static for(keys: number, bytesMax: number, keysMin = 0): KeyMap {
    let slots = slotsMin
    while (slots * usedShareMax < keysMin) slots *= 2
    while (slots * usedShareMax < keys && 2 * slots * slotBytes <= bytesMax) slots *= 2
    return new KeyMap(slots)
  }

  get keys(): number {
    return this.#keys
  }

  /** Offsets ascend from call to call. False, and nothing changed, for another key when the table is full. */
  put(key: Uint8Array, offset: number): boolean {
    const slot = this.#slotOf(key)
    if (this.#offsets[slot] === 0) {
      if (this.#keys === this.#keysMax) return false
      this.#keys++
      this.#words.set(wanted, slot * hashWords)
    }
    this.#offsets[slot] = offset + 1
    return true
  }

  /** -1 for a key that was not put. */
  newestOffset(key: Uint8Array): number {
    return this.#offsets[this.#slotOf(key)]! - 1
  }

  /** The slot of the key, or the free one that it would take. Leaves its hash in `wanted`. */
  #slotOf(key: Uint8Array): number {
    wantedBytes.set(hash("sha256", key, "buffer").subarray(0, wantedBytes.length))
    let slot = wanted[0]! & this.#mask
    while (this.#offsets[slot] !== 0 && !this.#isAt(slot)) slot = (slot + 1) & this.#mask
    return slot
  }

  #isAt(slot: number): boolean {
    const words = this.#words
    const at = slot * hashWords
    return (
      words[at] === wanted[0] &&
      words[at + 1] === wanted[1] &&
      words[at + 2] === wanted[2] &&
      words[at + 3] === wanted[3]
    )
  }
}

/** The hash that is looked for. */
const wanted = new Uint32Array(hashWords)
const wantedBytes = new Uint8Array(wanted.buffer)
