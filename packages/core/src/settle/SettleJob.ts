import type { AbortedRange } from "../compact/CleanedTransactions.ts"
import type { Seq } from "../journal/Journal.ts"
import type { Replacement } from "../journal/SegmentChain.ts"
import type { Pace } from "./Pace.ts"

/** From where on each log is kept, by log id. */
export type StartOffsets = ReadonlyArray<readonly [logId: number, startOffset: number]>

/** A log that one compaction is to clean; the same for all segments that it goes through but for `cleanTo`, which may fall. */
export interface CompactedLog {
  readonly logId: number
  /** Below it no record has a newer one of its key below `cleanTo`, but for those from here on. */
  readonly dirtyFrom: number
  /** Where a run begins: what lies from here on stays as it is. */
  readonly cleanTo: number
  /** The offset after the log's last record. */
  readonly logEndOffset: number
  readonly deleteRetentionMs: number
  /** The aborted transactions of which anything lies below `cleanTo`. */
  readonly aborted: ReadonlyArray<AbortedRange>
  /** The producers of which a record stays in the segments before, and that no marker has ended there. */
  readonly unended: ReadonlyArray<number>
}

/** The outcome for a log in one segment. */
export type CleanedLog = Pick<CompactedLog, "logId" | "cleanTo" | "unended">

export interface CompactionJob {
  /** When the compaction began, Unix ms. */
  readonly nowMs: number
  /** The most bytes of the table of keys, which has the keys of one log at a time. */
  readonly mapBytesMax: number
  readonly logs: ReadonlyArray<CompactedLog>
  /** Files of settled segments that hold all runs of these logs from `dirtyFrom` to `cleanTo`, the oldest first. */
  readonly chain: ReadonlyArray<string>
}

export interface SettleJob extends Replacement {
  /** The logs whose records are copied, from these offsets on; the others of the segments were deleted or have expired. */
  readonly startOffsets: StartOffsets
  /** Frames before this are left out of segments that are settled already; 0: none. */
  readonly keptFromSeq: Seq
  /** Logs of a settled segment that lose the records which have newer ones of their keys. */
  readonly compaction?: CompactionJob
}

export interface Settled {
  /** The bytes of the sources' files. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly records: number
  readonly runs: number
  /** The logs of the compaction that have records in it, and how far they were cleaned. */
  readonly cleaned: ReadonlyArray<CleanedLog>
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
