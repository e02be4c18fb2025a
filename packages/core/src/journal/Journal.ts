import type { Extent } from "./Extent.ts"

/** Position in the journal: every event has one, dense from 1 on. A whole number below 2^53. */
export type Seq = number

/** Whole record batches with a key of their own. */
export interface StoredBatch {
  readonly logId: number
  readonly lastOffset: number
  readonly bytes: Uint8Array
}

/** A group commit, fully encoded before its first byte is written. */
export interface Commit {
  readonly firstSeq: Seq
  /** The seq after the commit's last event. */
  readonly nextSeq: Seq
  readonly frame: Buffer
  /** The small records that do not fit into the frame, under (firstSeq, index). */
  readonly chunks: ReadonlyArray<Buffer>
  readonly batches: ReadonlyArray<StoredBatch>
  /** References to record batches in the frame. */
  readonly refCount: number
  readonly byteLength: number
}

export type AppendFailureReason =
  /** Another owner has taken the shard over: its epoch is higher. */
  | "Fenced"
  /** Refused before anything was written; may be tried again. */
  | "Busy"
  /** Nothing can be written now (disk, network); nothing of the commit is there. */
  | "Unavailable"
  /** Nobody knows whether the commit is there: the owner must stop and replay. */
  | "Indeterminate"
  /** The commit is above what the journal can take. */
  | "TooLarge"

export interface AppendFailure {
  readonly reason: AppendFailureReason
  readonly detail: string
}

export interface SegmentInfo {
  readonly name: string
  readonly firstSeq: Seq
  /** The seq after the segment's last event. */
  readonly nextSeq: Seq
  readonly bytes: number
  /** The oldest event whose frame is kept; `nextSeq` if there is none: its records are all that is kept then. */
  readonly firstEventSeq: Seq
  /** The bytes that frames and snapshots take of a settled segment, about; 0 if it is not settled. */
  readonly historyBytes: number
  /** Its records lie in runs, per log in order. */
  readonly isSettled: boolean
}

/** A piece of a fuzzy snapshot: states as they were just before `seq`. */
export interface SnapshotPage {
  readonly seq: Seq
  readonly bytes: Buffer
}

export interface Snapshot {
  /** Replay begins here: the seq at which the first page was taken. */
  readonly fromSeq: Seq
  readonly pages: ReadonlyArray<SnapshotPage>
}

/**
 * The totally ordered events of one shard, durable, and the records beside them. A replicated log would stand in for
 * this interface.
 */
export interface JournalLog {
  /** The oldest event kept. */
  readonly firstSeq: Seq
  /** The seq after the last durable event. */
  readonly nextSeq: Seq
  /**
   * Makes one commit durable, all or nothing. `done` runs once, never before the call returns, in the order of the appends.
   * After a failure other than `Busy` and `TooLarge` the journal is poisoned: no append succeeds any more,
   * and every later append fails with `Unavailable`.
   */
  readonly append: (commit: Commit, done: (failure: AppendFailure | undefined) => void) => void
  /** Visits the durable frames from the one that holds `fromSeq`, ascending, until `visit` says false. The view is valid during the visit only. */
  readonly scan: (fromSeq: Seq, visit: (frame: Buffer) => boolean) => void
  /** The frame that begins at `firstSeq`. The view, as of `chunk`, `batch` and `run`, is valid until the next read of any journal. */
  readonly frame: (firstSeq: Seq) => Buffer | undefined
  /** A chunk of the commit at `firstSeq`. */
  readonly chunk: (firstSeq: Seq, index: number) => Buffer | undefined
  /** The batches whose last record is at `lastOffset`, written by the commit at `firstSeq`. */
  readonly batch: (firstSeq: Seq, logId: number, lastOffset: number) => Buffer | undefined
}

/** States of actors, so that a replay need not begin at the first event. */
export interface SnapshotStore {
  /** Page `index` of the snapshot that began at `fromSeq`. */
  readonly writePage: (fromSeq: Seq, index: number, page: SnapshotPage, done: (ok: boolean) => void) => void
  /** Seals the snapshot that began at `fromSeq`: from now on a replay may begin there. */
  readonly completeSnapshot: (fromSeq: Seq, pages: number, done: (ok: boolean) => void) => void
  /** The newest complete one that knows nothing from `atSeq` on. */
  readonly snapshot: (atSeq: Seq) => Snapshot | undefined
}

/** The pieces in which a node keeps the journal: replaced by settled ones, and dropped from the oldest end. */
export interface SegmentStore {
  readonly segments: () => ReadonlyArray<SegmentInfo>
  /** Where the segment that is written begins; it moves on with each roll. */
  readonly writtenSegmentSeq: Seq
  /** The run that ends with `lastOffset`, in the settled segment that begins at `segmentSeq`. */
  readonly run: (segmentSeq: Seq, logId: number, lastOffset: number) => Buffer | undefined
  /** Visits the runs of the settled segment that begins at `segmentSeq`, in the order of logs and offsets. */
  readonly visitRuns: (segmentSeq: Seq, visit: (extent: Extent) => void) => void
  /** Gives up the oldest segment; never the one that is written, and none that is being replaced by another file. */
  readonly dropOldest: () => Promise<void>
}

/**
 * All that a shard needs of its journal. `SegmentChain` is all three over segments on a disk (`LmdbJournal`), in memory
 * (`MemoryJournal`) or on a simulated disk; one suite runs over all.
 */
export interface Journal extends JournalLog, SnapshotStore, SegmentStore {
  /** Waits for what is in flight, then lets go of every handle. */
  readonly close: () => Promise<void>
}
