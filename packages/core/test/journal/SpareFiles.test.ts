import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { PageDamage } from "@logbrook/core/journal/LmdbFile"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import { SegmentFile } from "@logbrook/core/journal/SegmentFile"
import { listSegments } from "@logbrook/core/doctor/segments"
import { readFrameHead } from "@logbrook/core/journal/Frame"
import type { Journal } from "@logbrook/core/journal/Journal"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { SpareFiles } from "@logbrook/core/journal/SpareFiles"
import { describe, expect, it } from "vitest"
import { appended, plainCommit } from "../support/commits.ts"
import { watchSyncs } from "../support/syncedNames.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const segmentBytes = 256 * 1024

const openAt = (directory: string): LmdbJournal => LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 1e6 })

const fillTo = async (journal: LmdbJournal, segments: number): Promise<void> => {
  while (journal.segments().length < segments) await appended(journal, plainCommit(journal.nextSeq, 1, 6000))
}

const inodeOf = (directory: string, name: string): number => statSync(join(directory, name)).ino

/** Every frame's bytes, checked. */
const framesOf = (journal: Journal): ReadonlyArray<string> => {
  const frames: Array<string> = []
  journal.scan(1, (frame) => {
    readFrameHead(frame)
    frames.push(frame.toString("base64"))
    return true
  })
  return frames
}

/** A journal whose oldest segment's file became the spare one, and where that is. */
const withSpare = async (): Promise<{ directory: string; journal: LmdbJournal; inode: number; spare: string }> => {
  const directory = temporaryDirectory()
  const journal = openAt(directory)
  await fillTo(journal, 2)
  const inode = inodeOf(directory, "seg-00000001.mdb")
  await journal.dropOldest()
  return { directory, journal, inode, spare: join(directory, "spare-00000001.mdb") }
}

describe("the file of a segment that was dropped", () => {
  it("is the next segment's, which holds its own events and no others", async () => {
    const { directory, journal, inode, spare } = await withSpare()
    expect(statSync(spare).ino).toBe(inode)
    const firstSeq = journal.segments().at(-1)!.firstSeq
    await fillTo(journal, 2)
    expect(existsSync(spare)).toBe(false)
    expect(inodeOf(directory, "seg-00000003.mdb")).toBe(inode)
    for (let i = 0; i < 3; i++) await appended(journal, plainCommit(journal.nextSeq, 2, 100))
    const written = framesOf(journal)
    expect(journal.firstSeq).toBe(firstSeq)
    const { nextSeq } = journal
    await journal.close()
    const again = openAt(directory)
    expect([again.firstSeq, again.nextSeq]).toEqual([firstSeq, nextSeq])
    expect(framesOf(again)).toEqual(written)
    await again.close()
  })

  it("does not count as what the segment in it has: a start goes on in it", async () => {
    const { directory, journal } = await withSpare()
    await fillTo(journal, 2)
    const name = journal.segments().at(-1)!.name
    await journal.close()
    const again = openAt(directory)
    const before = again.segments().at(-1)!.bytes
    expect(before).toBeLessThan(segmentBytes / 2)
    await appended(again, plainCommit(again.nextSeq))
    expect(again.segments().at(-1)!.name).toBe(name)
    await again.close()
  })

  it("is found by the next start, and named by no listing", async () => {
    const { directory, journal, inode } = await withSpare()
    await journal.close()
    expect(listSegments(directory)).toMatchObject({ unknown: [], leftovers: [] })
    const again = openAt(directory)
    await fillTo(again, 2)
    expect(inodeOf(directory, "seg-00000003.mdb")).toBe(inode)
    await again.close()
  })

  it("goes at a start with segments of another size", async () => {
    const { directory, journal, spare } = await withSpare()
    await journal.close()
    const again = LmdbJournal.open({ directory, segmentBytes: segmentBytes / 8, segmentRefsMax: 1e6 })
    expect(existsSync(spare)).toBe(false)
    await again.close()
  })

  it("serves after a crash that came when another segment had begun in it, and had no name yet", async () => {
    const { directory, journal, spare } = await withSpare()
    await fillTo(journal, 2)
    const { nextSeq } = journal.segments()[0]!
    await journal.close()
    // The roll's own state before its rename.
    renameSync(join(directory, "seg-00000003.mdb"), spare)
    const again = openAt(directory)
    expect(again.nextSeq).toBe(nextSeq)
    await fillTo(again, 2)
    expect(framesOf(again)).toHaveLength(again.nextSeq - again.firstSeq)
    await again.close()
  })

  it("goes when the disk has no room for it, and is not kept then", async () => {
    const { directory, journal, spare } = await withSpare()
    journal.dropSpares()
    expect(existsSync(spare)).toBe(false)
    journal.hasRoomForSpares = () => false
    await fillTo(journal, 2)
    await journal.dropOldest()
    expect(readdirSync(directory).filter((name) => name.endsWith(".mdb"))).toEqual(["seg-00000003.mdb"])
    await journal.close()
  })

  it("is one of two at most", async () => {
    const directory = temporaryDirectory()
    const journal = openAt(directory)
    await fillTo(journal, 4)
    for (let i = 0; i < 3; i++) await journal.dropOldest()
    const files = readdirSync(directory).filter((name) => name.endsWith(".mdb"))
    expect(files).toEqual(["seg-00000004.mdb", "spare-00000001.mdb", "spare-00000002.mdb"])
    await journal.close()
  })
})

describe("a reader whose file was given up meanwhile", () => {
  it("is told so, whatever has begun in it", async () => {
    const { directory, journal } = await withSpare()
    await fillTo(journal, 2)
    const { name, firstSeq } = journal.segments()[0]!
    const source = SegmentFile.open(join(directory, name))
    const frame = source.frame(firstSeq)!
    await journal.dropOldest()
    expect(() => source.frame(firstSeq)).toThrow(PageDamage)
    expect(() => source.scan(firstSeq, Infinity, () => true)).toThrow("given up")
    await fillTo(journal, 2)
    expect(() => source.frame(firstSeq)).toThrow("given up")
    expect(readFrameHead(frame).firstSeq).toBe(firstSeq)
    source.close()
    await journal.close()
  })

  it("gets no damage from a chain whose oldest segment was settled", async () => {
    const { directory, journal } = await withSpare()
    await fillTo(journal, 2)
    const chain = openReadOnly(directory)
    const expected = framesOf(chain)
    const { name } = journal.segments()[0]!
    // As settling leaves it: another file has the events, and the first one's content is another's.
    const file = join(directory, name)
    const bytes = readFileSync(file)
    const settled = join(directory, name.replace(".mdb", ".runs.mdb"))
    writeFileSync(settled, bytes)
    renameSync(file, join(directory, "spare-00000001.mdb"))
    writeFileSync(join(directory, "spare-00000001.mdb"), Buffer.alloc(bytes.length, 0x55))
    expect(framesOf(chain)).toEqual(expected)
    await chain.close()
    await journal.close()
  })
})

it.runIf(process.platform === "linux")(
  "a file that is kept has its new name for good before a segment begins in it",
  () => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, "seg-00000001.mdb"), Buffer.alloc(segmentBytes))
    const synced = watchSyncs()
    const isKept = new SpareFiles(directory, segmentBytes).keep(join(directory, "seg-00000001.mdb"))
    synced.restore()
    expect([isKept, synced.of(directory)]).toEqual([true, ["spare-00000001.mdb"]])
  }
)
