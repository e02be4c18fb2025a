import { randomBytes } from "node:crypto"
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import { chainOf } from "@logbrook/core/journal/segmentNames"
import { inChildProcess } from "@logbrook/core/settle/childProcess"
import type { SettleJob } from "@logbrook/core/settle/SettleJob"
import { describe, expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { History, replayOf } from "./History.ts"

const fromMs = 1_800_000_000_000
const script = fileURLToPath(new URL("./settleAndDie.ts", import.meta.url))

/** Two closed segments with some of everything, and a third one. */
const write = async (history: History): Promise<void> => {
  for (let segment = 0; segment < 2; segment++) {
    for (let i = 0; i < 12; i++) {
      for (let logId = 1; logId <= 24; logId++) {
        history.records(logId, [{ key: `k${i}`, value: "v".repeat((i * 131 * logId) % 2500), timestampMs: fromMs + i }])
      }
      history.records(1, [{ key: "own", value: "w".repeat(9000), timestampMs: fromMs }])
      history.batch(2, [{ key: "zstd", value: `sent ${i}`, timestampMs: fromMs }], "zstd")
      history.count(i)
      await history.flush()
    }
    history.moveStart(3, 5 + segment)
    await history.roll()
  }
  history.records(1, [{ key: "last", value: "written after the roll", timestampMs: fromMs }])
  await history.flush()
}

const replayIn = async (directory: string) => {
  const journal = openReadOnly(directory)
  const replayed = replayOf(journal)
  await journal.close()
  return replayed
}

/** A replay from the first event knows of an actor that is as at its beginning, one from a snapshot does not. */
const statesIn = async (directory: string): Promise<ReadonlyArray<unknown>> => {
  const { states, mismatches } = await replayIn(directory)
  expect(mismatches).toBe(0)
  return (JSON.parse(states) as ReadonlyArray<[string, unknown]>).filter(([actor]) => actor !== "counter/roll")
}

/** To settle its first segment, each time anew. */
const firstJobOf =
  ({ journal, harness }: History) =>
  (): SettleJob => {
    const firstSeq = journal.firstSeq
    const { nextSeq } = journal.segments()[0]!
    const startOffsets = harness.shard.logs.startOffsets(firstSeq, nextSeq)
    return { ...journal.replacement([firstSeq])!, startOffsets, keptFromSeq: 0 }
  }

const settleAndDie = (directory: string, killAt: number, ...kept: ReadonlyArray<number>) =>
  spawnSync(process.execPath, ["--conditions=source", script, directory, ...[killAt, ...kept].map(String)], {
    encoding: "utf8"
  })

const segmentsIn = (directory: string): string =>
  readdirSync(directory)
    .filter((name) => /\.(tmp|mdb)$/.test(name))
    .join(" ")

describe("a crash while a segment is settled", () => {
  it("loses nothing, at whatever step", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await write(history)
    await history.close()
    const original = history.directory
    const before = await replayIn(original)
    expect(before.mismatches).toBe(0)
    const whole = temporaryDirectory()
    cpSync(original, whole, { recursive: true })
    const steps = Number(settleAndDie(whole, 0).stdout)
    expect(steps).toBeGreaterThan(25)
    expect(await replayIn(whole)).toEqual(before)
    const found = new Set<string>()
    for (let step = 1; step <= steps; step++) {
      const directory = temporaryDirectory()
      cpSync(original, directory, { recursive: true })
      expect(settleAndDie(directory, step).signal).toBe("SIGKILL")
      expect(await replayIn(directory)).toEqual(before)
      found.add(segmentsIn(directory))
      await history.reopen(directory)
      expect(readdirSync(directory).filter((name) => name.includes(".tmp"))).toEqual([])
      history.check()
      expect(await history.settle()).toEqual([])
      history.check()
      expect(history.harness.defects).toEqual([])
      await history.close()
    }
    // Before the first file, beside the original, settled beside the original, and settled; of either segment.
    expect(found.size).toBeGreaterThanOrEqual(6)
  }, 180_000)

  it("loses nothing while one is rewritten and several are merged, and their events go", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    for (let segment = 0; segment < 3; segment++) {
      for (let i = 0; i < 6; i++) {
        history.records(1, [{ key: `k${i}`, value: `${segment} ${i}`.padEnd(300, "v"), timestampMs: fromMs + i }])
        const bulky = { key: null, value: randomBytes(30_000).toString("latin1"), timestampMs: fromMs }
        if (segment === 0) history.records(3, [bulky])
        history.batch(2, [{ key: "zstd", value: `sent ${i}`, timestampMs: fromMs }], "zstd")
        history.count(i)
        await history.flush()
      }
      await history.roll()
    }
    for (let i = 0; i < 5; i++) {
      history.count(i)
      await history.flush()
    }
    expect(await history.settle()).toEqual([])
    history.moveStart(3, 6)
    const kept = history.firstSeqs()[2]!
    expect(history.harness.shard.keptFromSeq(() => false)).toBeGreaterThanOrEqual(kept)
    await history.close()
    const original = history.directory
    const states = await statesIn(original)
    const whole = temporaryDirectory()
    cpSync(original, whole, { recursive: true })
    const steps = Number(settleAndDie(whole, 0, kept).stdout)
    expect(steps).toBeGreaterThan(20)
    expect(segmentsIn(whole)).toMatch(/^seg-00000001-0000000[23]\.runs-3\.mdb seg/)
    const found = new Set<string>()
    for (let step = 1; step <= steps; step++) {
      const directory = temporaryDirectory()
      cpSync(original, directory, { recursive: true })
      expect(settleAndDie(directory, step, kept).signal).toBe("SIGKILL")
      expect(await statesIn(directory)).toEqual(states)
      found.add(segmentsIn(directory))
      await history.reopen(directory)
      expect(readdirSync(directory).filter((name) => name.includes(".tmp"))).toEqual([])
      expect(chainOf(readdirSync(directory)).superseded).toEqual([])
      history.check()
      await history.rewrite(kept)
      history.check()
      expect(history.journal.firstSeq).toBe(kept)
      expect(history.harness.defects).toEqual([])
      await history.close()
    }
    // Sources with and without what is written, and beside what replaces them; for the rewrite, and for the merge.
    expect(found.size).toBeGreaterThanOrEqual(6)
  }, 180_000)

  it("of its worker, killed 30 times, leaves the original as it is", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await write(history)
    const job = firstJobOf(history)
    const startedMs = performance.now()
    expect((await inChildProcess(job()).done)._tag).toBe("Settled")
    const tookMs = performance.now() - startedMs
    let killed = 0
    for (let i = 0; i < 30; i++) {
      const work = inChildProcess(job())
      await sleep((i / 30) * tookMs)
      work.cancel()
      if ((await work.done)._tag === "Failed") killed++
    }
    expect(killed).toBeGreaterThan(15)
    history.check()
    expect(await history.settle(inChildProcess)).toEqual([])
    expect(history.unsettled).toBe(0)
    history.check()
    await history.restart()
    history.check()
    await history.close()
  }, 60_000)
})

const childrenOf = (pid: number): string => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")

describe("a worker", () => {
  it("does one job after the other, and keeps nobody from ending", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await write(history)
    const firstBeganMs = performance.now()
    expect(await history.settle(inChildProcess)).toEqual([])
    const firstMs = performance.now() - firstBeganMs
    const children = childrenOf(process.pid)
    expect(children).not.toBe("")
    await write(history)
    const waitedMs = 3000
    await sleep(waitedMs)
    const beganMs = performance.now()
    expect(await history.settle(inChildProcess)).toEqual([])
    // It does not rest from having waited: the same work takes no longer than at first, when the process had to be made, too.
    expect(performance.now() - beganMs).toBeLessThan(firstMs + 0.8 * waitedMs)
    expect(childrenOf(process.pid)).toBe(children)
    history.check()
    await history.close()
  })

  it("that was killed while its outcome was on its way gets no other job", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await write(history)
    const job = firstJobOf(history)
    const startedMs = performance.now()
    expect((await inChildProcess(job()).done)._tag).toBe("Settled")
    const tookMs = performance.now() - startedMs
    const work = inChildProcess(job())
    // While this process reads no message.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * tookMs + 500)
    work.cancel()
    expect((await work.done)._tag).toBe("Settled")
    expect((await inChildProcess(job()).done)._tag).toBe("Settled")
    await history.close()
  })

  it("ends when its parent is killed", async () => {
    const history = await History.open(temporaryDirectory(), 400_000)
    await write(history)
    await history.close()
    const parent = `
      import { fork } from "node:child_process"
      const child = fork(${JSON.stringify(fileURLToPath(new URL("../../src/settle/settleMain.ts", import.meta.url)))}, { execArgv: [] })
      console.log(child.pid)
      setTimeout(() => process.kill(process.pid, "SIGKILL"), 500)`
    let pid = 0
    try {
      execFileSync(process.execPath, ["--input-type=module", "-e", parent], { encoding: "utf8" })
    } catch (error) {
      pid = Number((error as { stdout: string }).stdout)
    }
    expect(pid).toBeGreaterThan(0)
    for (let i = 0; i < 100 && existsSync(join("/proc", String(pid))); i++) await sleep(50)
    expect(existsSync(join("/proc", String(pid)))).toBe(false)
  })
})
