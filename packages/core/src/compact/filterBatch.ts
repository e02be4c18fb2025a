import { compress } from "../Compression.ts"
import { RecordReader, RecordsBuilder } from "../Record.ts"
import * as RecordBatch from "../RecordBatch.ts"
import { isTombstone, type Keep } from "./keepRecord.ts"

interface Marked {
  /** By the record's place in the batch: 1 if it stays. */
  readonly stays: Uint8Array
  readonly kept: number
  readonly hasTombstone: boolean
}

const mark = (batch: Uint8Array, records: Uint8Array, keep: Keep): Marked => {
  const baseOffset = RecordBatch.baseOffset(batch)
  const deleteHorizonMs = RecordBatch.deleteHorizon(batch)
  const stays = new Uint8Array(RecordBatch.count(batch))
  const reader = new RecordReader().reset(records)
  let kept = 0
  let hasTombstone = false
  for (let i = 0; reader.next(); i++) {
    if (!keep(reader, baseOffset + reader.offsetDelta, deleteHorizonMs)) continue
    stays[i] = 1
    kept++
    if (isTombstone(reader)) hasTombstone = true
  }
  return { stays, kept, hasTombstone }
}

/**
 * A producer's batch without the records that do not stay: the same bytes if all do, undefined if none does. The
 * records that are left keep their offsets and times, and the header all but the count, the CRC, the base time and the greatest
 * time; it is compressed anew with its own codec. Where the time of the append counts, the records get it, as from Kafka's
 * `filterTo`: what their producer gave them was never bounded.
 * A batch that has tombstones gets `deleteHorizonMs`, unless it has one (KIP-534).
 * Throws `InvalidBatch` or `InvalidRecord` for damaged bytes.
 */
export const filterBatch = (batch: Uint8Array, keep: Keep, deleteHorizonMs: number): Uint8Array | undefined => {
  return RecordBatch.withStoredRecordsOf(batch, (records) => {
    const { stays, kept, hasTombstone } = mark(batch, records, keep)
    if (kept === 0) return undefined
    const oldHorizonMs = RecordBatch.deleteHorizon(batch)
    const newHorizonMs = hasTombstone ? (oldHorizonMs ?? deleteHorizonMs) : oldHorizonMs
    if (kept === RecordBatch.count(batch) && newHorizonMs === oldHorizonMs) return batch
    return rebuilt(batch, records, stays, newHorizonMs)
  })
}

/** A control batch from whose `deleteHorizonMs` on it may go, unless it has one already. Throws as `filterBatch` does. */
export const withDeleteHorizon = (control: Uint8Array, deleteHorizonMs: number): Uint8Array =>
  RecordBatch.deleteHorizon(control) === undefined
    ? rebuilt(control, RecordBatch.storedRecordsOf(control), allStay, deleteHorizonMs)
    : control

/** A control batch has one record. */
const allStay = new Uint8Array([1])

const rebuilt = (
  batch: Uint8Array,
  records: Uint8Array,
  stays: Uint8Array,
  deleteHorizonMs: number | undefined
): Uint8Array => {
  const isLogAppendTime = RecordBatch.isLogAppendTime(batch)
  const appendTimeMs = isLogAppendTime ? RecordBatch.maxTimestamp(batch) : undefined
  const oldBaseMs = RecordBatch.baseTimestamp(batch)
  const left = new RecordsBuilder(Infinity, Infinity)
  left.begin(deleteHorizonMs ?? appendTimeMs ?? oldBaseMs)
  const reader = new RecordReader().reset(records)
  for (let i = 0; reader.nextDeltas(); i++) {
    if (stays[i] !== 1) continue
    left.appendRecord(reader, reader.offsetDelta, appendTimeMs ?? oldBaseMs + reader.timestampDelta)
  }
  const codec = RecordBatch.compression(batch)!
  const fields: RecordBatch.BatchFields = {
    baseOffset: RecordBatch.baseOffset(batch),
    partitionLeaderEpoch: RecordBatch.partitionLeaderEpoch(batch),
    codec,
    isLogAppendTime,
    isTransactional: RecordBatch.isTransactional(batch),
    isControl: RecordBatch.isControl(batch),
    hasDeleteHorizon: deleteHorizonMs !== undefined,
    count: left.count,
    lastOffsetDelta: RecordBatch.lastOffsetDelta(batch),
    baseTimestampMs: left.firstTimestampMs,
    maxTimestampMs: left.maxTimestampMs,
    producerId: RecordBatch.producerId(batch),
    producerEpoch: RecordBatch.producerEpoch(batch),
    baseSequence: RecordBatch.baseSequence(batch)
  }
  return RecordBatch.buildBatch(fields, codec === "none" ? left.bytes : compress(codec, left.bytes))
}
