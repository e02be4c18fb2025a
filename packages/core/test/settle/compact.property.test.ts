import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import type { CompactionOptions } from "@logbrook/core/settle/Compactions"
import type { CompactionSettings } from "@logbrook/core/settle/chooseCompaction"
import type { SettleStep } from "@logbrook/core/settle/settleSegment"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { recordsIn, type Plain } from "../compact/batches.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"
import { History } from "./History.ts"
import { inProcess } from "./inProcess.ts"
import { rewriteAll } from "./rewriteAll.ts"

/** A producer's, the server's, and one that is not compacted. */
const [ofProducer, ofServer, plain] = [1, 2, 3]
const logIds = [ofProducer, ofServer, plain]
const compacted = [ofProducer, ofServer]
const deleteRetentionMs = 1000

const always: CompactionSettings = {
  minCleanableDirtyRatio: 0,
  minCompactionLagMs: 0,
  maxCompactionLagMs: 0,
  deleteRetentionMs
}

class CompactedHistory {
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
    if (logId === ofServer) this.history.run(logId, contents)
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

type Step =
  | { readonly _tag: "append"; readonly logId: number; readonly keys: ReadonlyArray<readonly [number, boolean]> }
  | { readonly _tag: "start"; readonly logId: number; readonly share: number }
  | { readonly _tag: "roll" | "settle" | "restart" }
  | {
      readonly _tag: "compact"
      readonly keys: number
      readonly waitMs: number
      /** The worker ends at its so manieth segment that is complete. */
      readonly diesAt: number
    }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      _tag: fc.constant("append" as const),
      logId: fc.constantFrom(...logIds),
      keys: fc.array(
        fc.tuple(
          fc.integer({ min: 0, max: 30 }),
          fc.nat(3).map((n) => n === 0)
        ),
        { minLength: 1, maxLength: 40 }
      )
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("start" as const),
      logId: fc.constantFrom(...logIds),
      share: fc.double({ min: 0, max: 0.7, noNaN: true })
    })
  },
  { weight: 4, arbitrary: fc.constant({ _tag: "roll" as const }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "settle" as const }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "restart" as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("compact" as const),
      keys: fc.constantFrom(12, 24, 100_000),
      waitMs: fc.constantFrom(0, 600, 1001),
      diesAt: fc.constantFrom(Infinity, Infinity, 1, 2, 3)
    })
  }
)

const compact = async (
  model: CompactedHistory,
  { keys, waitMs, diesAt }: Extract<Step, { readonly _tag: "compact" }>
): Promise<void> => {
  model.nowMs += waitMs
  let completed = 0
  const at = (step: SettleStep): void => {
    if (step === "completed" && ++completed >= diesAt) throw new Error("ended")
  }
  await model.compact(keys, always, at).catch((error: Error) => expect(error.message).toContain("ended"))
}

const take = async (model: CompactedHistory, each: Step): Promise<void> => {
  const { history } = model
  switch (each._tag) {
    case "append":
      model.append(each.logId, each.keys)
      return history.flush()
    case "start": {
      const kept = history.kept.get(each.logId)?.length ?? 0
      history.moveStart(each.logId, Math.floor(each.share * kept))
      return history.flush()
    }
    case "roll":
      return history.roll()
    case "settle":
      expect(await history.settle()).toEqual([])
      return undefined
    case "restart":
      return history.restart()
    case "compact":
      return compact(model, each)
  }
}

const definitions = [ShardActor, makeCounter(), ToyPartition]

const cleanDoctor = async (directory: string): Promise<void> => {
  const { findings } = await diagnose({ directory, definitions, pause: () => undefined })
  expect(findings.filter(({ isDamage }) => isDamage)).toEqual([])
}

describe("a journal whose logs are compacted", () => {
  it("reads as a model says, from any offset, whatever else happens to it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 40, size: "max" }),
        fc.constantFrom(1, 500, 1e9),
        async (steps, bytesMax) => {
          const model = new CompactedHistory(await History.open(temporaryDirectory()))
          const { history } = model
          for (const each of steps) {
            await take(model, each)
            model.check(bytesMax)
          }
          await history.restart()
          model.check(bytesMax)
          expect(history.harness.defects).toEqual([])
          history.harness.expectReplayIsLive()
          await history.close()
          await cleanDoctor(history.directory)
        }
      ),
      { numRuns: 30 }
    )
  }, 240_000)

  it("has one record per key in what is settled, and tombstones for their time and no longer", async () => {
    const model = new CompactedHistory(await History.open(temporaryDirectory()))
    for (let round = 0; round < 6; round++) {
      for (const logId of logIds) {
        for (let i = 0; i < 10; i++) {
          const keys = Array.from({ length: 20 }, (_, n) => [(7 * i + n) % 50, (i + n + round) % 9 === 0] as const)
          model.append(logId, keys)
        }
      }
      await model.history.roll()
    }
    const newest = (logId: number) => [...new Map(model.appended(logId).map((each) => [each.key, each])).values()]
    const inOrder = (records: ReadonlyArray<Plain>) => [...records].sort((a, b) => a.offset - b.offset)
    expect(await model.compact()).toContain("compact seg-00000001.runs.mdb")
    for (const logId of compacted) {
      expect(model.read(logId, 1000)).toEqual(inOrder(newest(logId)))
      expect(newest(logId).some(({ value }) => value === null)).toBe(true)
    }
    expect(model.read(plain, 1000)).toEqual(model.appended(plain))
    // Clean logs are looked at again only when there is something new.
    model.nowMs += deleteRetentionMs
    expect((await model.compact()).filter((done) => done.startsWith("compact"))).toEqual([])
    for (const logId of compacted) model.append(logId, [[1000, false]])
    await model.history.roll()
    await model.compact()
    for (const logId of compacted) {
      expect(model.read(logId, 1000)).toEqual(inOrder(newest(logId).filter(({ value }) => value !== null)))
    }
    await model.history.restart()
    model.check(1000)
    await model.history.close()
    await cleanDoctor(model.history.directory)
  })
})
