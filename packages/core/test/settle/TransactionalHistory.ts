import { systemClock } from "@logbrook/core/Clock"
import { isTransactional, isControl, producerId as producerIdOf, lastOffset } from "@logbrook/core/RecordBatch"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { CompactionSettings } from "@logbrook/core/settle/chooseCompaction"
import { controlBatch } from "@logbrook/core/transaction/controlBatch"
import type { TransactionOutcome } from "@logbrook/core/transaction/Marker"
import { expect } from "vitest"
import { recordsIn, type Plain } from "../compact/batches.ts"
import { encodeRecords } from "../support/commits.ts"
import type { ToyPartitionCommand } from "../support/toys.ts"
import type { History } from "./History.ts"
import { inProcess } from "./inProcess.ts"
import { rewriteAll } from "./rewriteAll.ts"

export const logId = 1
export const deleteRetentionMs = 1000
const producerEpoch = 0
const fromMs = 1_800_000_000_000

const settings: CompactionSettings = {
  minCleanableDirtyRatio: 0,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 0,
  deleteRetentionMs
}

/** A record of a transaction, or the end of one. */
export interface Item {
  readonly producerId: number
  /** Undefined: a marker. */
  readonly record: Plain | undefined
  outcome: TransactionOutcome | undefined
}

/** A compacted log that is written in transactions, and what readers of it get. */
export class TransactionalHistory {
  readonly history: History
  readonly items: Array<Item> = []
  nowMs = 1_900_000_000_000

  constructor(history: History) {
    this.history = history
  }

  #tell(command: Omit<Extract<ToyPartitionCommand, { readonly _tag: "AppendBatch" }>, "_tag">): void {
    this.history.harness.tell(`partition/${logId}`, { _tag: "AppendBatch", ...command })
  }

  get #log() {
    return this.history.harness.shard.logs.log(logId)
  }

  /** Keys with null values are tombstones. */
  append(producerId: number, records: ReadonlyArray<readonly [key: number, isTombstone: boolean]>): void {
    const from = this.items.length
    const plain = records.map(([key, isTombstone], i) => ({
      offset: from + i,
      timestampMs: fromMs + 10 * (from + i),
      key: `key ${key}`,
      value: isTombstone ? null : `value ${from + i}`
    }))
    const { bytes: encoded, count, firstTimestampMs, maxTimestampMs } = encodeRecords(plain)
    const times = { firstTimestampMs, maxTimestampMs }
    const transactional = { id: producerId, epoch: producerEpoch, baseSequence: from }
    const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count, baseTimestampMs: firstTimestampMs, maxTimestampMs }
    const producer = { producerId, producerEpoch, baseSequence: from, isTransactional: true }
    const bytes = RecordBatch.buildBatch({ ...fields, ...producer }, encoded)
    this.#tell({ count, ...times, bytes, transactional })
    for (const record of plain) this.items.push({ producerId, record, outcome: undefined })
  }

  end(producerId: number, outcome: TransactionOutcome): void {
    const marker = { producerId, producerEpoch, coordinatorEpoch: 3, outcome }
    const timeMs = fromMs + 10 * this.items.length
    const bytes = controlBatch(marker, timeMs)
    this.#tell({ count: 1, firstTimestampMs: timeMs, maxTimestampMs: timeMs, bytes, marker })
    for (const item of this.items) if (item.producerId === producerId) item.outcome ??= outcome
    this.items.push({ producerId, record: undefined, outcome })
  }

  /** `forgets`: the partition is told of what was cleaned. */
  async compact(keys = 100_000, forgets = true): Promise<ReadonlyArray<string>> {
    const { journal, harness, segmentBytes } = this.history
    const compaction = {
      settings: () => [[logId, settings] as const],
      mapBytesMax: keys * 32,
      onCleaned: (id: number, offset: number) => {
        if (forgets) harness.tell(`partition/${id}`, { _tag: "ForgetAborted", offset })
      }
    }
    const clock = { ...systemClock, nowMs: () => this.nowMs }
    const options = { journal, logs: harness.shard.logs, work: inProcess(), compaction, clock }
    const done = await rewriteAll(options, segmentBytes, () => 0)
    await this.history.flush()
    return done
  }

  get lastStableOffset(): number {
    const open = this.items.findIndex(({ outcome }) => outcome === undefined)
    return open < 0 ? this.items.length : open
  }

  /** The batches from `offset` on, as they lie in the log, up to the last stable offset. */
  #fetch(offset: number, bytesMax: number): ReadonlyArray<Uint8Array> {
    const { logs } = this.history.harness.shard
    return logs.read(this.#log, offset, bytesMax, { readsZstd: true, endOffset: this.#log.lastStableOffset })
  }

  /** As a consumer of committed records reads from `offset` on, by the aborted transactions that each fetch tells it of. */
  readCommitted(offset: number, bytesMax: number): ReadonlyArray<Plain> {
    const found: Array<Plain> = []
    let position = offset
    for (;;) {
      const batches = this.#fetch(position, bytesMax)
      if (batches.length === 0) return found
      const waiting = [...this.#log.abortedWithin(position, lastOffset(batches.at(-1)!) + 1)]
      const aborted = new Set<number>()
      for (const batch of batches) {
        const producerId = producerIdOf(batch)
        while (waiting.length > 0 && waiting[0]!.firstOffset <= lastOffset(batch)) {
          aborted.add(waiting.shift()!.producerId)
        }
        if (isControl(batch)) {
          if (this.items[RecordBatch.baseOffset(batch)]!.outcome === "abort") aborted.delete(producerId)
        } else if (!isTransactional(batch) || !aborted.has(producerId)) found.push(...recordsIn(batch))
        position = lastOffset(batch) + 1
      }
    }
  }

  /** The offsets of all that lies in the log, markers apart. */
  stored(): { readonly records: ReadonlyArray<number>; readonly markers: ReadonlyArray<number> } {
    const records: Array<number> = []
    const markers: Array<number> = []
    const { logs } = this.history.harness.shard
    for (const batch of logs.read(this.#log, 0, 1e9)) {
      if (isControl(batch)) markers.push(RecordBatch.baseOffset(batch))
      else records.push(...recordsIn(batch).map(({ offset }) => offset))
    }
    return { records, markers }
  }

  /** The committed records that readers may get: of each key the newest in any case. */
  get committed(): ReadonlyArray<Plain> {
    const { lastStableOffset } = this
    return this.items
      .slice(0, lastStableOffset)
      .flatMap(({ record, outcome }) => (record !== undefined && outcome === "commit" ? [record] : []))
  }

  check(bytesMax: number): void {
    expect([this.#log.highWatermark, this.#log.lastStableOffset]).toEqual([this.items.length, this.lastStableOffset])
    const { committed } = this
    for (let offset = 0; offset < this.lastStableOffset; offset += 7) {
      const found = this.readCommitted(offset, bytesMax).filter((record) => record.offset >= offset)
      for (const record of found) expect(record).toEqual(this.items[record.offset]!.record)
      expect(found.every((record) => committed.some(({ offset: at }) => at === record.offset))).toBe(true)
      const wanted = committed.filter((record) => record.offset >= offset)
      expect(lastValues(found)).toEqual(lastValues(wanted))
    }
  }
}

export const lastValues = (records: ReadonlyArray<Plain>): ReadonlyMap<string, Plain> => {
  const values = new Map<string, Plain>()
  for (const record of records) values.set(record.key!, record)
  for (const [key, { value }] of values) if (value === null) values.delete(key)
  return values
}
