import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as path from "node:path"
import { backUp, type BackedUp } from "@logbrook/core/backup/Backup"
import { Pins } from "@logbrook/core/backup/Pins"
import { restore } from "@logbrook/core/backup/Restore"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { isPins } from "@logbrook/core/journal/pinNames"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { afterEach, describe, expect, it } from "vitest"
import { History } from "../settle/History.ts"
import { appended, plainCommit } from "../support/commits.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"

const definitions = [ShardActor, makeCounter(), ToyPartition]

const pinsIn = (directory: string): ReadonlyArray<string> => fs.readdirSync(directory).filter(isPins)

/** Some closed segments that are not settled yet. */
const opened = async (): Promise<History> => {
  const history = await History.open(temporaryDirectory())
  for (let i = 0; i < 4; i++) {
    history.records(1, [{ key: null, value: `${i}`.repeat(5000), timestampMs: 1 }])
    await history.flush()
    await history.roll()
  }
  return history
}

/** Backs up beside a server that settles every closed segment between any two steps, and closes one more. */
const backedUp = (history: History, target: string): Promise<BackedUp> => {
  const pause = async (): Promise<void> => {
    history.records(1, [{ key: null, value: "more", timestampMs: 1 }])
    await history.flush()
    await history.roll()
    expect(await history.settle()).toEqual([])
  }
  return backUp({ dataDir: history.directory, target, nowMs: Date.now, pause })
}

describe("a backup beside a server that settles without a pause", () => {
  it("ends, at the first try, with what was there when it began", async () => {
    const history = await opened()
    const { nextSeq } = history.journal
    const target = temporaryDirectory()
    const { manifest } = await backedUp(history, target)
    expect(manifest.nextSeq).toBe(nextSeq)
    expect(manifest.segments.map(({ name }) => name)).toEqual([1, 2, 3, 4, 5].map((n) => `seg-0000000${n}.mdb`))
    expect(fs.existsSync(path.join(history.directory, "seg-00000001.mdb"))).toBe(false)
    expect(pinsIn(history.directory)).toEqual([])
    history.check()
    await history.close()
    const copy = path.join(temporaryDirectory(), "copy")
    const options = { definitions, nowMs: Date.now, pause: () => undefined }
    const { diagnosis } = await restore({ ...options, backup: target, dataDir: copy, until: undefined })
    expect(diagnosis).toMatchObject({ isClean: true, nextSeq })
  })

  const { linkSync } = fs
  afterEach(() => {
    fs.linkSync = linkSync
    syncBuiltinESMExports()
  })

  it("says what went, and why it could not be kept, where no hard link can be made", async () => {
    const history = await opened()
    fs.linkSync = (from, to) => {
      if (String(to).endsWith(".mdb")) throw Object.assign(new Error("EXDEV: cross-device link"), { code: "EXDEV" })
      linkSync(from, to)
    }
    syncBuiltinESMExports()
    const failed = backedUp(history, temporaryDirectory())
    await expect(failed).rejects.toThrow(
      /^tried 5 times, and each time seg-\d+\.mdb was replaced, or expired, before it was copied; no hard link can keep them: EXDEV/
    )
    expect(pinsIn(history.directory)).toEqual([])
    await history.close()
  })
})

const segmentBytes = 256 * 1024

/** A journal of two segments whose first one a backup keeps. */
const pinned = async () => {
  const directory = temporaryDirectory()
  const journal = LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 1e6 })
  const fill = async (): Promise<void> => {
    const { length } = journal.segments()
    while (journal.segments().length === length) await appended(journal, plainCommit(journal.nextSeq, 1, 6000))
  }
  await fill()
  const pins = Pins.make(directory)
  const [first] = pins.take().segments
  return { directory, journal, fill, pins, first: first!, bytes: fs.readFileSync(first!.file) }
}

describe("a segment that a backup keeps", () => {
  it.each([true, false])(
    "is neither cut nor begun anew when the server needs it no more: room for spares %s",
    async (hasRoom) => {
      const { directory, journal, fill, pins, first, bytes } = await pinned()
      journal.hasRoomForSpares = () => hasRoom
      await journal.dropOldest()
      await fill()
      expect(fs.readdirSync(directory).filter((name) => /^(seg-00000001|spare)/.test(name))).toEqual([])
      expect(fs.readFileSync(first.file).equals(bytes)).toBe(true)
      await pins.free(first)
      expect(fs.existsSync(first.file)).toBe(false)
      pins.release()
      await journal.close()
    }
  )

  it("is not cut when the backup has read it: the server still has it", async () => {
    const { directory, journal, pins, first, bytes } = await pinned()
    await pins.free(first)
    expect(fs.readFileSync(path.join(directory, first.name)).equals(bytes)).toBe(true)
    pins.release()
    expect(pinsIn(directory)).toEqual([])
    await journal.close()
  })

  it("is nothing that a doctor or a start minds", async () => {
    const { directory, journal, pins } = await pinned()
    await journal.close()
    const { findings } = await diagnose({ directory, definitions: [], pause: () => undefined })
    expect(findings.filter(({ kind }) => kind !== "state")).toEqual([])
    await LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 1e6 }).close()
    expect(pinsIn(directory)).toHaveLength(1)
    pins.release()
  })
})

const abandoned = async (): Promise<string> => {
  const { directory, journal } = await pinned()
  await journal.close()
  fs.writeFileSync(path.join(directory, pinsIn(directory)[0]!, "lock"), "4999999 1 elsewhere")
  return directory
}

describe("what a backup that was killed has left", () => {
  it("goes with the next start", async () => {
    const directory = await abandoned()
    await LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 1e6 }).close()
    expect(pinsIn(directory)).toEqual([])
  })

  it("goes with the next backup", async () => {
    const directory = await abandoned()
    await backUp({ dataDir: directory, target: temporaryDirectory(), nowMs: Date.now, pause: () => undefined })
    expect(pinsIn(directory)).toEqual([])
  })
})
