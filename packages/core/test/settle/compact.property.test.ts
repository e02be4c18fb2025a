import * as fc from "fast-check"
import type { SettleStep } from "@logbrook/core/settle/SettleJob"
import { describe, expect, it } from "vitest"
import type { Plain } from "../compact/batches.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import {
  always,
  cleanDoctor,
  compacted,
  CompactedHistory,
  deleteRetentionMs,
  logIds,
  plain
} from "./CompactedHistory.ts"
import { History } from "./History.ts"

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

const inOrder = (records: ReadonlyArray<Plain>): ReadonlyArray<Plain> =>
  [...records].sort((a, b) => a.offset - b.offset)

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
  })

  it("keeps tombstones for as long as a number may say, and all times as they were", async () => {
    const model = new CompactedHistory(await History.open(temporaryDirectory()))
    const forever = { ...always, deleteRetentionMs: Number(2n ** 63n - 1n) }
    for (let round = 0; round < 3; round++) {
      for (const logId of logIds) {
        model.append(logId, [
          [round, true],
          [10 + round, false]
        ])
      }
      await model.history.roll()
      const done = await model.compact(100_000, forever)
      expect(done.filter((each) => each.startsWith("compact"))).not.toEqual([])
      model.nowMs += deleteRetentionMs
    }
    for (const logId of compacted) expect(model.read(logId, 1e9)).toEqual(model.appended(logId))
    model.check(1e9)
    await model.history.close()
    await cleanDoctor(model.history.directory)
  })

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

  it.each([1, 2, 3, 4])("never brings a deleted key back, cut short at segment %d again and again", async (diesAt) => {
    const model = new CompactedHistory(await History.open(temporaryDirectory()))
    for (const segment of [1, 2, 3]) {
      const isDeleted = segment === 2
      for (const logId of logIds) {
        model.append(logId, [
          [isDeleted ? 1 : segment, isDeleted],
          [9, false]
        ])
      }
      await model.history.roll()
    }
    for (const logId of logIds) model.append(logId, [[4, false]])
    await model.history.roll()
    for (let attempt = 0; attempt < 5; attempt++) {
      await compact(model, { _tag: "compact", keys: 100, waitMs: deleteRetentionMs + 1, diesAt })
      model.check(1e9)
    }
    await model.history.close()
  })
})
