import { crc32c } from "@node-rs/crc32"
import { JournalError, type Journal } from "../journal/Journal.ts"
import * as RecordBatch from "../RecordBatch.ts"
import { RecordsBuilder } from "../Record.ts"
import type { Log } from "./Log.ts"
import type { Located } from "./LogIndex.ts"
import type { Tail } from "./Tail.ts"

export type OffsetAndTimestamp = RecordBatch.OffsetAndTimestamp

/** Turns references back into Kafka record batches. */
export class LogReader {
  readonly #journal: Journal
  readonly #tail: Tail
  readonly #synthesisedBytesMax: number
  /** Merges runs; what is handed out is copied from it. */
  readonly #merge: RecordsBuilder

  constructor(journal: Journal, tail: Tail, synthesisedBytesMax: number) {
    this.#journal = journal
    this.#tail = tail
    this.#synthesisedBytesMax = synthesisedBytesMax
    this.#merge = new RecordsBuilder(2 * synthesisedBytesMax)
  }

  /**
   * Whole batches from the one that holds `offset`, up to `bytesMax` but at least one (KIP-74); none at the end.
   * Producers' batches are as they were sent. What the server built from single messages lies in small runs:
   * several become one batch, never across an epoch or a producer's batch.
   * Throws `JournalError` "Corrupt" rather than serve bytes that fail their checksum.
   */
  read(log: Log, offset: number, bytesMax: number): Array<Uint8Array> {
    const { index } = log
    const batches: Array<Uint8Array> = []
    let bytes = 0
    let at = index.find(Math.max(offset, log.startOffset))
    while (at < index.count) {
      const first = index.at(at)
      if (batches.length > 0 && bytes + first.byteLength > bytesMax) break
      let batch: Uint8Array
      if (first.verbatim || first.place === "value") {
        batch = this.#bytes(log, first)
        at++
      } else {
        const roomBytes = Math.min(this.#synthesisedBytesMax, bytesMax - bytes)
        const end = this.#endOfRuns(log, at, first, roomBytes)
        batch = end === at + 1 ? this.#single(log, first) : this.#merged(log, at, end, first)
        at = end
      }
      batches.push(batch)
      bytes += batch.length
    }
    return batches
  }

  /** One behind the last run that goes into the batch which `first` begins. */
  #endOfRuns(log: Log, from: number, first: Located, roomBytes: number): number {
    let bytes = first.byteLength
    let nextOffset = first.baseOffset + first.count
    let at = from + 1
    for (; at < log.index.count; at++) {
      const run = log.index.at(at)
      bytes += run.byteLength
      const fits = !run.verbatim && run.place !== "value" && run.epoch === first.epoch && bytes <= roomBytes
      if (!fits || run.baseOffset !== nextOffset) break
      nextOffset += run.count
    }
    return at
  }

  #single(log: Log, run: Located): Uint8Array {
    return RecordBatch.buildBatch(headerOf(run, run.count, run.firstTimestampMs, run.maxTimestampMs), this.#bytes(log, run))
  }

  #merged(log: Log, from: number, end: number, first: Located): Uint8Array {
    const merge = this.#merge
    merge.reset()
    merge.begin(first.firstTimestampMs)
    for (let at = from; at < end; at++) {
      const run = log.index.at(at)
      const timeShiftMs = run.firstTimestampMs - first.firstTimestampMs
      merge.appendRun(this.#bytes(log, run), run.count, run.baseOffset - first.baseOffset, timeShiftMs)
    }
    return RecordBatch.buildBatch(
      headerOf(first, merge.count, merge.firstTimestampMs, merge.maxTimestampMs),
      merge.bytes
    )
  }

  #bytes(log: Log, located: Located): Uint8Array {
    const bytes = this.#stored(log, located)
    if (bytes === undefined || bytes.length !== located.byteLength || crc32c(bytes) !== located.crc) {
      throw new JournalError(
        "Corrupt",
        `records of log ${log.id} at offset ${located.baseOffset} (seq ${located.frameSeq}) fail their checksum`
      )
    }
    return bytes
  }

  #stored(log: Log, { frameSeq, baseOffset, count, place, chunk, position, byteLength }: Located): Uint8Array | undefined {
    const recent = this.#tail.get(frameSeq)
    const lastOffset = baseOffset + count - 1
    if (place === "value") {
      const isWanted = (b: { logId: number; lastOffset: number }) => b.logId === log.id && b.lastOffset === lastOffset
      return recent ? recent.batches.find(isWanted)?.bytes : this.#journal.batch(frameSeq, log.id, lastOffset)
    }
    const whole =
      place === "frame"
        ? (recent?.frame ?? this.#journal.frame(frameSeq))
        : (recent?.chunks[chunk] ?? this.#journal.chunk(frameSeq, chunk))
    return whole?.subarray(position, position + byteLength)
  }

  /**
   * The first offset whose record's timestamp is at or after `timestampMs` (ListOffsets by time);
   * undefined if there is none. Times are milliseconds since the Unix epoch.
   */
  offsetForTimestamp(log: Log, timestampMs: number): OffsetAndTimestamp | undefined {
    for (let at = log.index.findTimestamp(timestampMs); at < log.index.count; at++) {
      const run = log.index.at(at)
      if (run.baseOffset + run.count <= log.startOffset || run.maxTimestampMs < timestampMs) continue
      const found = RecordBatch.offsetForTimestamp(this.#batchOf(log, run), timestampMs)
      if (found !== undefined && found.offset >= log.startOffset) return found
    }
    return undefined
  }

  /** The record with the highest timestamp (ListOffsets -3, KIP-734). */
  maxTimestamp(log: Log): OffsetAndTimestamp | undefined {
    const at = log.index.findMaxTimestamp()
    if (at < 0) return undefined
    const run = log.index.at(at)
    return RecordBatch.offsetForTimestamp(this.#batchOf(log, run), run.maxTimestampMs)
  }

  #batchOf(log: Log, run: Located): Uint8Array {
    return run.verbatim || run.place === "value" ? this.#bytes(log, run) : this.#single(log, run)
  }
}

const headerOf = (
  first: Located,
  count: number,
  baseTimestampMs: number,
  maxTimestampMs: number
): RecordBatch.BatchFields => ({
  baseOffset: first.baseOffset,
  partitionLeaderEpoch: first.epoch,
  count,
  baseTimestampMs,
  maxTimestampMs
})
