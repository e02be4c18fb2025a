import * as fs from "node:fs"
import type { Seq } from "../journal/Journal.ts"
import type { Settling } from "../journal/LmdbJournal.ts"
import { SegmentFile } from "../doctor/SegmentFile.ts"
import { LmdbSegment } from "../journal/LmdbSegment.ts"
import { removeEnvironment } from "../journal/segmentFiles.ts"
import { Compactor, type CompactionJob } from "./Compactor.ts"
import { gap } from "./frames.ts"
import { FrameSource } from "./FrameSource.ts"
import type { LogSource, SettleSource, StartOffsets } from "./LogSource.ts"
import type { Pace } from "./Pace.ts"
import { RunSource } from "./RunSource.ts"
import { writeSettled, type Written } from "./writeSettled.ts"

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
  let counted: Written
  try {
    if (job.compaction !== undefined) compactor = Compactor.open(job.compaction, tools.pace, SegmentFile.open)
    tools.at?.("created")
    for (const source of sources) await source.collect(tools.pace)
    tools.at?.("collected")
    counted = await writeSettled(sources, job, target, tools, compactor)
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

export const sourceOf = (
  segment: SettleSource,
  nextSeq: Seq,
  { startOffsets, keptFromSeq }: Pick<SettleJob, "startOffsets" | "keptFromSeq">,
  gatherBytesMax: number
): LogSource =>
  segment.isSettled
    ? new RunSource(segment, nextSeq, startOffsets, keptFromSeq)
    : new FrameSource(segment, nextSeq, startOffsets, gatherBytesMax)

/** Throws `JournalError` "Gap" unless each source begins where the one before ends. */
const openSources = ({ sources, startOffsets, keptFromSeq }: SettleJob): ReadonlyArray<LogSource> => {
  const opened: Array<LogSource> = []
  try {
    for (const [i, { path, nextSeq }] of sources.entries()) {
      // A second process must not open an environment that the journal has open.
      const segment = SegmentFile.open(path)
      opened.push(sourceOf(segment, nextSeq, { startOffsets, keptFromSeq }, gatherBytesMax / sources.length))
      const expected = sources[i - 1]?.nextSeq ?? segment.firstSeq
      if (segment.firstSeq !== expected) throw gap(`${path} begins at seq ${segment.firstSeq}, expected ${expected}`)
    }
    return opened
  } catch (error) {
    for (const { segment } of opened) segment.close()
    throw error
  }
}

const syncFile = async (file: string): Promise<void> => {
  const handle = await fs.promises.open(file, "r+")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
