import type { StreamReading } from "@logbrook/actors/session/SessionProtocol"
import { PartitionCursor } from "./PartitionCursor.ts"
import type { PartitionLog } from "./PartitionLog.ts"
import { type FoundRecord, foundRecord, publisherOf, type StreamMarks } from "./recordMessage.ts"
import { StreamMerge } from "./StreamMerge.ts"
import { matchesRecord, notRead } from "./streamPlace.ts"

/** A record for the subscription. */
export interface Found {
  readonly record: FoundRecord
  readonly marks: StreamMarks
}

/** The outcome of one look at a stream. */
export type Look =
  /** The next record that is to be delivered. */
  | Found
  /** A record was passed over, or waits to be known as the last of the history or not. */
  | "passed"
  /** There is nothing more to read now. */
  | "idle"

/** The records that are wanted of a stream. */
export interface Wanted {
  readonly stream: string
  readonly topicFilter: string | undefined
  /** Not those that this client has published. */
  readonly noLocal: string | undefined
}

const readerBytes = 1000
const cursorBytes = 500

/** The memory of a reader that has read nothing ahead. */
export const readerWeight = (partitions: number): number => readerBytes + cursorBytes * partitions

/** All partitions of a reader hold about so much, so that a hundred readers hold 50 MiB. */
const heldBytesTarget = 512 * 1024
const readBytesMin = 4 * 1024
const readBytesMax = 64 * 1024

const cursorsOf = (logs: ReadonlyArray<PartitionLog>, reading: StreamReading): ReadonlyArray<PartitionCursor> => {
  const { positions, ends, untilMs } = reading
  // Whoever has named partitions, or an end, does not want those that came later.
  const later = ends !== null || positions.includes(notRead) ? notRead : 0
  return logs.flatMap((log, partition) => {
    const position = positions[partition] ?? later
    if (position === notRead) return []
    const end = { offset: ends?.[partition] ?? Infinity, timeMs: untilMs ?? Infinity }
    return [new PartitionCursor(partition, log, position, end)]
  })
}

/**
 * Reads a stream for one subscription: first the history, which is what was there when the reader was made, merged by time over the partitions; then
 * whatever comes. A record of the history is held back until the next one is found, so that the last one can say that it is.
 *
 *     look: history ─ found ─► held ─ next found ─► delivered
 *                                   └ none left ──► delivered as the last ─► live ─ found ─► delivered
 *
 * `positions` tells where another reader would have to go on, once everything that `look` gave has been delivered.
 */
export class StreamReader {
  readonly #wanted: Wanted
  readonly #merge: StreamMerge
  /** The ends of the history, by partition; undefined: it is over. */
  #historyEnds: ReadonlyMap<number, number> | undefined
  #held: Found | undefined

  /** `logs` by partition. */
  constructor(wanted: Wanted, logs: ReadonlyArray<PartitionLog>, reading: StreamReading) {
    this.#wanted = wanted
    const cursors = cursorsOf(logs, reading)
    const readBytes = Math.floor(heldBytesTarget / Math.max(1, cursors.length))
    this.#merge = new StreamMerge(cursors, Math.max(readBytesMin, Math.min(readBytesMax, readBytes)))
    this.#historyEnds = new Map(cursors.map(({ partition, log }) => [partition, log.lastStableOffset]))
  }

  /** Nothing more comes of it. */
  get isOver(): boolean {
    return this.#held === undefined && this.#merge.cursors.every(({ isOver }) => isOver)
  }

  /** What was read ahead, in bytes. */
  get heldBytes(): number {
    return this.#merge.heldBytes
  }

  /** All that it takes of memory. */
  get byteLength(): number {
    return readerWeight(this.#merge.cursors.length) + this.heldBytes
  }

  /** Gives back what was read ahead. */
  letGo(): void {
    this.#merge.letGo()
  }

  /** The next offset of each partition that is read. */
  positions(): Array<readonly [partition: number, offset: number]> {
    const held = this.#held?.record
    return this.#merge.cursors.map(({ partition, position }) => [
      partition,
      held?.partition === partition ? held.offset : position
    ])
  }

  /** Looks at one record. Throws `JournalError`. */
  look(): Look {
    if (this.#historyEnds === undefined) return this.#lookOn()
    const cursor = this.#merge.next(this.#historyEnds)
    if (cursor === undefined) {
      this.#historyEnds = undefined
      const last = this.#held
      this.#held = undefined
      if (last === undefined) return "passed"
      return { ...last, marks: { ...last.marks, isCaughtUp: true } }
    }
    const found = this.#take(cursor)
    if (found === undefined) return "passed"
    const before = this.#held
    this.#held = found
    return before ?? "passed"
  }

  #lookOn(): Look {
    const cursor = this.#merge.next(Infinity)
    if (cursor === undefined) return "idle"
    return this.#take(cursor) ?? "passed"
  }

  #take(cursor: PartitionCursor): Found | undefined {
    const { stream, topicFilter, noLocal } = this.#wanted
    const record = foundRecord(stream, cursor.partition, cursor.offset, cursor.timestampMs, cursor.record)
    cursor.pass()
    if (topicFilter !== undefined && !matchesRecord(topicFilter, record.topic)) return undefined
    if (noLocal !== undefined && publisherOf(record) === noLocal) return undefined
    const gap = cursor.takeGap()
    return { record, marks: gap === 0 ? noMarks : { gap } }
  }
}

const noMarks: StreamMarks = {}
