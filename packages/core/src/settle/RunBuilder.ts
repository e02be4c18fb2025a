import { crc32c } from "@node-rs/crc32"
import { constants, zstdCompressSync } from "node:zlib"
import type { Extent } from "../journal/Extent.ts"
import { JournalError } from "../journal/Journal.ts"
import { InvalidRecord, RecordsBuilder } from "../Record.ts"
import * as RecordBatch from "../RecordBatch.ts"
import type { Located } from "../storage/LogIndex.ts"
import { batchesOfRun } from "../storage/runs.ts"

/** Stored bytes of a run, unless one batch has more; a little below 16 pages, which LMDB's page head then fits into. */
const runBytesMax = 16 * 4096 - 16
/** Of the records that become one batch, before compression, unless one commit's records are more. */
const batchRecordsBytesMax = 64 * 1024
/** What a commit's records and those merged with them can be at most. */
const mergeBytesMax = 64 * 1024 * 1024
/** Below this, batches of the server's are made anew together with their neighbours: small ones compress badly. */
const keptRunBytesMin = runBytesMax / 4
/** Compressed records that are not at least this much smaller stay as they are. */
const compressedShareMax = 0.95

const zstdOptions = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

type Emit = (extent: Extent, bytes: Uint8Array) => void

interface Batch {
  readonly baseOffset: number
  readonly count: number
  readonly firstTimestampMs: number
  readonly maxTimestampMs: number
  readonly bytes: Uint8Array
  /** As readers get it. */
  readonly plainBytes: number
}

/**
 * Makes runs of what one log after the other has, in the order of its offsets. Records of the server's own are merged into
 * batches and compressed; producers' batches stay as they are, side by side, and so do runs that are large enough. No run crosses an epoch or an offset gap.
 */
export class RunBuilder {
  readonly #emit: Emit
  readonly #merge = new RecordsBuilder(mergeBytesMax, 2 * batchRecordsBytesMax)
  #mergeOffset = 0
  #logId = 0
  #epoch = 0
  #verbatim = false
  #nextOffset = -1
  #batches: Array<Batch> = []
  #bytes = 0

  constructor(emit: Emit) {
    this.#emit = emit
  }

  /** Throws `JournalError` "Corrupt" with the place for bytes that are not the records that `ref` tells of. */
  add(logId: number, ref: Located, bytes: Uint8Array): void {
    const { epoch, verbatim, baseOffset, count } = ref
    const continues =
      logId === this.#logId && epoch === this.#epoch && verbatim === this.#verbatim && baseOffset === this.#nextOffset
    if (!continues) {
      this.end()
      this.#logId = logId
      this.#epoch = epoch
      this.#verbatim = verbatim
    }
    if (ref.place === "run") this.#addRun(ref, bytes)
    else if (verbatim) this.#push({ ...ref, bytes: this.#checkedBatch(ref, bytes), plainBytes: largestBatch(bytes) })
    else this.#mergeRecords(ref, ref.place === "value" ? this.#recordsOf(ref, bytes) : bytes)
    this.#nextOffset = baseOffset + count
  }

  /** Hands out what is open. */
  end(): void {
    this.#cutBatch()
    this.#cutRun()
    this.#nextOffset = -1
  }

  /** Batches stay as they are, unless they are the server's and few. */
  #addRun(run: Located, bytes: Uint8Array): void {
    if (run.verbatim || bytes.length >= keptRunBytesMin) {
      this.#cutBatch()
      this.#push({ ...run, bytes, plainBytes: run.position })
      return
    }
    for (const batch of batchesOfRun(bytes, run, run.baseOffset)) {
      const part = {
        ...run,
        baseOffset: RecordBatch.baseOffset(batch),
        count: RecordBatch.count(batch),
        firstTimestampMs: RecordBatch.baseTimestamp(batch)
      }
      this.#mergeRecords(part, batch.subarray(RecordBatch.batchHeaderBytes))
    }
  }

  #mergeRecords(ref: Located, records: Uint8Array): void {
    if (this.#merge.count > 0 && this.#merge.byteLength + records.length > batchRecordsBytesMax) this.#cutBatch()
    if (this.#merge.count === 0) {
      this.#merge.begin(ref.firstTimestampMs)
      this.#mergeOffset = ref.baseOffset
    }
    const timeShiftMs = ref.firstTimestampMs - this.#merge.firstTimestampMs
    let isMerged: boolean
    try {
      isMerged = this.#merge.appendRun(records, ref.count, ref.baseOffset - this.#mergeOffset, timeShiftMs)
    } catch (error) {
      if (!(error instanceof InvalidRecord)) throw error
      throw this.#corrupt(ref, error.message)
    }
    if (!isMerged) throw this.#corrupt(ref, `${records.length} bytes are more than one commit has`)
  }

  #cutBatch(): void {
    const merge = this.#merge
    if (merge.count === 0) return
    const packed = zstdCompressSync(merge.bytes, zstdOptions)
    const isSmaller = packed.length <= merge.byteLength * compressedShareMax
    const fields: RecordBatch.BatchFields = {
      baseOffset: this.#mergeOffset,
      partitionLeaderEpoch: this.#epoch,
      codec: isSmaller ? "zstd" : "none",
      count: merge.count,
      baseTimestampMs: merge.firstTimestampMs,
      maxTimestampMs: merge.maxTimestampMs
    }
    this.#push({
      baseOffset: this.#mergeOffset,
      count: merge.count,
      firstTimestampMs: merge.firstTimestampMs,
      maxTimestampMs: merge.maxTimestampMs,
      bytes: RecordBatch.buildBatch(fields, isSmaller ? packed : merge.bytes),
      plainBytes: RecordBatch.batchHeaderBytes + merge.byteLength
    })
    merge.reset()
  }

  #push(batch: Batch): void {
    if (this.#bytes + batch.bytes.length > runBytesMax) this.#cutRun()
    this.#batches.push(batch)
    this.#bytes += batch.bytes.length
  }

  #cutRun(): void {
    const batches = this.#batches
    const first = batches[0]
    if (first === undefined) return
    const bytes = batches.length === 1 ? first.bytes : Buffer.concat(batches.map((batch) => batch.bytes))
    const extent: Extent = {
      logId: this.#logId,
      epoch: this.#epoch,
      baseOffset: first.baseOffset,
      count: batches.reduce((sum, { count }) => sum + count, 0),
      firstTimestampMs: first.firstTimestampMs,
      maxTimestampMs: Math.max(...batches.map(({ maxTimestampMs }) => maxTimestampMs)),
      byteLength: bytes.length,
      crc: crc32c(bytes),
      place: "run",
      chunk: 0,
      position: Math.max(...batches.map(({ plainBytes }) => plainBytes)),
      verbatim: this.#verbatim,
      producer: undefined
    }
    this.#batches = []
    this.#bytes = 0
    this.#emit(extent, bytes)
  }

  /** Whole batches that cover exactly the reference's offsets. */
  #checkedBatch(ref: Located, bytes: Uint8Array): Uint8Array {
    let nextOffset = ref.baseOffset
    try {
      RecordBatch.batchesOf(bytes, (at) => {
        if (RecordBatch.baseOffset(bytes, at) !== nextOffset) throw this.#corrupt(ref, "a batch with another offset")
        nextOffset = RecordBatch.lastOffset(bytes, at) + 1
      })
    } catch (error) {
      if (!(error instanceof RecordBatch.InvalidBatch)) throw error
      throw this.#corrupt(ref, error.message)
    }
    if (nextOffset !== ref.baseOffset + ref.count) throw this.#corrupt(ref, "batches with another count")
    return bytes
  }

  #recordsOf(ref: Located, bytes: Uint8Array): Uint8Array {
    return this.#checkedBatch(ref, bytes).subarray(RecordBatch.batchHeaderBytes)
  }

  #corrupt(ref: Located, what: string): JournalError {
    return new JournalError(
      "Corrupt",
      `records of log ${this.#logId} at offset ${ref.baseOffset} (seq ${ref.frameSeq}): ${what}`
    )
  }
}

const largestBatch = (bytes: Uint8Array): number => {
  let largest = 0
  RecordBatch.batchesOf(bytes, (_at, length) => {
    largest = Math.max(largest, length)
  })
  return largest
}
