import { RecordReader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { PartitionLog } from "./PartitionLog.ts"

/** Where a cursor ends: at an offset, and at the first record at or behind a time (Unix ms). */
export interface CursorEnd {
  readonly offset: number
  readonly timeMs: number
}

/**
 * Reads the records of one partition in order, a few batches at a time. `hasNext` finds the next one; `offset`, `timestampMs` and
 * `record` describe it until `pass` moves on.
 */
export class PartitionCursor {
  readonly partition: number
  readonly log: PartitionLog
  /** The next offset. */
  position: number
  /** The first offset that is not delivered: there are records that are not. */
  readonly endOffset: number
  readonly #endMs: number
  /** The place and time of the record at hand. */
  offset = 0
  timestampMs = 0
  readonly record = new RecordReader()
  /** The bytes that are held: of batches, and of the records of one that was compressed. */
  heldBytes = 0
  #isAtRecord = false
  #isOver = false
  #gap = 0
  #batches: ReadonlyArray<Uint8Array> = []
  /** Which of them have nothing for a reader, as the log knew when they were read: once compaction is done with them, it may not. */
  #areHidden: ReadonlyArray<boolean> = []
  #nextBatch = 0
  #hasRecords = false
  #baseOffset = 0
  #lastOffset = 0
  #baseTimestampMs = 0
  #appendTimeMs: number | undefined

  constructor(partition: number, log: PartitionLog, position: number, end: CursorEnd) {
    this.partition = partition
    this.log = log
    // A journal that was restored to a moment of the past may end before it.
    this.position = Math.min(position, log.highWatermark)
    this.endOffset = end.offset
    this.#endMs = end.timeMs
  }

  /** Nothing more comes of it. */
  get isOver(): boolean {
    return this.#isOver || this.position >= this.endOffset
  }

  /** The records since the last delivery that retention took before they were read. Forgotten with this call. */
  takeGap(): number {
    const gap = this.#gap
    this.#gap = 0
    return gap
  }

  /** Whether there is a next record below `offsetMax`. Reads up to `bytesMax` for it, but at least one batch. Throws `JournalError`. */
  hasNext(bytesMax: number, offsetMax: number): boolean {
    if (this.#isAtRecord) return !this.#isOver && this.offset < offsetMax
    const { log } = this
    this.#skipExpired()
    while (this.position < offsetMax && this.position < log.lastStableOffset && !this.isOver) {
      if (this.#nextRecord()) {
        this.#isAtRecord = true
        this.#isOver = this.offset >= this.endOffset || this.timestampMs >= this.#endMs
        return !this.#isOver && this.offset < offsetMax
      }
      if (!this.#nextBatchOf(bytesMax)) return false
    }
    return false
  }

  /** Moves behind the record at hand. */
  pass(): void {
    this.position = this.offset + 1
    this.#isAtRecord = false
  }

  /** Moves on to an offset; one before the place where it is changes nothing. */
  skipTo(offset: number): void {
    if (this.#isAtRecord && offset <= this.offset) return
    this.#isAtRecord = false
    this.position = Math.max(this.position, offset)
  }

  /** Whether the record of this offset, if there is one, needs no read. */
  holds(offset: number): boolean {
    return this.#hasRecords && this.position <= offset && offset <= this.#lastOffset
  }

  /** Gives the memory back: what was held is read again when it is needed. */
  letGo(): void {
    this.#batches = []
    this.#areHidden = []
    this.#nextBatch = 0
    this.#hasRecords = false
    this.#isAtRecord = false
    this.heldBytes = 0
  }

  #skipExpired(): void {
    const { startOffset } = this.log
    if (this.position >= startOffset) return
    this.#gap += startOffset - this.position
    this.position = startOffset
  }

  #nextRecord(): boolean {
    const { record } = this
    while (this.#hasRecords) {
      if (!record.next()) {
        this.#hasRecords = false
        // Compaction may have taken the batch's last ones away.
        this.position = Math.max(this.position, this.#lastOffset + 1)
        return false
      }
      this.offset = this.#baseOffset + record.offsetDelta
      if (this.offset < this.position) continue
      this.timestampMs = this.#appendTimeMs ?? this.#baseTimestampMs + record.timestampDelta
      return true
    }
    return false
  }

  /** False: there is nothing to read. */
  #nextBatchOf(bytesMax: number): boolean {
    const { log } = this
    if (this.#nextBatch >= this.#batches.length) {
      this.#batches = log.read(this.position, bytesMax)
      this.#areHidden = this.#batches.map(log.isHidden)
      this.#nextBatch = 0
      this.heldBytes = 0
      for (const { length } of this.#batches) this.heldBytes += length
    }
    const at = this.#nextBatch++
    const batch = this.#batches[at]
    if (batch === undefined) {
      // Compaction, or what a restore left out, took all records up to there.
      this.position = log.lastStableOffset
      return false
    }
    if (this.#areHidden[at] === true) {
      this.position = RecordBatch.lastOffset(batch) + 1
      return true
    }
    const records = RecordBatch.storedRecordsOf(batch)
    if (RecordBatch.compression(batch) !== "none") this.heldBytes += records.length
    this.record.reset(records)
    this.#hasRecords = true
    this.#baseOffset = RecordBatch.baseOffset(batch)
    this.#lastOffset = RecordBatch.lastOffset(batch)
    this.#baseTimestampMs = RecordBatch.baseTimestamp(batch)
    this.#appendTimeMs = RecordBatch.isLogAppendTime(batch) ? RecordBatch.maxTimestamp(batch) : undefined
    return true
  }
}
