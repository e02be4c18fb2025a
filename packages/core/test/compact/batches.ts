import { compress, type Codec } from "../../src/Compression.ts"
import { noHeaders, RecordReader, RecordsBuilder } from "../../src/Record.ts"
import * as RecordBatch from "../../src/RecordBatch.ts"

/** A record as tests write it: a value of null is a tombstone. */
export interface Plain {
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: string | null
}

const bytesOf = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text))

export const batchOf = (
  records: ReadonlyArray<Plain>,
  codec: Codec | "none" = "none",
  fields: Partial<RecordBatch.BatchFields> = {}
): Uint8Array => {
  const builder = new RecordsBuilder(1 << 24)
  for (const { key, value, timestampMs } of records) {
    builder.append(bytesOf(key), bytesOf(value), noHeaders, timestampMs)
  }
  return RecordBatch.buildBatch(
    {
      baseOffset: records[0]!.offset,
      partitionLeaderEpoch: 1,
      codec,
      count: records.length,
      baseTimestampMs: builder.firstTimestampMs,
      maxTimestampMs: builder.maxTimestampMs,
      ...fields
    },
    codec === "none" ? builder.bytes : compress(codec, builder.bytes)
  )
}

const textOf = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())

/** What a client reads of a batch. */
export const recordsIn = (batch: Uint8Array): Array<Plain> => {
  const reader = new RecordReader().reset(RecordBatch.storedRecordsOf(batch))
  const found: Array<Plain> = []
  while (reader.next()) {
    found.push({
      offset: RecordBatch.baseOffset(batch) + reader.offsetDelta,
      timestampMs: RecordBatch.isLogAppendTime(batch)
        ? RecordBatch.maxTimestamp(batch)
        : RecordBatch.baseTimestamp(batch) + reader.timestampDelta,
      key: textOf(reader.key()),
      value: textOf(reader.value())
    })
  }
  return found
}
