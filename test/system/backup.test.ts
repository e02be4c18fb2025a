import { execFile, spawn, type ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setImmediate, setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { backUp, type BackedUp } from "@logbrook/core/backup/Backup"
import { readManifest } from "@logbrook/core/backup/Manifest"
import { restore, type Restored, type Until } from "@logbrook/core/backup/Restore"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import { readFrameHead, type FrameHead } from "@logbrook/core/journal/Frame"
import { Replay } from "@logbrook/core/shard/Replay"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { create } from "tar"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ShardHarness } from "../../packages/server/test/tools/ShardHarness.ts"
import { counters, definitions } from "../crash/journalLoad.ts"
import { liveOn, readOnce } from "./doctorJournal.ts"

const writer = fileURLToPath(new URL("../crash/journalWriter.ts", import.meta.url))
const bin = fileURLToPath(new URL("../../packages/server/bundle/bin.js", import.meta.url))
const root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-backup-"))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

let made = 0
const fresh = (): string => path.join(root, `d${++made}`)

const backedUp = (dataDir: string, target: string): Promise<BackedUp> =>
  backUp({ dataDir, target, nowMs: Date.now, pause: () => setImmediate() })

const restored = (backup: string, dataDir: string, until?: Until): Promise<Restored> =>
  restore({ backup, dataDir, until, definitions, nowMs: Date.now, pause: () => undefined })

const headsOf = (directory: string): ReadonlyArray<FrameHead> => {
  const journal = openReadOnly(directory)
  const heads: Array<FrameHead> = []
  journal.scan(1, (frame) => heads.push(readFrameHead(frame)) > 0)
  void journal.close()
  return heads
}

/** A data directory of 34 turns, closed. */
const madeDirectory = async (): Promise<string> => {
  const directory = fresh()
  fs.mkdirSync(directory)
  fs.writeFileSync(path.join(directory, "cluster-id"), "a-cluster")
  await liveOn(directory, 20)
  await liveOn(directory, 14, 20)
  return directory
}

describe("backup and restore", () => {
  it("give back what was there, once more and with less copied the next time", async () => {
    const directory = await madeDirectory()
    const target = fresh()
    const first = await backedUp(directory, target)
    const segments = fs.readdirSync(directory).filter((name) => name.endsWith(".mdb")).length
    expect(first).toMatchObject({ copiedSegments: segments, keptSegments: 0 })
    expect(await backedUp(directory, target)).toMatchObject({ copiedSegments: 0, keptSegments: segments })
    const copy = fresh()
    const { nextSeq, diagnosis } = await restored(target, copy)
    expect(diagnosis).toMatchObject({ isClean: true, nextSeq: first.manifest.nextSeq })
    const [before, after] = [await readOnce(directory), await readOnce(copy)]
    // A commit that raises the epoch stands behind what was restored.
    expect(after).toEqual({ ...before, nextSeq: nextSeq + 1 })
    expect(fs.readFileSync(path.join(copy, "cluster-id"), "utf8")).toBe("a-cluster")
    await liveOn(directory, 20, 100)
    const later = await backedUp(directory, target)
    expect(later.keptSegments).toBe(segments - 1)
    expect(later.copiedSegments).toBeGreaterThan(1)
    expect(fs.readdirSync(target)).toHaveLength(1 + later.manifest.segments.length)
    const again = fresh()
    await restored(target, again)
    expect((await readOnce(again)).logs).toEqual((await readOnce(directory)).logs)
  })

  it("leave what came after a seq or a time, whole commits only", async () => {
    const directory = await madeDirectory()
    const target = fresh()
    await backedUp(directory, target)
    const heads = headsOf(directory)
    const inTheMiddle = heads[Math.floor(heads.length / 2)]!
    expect(inTheMiddle.entries).toBeGreaterThan(1)
    for (const { until, endSeq } of [
      { until: { seq: inTheMiddle.nextSeq - 1 }, endSeq: inTheMiddle.nextSeq },
      { until: { seq: inTheMiddle.nextSeq - 2 }, endSeq: inTheMiddle.firstSeq },
      { until: { seq: inTheMiddle.firstSeq }, endSeq: inTheMiddle.firstSeq },
      { until: { seq: heads.at(-1)!.nextSeq - 1 }, endSeq: heads.at(-1)!.nextSeq },
      {
        until: { timeMs: inTheMiddle.timeMs - 1 },
        endSeq: heads.find((h) => h.timeMs >= inTheMiddle.timeMs)!.firstSeq
      },
      { until: { timeMs: Date.now() + 1 }, endSeq: heads.at(-1)!.nextSeq }
    ]) {
      const copy = fresh()
      const { nextSeq, diagnosis } = await restored(target, copy, until)
      expect(nextSeq).toBe(endSeq)
      expect(diagnosis.isClean).toBe(true)
      // What comes after is written at epochs that the original never had.
      await liveOn(copy, 3, 500)
      const last = headsOf(copy).at(-1)!
      expect(last.epoch).toBeGreaterThan(heads.at(-1)!.epoch + 100)
      expect((await diagnose({ directory: copy, definitions, pause: () => undefined })).isClean).toBe(true)
    }
    for (const until of [{ timeMs: 1 }, { seq: heads.at(-1)!.nextSeq }]) {
      await expect(restored(target, fresh(), until)).rejects.toMatchObject({ reason: "Gap" })
    }
  })

  it("refuse a backup that was damaged, a directory that holds something, and another server's backup", async () => {
    const directory = await madeDirectory()
    const target = fresh()
    const { manifest } = await backedUp(directory, target)
    await expect(restored(target, directory)).rejects.toMatchObject({ reason: "Io" })
    await expect(backedUp(directory, root)).rejects.toMatchObject({ reason: "Io" })
    const other = await madeDirectory()
    fs.writeFileSync(path.join(other, "cluster-id"), "another")
    await expect(backedUp(other, target)).rejects.toThrow("a backup of another server")
    const file = path.join(target, manifest.segments[1]!.file)
    const bytes = fs.readFileSync(file)
    fs.writeFileSync(file, bytes.with(bytes.length - 100, bytes.at(-100)! ^ 1))
    const copy = fresh()
    await expect(restored(target, copy)).rejects.toMatchObject({ reason: "Corrupt" })
    expect(fs.readdirSync(copy)).toEqual([])
    const text = fs.readFileSync(path.join(target, "backup.json"), "utf8")
    fs.writeFileSync(path.join(target, "backup.json"), text.replace('"epoch": 2', '"epoch": 3'))
    await expect(restored(target, fresh())).rejects.toMatchObject({ reason: "Corrupt" })
  })

  it("never take a damaged segment for a backup: the last one stays", async () => {
    const directory = await madeDirectory()
    const target = fresh()
    const { manifest } = await backedUp(directory, target)
    const file = path.join(directory, "seg-00000002.mdb")
    const bytes = fs.readFileSync(file)
    const at = bytes.lastIndexOf(Buffer.from("counter/"))
    fs.writeFileSync(file, bytes.with(at, 0))
    await expect(backedUp(directory, target)).rejects.toMatchObject({ reason: "Corrupt" })
    expect(readManifest(target)).toEqual(manifest)
    await restored(target, fresh())
  })
})

interface Writing {
  readonly child: ChildProcess
  /** By counter: events that were acknowledged. */
  readonly acknowledged: Array<number>
}

const startWriter = async (directory: string): Promise<Writing> => {
  const args = ["--conditions=source", writer, directory, "99", "30000000"]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
  const acknowledged = Array<number>(counters).fill(0)
  let rest = ""
  child.stdout.on("data", (data: Buffer) => {
    const lines = (rest + data.toString()).split("\n")
    rest = lines.pop()!
    for (const line of lines) {
      const [kind, counter, events] = line.split(" ")
      if (kind === "c") acknowledged[Number(counter)] = Number(events)
    }
  })
  while (acknowledged.some((events) => events < 5)) await setTimeout(5)
  return { child, acknowledged }
}

const kill = (child: ChildProcess): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  // One that has ended by itself is told of no more.
  if (child.exitCode !== null) resolve()
  child.on("close", () => resolve())
  child.kill("SIGKILL")
  return promise
}

describe("backups of a journal that is written", () => {
  it.each(["here", "in another container"])("hold all that was acknowledged before they began: %s", async (where) => {
    const directory = fresh()
    const target = fresh()
    const { child, acknowledged } = await startWriter(directory)
    // Its process id says nothing here.
    if (where !== "here") fs.writeFileSync(path.join(directory, "lock"), "4999999 1 elsewhere")
    let last = 0
    let seen = ""
    for (let round = 0; round < 4; round++) {
      while (String(acknowledged) === seen) await setTimeout(5)
      const before = [...acknowledged]
      seen = String(before)
      const { manifest } = await backedUp(directory, target)
      // What is read from the pipe now may have been in the last one already.
      expect(manifest.nextSeq).toBeGreaterThanOrEqual(last)
      last = manifest.nextSeq
      const copy = fresh()
      expect((await restored(target, copy)).diagnosis.isClean).toBe(true)
      const journal = openReadOnly(copy)
      const { states } = new Replay(definitions).run(journal)
      await journal.close()
      before.forEach((events, counter) => {
        const state = states.get(`counter/${counter}`) as { readonly notes: ReadonlyArray<Buffer> }
        expect(Number(state.notes.at(-1)!.toString())).toBeGreaterThanOrEqual(events)
      })
      fs.rmSync(copy, { recursive: true })
    }
    await kill(child)
    expect((await diagnose({ directory, definitions, pause: () => undefined })).isClean).toBe(true)
  })

  it("that are killed leave the last one as it was", async () => {
    const directory = fresh()
    const target = fresh()
    const { child } = await startWriter(directory)
    await backedUp(directory, target)
    for (const afterMs of [0, 15, 30, 60, 90, 120, 180, 240]) {
      const before = readManifest(target)!
      const run = spawn(process.execPath, [bin, "backup", target, "--data-dir", directory], { stdio: "ignore" })
      await setTimeout(150 + afterMs)
      await kill(run)
      const after = readManifest(target)!
      expect(after.nextSeq).toBeGreaterThanOrEqual(before.nextSeq)
      const copy = fresh()
      expect((await restored(target, copy)).nextSeq).toBe(after.nextSeq)
      fs.rmSync(copy, { recursive: true })
    }
    await kill(child)
    await backedUp(directory, target)
    expect(fs.readdirSync(target).filter((name) => /tmp|copy|lock$/.test(name))).toEqual([])
  })
})

interface Told {
  readonly code: number
  readonly out: string
  readonly err: string
}

const cli = (...words: ReadonlyArray<string>): Promise<Told> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [bin, ...words], (_error, out, err) => {
      resolve({ code: child.exitCode ?? -1, out, err })
    })
  })

describe("logbrook backup, restore and doctor", () => {
  const directory = fresh()
  const target = fresh()

  beforeAll(async () => {
    const options = { directory, segmentBytes: 1e8, segmentRefsMax: 1e6 }
    const journal = LmdbJournal.open(options)
    const harness = new ShardHarness(journal)
    await harness.createStream("sensors", ["sensors/#"], 4)
    for (const logId of [2, 3, 4, 5]) await harness.append(logId, `{"celsius":${logId}}`.repeat(400))
    await harness.shard.drained()
    harness.shard.stop()
    await journal.close()
  })

  it("tell what was copied, restored and found", async () => {
    const first = await cli("backup", target, "--data-dir", directory)
    expect(first).toMatchObject({ code: 0, err: "" })
    expect(first.out).toMatch(
      /: #1 to #\d+ \(.+Z\), all read again and whole\n {2}1 segment copied \(.+\), 0 were there/
    )
    const again = JSON.parse((await cli("backup", target, "--data-dir", directory, "--json")).out) as object
    expect(again).toMatchObject({ copiedSegments: 0, keptSegments: 1, format: 1 })
    const copy = fresh()
    const restored = await cli("restore", target, "--data-dir", copy, "--until", "3")
    expect(restored).toMatchObject({ code: 0, err: "" })
    expect(restored.out).toMatch(/^ {2}\d+ later events? of the backup w(as|ere) left out$/m)
    expect(await cli("doctor", "--data-dir", copy)).toMatchObject({ code: 0, err: "" })
    expect((await cli("journal", "verify", "--data-dir", copy)).code).toBe(0)
    const refused = await cli("restore", target, "--data-dir", copy)
    expect(refused).toMatchObject({ code: 1, out: "" })
    expect(refused.err).toContain("is taken: it is a data directory")
    expect((await cli("restore", target)).code).toBe(2)
  })

  it("take one file instead of a directory, whole or not at all", async () => {
    const folder = fresh()
    fs.mkdirSync(folder)
    const file = path.join(folder, "backup.tar")
    for (let i = 0; i < 2; i++) {
      expect(await cli("backup", file, "--data-dir", directory)).toMatchObject({ code: 0, err: "" })
      expect(fs.readdirSync(folder)).toEqual(["backup.tar"])
    }
    const copy = path.join(folder, "new", "copy")
    expect(await cli("restore", file, "--data-dir", copy)).toMatchObject({ code: 0, err: "" })
    expect(await cli("doctor", "--data-dir", copy)).toMatchObject({ code: 0, err: "" })
    expect(fs.readdirSync(folder).sort()).toEqual(["backup.tar", "new"])
    expect(fs.readdirSync(path.dirname(copy))).toEqual(["copy"])

    fs.truncateSync(file, fs.statSync(file).size - 5000)
    const cut = await cli("restore", file, "--data-dir", path.join(folder, "cut"))
    expect(cut).toMatchObject({ code: 1, err: expect.stringContaining("error[E_JOURNAL_CORRUPT]") })
    fs.writeFileSync(path.join(folder, "stranger"), "")
    await create({ file, cwd: folder }, ["stranger"])
    const foreign = await cli("restore", file, "--data-dir", path.join(folder, "cut"))
    expect(foreign).toMatchObject({ code: 1, err: expect.stringContaining("holds stranger, which is no backup's") })
    expect(fs.readdirSync(folder).sort()).toEqual(["backup.tar", "new", "stranger"])
  })

  it("name damage by stream and offset, and save the rest", async () => {
    const damaged = fresh()
    fs.cpSync(directory, damaged, { recursive: true })
    const file = path.join(damaged, "seg-00000001.mdb")
    const bytes = fs.readFileSync(file)
    bytes.write("?", bytes.indexOf('{"celsius":4}{"celsius":4}') + 1000)
    fs.writeFileSync(file, bytes)
    const found = await cli("doctor", "--data-dir", damaged)
    expect(found.code).toBe(1)
    expect(found.out).toMatch(
      /records at seg-00000001\.mdb, #\d+, sensors\/2, offsets 0 to 0: records fail their checksum/
    )
    expect(found.out).toContain("1 batch of records cannot")
    const repaired = await cli("doctor", "--data-dir", damaged, "--repair")
    expect(repaired.code).toBe(1)
    expect(repaired.out).toMatch(/lost: records of #\d+, sensors\/2, offsets 0 to 0/)
    expect(fs.existsSync(`${damaged}.repaired/seg-00000001.mdb`)).toBe(true)
    const json = JSON.parse((await cli("doctor", "--data-dir", damaged, "--json")).out) as object
    expect(json).toMatchObject({ isClean: false, findings: [{ kind: "records", baseOffset: 0, lastOffset: 0 }] })
    expect((await cli("doctor", "--data-dir", fresh())).err).toContain("error[E_NO_JOURNAL]")
  })
})
