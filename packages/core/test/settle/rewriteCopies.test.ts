import { spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { packBackup, unpackBackup } from "@logbrook/core/backup/archive"
import { backUp } from "@logbrook/core/backup/Backup"
import { restore } from "@logbrook/core/backup/Restore"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { repair } from "@logbrook/core/doctor/Repair"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { open } from "lmdb"
import { describe, expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"
import { History } from "./History.ts"

const fromMs = 1_800_000_000_000
const definitions = [ShardActor, makeCounter(), ToyPartition]
const pause = (): void => undefined
const doctor = (directory: string) => diagnose({ directory, definitions, pause })
const restoreOptions = { definitions, nowMs: () => fromMs, pause, until: undefined }
const merged = "seg-00000001-00000003.runs-2.mdb"

interface Point {
  readonly seq: number
  /** Of log 1 and of log 2. */
  readonly kept: ReadonlyArray<number>
}

/**
 * Segments 1 to 3 are one, which has no events of 1 and 2; a fourth is written. Tells where each commit of the third ends.
 * Log 5 has records in the first segment only, log 6 in the third.
 */
const mergedHistory = async (): Promise<{ history: History; kept: number; points: ReadonlyArray<Point> }> => {
  const history = await History.open(temporaryDirectory(), 400_000)
  const points: Array<Point> = []
  const count = (logId: number): number => history.kept.get(logId)?.length ?? 0
  history.records(5, [{ key: null, value: "early", timestampMs: fromMs }])
  for (let segment = 1; segment <= 3; segment++) {
    for (let i = 0; i < 8; i++) {
      history.records(1, [{ key: null, value: `run ${segment} ${i}`.padEnd(300, "r"), timestampMs: fromMs - i }])
      history.batch(2, [{ key: "k", value: `sent ${segment} ${i}`, timestampMs: fromMs + i }], "none")
      await history.flush()
      if (segment === 3) points.push({ seq: history.journal.nextSeq - 1, kept: [count(1), count(2)] })
      if (segment === 2 && i === 3) {
        // Expired with its events, in the middle of what is merged.
        history.moveStart(1, 3)
      }
    }
    if (segment === 3) history.records(6, [{ key: null, value: "late", timestampMs: fromMs }])
    await history.roll()
    for (let i = 0; i < 5; i++) await history.flush()
  }
  const kept = history.firstSeqs()[2]!
  await history.rewrite(kept)
  expect(readdirSync(history.directory)).toContain(merged)
  expect(history.journal.firstSeq).toBe(kept)
  return { history, kept, points }
}

describe("a merged segment without its first events", () => {
  it("is clean to the doctor, beside the server and without it", async () => {
    const { history, kept } = await mergedHistory()
    const live = await doctor(history.directory)
    expect(live.findings.filter(({ isDamage }) => isDamage)).toEqual([])
    await history.close()
    const diagnosis = await doctor(history.directory)
    expect([diagnosis.findings, diagnosis.firstSeq]).toEqual([[], kept])
    // Those of segment 1 and 2 that have not expired, and all of the third.
    expect(diagnosis.records).toBe(1 + (16 - 3) + 16 + 8 + 8 + 1)
  })

  it("is backed up once, also as one file, and restored", async () => {
    const { history, kept } = await mergedHistory()
    const target = join(temporaryDirectory(), "backup")
    const options = { dataDir: history.directory, target, nowMs: () => fromMs, pause }
    expect((await backUp(options)).copiedSegments).toBe(2)
    const { keptSegments, manifest } = await backUp(options)
    expect([keptSegments, manifest.firstSeq]).toEqual([2, kept])
    await history.close()
    const file = join(temporaryDirectory(), "backup.tar")
    await packBackup(target, file)
    const unpacked = temporaryDirectory()
    await unpackBackup(file, unpacked)
    const dataDir = join(temporaryDirectory(), "restored")
    await restore({ ...restoreOptions, backup: unpacked, dataDir })
    expect(readdirSync(dataDir)).toContain(merged)
    await history.reopen(dataDir)
    history.check()
    history.records(1, [{ key: null, value: "goes on", timestampMs: fromMs }])
    await history.roll()
    await history.rewrite()
    history.check()
    await history.close()
  })

  it("is restored up to the events that it has, and not before them", async () => {
    const { history, kept, points } = await mergedHistory()
    const backup = join(temporaryDirectory(), "backup")
    await backUp({ dataDir: history.directory, target: backup, nowMs: () => fromMs, pause })
    await history.close()
    const logs = [1, 2].map((logId) => [...history.kept.get(logId)!])
    history.kept.delete(6)
    // A snapshot begins behind the roll; the first points have none.
    for (const { seq, kept: counts } of points.slice(-2)) {
      const dataDir = join(temporaryDirectory(), "restored")
      await restore({ ...restoreOptions, backup, dataDir, until: { seq } })
      counts.forEach((count, i) => history.kept.set(i + 1, logs[i]!.slice(0, count)))
      await history.reopen(dataDir)
      history.check()
      history.records(6, [{ key: null, value: "the first one now", timestampMs: fromMs }])
      await history.flush()
      history.check()
      await history.close()
      history.kept.delete(6)
      expect((await doctor(dataDir)).findings.filter(({ isDamage }) => isDamage)).toEqual([])
    }
    const dataDir = join(temporaryDirectory(), "restored")
    const tooEarly = restore({ ...restoreOptions, backup, dataDir, until: { seq: kept - 1 } })
    await expect(tooEarly).rejects.toMatchObject({ reason: "Gap", message: expect.stringContaining(`seq ${kept}`) })
  })

  it("whose run is damaged is found out, and repaired without it", async () => {
    const { history } = await mergedHistory()
    await history.close()
    const damaged = join(temporaryDirectory(), "damaged")
    cpSync(history.directory, damaged, { recursive: true })
    const bytes = readFileSync(join(damaged, merged))
    const at = bytes.indexOf("sent 1 7")
    expect(at).toBeGreaterThan(0)
    for (let each = at; each >= 0; each = bytes.indexOf("sent 1 7", each + 1)) bytes[each] = 0x5a
    writeFileSync(join(damaged, merged), bytes)
    const diagnosis = await doctor(damaged)
    expect(diagnosis.findings.map(({ kind, logId, segment }) => [kind, logId, segment])).toEqual([
      ["records", 2, merged]
    ])
    const target = join(temporaryDirectory(), "repaired")
    await repair({ diagnosis, target, definitions, nowMs: Date.now, pause })
    history.kept.delete(2)
    await history.reopen(target)
    history.check()
    const { logs } = history.harness.shard
    expect(() => logs.read(logs.log(2), 0, 1e9)).toThrow(expect.objectContaining({ reason: "Corrupt" }))
    await history.close()
  })

  it("that lacks frames at its end is found out, and not started with", async () => {
    const { history } = await mergedHistory()
    await history.close()
    const root = open<Buffer, string>({ path: join(history.directory, merged), encoding: "binary", noSubdir: true })
    const meta = JSON.parse(root.getBinary("meta")!.toString()) as { nextSeq: number }
    await root.put("meta", Buffer.from(JSON.stringify({ ...meta, nextSeq: meta.nextSeq + 1 })))
    await root.close()
    const { findings } = await doctor(history.directory)
    expect(findings[0]).toMatchObject({ kind: "gap", segment: merged, message: expect.stringContaining("frames end") })
    await expect(history.reopen(history.directory)).rejects.toMatchObject({
      reason: "Corrupt",
      message: `${merged} has no frame that ends at seq ${meta.nextSeq + 1}`
    })
  })
})

describe("a tool that reads a directory while its segments are merged", () => {
  it.each([
    ["goes on with the same events", (): number => 0, /^\d+$/],
    [
      "says that events have expired",
      (history: History): number => history.firstSeqs()[2]!,
      /^JournalError: events 1 to \d+ have expired while they were read$/
    ]
  ])("%s", async (_what, keptFrom, second) => {
    const history = await History.open(temporaryDirectory(), 400_000)
    for (let segment = 1; segment <= 3; segment++) {
      history.records(1, [{ key: null, value: `run ${segment}`.padEnd(300, "r"), timestampMs: fromMs }])
      history.count(segment)
      await history.roll()
    }
    expect(await history.settle()).toEqual([])
    const script = fileURLToPath(new URL("./readTwice.ts", import.meta.url))
    const tool = spawn(process.execPath, ["--conditions=source", script, history.directory], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    const lines = createInterface({ input: tool.stdout })[Symbol.asyncIterator]()
    const first = (await lines.next()).value as string
    const done = await history.rewrite(keptFrom(history))
    expect(done).toEqual([expect.stringMatching(/^merge seg-00000001/)])
    tool.stdin.write("again\n")
    const told = (await lines.next()).value as string
    expect(told).toMatch(second)
    if (/^\d+$/.test(told)) expect(told).toBe(first)
    await once(tool, "exit")
    await history.close()
  })
})
