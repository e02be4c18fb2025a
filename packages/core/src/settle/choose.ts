import type { Seq } from "../journal/Journal.ts"

/** A closed segment, as the choice sees it. */
export interface Candidate {
  readonly firstSeq: Seq
  /** The bytes of its file. */
  readonly bytes: number
  /** The bytes that would remain of these. */
  readonly liveBytes: number
  readonly isSettled: boolean
  /** It failed: it stays as it is. */
  readonly isGivenUp: boolean
}

export interface Work {
  readonly kind: "settle" | "compact" | "rewrite" | "merge"
  /** The first seqs of adjacent segments, the oldest first. */
  readonly firstSeqs: ReadonlyArray<Seq>
}

export interface ChoiceLimits {
  readonly segmentBytes: number
  /** A rewrite that frees less is not worth its syncs. */
  readonly freedBytesMin: number
}

/** With more than this alive, a rewrite would write more than it frees. */
const liveShareMax = 1 / 2
/** The most that merged segments have together, as a share of a segment's bytes. */
const mergedShareMax = 1 / 2
/** Files that are open at a time. */
const mergedMax = 32

/**
 * Says what to do next with the closed segments of a journal, the oldest first; undefined: nothing.
 *
 * 1. Settle what is not settled, the oldest first.
 * 2. Rewrite the segment with the largest dead share: half at least, so that at most a byte is written per byte freed.
 * 3. Merge neighbours that are small together, as many as possible. None of them is more than half of all, so that each
 *    merge at least doubles the file in which a byte lies, and few merges touch it.
 */
export const choose = (closed: ReadonlyArray<Candidate>, limits: ChoiceLimits): Work | undefined => {
  const unsettled = closed.find(({ isSettled, isGivenUp }) => !isSettled && !isGivenUp)
  if (unsettled !== undefined) return { kind: "settle", firstSeqs: [unsettled.firstSeq] }
  return rewrite(closed, limits) ?? merge(closed, limits)
}

const isFit = ({ isSettled, isGivenUp }: Candidate): boolean => isSettled && !isGivenUp

const rewrite = (closed: ReadonlyArray<Candidate>, { freedBytesMin }: ChoiceLimits): Work | undefined => {
  let found: Candidate | undefined
  for (const each of closed) {
    const isWorth = isFit(each) && liveShare(each) <= liveShareMax && each.bytes - each.liveBytes >= freedBytesMin
    if (isWorth && (found === undefined || liveShare(each) < liveShare(found))) found = each
  }
  return found && { kind: "rewrite", firstSeqs: [found.firstSeq] }
}

const liveShare = ({ bytes, liveBytes }: Candidate): number => liveBytes / bytes

const merge = (closed: ReadonlyArray<Candidate>, { segmentBytes }: ChoiceLimits): Work | undefined => {
  let best: ReadonlyArray<Candidate> = []
  for (let from = 0; from < closed.length; from++) {
    let sum = 0
    let largest = 0
    for (let end = from; end < Math.min(closed.length, from + mergedMax); end++) {
      const each = closed[end]!
      sum += each.liveBytes
      largest = Math.max(largest, each.liveBytes)
      if (!isFit(each) || sum > segmentBytes * mergedShareMax) break
      if (end - from + 1 > Math.max(1, best.length) && sum >= 2 * largest) best = closed.slice(from, end + 1)
    }
  }
  return best.length < 2 ? undefined : { kind: "merge", firstSeqs: best.map(({ firstSeq }) => firstSeq) }
}
