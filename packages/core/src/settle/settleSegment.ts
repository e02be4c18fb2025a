import * as fs from "node:fs"
import { ByteWriter } from "../journal/Bytes.ts"
import { ExtentPages } from "../journal/Extent.ts"
import { JournalError, type Seq } from "../journal/Journal.ts"
import type { Settling } from "../journal/LmdbJournal.ts"
import { SegmentFile } from "../doctor/SegmentFile.ts"
import { LmdbSegment } from "../journal/LmdbSegment.ts"
import { removeEnvironment } from "../journal/segmentFiles.ts"
import { stripFrame } from "../journal/stripFrame.ts"
import type { Located } from "../storage/LogIndex.ts"
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
}

export interface Settled {
  /** Of the sources' files. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly records: number
  readonly runs: number
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
  let counted: { readonly records: number; readonly runs: number; readonly runBytes: number }
  try {
    tools.at?.("created")
    for (const source of sources) await source.collect(tools.pace)
    tools.at?.("collected")
    const nextSeq = job.sources.at(-1)!.nextSeq
    const firstEventSeq = sources.find(({ frameSeqs }) => frameSeqs.length > 0)?.frameSeqs[0] ?? nextSeq
    counted = await writeRuns(sources, job, target, tools)
    await writeFrames(sources, target, tools)
    for (const { segment } of sources) await copySnapshots(segment, target, firstEventSeq, tools)
    await target.complete({ nextSeq, firstEventSeq, runBytes: counted.runBytes })
    tools.at?.("completed")
  } finally {
    await target.close()
    for (const { segment } of sources) segment.close()
  }
  tools.at?.("closed")
  await syncFile(job.target)
  tools.at?.("synced")
  const bytesIn = job.sources.reduce((sum, { path }) => sum + fs.statSync(path).size, 0)
  return { records: counted.records, runs: counted.runs, bytesIn, bytesOut: fs.statSync(job.target).size }
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

const writeRuns = async (
  sources: ReadonlyArray<LogSource>,
  { startOffsets }: SettleJob,
  target: LmdbSegment,
  tools: SettleTools
): Promise<{ readonly records: number; readonly runs: number; readonly runBytes: number }> => {
  const writes = new Writes(tools)
  const pages: Array<Buffer> = []
  const extents = new ExtentPages()
  let records = 0
  let runs = 0
  let runBytes = 0
  const builder = new RunBuilder((extent, bytes) => {
    const page = extents.add(extent)
    if (page !== undefined) pages.push(page)
    records += extent.count
    runs++
    runBytes += bytes.length
    writes.put(target.putRun(extent.logId, extent.baseOffset + extent.count - 1, bytes), bytes.length)
  })
  for (const [logId] of [...startOffsets].sort(([a], [b]) => a - b)) {
    let expectedOffset: number | undefined
    for (const source of sources) {
      for await (const pieces of source.piecesOf(logId, tools)) {
        for (const { ref, bytes } of pieces) {
          throwUnlessNext(logId, ref, expectedOffset)
          expectedOffset = ref.baseOffset + ref.count
          builder.add(logId, ref, bytes)
          if (writes.isFull) await writes.flush("runs")
        }
      }
    }
  }
  builder.end()
  const last = extents.take()
  if (last !== undefined) pages.push(last)
  pages.forEach((page, i) => writes.put(target.putExtents(i, page), page.length))
  await writes.flush("runs")
  const expected = sources.reduce((sum, source) => sum + source.records, 0)
  if (records !== expected) throw gap(`${records} records in runs, ${expected} referred to`)
  return { records, runs, runBytes }
}

const throwUnlessNext = (logId: number, { baseOffset, frameSeq }: Located, expected: number | undefined): void => {
  if (expected === undefined || expected === baseOffset) return
  throw gap(`log ${logId} goes on at offset ${baseOffset} (seq ${frameSeq}), expected ${expected}`)
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
  firstEventSeq: Seq,
  { at, pace }: SettleTools
): Promise<void> => {
  for (const { fromSeq, index } of source.snapshotPages()) {
    const page = fromSeq < firstEventSeq ? undefined : source.page(fromSeq, index)
    if (page !== undefined) await target.writePage(fromSeq, index, page)
    at?.("snapshots")
    await pace.step()
  }
  for (const { fromSeq, pages } of source.sealed()) if (fromSeq >= firstEventSeq) await target.seal(fromSeq, pages)
}

const syncFile = async (file: string): Promise<void> => {
  const handle = await fs.promises.open(file, "r+")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
