import { RecordReader, RecordsBuilder } from "../Record.ts"
import * as RecordBatch from "../RecordBatch.ts"
import { isTombstone, type Keep } from "./keepRecord.ts"

/** Records that become one batch: its header but for the codec, and the records, valid until the next call. */
export interface Merged {
  readonly fields: RecordBatch.BatchFields & { readonly lastOffsetDelta: number }
  readonly records: Uint8Array
}

/** The most bytes of the records that become one batch, before compression, unless one record has more. */
const recordsBytesMax = 64 * 1024
const keptBufferBytes = 4 * recordsBytesMax
const offsetDeltaMax = 0x7fff_ffff

/**
 * Puts what stays of the server's own batches together, whatever is gone between, so that thousands of batches with a record
 * left in each do not stay. Batches are of one leader epoch and of one delete horizon, which is set where tombstones are.
 */
export class MergedRecords {
  readonly #keep: Keep
  readonly #deleteHorizonMs: number
  readonly #emit: (merged: Merged) => void
  readonly #records = new RecordsBuilder(Infinity, keptBufferBytes)
  readonly #withHorizon = new RecordsBuilder(Infinity, keptBufferBytes)
  #baseOffset = 0
  #lastOffset = 0
  #epoch = 0
  #horizonMs: number | undefined

  /** `deleteHorizonMs`: for tombstones that have none yet. `emit` gets batches in the order of offsets. */
  constructor(keep: Keep, deleteHorizonMs: number, emit: (merged: Merged) => void) {
    this.#keep = keep
    this.#deleteHorizonMs = deleteHorizonMs
    this.#emit = emit
  }

  /** A batch that the server built, uncompressed, behind those before. Throws `InvalidRecord` for damaged bytes. */
  add(batch: Uint8Array): void {
    const baseOffset = RecordBatch.baseOffset(batch)
    const baseMs = RecordBatch.baseTimestamp(batch)
    const batchHorizonMs = RecordBatch.deleteHorizon(batch)
    const epoch = RecordBatch.partitionLeaderEpoch(batch)
    const reader = new RecordReader().reset(batch.subarray(RecordBatch.batchHeaderBytes))
    while (reader.next()) {
      const offset = baseOffset + reader.offsetDelta
      if (!this.#keep(reader, offset, batchHorizonMs)) continue
      const horizonMs = isTombstone(reader) ? (batchHorizonMs ?? this.#deleteHorizonMs) : undefined
      this.#append(reader, offset, baseMs + reader.timestampDelta, epoch, horizonMs)
    }
  }

  #append(
    reader: RecordReader,
    offset: number,
    timestampMs: number,
    epoch: number,
    horizonMs: number | undefined
  ): void {
    const records = this.#records
    const bytes = reader.position - reader.start
    const isOtherHorizon = horizonMs !== undefined && this.#horizonMs !== undefined && horizonMs !== this.#horizonMs
    const isFull = records.byteLength + bytes > recordsBytesMax || offset - this.#baseOffset > offsetDeltaMax
    if (isFull || isOtherHorizon || epoch !== this.#epoch) this.end()
    if (records.count === 0) {
      records.begin(timestampMs)
      this.#baseOffset = offset
      this.#epoch = epoch
    }
    records.appendRecord(reader, offset - this.#baseOffset, timestampMs)
    this.#lastOffset = offset
    this.#horizonMs ??= horizonMs
  }

  /** Hands out what is open. */
  end(): void {
    if (this.#records.count === 0) return
    const records = this.#horizonMs === undefined ? this.#records : this.#onHorizon(this.#horizonMs)
    const fields = {
      baseOffset: this.#baseOffset,
      partitionLeaderEpoch: this.#epoch,
      hasDeleteHorizon: this.#horizonMs !== undefined,
      count: records.count,
      lastOffsetDelta: this.#lastOffset - this.#baseOffset,
      baseTimestampMs: records.firstTimestampMs,
      maxTimestampMs: records.maxTimestampMs
    }
    this.#emit({ fields, records: records.bytes })
    this.#records.reset()
    this.#withHorizon.reset()
    this.#horizonMs = undefined
  }

  /** The same records, their times relative to the horizon. */
  #onHorizon(horizonMs: number): RecordsBuilder {
    const baseMs = this.#records.firstTimestampMs
    const records = this.#withHorizon
    records.begin(horizonMs)
    const reader = new RecordReader().reset(this.#records.bytes)
    while (reader.nextDeltas()) records.appendRecord(reader, reader.offsetDelta, baseMs + reader.timestampDelta)
    return records
  }
}
