import type { SegmentFile } from "../journal/SegmentFile.ts"
import type { SegmentSource } from "../journal/SegmentSource.ts"
import type { Seq } from "../journal/Journal.ts"
import type { Located } from "../storage/LogIndex.ts"
import type { Pace } from "./Pace.ts"
import type { SettleTools } from "./SettleJob.ts"

/** Records of one log that lie together: one commit's, or with `place` "run" a run of a settled segment. */
export interface Piece {
  readonly ref: Located
  /** Valid until the next piece, unless it is a run or a producer's own. */
  readonly bytes: Uint8Array
}

/** The reader of a closed segment: `SegmentFile`; the simulation has its own. */
export type SettleSource = SegmentSource & Pick<SegmentFile, "snapshotPages" | "batchView">

/** A closed segment as settling reads it. */
export interface LogSource {
  readonly segment: SettleSource
  /** Finds frames and records, and checks that neither has a gap. Before all others; throws `JournalError`: "Gap", "Corrupt". */
  readonly collect: (pace: Pace) => Promise<void>
  /** The frames that are kept, ascending. */
  readonly frameSeqs: ReadonlyArray<Seq>
  /** Offsets that the pieces cover. */
  readonly records: number
  /**
   * All pieces of a log that reach above its start, in the order of offsets, some at a time. Logs are asked for in ascending order,
   * each read to its end. Throws `JournalError` "Corrupt" with the place.
   */
  readonly piecesOf: (logId: number, tools: SettleTools) => AsyncIterable<Iterable<Piece>>
}
