import * as fs from "node:fs"
import { ByteWriter } from "../journal/Bytes.ts"
import { ExtentPages } from "../journal/Extent.ts"
import { JournalError } from "../journal/Journal.ts"
import type { Settling } from "../journal/LmdbJournal.ts"
import { SegmentFile } from "../doctor/SegmentFile.ts"
import type { SegmentSource } from "../doctor/SegmentSource.ts"
import { LmdbSegment } from "../journal/LmdbSegment.ts"
import { removeEnvironment } from "../journal/segmentFiles.ts"
import { stripFrame } from "../journal/stripFrame.ts"
import { checked, cuts, gather } from "./gather.ts"
import type { Pace } from "./Pace.ts"
import { RunBuilder } from "./RunBuilder.ts"
import { SourceRefs } from "./SourceRefs.ts"

export interface SettleJob extends Settling {
  /** The logs whose records are copied, from these offsets on; the others of the segment were deleted or have expired. */
  readonly startOffsets: ReadonlyArray<readonly [logId: number, startOffset: number]>
}

export interface Settled {
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
 * Rewrites a closed segment: runs per log instead of its records, stripped frames, its snapshots, then the mark that it is
 * complete, and it is synced. The source is only read. Rejects with `JournalError`: "Corrupt" or "Gap" names a place in
 * the source, "Io" what the file system or LMDB says.
 */
export const settleSegment = async (job: SettleJob, tools: SettleTools): Promise<Settled> => {
  // A second process must not open an environment that the journal has open.
  const source = SegmentFile.open(job.source)
  removeEnvironment(job.target)
  const target = LmdbSegment.createSettled(job.target, job.mapBytes, source.firstSeq)
  let counted: { readonly records: number; readonly runs: number }
  try {
    tools.at?.("created")
    const refs = new SourceRefs(job.startOffsets)
    await refs.collect(source, job.nextSeq, tools.pace)
    tools.at?.("collected")
    counted = await writeRuns(source, target, refs, tools)
    await writeFrames(source, target, refs, tools)
    await copySnapshots(source, target, tools)
    await target.complete()
    tools.at?.("completed")
  } finally {
    await target.close()
    source.close()
  }
  tools.at?.("closed")
  await syncFile(job.target)
  tools.at?.("synced")
  return { ...counted, bytesIn: fs.statSync(job.source).size, bytesOut: fs.statSync(job.target).size }
}

const writeRuns = async (
  source: SegmentSource,
  target: LmdbSegment,
  refs: SourceRefs,
  tools: SettleTools
): Promise<{ readonly records: number; readonly runs: number }> => {
  const writes = new Writes(tools)
  const pages: Array<Buffer> = []
  const extents = new ExtentPages()
  let records = 0
  let runs = 0
  const builder = new RunBuilder((extent, bytes) => {
    const page = extents.add(extent)
    if (page !== undefined) pages.push(page)
    records += extent.count
    runs++
    writes.put(target.putRun(extent.logId, extent.baseOffset + extent.count - 1, bytes), bytes.length)
  })
  for (const slices of cuts(refs.logs, gatherBytesMax)) {
    const gathered = await gather(source, refs, slices, tools.pace)
    tools.at?.("gathered")
    let position = 0
    for (const { ordinal, from, to } of slices) {
      const { logId, index } = refs.logs[ordinal]!
      for (let i = from; i < to; i++) {
        const ref = index.at(i)
        const { place, byteLength, baseOffset, count } = ref
        if (place === "value") {
          builder.add(logId, ref, checked(logId, ref, source.batch(logId, baseOffset + count - 1)))
        } else {
          builder.add(logId, ref, gathered.subarray(position, position + byteLength))
          position += byteLength
        }
        if (writes.isFull) await writes.flush("runs")
      }
    }
  }
  builder.end()
  const last = extents.take()
  if (last !== undefined) pages.push(last)
  pages.forEach((page, i) => writes.put(target.putExtents(i, page), page.length))
  await writes.flush("runs")
  if (records !== refs.records) throw new JournalError("Gap", `${records} records in runs, ${refs.records} referred to`)
  return { records, runs }
}

const writeFrames = async (
  source: SegmentSource,
  target: LmdbSegment,
  refs: SourceRefs,
  tools: SettleTools
): Promise<void> => {
  const writes = new Writes(tools)
  const scratch = new ByteWriter()
  for (const seq of refs.frameSeqs) {
    const frame = stripFrame(source.frame(seq)!, scratch)
    writes.put(target.putFrame(seq, frame), frame.length)
    if (writes.isFull) await writes.flush("frames")
  }
  await writes.flush("frames")
}

/** Replay debugging begins at them. A page that fails its checksum makes its snapshot none, here as there. */
const copySnapshots = async (source: SegmentFile, target: LmdbSegment, { at, pace }: SettleTools): Promise<void> => {
  for (const { fromSeq, index } of source.snapshotPages()) {
    const page = source.page(fromSeq, index)
    if (page !== undefined) await target.writePage(fromSeq, index, page)
    at?.("snapshots")
    await pace.step()
  }
  for (const { fromSeq, pages } of source.sealed()) await target.seal(fromSeq, pages)
}

const syncFile = async (file: string): Promise<void> => {
  const handle = await fs.promises.open(file, "r+")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
