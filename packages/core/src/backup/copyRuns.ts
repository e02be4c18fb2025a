import { crc32c } from "@node-rs/crc32"
import type { SegmentSource } from "../journal/SegmentSource.ts"
import { endOf, ExtentPages, type Extent } from "../journal/Extent.ts"
import { JournalError } from "../journal/JournalError.ts"
import type { LmdbSegment } from "../journal/LmdbSegment.ts"
import { RecordReader } from "../Record.ts"
import * as RecordBatch from "../RecordBatch.ts"
import { batchesOfRun } from "../storage/runs.ts"
import { allAccepted, guarded, type CopyOptions } from "./copying.ts"

/**
 * Copies a settled segment's runs up to where each log ends. Runs that cannot be read are left out when salvaging:
 * their extents are kept, and reading them stays an error. Resolves with the bytes of all.
 */
export const copyRuns = async (
  source: SegmentSource,
  target: LmdbSegment,
  logEnd: (logId: number) => number,
  { salvage, pause }: CopyOptions
): Promise<number> => {
  const extents: Array<Extent> = []
  guarded(salvage, () => source.visitRuns((extent) => extents.push(extent)))
  const pages = new ExtentPages()
  const full: Array<Buffer> = []
  let runBytes = 0
  for (const extent of extents) {
    const endOffset = logEnd(extent.logId)
    if (extent.baseOffset >= endOffset) continue
    const bytes = guarded(salvage, () => source.batch(extent.logId, endOf(extent) - 1))
    const isWhole = bytes !== undefined && crc32c(bytes) === extent.crc
    if (!isWhole && !salvage) {
      throw new JournalError("Corrupt", `the run of log ${extent.logId} at offset ${extent.baseOffset} is damaged`)
    }
    const copy = endOf(extent) <= endOffset ? { extent, bytes } : isWhole ? cut(extent, bytes, endOffset) : undefined
    if (copy === undefined) continue
    const page = pages.add(copy.extent)
    if (page !== undefined) full.push(page)
    runBytes += copy.extent.byteLength
    if (isWhole) await allAccepted([target.putRun(extent.logId, endOf(copy.extent) - 1, copy.bytes!)])
    await pause(extent.byteLength)
  }
  const last = pages.take()
  if (last !== undefined) full.push(last)
  await allAccepted(full.map((page, i) => target.putExtents(i, page)))
  return runBytes
}

/** The run's records before `endOffset`, undefined for none. A producer's batch is one commit's, and never cut. */
const cut = (
  extent: Extent,
  bytes: Uint8Array,
  endOffset: number
): { extent: Extent; bytes: Uint8Array } | undefined => {
  const kept: Array<Uint8Array> = []
  for (const batch of batchesOfRun(bytes, { ...extent, frameSeq: 0 }, 0)) {
    if (RecordBatch.baseOffset(batch) >= endOffset) break
    kept.push(RecordBatch.lastOffset(batch) < endOffset ? batch : cutBatch(batch, endOffset))
  }
  const last = kept.at(-1)
  if (last === undefined) return undefined
  const whole = Buffer.concat(kept)
  return {
    bytes: whole,
    extent: {
      ...extent,
      count: RecordBatch.lastOffset(last) + 1 - extent.baseOffset,
      maxTimestampMs: Math.max(...kept.map((batch) => RecordBatch.maxTimestamp(batch))),
      byteLength: whole.length,
      crc: crc32c(whole),
      position: Math.max(...kept.map((batch) => batch.length))
    }
  }
}

/** A batch that the server made, plain: its first records. */
const cutBatch = (batch: Uint8Array, endOffset: number): Uint8Array => {
  const baseOffset = RecordBatch.baseOffset(batch)
  const baseTimestampMs = RecordBatch.baseTimestamp(batch)
  const records = batch.subarray(RecordBatch.batchHeaderBytes)
  const reader = new RecordReader().reset(records)
  let count = 0
  let recordsBytes = 0
  let lastOffsetDelta = 0
  let maxTimestampMs = -Infinity
  while (reader.nextDeltas() && baseOffset + reader.offsetDelta < endOffset) {
    count++
    recordsBytes = reader.position
    lastOffsetDelta = reader.offsetDelta
    maxTimestampMs = Math.max(maxTimestampMs, baseTimestampMs + reader.timestampDelta)
  }
  const fields: RecordBatch.BatchFields = {
    baseOffset,
    partitionLeaderEpoch: RecordBatch.partitionLeaderEpoch(batch),
    hasDeleteHorizon: RecordBatch.deleteHorizon(batch) !== undefined,
    count,
    lastOffsetDelta,
    baseTimestampMs,
    maxTimestampMs
  }
  return RecordBatch.buildBatch(fields, records.subarray(0, recordsBytes))
}
