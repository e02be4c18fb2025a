import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { systemClock } from "@logbrook/core/Clock"
import { FrameBuilder } from "@logbrook/core/journal/Frame"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { open, type Database } from "lmdb"
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate as nextTurn } from "node:timers/promises"

/** What one commit holds: a frame with small events, and record batches beside it. */
export interface CommitShape {
  readonly events: number
  readonly batches: number
  readonly batchBytes: number
}

/** Who writes it: one append and one fdatasync at a time, four appends for each fdatasync, LMDB's puts, or the journal. */
export type DiskWriter = "file" | "file, 4 a sync" | "lmdb" | "journal"

export interface DiskSlice {
  readonly bytes: number
  readonly elapsedMs: number
  readonly cpuMs: number
  /** What the kernel sent to the device, or will. */
  readonly writtenBytes: number
  /** From the beginning of each commit until it is on the disk, in ms. */
  readonly commitMs: ReadonlyArray<number>
}

const payload = Buffer.alloc(100, 120)
const inFlightMax = 4
const mapBytes = 8 * 1024 ** 3
/** Of the bytes that stand for a frame: an event has a head of some 20 bytes. */
const eventBytes = payload.length + 20

const frameBytes = ({ events }: CommitShape): number => events * eventBytes

/** Payload and frame, without what a file format puts around them. */
const commitBytes = (shape: CommitShape): number => frameBytes(shape) + shape.batches * shape.batchBytes

/** Writes commits until `durationMs` have passed; `write` resolves once its commit is on the disk. */
type Commits = (isOver: () => boolean, commitMs: Array<number>) => Promise<void>

const timedCommit = async (commitMs: Array<number>, write: () => unknown): Promise<void> => {
  const began = performance.now()
  await write()
  commitMs.push(performance.now() - began)
}

const toFile = (file: string, shape: CommitShape, commitsPerSync: number): Commits => {
  const bytes = Buffer.alloc(commitBytes(shape), 120)
  return async (isOver, commitMs) => {
    const handle = openSync(file, "w")
    while (!isOver()) {
      const began = performance.now()
      for (let commit = 0; commit < commitsPerSync; commit++) writeSync(handle, bytes)
      fdatasyncSync(handle)
      for (let commit = 0; commit < commitsPerSync; commit++) commitMs.push(performance.now() - began)
    }
    closeSync(handle)
  }
}

/** As many commits under way as a shard has; each next one when one is done. */
const inFlight = async (isOver: () => boolean, commitMs: Array<number>, write: (n: number) => Promise<unknown>) => {
  let next = 0
  const one = async (): Promise<void> => {
    while (!isOver()) {
      await timedCommit(commitMs, () => write(next++))
      await nextTurn()
    }
  }
  await Promise.all(Array.from({ length: inFlightMax }, one))
}

const toLmdb = (file: string, shape: CommitShape): Commits => {
  const frame = Buffer.alloc(frameBytes(shape), 120)
  const batch = Buffer.alloc(shape.batchBytes, 120)
  return async (isOver, commitMs) => {
    const root = open<Buffer, string>({ path: file, encoding: "binary", mapSize: mapBytes, noSubdir: true, maxDbs: 4 })
    const timeline: Database<Buffer, number> = root.openDB({ name: "timeline", encoding: "binary" })
    const batches: Database<Buffer, [number, number]> = root.openDB({ name: "batches", encoding: "binary" })
    await inFlight(isOver, commitMs, (n) => {
      for (let log = 0; log < shape.batches; log++) void batches.put([log, n], batch)
      return timeline.put(n, frame)
    })
    await root.close()
  }
}

const commitAt = (firstSeq: number, { events, batches, batchBytes }: CommitShape) => {
  const frame = new FrameBuilder(firstSeq, 1, systemClock.nowMs())
  for (let event = 0; event < events; event++) frame.event(groupActor(String(event)), 1, payload, {})
  for (let logId = 0; logId < batches; logId++) {
    const bytes = Buffer.allocUnsafe(batchBytes).fill(logId)
    const run = { logId, baseOffset: firstSeq, count: 1, firstTimestampMs: 0, maxTimestampMs: 0, producer: undefined }
    frame.records({ ...run, bytes, verbatim: true }, {})
  }
  return frame.build().commit
}

const toJournal = (directory: string, shape: CommitShape): Commits => {
  const { segmentBytesMax: segmentBytes, segmentIndexEntriesMax: segmentRefsMax } = defaultLimits
  return async (isOver, commitMs) => {
    const journal = LmdbJournal.open({ directory, segmentBytes, segmentRefsMax })
    let seq = 1
    await inFlight(isOver, commitMs, () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const commit = commitAt(seq, shape)
      seq = commit.nextSeq
      journal.append(commit, (failure) => (failure === undefined ? resolve() : reject(new Error(failure.detail))))
      return promise
    })
    await journal.close()
  }
}

const commitsOf = (writer: DiskWriter, directory: string, shape: CommitShape): Commits => {
  if (writer === "file") return toFile(join(directory, "file"), shape, 1)
  if (writer === "file, 4 a sync") return toFile(join(directory, "file"), shape, inFlightMax)
  return writer === "lmdb" ? toLmdb(join(directory, "lmdb"), shape) : toJournal(directory, shape)
}

const deviceBytes = (): number => Number(/write_bytes: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))?.[1] ?? 0)

/** Commits of one shape for `durationMs` to a new file in the system's temporary directory, which is removed again. */
export const writeToDisk = async (options: {
  readonly writer: DiskWriter
  readonly shape: CommitShape
  readonly durationMs: number
}): Promise<DiskSlice> => {
  const { writer, shape, durationMs } = options
  const directory = mkdtempSync(join(tmpdir(), "bench-disk-"))
  const commitMs: Array<number> = []
  const cpuBefore = process.cpuUsage()
  const writtenBefore = deviceBytes()
  const began = performance.now()
  try {
    await commitsOf(writer, directory, shape)(() => performance.now() - began > durationMs, commitMs)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  const elapsedMs = performance.now() - began
  const { user, system } = process.cpuUsage(cpuBefore)
  const bytes = commitMs.length * commitBytes(shape)
  return { bytes, elapsedMs, cpuMs: (user + system) / 1000, writtenBytes: deviceBytes() - writtenBefore, commitMs }
}
