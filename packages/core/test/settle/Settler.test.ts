import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Extent } from "@logbrook/core/journal/Extent"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { ChainSegmentInfo, Replacement, Takeover } from "@logbrook/core/journal/SegmentChain"
import type { SettleOutcome } from "@logbrook/core/settle/workerMessages"
import type { SettleWork } from "@logbrook/core/settle/childProcess"
import type { SettleJob } from "@logbrook/core/settle/SettleJob"
import { Settler, type SettlerOptions } from "@logbrook/core/settle/Settler"
import { LogStore } from "@logbrook/core/storage/LogStore"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { describe, expect, it, vi } from "vitest"
import { TestClock } from "../support/TestClock.ts"

const settledOutcome: SettleOutcome = {
  _tag: "Settled",
  bytesIn: 100,
  bytesOut: 30,
  records: 1,
  runs: 1,
  cleaned: []
}

const failureTexts = { retried: "failed", givenUp: "given up", notRemoved: "not removed" }

/** A chain of segments without files; the last one is written. */
class FakeJournal {
  onChange: (() => void) | undefined
  chain: Array<{ readonly firstSeq: Seq; isSettled: boolean }> = [{ firstSeq: 1, isSettled: false }]
  adoptFails = false
  failingStep: "visitRuns" | "release" | undefined
  readonly stuck: Array<Seq> = []
  /** Taken over, whatever came of it: nothing more is to be settled there. */
  readonly #adopted = new Set<Seq>()
  target = "/nowhere/tmp"
  /** What workers have written. */
  runs: ReadonlyArray<Extent> = []

  segments(): Array<ChainSegmentInfo> {
    return this.chain.map(({ firstSeq, isSettled }) => ({
      name: `seg-${firstSeq}`,
      firstSeq,
      nextSeq: firstSeq + 1,
      bytes: 100,
      firstEventSeq: firstSeq,
      historyBytes: 0,
      // Nobody can read them: no log has a reference.
      runBytes: isSettled ? 80 : 0,
      isSettled
    }))
  }

  roll(): void {
    this.chain.push({ firstSeq: this.chain.at(-1)!.firstSeq + 1, isSettled: false })
    this.onChange?.()
  }

  drop(): void {
    this.chain.shift()
    this.onChange?.()
  }

  replacement(firstSeqs: ReadonlyArray<Seq>): Replacement | undefined {
    const known = this.chain.slice(0, -1).map(({ firstSeq }) => firstSeq)
    if (!firstSeqs.every((firstSeq) => known.includes(firstSeq) && !this.#adopted.has(firstSeq))) return undefined
    const sources = firstSeqs.map((firstSeq) => ({ path: `seg-${firstSeq}`, firstSeq, nextSeq: firstSeq + 1 }))
    return { sources, target: this.target, mapBytes: 1 }
  }

  adopt({ sources }: Replacement): Takeover | undefined {
    if (this.adoptFails) throw new Error("no space")
    const found = this.chain.find(({ firstSeq }) => firstSeq === sources[0]!.firstSeq)
    if (found === undefined) return undefined
    const fail = (step: "visitRuns" | "release"): void => {
      if (this.failingStep === step) throw new Error("EMFILE")
    }
    if (this.failingStep !== undefined) this.#adopted.add(found.firstSeq)
    const release = async (): Promise<void> => {
      found.isSettled = true
      fail("release")
      return Promise.resolve()
    }
    const visitRuns = (visit: (extent: Extent) => void): void => {
      fail("visitRuns")
      this.runs.forEach(visit)
    }
    return { visitRuns, switchLog: () => undefined, release, giveUp: () => void this.stuck.push(found.firstSeq) }
  }
}

class Bench {
  readonly clock = new TestClock()
  readonly journal = new FakeJournal()
  readonly told: Array<string> = []
  readonly working: Array<{ job: SettleJob; finish: (outcome: SettleOutcome) => void }> = []
  readonly logs = new LogStore(new MemoryJournal(this.clock), 0, 1000)
  readonly #options: SettlerOptions = {
    journal: this.journal,
    logs: this.logs,
    clock: this.clock,
    work: (job) => this.#work(job),
    onHold: (isHeld) => this.told.push(isHeld ? "hold" : "go on"),
    onSettled: (segment) => this.told.push(`${segment} settled`),
    onFailed: (segment, detail, failure) => this.told.push(`${segment} ${failureTexts[failure]}: ${detail}`)
  }
  readonly settler: Settler

  constructor(rewriting: Partial<Pick<SettlerOptions, "rewriting" | "compaction">> = {}) {
    this.settler = new Settler({ ...this.#options, ...rewriting })
  }

  #work(job: SettleJob): SettleWork {
    const { promise, resolve } = Promise.withResolvers<SettleOutcome>()
    this.told.push(`work on ${job.sources[0]!.path}`)
    this.working.push({ job, finish: resolve })
    return {
      done: promise,
      hurry: (isHurried) => this.told.push(isHurried ? "hurry" : "take your time"),
      cancel: () => resolve({ _tag: "Failed", detail: "cancelled" })
    }
  }

  async finish(outcome: SettleOutcome): Promise<void> {
    this.working.shift()!.finish(outcome)
    await this.settle()
  }

  /** Lets promises run. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve()
  }

  heard(): Array<string> {
    return this.told.splice(0)
  }
}

const rewriting = { segmentBytes: 1000, freedBytesMin: 1, lookEveryMs: 500, keptFromSeq: () => 0 }

/** One settled segment, of which nothing is needed. */
const rewriter = async (): Promise<Bench> => {
  const bench = new Bench({ rewriting })
  bench.journal.chain[0]!.isSettled = true
  bench.journal.roll()
  bench.settler.start()
  await bench.settle()
  return bench
}

const started = async (closed = 0): Promise<Bench> => {
  const bench = new Bench()
  for (let i = 0; i < closed; i++) bench.journal.roll()
  bench.settler.start()
  await bench.settle()
  return bench
}

describe("the settler", () => {
  it("settles what was closed, the oldest first, one at a time", async () => {
    const bench = await started()
    expect(bench.heard()).toEqual([])
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-1"])
    await bench.finish(settledOutcome)
    expect(bench.heard()).toEqual(["seg-1 settled"])
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-2"])
    await bench.settler.stop()
  })

  it("holds appends while two closed segments wait, and hurries meanwhile", async () => {
    const bench = await started()
    bench.journal.roll()
    await bench.settle()
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-1", "hurry", "hold"])
    expect([bench.settler.isHolding, bench.settler.unsettled]).toEqual([true, 2])
    await bench.finish(settledOutcome)
    expect(bench.heard()).toEqual(["seg-1 settled", "go on", "work on seg-2"])
    await bench.settler.stop()
  })

  it("does not hold for what a start finds, only for what comes besides", async () => {
    const bench = await started(5)
    expect(bench.heard()).toEqual(["work on seg-1"])
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual(["hurry", "hold"])
    await bench.finish(settledOutcome)
    expect(bench.heard()).toEqual(["seg-1 settled", "go on", "work on seg-2"])
    // What is worked off may not come back.
    for (let i = 2; i <= 4; i++) await bench.finish(settledOutcome)
    bench.heard()
    expect([bench.settler.unsettled, bench.settler.isHolding]).toEqual([2, false])
    bench.journal.roll()
    expect(bench.settler.isHolding).toBe(true)
    await bench.settler.stop()
    expect(bench.settler.isHolding).toBe(false)
  })

  it("tries again later, three times in all, and passes over what it cannot settle", async () => {
    const bench = await started(2)
    for (let tries = 1; tries <= 3; tries++) {
      await bench.finish({ _tag: "Failed", detail: `no space ${tries}` })
      bench.clock.advance(tries * 1000 - 1)
      await bench.settle()
      if (tries < 3) expect(bench.working).toEqual([])
      bench.clock.advance(1)
      await bench.settle()
    }
    const failed = bench.heard().filter((told) => !told.startsWith("work"))
    expect(failed).toEqual(["seg-1 failed: no space 1", "seg-1 failed: no space 2", "seg-1 given up: no space 3"])
    expect(bench.working[0]!.job.sources[0]!.path).toBe("seg-2")
    await bench.settler.stop()
  })

  it("goes on when what a worker left cannot be removed", async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-leftover-"))
    const bench = await started(1)
    // As a failed disk, a directory refuses to be removed as a file.
    bench.journal.target = directory
    await bench.finish({ _tag: "Failed", detail: "EIO" })
    expect(bench.heard()).toEqual(["work on seg-1", "seg-1 failed: EIO"])
    bench.clock.advance(1000)
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-1"])
    await bench.settler.stop()
    fs.rmdirSync(directory)
  })

  it("gives up what is refused at once, and what was given up never holds", async () => {
    const bench = await started()
    bench.journal.roll()
    await bench.settle()
    await bench.finish({ _tag: "Refused", detail: "log 3 at offset 7" })
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-1", "seg-1 given up: log 3 at offset 7", "work on seg-2"])
    expect(bench.settler.isHolding).toBe(false)
    await bench.settler.stop()
  })

  it("tries again when the settled file cannot be taken over", async () => {
    const bench = await started(1)
    bench.journal.adoptFails = true
    await bench.finish(settledOutcome)
    expect(bench.heard()).toEqual(["work on seg-1", "seg-1 failed: no space"])
    bench.journal.adoptFails = false
    bench.clock.advance(1000)
    await bench.settle()
    await bench.finish(settledOutcome)
    expect(bench.heard()).toEqual(["work on seg-1", "seg-1 settled"])
    await bench.settler.stop()
  })

  it.each([
    ["visitRuns", ["seg-1 given up: EMFILE"], [1]],
    ["release", ["seg-1 not removed: EMFILE", "seg-1 settled"], []]
  ] as const)("goes on, and holds nobody, when %s fails behind the takeover", async (step, told, stuck) => {
    const bench = await started()
    bench.journal.failingStep = step
    bench.journal.roll()
    bench.journal.roll()
    await bench.settle()
    expect(bench.settler.isHolding).toBe(true)
    bench.heard()
    await bench.finish(settledOutcome)
    expect(bench.heard()).toEqual([...told, "go on", "work on seg-2"])
    expect(bench.journal.stuck).toEqual(stuck)
    await bench.settler.stop()
  })

  it("ends the work on a segment that is dropped, without a failure", async () => {
    const bench = await started(2)
    bench.journal.drop()
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-1", "work on seg-2"])
    await bench.settler.stop()
  })

  it("ends its worker when it is stopped, and begins nothing more", async () => {
    const bench = await started(3)
    bench.heard()
    await bench.settler.stop()
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual([])
  })

  it("rewrites what is settled while nothing waits, and tells how much is dead", async () => {
    const bench = await rewriter()
    expect(bench.heard()).toEqual(["work on seg-1"])
    expect(bench.settler.settledBytes).toEqual({ liveBytes: 20, deadBytes: 80 })
    expect(bench.working[0]!.job.startOffsets).toEqual([])
    await bench.finish(settledOutcome)
    expect(bench.heard()[0]).toBe("seg-1 settled")
    await bench.settler.stop()
  })

  it("hurries a rewrite when a segment closes, and gives it up when appends would wait", async () => {
    const bench = await rewriter()
    bench.heard()
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual(["hurry"])
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual(["hurry", "hold", "work on seg-2", "hurry"])
    bench.working.shift()
    await bench.finish(settledOutcome)
    expect(bench.heard().slice(0, 2)).toEqual(["seg-2 settled", "go on"])
    await bench.settler.stop()
  })

  it("looks again after a while, and tries a rewrite that failed again later", async () => {
    const bench = await rewriter()
    await bench.finish({ _tag: "Failed", detail: "no space" })
    expect(bench.heard()).toEqual(["work on seg-1", "seg-1 failed: no space"])
    bench.clock.advance(59_000)
    await bench.settle()
    expect(bench.heard()).toEqual([])
    bench.clock.advance(1000)
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-1"])
    await bench.finish({ _tag: "Refused", detail: "damaged" })
    expect(bench.heard()).toEqual(["seg-1 given up: damaged"])
    bench.clock.advance(120_000)
    await bench.settle()
    expect(bench.heard()).toEqual([])
    await bench.settler.stop()
  })

  it("goes through the segments of a log that is compacted, and again through one when another that it reads is dropped", async () => {
    const settings = {
      minCleanableDirtyRatio: 0.5,
      minCompactionLagMs: 0,
      maxCompactionLagMs: 1e9,
      deleteRetentionMs: 7
    }
    const bench = new Bench({ compaction: { settings: () => [[5, settings]], mapBytesMax: 1000 } })
    for (let segment = 1; segment <= 3; segment++) {
      bench.journal.roll()
      bench.journal.chain[segment - 1]!.isSettled = true
      bench.logs.recoverRun(segment, runOf(10 * segment, false))
    }
    bench.settler.start()
    await bench.settle()
    const [first] = bench.working
    expect(first!.job.compaction).toEqual({
      nowMs: bench.clock.nowMs(),
      mapBytesMax: 1000,
      logs: [
        { logId: 5, dirtyFrom: 10, cleanTo: 40, logEndOffset: 40, deleteRetentionMs: 7, aborted: [], unended: [] }
      ],
      chain: ["seg-1", "seg-2", "seg-3"]
    })
    bench.journal.runs = [runOf(10, true)]
    await bench.finish({ ...settledOutcome, cleaned: [{ logId: 5, cleanTo: 30, unended: [] }] })
    expect(bench.heard()).toEqual(["work on seg-1", "seg-1 settled", "work on seg-2"])
    expect(bench.working[0]!.job.compaction!.logs[0]).toMatchObject({ dirtyFrom: 10, cleanTo: 30 })
    bench.logs.log(5).moveStart(20)
    bench.journal.drop()
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-2"])
    expect(bench.working[1]!.job.compaction!.chain).toEqual(["seg-2", "seg-3"])
    bench.working.shift()
    bench.journal.runs = [runOf(20, true)]
    await bench.finish({ ...settledOutcome, cleaned: [{ logId: 5, cleanTo: 30, unended: [] }] })
    // The third was behind what the table had room for: it is the next compaction's.
    expect(bench.heard()).toEqual(["seg-2 settled", "work on seg-2"])
    expect(bench.working[0]!.job.compaction!.logs[0]).toMatchObject({ dirtyFrom: 30, cleanTo: 40 })
    await bench.settler.stop()
  })

  it("compacts nothing in the last segment, which is settled if the file after it was lost", async () => {
    const settings = { minCleanableDirtyRatio: 0, minCompactionLagMs: 0, maxCompactionLagMs: 0, deleteRetentionMs: 0 }
    const bench = new Bench({ rewriting, compaction: { settings: () => [[5, settings]], mapBytesMax: 1000 } })
    bench.journal.chain[0]!.isSettled = true
    bench.logs.recoverRun(1, runOf(10, false))
    const replacement = vi.spyOn(bench.journal, "replacement")
    bench.settler.start()
    for (let i = 0; i < 5; i++) await bench.settle()
    expect(bench.heard()).toEqual([])
    // It sleeps: else nothing else in the process would ever run.
    expect(replacement.mock.calls.length).toBeLessThan(5)
    bench.journal.roll()
    await bench.settle()
    expect(bench.heard()).toEqual(["work on seg-1"])
    await bench.settler.stop()
  })
})

/** A run of log 5 with ten records. */
const runOf = (baseOffset: number, isCompacted: boolean): Extent => ({
  logId: 5,
  epoch: 1,
  baseOffset,
  count: 10,
  firstTimestampMs: 0,
  maxTimestampMs: 0,
  byteLength: 50,
  crc: 0,
  place: "run",
  chunk: 0,
  position: 50,
  verbatim: false,
  isCompacted,
  producer: undefined
})
