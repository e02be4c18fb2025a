import type { RecordReader } from "../Record.ts"
import type { KeyMap } from "./KeyMap.ts"

/** The rule that decides about the records of a log that is compacted, besides the newest offsets of its keys. */
export interface CompactionRule {
  /** The offset after the log's last record, when the compaction was planned. */
  readonly logEndOffset: number
  /** Unix ms; the same for all segments of one compaction. */
  readonly nowMs: number
  /** How long a tombstone stays once all that it hides is gone. */
  readonly deleteRetentionMs: number
}

/** Whether the record that the reader stands at stays; `deleteHorizonMs`: its batch's, see `RecordBatch.deleteHorizon`. */
export type Keep = (record: RecordReader, offset: number, deleteHorizonMs: number | undefined) => boolean

export const isTombstone = (record: RecordReader): boolean => record.valueLength < 0

/**
 * | Record | Stays |
 * |---|---|
 * | the log's last | always: a reader that wants to come to the log's end gets there |
 * | without a key | no, as in Kafka; it can only be there if the stream was not compacted when it came |
 * | with a newer one of its key | no |
 * | tombstone, the newest of its key | until its batch's delete horizon, which the first compaction sets (KIP-534) |
 * | any other | yes |
 */
export const keepBy =
  (newest: KeyMap, { logEndOffset, nowMs }: CompactionRule): Keep =>
  (record, offset, deleteHorizonMs) => {
    if (offset === logEndOffset - 1) return true
    const key = record.key()
    if (key === null || newest.newestOffset(key) > offset) return false
    return !isTombstone(record) || deleteHorizonMs === undefined || nowMs < deleteHorizonMs
  }
