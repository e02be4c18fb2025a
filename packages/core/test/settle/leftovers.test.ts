import fs, { readdirSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import type { Extent } from "@logbrook/core/journal/Extent"
import type { LmdbJournal, Settling, Takeover } from "@logbrook/core/journal/LmdbJournal"
import { LmdbSegment } from "@logbrook/core/journal/LmdbSegment"
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
    for (let i = 0; i < 10; i++) history.run(1, [{ key: null, value: `run ${segment} ${i}`, timestampMs: fromMs }])
    await history.flush()
    await history.roll()
    await history.flush()
  }
  expect(await history.settle()).toEqual([])
  return history
}

/** The first two segments, written anew as one. */
const written = async ({ journal, harness }: History): Promise<Settling> => {
  const [first, second] = journal.segments()
  const settling = journal.settling([first!.firstSeq, second!.firstSeq])!
  const startOffsets = harness.shard.logs.startOffsets(first!.firstSeq, second!.nextSeq)
  expect((await inProcess()({ ...settling, startOffsets, keptFromSeq: 0 }).done)._tag).toBe("Settled")
  return settling
}

const switchReaders = ({ harness }: History, takeover: Takeover, { sources }: Settling): void => {
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

it("a source that could not be removed does not outlive what took its place", async () => {
  const history = await settledHistory()
  const settling = await written(history)
  const takeover = history.journal.adoptSettled(settling)!
  switchReaders(history, takeover, settling)
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
  const settling = await written(history)
  vi.spyOn(fs, "fsyncSync").mockImplementationOnce(() => {
    throw tooManyFiles
  })
  syncBuiltinESMExports()
  expect(() => history.journal.adoptSettled(settling)).toThrow(tooManyFiles)
  expect(filesIn(history)).toEqual([1, 2, 3].map((n) => `seg-0000000${n}.runs.mdb`).concat("seg-00000004.mdb"))
  await written(history)
  const takeover = history.journal.adoptSettled(settling)!
  switchReaders(history, takeover, settling)
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
  const settling = journal.settling([journal.segments().at(-2)!.firstSeq])!
  const job = { ...settling, startOffsets: [], keptFromSeq: 0 }
  expect((await inProcess()(job).done)._tag).toBe("Settled")
  vi.spyOn(LmdbSegment.prototype, put).mockResolvedValueOnce(false)
  expect(await inProcess()(job).done).toEqual({ _tag: "Refused", detail: "LMDB refused a write" })
  expect(() => journal.adoptSettled(settling)).toThrow("there is no format version")
  await history.close()
})
