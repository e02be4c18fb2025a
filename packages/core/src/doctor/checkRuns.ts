import { crc32c } from "@node-rs/crc32"
import * as path from "node:path"
import { endOf, follows, type Extent } from "../journal/Extent.ts"
import { JournalError } from "../journal/JournalError.ts"
import * as RecordBatch from "../RecordBatch.ts"
import type { ChainState, Covered } from "./ChainState.ts"
import type { Findings } from "./Finding.ts"
import { PageDamage } from "../journal/LmdbFile.ts"
import type { SegmentSource } from "../journal/SegmentSource.ts"

/**
 * Reads a settled segment's runs: their checksums, their batches one after the other, and that each log's lie side by side
 * up to where its references end. Where they begin, only retention knows; where events have expired, so have references.
 */
export const checkRuns = async (
  source: SegmentSource,
  covered: ReadonlyMap<number, Covered>,
  chain: Pick<ChainState, "bytes" | "records" | "logEnds">,
  findings: Findings,
  pause: (bytes: number) => Promise<void> | void
): Promise<void> => {
  const segment = path.basename(source.path)
  const extents: Array<Extent> = []
  try {
    source.visitRuns((extent) => extents.push(extent))
  } catch (error) {
    if (!(error instanceof PageDamage) && !(error instanceof JournalError)) throw error
    findings.damage("records", `runs cannot be found: ${error.message}`, { segment })
    return
  }
  for (const [i, extent] of extents.entries()) {
    const { logId, baseOffset, count } = extent
    const place = { segment, seq: source.firstSeq, logId, baseOffset, lastOffset: baseOffset + count - 1 }
    const isWhole = source.firstEventSeq === source.firstSeq
    const misplaced = wrongPlace(extents, i, covered.get(logId), isWhole)
    if (misplaced !== undefined) findings.damage("offsets", misplaced, place)
    const wrong = wrongBytes(source, extent)
    if (wrong !== undefined) findings.damage("records", wrong, place)
    chain.bytes += extent.byteLength
    if (!isWhole) countUnreferred(extent, covered.get(logId), chain)
    await pause(extent.byteLength)
  }
}

/** Records of expired events: nothing else tells of them, nor where the log goes on; of a compacted one nothing does. */
const countUnreferred = (
  extent: Extent,
  covered: Covered | undefined,
  chain: Pick<ChainState, "records" | "logEnds">
): void => {
  const endOffset = Math.min(endOf(extent), covered?.baseOffset ?? Infinity)
  chain.records += Math.max(0, endOffset - extent.baseOffset)
  if (extent.isCompacted) chain.logEnds.delete(extent.logId)
  else if (covered === undefined) chain.logEnds.set(extent.logId, endOf(extent))
}

/** `isWhole`: every event of the segment is there, and so is every reference. */
const wrongPlace = (
  extents: ReadonlyArray<Extent>,
  i: number,
  covered: Covered | undefined,
  isWhole: boolean
): string | undefined => {
  const extent = extents[i]!
  const before = extents[i - 1]
  const next = extents[i + 1]
  if (covered === undefined && isWhole) return "a run of a log that no frame refers to"
  if (before?.logId === extent.logId && !follows(before, extent)) {
    return `a run at offset ${extent.baseOffset} where ${endOf(before)} was next`
  }
  if (covered === undefined) return undefined
  if (isWhole && extent.baseOffset < covered.baseOffset) return `a run that begins before offset ${covered.baseOffset}`
  // The last records of a compacted log's run may be gone.
  if (extent.isCompacted && endOf(extent) < covered.endOffset) return undefined
  if (next?.logId !== extent.logId && endOf(extent) !== covered.endOffset) {
    return `the last run ends at offset ${endOf(extent)}, references at ${covered.endOffset}`
  }
  return undefined
}

/** Where the run's batches end, as far as each follows the one before; offsets between those of a compacted log may be gone. */
const endOfBatches = (bytes: Uint8Array, { baseOffset, isCompacted }: Extent): number => {
  let nextOffset = baseOffset
  RecordBatch.batchesOf(bytes, (at) => {
    const batchOffset = RecordBatch.baseOffset(bytes, at)
    const isNext = batchOffset === nextOffset || (isCompacted && batchOffset > nextOffset)
    if (isNext) nextOffset = RecordBatch.lastOffset(bytes, at) + 1
  })
  return nextOffset
}

const wrongBytes = (source: SegmentSource, extent: Extent): string | undefined => {
  try {
    const bytes = source.batch(extent.logId, endOf(extent) - 1)
    if (bytes === undefined) return "records are missing"
    if (bytes.length !== extent.byteLength || crc32c(bytes) !== extent.crc) return "records fail their checksum"
    return endOfBatches(bytes, extent) === endOf(extent) ? undefined : "a run whose batches do not follow each other"
  } catch (error) {
    if (error instanceof PageDamage) return `records cannot be reached: ${error.message}`
    if (error instanceof RecordBatch.InvalidBatch) return error.message
    throw error
  }
}
