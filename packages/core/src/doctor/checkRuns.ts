import { crc32c } from "@node-rs/crc32"
import * as path from "node:path"
import type { Extent } from "../journal/Extent.ts"
import { JournalError } from "../journal/Journal.ts"
import * as RecordBatch from "../RecordBatch.ts"
import type { ChainState } from "./checkSegment.ts"
import type { Findings } from "./Finding.ts"
import { PageDamage } from "./LmdbFile.ts"
import type { SegmentSource } from "./SegmentSource.ts"

/** Offsets of one log that a segment's frames refer to. */
export interface Covered {
  readonly baseOffset: number
  endOffset: number
}

/**
 * Reads a settled segment's runs: their checksums, their batches one after the other, and that each log's lie side by side
 * up to where its references end. Where they begin, only retention knows.
 */
export const checkRuns = async (
  source: SegmentSource,
  covered: ReadonlyMap<number, Covered>,
  chain: Pick<ChainState, "bytes">,
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
    const misplaced = wrongPlace(extents, i, covered.get(logId))
    if (misplaced !== undefined) findings.damage("offsets", misplaced, place)
    const wrong = wrongBytes(source, extent)
    if (wrong !== undefined) findings.damage("records", wrong, place)
    chain.bytes += extent.byteLength
    await pause(extent.byteLength)
  }
}

const endOf = ({ baseOffset, count }: Extent): number => baseOffset + count

const wrongPlace = (extents: ReadonlyArray<Extent>, i: number, covered: Covered | undefined): string | undefined => {
  const extent = extents[i]!
  const before = extents[i - 1]
  const next = extents[i + 1]
  if (covered === undefined) return "a run of a log that no frame refers to"
  if (before?.logId === extent.logId && endOf(before) !== extent.baseOffset) {
    return `a run at offset ${extent.baseOffset} where ${endOf(before)} was next`
  }
  if (extent.baseOffset < covered.baseOffset) return `a run that begins before offset ${covered.baseOffset}`
  if (next?.logId !== extent.logId && endOf(extent) !== covered.endOffset) {
    return `the last run ends at offset ${endOf(extent)}, references at ${covered.endOffset}`
  }
  return undefined
}

const wrongBytes = (source: SegmentSource, extent: Extent): string | undefined => {
  try {
    const bytes = source.batch(extent.logId, endOf(extent) - 1)
    if (bytes === undefined) return "records are missing"
    if (bytes.length !== extent.byteLength || crc32c(bytes) !== extent.crc) return "records fail their checksum"
    let nextOffset = extent.baseOffset
    RecordBatch.batchesOf(bytes, (at) => {
      if (RecordBatch.baseOffset(bytes, at) === nextOffset) nextOffset = RecordBatch.lastOffset(bytes, at) + 1
    })
    return nextOffset === endOf(extent) ? undefined : "a run whose batches do not follow each other"
  } catch (error) {
    if (error instanceof PageDamage) return `records cannot be reached: ${error.message}`
    if (error instanceof RecordBatch.InvalidBatch) return error.message
    throw error
  }
}
