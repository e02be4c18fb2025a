import { encodeHeaders, type RecordHeader, RecordsBuilder } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { LogPart, PartitionLog } from "../../../src/mqtt/streams/PartitionLog.ts"
import type { Look, StreamReader } from "../../../src/mqtt/streams/StreamReader.ts"

export interface TestRecord {
  readonly timestampMs: number
  readonly value?: string | null
  readonly key?: string
  readonly headers?: ReadonlyArray<readonly [string, string | Uint8Array | null]>
}

const bytes = (text: string | Uint8Array): Uint8Array => (typeof text === "string" ? Buffer.from(text) : text)

const headersOf = ({ headers = [] }: TestRecord): ReadonlyArray<RecordHeader> =>
  headers.map(([name, value]) => [bytes(name), value === null ? null : bytes(value)])

/** The headers of an MQTT message on this topic. */
export const mqttHeaders = (topic: string, clientId = "c"): ReadonlyArray<readonly [string, string]> => [
  ["mqtt.topic", topic],
  ["mqtt.clientid", clientId],
  ["mqtt.qos", "1"],
  ["mqtt.retain", "0"]
]

/** The producers of batches that were aborted, and of others. */
const aborted = 8
const committed = 9

/** A partition in memory: each `append` is a batch. */
export class TestLog implements PartitionLog {
  startOffset = 0
  highWatermark = 0
  /** The first record that is not decided yet, if there is one. */
  openFrom: number | undefined
  /** Compaction has left nothing of what was aborted so far. */
  #hasForgotten = false
  /** Reads so far. */
  reads = 0
  readonly #batches: Array<{
    readonly part: LogPart
    readonly batch: Uint8Array
    readonly times: ReadonlyArray<number>
  }> = []
  readonly #waiting = new Set<() => void>()

  /** `keeps`: which of the records compaction has left. */
  append(
    records: ReadonlyArray<TestRecord>,
    keeps: (index: number) => boolean = () => true,
    more: Partial<RecordBatch.BatchFields> = {}
  ): this {
    const all = new RecordsBuilder(1_000_000)
    const [first] = records
    for (const record of records) {
      const { key, value = "", timestampMs } = record
      const headers = encodeHeaders(headersOf(record))
      all.append(key === undefined ? null : bytes(key), value === null ? null : bytes(value), headers, timestampMs)
    }
    const kept = keptOf(
      all.bytes,
      records.map((_, index) => keeps(index))
    )
    const fields = {
      baseOffset: this.highWatermark,
      partitionLeaderEpoch: 1,
      count: kept.count,
      lastOffsetDelta: records.length - 1,
      baseTimestampMs: first!.timestampMs,
      maxTimestampMs: all.maxTimestampMs,
      ...more
    }
    const part = {
      baseOffset: this.highWatermark,
      count: records.length,
      firstTimestampMs: first!.timestampMs,
      maxTimestampMs: all.maxTimestampMs
    }
    const times = records.map(({ timestampMs }) => timestampMs)
    this.#batches.push({ part, batch: RecordBatch.buildBatch(fields, kept.bytes), times })
    this.highWatermark += records.length
    for (const wake of this.#waiting) wake()
    return this
  }

  /** A batch of a transaction. */
  transactional(records: ReadonlyArray<TestRecord>, isAborted: boolean): this {
    return this.append(records, undefined, { isTransactional: true, producerId: isAborted ? aborted : committed })
  }

  /** The end of a transaction. */
  marker(timestampMs: number): this {
    return this.append([{ timestampMs }], undefined, { isTransactional: true, isControl: true, producerId: committed })
  }

  get lastStableOffset(): number {
    return this.openFrom ?? this.highWatermark
  }

  /** What was open is decided. */
  decide(): this {
    this.openFrom = undefined
    for (const wake of this.#waiting) wake()
    return this
  }

  readonly isHidden = (batch: Uint8Array): boolean =>
    RecordBatch.isControl(batch) || (!this.#hasForgotten && RecordBatch.producerId(batch) === aborted)

  /** As compaction does once its runs, without what was aborted, are read. */
  forgetAborted(): void {
    this.#hasForgotten = true
  }

  expire(offset: number): void {
    this.startOffset = offset
    while (this.#batches.length > 0 && end(this.#batches[0]!.part) <= offset) this.#batches.shift()
  }

  get parts(): number {
    return this.#batches.filter(({ part }) => part.baseOffset < this.lastStableOffset).length
  }

  part(index: number): LogPart {
    return this.#batches[index]!.part
  }

  read(offset: number, bytesMax: number): ReadonlyArray<Uint8Array> {
    this.reads++
    const found: Array<Uint8Array> = []
    let left = bytesMax
    for (const { part, batch } of this.#batches) {
      if (end(part) <= offset) continue
      if (part.baseOffset >= this.lastStableOffset) break
      if (found.length > 0 && batch.length > left) break
      found.push(batch)
      left -= batch.length
    }
    return found
  }

  offsetForTimestamp(timestampMs: number): number | undefined {
    for (const { part, times } of this.#batches) {
      const at = times.findIndex((time, i) => time >= timestampMs && part.baseOffset + i >= this.startOffset)
      if (at >= 0) return part.baseOffset + at
    }
    return undefined
  }

  onAppend(wake: () => void): () => void {
    this.#waiting.add(wake)
    return () => this.#waiting.delete(wake)
  }
}

const end = ({ baseOffset, count }: LogPart): number => baseOffset + count

/** The records that are kept, with the offsets and times that they had. */
const keptOf = (records: Uint8Array, keeps: ReadonlyArray<boolean>): { bytes: Uint8Array; count: number } => {
  if (keeps.every((isKept) => isKept)) return { bytes: new Uint8Array(records), count: keeps.length }
  const parts: Array<Uint8Array> = []
  for (let at = 0, index = 0; at < records.length; index++) {
    const length =
      records[at]! < 128 ? 1 + (records[at]! >>> 1) : 2 + (((records[at]! & 127) | (records[at + 1]! << 7)) >>> 1)
    if (keeps[index]!) parts.push(records.subarray(at, at + length))
    at += length
  }
  return { bytes: Buffer.concat(parts), count: parts.length }
}

/** Records 0, 1, 2 … of a partition at these times, whose values are `PARTITION/OFFSET`. */
export const logAt = (partition: number, times: ReadonlyArray<number>, perBatch = 2): TestLog => {
  const log = new TestLog()
  for (let at = 0; at < times.length; at += perBatch) {
    const part = times.slice(at, at + perBatch)
    log.append(part.map((timestampMs, i) => ({ timestampMs, value: `${partition}/${at + i}` })))
  }
  return log
}

/** The looks of a reader until it is idle, without those that only passed over a record. */
export const lookAll = (reader: StreamReader, max = 10_000): ReadonlyArray<Exclude<Look, string>> => {
  const found: Array<Exclude<Look, string>> = []
  for (let looks = 0; looks < max; looks++) {
    const look = reader.look()
    if (look === "idle") return found
    if (look !== "passed") found.push(look)
  }
  throw new Error("the reader never gets idle")
}

/** `PARTITION/OFFSET` of each, with `!` behind the last of the history and `+N` behind a gap. */
export const places = (looks: ReadonlyArray<Exclude<Look, string>>): ReadonlyArray<string> =>
  looks.map(({ record, marks }) => {
    const gap = marks.gap === undefined ? "" : `+${marks.gap}`
    return `${record.partition}/${record.offset}${gap}${marks.isCaughtUp ? "!" : ""}`
  })
