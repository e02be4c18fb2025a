import * as fs from "node:fs"
import { ByteWriter } from "../journal/Bytes.ts"
import { ExtentPages, follows, type Extent } from "../journal/Extent.ts"
import { JournalError, type Seq } from "../journal/Journal.ts"
import type { Settling } from "../journal/LmdbJournal.ts"
import { SegmentFile } from "../doctor/SegmentFile.ts"
import { LmdbSegment } from "../journal/LmdbSegment.ts"
import { removeEnvironment } from "../journal/segmentFiles.ts"
import { stripFrame } from "../journal/stripFrame.ts"
import type { Located } from "../storage/LogIndex.ts"
import { Compactor, type CompactionJob, type LogCompactor } from "./Compactor.ts"
import { gap } from "./frames.ts"
import { FrameSource } from "./FrameSource.ts"
import type { LogSource, StartOffsets } from "./LogSource.ts"
import type { Pace } from "./Pace.ts"
import { RunBuilder } from "./RunBuilder.ts"
import { RunSource } from "./RunSource.ts"

export interface SettleJob extends Settling {
  /** The logs whose records are copied, from these offsets on; the others of the segments were deleted or have expired. */
  readonly startOffsets: StartOffsets
  /** Of segments that are settled already, frames before this are left out; 0: none. */
  readonly keptFromSeq: Seq
  /** Logs of a settled segment that lose the records which have newer ones of their keys. */
  readonly compaction?: CompactionJob
}

export interface Settled {
  /** Of the sources' files. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly records: number
  readonly runs: number
  /** How far the logs of the compaction were cleaned. */
  readonly cleanedTo: ReadonlyArray<readonly [logId: number, offset: number]>
}

/** Where a settling can be interrupted; for tests that crash it there. */
export type SettleStep =
  | "created"
  | "collected"
  | "gathered"
  | "runs"
  | "frames"
  | "snapshots"
  | "completed"
  | "closed"
  | "synced"

export interface SettleTools {
  readonly pace: Pace
  readonly at?: (step: SettleStep) => void
}

/** Small records that are sorted in memory at a time. */
const gatherBytesMax = 64 * 1024 * 1024
/** One transaction: what the disk is kept busy with at a time. */
const writeBytesMax = 1024 * 1024

/** Puts into a segment, about `writeBytesMax` per transaction. */
class Writes {
  readonly #tools: SettleTools
  #last: Promise<boolean> | undefined
  #bytes = 0

  constructor(tools: SettleTools) {
    this.#tools = tools
  }

  put(written: Promise<boolean>, bytes: number): void {
    // The last put of a transaction tells for all; the others must only not go unhandled.
    written.then(undefined, () => undefined)
    this.#last = written
    this.#bytes += bytes
  }

  get isFull(): boolean {
    return this.#bytes >= writeBytesMax
  }

  async flush(name: SettleStep): Promise<void> {
    const last = this.#last
    if (last === undefined) return
    this.#last = undefined
    this.#bytes = 0
    if (!(await last)) throw new JournalError("Io", "LMDB refused a write")
    this.#tools.at?.(name)
    await this.#tools.pace.step()
  }
}

/**
 * Writes adjacent closed segments anew as one: runs per log, stripped frames, snapshots, then the mark that it is complete,
 * and it is synced. The sources, settled or not, are only read. Rejects with `JournalError`: "Corrupt" or "Gap" names a
 * place in a source, "Io" what the file system or LMDB says.
 */
export const settleSegment = async (job: SettleJob, tools: SettleTools): Promise<Settled> => {
  const sources = openSources(job)
  removeEnvironment(job.target)
  const target = LmdbSegment.createSettled(job.target, job.mapBytes, sources[0]!.segment.firstSeq)
  let compactor: Compactor | undefined
  let counted: { readonly records: number; readonly runs: number; readonly runBytes: number }
  try {
    if (job.compaction !== undefined) compactor = Compactor.open(job.compaction, tools.pace)
    tools.at?.("created")
    for (const source of sources) await source.collect(tools.pace)
    tools.at?.("collected")
    const nextSeq = job.sources.at(-1)!.nextSeq
    const firstEventSeq = sources.find(({ frameSeqs }) => frameSeqs.length > 0)?.frameSeqs[0] ?? nextSeq
    counted = await writeRuns(sources, job, compactor, target, tools)
    await writeFrames(sources, target, tools)
    for (const { segment } of sources) await copySnapshots(segment, target, job.keptFromSeq, tools)
    await target.complete({ nextSeq, firstEventSeq, runBytes: counted.runBytes })
    tools.at?.("completed")
  } finally {
    await target.close()
    compactor?.close()
    for (const { segment } of sources) segment.close()
  }
  tools.at?.("closed")
  await syncFile(job.target)
  tools.at?.("synced")
  const bytesIn = job.sources.reduce((sum, { path }) => sum + fs.statSync(path).size, 0)
  const { records, runs } = counted
  return { records, runs, bytesIn, bytesOut: fs.statSync(job.target).size, cleanedTo: compactor?.cleanedTo ?? [] }
}

/** Throws `JournalError` "Gap" unless each source begins where the one before ends. */
const openSources = ({ sources, startOffsets, keptFromSeq }: SettleJob): ReadonlyArray<LogSource> => {
  const opened: Array<LogSource> = []
  try {
    for (const [i, { path, nextSeq }] of sources.entries()) {
      // A second process must not open an environment that the journal has open.
      const segment = SegmentFile.open(path)
      const source = segment.isSettled
        ? new RunSource(segment, nextSeq, startOffsets, keptFromSeq)
        : new FrameSource(segment, nextSeq, startOffsets, gatherBytesMax / sources.length)
      opened.push(source)
      const expected = sources[i - 1]?.nextSeq ?? segment.firstSeq
      if (segment.firstSeq !== expected) throw gap(`${path} begins at seq ${segment.firstSeq}, expected ${expected}`)
    }
    return opened
  } catch (error) {
    for (const { segment } of opened) segment.close()
    throw error
  }
}

/** Runs on their way into a segment, and their extents behind them. */
class RunWrites {
  readonly #target: LmdbSegment
  readonly #writes: Writes
  readonly #extents = new ExtentPages()
  readonly #pages: Array<Buffer> = []
  readonly builder: RunBuilder
  runs = 0
  runBytes = 0

  /** `onRun` is told of each. */
  constructor(target: LmdbSegment, tools: SettleTools, onRun: (extent: Extent) => void) {
    this.#target = target
    this.#writes = new Writes(tools)
    this.builder = new RunBuilder((extent, bytes) => {
      onRun(extent)
      this.#put(extent, bytes)
    })
  }

  #put(extent: Extent, bytes: Uint8Array): void {
    const page = this.#extents.add(extent)
    if (page !== undefined) this.#pages.push(page)
    this.runs++
    this.runBytes += bytes.length
    this.#writes.put(this.#target.putRun(extent.logId, extent.baseOffset + extent.count - 1, bytes), bytes.length)
  }

  async step(): Promise<void> {
    if (this.#writes.isFull) await this.#writes.flush("runs")
  }

  async end(): Promise<void> {
    this.builder.end()
    const last = this.#extents.take()
    if (last !== undefined) this.#pages.push(last)
    this.#pages.forEach((page, i) => this.#writes.put(this.#target.putExtents(i, page), page.length))
    await this.#writes.flush("runs")
  }
}

const writeRuns = async (
  sources: ReadonlyArray<LogSource>,
  { startOffsets }: SettleJob,
  compactor: Compactor | undefined,
  target: LmdbSegment,
  tools: SettleTools
): Promise<Pick<Settled, "records" | "runs"> & { readonly runBytes: number }> => {
  let records = 0
  // Of logs that are not compacted, and of those that are: what they were.
  let offsets = 0
  const out = new RunWrites(target, tools, ({ logId, count }) => {
    records += count
    if (compactor?.has(logId) !== true) offsets += count
  })
  for (const [logId] of [...startOffsets].sort(([a], [b]) => a - b)) {
    let before: Located | undefined
    let compacted: LogCompactor | undefined
    for (const source of sources) {
      for await (const pieces of source.piecesOf(logId, tools)) {
        for (const { ref, bytes } of pieces) {
          throwUnlessNext(logId, ref, before)
          before = ref
          if (compactor?.has(logId) === true) {
            compacted ??= await compactor.log(logId, ref.baseOffset, out.builder)
            compacted.add(ref, bytes)
            offsets += ref.count
          } else out.builder.add(logId, ref, bytes)
          await out.step()
        }
      }
    }
    compacted?.end()
  }
  await out.end()
  const expected = sources.reduce((sum, source) => sum + source.records, 0)
  if (offsets !== expected) throw gap(`${offsets} records in runs, ${expected} referred to`)
  return { records, runs: out.runs, runBytes: out.runBytes }
}

const throwUnlessNext = (logId: number, ref: Located, before: Located | undefined): void => {
  if (before === undefined || follows(before, ref)) return
  const expected = before.baseOffset + before.count
  throw gap(`log ${logId} goes on at offset ${ref.baseOffset} (seq ${ref.frameSeq}), expected ${expected}`)
}

const writeFrames = async (
  sources: ReadonlyArray<LogSource>,
  target: LmdbSegment,
  tools: SettleTools
): Promise<void> => {
  const writes = new Writes(tools)
  const scratch = new ByteWriter()
  for (const { segment, frameSeqs } of sources) {
    for (const seq of frameSeqs) {
      const frame = stripFrame(segment.frame(seq)!, scratch)
      writes.put(target.putFrame(seq, frame), frame.length)
      if (writes.isFull) await writes.flush("frames")
    }
  }
  await writes.flush("frames")
}

/** Replay debugging begins at them, where the events behind them are kept. A page that fails its checksum makes its snapshot none, here as there. */
const copySnapshots = async (
  source: SegmentFile,
  target: LmdbSegment,
  keptFromSeq: Seq,
  { at, pace }: SettleTools
): Promise<void> => {
  for (const { fromSeq, index } of source.snapshotPages()) {
    const page = fromSeq < keptFromSeq ? undefined : source.page(fromSeq, index)
    if (page !== undefined) await target.writePage(fromSeq, index, page)
    at?.("snapshots")
    await pace.step()
  }
  for (const { fromSeq, pages } of source.sealed()) if (fromSeq >= keptFromSeq) await target.seal(fromSeq, pages)
}

const syncFile = async (file: string): Promise<void> => {
  const handle = await fs.promises.open(file, "r+")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
