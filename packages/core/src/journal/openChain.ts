import * as path from "node:path"
import type { LastEnd } from "../FileLock.ts"
import { readFrameHead } from "./Frame.ts"
import type { Seq } from "./Journal.ts"
import { JournalError } from "./JournalError.ts"
import { throwIfDamaged } from "./lmdbHeader.ts"
import { LmdbSegment, settledTableNames, tableNames } from "./LmdbSegment.ts"
import { namesIn, removeEnvironment, removeTemporaries, syncDirectory } from "./segmentFiles.ts"
import type { Link } from "./SegmentChain.ts"
import { chainOf, type SegmentName } from "./segmentNames.ts"

export interface OpenOptions {
  readonly directory: string
  readonly mapBytes: number
  readonly lastEnd: LastEnd
}

/**
 * Opens every segment in order, and clears away what crashes left of settlings. If the last writer did not let go,
 * every page of the newest segment is looked at; if the writer before did not either, every page of all segments: a
 * damaged page, which LMDB follows into nowhere, may have ended both. After one kill a start does not read a whole
 * directory (717 MB on a cold disk: 2.5 to 4.9 s).
 * Throws `JournalError`; what was opened before is in `chain`.
 */
export const openChain = (options: OpenOptions, chain: Array<Link<LmdbSegment>>): void => {
  const { directory } = options
  removeTemporaries(directory)
  const { live, superseded } = chainOf(namesIn(directory))
  for (const name of live) {
    const isSuspect = options.lastEnd === "uncleanAgain" || (options.lastEnd === "unclean" && name === live.at(-1))
    const opened = openSegment(options, name, isSuspect)
    const before = chain.at(-1)
    chain.push(opened)
    if (before !== undefined && opened.segment.firstSeq !== before.nextSeq) {
      throw new JournalError("Gap", `${name.name} begins at seq ${opened.segment.firstSeq}, expected ${before.nextSeq}`)
    }
  }
  for (const { name } of superseded) removeEnvironment(path.join(directory, name))
  // Else a power cut could bring some of them back when what replaced them is gone.
  if (superseded.length > 0) syncDirectory(directory)
}

const openSegment = (options: OpenOptions, name: SegmentName, everyPage: boolean): Link<LmdbSegment> => {
  const file = path.join(options.directory, name.name)
  throwIfDamaged(file, everyPage, name.revision > 0 ? settledTableNames : tableNames)
  const segment = LmdbSegment.open(file, options.mapBytes)
  try {
    const nextSeq = frameRange(segment, name)
    // A segment without a commit is not full, whatever its file takes: else a segment with nothing in it would follow
    // another.
    const isEmpty = nextSeq === segment.firstSeq
    return { segment, name, nextSeq, bytes: isEmpty ? 0 : segment.usedBytes, refs: 0, successor: undefined }
  } catch (error) {
    void segment.close()
    if (error instanceof JournalError) throw error
    throw new JournalError("Corrupt", `${name.name} cannot be read: ${(error as Error).message}`)
  }
}

/** Returns the seq after the last event. Throws `JournalError` "Corrupt" where the first or the last frame is missing. */
const frameRange = (segment: LmdbSegment, { name }: SegmentName): Seq => {
  const { firstEventSeq } = segment
  const last = segment.floor(Number.MAX_SAFE_INTEGER)
  const nextSeq = last === undefined ? firstEventSeq : readFrameHead(segment.frame(last)!).nextSeq
  if (last !== undefined && segment.frame(firstEventSeq) === undefined) {
    throw new JournalError("Corrupt", `${name} has no frame at seq ${firstEventSeq}, where it says that it begins`)
  }
  if (segment.nextSeq !== undefined && segment.nextSeq !== nextSeq) {
    throw new JournalError("Corrupt", `${name} has no frame that ends at seq ${segment.nextSeq}`)
  }
  return nextSeq
}
