import { crc32c } from "@node-rs/crc32"
import { freshBuffers, type Take } from "../BufferPool.ts"
import type { Journal } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { RecordReader, RecordsBuilder } from "../Record.ts"
import * as RecordBatch from "../RecordBatch.ts"
import type { Log } from "./Log.ts"
import type { Located } from "./LogIndex.ts"
import { batchesOfRun } from "./runs.ts"
import type { Tail } from "./Tail.ts"

export type OffsetAndTimestamp = RecordBatch.OffsetAndTimestamp

const nothing = new Uint8Array(0)

/** How batches are read; see `LogReader.read`. */
export interface ReadOptions {
  /** Where the buffers come from in which batches lie, several in one or one in each. */
  readonly take?: Take
  /** The server has compressed its own settled batches: they are given as they lie, else plain. */
  readonly readsZstd?: boolean
  /** No batch begins there or behind, such as the last stable offset, where batches begin as well. */
  readonly endOffset?: number
  /**
   * Whole batches go to a client, which can compare each with the CRC in its header, as Kafka leaves it to clients altogether. A batch
   * that lies there as the client gets it is then checked once: in memory when it came, on the disk by its first reader.
   */
  readonly isPassedOn?: boolean
}

const byDefault: ReadOptions = {}

/** The most bytes of a buffer that several batches lie in. */
const bufferBytesMax = 1024 * 1024

/**
 * Where a read puts what it copies. Batches that are passed on lie one behind the other in few buffers, as they do in the log, and can be
 * written as one piece. `bench/kafkaPairs.ts`, batches of 64 KB, seven pairs beside other work (load 20 on 2 cores), CPU of warm fetches so,
 * and without reading a run that has no room, over that with a buffer for each batch: 0.89 (0.71-1.19).
 */
class Target {
  readonly isPassedOn: boolean
  /** So much the read may still give. */
  leftBytes = 0
  readonly #take: Take
  #room: Uint8Array = nothing

  constructor(take: Take, isPassedOn: boolean) {
    this.#take = take
    this.isPassedOn = isPassedOn
  }

  /** Whether there is room for so much behind what was copied last. */
  hasRoom(bytes: number): boolean {
    return bytes <= this.#room.length
  }

  /** Behind what was copied last, or in a buffer with room for `aheadBytes` at least. */
  copy(bytes: Uint8Array, aheadBytes: number): Uint8Array {
    const { length } = bytes
    if (!this.hasRoom(length)) {
      const roomBytes = Math.max(length, aheadBytes)
      this.#room = this.#take(roomBytes).subarray(0, roomBytes)
    }
    const own = this.#room.subarray(0, length)
    own.set(bytes)
    this.#room = this.#room.subarray(length)
    return own
  }
}

/** See `LogReader.batchTimes`. */
export interface BatchTimes {
  /** Unix ms, by the offset at which the batch begins; of others in the runs that were read as well. */
  readonly times: ReadonlyMap<number, number>
  /** The bytes of the runs that were read. */
  readonly readBytes: number
}

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
    this.#merge = new RecordsBuilder(2 * synthesisedBytesMax, 2 * synthesisedBytesMax)
  }

  /**
   * Whole batches from the one that holds `offset`, up to `bytesMax` but at least one (KIP-74); none at the end.
   * Producers' batches are as they were sent. The server's own batches of single messages may be small: several
   * become one batch, never across an epoch or a producer's batch. The batches are the caller's.
   * Throws `JournalError` "Corrupt" rather than serve bytes that fail their checksum.
   */
  read(log: Log, offset: number, bytesMax: number, options: ReadOptions = byDefault): Array<Uint8Array> {
    const { take = freshBuffers.take, readsZstd = false, endOffset = Infinity, isPassedOn = false } = options
    const target = new Target(take, isPassedOn)
    const { index } = log
    const fromOffset = Math.max(offset, log.startOffset)
    const batches: Array<Uint8Array> = []
    let bytes = 0
    let at = index.find(fromOffset)
    while (at < index.count) {
      const first = index.at(at)
      if (first.baseOffset >= endOffset) break
      target.leftBytes = bytesMax - bytes
      if (first.place === "run") {
        // A run of one batch tells its length: it is not read to be left out.
        const isOneBatch = first.position === first.byteLength
        if (isOneBatch && batches.length > 0 && bytes + first.byteLength > bytesMax) return batches
        const run = this.#own(log, at, first, target, first.verbatim || readsZstd)
        for (const batch of batchesOfRun(run, first, fromOffset, take, readsZstd)) {
          if (RecordBatch.baseOffset(batch) >= endOffset) return batches
          if (batches.length > 0 && bytes + batch.length > bytesMax) return batches
          batches.push(batch)
          bytes += batch.length
        }
        at++
        if (bytes >= bytesMax) return batches
        continue
      }
      const isBatch = first.verbatim || first.place === "value"
      const batchBytes = first.byteLength + (isBatch ? 0 : RecordBatch.batchHeaderBytes)
      if (batches.length > 0 && bytes + batchBytes > bytesMax) break
      const roomBytes = Math.min(this.#synthesisedBytesMax, bytesMax - bytes - RecordBatch.batchHeaderBytes)
      const { batch, end } = isBatch
        ? { batch: this.#own(log, at, first, target, true), end: at + 1 }
        : this.#merged(log, at, first, roomBytes, take)
      at = end
      batches.push(batch)
      bytes += batch.length
    }
    return batches
  }

  /** Whether the run goes on the batch that `first` began and that ends before `nextOffset`. */
  #continues(run: Located, first: Located, nextOffset: number): boolean {
    return (
      !run.verbatim &&
      run.place !== "value" &&
      run.place !== "run" &&
      run.epoch === first.epoch &&
      run.baseOffset === nextOffset
    )
  }

  #single(log: Log, run: Located, take: Take): Uint8Array {
    return RecordBatch.buildBatch(
      headerOf(run, run.count, run.firstTimestampMs, run.maxTimestampMs),
      this.#bytes(log, run),
      take
    )
  }

  /**
   * Makes one batch of those from `from` on that fit into `roomBytes`, the first in any case; `end`: the place behind
   * the last.
   */
  #merged(log: Log, from: number, first: Located, roomBytes: number, take: Take): { batch: Uint8Array; end: number } {
    const merge = this.#merge
    merge.reset()
    merge.begin(first.firstTimestampMs)
    let end = from
    let count = 0
    let byteLength = 0
    let maxTimestampMs = 0
    for (let run = first; ; run = log.index.at(end)) {
      const offsetShift = run.baseOffset - first.baseOffset
      const timeShiftMs = run.firstTimestampMs - first.firstTimestampMs
      const isMerged = merge.appendRecords(this.#bytes(log, run), run.count, offsetShift, timeShiftMs)
      // Moved deltas may take more bytes: a run that no longer fits is left to the next batch.
      if (!isMerged || (end > from && merge.byteLength > roomBytes)) break
      end++
      count = merge.count
      byteLength = merge.byteLength
      maxTimestampMs = merge.maxTimestampMs
      if (end >= log.index.count) break
      const next = log.index.at(end)
      const continues = this.#continues(next, first, run.baseOffset + run.count)
      if (!continues || byteLength + next.byteLength > roomBytes) break
    }
    if (end === from) return { batch: this.#single(log, first, take), end: from + 1 }
    const header = headerOf(first, count, first.firstTimestampMs, maxTimestampMs)
    return { batch: RecordBatch.buildBatch(header, merge.bytes.subarray(0, byteLength), take), end }
  }

  /**
   * The stored bytes of the reference at `at` in a buffer of the caller's. Checked before they are copied: they are read from the cache
   * then. Those that are passed on as they are stored (`isAsStored`) are not if they were before: `bench/kafkaPairs.ts`, seven pairs beside other work (load 10 on 2 cores), CPU of warm
   * fetches with it over that without: 0.73 (0.67-0.79).
   */
  #own(log: Log, at: number, located: Located, target: Target, isAsStored: boolean): Uint8Array {
    const isOnce = target.isPassedOn && isAsStored
    const isInTail = located.place !== "run" && this.#tail.get(located.frameSeq) !== undefined
    const wasChecked = isInTail || log.index.isChecked(at)
    const bytes = isOnce && wasChecked ? this.#unchecked(log, located) : this.#bytes(log, located)
    if (!isInTail) log.index.noteChecked(at)
    if (!isOnce || target.hasRoom(bytes.length)) return target.copy(bytes, 0)
    return target.copy(bytes, log.index.batchBytesFrom(at, Math.min(target.leftBytes, bufferBytesMax)))
  }

  /** A view that is valid until the next read. */
  #bytes(log: Log, located: Located): Uint8Array {
    const bytes = this.#unchecked(log, located)
    if (crc32c(bytes) !== located.crc) throw corrupt(log, located)
    return bytes
  }

  /** As `#bytes`, but of their checksum. */
  #unchecked(log: Log, located: Located): Uint8Array {
    const bytes = this.#stored(log, located)
    if (bytes === undefined || bytes.length !== located.byteLength) throw corrupt(log, located)
    return bytes
  }

  #stored(
    log: Log,
    { frameSeq, baseOffset, count, place, chunk, position, byteLength }: Located
  ): Uint8Array | undefined {
    const lastOffset = baseOffset + count - 1
    if (place === "run") return this.#journal.run(frameSeq, log.id, lastOffset)
    const recent = this.#tail.get(frameSeq)
    if (place === "value") {
      return recent ? this.#tail.batch(recent, log.id, lastOffset) : this.#journal.batch(frameSeq, log.id, lastOffset)
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
      if (log.index.at(at).maxTimestampMs < timestampMs) continue
      for (const batch of this.#batchesOf(log, log.index.at(at))) {
        const found = firstFrom(batch, log.startOffset, timestampMs)
        if (found !== undefined) return found
      }
    }
    return undefined
  }

  /** The record with the highest timestamp, the first of equals (ListOffsets -3, KIP-734). */
  maxTimestamp(log: Log): OffsetAndTimestamp | undefined {
    const { index, startOffset } = log
    if (index.count === 0) return undefined
    // Only the first batch may have records below the start, its newest one among them.
    let ofFirst: OffsetAndTimestamp | undefined
    for (const batch of this.#batchesOf(log, index.at(0))) {
      const newest = newestFrom(batch, startOffset)
      if (newest !== undefined && newest.timestampMs > (ofFirst?.timestampMs ?? -Infinity)) ofFirst = newest
    }
    const at = index.findMaxTimestamp(1)
    if (at < 0) return ofFirst
    const run = index.at(at)
    if (ofFirst !== undefined && ofFirst.timestampMs >= run.maxTimestampMs) return ofFirst
    for (const batch of this.#batchesOf(log, run)) {
      const found = firstFrom(batch, startOffset, run.maxTimestampMs)
      if (found !== undefined) return found
    }
    return undefined
  }

  /**
   * The newest times in the producers' batches that begin at `offsets`, which ascend or descend, by these offsets; a batch that is gone has
   * none. References tell them, but in a run of several batches, which is read whole: once, and only while fewer than `bytesMax`
   * bytes were read. So the last run may go beyond it, and the batches of those behind have no time. Throws `JournalError` "Corrupt".
   */
  batchTimes(log: Log, offsets: Iterable<number>, bytesMax: number): BatchTimes {
    const times = new Map<number, number>()
    const { index, startOffset } = log
    let readBytes = 0
    let readAt = -1
    for (const offset of offsets) {
      const at = index.find(offset)
      if (at === readAt || at >= index.count) continue
      const located = index.at(at)
      const { place, byteLength, position, baseOffset, maxTimestampMs } = located
      if (place !== "run" || position === byteLength) {
        if (baseOffset === offset) times.set(offset, maxTimestampMs)
        continue
      }
      if (readBytes >= bytesMax) continue
      for (const batch of batchesOfRun(this.#bytes(log, located), located, startOffset)) {
        times.set(RecordBatch.baseOffset(batch), RecordBatch.maxTimestamp(batch))
      }
      readBytes += byteLength
      readAt = at
    }
    return { times, readBytes }
  }

  #batchesOf(log: Log, run: Located): Iterable<Uint8Array> {
    if (run.place === "run") return batchesOfRun(this.#bytes(log, run), run, log.startOffset)
    return [run.verbatim || run.place === "value" ? this.#bytes(log, run) : this.#single(log, run, freshBuffers.take)]
  }
}

const corrupt = (log: Log, { baseOffset, frameSeq }: Located): JournalError =>
  new JournalError("Corrupt", `records of log ${log.id} at offset ${baseOffset} (seq ${frameSeq}) fail their checksum`)

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

/** Visits offset and time of a batch's records from `startOffset` on, until `visit` says false. */
const walk = (
  batch: Uint8Array,
  startOffset: number,
  visit: (offset: number, timestampMs: number) => boolean
): void => {
  const baseOffset = RecordBatch.baseOffset(batch)
  const baseTimestampMs = RecordBatch.baseTimestamp(batch)
  const appendTimeMs = RecordBatch.isLogAppendTime(batch) ? RecordBatch.maxTimestamp(batch) : undefined
  RecordBatch.withStoredRecordsOf(batch, (records) => {
    const reader = new RecordReader().reset(records)
    while (reader.nextDeltas()) {
      const offset = baseOffset + reader.offsetDelta
      if (offset >= startOffset && !visit(offset, appendTimeMs ?? baseTimestampMs + reader.timestampDelta)) return
    }
  })
}

const firstFrom = (batch: Uint8Array, startOffset: number, timestampMs: number): OffsetAndTimestamp | undefined => {
  let found: OffsetAndTimestamp | undefined
  walk(batch, startOffset, (offset, recordMs) => {
    if (recordMs >= timestampMs) found = { offset, timestampMs: recordMs }
    return found === undefined
  })
  return found
}

const newestFrom = (batch: Uint8Array, startOffset: number): OffsetAndTimestamp | undefined => {
  let newest: OffsetAndTimestamp | undefined
  walk(batch, startOffset, (offset, timestampMs) => {
    if (newest === undefined || timestampMs > newest.timestampMs) newest = { offset, timestampMs }
    return true
  })
  return newest
}
