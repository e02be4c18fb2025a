import { crc32c } from "@node-rs/crc32"
import type { BatchRef } from "./batchRef.ts"
import { JournalError } from "./JournalError.ts"

/**
 * A run of a settled segment: whole record batches of one log, one after the other, of one epoch, all of them built by
 * the server or all as producers sent them. `byteLength` and `crc` are of the stored bytes, `position` is the largest
 * of its batches in bytes, as readers get it.
 */
export interface Extent extends BatchRef {
  readonly epoch: number
  /**
   * Whether records were taken away that have newer ones of their keys: then `count` is the span of offsets from the first batch
   * to the end of the last one, some of which may be gone, as may be those around the run.
   */
  readonly isCompacted: boolean
}

/** The offset after the last one that the run covers. */
export const endOf = ({ baseOffset, count }: Pick<Extent, "baseOffset" | "count">): number => baseOffset + count

/** Whether a log's run may stand behind that one: without a gap, unless one of both was compacted. */
export const follows = (
  before: Pick<Extent, "baseOffset" | "count" | "isCompacted">,
  { baseOffset, isCompacted }: Pick<Extent, "baseOffset" | "isCompacted">
): boolean => {
  const endOffset = endOf(before)
  return baseOffset === endOffset || (baseOffset > endOffset && (before.isCompacted || isCompacted))
}

/**
 * Little-endian, 56 bytes each:
 *
 *      0 u32 log id    8 i64 base offset           24 i64 last time, Unix ms    40 u32 bytes     48 u32 largest batch
 *      4 u32 epoch    16 i64 first time, Unix ms   32 i64 count                 44 u32 crc32c    52 u32 flags
 *
 * Flags: 1 verbatim, 2 compacted.
 */
const extentBytes = 56
const pageHeadBytes = 4
const extentsPerPage = 1024
const verbatimFlag = 1
const compactedFlag = 2

/** Collects extents into pages of at most 56 KB, each with a CRC. */
export class ExtentPages {
  #page = Buffer.alloc(0)
  #count = 0

  /** A full page, now and then. */
  add(extent: Extent): Buffer | undefined {
    if (this.#count === 0) this.#page = Buffer.alloc(pageHeadBytes + extentsPerPage * extentBytes)
    const at = pageHeadBytes + this.#count++ * extentBytes
    const page = this.#page
    page.writeUInt32LE(extent.logId, at)
    page.writeUInt32LE(extent.epoch, at + 4)
    page.writeBigInt64LE(BigInt(extent.baseOffset), at + 8)
    page.writeBigInt64LE(BigInt(extent.firstTimestampMs), at + 16)
    page.writeBigInt64LE(BigInt(extent.maxTimestampMs), at + 24)
    page.writeBigInt64LE(BigInt(extent.count), at + 32)
    page.writeUInt32LE(extent.byteLength, at + 40)
    page.writeUInt32LE(extent.crc, at + 44)
    page.writeUInt32LE(extent.position, at + 48)
    page.writeUInt32LE((extent.verbatim ? verbatimFlag : 0) | (extent.isCompacted ? compactedFlag : 0), at + 52)
    return this.#count === extentsPerPage ? this.take() : undefined
  }

  /** Returns the page of what is left; undefined if nothing is. */
  take(): Buffer | undefined {
    if (this.#count === 0) return undefined
    const page = this.#page.subarray(0, pageHeadBytes + this.#count * extentBytes)
    page.writeUInt32LE(crc32c(page.subarray(pageHeadBytes)), 0)
    this.#count = 0
    return page
  }
}

/** Visits a page's extents in order. Throws `JournalError` "Corrupt"; `file` is named then. */
export const readExtents = (page: Buffer, file: string, visit: (extent: Extent) => void): void => {
  const isWhole = page.length >= pageHeadBytes && (page.length - pageHeadBytes) % extentBytes === 0
  if (!isWhole || page.readUInt32LE(0) !== crc32c(page.subarray(pageHeadBytes))) {
    throw new JournalError("Corrupt", `${file}: a page of extents fails its checksum`)
  }
  for (let at = pageHeadBytes; at < page.length; at += extentBytes) {
    const flags = page.readUInt32LE(at + 52)
    visit({
      logId: page.readUInt32LE(at),
      epoch: page.readUInt32LE(at + 4),
      baseOffset: Number(page.readBigInt64LE(at + 8)),
      firstTimestampMs: Number(page.readBigInt64LE(at + 16)),
      maxTimestampMs: Number(page.readBigInt64LE(at + 24)),
      count: Number(page.readBigInt64LE(at + 32)),
      byteLength: page.readUInt32LE(at + 40),
      crc: page.readUInt32LE(at + 44),
      position: page.readUInt32LE(at + 48),
      verbatim: (flags & verbatimFlag) !== 0,
      isCompacted: (flags & compactedFlag) !== 0,
      place: "run",
      chunk: 0,
      producer: undefined
    })
  }
}
