import * as fs from "node:fs"
import { SegmentFile } from "../journal/SegmentFile.ts"
import type { Seq } from "../journal/Journal.ts"
import { LmdbSegment } from "../journal/LmdbSegment.ts"
import { removeEnvironment } from "../journal/segmentFiles.ts"
import { Compactor } from "./Compactor.ts"
import { gap } from "./frames.ts"
import { FrameSource } from "./FrameSource.ts"
import type { LogSource, SettleSource } from "./LogSource.ts"
import { RunSource } from "./RunSource.ts"
import type { Settled, SettleJob, SettleTools } from "./SettleJob.ts"
import { writeSettled, type Written } from "./writeSettled.ts"

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
  return { records, runs, bytesIn, bytesOut: fs.statSync(job.target).size, cleaned: compactor?.cleaned ?? [] }
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
