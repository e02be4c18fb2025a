import { freshBuffers, type Take } from "../BufferPool.ts"
import { JournalError } from "../journal/JournalError.ts"
import { defaultLimits } from "../Limits.ts"
import * as RecordBatch from "../RecordBatch.ts"
import { ZstdDecoder } from "../ZstdDecoder.ts"
import type { Located } from "./LogIndex.ts"

/** The server's own batches: no producer had a say in how well they compress. */
const plainBytesMax = 4 * defaultLimits.decompressedBytesMax

const decoder = new ZstdDecoder()

/** The plain form of a batch that the server built, which may be compressed where it lies. */
const plain = (batch: Uint8Array, largestBytes: number, take: Take): Uint8Array => {
  if (RecordBatch.compression(batch) === "none") return batch
  const records = decoder.decode(
    batch.subarray(RecordBatch.batchHeaderBytes),
    largestBytes,
    Math.max(plainBytesMax, largestBytes)
  )
  const fields: RecordBatch.BatchFields = {
    baseOffset: RecordBatch.baseOffset(batch),
    partitionLeaderEpoch: RecordBatch.partitionLeaderEpoch(batch),
    count: RecordBatch.count(batch),
    lastOffsetDelta: RecordBatch.lastOffsetDelta(batch),
    hasDeleteHorizon: RecordBatch.deleteHorizon(batch) !== undefined,
    baseTimestampMs: RecordBatch.baseTimestamp(batch),
    maxTimestampMs: RecordBatch.maxTimestamp(batch)
  }
  const bytes = RecordBatch.batchHeaderBytes + records.length
  const whole = take(bytes).subarray(0, bytes)
  whole.set(records, RecordBatch.batchHeaderBytes)
  RecordBatch.writeBatchHeader(whole, 0, fields, records.length)
  return whole
}

/**
 * A run's batches from the one that holds `fromOffset`, as they lie there; for a reader that does not know zstd
 * (`readsZstd` false) the server's own are made plain, in buffers from `take`. Throws `JournalError` "Corrupt".
 */
export function* batchesOfRun(
  bytes: Uint8Array,
  run: Located,
  fromOffset: number,
  take: Take = freshBuffers.take,
  readsZstd = false
): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const length = bytes.length - at > RecordBatch.batchHeaderBytes ? RecordBatch.batchBytes(bytes, at) : 0
    if (length < RecordBatch.batchHeaderBytes || at + length > bytes.length) {
      throw new JournalError(
        "Corrupt",
        `the run at offset ${run.baseOffset} (seq ${run.frameSeq}) is not whole batches`
      )
    }
    const batch = bytes.subarray(at, at + length)
    if (RecordBatch.lastOffset(batch) >= fromOffset) {
      yield run.verbatim || readsZstd ? batch : plain(batch, run.position, take)
    }
    at += length
  }
}
