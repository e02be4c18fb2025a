import type { RecordPlace, ShareRecord } from "./StreamShareProtocol.ts"

type Chunk = ReadonlyArray<ShareRecord>

/** As many as one step deals out. */
const chunkRecordsMax = 256

/** Places of records, found one by one. */
class Places {
  readonly #offsets = new Map<number, Set<number>>()
  #size = 0

  add(partition: number, offset: number): void {
    let offsets = this.#offsets.get(partition)
    if (offsets === undefined) this.#offsets.set(partition, (offsets = new Set()))
    if (offsets.has(offset)) return
    offsets.add(offset)
    this.#size++
  }

  has(partition: number, offset: number): boolean {
    return this.#offsets.get(partition)?.has(offset) === true
  }

  /** Whether it was there: from now on it is not. */
  take(partition: number, offset: number): boolean {
    const isThere = this.#offsets.get(partition)?.delete(offset) === true
    if (isThere) this.#size--
    return isThere
  }

  get isEmpty(): boolean {
    return this.#size === 0
  }
}

const placesOf = (places: ReadonlyArray<RecordPlace>): Places => {
  const all = new Places()
  for (const [partition, offset] of places) all.add(partition, offset)
  return all
}

/**
 * The records of a group that no member has, in the order in which they came. Its records are never changed in place.
 *
 * 1. Records are dealt out from the front, so they are looked for from there, and no further than to the last of them.
 * 2. A change gives another one, which shares all chunks of records with this one but those that it touches.
 * 3. Records that come back are looked for by the places of all that wait. These are gathered once, and handed on with each change to the
 *    one that it gives; this one would gather them anew.
 *
 * So a step costs what it deals out, and what comes back costs as much, however many wait, and although each is an event for each member.
 */
export class WaitingRecords implements Iterable<ShareRecord> {
  static readonly none = new WaitingRecords([], 0)

  readonly size: number
  /** None is empty. */
  readonly #chunks: ReadonlyArray<Chunk>
  /** Those of all records; undefined: they were not asked for, or a later one has them. */
  #places: Places | undefined

  private constructor(chunks: ReadonlyArray<Chunk>, size: number) {
    this.#chunks = chunks
    this.size = size
  }

  static of(records: ReadonlyArray<ShareRecord>): WaitingRecords {
    return WaitingRecords.none.with(records)
  }

  *[Symbol.iterator](): Iterator<ShareRecord> {
    for (const chunk of this.#chunks) yield* chunk
  }

  /** With these behind all others. */
  with(records: ReadonlyArray<ShareRecord>): WaitingRecords {
    if (records.length === 0) return this
    const chunks = [...this.#chunks]
    const last = chunks.at(-1)
    let from = 0
    if (last !== undefined && last.length < chunkRecordsMax) {
      from = chunkRecordsMax - last.length
      chunks[chunks.length - 1] = [...last, ...records.slice(0, from)]
    }
    for (; from < records.length; from += chunkRecordsMax) chunks.push(records.slice(from, from + chunkRecordsMax))
    const places = this.#handOnPlaces()
    for (const { partition, offset } of places === undefined ? [] : records) places!.add(partition, offset)
    return WaitingRecords.#made(chunks, this.size + records.length, places)
  }

  static #made(chunks: ReadonlyArray<Chunk>, size: number, places: Places | undefined): WaitingRecords {
    const made = new WaitingRecords(chunks, size)
    made.#places = places
    return made
  }

  #handOnPlaces(): Places | undefined {
    const places = this.#places
    this.#places = undefined
    return places
  }

  #gathered(): Places {
    const places = new Places()
    for (const { partition, offset } of this) places.add(partition, offset)
    return places
  }

  /** Places at which none waits are passed over. */
  without(places: ReadonlyArray<RecordPlace>): WaitingRecords {
    const sought = placesOf(places)
    const chunks: Array<Chunk> = []
    let { size } = this
    for (const chunk of this.#chunks) {
      const left = sought.isEmpty ? chunk : chunk.filter(({ partition, offset }) => !sought.take(partition, offset))
      size -= chunk.length - left.length
      if (left.length === chunk.length) chunks.push(chunk)
      else if (left.length > 0) chunks.push(left)
    }
    if (size === 0) return WaitingRecords.none
    const all = this.#handOnPlaces()
    for (const [partition, offset] of all === undefined ? [] : places) all!.take(partition, offset)
    return WaitingRecords.#made(chunks, size, all)
  }

  /** Those of the places at which a record waits. */
  placesAmong(places: ReadonlyArray<RecordPlace>): ReadonlyArray<RecordPlace> {
    const others = this.#othersOf(placesOf(places))
    return others.isEmpty ? places : places.filter(([partition, offset]) => !others.take(partition, offset))
  }

  /** Those of the records that do not wait, each place once. */
  newAmong(records: ReadonlyArray<ShareRecord>): ReadonlyArray<ShareRecord> {
    const waiting = (this.#places ??= this.#gathered())
    const taken = new Places()
    return records.filter(({ partition, offset }) => {
      if (waiting.has(partition, offset) || taken.has(partition, offset)) return false
      taken.add(partition, offset)
      return true
    })
  }

  /** The places without those at which a record waits. */
  #othersOf(places: Places): Places {
    for (const chunk of this.#chunks) {
      for (const { partition, offset } of chunk) {
        if (places.isEmpty) return places
        places.take(partition, offset)
      }
    }
    return places
  }
}
