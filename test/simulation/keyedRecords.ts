import { RecordReader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { idOfRecord } from "./payload.ts"

/** A record of a stream that is compacted, as it was stored; it must never be read otherwise. */
export interface KeyedRecord {
  readonly offset: number
  readonly key: string | null
  readonly id: string | undefined
  readonly isTombstone: boolean
  readonly timestampMs: number
  /** Producer id, epoch and sequence of a producer's; "-1/-1" of the server's own. */
  readonly producer: string
}

const producerOf = (batch: Uint8Array, offsetDelta: number): string => {
  const producerId = RecordBatch.producerId(batch)
  const sequence = producerId < 0 ? "" : `/${RecordBatch.baseSequence(batch) + offsetDelta}`
  return `${producerId}/${RecordBatch.producerEpoch(batch)}${sequence}`
}

const textOf = (key: Uint8Array | null): string | null => key && Buffer.from(key).toString("latin1")

const recordAt = (reader: RecordReader, producer: string, offset: number, timestampMs: number): KeyedRecord => ({
  offset,
  key: textOf(reader.key()),
  id: idOfRecord(reader),
  isTombstone: reader.valueLength < 0,
  timestampMs,
  producer
})

/** Visits the records of a whole batch, between which offsets may be gone. Throws `InvalidRecord`. */
export const eachKeyed = (batch: Uint8Array, visit: (record: KeyedRecord) => void): void => {
  const baseOffset = RecordBatch.baseOffset(batch)
  const baseMs = RecordBatch.baseTimestamp(batch)
  const reader = new RecordReader().reset(RecordBatch.recordsOf(batch))
  while (reader.next()) {
    const { offsetDelta, timestampDelta } = reader
    visit(recordAt(reader, producerOf(batch, offsetDelta), baseOffset + offsetDelta, baseMs + timestampDelta))
  }
}

/** Of records that lie without a header, as the server's own do in a commit. */
export const eachKeyedOfRun = (
  records: Uint8Array,
  baseOffset: number,
  baseMs: number,
  visit: (record: KeyedRecord) => void
): void => {
  const reader = new RecordReader().reset(records)
  while (reader.next()) {
    const { offsetDelta, timestampDelta } = reader
    visit(recordAt(reader, "-1/-1", baseOffset + offsetDelta, baseMs + timestampDelta))
  }
}
