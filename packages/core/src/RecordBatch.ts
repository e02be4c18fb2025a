import { freshBuffers, type Take } from "./BufferPool.ts"
import { type Codec, decompress, InvalidCompression, withDecompressed } from "./Compression.ts"
import { hasKafkaHead } from "./compression/lz4.ts"
import { crc32c } from "./Crc32c.ts"
import { defaultLimits, type Limits } from "./Limits.ts"
import { InvalidRecord, RecordReader } from "./Record.ts"

// Kafka's RecordBatch, magic 2 (KIP-98). Offsets of its fields:
//  0 baseOffset i64 | 8 batchLength i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 | 17 crc u32 | 21 attributes i16
// 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64 | 43 producerId i64 | 51 producerEpoch i16
// 53 baseSequence i32 | 57 count i32 | 61 records. The CRC covers everything from the attributes on.

/** Bytes of a batch before its records. */
export const batchHeaderBytes = 61
/** Bytes of a batch that `batchLength` does not count. */
export const batchLogOverheadBytes = 12

const crcFrom = 21
const codecMask = 0x07
const logAppendTimeBit = 0x08
const transactionalBit = 0x10
const controlBit = 0x20
const deleteHorizonBit = 0x40
const unusedBits = 0xffc0

const codecs: ReadonlyArray<Codec | "none"> = ["none", "gzip", "snappy", "lz4", "zstd"]

/** Why a producer's batch is refused; Kafka has an error code of each name. */
export type InvalidBatchReason =
  | "CorruptMessage"
  | "InvalidRecord"
  | "MessageTooLarge"
  | "UnsupportedForMessageFormat"
  | "InvalidTimestamp"
  | "UnsupportedCompression"

/** Bytes that are no batch, or no batch that a producer may send. */
export class InvalidBatch extends Error {
  readonly _tag = "InvalidBatch"
  readonly reason: InvalidBatchReason
  /** The places in the batch of the records that are wrong, the first ones; none if all of it is. */
  readonly records: ReadonlyArray<number>

  constructor(reason: InvalidBatchReason, message: string, records: ReadonlyArray<number> = []) {
    super(message)
    this.name = "InvalidBatch"
    this.reason = reason
    this.records = records
  }
}

/** The limits of a batch. A stream's own `max.message.bytes` goes into `recordBatchBytesMax`. */
export type BatchLimits = Pick<Limits, "recordBatchBytesMax" | "decompressedBytesMax" | "decompressionRatioMax">

const readInt16 = (bytes: Uint8Array, at: number): number => ((bytes[at]! << 24) >> 16) | bytes[at + 1]!

const readInt32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!

/** An int64 as a number: exact within +-2^53, and never a safe integer outside of it. */
const readInt64 = (bytes: Uint8Array, at: number): number =>
  readInt32(bytes, at) * 0x1_0000_0000 + (readInt32(bytes, at + 4) >>> 0)

const writeInt16 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >> 8
  bytes[at + 1] = value
}

const writeInt32 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >> 24
  bytes[at + 1] = value >> 16
  bytes[at + 2] = value >> 8
  bytes[at + 3] = value
}

const writeInt64 = (bytes: Uint8Array, at: number, value: number): void => {
  writeInt32(bytes, at, Math.floor(value / 0x1_0000_0000))
  writeInt32(bytes, at + 4, value >>> 0)
}

/** The offset of the first record. A producer's batch has whatever it sent, mostly 0. */
export const baseOffset = (bytes: Uint8Array, at = 0): number => readInt64(bytes, at)
/** The bytes that follow the first twelve. */
export const batchLength = (bytes: Uint8Array, at = 0): number => readInt32(bytes, at + 8)
/** The whole batch in bytes. */
export const batchBytes = (bytes: Uint8Array, at = 0): number => batchLength(bytes, at) + batchLogOverheadBytes
/** The leader's epoch when the batch was appended. */
export const partitionLeaderEpoch = (bytes: Uint8Array, at = 0): number => readInt32(bytes, at + 12)
/** The format's version; at the same place in formats 0 and 1. */
export const magic = (bytes: Uint8Array, at = 0): number => (bytes[at + 16]! << 24) >> 24
/** CRC-32C of everything from the attributes on, unsigned. */
export const crc = (bytes: Uint8Array, at = 0): number => readInt32(bytes, at + 17) >>> 0
/** The attributes as they are. */
export const attributes = (bytes: Uint8Array, at = 0): number => readInt16(bytes, at + 21)
/** The codec of the records; undefined for a number that Kafka does not know. */
export const compression = (bytes: Uint8Array, at = 0): Codec | "none" | undefined =>
  codecs[attributes(bytes, at) & codecMask]
/** Whether all records have the batch's maximum timestamp (LogAppendTime), not their own (CreateTime). */
export const isLogAppendTime = (bytes: Uint8Array, at = 0): boolean => (attributes(bytes, at) & logAppendTimeBit) !== 0
/** Whether the batch belongs to a transaction. */
export const isTransactional = (bytes: Uint8Array, at = 0): boolean => (attributes(bytes, at) & transactionalBit) !== 0
/** Whether the batch is a commit or abort marker. */
export const isControl = (bytes: Uint8Array, at = 0): boolean => (attributes(bytes, at) & controlBit) !== 0
/**
 * Unix ms from which on the batch's tombstones may go; undefined unless compaction has set it. It is the base timestamp then,
 * which the records' deltas are relative to as always (KIP-534).
 */
export const deleteHorizon = (bytes: Uint8Array, at = 0): number | undefined =>
  (attributes(bytes, at) & deleteHorizonBit) === 0 ? undefined : baseTimestamp(bytes, at)
/** The last record's offset less the first one's; more than count - 1 where compaction took records away. */
export const lastOffsetDelta = (bytes: Uint8Array, at = 0): number => readInt32(bytes, at + 23)
/** The timestamp that the records' deltas are relative to, in ms. */
export const baseTimestamp = (bytes: Uint8Array, at = 0): number => readInt64(bytes, at + 27)
/** The highest timestamp of the records, in ms. */
export const maxTimestamp = (bytes: Uint8Array, at = 0): number => readInt64(bytes, at + 35)
/** The producer's id; -1: not idempotent. */
export const producerId = (bytes: Uint8Array, at = 0): number => readInt64(bytes, at + 43)
/** The producer's epoch, or -1. */
export const producerEpoch = (bytes: Uint8Array, at = 0): number => readInt16(bytes, at + 51)
/** The first record's sequence number, or -1. */
export const baseSequence = (bytes: Uint8Array, at = 0): number => readInt32(bytes, at + 53)
/** The number of records. */
export const count = (bytes: Uint8Array, at = 0): number => readInt32(bytes, at + 57)
/** The offset of the last record. */
export const lastOffset = (bytes: Uint8Array, at = 0): number => baseOffset(bytes, at) + lastOffsetDelta(bytes, at)

/** The fields of a batch's header without lengths and CRC. */
export interface BatchFields {
  readonly baseOffset: number
  readonly partitionLeaderEpoch: number
  /** Defaults to "none"; the records given are already compressed with it. */
  readonly codec?: Codec | "none"
  readonly isLogAppendTime?: boolean
  readonly isTransactional?: boolean
  readonly isControl?: boolean
  /** Whether `baseTimestampMs` is the time from which on tombstones may go, see `deleteHorizon`. */
  readonly hasDeleteHorizon?: boolean
  readonly count: number
  /** Defaults to `count - 1`. */
  readonly lastOffsetDelta?: number
  readonly baseTimestampMs: number
  readonly maxTimestampMs: number
  /** -1 by default, as are epoch and sequence. */
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
}

const attributesOf = (fields: BatchFields): number =>
  codecs.indexOf(fields.codec ?? "none") |
  (fields.isLogAppendTime === true ? logAppendTimeBit : 0) |
  (fields.isTransactional === true ? transactionalBit : 0) |
  (fields.isControl === true ? controlBit : 0) |
  (fields.hasDeleteHorizon === true ? deleteHorizonBit : 0)

const stampCrc = (bytes: Uint8Array, at: number): void =>
  writeInt32(bytes, at + 17, crc32c(bytes.subarray(at + crcFrom, at + batchBytes(bytes, at))))

/**
 * Writes a batch's header, CRC included, before records of `recordsBytes` bytes that already stand at
 * `at + batchHeaderBytes`; returns the batch's whole length in bytes.
 */
export const writeBatchHeader = (target: Uint8Array, at: number, fields: BatchFields, recordsBytes: number): number => {
  writeInt64(target, at, fields.baseOffset)
  writeInt32(target, at + 8, batchHeaderBytes - batchLogOverheadBytes + recordsBytes)
  writeInt32(target, at + 12, fields.partitionLeaderEpoch)
  target[at + 16] = 2
  writeInt16(target, at + 21, attributesOf(fields))
  writeInt32(target, at + 23, fields.lastOffsetDelta ?? fields.count - 1)
  writeInt64(target, at + 27, fields.baseTimestampMs)
  writeInt64(target, at + 35, fields.maxTimestampMs)
  writeInt64(target, at + 43, fields.producerId ?? -1)
  writeInt16(target, at + 51, fields.producerEpoch ?? -1)
  writeInt32(target, at + 53, fields.baseSequence ?? -1)
  writeInt32(target, at + 57, fields.count)
  stampCrc(target, at)
  return batchHeaderBytes + recordsBytes
}

/** A batch of its own, in a buffer from `take`, of records encoded by `RecordsBuilder` (and compressed with `fields.codec`). */
export const buildBatch = (fields: BatchFields, records: Uint8Array, take: Take = freshBuffers.take): Uint8Array => {
  const length = batchHeaderBytes + records.length
  const bytes = take(length).subarray(0, length)
  bytes.set(records, batchHeaderBytes)
  writeBatchHeader(bytes, 0, fields, records.length)
  return bytes
}

/** Sets what the broker gives a batch on append; both lie outside of the CRC. */
export const stampBatch = (bytes: Uint8Array, offset: number, leaderEpoch: number, at = 0): void => {
  writeInt64(bytes, at, offset)
  writeInt32(bytes, at + 12, leaderEpoch)
}

/** Turns a batch to LogAppendTime at `timeMs`, with a new CRC (KIP-32). The deltas stay; readers ignore them then. */
export const stampLogAppendTime = (bytes: Uint8Array, timeMs: number, at = 0): void => {
  writeInt16(bytes, at + 21, attributes(bytes, at) | logAppendTimeBit)
  writeInt64(bytes, at + 35, timeMs)
  stampCrc(bytes, at)
}

/** Corrects the maximum timestamp of a CreateTime batch, with a new CRC; does nothing when it is right already. */
export const stampMaxTimestamp = (bytes: Uint8Array, maxTimestampMs: number, at = 0): void => {
  if (maxTimestamp(bytes, at) === maxTimestampMs) return
  writeInt64(bytes, at + 35, maxTimestampMs)
  stampCrc(bytes, at)
}

/** The length of the whole batch at `at`, checked to lie within `bytes`. */
const checkedBatchBytes = (bytes: Uint8Array, at: number): number => {
  const remaining = bytes.length - at
  if (remaining <= 16) throw new InvalidBatch("CorruptMessage", "bytes that are too few for a batch")
  const version = magic(bytes, at)
  if (version === 0 || version === 1) {
    throw new InvalidBatch("UnsupportedForMessageFormat", `message format ${version} is not supported`)
  }
  if (version !== 2) throw new InvalidBatch("CorruptMessage", `there is no message format ${version}`)
  const length = batchBytes(bytes, at)
  if (length < batchHeaderBytes || length > remaining) {
    throw new InvalidBatch("CorruptMessage", "a batch's length does not fit its bytes")
  }
  return length
}

const checkSize = (length: number, limits: BatchLimits): void => {
  if (length > limits.recordBatchBytesMax) {
    throw new InvalidBatch("MessageTooLarge", `a batch of ${length} bytes, ${limits.recordBatchBytesMax} are allowed`)
  }
}

/** Visits the batches that `bytes` consists of, with place and length. Throws `InvalidBatch`. */
export const batchesOf = (bytes: Uint8Array, visit: (at: number, length: number) => void): void => {
  let at = 0
  while (at < bytes.length) {
    const length = checkedBatchBytes(bytes, at)
    visit(at, length)
    at += length
  }
}

/**
 * Cuts a Produce request's `records` of one partition into batches, as views; a Kafka server takes exactly one. Empty for
 * no bytes. Throws `InvalidBatch`.
 */
export const splitBatches = (records: Uint8Array, limits: BatchLimits = defaultLimits): Array<Uint8Array> => {
  const batches: Array<Uint8Array> = []
  batchesOf(records, (at, length) => {
    checkSize(length, limits)
    batches.push(records.subarray(at, at + length))
  })
  return batches
}

/**
 * Returns what `unpack` makes of a batch's records. Records that would fit into an uncompressed batch are no bomb, so
 * the ratio counts above that only: a producer of zeros may well compress a thousandfold.
 */
const unpacked = <A>(
  batch: Uint8Array,
  limits: BatchLimits,
  plain: (records: Uint8Array) => A,
  unpack: (codec: Codec, packed: Uint8Array, limitBytes: number) => A
): A => {
  const packed = batch.subarray(batchHeaderBytes)
  const codec = compression(batch)
  if (codec === undefined) throw new InvalidBatch("UnsupportedCompression", "an unknown compression codec")
  if (codec === "none") return plain(packed)
  const byRatio = Math.max(packed.length * limits.decompressionRatioMax, limits.recordBatchBytesMax)
  try {
    return unpack(codec, packed, Math.min(limits.decompressedBytesMax, byRatio))
  } catch (error) {
    if (!(error instanceof InvalidCompression)) throw error
    throw new InvalidBatch(error.reason === "TooLarge" ? "MessageTooLarge" : "CorruptMessage", error.message)
  }
}

/** A batch's records, decompressed. Throws `InvalidBatch`. */
export const recordsOf = (batch: Uint8Array, limits: BatchLimits = defaultLimits): Uint8Array =>
  unpacked(batch, limits, (records) => records, decompress)

/** As `recordsOf`, for one look: what `use` is given of a compressed batch is gone when it returns. */
export const withRecordsOf = <A>(batch: Uint8Array, limits: BatchLimits, use: (records: Uint8Array) => A): A =>
  unpacked(batch, limits, use, (codec, packed, limitBytes) => withDecompressed(codec, packed, limitBytes, use))

const noLimits: BatchLimits = {
  recordBatchBytesMax: Infinity,
  decompressedBytesMax: 0x7fff_ffff,
  decompressionRatioMax: Infinity
}

/** As `recordsOf`, of a batch that was stored: it was checked then, perhaps under other limits. */
export const storedRecordsOf = (batch: Uint8Array): Uint8Array => recordsOf(batch, noLimits)

/** As `withRecordsOf`, of a batch that was stored. */
export const withStoredRecordsOf = <A>(batch: Uint8Array, use: (records: Uint8Array) => A): A =>
  withRecordsOf(batch, noLimits, use)

/** The facts of a producer's batch that was checked. */
export interface ProducedBatch {
  readonly bytes: Uint8Array
  readonly codec: Codec | "none"
  readonly count: number
  /** Bytes of the records, decompressed. */
  readonly recordsBytes: number
  readonly baseTimestampMs: number
  /** The highest timestamp found in the records; the header's may differ, see `stampMaxTimestamp`. */
  readonly maxTimestampMs: number
  /** The lowest one, of the records that have one; Infinity when none has. */
  readonly minTimestampMs: number
  /** -1: not idempotent; then epoch and sequence mean nothing. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isTransactional: boolean
  /** Whether a record has no key, which a compacted stream refuses. */
  readonly hasRecordWithoutKey: boolean
}

const checkHeader = (batch: Uint8Array): Codec | "none" => {
  const bits = attributes(batch)
  const codec = compression(batch)
  if (codec === undefined) throw new InvalidBatch("UnsupportedCompression", "an unknown compression codec")
  if ((bits & controlBit) !== 0) throw new InvalidBatch("InvalidRecord", "producers cannot write control batches")
  if ((bits & unusedBits) !== 0) throw new InvalidBatch("InvalidRecord", "attributes that no producer sets")
  if ((bits & logAppendTimeBit) !== 0) {
    throw new InvalidBatch("InvalidTimestamp", "producers cannot say that the log's time counts")
  }
  const records = count(batch)
  if (records <= 0 || lastOffsetDelta(batch) !== records - 1) {
    throw new InvalidBatch("InvalidRecord", "the count of records and the last offset delta do not agree")
  }
  const id = producerId(batch)
  if (id < -1 || !Number.isSafeInteger(id)) throw new InvalidBatch("InvalidRecord", "a producer id that cannot be")
  if (id >= 0 && (producerEpoch(batch) < 0 || baseSequence(batch) < 0)) {
    throw new InvalidBatch("InvalidRecord", "a producer id without epoch or sequence")
  }
  if (id < 0 && (bits & transactionalBit) !== 0) {
    throw new InvalidBatch("InvalidRecord", "a transactional batch without producer id")
  }
  return codec
}

interface Walked {
  readonly recordsBytes: number
  readonly maxTimestampMs: number
  readonly minTimestampMs: number
  readonly hasRecordWithoutKey: boolean
}

/** Kafka's "no timestamp". */
export const noTimestamp = -1
/** So many wrong records of a batch are named. */
const namedRecordsMax = 1000

const isTimestamp = (timestampMs: number): boolean => timestampMs >= noTimestamp && Number.isSafeInteger(timestampMs)

const impossibleTime = "a record's time that is no number of ms from 0 to 2^53 - 1"

const walk = (records: Uint8Array, expected: number, baseTimestampMs: number): Walked => {
  const reader = new RecordReader().reset(records)
  let maxTimestampMs = noTimestamp
  let minTimestampMs = Infinity
  let hasRecordWithoutKey = false
  let wrong: Array<number> | undefined
  for (let index = 0; index < expected; index++) {
    if (!reader.next()) throw new InvalidRecord("Count", "fewer records than counted")
    if (reader.offsetDelta !== index) throw new InvalidRecord("OffsetDelta", "offset deltas are not 0, 1, 2 …")
    const timestampMs = baseTimestampMs + reader.timestampDelta
    if (!isTimestamp(timestampMs) && (wrong ??= []).length < namedRecordsMax) wrong.push(index)
    if (timestampMs > maxTimestampMs) maxTimestampMs = timestampMs
    if (timestampMs < minTimestampMs && timestampMs !== noTimestamp) minTimestampMs = timestampMs
    if (reader.keyLength < 0) hasRecordWithoutKey = true
  }
  if (reader.position !== records.length) throw new InvalidRecord("Count", "bytes after the last record")
  if (wrong !== undefined) throw new InvalidBatch("InvalidTimestamp", impossibleTime, wrong)
  return { recordsBytes: records.length, maxTimestampMs, minTimestampMs, hasRecordWithoutKey }
}

/**
 * Checks all of a producer's batch: format, exact length, CRC, header, and every record, decompressed when need be. A
 * batch that passes can be stored verbatim after `stampBatch`. Throws `InvalidBatch`.
 */
export const validateProduced = (batch: Uint8Array, limits: BatchLimits = defaultLimits): ProducedBatch => {
  if (checkedBatchBytes(batch, 0) !== batch.length) {
    throw new InvalidBatch("CorruptMessage", "bytes after the batch")
  }
  checkSize(batch.length, limits)
  if (crc32c(batch.subarray(crcFrom)) !== crc(batch)) throw new InvalidBatch("CorruptMessage", "a wrong CRC")
  const codec = checkHeader(batch)
  if (codec === "lz4" && !hasKafkaHead(batch.subarray(batchHeaderBytes)))
    throw new InvalidBatch("CorruptMessage", "lz4: no frame of independent blocks, without reserved bits")
  const baseTimestampMs = baseTimestamp(batch)
  let walked: Walked
  try {
    walked = withRecordsOf(batch, limits, (records) => walk(records, count(batch), baseTimestampMs))
  } catch (error) {
    if (!(error instanceof InvalidRecord)) throw error
    throw new InvalidBatch(error.reason === "Timestamp" ? "InvalidTimestamp" : "InvalidRecord", error.message)
  }
  if (!isTimestamp(baseTimestampMs))
    throw new InvalidBatch("InvalidTimestamp", "a base time that is no number of ms from 0 to 2^53 - 1")
  return {
    bytes: batch,
    codec,
    count: count(batch),
    recordsBytes: walked.recordsBytes,
    baseTimestampMs,
    maxTimestampMs: walked.maxTimestampMs,
    minTimestampMs: walked.minTimestampMs,
    producerId: producerId(batch),
    producerEpoch: producerEpoch(batch),
    baseSequence: baseSequence(batch),
    isTransactional: isTransactional(batch),
    hasRecordWithoutKey: walked.hasRecordWithoutKey
  }
}

/**
 * A batch that `validateProduced` has passed with other records in place of its own: the same ones, compressed with `codec`. In a buffer
 * from `take`; its header is the same but for codec, length and CRC. Throws `InvalidBatch` if it is larger than a batch may be.
 */
export const withRecords = (
  batch: Uint8Array,
  codec: Codec | "none",
  packed: Uint8Array,
  limits: BatchLimits = defaultLimits,
  take: Take = freshBuffers.take
): Uint8Array => {
  const length = batchHeaderBytes + packed.length
  checkSize(length, limits)
  const bytes = take(length).subarray(0, length)
  bytes.set(batch.subarray(0, batchHeaderBytes))
  bytes.set(packed, batchHeaderBytes)
  writeInt32(bytes, 8, length - batchLogOverheadBytes)
  writeInt16(bytes, 21, (attributes(batch) & ~codecMask) | codecs.indexOf(codec))
  stampCrc(bytes, 0)
  return bytes
}

/** Visits the records of a batch that `validateProduced` has passed, in order, until `visit` returns false. */
export const visitRecords = (
  batch: Uint8Array,
  limits: BatchLimits,
  visit: (index: number, timestampMs: number, hasKey: boolean) => boolean
): void => {
  const baseTimestampMs = baseTimestamp(batch)
  withRecordsOf(batch, limits, (records) => {
    const reader = new RecordReader().reset(records)
    while (reader.next() && visit(reader.offsetDelta, baseTimestampMs + reader.timestampDelta, reader.keyLength >= 0));
  })
}

/** A record's place in its partition and in time. */
export interface OffsetAndTimestamp {
  readonly offset: number
  readonly timestampMs: number
}

/**
 * The first record of one stored batch whose timestamp is at least `timestampMs`, or undefined. Asked for the batch's own
 * `maxTimestamp` it is the record that ListOffsets -3 wants. Throws `InvalidBatch` or `InvalidRecord` on damaged bytes.
 */
export const offsetForTimestamp = (batch: Uint8Array, timestampMs: number): OffsetAndTimestamp | undefined => {
  const maxTimestampMs = maxTimestamp(batch)
  if (maxTimestampMs < timestampMs) return undefined
  const firstOffset = baseOffset(batch)
  if (isLogAppendTime(batch)) return { offset: firstOffset, timestampMs: maxTimestampMs }
  const baseTimestampMs = baseTimestamp(batch)
  return withStoredRecordsOf(batch, (records) => {
    const reader = new RecordReader().reset(records)
    while (reader.nextDeltas()) {
      const found = baseTimestampMs + reader.timestampDelta
      if (found >= timestampMs) return { offset: firstOffset + reader.offsetDelta, timestampMs: found }
    }
    return undefined
  })
}
