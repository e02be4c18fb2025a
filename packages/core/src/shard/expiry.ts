import { frameTimeMs } from "../journal/Frame.ts"
import type { Journal, SegmentInfo, Seq } from "../journal/Journal.ts"

/** Events that only a look into the past would read. */
export interface ExpiredSegments {
  /** The bytes that they and those behind them, up to where a replay begins, take of the disk. */
  readonly bytes: number
  /** No event of the oldest segment is younger; Unix milliseconds. */
  readonly endedAtMs: number
}

export interface Needs {
  /** Nothing before this is needed for reading records. */
  readonly recordsSeq: Seq
  /** Nothing before this is needed for a replay. */
  readonly replaySeq: Seq
}

/**
 * Where the events begin that are kept: those that a replay needs, and before them those that `isHistory` tells of; a
 * segment's first seq. Time and bytes only fall from the oldest segment to the newest, and so the answer is searched.
 */
export const keptFromSeq = (
  journal: Pick<Journal, "segments" | "frame" | "firstSeq">,
  { recordsSeq, replaySeq }: Needs,
  isHistory: (expired: ExpiredSegments) => boolean
): Seq => {
  const segments = journal.segments()
  const past = segments.slice(0, -1).filter(({ nextSeq }) => nextSeq <= replaySeq)
  const bytesFrom = suffixSums(past.map((segment) => historyBytes(segment, recordsSeq)))
  const isKept = (i: number): boolean => {
    const { nextSeq } = past[i]!
    const behind = nextSeq > journal.firstSeq ? journal.frame(nextSeq) : undefined
    if (behind === undefined) return false
    const endedAtMs = frameTimeMs(behind)
    // A damaged segment tells nothing: it is kept, for whoever mends it.
    return endedAtMs === undefined || isHistory({ bytes: bytesFrom[i]!, endedAtMs })
  }
  if (past.length > 0 && isKept(0)) return past[0]!.firstSeq
  let low = 0
  let high = past.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (isKept(middle)) high = middle
    else low = middle + 1
  }
  return segments[low]!.firstSeq
}

/** The bytes that go with a segment's events: all of it if nobody can read its records. */
const historyBytes = ({ nextSeq, bytes, historyBytes: ofEvents }: SegmentInfo, recordsSeq: Seq): number =>
  nextSeq <= recordsSeq ? bytes : ofEvents

const suffixSums = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const sums = [...values]
  for (let i = sums.length - 2; i >= 0; i--) sums[i]! += sums[i + 1]!
  return sums
}
