import type { Codec } from "@logbrook/core/Compression"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { RecordContent } from "../support/commits.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { History, type ReplayView } from "./History.ts"
import { inProcess } from "./inProcess.ts"
import { noise } from "./noise.ts"

type Step =
  | { readonly _tag: "run"; readonly logId: number; readonly records: ReadonlyArray<RecordContent> }
  | {
      readonly _tag: "batch"
      readonly logId: number
      readonly records: ReadonlyArray<RecordContent>
      readonly codec: Codec | "none"
    }
  | { readonly _tag: "many"; readonly bytes: number }
  | { readonly _tag: "flush" }
  | { readonly _tag: "count"; readonly n: number }
  | { readonly _tag: "start"; readonly logId: number; readonly share: number }
  | { readonly _tag: "delete"; readonly logId: number }
  | { readonly _tag: "roll" }
  | { readonly _tag: "settle" }
  /** With the events that only history would keep, or without. */
  | { readonly _tag: "rewrite"; readonly isHistoryKept: boolean }
  /** Of all logs, and the segments that nobody needs then. */
  | { readonly _tag: "expire"; readonly share: number }
  | { readonly _tag: "restart" }

const fromMs = 1_800_000_000_000
const text = fc.string({ maxLength: 12 })
const value = fc.oneof<Array<fc.WeightedArbitrary<string | null>>>(
  { weight: 8, arbitrary: fc.option(text) },
  { weight: 2, arbitrary: fc.nat(9000).map((length) => "v".repeat(length)) }
)
const record: fc.Arbitrary<RecordContent> = fc.record({
  key: fc.option(text),
  value,
  timestampMs: fc.oneof(
    fc.nat(1000).map((ms) => fromMs + ms),
    fc.nat(2 ** 41)
  ),
  headers: fc.array(fc.tuple<[string, string | null]>(text, fc.option(text)), { maxLength: 2 })
})
const records = fc.array(record, { minLength: 1, maxLength: 8 })
const logId = fc.integer({ min: 1, max: 3 })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ _tag: fc.constant("run" as const), logId, records }) },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("batch" as const),
      logId,
      records,
      codec: fc.constantFrom("none", "gzip", "snappy", "lz4", "zstd")
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("many" as const), bytes: fc.integer({ min: 1000, max: 9000 }) })
  },
  { weight: 8, arbitrary: fc.constant({ _tag: "flush" as const }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("count" as const), n: fc.nat(9) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      _tag: fc.constant("start" as const),
      logId,
      share: fc.double({ min: 0, max: 1, noNaN: true })
    })
  },
  { weight: 1, arbitrary: fc.constant({ _tag: "delete" as const, logId: 9 }) },
  { weight: 2, arbitrary: fc.constant({ _tag: "roll" as const }) },
  { weight: 2, arbitrary: fc.constant({ _tag: "settle" as const }) },
  {
    weight: 3,
    arbitrary: fc.record({ _tag: fc.constant("rewrite" as const), isHistoryKept: fc.boolean() })
  },
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("expire" as const), share: fc.constantFrom(0.5, 0.9, 1) })
  },
  { weight: 1, arbitrary: fc.constant({ _tag: "restart" as const }) }
)

/** What the settler did in all runs, but for settling: the test must reach it. */
const rewritten: Array<string> = []
let journalsWithoutFirstEvents = 0

const take = async (history: History, each: Step): Promise<void> => {
  switch (each._tag) {
    case "run":
      return history.records(each.logId, each.records)
    case "batch":
      return history.batch(each.logId, each.records, each.codec)
    case "many":
      // More than a frame takes: these lie in chunks.
      for (let id = 10; id < 30; id++) {
        history.records(id, [{ key: null, value: noise(each.bytes, id), timestampMs: fromMs }])
      }
      return history.flush()
    case "count":
      return history.count(each.n)
    case "start":
      return history.moveStart(each.logId, Math.floor(each.share * (history.kept.get(each.logId)?.length ?? 0)))
    case "delete":
      history.records(each.logId, [{ key: null, value: "gone", timestampMs: fromMs }])
      return history.deleteLog(each.logId)
    case "flush":
      return history.flush()
    case "roll":
      return history.roll()
    case "settle":
      expect(await history.settle()).toEqual([])
      return undefined
    case "rewrite": {
      await history.flush()
      const { shard } = history.harness
      const keptFromSeq = each.isHistoryKept ? 0 : shard.keptFromSeq(() => false)
      const done = await history.rewrite(keptFromSeq, undefined, () => history.check())
      rewritten.push(...done.map((told) => told.split(" ")[0]!))
      const { firstSeq } = history.journal
      if (firstSeq > history.firstSeqs()[0]!) journalsWithoutFirstEvents++
      return undefined
    }
    case "expire":
      for (const [id, kept] of history.kept) history.moveStart(id, Math.floor(each.share * kept.length))
      await history.flush()
      await history.harness.shard.dropExpiredSegments()
      return undefined
    case "restart":
      return history.restart()
  }
}

const steps = (tags: string): ReadonlyArray<Step> => tags.split(" ").map((tag) => stepsByTag[tag]!)
const stepsByTag: Readonly<Record<string, Step>> = {
  many: { _tag: "many", bytes: 9000 },
  count: { _tag: "count", n: 3 },
  flush: { _tag: "flush" },
  roll: { _tag: "roll" },
  settle: { _tag: "settle" },
  expire: { _tag: "expire", share: 0.9 },
  rewrite: { _tag: "rewrite", isHistoryKept: false },
  run: {
    _tag: "run",
    logId: 1,
    records: Array.from({ length: 10 }, () => ({ key: null, value: "v", timestampMs: fromMs, headers: [] }))
  }
}

/** Reaches by itself what `rewritten` and `journalsWithoutFirstEvents` ask for, whatever the random histories do. */
const rewritingAll: Array<Step> = [
  ...steps("run many many many roll count roll count roll"),
  // A newer snapshot, sealed.
  ...steps(Array(20).fill("count flush").join(" ")),
  ...steps("settle expire rewrite")
]

const untouched = JSON.stringify({ total: 0, notes: [], deadlines: [] })

/** States that are not as at their beginning, which no snapshot has, and the events from `fromSeq` on. */
const comparable = ({ states, events, mismatches }: ReplayView, fromSeq: number) => ({
  states: (JSON.parse(states) as Array<[string, unknown]>).filter(([, state]) => JSON.stringify(state) !== untouched),
  events: (JSON.parse(events) as Array<{ readonly seq: number }>).filter(({ seq }) => seq >= fromSeq),
  mismatches
})

/** Where the first events are gone, one of both may begin at a newer snapshot, whose seal was on its way to the disk. */
const expectAlike = (a: ReplayView, b: ReplayView): void => {
  const firstSeqs = [a, b].map(({ events }) => (JSON.parse(events) as Array<{ readonly seq: number }>)[0]?.seq ?? 0)
  const fromSeq = Math.max(...firstSeqs)
  expect(comparable(a, fromSeq)).toEqual(comparable(b, fromSeq))
}

describe("a journal whose segments are settled", () => {
  it("reads as before, from any offset, and replays equal; also after a restart", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 40, size: "max" }),
        fc.constantFrom(1, 5000, 1e9),
        fc.constantFrom(0.5, 0.9, 1),
        async (steps, bytesMax, share) => {
          const history = await History.open(temporaryDirectory(), 40_000, { snapshotPageBytesMax: 60 })
          for (const each of steps) await take(history, each)
          await history.flush()
          await history.roll()
          history.check(bytesMax)
          const before = history.replay()
          expect(before.mismatches).toBe(0)
          // Also while some logs are read from the original and some from the runs.
          expect(await history.settle(inProcess(), () => history.check(bytesMax))).toEqual([])
          expect(history.unsettled).toBe(0)
          history.check(bytesMax)
          expectAlike(history.replay(), before)
          const settled = history.journal.segments().filter(({ isSettled }) => isSettled).length
          await history.restart()
          expect(history.journal.segments().filter(({ isSettled }) => isSettled)).toHaveLength(settled)
          history.check(bytesMax)
          await take(history, { _tag: "expire", share })
          await take(history, { _tag: "rewrite", isHistoryKept: share === 1 })
          history.check(bytesMax)
          await history.restart()
          history.check(bytesMax)
          expect(history.harness.defects).toEqual([])
          history.harness.expectReplayIsLive()
          await history.close()
        }
      ),
      { numRuns: 25, examples: [[rewritingAll, 5000, 0.9]] }
    )
    expect(rewritten).toEqual(expect.arrayContaining(["rewrite", "merge"]))
    expect(journalsWithoutFirstEvents).toBeGreaterThan(0)
  })
})
