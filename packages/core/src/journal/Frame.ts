import { crc32c } from "@node-rs/crc32"
import { zstdDecompressSync } from "node:zlib"
import type { Marker } from "../transaction/Marker.ts"
import { readRef, writeRef, type BatchRef, type Producer } from "./batchRef.ts"
import { borrowWriter, ByteReader, ByteWriter, returnWriter, TornBytes } from "./Bytes.ts"
import type { Commit, Seq, StoredBatch } from "./Journal.ts"
import { JournalError } from "./JournalError.ts"

/**
 * The frame: every event of one commit, little-endian.
 *
 *     0 u32 crc32c of all that follows    16 i64 first seq        40 origins: text each
 *     4 u8  format                        24 i64 time, Unix ms       entries
 *     5 u8  kind: 0 ordinary, 1 moved     32 u32 entries' bytes      small records, unless in chunks
 *     6 u16 chunks (0: small records lie in the frame)
 *     8 u32 epoch                         36 u32 origins
 *    12 u32 entries
 *
 * Entry n has seq = first seq + n. Each begins with its type and its cause (the seq of the event that led to it,
 * as a distance, and an origin outside the journal, as an index; 0 = none).
 *
 * Format 1 is as it was committed. A settled segment has stripped frames: every entry and no records, which lie in the
 * segment's runs. Their bytes at 32 count origins and entries, plain in format 2, one zstd frame in format 3.
 */
export const headerBytes = 40
export const frameFormat = { whole: 1, stripped: 2, strippedZstd: 3 } as const
export const formatOf = (frame: Buffer): number => frame[4]!
const originsMax = 65_535

/** Small records above this many bytes in one commit leave the frame for chunks of at most this size. */
export const chunkBytesMax = 32 * 1024

/** Records of one partition and commit from this size on become a value of their own. */
export const ownValueBytesMin = 4096

export const entryType = { event: 0, records: 1, hash: 2, versionedHash: 3 } as const

/** The cause of an event: an event before it, or something outside the journal such as a client's request. */
export interface Cause {
  readonly seq?: Seq | undefined
  readonly origin?: string | undefined
}

export const noCause: Cause = {}

export interface FrameHead {
  readonly kind: number
  readonly chunks: number
  readonly epoch: number
  readonly entries: number
  readonly firstSeq: Seq
  readonly nextSeq: Seq
  readonly timeMs: number
}

export interface FrameVisitor {
  readonly event?: (seq: Seq, actor: string, version: number, payload: Buffer, cause: Cause) => void
  readonly records?: (seq: Seq, ref: BatchRef, cause: Cause) => void
  readonly hash?: (seq: Seq, actor: string, hash: Buffer, stateVersion: number) => void
}

/** The records that a partition appends; `bytes` must not change before the commit is durable. */
export interface StagedRecords {
  readonly logId: number
  readonly baseOffset: number
  readonly count: number
  readonly firstTimestampMs: number
  readonly maxTimestampMs: number
  readonly bytes: Uint8Array
  readonly verbatim: boolean
  readonly producer: Producer | undefined
  readonly isTransactional?: true | undefined
  readonly marker?: Marker | undefined
  readonly isLogAppendTime?: true | undefined
}

export interface BuiltCommit {
  readonly commit: Commit
  readonly refs: ReadonlyArray<BatchRef>
}

/** Collects the events of one turn and encodes them as one commit. */
export class FrameBuilder {
  readonly firstSeq: Seq
  readonly #epoch: number
  readonly #timeMs: number
  readonly #entries = borrowWriter()
  readonly #origins = new Map<string, number>()
  readonly #chunks: Array<Buffer> = []
  readonly #small = borrowWriter()
  readonly #batches: Array<StoredBatch> = []
  /** With `place` and `position` as they are before it is known whether the small records leave the frame. */
  readonly #refs: Array<BatchRef> = []
  #count = 0
  #bytes = 0

  constructor(firstSeq: Seq, epoch: number, timeMs: number) {
    this.firstSeq = firstSeq
    this.#epoch = epoch
    this.#timeMs = timeMs
  }

  get nextSeq(): Seq {
    return this.firstSeq + this.#count
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  #begin(type: number, cause: Cause): Seq {
    const seq = this.firstSeq + this.#count++
    this.#entries.u8(type)
    this.#entries.varint(cause.seq === undefined ? 0 : seq - cause.seq)
    this.#entries.varint(cause.origin === undefined ? 0 : this.#originIndex(cause.origin))
    return seq
  }

  #originIndex(origin: string): number {
    const known = this.#origins.get(origin)
    if (known !== undefined) return known
    if (this.#origins.size >= originsMax) return 0
    const index = this.#origins.size + 1
    this.#origins.set(origin, index)
    return index
  }

  event(actor: string, version: number, payload: Uint8Array, cause: Cause): Seq {
    const seq = this.#begin(entryType.event, cause)
    this.#entries.text(actor)
    this.#entries.varint(version)
    this.#entries.varint(payload.length)
    this.#entries.bytes(payload)
    return seq
  }

  /** `stateVersion`: of the shape that was hashed. */
  hash(actor: string, hash: Uint8Array, stateVersion = 1): Seq {
    const seq = this.#begin(stateVersion === 1 ? entryType.hash : entryType.versionedHash, noCause)
    this.#entries.text(actor)
    if (stateVersion !== 1) this.#entries.varint(stateVersion)
    this.#entries.bytes(hash)
    return seq
  }

  records(staged: StagedRecords, cause: Cause): Seq {
    const ownValue = staged.bytes.length >= ownValueBytesMin
    let position = 0
    if (ownValue) {
      this.#batches.push({
        logId: staged.logId,
        lastOffset: staged.baseOffset + staged.count - 1,
        bytes: staged.bytes
      })
      this.#bytes += staged.bytes.length
    } else {
      if (this.#small.length + staged.bytes.length > chunkBytesMax) this.#cutChunk()
      position = this.#small.length
      this.#small.bytes(staged.bytes)
    }
    const chunk = this.#chunks.length
    const crc = crc32c(staged.bytes)
    const seq = this.#begin(entryType.records, cause)
    const ref: BatchRef = {
      logId: staged.logId,
      baseOffset: staged.baseOffset,
      count: staged.count,
      firstTimestampMs: staged.firstTimestampMs,
      maxTimestampMs: staged.maxTimestampMs,
      byteLength: staged.bytes.length,
      crc,
      place: ownValue ? "value" : "frame",
      chunk,
      position,
      verbatim: staged.verbatim,
      producer: staged.producer,
      isTransactional: staged.isTransactional,
      marker: staged.marker,
      isLogAppendTime: staged.isLogAppendTime
    }
    writeRef(this.#entries, ref)
    this.#refs.push(ref)
    return seq
  }

  #cutChunk(): void {
    const bytes = Buffer.allocUnsafeSlow(this.#small.length)
    this.#small.view().copy(bytes)
    this.#chunks.push(bytes)
    this.#bytes += bytes.length
    this.#small.reset()
  }

  /** The commit; the builder is used up. */
  build(): BuiltCommit {
    const chunked = this.#chunks.length > 0
    if (chunked && this.#small.length > 0) this.#cutChunk()
    const origins = new ByteWriter(64)
    for (const origin of this.#origins.keys()) origins.text(origin)
    const length = headerBytes + origins.length + this.#entries.length + this.#small.length
    const frame = Buffer.allocUnsafeSlow(length)
    frame[4] = frameFormat.whole
    frame[5] = 0
    frame.writeUInt16LE(this.#chunks.length, 6)
    frame.writeUInt32LE(this.#epoch, 8)
    frame.writeUInt32LE(this.#count, 12)
    frame.writeBigInt64LE(BigInt(this.firstSeq), 16)
    frame.writeBigInt64LE(BigInt(this.#timeMs), 24)
    frame.writeUInt32LE(this.#entries.length, 32)
    frame.writeUInt32LE(this.#origins.size, 36)
    origins.view().copy(frame, headerBytes)
    this.#entries.view().copy(frame, headerBytes + origins.length)
    this.#small.view().copy(frame, headerBytes + origins.length + this.#entries.length)
    frame.writeUInt32LE(crc32c(frame.subarray(4)), 0)
    const smallStart = length - this.#small.length
    returnWriter(this.#entries)
    returnWriter(this.#small)
    return {
      commit: {
        firstSeq: this.firstSeq,
        nextSeq: this.nextSeq,
        frame,
        chunks: this.#chunks,
        batches: this.#batches,
        refCount: this.#refs.length,
        byteLength: this.#bytes + length
      },
      refs: this.#refs.map((ref) => placedWhole(ref, chunked, smallStart))
    }
  }
}

const placedWhole = (ref: BatchRef, chunked: boolean, smallStart: number): BatchRef => {
  if (ref.place === "value") return ref
  return chunked ? { ...ref, place: "chunk" } : { ...ref, position: ref.position + smallStart }
}

const placed = (ref: BatchRef, frame: Buffer, head: FrameHead, smallStart: number): BatchRef =>
  formatOf(frame) === frameFormat.whole ? placedWhole(ref, head.chunks > 0, smallStart) : { ...ref, place: "run" }

/** Head and checksum only. Throws `JournalError` "Corrupt" or "UnknownFormat". */
export const readFrameHead = (frame: Buffer): FrameHead => {
  if (frame.length < headerBytes || frame.readUInt32LE(0) !== crc32c(frame.subarray(4))) {
    throw new JournalError("Corrupt", `a frame of ${frame.length} bytes fails its checksum`)
  }
  const format = formatOf(frame)
  if (format < frameFormat.whole || format > frameFormat.strippedZstd) {
    throw new JournalError("UnknownFormat", `frame format ${format} is not known`)
  }
  const entries = frame.readUInt32LE(12)
  const firstSeq = Number(frame.readBigInt64LE(16))
  return {
    kind: frame[5]!,
    chunks: frame.readUInt16LE(6),
    epoch: frame.readUInt32LE(8),
    entries,
    firstSeq,
    nextSeq: firstSeq + entries,
    timeMs: Number(frame.readBigInt64LE(24))
  }
}

/** When its commit was written, Unix milliseconds; undefined for a frame that is damaged. */
export const frameTimeMs = (frame: Buffer): number | undefined => {
  try {
    return readFrameHead(frame).timeMs
  } catch (error) {
    if (!(error instanceof JournalError)) throw error
    return undefined
  }
}

/** Visits every entry in order. The views are of `frame`, whose `head` may be known already. Throws `JournalError` for a frame that is not whole. */
export const readFrame = (frame: Buffer, visitor: FrameVisitor, head: FrameHead = readFrameHead(frame)): FrameHead => {
  try {
    readEntries(frame, head, visitor)
  } catch (error) {
    if (error instanceof TornBytes) throw new JournalError("Corrupt", `frame at seq ${head.firstSeq}: ${error.message}`)
    throw error
  }
  return head
}

/** Origins and entries, and what follows them. Throws `JournalError` for a stripped frame that does not decompress. */
export const openBody = (frame: Buffer, head: FrameHead): ByteReader => {
  if (formatOf(frame) !== frameFormat.strippedZstd) return new ByteReader(frame, headerBytes)
  const bodyBytes = frame.readUInt32LE(32)
  try {
    const body = zstdDecompressSync(frame.subarray(headerBytes), { maxOutputLength: Math.max(1, bodyBytes) })
    if (body.length === bodyBytes) return new ByteReader(body)
  } catch (error) {
    throw new JournalError("Corrupt", `frame at seq ${head.firstSeq}: ${(error as Error).message}`)
  }
  throw new JournalError("Corrupt", `frame at seq ${head.firstSeq} does not decompress to ${bodyBytes} bytes`)
}

const readEntries = (frame: Buffer, head: FrameHead, visitor: FrameVisitor): void => {
  const origins: Array<string> = []
  const originCount = frame.readUInt32LE(36)
  const reader = openBody(frame, head)
  for (let i = 0; i < originCount; i++) origins.push(reader.text())
  const smallStart = reader.at + frame.readUInt32LE(32)
  for (let seq = head.firstSeq; seq < head.nextSeq; seq++) {
    const type = reader.u8()
    const distance = reader.varint()
    const origin = reader.varint()
    const cause: Cause =
      distance === 0 && origin === 0
        ? noCause
        : { seq: distance === 0 ? undefined : seq - distance, origin: origin === 0 ? undefined : origins[origin - 1] }
    if (type === entryType.records) {
      const ref = readRef(reader)
      visitor.records?.(seq, placed(ref, frame, head, smallStart), cause)
    } else if (type === entryType.event) {
      const actor = reader.text()
      const version = reader.varint()
      const payload = reader.bytes(reader.varint())
      visitor.event?.(seq, actor, version, payload, cause)
    } else if (type === entryType.hash || type === entryType.versionedHash) {
      const actor = reader.text()
      const stateVersion = type === entryType.hash ? 1 : reader.varint()
      const hash = reader.bytes(hashBytes)
      visitor.hash?.(seq, actor, hash, stateVersion)
    } else throw new TornBytes(`entry type ${type} at seq ${seq} is not known`)
  }
}

/** The length of a state hash. */
export const hashBytes = 8
