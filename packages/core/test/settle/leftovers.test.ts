import fs, { readdirSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { systemClock } from "@logbrook/core/Clock"
import type { Extent } from "@logbrook/core/journal/Extent"
import type { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import type { Replacement, Takeover } from "@logbrook/core/journal/SegmentChain"
import { LmdbSegment } from "@logbrook/core/journal/LmdbSegment"
import type { SettleWork } from "@logbrook/core/settle/childProcess"
import type { SettleJob } from "@logbrook/core/settle/SettleJob"
import { Settler } from "@logbrook/core/settle/Settler"
import { open } from "lmdb"
import { afterEach, expect, it, vi } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { History } from "./History.ts"
import { inProcess } from "./inProcess.ts"

const fromMs = 1_800_000_000_000
const tooManyFiles = new Error("EMFILE: too many open files")

const filesIn = ({ directory }: History): Array<string> =>
  readdirSync(directory)
    .filter((name) => name.startsWith("seg-") && !name.endsWith("-lock"))
    .sort()

/** Three closed segments, settled, and one that is written. */
const settledHistory = async (): Promise<History> => {
  const history = await History.open(temporaryDirectory(), 400_000)
  for (let segment = 1; segment <= 3; segment++) {
    for (let i = 0; i < 10; i++) history.records(1, [{ key: null, value: `run ${segment} ${i}`, timestampMs: fromMs }])
    await history.flush()
    await history.roll()
    await history.flush()
  }
  expect(await history.settle()).toEqual([])
  return history
}

/** The first two segments, written anew as one. */
const written = async ({ journal, harness }: History): Promise<Replacement> => {
  const [first, second] = journal.segments()
  const replacement = journal.replacement([first!.firstSeq, second!.firstSeq])!
  const startOffsets = harness.shard.logs.startOffsets(first!.firstSeq, second!.nextSeq)
  expect((await inProcess()({ ...replacement, startOffsets, keptFromSeq: 0 }).done)._tag).toBe("Settled")
  return replacement
}

const switchReaders = ({ harness }: History, takeover: Takeover, { sources }: Replacement): void => {
  const extents: Array<Extent> = []
  takeover.visitRuns((extent) => extents.push(extent))
  takeover.switchLog(1)
  harness.shard.logs.settle(1, sources[0]!.firstSeq, sources.at(-1)!.nextSeq, extents)
}

/** What opens files of segments to remove them fails once. */
const failOnce = (): void => {
  vi.spyOn(fs.promises, "open").mockRejectedValueOnce(tooManyFiles)
}

/** As retention does; tells what went wrong. */
const drop = (journal: LmdbJournal): Promise<unknown> => journal.dropOldest().catch((error: unknown) => error)

afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
})

/** The last byte of each page that tells of runs is another one. */
const damaging = (job: SettleJob): SettleWork => {
  const { done, ...work } = inProcess()(job)
  const damaged = async () => {
    const outcome = await done
    const root = open({ path: job.target, noSubdir: true, mapSize: job.mapBytes, maxDbs: 16 })
    const extents = root.openDB<Buffer, Buffer>({ name: "extents", encoding: "binary", keyEncoding: "binary" })
    for (const { key, value } of extents.getRange()) {
      const bytes = Buffer.from(value)
      bytes[bytes.length - 1]! ^= 1
      await extents.put(key, bytes)
    }
    await root.close()
    return outcome
  }
  return { ...work, done: damaged() }
}

it("a file that does not tell of its runs takes nobody's place", async () => {
  const history = await settledHistory()
  history.records(1, [{ key: null, value: "more", timestampMs: fromMs }])
  await history.flush()
  await history.roll()
  await history.flush()
  const before = filesIn(history)
  const failures: Array<string> = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const settler = new Settler({
    journal: history.journal,
    logs: history.harness.shard.logs,
    clock: systemClock,
    work: damaging,
    onHold: () => undefined,
    onSettled: () => undefined,
    onFailed: (_segment, detail) => {
      failures.push(detail)
      resolve()
    }
  })
  settler.start()
  await promise
  await settler.stop()
  expect(failures).toEqual([expect.stringContaining("fails its checksum")])
  expect(filesIn(history).filter((name) => !name.endsWith(".tmp"))).toEqual(before)
  await history.restart()
  expect(filesIn(history)).toEqual(before)
  history.check()
  expect(await history.settle()).toEqual([])
  history.check()
  await history.close()
})

it("readers that could not go over keep nothing from being dropped", async () => {
  const history = await settledHistory()
  const replacement = await written(history)
  const takeover = history.journal.adopt(replacement)!
  takeover.switchLog(1)
  const before = filesIn(history)
  expect(before).toContain("seg-00000001-00000002.runs-2.mdb")
  await history.journal.dropOldest()
  expect(filesIn(history)).toEqual(before)
  takeover.giveUp()
  await history.journal.dropOldest()
  expect(filesIn(history)).toEqual(before.filter((name) => name !== "seg-00000001.runs.mdb"))
  await history.journal.dropOldest()
  expect(filesIn(history)).toEqual(["seg-00000003.runs.mdb", "seg-00000004.mdb"])
  await history.journal.dropOldest()
  expect(filesIn(history)).toEqual(["seg-00000004.mdb"])
  await history.close()
})

it("a source that could not be removed does not outlive what took its place", async () => {
  const history = await settledHistory()
  const replacement = await written(history)
  const takeover = history.journal.adopt(replacement)!
  switchReaders(history, takeover, replacement)
  failOnce()
  await expect(takeover.release()).rejects.toBe(tooManyFiles)
  expect(filesIn(history)).toContain("seg-00000001.runs.mdb")
  history.check()
  await history.journal.dropOldest()
  expect(filesIn(history)).toEqual(["seg-00000003.runs.mdb", "seg-00000004.mdb"])
  await history.journal.close()
})

it("a segment that was dropped and could not be removed is removed before the next one", async () => {
  const history = await settledHistory()
  failOnce()
  expect(await drop(history.journal)).toBe(tooManyFiles)
  failOnce()
  expect(await drop(history.journal)).toBe(tooManyFiles)
  expect(filesIn(history)[0]).toBe("seg-00000001.runs.mdb")
  expect(history.journal.segments()).toHaveLength(3)
  expect(await drop(history.journal)).toBeUndefined()
  expect(filesIn(history)).toEqual(["seg-00000003.runs.mdb", "seg-00000004.mdb"])
  await history.journal.close()
})

it("a file that could not be adopted does not count", async () => {
  const history = await settledHistory()
  const replacement = await written(history)
  vi.spyOn(fs, "fsyncSync").mockImplementationOnce(() => {
    throw tooManyFiles
  })
  syncBuiltinESMExports()
  expect(() => history.journal.adopt(replacement)).toThrow(tooManyFiles)
  expect(filesIn(history)).toEqual([1, 2, 3].map((n) => `seg-0000000${n}.runs.mdb`).concat("seg-00000004.mdb"))
  await written(history)
  const takeover = history.journal.adopt(replacement)!
  switchReaders(history, takeover, replacement)
  await takeover.release()
  history.check()
  await history.restart()
  history.check()
  await history.close()
})

it.each(["writePage", "seal"] as const)("a settling that LMDB refuses a snapshot's %s is none", async (put) => {
  const history = await settledHistory()
  await history.roll()
  const { journal } = history
  const replacement = journal.replacement([journal.segments().at(-2)!.firstSeq])!
  const job = { ...replacement, startOffsets: [], keptFromSeq: 0 }
  expect((await inProcess()(job).done)._tag).toBe("Settled")
  vi.spyOn(LmdbSegment.prototype, put).mockResolvedValueOnce(false)
  expect(await inProcess()(job).done).toEqual({ _tag: "Refused", detail: "LMDB refused a write" })
  expect(() => journal.adopt(replacement)).toThrow("there is no format version")
  await history.close()
})
