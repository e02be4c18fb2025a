import type { Seq } from "../journal/Journal.ts"
import type { Compactable } from "../storage/LogIndex.ts"

/** A compacted stream's settings, under Kafka's names. */
export interface CompactionSettings {
  readonly minCleanableDirtyRatio: number
  /** Records are not cleaned before they are as old. */
  readonly minCompactionLagMs: number
  /** Records are cleaned once they are as old, whatever the ratio. */
  readonly maxCompactionLagMs: number
  readonly deleteRetentionMs: number
}

export interface CompactionCandidate {
  readonly logId: number
  readonly settings: CompactionSettings
  readonly compactable: Compactable
}

/**
 * A segment has the records of many logs, and all of it is written anew: as many bytes at most per dirty byte, but for records
 * that are overdue.
 */
const rewrittenBytesPerDirtyByteMax = 8

/**
 * The logs that one compaction cleans together; none: nothing is to be done. A log is due when the dirty share of its bytes is
 * above its least one, or when its oldest dirty record has waited its longest lag. Those with most dirty bytes come first, as
 * many as are worth the segments that they lie in.
 */
export const chooseCompaction = (
  candidates: ReadonlyArray<CompactionCandidate>,
  nowMs: number,
  segmentBytes: ReadonlyMap<Seq, number>
): ReadonlyArray<CompactionCandidate> => {
  const dirty = candidates.filter(({ compactable }) => compactable.dirtyFrom !== undefined)
  const overdue = dirty.filter((each) => isOverdue(each, nowMs))
  const due = dirty
    .filter((each) => !overdue.includes(each) && isDirty(each))
    .sort((a, b) => b.compactable.dirtyBytes - a.compactable.dirtyBytes)
  const all = [...overdue, ...due]
  const segments = new Set<Seq>()
  let dirtyBytes = 0
  let rewrittenBytes = 0
  let chosen = overdue.length
  for (const [i, { compactable }] of all.entries()) {
    dirtyBytes += compactable.dirtyBytes
    for (const seq of compactable.segments) {
      if (segments.has(seq)) continue
      segments.add(seq)
      rewrittenBytes += segmentBytes.get(seq) ?? 0
    }
    if (rewrittenBytes <= dirtyBytes * rewrittenBytesPerDirtyByteMax) chosen = Math.max(chosen, i + 1)
  }
  return all.slice(0, chosen)
}

const isOverdue = ({ settings, compactable }: CompactionCandidate, nowMs: number): boolean =>
  nowMs - compactable.dirtySinceMs > settings.maxCompactionLagMs

const isDirty = ({ settings, compactable: { dirtyBytes, laterBytes, cleanBytes } }: CompactionCandidate): boolean =>
  dirtyBytes + laterBytes > settings.minCleanableDirtyRatio * (dirtyBytes + laterBytes + cleanBytes)
