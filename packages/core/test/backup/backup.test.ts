import * as fs from "node:fs"
import * as path from "node:path"
import { backUp, type BackedUp } from "@logbrook/core/backup/Backup"
import { readManifest } from "@logbrook/core/backup/Manifest"
import { restore, type Restored, type Until } from "@logbrook/core/backup/Restore"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import { Replay } from "@logbrook/core/shard/Replay"
import { readFrameHead } from "@logbrook/core/journal/Frame"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { describe, expect, it } from "vitest"
import { History } from "../settle/History.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"

const definitions = [ShardActor, makeCounter(), ToyPartition]
const pause = (): void => undefined

const backedUp = (dataDir: string, target: string): Promise<BackedUp> =>
  backUp({ dataDir, target, nowMs: Date.now, pause })

const restored = (backup: string, dataDir: string, until?: Until): Promise<Restored> =>
  restore({ backup, dataDir, until, definitions, nowMs: Date.now, pause })

/** A directory that is not there yet. */
const fresh = (): string => path.join(temporaryDirectory(), "new")

/** A counter that was counted up by one, ten times, each a commit of its own, one second after the other. */
const counted = async (directory: string): Promise<History> => {
  const history = await History.open(directory)
  for (let i = 0; i < 10; i++) {
    history.advance(1000)
    history.count(1)
    await history.flush()
  }
  return history
}

const totalIn = async (directory: string): Promise<number> => {
  const journal = openReadOnly(directory)
  const { states } = new Replay(definitions).run(journal)
  await journal.close()
  return (states.get("counter/a") as { readonly total: number }).total
}

/** When the counter's commits were, and where each begins. */
const commitsIn = (directory: string): ReadonlyArray<{ readonly timeMs: number; readonly seq: number }> => {
  const journal = openReadOnly(directory)
  const found: Array<{ timeMs: number; seq: number }> = []
  new Replay(definitions, {
    onEvent: ({ actor, timeMs, seq }) => void (actor === "counter/a" && found.push({ timeMs, seq }))
  }).run(journal)
  void journal.close()
  return found
}

describe("restore --until", () => {
  it("takes the commit of that very time or seq, and nothing after it", async () => {
    const directory = temporaryDirectory()
    await (await counted(directory)).close()
    const target = temporaryDirectory()
    await backedUp(directory, target)
    const commits = commitsIn(directory)
    expect(commits).toHaveLength(10)
    const { timeMs, seq } = commits[4]!
    for (const [until, total] of [
      [{ timeMs }, 5],
      [{ timeMs: timeMs - 1 }, 4],
      [{ timeMs: timeMs + 999 }, 5],
      [{ timeMs: timeMs + 1000 }, 6],
      [{ seq }, 5],
      [{ seq: seq - 1 }, 4]
    ] as const) {
      const copy = fresh()
      await restored(target, copy, until)
      expect([until, await totalIn(copy)]).toEqual([until, total])
    }
  })
})

describe("restore", () => {
  it("begins far above the epochs that clients of the original may hold", async () => {
    const directory = temporaryDirectory()
    await (await counted(directory)).close()
    const target = temporaryDirectory()
    const { manifest } = await backedUp(directory, target)
    const copy = fresh()
    const { lastTimeMs } = await restored(target, copy)
    expect(lastTimeMs).toBe(manifest.lastTimeMs)
    const epochs: Array<number> = []
    const journal = openReadOnly(copy)
    journal.scan(journal.firstSeq, (frame) => epochs.push(readFrameHead(frame).epoch) > 0)
    await journal.close()
    expect(epochs.slice(-2)).toEqual([manifest.epoch, manifest.epoch + 1000])
  })

  it("compares every digest: what no checksum of the journal covers must be as it was backed up, too", async () => {
    const directory = temporaryDirectory()
    const history = await counted(directory)
    await history.roll()
    await history.close()
    const target = temporaryDirectory()
    const { manifest } = await backedUp(directory, target)
    for (const { file } of manifest.segments) {
      const copy = path.join(target, file)
      const bytes = fs.readFileSync(copy)
      // The end of the first page, behind LMDB's head, which nobody reads.
      fs.writeFileSync(copy, bytes.with(4095, bytes[4095]! ^ 1))
      const to = fresh()
      await expect(restored(target, to)).rejects.toThrow(`${file} is not what was backed up: its digest differs`)
      expect(fs.readdirSync(path.dirname(to))).toEqual(["new"])
      fs.writeFileSync(copy, bytes)
    }
    await restored(target, fresh())
  })
})

describe("a backup into the same directory", () => {
  it("has what came since into the newest segment", async () => {
    const directory = temporaryDirectory()
    const target = temporaryDirectory()
    const history = await counted(directory)
    const first = await backedUp(directory, target)
    expect(await backedUp(directory, target)).toMatchObject({ copiedSegments: 0, keptSegments: 1 })
    history.count(1)
    await history.flush()
    const second = await backedUp(directory, target)
    await history.close()
    expect(second).toMatchObject({ copiedSegments: 1, keptSegments: 0 })
    expect(second.manifest.nextSeq).toBe(first.manifest.nextSeq + 1)
    const copy = fresh()
    await restored(target, copy)
    expect(await totalIn(copy)).toBe(11)
  })

  it("keeps no copy of another history that ends at the same seq", async () => {
    const base = temporaryDirectory()
    await (await counted(base)).close()
    const [one, other] = [fresh(), fresh()]
    for (const [directory, n] of [
      [one, 1],
      [other, 100]
    ] as const) {
      fs.cpSync(base, directory, { recursive: true })
      const history = await History.open(directory)
      history.count(n)
      await history.close()
    }
    const target = temporaryDirectory()
    const { manifest } = await backedUp(one, target)
    const { manifest: after, copiedSegments } = await backedUp(other, target)
    expect([after.nextSeq, copiedSegments]).toEqual([manifest.nextSeq, 1])
    expect(readManifest(target)).toEqual(after)
    const copy = fresh()
    await restored(target, copy)
    expect(await totalIn(copy)).toBe(110)
  })

  it("keeps no copy of a closed segment that is as long, and another", async () => {
    const base = temporaryDirectory()
    await (await counted(base)).close()
    const [one, other] = [fresh(), fresh()]
    for (const [directory, n] of [
      [one, 1],
      [other, 2]
    ] as const) {
      fs.cpSync(base, directory, { recursive: true })
      const history = await History.open(directory)
      history.count(n)
      await history.flush()
      await history.roll()
      await history.close()
    }
    const target = temporaryDirectory()
    const before = (await backedUp(one, target)).manifest.segments
    const after = (await backedUp(other, target)).manifest.segments
    expect(after.map(({ name, bytes }) => [name, bytes])).toEqual(before.map(({ name, bytes }) => [name, bytes]))
    expect(after[0]).toEqual(before[0])
    expect(after[1]!.isClosed).toBe(true)
    expect(after[1]!.sha256).not.toBe(before[1]!.sha256)
    await restored(target, fresh())
  })
})
