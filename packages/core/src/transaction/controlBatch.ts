import * as RecordBatch from "../RecordBatch.ts"
import type { Marker, TransactionOutcome } from "./Marker.ts"

// A control batch has one record (KIP-98). Its key: version i16, type i16 (0 abort, 1 commit); its value: version i16,
// coordinator epoch i32. Both in version 0.

const keyBytes = 4
const valueBytes = 6
const types: ReadonlyArray<TransactionOutcome> = ["abort", "commit"]

/** A length as a record has it: zigzag, and one byte as long as it is below 64. */
const shortLength = (length: number): number => length * 2

/** The record behind its length: attributes, time and offset deltas, key, value, no headers. */
const recordBytes = 3 + 1 + keyBytes + 1 + valueBytes + 1

const recordOf = ({ outcome, coordinatorEpoch }: Marker): Buffer => {
  const record = Buffer.alloc(1 + recordBytes)
  let at = record.writeUInt8(shortLength(recordBytes), 0)
  at += 3
  at = record.writeUInt8(shortLength(keyBytes), at)
  at = record.writeInt16BE(0, at)
  at = record.writeInt16BE(types.indexOf(outcome), at)
  at = record.writeUInt8(shortLength(valueBytes), at)
  at = record.writeInt16BE(0, at)
  record.writeInt32BE(coordinatorEpoch, at)
  return record
}

/** The batch with which a transaction ends in a partition; its offset and leader epoch are stamped on append. */
export const controlBatch = (marker: Marker, timestampMs: number): Uint8Array =>
  RecordBatch.buildBatch(
    {
      baseOffset: 0,
      partitionLeaderEpoch: 0,
      isTransactional: true,
      isControl: true,
      count: 1,
      baseTimestampMs: timestampMs,
      maxTimestampMs: timestampMs,
      producerId: marker.producerId,
      producerEpoch: marker.producerEpoch
    },
    recordOf(marker)
  )
