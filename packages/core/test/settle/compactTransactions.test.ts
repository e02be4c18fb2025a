import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { cleanDoctor } from "./CompactedHistory.ts"
import { History } from "./History.ts"
import { deleteRetentionMs, TransactionalHistory } from "./TransactionalHistory.ts"

const open = async () => new TransactionalHistory(await History.open(temporaryDirectory()))

const close = async ({ history }: TransactionalHistory): Promise<void> => {
  expect(history.harness.defects).toEqual([])
  history.harness.expectReplayIsLive()
  await history.close()
  await cleanDoctor(history.directory)
}

/** A segment with something new, so that there is something to clean. */
const more = async (model: TransactionalHistory, key: number): Promise<void> => {
  model.append(9, [[key, false]])
  model.end(9, "commit")
  await model.history.roll()
}

describe("a compacted log that is written in transactions", () => {
  it("loses what was aborted, which is the newest of no key", async () => {
    const model = await open()
    model.append(1, [
      [1, false],
      [2, false]
    ])
    model.end(1, "commit")
    model.append(1, [
      [1, false],
      [2, true]
    ])
    model.end(1, "abort")
    await more(model, 3)
    expect(await model.compact()).toContain("compact seg-00000001.runs.mdb")
    expect(model.stored()).toEqual({ records: [0, 1, 6], markers: [2, 5, 7] })
    model.check(1e9)
    await close(model)
  })

  it("keeps a marker while a record of its transaction stays, and for the time of tombstones behind them", async () => {
    const model = await open()
    model.append(1, [[1, false]])
    await model.history.roll()
    model.append(2, [[2, false]])
    model.end(1, "commit")
    model.end(2, "abort")
    await more(model, 3)
    await model.compact()
    // The commit's record lies in another segment than its marker.
    expect(model.stored()).toEqual({ records: [0, 4], markers: [2, 3, 5] })
    model.append(1, [[1, false]])
    model.end(1, "commit")
    await model.history.roll()
    model.nowMs += deleteRetentionMs - 1
    await model.compact()
    expect(model.stored()).toEqual({ records: [4, 6], markers: [2, 3, 5, 7] })
    model.nowMs += 1
    await more(model, 4)
    await model.compact()
    // The horizon of the abort marker was set by the first compaction, that of the commit marker by the second.
    expect(model.stored()).toEqual({ records: [4, 6, 8], markers: [2, 5, 7, 9] })
    model.nowMs += deleteRetentionMs
    await more(model, 5)
    await model.compact()
    expect(model.stored()).toEqual({ records: [4, 6, 8, 10], markers: [5, 7, 9, 11] })
    model.check(1e9)
    await close(model)
  })

  it("is cleaned below its last stable offset only", async () => {
    const model = await open()
    await more(model, 1)
    model.append(1, [[2, false]])
    await model.history.roll()
    await more(model, 1)
    await more(model, 1)
    await model.compact()
    expect(model.stored().records).toEqual([0, 2, 3, 5])
    model.end(1, "abort")
    await more(model, 7)
    await model.compact()
    expect(model.stored().records).toEqual([5, 8])
    model.check(1e9)
    await close(model)
  })

  it("keeps an abort marker of which readers are still told, however old it is", async () => {
    const model = await open()
    model.append(1, [[1, false]])
    model.end(1, "abort")
    const { shard } = model.history.harness
    const told = () => shard.logs.log(1).abortedWithin(0, 9).length
    for (const key of [2, 3, 4]) {
      await more(model, key)
      await model.compact(100_000, false)
      model.nowMs += deleteRetentionMs
    }
    expect([model.stored().markers, told()]).toEqual([[1, 3, 5, 7], 1])
    await more(model, 5)
    await model.compact()
    expect([model.stored().markers, told()]).toEqual([[1, 3, 5, 7, 9], 0])
    await more(model, 6)
    await model.compact()
    expect(model.stored().markers).toEqual([3, 5, 7, 9, 11])
    await close(model)
  })
})

type Step =
  | { readonly _tag: "append"; readonly producerId: number; readonly keys: ReadonlyArray<readonly [number, boolean]> }
  | { readonly _tag: "end"; readonly producerId: number; readonly outcome: "commit" | "abort" }
  | { readonly _tag: "compact"; readonly waitMs: number; readonly keys: number }
  | { readonly _tag: "roll" | "restart" }

const producerId = fc.integer({ min: 1, max: 3 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      _tag: fc.constant("append" as const),
      producerId,
      keys: fc.array(
        fc.tuple(
          fc.nat(8),
          fc.nat(3).map((n) => n === 0)
        ),
        { minLength: 1, maxLength: 5 }
      )
    })
  },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("end" as const),
      producerId,
      outcome: fc.constantFrom("commit" as const, "abort" as const)
    })
  },
  { weight: 4, arbitrary: fc.constant({ _tag: "roll" as const }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "restart" as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("compact" as const),
      waitMs: fc.constantFrom(0, 600, 1001),
      keys: fc.constantFrom(12, 100_000)
    })
  }
)

const take = async (model: TransactionalHistory, each: Step): Promise<void> => {
  switch (each._tag) {
    case "append":
      model.append(each.producerId, each.keys)
      return model.history.flush()
    case "end":
      model.end(each.producerId, each.outcome)
      return model.history.flush()
    case "roll":
      return model.history.roll()
    case "restart":
      return model.history.restart()
    case "compact":
      model.nowMs += each.waitMs
      await model.compact(each.keys)
  }
}

describe("a journal whose compacted log is written in transactions", () => {
  it("reads as a model says to readers of committed records, whatever else happens to it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 40, size: "max" }),
        fc.constantFrom(1, 1e9),
        async (steps, bytesMax) => {
          const model = await open()
          for (const each of steps) {
            await take(model, each)
            model.check(bytesMax)
          }
          await model.history.restart()
          model.check(bytesMax)
          await close(model)
        }
      ),
      { numRuns: 8 }
    )
  })
})
