import { zstdDecompressSync } from "node:zlib"
import { defaultLimits } from "../Limits.ts"
import { JournalError } from "../journal/Journal.ts"
import * as RecordBatch from "../RecordBatch.ts"
import type { Located } from "./LogIndex.ts"

/** The server's own batches: no producer had a say in how well they compress. */
const plainBytesMax = 4 * defaultLimits.decompressedBytesMax
const chunkBytesMin = 64

/** Of a batch that the server built, which may be compressed where it lies. */
const plain = (batch: Uint8Array, largestBytes: number): Uint8Array => {
  if (RecordBatch.compression(batch) === "none") return batch
  const records = zstdDecompressSync(batch.subarray(RecordBatch.batchHeaderBytes), {
    maxOutputLength: plainBytesMax,
    // In one piece: by default zlib joins pieces of 16 KB, which takes half as long again.
    chunkSize: Math.min(Math.max(largestBytes, chunkBytesMin), plainBytesMax)
  })
  const fields: RecordBatch.BatchFields = {
    baseOffset: RecordBatch.baseOffset(batch),
    partitionLeaderEpoch: RecordBatch.partitionLeaderEpoch(batch),
    count: RecordBatch.count(batch),
    lastOffsetDelta: RecordBatch.lastOffsetDelta(batch),
    hasDeleteHorizon: RecordBatch.deleteHorizon(batch) !== undefined,
    baseTimestampMs: RecordBatch.baseTimestamp(batch),
    maxTimestampMs: RecordBatch.maxTimestamp(batch)
  }
  const whole = Buffer.allocUnsafeSlow(RecordBatch.batchHeaderBytes + records.length)
  whole.set(records, RecordBatch.batchHeaderBytes)
  RecordBatch.writeBatchHeader(whole, 0, fields, records.length)
  return whole
}

/**
 * A run's batches from the one that holds `fromOffset`, as they lie there; for a reader that does not know zstd
 * (`readsZstd` false) the server's own are made plain. Throws `JournalError` "Corrupt".
 */
export function* batchesOfRun(
  bytes: Uint8Array,
  run: Located,
  fromOffset: number,
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
      yield run.verbatim || readsZstd ? batch : plain(batch, run.position)
    }
    at += length
  }
}
