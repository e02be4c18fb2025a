import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { LogStore } from "@logbrook/core/storage/LogStore"

/** Records that lie together, as the index knows them without reading them. Times are Unix ms. */
export interface LogPart {
  readonly baseOffset: number
  /** It counts offsets, where compaction took records away. */
  readonly count: number
  readonly firstTimestampMs: number
  readonly maxTimestampMs: number
}

/** A partition as its readers see it: what is durable and has not expired. */
export interface PartitionLog {
  readonly startOffset: number
  /** The offset behind the last record. */
  readonly highWatermark: number
  /** Where reading ends: whatever is behind it may still be aborted. */
  readonly lastStableOffset: number
  /** How many parts there are below it, in whole or in part, and the one at an index, the oldest first. */
  readonly parts: number
  readonly part: (index: number) => LogPart
  /** Whole record batches below the end, from the one that holds `offset` on, up to `bytesMax` but at least one. Throws `JournalError`. */
  readonly read: (offset: number, bytesMax: number) => ReadonlyArray<Uint8Array>
  /** Whether a batch that was read has nothing for a reader: it ends a transaction, or belongs to one that was aborted. */
  readonly isHidden: (batch: Uint8Array) => boolean
  /** The first offset whose record is at or behind `timestampMs`; undefined: there is none. Throws `JournalError`. */
  readonly offsetForTimestamp: (timestampMs: number) => number | undefined
  /** Runs `wake` behind every append, and when the log is deleted, until what is returned is called. */
  readonly onAppend: (wake: () => void) => () => void
}

/** The log of this id, in the store of its shard. */
export const partitionLogOf = (logs: LogStore, logId: number): PartitionLog => {
  const log = logs.log(logId)
  return {
    get startOffset() {
      return log.startOffset
    },
    get highWatermark() {
      return log.highWatermark
    },
    get lastStableOffset() {
      return log.lastStableOffset
    },
    get parts() {
      const { lastStableOffset, index } = log
      return lastStableOffset === log.highWatermark ? index.count : index.findEnd(lastStableOffset)
    },
    part: (index) => log.index.at(index),
    read: (offset, bytesMax) => logs.read(log, offset, bytesMax, { endOffset: log.lastStableOffset }),
    isHidden: (batch) =>
      RecordBatch.isTransactional(batch) &&
      (RecordBatch.isControl(batch) || log.isAborted(RecordBatch.producerId(batch), RecordBatch.baseOffset(batch))),
    offsetForTimestamp: (timestampMs) => logs.offsetForTimestamp(log, timestampMs)?.offset,
    onAppend: (wake) => log.onAppend(wake)
  }
}
