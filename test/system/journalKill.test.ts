import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Journal } from "@logbrook/core/journal/Journal"
import { readFrameHead } from "@logbrook/core/journal/Frame"
import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { stateHash } from "@logbrook/core/actor/pack"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import { Replay, type Mismatch } from "@logbrook/core/shard/Replay"
import { expect, it } from "vitest"
import { addend, counters, definitions, logs, makeShard, openJournal, valueAt } from "../crash/journalLoad.ts"

const rounds = 25
const bytesPerRound = 3_000_000
const writer = fileURLToPath(new URL("../crash/journalWriter.ts", import.meta.url))

/** What the writer was told to be durable: events by counter, and one after the last offset by log. */
interface Acknowledged {
  readonly events: Array<number>
  readonly ends: Array<number>
}

const nothing = (): Acknowledged => ({ events: Array(counters).fill(0), ends: Array(logs).fill(0) })

const hear = (line: string, acknowledged: Acknowledged): void => {
  const [kind, where, what] = line.split(" ")
  if (kind === "c") acknowledged.events[Number(where)] = Number(what)
  else if (kind === "r") {
    // Acknowledgements of one log come in the order of its offsets; unacknowledged ones may be there from before.
    expect(Number(what)).toBeGreaterThanOrEqual(acknowledged.ends[Number(where) - 1]!)
    acknowledged.ends[Number(where) - 1] = Number(what) + 1
  } else throw new Error(`the writer said: ${line}`)
}

/** Lets the writer run, and kills it `afterMs` after its first acknowledgement. */
const runAndKill = (directory: string, round: number, afterMs: number, acknowledged: Acknowledged): Promise<number> => {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const args = ["--conditions=source", writer, directory, String(round * 7919 + 1), String(bytesPerRound)]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] })
  let rest = ""
  let lines = 0
  let errors = ""
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()))
  child.stdout.on("data", (data: Buffer) => {
    if (lines === 0) setTimeout(() => child.kill("SIGKILL"), afterMs)
    const parts = (rest + data.toString()).split("\n")
    rest = parts.pop()!
    lines += parts.length
    try {
      for (const line of parts) hear(line, acknowledged)
    } catch (error) {
      child.kill("SIGKILL")
      reject(error as Error)
    }
  })
  child.on("close", (_code, signal) => {
    if (signal === "SIGKILL" && lines > 0) resolve(lines)
    else reject(new Error(`the writer ended by itself: ${errors}`))
  })
  return promise
}

const checkDense = (journal: Journal): number => {
  let frames = 0
  let expected = journal.firstSeq
  journal.scan(journal.firstSeq, (frame) => {
    const head = readFrameHead(frame)
    expect(head.firstSeq).toBe(expected)
    expected = head.nextSeq
    frames++
    return true
  })
  expect(expected).toBe(journal.nextSeq)
  return frames
}

const hashOf = (states: ReadonlyMap<string, unknown>): string => {
  const sorted = [...states].sort(([a], [b]) => (a < b ? -1 : 1))
  return stateHash(
    sorted.map(([id, state]) => [id, definitions.find((d) => id.startsWith(d.kind))!.save(state as never)])
  ).toString("hex")
}

const checkStates = (journal: Journal, acknowledged: Acknowledged, found: Acknowledged): number => {
  const mismatches: Array<Mismatch> = []
  const onMismatch = (mismatch: Mismatch) => mismatches.push(mismatch)
  const whole = new Replay(definitions, { fromStart: true, onMismatch }).run(journal)
  expect(mismatches).toEqual([])
  expect(hashOf(new Replay(definitions).run(journal).states)).toBe(hashOf(whole.states))
  for (let counter = 0; counter < counters; counter++) {
    const state = whole.states.get(`counter/${counter}`) as { total: number; notes: Array<Buffer> } | undefined
    const events = state === undefined ? 0 : Number(state.notes.at(-1)!.toString())
    expect(events).toBeGreaterThanOrEqual(acknowledged.events[counter]!)
    let total = 0
    for (let event = 0; event < events; event++) total += addend(counter, event)
    expect(state?.total ?? 0).toBe(total)
    found.events[counter] = events
  }
  return whole.hashes
}

/** Reads every record of every log: each batch's checksum is compared on the way. */
const checkRecords = (journal: Journal, acknowledged: Acknowledged, found: Acknowledged): number => {
  const shard = makeShard(journal, (text) => expect.fail(text))
  shard.recover()
  let records = 0
  for (let logId = 1; logId <= logs; logId++) {
    const log = shard.logs.log(logId)
    expect(log.highWatermark).toBeGreaterThanOrEqual(acknowledged.ends[logId - 1]!)
    found.ends[logId - 1] = log.highWatermark
    for (let offset = 0; offset < log.highWatermark;) {
      for (const batch of shard.logs.read(log, offset, 1_000_000)) {
        expect(RecordBatch.baseOffset(batch)).toBe(offset)
        iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (record) => {
          if (Buffer.compare(record.value()!, valueAt(logId, offset)) !== 0) expect.fail(`log ${logId} at ${offset}`)
          offset++
        })
      }
    }
    records += log.highWatermark
  }
  return records
}

it("a journal whose writer is killed at any time has all that was acknowledged, and nothing half", async () => {
  const directory = mkdtempSync(join(tmpdir(), "logbrook-kill-"))
  try {
    let acknowledged = nothing()
    let checked = { lines: 0, frames: 0, records: 0, hashes: 0, segments: 0, snapshots: 0 }
    for (let round = 0; round < rounds; round++) {
      const lines = await runAndKill(directory, round, (round * 137) % 400, acknowledged)
      const isReadOnly = round % 2 === 0
      const journal = isReadOnly ? openReadOnly(directory) : openJournal(directory)
      const frames = checkDense(journal)
      const found = nothing()
      const hashes = checkStates(journal, acknowledged, found)
      const records = checkRecords(journal, acknowledged, found)
      acknowledged = found
      const isSnapshotted = journal.snapshot(journal.nextSeq) !== undefined
      const segments = journal.segments().length
      checked = {
        lines: checked.lines + lines,
        frames,
        records,
        hashes,
        segments,
        snapshots: checked.snapshots + (isSnapshotted ? 1 : 0)
      }
      await journal.close()
    }
    // The load was what it was meant to be.
    expect(checked.lines).toBeGreaterThan(1000)
    expect(checked.segments).toBeGreaterThan(8)
    expect(checked.snapshots).toBeGreaterThan(5)
    expect(checked.hashes).toBeGreaterThan(20)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
