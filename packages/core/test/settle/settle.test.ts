import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { closeSync, existsSync, openSync, readFileSync, readdirSync, writeSync } from "node:fs"
import { join } from "node:path"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import { defaultLimits } from "@logbrook/core/Limits"
import type { SnapshotPage } from "@logbrook/core/journal/Journal"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { writtenOk, type RecordContent } from "../support/commits.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { describe, expect, it } from "vitest"
import { History, recordsIn, replayOf } from "./History.ts"

const fromMs = 1_800_000_000_000
const one = (value: string): Array<RecordContent> => [{ key: null, value, timestampMs: fromMs }]

const filesIn = (directory: string): Array<string> =>
  readdirSync(directory)
    .filter((name) => name.startsWith("seg-") && !name.endsWith("-lock"))
    .sort()

const placesOf = (history: History, logId: number): Array<string> => {
  const { index } = history.harness.shard.logs.log(logId)
  return Array.from({ length: index.count }, (_, i) => index.at(i).place)
}

/** Many runs, one of each commit. */
const writeRuns = async (history: History, logId: number, runs: number, valueBytes = 100): Promise<void> => {
  for (let i = 0; i < runs; i++) {
    history.records(logId, one(`${i} `.padEnd(valueBytes, "x")))
    await history.flush()
  }
}

describe("a settled segment", () => {
  it("takes the place of the original, and holds many commits' records in one run", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 200)
    await history.roll()
    expect(placesOf(history, 1)).toEqual(Array.from({ length: 200 }, () => "frame"))
    expect(await history.settle()).toEqual([])
    expect(filesIn(history.directory)).toEqual(["seg-00000001.runs.mdb", "seg-00000002.mdb"])
    expect(placesOf(history, 1)).toEqual(["run"])
    const { logs } = history.harness.shard
    const batches = logs.read(logs.log(1), 0, 1e9)
    expect(batches.map((batch) => [RecordBatch.count(batch), RecordBatch.compression(batch)])).toEqual([[200, "none"]])
    const stored = history.journal.run(1, 1, 199)!
    expect(RecordBatch.compression(stored)).toBe("zstd")
    expect(stored.length).toBeLessThan(batches[0]!.length / 4)
    await history.close()
  })

  it("keeps producers' batches as they were sent, side by side in one run, readable from any of them", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    for (let i = 0; i < 50; i++) history.batch(2, one(`sent ${i}`), i % 2 === 0 ? "zstd" : "none")
    await history.roll()
    expect(await history.settle()).toEqual([])
    expect(placesOf(history, 2)).toEqual(["run"])
    const { logs } = history.harness.shard
    const batches = logs.read(logs.log(2), 30, 1e9)
    expect(batches).toHaveLength(20)
    expect(RecordBatch.producerId(batches[0]!)).toBe(4002)
    expect(RecordBatch.baseSequence(batches[0]!)).toBe(30)
    expect(history.sent.has(RecordBatch.crc(batches[0]!))).toBe(true)
    // As many as fit, and one at least.
    expect(logs.read(logs.log(2), 30, batches[0]!.length + batches[1]!.length)).toHaveLength(2)
    expect(logs.read(logs.log(2), 49, 1)).toHaveLength(1)
    await history.close()
  })

  it("keeps the largest batch that a producer may send, and its neighbours", async () => {
    const history = await History.open(temporaryDirectory(), 1_500_000)
    const { recordBatchBytesMax } = defaultLimits
    const overheadBytes = 72
    history.batch(2, one("before"), "none")
    history.batch(2, one("x".repeat(recordBatchBytesMax - overheadBytes)), "none")
    history.batch(2, one("behind"), "none")
    await history.roll()
    expect(await history.settle()).toEqual([])
    const { logs } = history.harness.shard
    const lengths = logs.read(logs.log(2), 0, 1e9).map((batch) => batch.length)
    expect(lengths[1]).toBe(recordBatchBytesMax)
    // The first batch of a fetch comes whole, however little is asked for (KIP-74).
    expect(logs.read(logs.log(2), 1, 1).map((batch) => batch.length)).toEqual([recordBatchBytesMax])
    history.check()
    await history.close()
  })

  it("has no run across an epoch, or across what the server and what a producer made", async () => {
    const history = await History.open(temporaryDirectory(), 10_000_000)
    history.records(1, one("epoch 1"))
    await history.restart()
    history.records(1, one("epoch 2"))
    await history.flush()
    history.batch(1, one("a producer's"), "none")
    await history.flush()
    history.records(1, one("the server's"))
    await history.roll()
    expect(await history.settle()).toEqual([])
    const { index } = history.harness.shard.logs.log(1)
    const runs = Array.from({ length: index.count }, (_, i) => [index.at(i).epoch, index.at(i).verbatim])
    expect(runs).toEqual([
      [1, false],
      [2, false],
      [2, true],
      [2, false]
    ])
    history.check()
    await history.close()
  })

  it("has nothing of what lies below a log's start, and all of a batch that the start divides", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 20)
    history.batch(1, [...one("a"), ...one("divided"), ...one("c")], "gzip")
    await writeRuns(history, 1, 5)
    history.records(3, one("all expired"))
    await history.flush()
    history.moveStart(1, 21)
    history.moveStart(3, 1)
    await history.roll()
    expect(await history.settle()).toEqual([])
    const found: Array<readonly [number, number, number]> = []
    history.journal.visitRuns(1, ({ logId, baseOffset, count }) => found.push([logId, baseOffset, count]))
    expect(found).toEqual([
      [1, 20, 3],
      [1, 23, 5]
    ])
    history.check()
    await history.restart()
    history.check()
    await history.close()
  })

  it("finds records by time, and the newest one", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    const times = [5, 1, 9, 3, 9, 7, 2].map((ms) => fromMs + ms)
    for (const timestampMs of times) {
      history.records(1, [{ key: null, value: null, timestampMs }])
      history.batch(2, [{ key: null, value: null, timestampMs }], "lz4")
      await history.flush()
    }
    const { logs } = history.harness.shard
    const ofBatches = () => logs.batchTimes(logs.log(2), [...times.keys(), times.length], 1)
    const all = new Map(times.entries())
    expect(ofBatches()).toEqual({ times: all, readBytes: 0 })
    await history.roll()
    expect(await history.settle()).toEqual([])
    expect(ofBatches()).toEqual({ times: all, readBytes: logs.log(2).index.byteLength })
    for (const logId of [1, 2]) {
      const log = logs.log(logId)
      for (const timestampMs of [fromMs, ...times, fromMs + 10]) {
        const offset = times.findIndex((ms) => ms >= timestampMs)
        const wanted = offset < 0 ? undefined : { offset, timestampMs: times[offset] }
        expect(logs.offsetForTimestamp(log, timestampMs)).toEqual(wanted)
      }
      expect(logs.maxTimestamp(log)).toEqual({ offset: 2, timestampMs: fromMs + 9 })
    }
    await history.close()
  })

  it("tells the times of batches, and reads a run of several once, and no more runs than are asked for", async () => {
    const history = await History.open(temporaryDirectory(), 1_500_000)
    const times = [20_000, 20_000, 20_000, 20_000, 100_000, 20_000, 20_000].map((bytes, i) => {
      history.batch(2, [{ key: null, value: "x".repeat(bytes), timestampMs: fromMs + i }], "none")
      return fromMs + i
    })
    await history.roll()
    expect(await history.settle()).toEqual([])
    const { logs } = history.harness.shard
    const { index } = logs.log(2)
    const runs = Array.from({ length: index.count }, (_, at) => index.at(at))
    expect(runs.map(({ count }) => count)).toEqual([3, 1, 1, 2])
    const [first, , , last] = runs.map(({ byteLength }) => byteLength)
    const told = (offsets: ReadonlyArray<number>, bytesMax: number) => {
      const { times: found, readBytes } = logs.batchTimes(logs.log(2), offsets, bytesMax)
      return [times.map((timeMs, offset) => (found.get(offset) === timeMs ? offset : -1)), readBytes]
    }
    const ascending = [...times.keys()]
    expect(told(ascending, 0)).toEqual([[-1, -1, -1, 3, 4, -1, -1], 0])
    expect(told(ascending, 1)).toEqual([[0, 1, 2, 3, 4, -1, -1], first])
    expect(told(ascending.toReversed(), 1)).toEqual([[-1, -1, -1, 3, 4, 5, 6], last])
    expect(told(ascending, first! + 1)).toEqual([ascending, first! + last!])
    await history.close()
  })

  it("is opened by readers beside the server, and keeps its snapshots", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 10)
    await history.roll()
    await history.flush()
    await writeRuns(history, 1, 10)
    await history.roll()
    const before = history.replay()
    const snapshots = history.firstSeqs().map((seq) => history.journal.snapshot(seq + 5)?.fromSeq)
    expect(snapshots[1]).toBeGreaterThan(1)
    expect(await history.settle()).toEqual([])
    const { directory } = history
    const tool = openReadOnly(directory)
    expect(replayOf(tool)).toEqual(before)
    expect(tool.segments().map(({ isSettled }) => isSettled)).toEqual([true, true, false])
    expect(history.firstSeqs().map((seq) => tool.snapshot(seq + 5)?.fromSeq)).toEqual(snapshots)
    await tool.close()
    await history.close()
  })

  it("takes over under a tool that has the original open", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 60, 2000)
    await history.roll()
    const script = fileURLToPath(new URL("./readTwice.ts", import.meta.url))
    const tool = spawn(process.execPath, ["--conditions=source", script, history.directory], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    const told: Array<string> = []
    const lines = createInterface({ input: tool.stdout })[Symbol.asyncIterator]()
    told.push((await lines.next()).value as string)
    expect(await history.settle()).toEqual([])
    expect(existsSync(join(history.directory, "seg-00000001.mdb"))).toBe(false)
    tool.stdin.write("again\n")
    told.push((await lines.next()).value as string)
    expect(told[1]).toBe(told[0])
    const [code, signal] = (await once(tool, "exit")) as [number | null, string | null]
    expect([code, signal]).toEqual([0, null])
    await history.close()
  })

  it("keeps the pages of a snapshot that began in the segment before, and whose seal is in the next one", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 5)
    const { journal } = history
    const fromSeq = journal.nextSeq
    const pages: Array<SnapshotPage> = []
    for (const text of ["the first page", "the second page", "the last page"]) {
      const page = { seq: journal.nextSeq, bytes: Buffer.from(text) }
      expect(await writtenOk((done) => journal.writePage(fromSeq, pages.length, page, done))).toBe(true)
      pages.push(page)
      if (pages.length < 3) await history.roll()
    }
    expect(await writtenOk((done) => journal.completeSnapshot(fromSeq, 3, done))).toBe(true)
    const wanted = { fromSeq, pages }
    expect(journal.snapshot(journal.nextSeq)).toEqual(wanted)
    expect(await history.settle()).toEqual([])
    expect(journal.snapshot(journal.nextSeq)).toEqual(wanted)
    await history.journal.close()
  })

  it("is dropped with all of its files", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 5)
    await history.roll()
    expect(await history.settle()).toEqual([])
    await history.journal.dropOldest()
    expect(readdirSync(history.directory).filter((name) => name.startsWith("seg-00000001"))).toEqual([])
    await history.close()
  })

  it("that is dropped while it is settled is not taken over", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 5)
    await history.roll()
    let isDropped = false
    const settling = history.settle(undefined, (step) => {
      if (step !== "written" || isDropped) return
      isDropped = true
      void history.journal.dropOldest()
    })
    // It is neither settled nor failed: the settler waits for the next one.
    await history.roll()
    await settling
    expect(isDropped).toBe(true)
    expect(readdirSync(history.directory).filter((name) => name.startsWith("seg-00000001"))).toEqual([])
    expect(filesIn(history.directory)).toContain("seg-00000002.runs.mdb")
    await history.restart()
    await history.close()
  })

  it("whose original came back is read from its runs", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 5)
    await history.roll()
    const original = readFileSync(join(history.directory, "seg-00000001.mdb"))
    expect(await history.settle()).toEqual([])
    await history.close()
    const file = join(history.directory, "seg-00000001.mdb")
    const descriptor = openSync(file, "w")
    writeSync(descriptor, original)
    closeSync(descriptor)
    await history.reopen(history.directory)
    expect(existsSync(file)).toBe(false)
    history.check()
    await history.close()
  })
})

/** Changes `text` wherever the file has it, also in pages that LMDB has copied since; a journal that has it open sees that. */
const damage = (file: string, text: string): void => {
  const bytes = readFileSync(file)
  expect(bytes.indexOf(text)).toBeGreaterThan(0)
  const descriptor = openSync(file, "r+")
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
    writeSync(descriptor, Buffer.from("Z"), 0, 1, at)
  }
  closeSync(descriptor)
}

describe("a segment that is damaged", () => {
  it.each([
    ["in a frame", "needle", /^seg-00000001\.mdb: at seq \d+: a frame of \d+ bytes fails its checksum$/],
    ["in a value", "needle".padEnd(9000, "n"), /log 7 at offset 0 \(seq \d+\) fail their checksum$/]
  ])("%s stays as it is, is named, and is no hindrance to the others", async (_where, value, detail) => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await writeRuns(history, 1, 10)
    history.records(7, one(value))
    await history.flush()
    await history.roll()
    await writeRuns(history, 1, 10)
    await history.roll()
    damage(join(history.directory, "seg-00000001.mdb"), "needle")
    history.kept.delete(7)
    const failures = await history.settle()
    expect(failures).toEqual([expect.stringMatching(detail)])
    expect(filesIn(history.directory)).toContain("seg-00000001.mdb")
    expect(filesIn(history.directory)).toContain("seg-00000002.runs.mdb")
    expect(filesIn(history.directory)).not.toContain("seg-00000001.runs.mdb")
    const { logs } = history.harness.shard
    expect(logs.read(logs.log(1), 12, 1e9).flatMap((batch) => recordsIn(batch, history.sent))[0]!.offset).toBe(10)
    await history.close()
  })

  it("after it was settled is refused to readers", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    history.batch(7, one("needle"), "none")
    await history.flush()
    await history.roll()
    expect(await history.settle()).toEqual([])
    damage(join(history.directory, "seg-00000001.runs.mdb"), "needle")
    const { logs } = history.harness.shard
    expect(() => logs.read(logs.log(7), 0, 1e9)).toThrow(expect.objectContaining({ reason: "Corrupt" }))
    await history.close()
  })
})
