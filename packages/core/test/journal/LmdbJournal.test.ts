import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { systemClock } from "@logbrook/core/Clock"
import { FaultyJournal } from "@logbrook/core/journal/FaultyJournal"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { AppendFailure, Journal } from "@logbrook/core/journal/Journal"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { throwIfDamaged } from "@logbrook/core/journal/lmdbHeader"
import { tableNames } from "@logbrook/core/journal/LmdbSegment"
import { open } from "lmdb"
import { describe, expect, it } from "vitest"
import { appended, buildCommit, plainCommit, writtenOk, staged } from "../support/commits.ts"
import { watchSyncs } from "../support/syncedNames.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { framesOf, journalSuite } from "./journalSuite.ts"

const openAt = (directory: string, segmentBytes = 1e9): LmdbJournal =>
  LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 1e6 })

const onDisk = (wrap: (journal: Journal) => Journal) => () => {
  const directory = temporaryDirectory()
  return { open: (segmentBytes: number) => wrap(openAt(directory, segmentBytes)), cleanUp: () => undefined }
}

journalSuite(
  "LmdbJournal",
  onDisk((journal) => journal),
  { keepsAfterClose: true }
)
journalSuite(
  "FaultyJournal without faults, over LMDB",
  onDisk((journal) => new FaultyJournal(journal, systemClock, () => undefined)),
  { keepsAfterClose: true }
)

const reasonOf = (run: () => unknown): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof JournalError) return error.reason
    throw error
  }
}

const segmentFiles = (directory: string): Array<string> =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".mdb"))
    .sort()

/** A journal of `segments` segments, closed. */
const fill = async (directory: string, segments: number, segmentBytes = 10_000, bytes = 6000): Promise<number> => {
  const journal = openAt(directory, segmentBytes)
  while (journal.segments().length < segments) await appended(journal, plainCommit(journal.nextSeq, 1, bytes))
  await journal.close()
  return journal.nextSeq
}

const pageBytes = 4096
const pageHeadBytes = 24

/** The bytes with the head of one page wrong that only a look at every page finds; the file has them too then. */
const damageBelowRoots = (file: string, whole: Buffer): Buffer => {
  const damaged: Array<Buffer> = []
  for (let at = 2 * pageBytes; at < whole.length; at += pageBytes) {
    const bytes = Buffer.from(whole)
    bytes.fill(0xff, at, at + pageHeadBytes)
    writeFileSync(file, bytes)
    const found = (everyPage: boolean) => reasonOf(() => throwIfDamaged(file, everyPage, tableNames)) === "Corrupt"
    if (found(true) && !found(false)) damaged.push(bytes)
  }
  // The first and the last leaf are read when the segment is opened.
  expect(damaged.length).toBeGreaterThan(4)
  return damaged[damaged.length >> 1]!
}

describe("LmdbJournal refuses", () => {
  it("a format that it does not know", async () => {
    const directory = temporaryDirectory()
    await fill(directory, 1)
    const raw = open({ path: join(directory, "seg-00000001.mdb"), noSubdir: true, encoding: "binary", maxDbs: 8 })
    await raw.put("meta", Buffer.from(JSON.stringify({ format: 99, firstSeq: 1 })))
    await raw.close()
    expect(reasonOf(() => openAt(directory))).toBe("UnknownFormat")
    // A refusal lets go of the directory.
    expect(existsSync(join(directory, "lock"))).toBe(false)
  })

  it("a chain with a segment missing", async () => {
    const directory = temporaryDirectory()
    await fill(directory, 3)
    rmSync(join(directory, segmentFiles(directory)[1]!))
    expect(reasonOf(() => openAt(directory))).toBe("Gap")
  })

  it("an empty segment before the last one", async () => {
    const directory = temporaryDirectory()
    await fill(directory, 3)
    truncateSync(join(directory, segmentFiles(directory)[1]!), 0)
    expect(reasonOf(() => openAt(directory))).toBe("Corrupt")
  })

  it("a last segment that is empty: it was whole when it got its name", async () => {
    const directory = temporaryDirectory()
    await fill(directory, 3)
    truncateSync(join(directory, segmentFiles(directory).at(-1)!), 0)
    expect(reasonOf(() => openAt(directory))).toBe("Corrupt")
    expect(reasonOf(() => openReadOnly(directory))).toBe("Corrupt")
  })

  it.each<[string, (bytes: Buffer) => Buffer]>([
    ["is no LMDB environment", (bytes) => Buffer.alloc(bytes.length, 7)],
    ["ends inside its first page", (bytes) => bytes.subarray(0, 100)],
    ["has lost its first page", (bytes) => bytes.fill(7, 0, 4096)],
    ["has lost its second page", (bytes) => bytes.fill(0, 4096, 8192)]
  ])("a file that %s", async (_name, damage) => {
    const directory = temporaryDirectory()
    await fill(directory, 1)
    const file = join(directory, "seg-00000001.mdb")
    writeFileSync(file, damage(readFileSync(file)))
    expect(reasonOf(() => openAt(directory))).toBe("Corrupt")
  })

  it("a directory that a living process writes, and takes one over from a dead process", async () => {
    const directory = temporaryDirectory()
    const journal = openAt(directory)
    expect(reasonOf(() => openAt(directory))).toBe("Locked")
    expect(existsSync(join(directory, "lock"))).toBe(true)
    await journal.close()
    const dead = execFileSync(process.execPath, ["-e", "console.log(process.pid)"], { encoding: "utf8" })
    for (const left of [`${dead.trim()} 1 boot`, `${process.pid} 1 another boot`, ""]) {
      writeFileSync(join(directory, "lock"), left)
      await openAt(directory).close()
    }
    expect(existsSync(join(directory, "lock"))).toBe(false)
  })

  it("a page that LMDB would follow into nowhere, in the newest segment after a kill, in any after two", async () => {
    const directory = temporaryDirectory()
    // Some sixty frames a segment: its timeline has leaves below its root.
    await fill(directory, 4, 60_000, 1000)
    rmSync(join(directory, segmentFiles(directory).at(-1)!))
    const lock = join(directory, "lock")
    const [closed, , newest] = segmentFiles(directory).map((name) => join(directory, name)) as [string, string, string]
    const whole = [closed, newest].map((file) => [file, readFileSync(file)] as const)
    const opens = (): string | undefined => reasonOf(() => void openAt(directory).close())
    const damaged = (file: string): void => {
      for (const [each, bytes] of whole) writeFileSync(each, each === file ? damageBelowRoots(file, bytes) : bytes)
    }

    damaged(newest)
    writeFileSync(lock, "4999999 1 boot")
    expect(opens()).toBe("Corrupt")
    expect(opens()).toBe("Corrupt")

    damaged(closed)
    writeFileSync(lock, "4999999 1 boot")
    const journal = openAt(directory)
    const left = readFileSync(lock, "utf8")
    await journal.close()
    expect(left).toMatch(/ taken-over$/)
    writeFileSync(lock, left.replace(String(process.pid), "4999999"))
    expect(opens()).toBe("Corrupt")
    expect(opens()).toBe("Corrupt")
  })

  it("to read where there is no journal", () => {
    const directory = temporaryDirectory()
    expect(reasonOf(() => openReadOnly(directory))).toBe("Io")
    expect(reasonOf(() => openReadOnly(join(directory, "missing")))).toBe("Io")
    expect(readdirSync(directory)).toEqual([])
  })
})

describe("LmdbJournal after a crash inside a roll", () => {
  const leftovers: ReadonlyArray<[string, (file: string) => Promise<void>]> = [
    ["an empty file", async (file) => writeFileSync(file, "")],
    ["a file of zeros", async (file) => writeFileSync(file, Buffer.alloc(8192))],
    [
      "an environment with tables, but no format version yet",
      async (file) => {
        const raw = open({ path: file, noSubdir: true, encoding: "binary", maxDbs: 8 })
        await raw.openDB("timeline", { encoding: "binary" }).put("other", Buffer.of(1))
        await raw.close()
      }
    ]
  ]

  it.each(leftovers)("goes on over %s", async (_name, leave) => {
    const directory = temporaryDirectory()
    const nextSeq = await fill(directory, 2)
    await leave(join(directory, "seg-00000003.mdb.tmp"))
    const readers = openReadOnly(directory)
    expect(readers.nextSeq).toBe(nextSeq)
    await readers.close()
    const journal = openAt(directory, 10_000)
    expect(journal.nextSeq).toBe(nextSeq)
    for (let i = 0; i < 6; i++) await appended(journal, plainCommit(journal.nextSeq, 1, 6000))
    expect(journal.segments().length).toBeGreaterThan(2)
    await journal.close()
    const again = openAt(directory, 10_000)
    expect(framesOf(again, 1)).toHaveLength(nextSeq - 1 + 6)
    await again.close()
  })

  it.each(leftovers)("begins over %s as its only file", async (_name, leave) => {
    const directory = temporaryDirectory()
    await leave(join(directory, "seg-00000001.mdb.tmp"))
    const journal = openAt(directory)
    expect(await appended(journal, plainCommit(1))).toBeUndefined()
    await journal.close()
  })
})

describe("LmdbJournal once poisoned", () => {
  it("settles nothing without failure any more, and takes nothing new", async () => {
    const directory = temporaryDirectory()
    const journal = openAt(directory)
    expect(await appended(journal, plainCommit(1))).toBeUndefined()
    const settled: Array<AppendFailure["reason"] | undefined> = []
    const results = [
      appended(journal, plainCommit(2)),
      // The same key again: LMDB appends in order only, and answers `false`.
      appended(journal, plainCommit(1)),
      appended(journal, plainCommit(3))
    ].map((result) => result.then((failure) => void settled.push(failure?.reason)))
    await Promise.all(results)
    expect(settled).toEqual([undefined, "Indeterminate", "Indeterminate"])
    expect(journal.nextSeq).toBe(3)
    expect((await appended(journal, plainCommit(4)))?.reason).toBe("Unavailable")
    const page = { seq: 3, bytes: Buffer.from("page") }
    expect(await writtenOk((done) => journal.writePage(3, 0, page, done))).toBe(false)
    expect(await writtenOk((done) => journal.completeSnapshot(3, 1, done))).toBe(false)
    expect((await appended(journal, plainCommit(5)))?.reason).toBe("Unavailable")
    await journal.close()
  })
})

describe("LmdbJournal rolls", () => {
  it("only when everything in the segment before is durable", async () => {
    const journal = openAt(temporaryDirectory(), 20_000)
    const count = 60
    let settled = 0
    let segments = 1
    const settledAtRoll: Array<readonly [settled: number, firstSeq: number]> = []
    const look = (): void => {
      if (journal.segments().length === segments) return
      segments = journal.segments().length
      settledAtRoll.push([settled, journal.writtenSegmentSeq])
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    for (let seq = 1; seq <= count; seq++) {
      journal.append(plainCommit(seq, 1, 5000), () => {
        look()
        if (++settled === count) resolve()
      })
      look()
    }
    await promise
    expect(settledAtRoll.length).toBeGreaterThan(5)
    for (const [before, firstSeq] of settledAtRoll) expect(before).toBeGreaterThanOrEqual(firstSeq - 1)
    await journal.close()
  })
})

/** What a segment of 100,000 bytes had when it was rolled. */
const bytesAtRoll = async (snapshotBytes: number): Promise<number> => {
  const journal = openAt(temporaryDirectory(), 100_000)
  const half = { seq: 1, bytes: Buffer.alloc(snapshotBytes / 2) }
  await writtenOk((done) => journal.writePage(1, 0, half, done))
  await writtenOk((done) => journal.writePage(1, 1, half, done))
  await writtenOk((done) => journal.completeSnapshot(1, 2, done))
  while (journal.segments().length < 2) await appended(journal, plainCommit(journal.nextSeq, 1, 9000))
  const { bytes } = journal.segments()[0]!
  await journal.close()
  return bytes
}

describe("LmdbJournal's snapshots", () => {
  it("are none once a bit of a page has turned", async () => {
    const directory = temporaryDirectory()
    const states = Buffer.from("states of actors")
    const journal = openAt(directory)
    expect(await appended(journal, plainCommit(1))).toBeUndefined()
    expect(await writtenOk((done) => journal.writePage(2, 0, { seq: 2, bytes: states }, done))).toBe(true)
    expect(await writtenOk((done) => journal.completeSnapshot(2, 1, done))).toBe(true)
    expect(journal.snapshot(2)?.pages.map(({ bytes }) => bytes.toString())).toEqual([states.toString()])
    await journal.close()
    const file = join(directory, "seg-00000001.mdb")
    const bytes = readFileSync(file)
    const at = bytes.indexOf(states)
    expect(at).toBeGreaterThan(0)
    writeFileSync(file, bytes.with(at, bytes[at]! ^ 1))
    const again = openAt(directory)
    expect(again.snapshot(2)).toBeUndefined()
    await again.close()
  })
})

describe("LmdbJournal rolls for its snapshots", () => {
  it.each([
    [2000, 100_000],
    [20_000, 200_000],
    [900_000, 400_000]
  ])("with a snapshot of %i bytes at %i", async (snapshotBytes, expected) => {
    const bytes = await bytesAtRoll(snapshotBytes)
    expect(bytes).toBeGreaterThanOrEqual(expected)
    expect(bytes).toBeLessThan(expected + 20_000)
  })
})

describe("LmdbJournal drops segments", () => {
  it("and their files", async () => {
    const directory = temporaryDirectory()
    await fill(directory, 3)
    const journal = openAt(directory, 10_000)
    const [first] = segmentFiles(directory)
    await journal.dropOldest()
    expect(segmentFiles(directory)).not.toContain(first)
    expect(existsSync(join(directory, `${first}-lock`))).toBe(false)
    await journal.close()
  })

  it("and at a start what a crash has left of one, but no lock of a segment that is there", async () => {
    const directory = temporaryDirectory()
    await fill(directory, 3)
    const first = segmentFiles(directory)[0]!
    const journal = openAt(directory, 10_000)
    await journal.dropOldest()
    await journal.close()
    writeFileSync(join(directory, `${first}-lock`), "")
    const locks = segmentFiles(directory).map((name) => `${name}-lock`)
    for (const lock of locks) writeFileSync(join(directory, lock), Buffer.alloc(8192))
    const again = openAt(directory, 10_000)
    expect(existsSync(join(directory, `${first}-lock`))).toBe(false)
    expect(locks.filter((lock) => !existsSync(join(directory, lock)))).toEqual([])
    await again.close()
  })
})

describe("LmdbJournal for readers", () => {
  it("opens beside a live writer in another process, and takes no lock", async () => {
    const directory = temporaryDirectory()
    const journal = openAt(directory, 10_000)
    while (journal.segments().length < 3) await appended(journal, plainCommit(journal.nextSeq, 1, 6000))
    const lock = readFileSync(join(directory, "lock"), "utf8")
    const script = fileURLToPath(new URL("../support/countFrames.ts", import.meta.url))
    const count = (): number =>
      Number(execFileSync(process.execPath, ["--conditions=source", script, directory], { encoding: "utf8" }))
    expect(count()).toBe(journal.nextSeq - 1)
    for (let i = 0; i < 5; i++) await appended(journal, plainCommit(journal.nextSeq, 1, 6000))
    expect(count()).toBe(journal.nextSeq - 1)
    expect(readFileSync(join(directory, "lock"), "utf8")).toBe(lock)
    expect(await appended(journal, plainCommit(journal.nextSeq))).toBeUndefined()
    await journal.close()
  })
})

describe("a segment", () => {
  it("ends with as many references as it may have, however few bytes they take", async () => {
    const journal = LmdbJournal.open({ directory: temporaryDirectory(), segmentBytes: 1e9, segmentRefsMax: 3 })
    for (let offset = 0; offset < 7; offset++) {
      const records = [staged(1, offset, 1, Buffer.from("a"))]
      expect(await appended(journal, buildCommit(journal.nextSeq, { records }).commit)).toBeUndefined()
    }
    expect(journal.segments().map(({ firstSeq, nextSeq }) => nextSeq - firstSeq)).toEqual([3, 3, 1])
    await journal.close()
  })
})

describe.runIf(process.platform === "linux")("the name of a segment", () => {
  it("is synced before anything in it is acknowledged: ext4 would hide that it was not", async () => {
    const directory = temporaryDirectory()
    const synced = watchSyncs()
    try {
      const journal = openAt(directory, 10_000)
      while (journal.segments().length < 3) {
        await appended(journal, plainCommit(journal.nextSeq, 1, 6000))
        expect(synced.of(directory)).toEqual(expect.arrayContaining(segmentFiles(directory)))
      }
      await journal.close()
    } finally {
      synced.restore()
    }
  })
})
