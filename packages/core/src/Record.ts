import { freshBuffers, type Buffers } from "./BufferPool.ts"

/** Why bytes are not Kafka records. */
export type InvalidRecordReason = "Truncated" | "Varint" | "Length" | "OffsetDelta" | "Timestamp" | "Headers" | "Count"

/** Bytes that are not Kafka records (format v2). */
export class InvalidRecord extends Error {
  readonly _tag = "InvalidRecord"
  readonly reason: InvalidRecordReason

  constructor(reason: InvalidRecordReason, message: string) {
    super(message)
    this.name = "InvalidRecord"
    this.reason = reason
  }
}

/** A record header: its name in UTF-8, and its value. */
export type RecordHeader = readonly [name: Uint8Array, value: Uint8Array | null]

/** Headers encoded once, for records that share them. `bytes` must not change while the block is in use. */
export interface HeaderBlock {
  readonly count: number
  readonly bytes: Uint8Array
}

/** No headers. */
export const noHeaders: HeaderBlock = { count: 0, bytes: new Uint8Array(0) }

const noExtraHeaders: ReadonlyArray<RecordHeader> = []

/** Bytes of a non-negative length or count as a zigzag varint. */
const lengthSize = (length: number): number => {
  if (length < 64) return 1
  if (length < 8192) return 2
  if (length < 1_048_576) return 3
  return length < 134_217_728 ? 4 : 5
}

/** A zigzag varlong without its lowest bit, the sign; with it, it could take a bit more than a double has. */
const withoutSign = (value: number): number => (value < 0 ? -1 - value : value)

/** Bytes of a whole number from -2^53 to 2^53 - 1 as a zigzag varlong. */
const varlongSize = (value: number): number => {
  const rest = withoutSign(value)
  let size = 1
  for (let end = 64; rest >= end; end *= 128) size++
  return size
}

/** Writes a non-negative length below 2^31 as a zigzag varint; returns where it ends. */
const writeLength = (target: Uint8Array, at: number, length: number): number => {
  let rest = (length << 1) >>> 0
  while (rest > 127) {
    target[at++] = (rest & 127) | 128
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

const writeVarlong = (target: Uint8Array, at: number, value: number): number => {
  let rest = withoutSign(value)
  const sign = value < 0 ? 1 : 0
  if (rest < 64) {
    target[at] = 2 * rest + sign
    return at + 1
  }
  target[at++] = (2 * (rest % 64) + sign) | 128
  for (rest = Math.floor(rest / 64); rest >= 128; rest = Math.floor(rest / 128)) target[at++] = (rest % 128) | 128
  target[at++] = rest
  return at
}

// bench/records.ts: byte loops for short fields gain at most 4 % over `set`, and lose threefold above 64 B.
const copy = (target: Uint8Array, at: number, source: Uint8Array): number => {
  target.set(source, at)
  return at + source.length
}

const fieldSize = (field: Uint8Array | null): number => (field === null ? 1 : lengthSize(field.length) + field.length)

const writeField = (target: Uint8Array, at: number, field: Uint8Array | null): number => {
  if (field === null) {
    target[at] = 1
    return at + 1
  }
  return copy(target, writeLength(target, at, field.length), field)
}

const headersSize = (headers: ReadonlyArray<RecordHeader>): number => {
  let size = 0
  for (const [name, value] of headers) size += fieldSize(name) + fieldSize(value)
  return size
}

const writeHeaders = (target: Uint8Array, start: number, headers: ReadonlyArray<RecordHeader>): number => {
  let at = start
  for (const [name, value] of headers) at = writeField(target, writeField(target, at, name), value)
  return at
}

/** Encodes headers for `RecordsBuilder.append`. */
export const encodeHeaders = (headers: ReadonlyArray<RecordHeader>): HeaderBlock => {
  const bytes = new Uint8Array(headersSize(headers))
  writeHeaders(bytes, 0, headers)
  return { count: headers.length, bytes }
}

/** A cursor over encoded records: after `next()` returns true the fields describe one record. Made once, reused. */
export class RecordReader {
  bytes: Uint8Array = noHeaders.bytes
  /** Where the record begins, its length included. */
  start = 0
  /** Where the record ends, and the next begins. */
  position = 0
  timestampDelta = 0
  offsetDelta = 0
  /** Where the fields behind the two deltas begin. */
  restAt = 0
  keyAt = 0
  /** -1: null. */
  keyLength = -1
  valueAt = 0
  /** -1: null. */
  valueLength = -1
  headerCount = 0
  headersAt = 0
  #at = 0
  #end = 0

  /** Sets the cursor before the first record of `bytes`. */
  reset(bytes: Uint8Array): this {
    this.bytes = bytes
    this.position = 0
    return this
  }

  /** Reads the next record, all of its lengths checked; false at the end. Throws `InvalidRecord`. */
  next(): boolean {
    if (!this.nextDeltas()) return false
    this.keyLength = this.#fieldLength()
    this.keyAt = this.#skip(this.keyLength)
    this.valueLength = this.#fieldLength()
    this.valueAt = this.#skip(this.valueLength)
    this.headerCount = this.#varint()
    this.headersAt = this.#at
    // A header takes two bytes at least, so a lying count is refused before it is walked.
    if (this.headerCount < 0 || this.headerCount > (this.#end - this.#at) >>> 1) {
      throw new InvalidRecord("Headers", "a count of headers that cannot be")
    }
    for (let header = 0; header < this.headerCount; header++) {
      const nameLength = this.#varint()
      if (nameLength < 0) throw new InvalidRecord("Headers", "a header without a name")
      this.#skip(nameLength)
      this.#skip(this.#fieldLength())
    }
    if (this.#at !== this.#end) throw new InvalidRecord("Length", "bytes between the last header and the record's end")
    return true
  }

  /** Reads the next record's length and deltas only, and moves on to its end. Throws `InvalidRecord`. */
  nextDeltas(): boolean {
    const bytes = this.bytes
    if (this.position >= bytes.length) return false
    this.start = this.#at = this.position
    this.#end = bytes.length
    const length = this.#varint()
    if (length < 1 || length > bytes.length - this.#at) {
      throw new InvalidRecord("Length", "a record's length past the end")
    }
    this.#end = this.position = this.#at + length
    this.#at++
    this.timestampDelta = this.#varlong()
    this.offsetDelta = this.#varint()
    this.restAt = this.#at
    return true
  }

  /** The key, a view. */
  key(): Uint8Array | null {
    return this.keyLength < 0 ? null : this.bytes.subarray(this.keyAt, this.keyAt + this.keyLength)
  }

  /** The value, a view. */
  value(): Uint8Array | null {
    return this.valueLength < 0 ? null : this.bytes.subarray(this.valueAt, this.valueAt + this.valueLength)
  }

  /** The headers, views, in order. */
  headers(): Array<RecordHeader> {
    const headers: Array<RecordHeader> = []
    this.#at = this.headersAt
    this.#end = this.position
    for (let header = 0; header < this.headerCount; header++) {
      const nameLength = this.#varint()
      const nameAt = this.#skip(nameLength)
      const valueLength = this.#fieldLength()
      const valueAt = this.#skip(valueLength)
      const name = this.bytes.subarray(nameAt, nameAt + nameLength)
      headers.push([name, valueLength < 0 ? null : this.bytes.subarray(valueAt, valueAt + valueLength)])
    }
    return headers
  }

  #fieldLength(): number {
    const length = this.#varint()
    if (length < -1) throw new InvalidRecord("Length", "a negative length")
    return length
  }

  /** Passes over a field; returns where it began. */
  #skip(length: number): number {
    const at = this.#at
    if (length > this.#end - at) throw new InvalidRecord("Length", "a field past the record's end")
    if (length > 0) this.#at = at + length
    return at
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new InvalidRecord("Truncated", "a number past the record's end")
    return this.bytes[this.#at++]!
  }

  #varint(): number {
    // Nearly all of a record's numbers have one byte.
    const first = this.bytes[this.#at]!
    if (first < 128 && this.#at < this.#end) {
      this.#at++
      return (first >>> 1) ^ -(first & 1)
    }
    return this.#longVarint()
  }

  #longVarint(): number {
    let byte = this.#byte()
    let value = byte & 127
    for (let shift = 7; byte > 127; shift += 7) {
      byte = this.#byte()
      if (shift === 28 && byte > 15) throw new InvalidRecord("Varint", "a number of more than 32 bits")
      value |= (byte & 127) << shift
    }
    return (value >>> 1) ^ -(value & 1)
  }

  #varlong(): number {
    let byte = this.#byte()
    const isNegative = (byte & 1) !== 0
    let value = (byte & 127) >>> 1
    for (let factor = 64; byte > 127; factor *= 128) {
      byte = this.#byte()
      value += (byte & 127) * factor
      if (value > Number.MAX_SAFE_INTEGER || factor > 2 ** 62) {
        throw new InvalidRecord("Timestamp", "a timestamp delta that is not from -2^53 to 2^53 - 1 ms")
      }
    }
    return isNegative ? -1 - value : value
  }
}

/**
 * Visits `count` records whose offset deltas must be 0, 1, 2 …; the visitor gets the cursor itself and ends the
 * walk by returning false. Throws `InvalidRecord`, also when the bytes hold another number of records.
 */
export const iterate = (bytes: Uint8Array, count: number, visit: (record: RecordReader) => boolean | void): void => {
  const reader = new RecordReader().reset(bytes)
  for (let index = 0; index < count; index++) {
    if (!reader.next()) throw new InvalidRecord("Count", "fewer records than counted")
    if (reader.offsetDelta !== index) throw new InvalidRecord("OffsetDelta", "offset deltas are not 0, 1, 2 …")
    if (visit(reader) === false) return
  }
  if (reader.position !== bytes.length) throw new InvalidRecord("Count", "bytes after the last record")
}

/** Where the record with index `count` begins: the byte length of the first `count` records. Throws `InvalidRecord`. */
export const skipRecords = (bytes: Uint8Array, count: number): number => {
  const reader = new RecordReader().reset(bytes)
  for (let index = 0; index < count; index++) {
    if (!reader.nextDeltas()) throw new InvalidRecord("Count", "fewer records than counted")
  }
  return reader.position
}

/** Bytes of a record that is the first of its batch, without the batch's header. */
export const recordBytes = (
  key: Uint8Array | null,
  value: Uint8Array | null,
  headerBlock: HeaderBlock,
  extraHeaders: ReadonlyArray<RecordHeader> = noExtraHeaders
): number => {
  const length = recordLength(0, 0, key, value, headerBlock, extraHeaders)
  return lengthSize(length) + length
}

/** The length by the record's own length field. */
const recordLength = (
  timestampDelta: number,
  offsetDelta: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
  headerBlock: HeaderBlock,
  extraHeaders: ReadonlyArray<RecordHeader>
): number =>
  1 +
  varlongSize(timestampDelta) +
  lengthSize(offsetDelta) +
  fieldSize(key) +
  fieldSize(value) +
  lengthSize(headerBlock.count + extraHeaders.length) +
  headerBlock.bytes.length +
  (extraHeaders.length === 0 ? 0 : headersSize(extraHeaders))

const initialCapacityBytes = 1024
/** A reset builder keeps a buffer up to this, so that a thousand idle partitions do not hold a thousand peaks. */
const keptCapacityBytes = 64 * 1024
/** Room before the records for a batch's header, so that many records become a batch without a copy. */
const headroomBytes = 61
const noBytes = new Uint8Array(0)

/**
 * Encodes records one after the other: offset deltas 0, 1, 2 …, timestamp deltas from the first record's timestamp.
 * Its buffer is reused after `reset()`.
 */
export class RecordsBuilder {
  /** Records so far. */
  count = 0
  /** Bytes so far. */
  byteLength = 0
  /** The timestamp that the deltas are relative to, in ms; of the first record, unless `begin` set it. 0 when empty. */
  firstTimestampMs = 0
  /** The highest timestamp so far, in ms; 0 when empty. */
  maxTimestampMs = 0
  readonly #bytesMax: number
  readonly #keptBytes: number
  readonly #buffers: Buffers
  readonly #reader = new RecordReader()
  /** Behind the headroom; made when it is needed, of the size that the last one would have needed. */
  #buffer: Uint8Array = noBytes
  #capacityBytes = initialCapacityBytes
  #isBegun = false

  /** `bytesMax`: what all records together may take. `keptBytes`: the largest buffer that outlives a `reset`. */
  constructor(bytesMax: number, keptBytes = keptCapacityBytes, buffers: Buffers = freshBuffers) {
    this.#bytesMax = bytesMax
    this.#keptBytes = keptBytes
    this.#buffers = buffers
  }

  /** The records, a view that is valid until the next `append`, `appendRecords` or `reset`. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.byteLength)
  }

  /** Empties the builder. */
  reset(): void {
    this.#capacityBytes = Math.max(initialCapacityBytes, this.byteLength + (this.byteLength >>> 3))
    this.count = this.byteLength = this.firstTimestampMs = this.maxTimestampMs = 0
    this.#isBegun = false
    if (this.#buffer.length <= this.#keptBytes) return
    this.#buffers.give(this.#buffer)
    this.#buffer = noBytes
  }

  /**
   * The records behind room for a batch's header of 61 bytes. They are the caller's now: until its `reset` the builder
   * must not be used. A buffer that is less than half full is copied, so that nobody holds much more than he knows of.
   * Whoever has done with them may give them back to where the builder has its buffers from.
   */
  giveAway(): Uint8Array {
    const { buffer, byteOffset, length } = this.#buffer
    const bytes = headroomBytes + this.byteLength
    const whole = new Uint8Array(buffer, byteOffset - headroomBytes, bytes)
    this.#buffer = noBytes
    if (length <= 2 * bytes) return whole
    const copy = this.#buffers.take(bytes).subarray(0, bytes)
    copy.set(whole)
    this.#buffers.give(whole)
    return copy
  }

  /** Sets the base timestamp of an empty builder, for records that are appended to it. */
  begin(firstTimestampMs: number): void {
    this.firstTimestampMs = firstTimestampMs
    this.#isBegun = true
  }

  /**
   * Appends one record: the block's headers, then the extra ones. `timestampMs` may be lower than the one before.
   * Returns false, and changes nothing, when it would take more than `bytesMax`.
   */
  append(
    key: Uint8Array | null,
    value: Uint8Array | null,
    headerBlock: HeaderBlock,
    timestampMs: number,
    extraHeaders: ReadonlyArray<RecordHeader> = noExtraHeaders
  ): boolean {
    const timestampDelta = this.#isBegun ? timestampMs - this.firstTimestampMs : 0
    const length = recordLength(timestampDelta, this.count, key, value, headerBlock, extraHeaders)
    const end = this.byteLength + lengthSize(length) + length
    if (end > this.#bytesMax) return false
    if (end > this.#buffer.length) this.#grow(end)
    if (!this.#isBegun) this.begin(timestampMs)
    const target = this.#buffer
    let at = writeLength(target, this.byteLength, length)
    target[at++] = 0
    at = writeVarlong(target, at, timestampDelta)
    at = writeLength(target, at, this.count)
    at = writeField(target, at, key)
    at = writeField(target, at, value)
    at = writeLength(target, at, headerBlock.count + extraHeaders.length)
    at = copy(target, at, headerBlock.bytes)
    if (extraHeaders.length > 0) writeHeaders(target, at, extraHeaders)
    if (this.count === 0 || timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs
    this.byteLength = end
    this.count++
    return true
  }

  /**
   * Appends `count` encoded records with their deltas moved: the shifts are added to each record's offset delta
   * (which must then continue this builder's) and timestamp delta. An empty builder needs `begin` first.
   * Returns false, and changes nothing, when it would take more than `bytesMax`. Throws `InvalidRecord`, nothing changed.
   */
  appendRecords(records: Uint8Array, count: number, offsetDeltaShift: number, timestampDeltaShift: number): boolean {
    const reader = this.#reader.reset(records)
    let maxTimestampMs = this.count === 0 ? -Infinity : this.maxTimestampMs
    let end = this.byteLength
    for (let index = 0; index < count; index++) {
      if (!reader.nextDeltas()) throw new InvalidRecord("Count", "fewer records than counted")
      const offsetDelta = reader.offsetDelta + offsetDeltaShift
      if (offsetDelta !== this.count + index) throw new InvalidRecord("OffsetDelta", "the records do not continue")
      const timestampDelta = reader.timestampDelta + timestampDeltaShift
      const rest = reader.position - reader.restAt
      const length = 1 + varlongSize(timestampDelta) + lengthSize(offsetDelta) + rest
      const begin = end
      end += lengthSize(length) + length
      if (end > this.#bytesMax) return false
      if (end > this.#buffer.length) this.#grow(end, begin)
      this.#writeMoved(reader, begin, length, timestampDelta, offsetDelta)
      const timestampMs = this.firstTimestampMs + timestampDelta
      if (timestampMs > maxTimestampMs) maxTimestampMs = timestampMs
    }
    if (reader.position !== records.length) throw new InvalidRecord("Count", "bytes after the last record")
    if (count === 0) return true
    this.maxTimestampMs = maxTimestampMs
    this.byteLength = end
    this.count += count
    return true
  }

  /**
   * Appends the record that `reader` stands at (`next` or `nextDeltas` was true) under another offset delta, which may leave a
   * gap behind the one before, and another timestamp. An empty builder needs `begin` first.
   * Returns false, and changes nothing, when it would take more than `bytesMax`.
   */
  appendRecord(reader: RecordReader, offsetDelta: number, timestampMs: number): boolean {
    const timestampDelta = timestampMs - this.firstTimestampMs
    const length = 1 + varlongSize(timestampDelta) + lengthSize(offsetDelta) + reader.position - reader.restAt
    const end = this.byteLength + lengthSize(length) + length
    if (end > this.#bytesMax) return false
    if (end > this.#buffer.length) this.#grow(end)
    this.#writeMoved(reader, this.byteLength, length, timestampDelta, offsetDelta)
    if (this.count === 0 || timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs
    this.byteLength = end
    this.count++
    return true
  }

  /** Writes the reader's record with other deltas. */
  #writeMoved(
    { bytes, restAt, position }: RecordReader,
    begin: number,
    length: number,
    timestampDelta: number,
    offsetDelta: number
  ): void {
    const target = this.#buffer
    let at = writeLength(target, begin, length)
    target[at++] = 0
    at = writeVarlong(target, at, timestampDelta)
    at = writeLength(target, at, offsetDelta)
    target.set(bytes.subarray(restAt, position), at)
  }

  #grow(bytesNeeded: number, used = this.byteLength): void {
    let capacity = Math.max(this.#capacityBytes, this.#buffer.length)
    while (capacity < bytesNeeded) capacity *= 2
    const bytes = Math.max(bytesNeeded, Math.min(capacity, this.#bytesMax))
    const grown = this.#buffers.take(headroomBytes + bytes).subarray(headroomBytes)
    if (used > 0) grown.set(this.#buffer.subarray(0, used))
    if (this.#buffer !== noBytes) this.#buffers.give(this.#buffer)
    this.#buffer = grown
  }
}
