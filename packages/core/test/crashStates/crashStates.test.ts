import * as fs from "node:fs"
import * as path from "node:path"
import { backUp } from "@logbrook/core/backup/Backup"
import { readManifest } from "@logbrook/core/backup/Manifest"
import { restore } from "@logbrook/core/backup/Restore"
import { syncDirectory } from "@logbrook/core/journal/segmentFiles"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { describe, expect, it } from "vitest"
import { History, recordsIn } from "../settle/History.ts"
import { ShardHarness } from "../support/ShardHarness.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"
import { materialise, type CrashState } from "./crashStates.ts"
import { RecordedFiles } from "./RecordedFiles.ts"

/** The paths of every state, on one line each. */
const told = (states: ReadonlyArray<{ readonly state: CrashState }>): ReadonlyArray<string> => [
  ...new Set(
    states.map(({ state }) =>
      Array.from(state, ([name, content]) => `${name}${content === undefined ? "/" : `=${content}`}`).join(" ")
    )
  )
]

const nothing = (): null => null

describe("the model of what a power cut leaves", () => {
  it("has every combination of names that were not synced", () => {
    const root = temporaryDirectory()
    fs.writeFileSync(path.join(root, "old"), "1")
    const files = new RecordedFiles(root, nothing)
    fs.renameSync(path.join(root, "old"), path.join(root, "new"))
    fs.mkdirSync(path.join(root, "sub"))
    expect(told(files.end()).toSorted()).toEqual(["new=1", "new=1 sub/", "old=1", "old=1 sub/"])
  })

  it("forgets nothing that was synced", () => {
    const root = temporaryDirectory()
    const files = new RecordedFiles(root, nothing)
    const descriptor = fs.openSync(path.join(root, "a"), "w")
    fs.writeSync(descriptor, "1")
    fs.fsyncSync(descriptor)
    fs.closeSync(descriptor)
    syncDirectory(root)
    fs.rmSync(path.join(root, "a"))
    expect(told(files.end())).toEqual(["", "a=", "a=1"])
  })

  it("forgets what was written to a file that was not synced, though its name was", () => {
    const root = temporaryDirectory()
    const files = new RecordedFiles(root, nothing)
    fs.writeFileSync(path.join(root, "a"), "1")
    syncDirectory(root)
    expect(told(files.end()).toSorted()).toEqual(["", "a=", "a=1"])
  })

  it("keeps a cut when it forgets the unlink before it", async () => {
    const root = temporaryDirectory()
    fs.writeFileSync(path.join(root, "a"), "123")
    const files = new RecordedFiles(root, nothing)
    const handle = await fs.promises.open(path.join(root, "a"), "r+")
    await fs.promises.unlink(path.join(root, "a"))
    await handle.truncate(1)
    await handle.close()
    expect(told(files.end()).toSorted()).toEqual(["", "a=1", "a=123"])
  })
})

/** What must be there after a cut: records of log 1 that were durable, and where it may begin. */
interface Known {
  readonly durable: number
  readonly startOffsetMax: number
}

const logId = 1

/** What is wrong with a start on what is left; undefined if nothing is. */
const wrongStart = async (directory: string, { durable, startOffsetMax }: Known): Promise<string | undefined> => {
  if (!fs.existsSync(directory)) return durable === 0 ? undefined : "the directory is gone"
  let journal: LmdbJournal
  try {
    journal = LmdbJournal.open({ directory, segmentBytes: 40_000, segmentRefsMax: 1e6 })
  } catch (error) {
    return `no start: ${String(error)}`
  }
  try {
    const { shard } = new ShardHarness({ journal })
    shard.recover()
    const log = shard.logs.log(logId)
    if (log.highWatermark < durable) return `${durable} records were durable, ${log.highWatermark} are there`
    if (log.startOffset > startOffsetMax) return `the log begins at ${log.startOffset}, not ${startOffsetMax}`
    let next = log.startOffset
    while (next < log.highWatermark) {
      const read = shard.logs.read(log, next, 1e9).flatMap((batch) => recordsIn(batch, new Set()))
      for (const { offset, value } of read) {
        if (offset < next) continue
        if (offset !== next || Number.parseInt(value!, 10) !== offset)
          return `at ${next} is ${value?.slice(0, 9)} of ${offset}`
        next++
      }
    }
    return undefined
  } catch (error) {
    return `no recovery: ${String(error)}`
  } finally {
    await journal.close()
  }
}

/** Everything that is wrong with the states that were recorded, each kind once. */
const wrongOf = async <K>(
  states: ReadonlyArray<{ readonly state: CrashState; readonly known: K }>,
  look: (root: string, known: K) => Promise<string | undefined>
): Promise<ReadonlyArray<string>> => {
  const wrong = new Set<string>()
  for (const { state, known } of states) {
    const root = temporaryDirectory()
    materialise(state, root)
    const found = await look(root, known)
    if (found !== undefined)
      wrong.add(
        `${found.replaceAll(root, "")}: ${[...state.keys()].filter((name) => !name.includes("lock")).join(" ")}`
      )
    fs.rmSync(root, { recursive: true })
  }
  return [...wrong]
}

/** Lives a life that is recorded; then a start on everything that a power cut could have left of it. */
const wrongStarts = async (live: (history: History) => Promise<void>, before?: (history: History) => Promise<void>) => {
  const root = temporaryDirectory()
  const directory = path.join(root, "data")
  let history: History | undefined
  let files: RecordedFiles<Known> | undefined
  const record = (): void => {
    files = new RecordedFiles<Known>(root, () => ({
      durable: history?.harness.shard.logs.log(logId).highWatermark ?? 0,
      startOffsetMax: history?.startOffsets.get(logId) ?? 0
    }))
  }
  if (before === undefined) record()
  history = await History.open(directory)
  await before?.(history)
  if (before !== undefined) record()
  await live(history)
  await history.close()
  const states = files!.end()
  return {
    wrong: await wrongOf(states, (at, known) => wrongStart(path.join(at, "data"), known)),
    states: states.length
  }
}

/** Records of 3 KB that begin with their offset. */
const write = async (history: History, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    const offset = history.kept.get(logId)?.length ?? 0
    history.records(logId, [{ key: null, value: `${offset} `.padEnd(3000, "x"), timestampMs: 1 }])
    await history.flush()
  }
}

const segments = async (history: History, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    await write(history, 2)
    await history.roll()
  }
}

const expireAll = async (history: History): Promise<void> => {
  history.moveStart(logId, history.kept.get(logId)!.length)
  await history.flush()
}

const dropped = async (history: History): Promise<void> => {
  await expireAll(history)
  // A snapshot that is newer than what goes.
  await segments(history, 1)
  const dropping = history.harness.shard.dropExpiredSegments()
  // A roll that takes a file as soon as it is spare.
  await segments(history, 1)
  expect(await dropping).toBeGreaterThan(0)
  await write(history, 1)
}

const settle = async (history: History): Promise<void> => {
  expect(await history.settle()).toEqual([])
  await write(history, 1)
}

const rewrite = async (history: History): Promise<void> => {
  expect((await history.rewrite()).join(" ")).toContain("merge")
  history.moveStart(logId, 4)
  await history.flush()
  await history.rewrite(history.journal.nextSeq)
  await write(history, 1)
}

const restart = async (history: History): Promise<void> => {
  await history.restart()
  await write(history, 1)
}

describe.runIf(process.platform === "linux")("a start after a power cut at any moment of", () => {
  it("a first start and some rolls", async () => {
    const { wrong, states } = await wrongStarts((history) => segments(history, 3))
    expect(wrong).toEqual([])
    expect(states).toBeGreaterThan(50)
  })

  it("a settling", async () => {
    const { wrong, states } = await wrongStarts(settle, (history) => segments(history, 2))
    expect(wrong).toEqual([])
    expect(states).toBeGreaterThan(20)
  })

  it("a merge, and a rewrite without what has expired", async () => {
    const { wrong, states } = await wrongStarts(rewrite, async (history) => {
      await segments(history, 3)
      await history.settle()
    })
    expect(wrong).toEqual([])
    expect(states).toBeGreaterThan(10)
  })

  it.each([true, false])("segments that are dropped, their files kept for the next ones: %s", async (keeps) => {
    const drop = async (history: History): Promise<void> => {
      history.journal.hasRoomForSpares = () => keeps
      await dropped(history)
      await segments(history, 2)
      await dropped(history)
    }
    const { wrong, states } = await wrongStarts(drop, (history) => segments(history, 2))
    expect(wrong).toEqual([])
    expect(states).toBeGreaterThan(20)
  })

  it("a restart", async () => {
    const { wrong, states } = await wrongStarts(restart, async (history) => {
      await segments(history, 2)
      await history.settle()
    })
    expect(wrong).toEqual([])
    expect(states).toBeGreaterThan(3)
  })
})

const definitions = [ShardActor, makeCounter(), ToyPartition]
const target = (root: string): string => path.join(root, "backups", "logbrook")
const place = (root: string): string => path.join(root, "new", "data")
const steps = { nowMs: Date.now, pause: () => undefined }

describe.runIf(process.platform === "linux")("after a power cut at any moment of", () => {
  it("two backups the last one that was done is whole, or the one under way", async () => {
    const root = temporaryDirectory()
    const history = await History.open(temporaryDirectory())
    await segments(history, 2)
    let done: number | undefined
    const files = new RecordedFiles(root, () => done)
    const backup = async (): Promise<void> => {
      done = (await backUp({ dataDir: history.directory, target: target(root), ...steps })).manifest.nextSeq
    }
    await backup()
    await segments(history, 1)
    await history.settle()
    await backup()
    const states = files.end()
    await history.close()
    const seen = new Set<string>()
    const look = async (at: string, known: number | undefined): Promise<string | undefined> => {
      const manifest = fs.existsSync(target(at)) ? readManifest(target(at)) : undefined
      if (manifest === undefined) return known === undefined ? undefined : "no backup"
      if (known !== undefined && manifest.nextSeq < known) return `a backup to ${manifest.nextSeq}, not ${known}`
      // What else lies there says nothing.
      const sizes = manifest.segments.map(
        ({ file }) => fs.statSync(path.join(target(at), file), { throwIfNoEntry: false })?.size
      )
      const key = `${manifest.time} ${sizes}`
      if (seen.has(key)) return undefined
      seen.add(key)
      try {
        await restore({
          backup: target(at),
          dataDir: path.join(at, "restored"),
          until: undefined,
          definitions,
          ...steps
        })
        return undefined
      } catch (error) {
        return String(error)
      }
    }
    expect(await wrongOf(states, look)).toEqual([])
    expect(states.length).toBeGreaterThan(20)
  })

  it.each(["a-cluster", ""])(
    "a restore the directory is there as a whole, or not at all: cluster id %j",
    async (id) => {
      const root = temporaryDirectory()
      const history = await History.open(temporaryDirectory())
      if (id !== "") fs.writeFileSync(path.join(history.directory, "cluster-id"), id)
      await segments(history, 2)
      const backup = temporaryDirectory()
      await backUp({ dataDir: history.directory, target: backup, ...steps })
      const durable = history.kept.get(logId)!.length
      await history.close()
      let isDone = false
      const files = new RecordedFiles(root, () => isDone)
      await restore({ backup, dataDir: place(root), until: undefined, definitions, ...steps })
      isDone = true
      const states = files.end()
      const look = async (at: string, known: boolean): Promise<string | undefined> => {
        const isThere = fs.existsSync(place(at)) && fs.readdirSync(place(at)).length > 0
        if (!isThere) return known ? "nothing is there" : undefined
        const clusterId = path.join(place(at), "cluster-id")
        if ((fs.existsSync(clusterId) ? fs.readFileSync(clusterId, "utf8") : "") !== id) return "another cluster id"
        return wrongStart(place(at), { durable, startOffsetMax: 0 })
      }
      expect(await wrongOf(states, look)).toEqual([])
      expect(states.length).toBeGreaterThan(10)
    }
  )
})
