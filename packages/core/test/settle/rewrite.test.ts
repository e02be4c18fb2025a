import { readdirSync } from "node:fs"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import type { Extent } from "@logbrook/core/journal/Extent"
import type { SettleWork } from "@logbrook/core/settle/childProcess"
import type { SettleJob } from "@logbrook/core/settle/SettleJob"
import { describe, expect, it } from "vitest"
import { goldenDefinitions } from "../golden/contents.ts"
import type { RecordContent } from "../support/commits.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { History, replayOf } from "./History.ts"
import { inProcess } from "./inProcess.ts"
import { noise } from "./noise.ts"
import { rewriteAll } from "./rewriteAll.ts"

const fromMs = 1_800_000_000_000
const one = (value: string): Array<RecordContent> => [{ key: null, value, timestampMs: fromMs }]

const filesIn = (directory: string): Array<string> =>
  readdirSync(directory)
    .filter((name) => name.startsWith("seg-") && !name.endsWith("-lock"))
    .sort()

/** A closed segment with as many records of each log as asked for. */
const writeSegment = async (
  history: History,
  records: ReadonlyMap<number, number>,
  valueBytes = 900
): Promise<void> => {
  for (const [logId, count] of records) {
    for (let i = 0; i < count; i++) history.records(logId, one(noise(valueBytes, logId * 1000 + i)))
    await history.flush()
  }
  await history.roll()
}

const countOf = (history: History, logId: number): number => history.kept.get(logId)!.length

describe("a settled segment of which most has expired", () => {
  it("is rewritten without it, and frees its bytes", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeSegment(
      history,
      new Map([
        [1, 20],
        [2, 150]
      ])
    )
    expect(await history.rewrite()).toEqual(["settle seg-00000001.mdb"])
    const before = history.replay()
    const diskBytes = history.diskBytes
    history.moveStart(2, 150)
    await history.flush()
    expect(await history.rewrite()).toEqual(["rewrite seg-00000001.runs.mdb"])
    expect(filesIn(history.directory)).toEqual(["seg-00000001.runs-2.mdb", "seg-00000002.mdb"])
    expect(diskBytes - history.diskBytes).toBeGreaterThan(50_000)
    history.check()
    expect(history.replay().states).not.toEqual(before.states)
    await history.restart()
    history.check()
    // Nothing more is worth it.
    expect(await history.rewrite()).toEqual([])
    expect(history.harness.defects).toEqual([])
    history.harness.expectReplayIsLive()
    await history.close()
  })

  it("is kept as it is while more than half of it is alive", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeSegment(
      history,
      new Map([
        [1, 110],
        [2, 60]
      ])
    )
    await history.rewrite()
    history.moveStart(2, 60)
    await history.flush()
    expect(await history.rewrite()).toEqual([])
    expect(filesIn(history.directory)[0]).toBe("seg-00000001.runs.mdb")
    await history.close()
  })

  it("goes down to nothing but events when nobody can read its records", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeSegment(history, new Map([[1, 200]]))
    await writeSegment(history, new Map([[2, 200]]))
    await history.rewrite()
    const before = history.replay().events
    history.moveStart(2, 200)
    await history.flush()
    expect(await history.rewrite()).toEqual(["rewrite seg-00000002.runs.mdb"])
    expect(history.replay().events.startsWith(before.slice(0, -1))).toBe(true)
    const runs: Array<unknown> = []
    history.journal.visitRuns(history.firstSeqs()[1]!, (extent) => runs.push(extent))
    expect(runs).toEqual([])
    history.check()
    await history.restart()
    history.check()
    await history.close()
  })
})

describe("small neighbours", () => {
  it("are merged into one, which begins and ends as they did", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    for (let i = 0; i < 3; i++) {
      history.batch(7, one(`sent ${i}`), i === 1 ? "zstd" : "none")
      await writeSegment(
        history,
        new Map([
          [1, 5],
          [2, 100]
        ])
      )
    }
    await history.rewrite()
    history.moveStart(2, 300)
    await history.flush()
    const firstSeqs = history.firstSeqs()
    const before = history.replay()
    const done = await history.rewrite()
    expect(done.filter((each) => each.startsWith("merge"))).toEqual(["merge seg-00000001.runs-2.mdb"])
    expect(filesIn(history.directory)).toEqual(["seg-00000001-00000003.runs-3.mdb", "seg-00000004.mdb"])
    expect(history.firstSeqs()).toEqual([firstSeqs[0], firstSeqs[3]])
    expect(history.replay()).toEqual(before)
    // One epoch, one maker: one run each.
    const { logs } = history.harness.shard
    expect([1, 7].map((logId) => logs.log(logId).index.count)).toEqual([1, 1])
    history.check()
    history.check(1)
    await history.restart()
    history.check()
    history.records(1, one("goes on"))
    await history.roll()
    expect(filesIn(history.directory).at(-1)).toBe("seg-00000005.mdb")
    history.check()
    await history.close()
  })

  it("that are merged once more give up what is merged", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    for (let i = 0; i < 9; i++) await writeSegment(history, new Map([[1, 3]]), 3)
    for (let i = 0; i < 3; i++) {
      await history.rewrite(history.firstSeqs().at(-1)!)
      await writeSegment(history, new Map([[1, 3]]), 3)
    }
    await history.rewrite(history.firstSeqs().at(-1)!)
    expect(filesIn(history.directory).length).toBeLessThan(6)
    history.check()
    await history.restart()
    history.check()
    await history.close()
  })
})

/** Three closed segments and a sealed snapshot in the fourth. */
const threeSegments = async (): Promise<History> => {
  const history = await History.open(temporaryDirectory(), 400_000)
  for (let i = 0; i < 3; i++) {
    history.count(i)
    await writeSegment(history, new Map([[1, 10]]))
  }
  for (let i = 0; i < 5; i++) {
    history.count(i)
    await history.flush()
  }
  return history
}

describe("events that are not kept", () => {
  it("go with a merge, and the journal begins where they end", async () => {
    const history = await threeSegments()
    const kept = history.harness.shard.keptFromSeq(() => false)
    expect(history.firstSeqs().slice(2)).toContain(kept)
    const events = JSON.parse(history.replay().events) as Array<{ seq: number }>
    await history.rewrite(kept)
    expect(filesIn(history.directory)[0]).toMatch(/^seg-00000001-0000000[23]\.runs/)
    expect(history.journal.firstSeq).toBe(kept)
    expect(history.journal.segments()[0]!.firstSeq).toBe(1)
    const left: Array<number> = []
    history.journal.scan(1, (frame) => left.push(Number(frame.readBigInt64LE(16))) > 0)
    expect(left[0]).toBe(kept)
    history.check()
    await history.restart()
    expect(history.journal.firstSeq).toBe(kept)
    history.check()
    const tool = openReadOnly(history.directory)
    expect(tool.firstSeq).toBe(kept)
    const replayed = JSON.parse(replayOf(tool).events) as Array<{ seq: number }>
    expect(replayed.slice(0, 3)).toEqual(events.filter(({ seq }) => seq >= replayed[0]!.seq).slice(0, 3))
    await tool.close()
    history.harness.expectReplayIsLive()
    expect(history.harness.defects).toEqual([])
    await history.close()
  })

  it("let their segments be dropped once nobody reads their records", async () => {
    const history = await threeSegments()
    const kept = history.harness.shard.keptFromSeq(() => false)
    await history.rewrite(kept)
    const { shard } = history.harness
    // Not even history keeps what has no events.
    expect(await shard.dropExpiredSegments(() => true)).toBe(0)
    history.moveStart(1, countOf(history, 1))
    await history.flush()
    expect(await shard.dropExpiredSegments(({ endedAtMs }) => endedAtMs >= 0)).toBeGreaterThan(0)
    expect(history.journal.segments()[0]!.firstSeq).toBe(kept)
    await history.restart()
    history.check()
    await history.close()
  })
})

it("streams of very different retention: the space of the short one comes back", async () => {
  const history = await History.open(temporaryDirectory(), 200_000)
  const sizes: Array<number> = []
  for (let segment = 0; segment < 24; segment++) {
    await writeSegment(
      history,
      new Map([
        [1, 4],
        [2, 80]
      ])
    )
    history.moveStart(2, countOf(history, 2) - 80)
    await history.flush()
    await history.rewrite(history.harness.shard.keptFromSeq(() => false))
    sizes.push(history.diskBytes)
    history.check()
  }
  // What one stream keeps for ever grows by 4 KB a segment; without rewriting all would, by 80.
  const grown = sizes.at(-1)! - sizes[7]!
  expect(grown).toBeLessThan(16 * 4 * 1000 * 3)
  await history.restart()
  history.check()
  expect(history.harness.defects).toEqual([])
  await history.close()
})

/** The second of three segments is rewritten without its events; the first is kept as it is. */
const withHole = async (): Promise<{ history: History; kept: number }> => {
  const history = await History.open(temporaryDirectory(), 400_000)
  await writeSegment(history, new Map([[1, 200]]))
  await writeSegment(
    history,
    new Map([
      [1, 10],
      [2, 190]
    ])
  )
  for (let i = 0; i < 3; i++) {
    history.count(i)
    await writeSegment(history, new Map([[1, 200]]))
  }
  await history.rewrite()
  history.moveStart(2, 190)
  await history.flush()
  const kept = history.firstSeqs()[2]!
  expect(history.harness.shard.keptFromSeq(() => false)).toBeGreaterThanOrEqual(kept)
  expect(await history.rewrite(kept)).toEqual(["rewrite seg-00000002.runs.mdb"])
  return { history, kept }
}

describe("a segment that lost its events before an older one did", () => {
  it("is where the journal's events begin, whatever the older one has", async () => {
    const { history, kept } = await withHole()
    const [first, second] = history.journal.segments()
    expect([first!.firstEventSeq, second!.firstEventSeq]).toEqual([1, kept])
    expect(history.journal.firstSeq).toBe(kept)
    history.check()
    expect(history.replay().mismatches).toBe(0)
    await history.restart()
    expect(history.journal.firstSeq).toBe(kept)
    history.check()
    const tool = openReadOnly(history.directory)
    expect(tool.firstSeq).toBe(kept)
    const seqs: Array<number> = []
    tool.scan(1, (frame) => seqs.push(Number(frame.readBigInt64LE(16))) > 0)
    expect(seqs[0]).toBe(kept)
    await tool.close()
    const options = { directory: history.directory, definitions: goldenDefinitions, pause: () => undefined }
    const { findings, firstSeq, nextSeq, events } = await diagnose(options)
    expect(findings.filter(({ isDamage }) => isDamage)).toEqual([])
    expect([firstSeq, events]).toEqual([kept, nextSeq - kept])
    history.harness.expectReplayIsLive()
    await history.close()
  })
})

/** Cannot settle the first segment. */
const refuse = (job: SettleJob): SettleWork => {
  const isFirst = job.sources[0]!.path.endsWith("seg-00000001.mdb")
  if (!isFirst) return inProcess()(job)
  const done = Promise.resolve({ _tag: "Refused", detail: "is damaged" } as const)
  return { done, hurry: () => undefined, cancel: () => undefined }
}

it("events stay behind a segment that could not be settled, since a start reads its frames", async () => {
  const history = await History.open(temporaryDirectory(), 400_000)
  for (let i = 0; i < 4; i++) {
    history.count(i)
    await writeSegment(history, new Map([[1, 10]]))
  }
  await expect(history.settle(refuse)).resolves.toHaveLength(1)
  const kept = history.harness.shard.keptFromSeq(() => false)
  expect(kept).toBeGreaterThan(history.firstSeqs()[1]!)
  const told: Array<string> = []
  await rewriteAll(
    { journal: history.journal, logs: history.harness.shard.logs, work: refuse, onFailed: (name) => told.push(name) },
    1_000_000,
    () => kept
  )
  expect(told).toEqual(["seg-00000001.mdb"])
  expect(filesIn(history.directory)[1]).toMatch(/^seg-00000002-0000000\d\.runs-2\.mdb$/)
  expect(history.journal.firstSeq).toBe(1)
  await history.restart()
  history.check()
  expect(history.harness.defects).toEqual([])
  await history.close()
})

it("readers that have gone over and those that have not find what they look for", async () => {
  const history = await History.open(temporaryDirectory(), 400_000)
  for (let segment = 0; segment < 2; segment++) {
    await writeSegment(history, new Map(Array.from({ length: 6 }, (_, i) => [i + 1, 12] as const)))
  }
  expect(await history.settle()).toEqual([])
  const { journal } = history
  const { logs } = history.harness.shard
  const [first, second] = journal.segments()
  const replacement = journal.replacement([first!.firstSeq, second!.firstSeq])!
  const startOffsets = logs.startOffsets(first!.firstSeq, second!.nextSeq)
  expect(startOffsets).toHaveLength(6)
  expect((await inProcess()({ ...replacement, startOffsets, keptFromSeq: 0 }).done)._tag).toBe("Settled")
  const takeover = journal.adopt(replacement)!
  const extents: Array<Extent> = []
  takeover.visitRuns((extent) => extents.push(extent))
  // None of both may be dropped meanwhile, nor settled once more.
  await journal.dropOldest()
  expect(journal.segments()[0]!.firstSeq).toBe(1)
  expect(journal.replacement([second!.firstSeq])).toBeUndefined()
  for (const [logId] of startOffsets) {
    history.check()
    takeover.switchLog(logId)
    const own = extents.filter((extent) => extent.logId === logId)
    // Two runs become one: the last offset of the second is that of what replaces both.
    expect(logs.settle(logId, first!.firstSeq, second!.nextSeq, own)).toBe(2)
    expect(own).toHaveLength(1)
  }
  history.check()
  await takeover.release()
  history.check()
  expect(filesIn(history.directory)).toEqual(["seg-00000001-00000002.runs-2.mdb", "seg-00000003.mdb"])
  await history.restart()
  history.check()
  await history.close()
})
