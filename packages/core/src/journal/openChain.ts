import * as fs from "node:fs"
import * as path from "node:path"
import { readFrameHead } from "./Frame.ts"
import { JournalError, type Seq } from "./Journal.ts"
import { throwIfDamaged } from "./lmdbHeader.ts"
import { LmdbSegment, settledTableNames, tableNames } from "./LmdbSegment.ts"
import { removeEnvironment, removeTemporaries, segmentFiles, segmentIndexes, segmentName } from "./segmentFiles.ts"

/** One segment of the chain. */
export interface Opened {
  /** The original, or once it was given up the settled file. */
  segment: LmdbSegment
  /** The settled file, if there is one. */
  runs: LmdbSegment | undefined
  readonly index: number
  nextSeq: Seq
  bytes: number
  refs: number
}

export interface OpenOptions {
  readonly directory: string
  readonly mapBytes: number
  /** Looks at all pages first, not at roots only. */
  readonly everyPage: boolean
}

/**
 * Opens every segment in order, and clears away what crashes left of settlings.
 * Throws `JournalError`; what was opened before is in `chain`.
 */
export const openChain = (options: OpenOptions, chain: Array<Opened>): void => {
  removeTemporaries(options.directory)
  for (const index of segmentIndexes(options.directory)) {
    const opened = openSegment(options, index)
    const before = chain.at(-1)
    chain.push(opened)
    if (before !== undefined && opened.segment.firstSeq !== before.nextSeq) {
      throw new JournalError(
        "Gap",
        `${segmentName(index)} begins at seq ${opened.segment.firstSeq}, expected ${before.nextSeq}`
      )
    }
  }
}

const openSegment = (options: OpenOptions, index: number): Opened => {
  const { original, settled } = segmentFiles(options.directory, index)
  const isSettled = fs.existsSync(settled)
  const file = isSettled ? settled : original
  throwIfDamaged(file, options.everyPage, isSettled ? settledTableNames : tableNames)
  const segment = LmdbSegment.open(file, options.mapBytes)
  const last = segment.floor(Number.MAX_SAFE_INTEGER)
  if (last !== undefined && segment.frame(segment.firstSeq) === undefined) {
    void segment.close()
    const name = path.basename(file)
    throw new JournalError("Corrupt", `${name} has no frame at seq ${segment.firstSeq}, where it says that it begins`)
  }
  if (isSettled) removeEnvironment(original)
  const nextSeq = last === undefined ? segment.firstSeq : readFrameHead(segment.frame(last)!).nextSeq
  // One without a commit is not full, whatever its file takes: else a segment with nothing in it would follow another.
  const bytes = last === undefined ? 0 : fs.statSync(file).size
  return { segment, runs: isSettled ? segment : undefined, index, nextSeq, bytes, refs: 0 }
}
