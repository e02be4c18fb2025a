import { systemClock } from "@logbrook/core/Clock"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { CompactionOptions } from "@logbrook/core/settle/Compactions"
import type { CompactionSettings } from "@logbrook/core/settle/chooseCompaction"
import type { SettleStep } from "@logbrook/core/settle/SettleJob"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { expect } from "vitest"
import { recordsIn, type Plain } from "../compact/batches.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"
import type { History } from "./History.ts"
import { inProcess } from "./inProcess.ts"
import { rewriteAll } from "./rewriteAll.ts"

/** A producer's, the server's, and one that is not compacted. */
export const [ofProducer, ofServer, plain] = [1, 2, 3]
export const logIds = [ofProducer, ofServer, plain]
export const compacted = [ofProducer, ofServer]
export const deleteRetentionMs = 1000

export const always: CompactionSettings = {
  minCleanableDirtyRatio: 0,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 0,
  deleteRetentionMs
}

/** A history with compacted logs, and what is read of it. */
export class CompactedHistory {
  readonly history: History
  nowMs = 1_900_000_000_000

  constructor(history: History) {
    this.history = history
  }

  append(logId: number, keys: ReadonlyArray<readonly [key: number, isTombstone: boolean]>): void {
    const from = this.history.kept.get(logId)?.length ?? 0
    const contents = keys.map(([key, isTombstone], i) => ({
      key: `key ${key}`,
      value: isTombstone ? null : `value ${from + i}`,
      timestampMs: 1_800_000_000_000 + 10 * (from + i)
    }))
    if (logId === ofServer) this.history.records(logId, contents)
    else this.history.batch(logId, contents, "lz4")
  }

  /** Settles, compacts, rewrites and merges as long as there is something to do. */
  async compact(keys = 100_000, settings = always, at?: (step: SettleStep) => void): Promise<ReadonlyArray<string>> {
    const { journal, harness, segmentBytes } = this.history
    const compaction: CompactionOptions = {
      settings: () => compacted.map((logId) => [logId, settings] as const),
      mapBytesMax: keys * 32
    }
    const clock = { ...systemClock, nowMs: () => this.nowMs }
    const options = { journal, logs: harness.shard.logs, work: inProcess(at), compaction, clock }
    return rewriteAll(options, segmentBytes, () => 0)
  }

  appended(logId: number): ReadonlyArray<Plain> {
    return (this.history.kept.get(logId) ?? []).map(({ offset, timestampMs, key, value }) => {
      return { offset, timestampMs, key, value: value ?? null }
    })
  }

  /** As a consumer reads it from its start on. */
  read(logId: number, bytesMax: number): ReadonlyArray<Plain> {
    const { logs } = this.history.harness.shard
    const log = logs.log(logId)
    const found: Array<Plain> = []
    for (let offset = log.startOffset; offset < log.highWatermark;) {
      const { records, nextOffset } = this.fetch(logId, offset, bytesMax)
      found.push(...records)
      offset = nextOffset
    }
    return found
  }

  /** A batch may end in offsets that are gone: a consumer goes on behind it. */
  fetch(logId: number, offset: number, bytesMax: number): { records: ReadonlyArray<Plain>; nextOffset: number } {
    const { logs } = this.history.harness.shard
    const log = logs.log(logId)
    const batches = logs.read(log, offset, bytesMax)
    if (batches.length === 0) throw new Error(`log ${logId}: nothing at ${offset}, below ${log.highWatermark}`)
    const records = batches.flatMap(recordsIn).filter((record) => record.offset >= offset)
    return { records, nextOffset: RecordBatch.lastOffset(batches.at(-1)!) + 1 }
  }

  /** Reads everything, from any offset; throws for what differs from the model. */
  check(bytesMax: number): void {
    const { logs } = this.history.harness.shard
    for (const logId of logIds) {
      const log = logs.log(logId)
      const appended = this.appended(logId)
      const records = this.read(logId, bytesMax)
      expect(log.highWatermark).toBe(appended.length)
      for (const record of records) expect(record).toEqual(appended[record.offset])
      const offsets = records.map(({ offset }) => offset)
      expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b))
      if (logId === plain) expect(records).toHaveLength(appended.length - log.startOffset)
      expect(lastValues(records, 0)).toEqual(lastValues(appended, log.startOffset))
      for (let offset = log.startOffset; offset < log.highWatermark; offset += 3) {
        let fetched = this.fetch(logId, offset, 1)
        while (fetched.records.length === 0) fetched = this.fetch(logId, fetched.nextOffset, 1)
        expect(fetched.records[0]).toEqual(records.find((record) => record.offset >= offset))
        const { timestampMs } = appended[offset]!
        const byTime = records.find((record) => record.timestampMs >= timestampMs)
        expect(logs.offsetForTimestamp(log, timestampMs)?.offset).toBe(byTime?.offset)
      }
      expect(logs.maxTimestamp(log)?.offset).toBe(offsets.at(-1))
    }
  }
}

const lastValues = (records: ReadonlyArray<Plain>, startOffset: number): Map<string, Plain> => {
  const values = new Map<string, Plain>()
  for (const record of records) values.set(record.key!, record)
  for (const [key, record] of values) if (record.value === null || record.offset < startOffset) values.delete(key)
  return values
}

export const definitions = [ShardActor, makeCounter(), ToyPartition]

/** Throws if the doctor finds damage. */
export const cleanDoctor = async (directory: string): Promise<void> => {
  const { findings } = await diagnose({ directory, definitions, pause: () => undefined })
  expect(findings.filter(({ isDamage }) => isDamage)).toEqual([])
}
