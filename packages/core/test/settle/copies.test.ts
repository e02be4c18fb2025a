import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { backUp, type BackedUp } from "@logbrook/core/backup/Backup"
import { restore } from "@logbrook/core/backup/Restore"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { repair } from "@logbrook/core/doctor/Repair"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { describe, expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"
import { History } from "./History.ts"

const namesOf = ({ manifest }: BackedUp) => manifest.segments.map(({ name }) => name)

const fromMs = 1_800_000_000_000
const definitions = [ShardActor, makeCounter(), ToyPartition]
const pause = (): void => undefined
const doctor = (directory: string) => diagnose({ directory, definitions, pause })

/** One settled segment and one that is written; tells where each of the first one's commits ends. */
const settledHistory = async (): Promise<{ history: History; ends: Array<{ seq: number; kept: number }> }> => {
  const history = await History.open(temporaryDirectory(), 400_000)
  const ends: Array<{ seq: number; kept: number }> = []
  for (let i = 0; i < 30; i++) {
    history.records(1, [
      { key: null, value: `run ${i}`.padEnd(300, "r"), timestampMs: fromMs - i },
      { key: null, value: "second", timestampMs: fromMs - i }
    ])
    history.batch(2, [{ key: "k", value: `sent ${i}`, timestampMs: fromMs + i }], i % 2 === 0 ? "zstd" : "none")
    await history.flush()
    ends.push({ seq: history.journal.nextSeq - 1, kept: i + 1 })
  }
  await history.roll()
  history.records(1, [{ key: null, value: "after the roll", timestampMs: fromMs }])
  await history.flush()
  expect(await history.settle()).toEqual([])
  return { history, ends }
}

const restoreOptions = { definitions, nowMs: () => fromMs, pause, until: undefined }

describe("a journal with settled segments", () => {
  it("is clean to the doctor, beside the server and without it", async () => {
    const { history } = await settledHistory()
    expect((await doctor(history.directory)).findings.filter(({ isDamage }) => isDamage)).toEqual([])
    await history.close()
    const diagnosis = await doctor(history.directory)
    expect([diagnosis.findings, diagnosis.records]).toEqual([[], 30 * 3 + 1])
  })

  it("is backed up, its settled segments once, and restored", async () => {
    const { history } = await settledHistory()
    const target = join(temporaryDirectory(), "backup")
    const options = { dataDir: history.directory, target, nowMs: () => fromMs, pause }
    expect((await backUp(options)).copiedSegments).toBe(2)
    expect((await backUp(options)).keptSegments).toBe(2)
    await history.close()
    const dataDir = join(temporaryDirectory(), "restored")
    await restore({ ...restoreOptions, backup: target, dataDir })
    expect(readdirSync(dataDir)).toContain("seg-00000001.runs.mdb")
    await history.reopen(dataDir)
    history.check()
    history.records(1, [{ key: null, value: "goes on", timestampMs: fromMs }])
    await history.flush()
    history.check()
    await history.close()
  })

  it("is backed up as it is when that begins, whatever is closed, settled and merged meanwhile; the next one copies what is new", async () => {
    const { history } = await settledHistory()
    const target = join(temporaryDirectory(), "backup")
    const before = history.journal.segments().map(({ name }) => name)
    let isChanged = false
    const change = async (): Promise<void> => {
      if (isChanged) return
      isChanged = true
      await history.roll()
      await history.settle()
      await history.rewrite()
    }
    const options = { dataDir: history.directory, target, nowMs: () => fromMs, pause: change }
    const first = await backUp(options)
    expect(isChanged).toBe(true)
    expect(namesOf(first)).toEqual(before)
    expect(first.copiedSegments).toBe(before.length)
    const second = await backUp(options)
    expect(namesOf(second)).toEqual(["seg-00000001-00000002.runs-2.mdb", "seg-00000003.mdb"])
    expect(second.copiedSegments).toBe(2)
    expect((await backUp(options)).keptSegments).toBe(2)
    await history.close()
    const dataDir = join(temporaryDirectory(), "restored")
    await restore({ ...restoreOptions, backup: target, dataDir })
    await history.reopen(dataDir)
    history.check()
    await history.close()
  })

  it("is restored up to any commit of a settled segment", async () => {
    const { history, ends } = await settledHistory()
    const backup = join(temporaryDirectory(), "backup")
    await backUp({ dataDir: history.directory, target: backup, nowMs: () => fromMs, pause })
    await history.close()
    const [ofRuns, ofBatches] = [1, 2].map((logId) => [...history.kept.get(logId)!])
    for (const { seq, kept } of [ends[0]!, ends[13]!, ends[29]!]) {
      const dataDir = join(temporaryDirectory(), "restored")
      await restore({ ...restoreOptions, backup, dataDir, until: { seq } })
      history.kept.set(1, ofRuns!.slice(0, 2 * kept))
      history.kept.set(2, ofBatches!.slice(0, kept))
      await history.reopen(dataDir)
      history.check()
      const { logs } = history.harness.shard
      // The cut batch's highest time is that of what is left.
      expect(logs.maxTimestamp(logs.log(1))).toEqual({ offset: 0, timestampMs: fromMs })
      history.records(1, [{ key: null, value: "goes on", timestampMs: fromMs }])
      await history.flush()
      history.check()
      await history.close()
      expect((await doctor(dataDir)).findings.filter(({ isDamage }) => isDamage)).toEqual([])
    }
  })

  it("whose run is damaged is found out, and repaired without it", async () => {
    const { history } = await settledHistory()
    await history.close()
    const damaged = join(temporaryDirectory(), "damaged")
    mkdirSync(damaged)
    cpSync(history.directory, damaged, { recursive: true })
    const file = join(damaged, "seg-00000001.runs.mdb")
    const bytes = readFileSync(file)
    const at = bytes.indexOf("sent 7")
    expect(at).toBeGreaterThan(0)
    for (let each = at; each >= 0; each = bytes.indexOf("sent 7", each + 1)) bytes[each] = 0x5a
    writeFileSync(file, bytes)
    const diagnosis = await doctor(damaged)
    expect(diagnosis.findings.map(({ kind, logId, segment }) => [kind, logId, segment])).toEqual([
      ["records", 2, "seg-00000001.runs.mdb"]
    ])
    const target = join(temporaryDirectory(), "repaired")
    const repaired = await repair({ diagnosis, target, definitions, nowMs: Date.now, pause })
    expect(repaired.lostRecords.map(({ logId, baseOffset, lastOffset }) => [logId, baseOffset, lastOffset])).toEqual([
      [2, 0, 29]
    ])
    history.kept.delete(2)
    await history.reopen(target)
    history.check()
    const { logs } = history.harness.shard
    expect(() => logs.read(logs.log(2), 0, 1e9)).toThrow(expect.objectContaining({ reason: "Corrupt" }))
    await history.close()
  })
})
