import { copyLiterals, copyMatch } from "./copy.ts"
import { corrupt, tooLarge } from "./InvalidCompression.ts"
import { xxHash32 } from "./xxHash32.ts"

// A batch has one LZ4 frame, as its specification (1.6.x) has it: Java's client and librdkafka send independent blocks of 64 KB
// without checksums. Dictionaries and what stands behind the frame are refused.

interface Head {
  readonly blocksAt: number
  readonly blockBytesMax: number
  readonly areIndependent: boolean
  /** That the frame declares. */
  readonly contentBytes: number | undefined
  readonly blockTrailerBytes: 0 | 4
  readonly frameTrailerBytes: 0 | 4
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const headOf = (bytes: Uint8Array, view: DataView): Head => {
  if (bytes.length < 7 || view.getUint32(0, true) !== 0x184d2204) throw corrupt("lz4", "no frame")
  const flags = bytes[4]!
  const blockSize = (bytes[5]! >>> 4) & 7
  if (flags >>> 6 !== 1 || blockSize < 4) throw corrupt("lz4", "an unknown frame version or block size")
  if ((flags & 1) !== 0) throw corrupt("lz4", "a dictionary")
  const hasContentSize = (flags & 8) !== 0
  const sumAt = hasContentSize ? 14 : 6
  if (bytes.length <= sumAt) throw corrupt("lz4", "a cut head")
  const sum = (xxHash32(bytes.subarray(4, sumAt)) >>> 8) & 0xff
  if (bytes[sumAt] !== sum) throw corrupt("lz4", "a head with a wrong checksum")
  return {
    blocksAt: sumAt + 1,
    blockBytesMax: 1 << (8 + 2 * blockSize),
    areIndependent: (flags & 32) !== 0,
    contentBytes: hasContentSize ? Number(view.getBigUint64(6, true)) : undefined,
    blockTrailerBytes: (flags & 16) === 0 ? 0 : 4,
    frameTrailerBytes: (flags & 4) === 0 ? 0 : 4
  }
}

/**
 * Whether a frame's head is one that Kafka takes: its consumers in Java read independent blocks only, and no reserved bits. Frames
 * that others have stored are read all the same.
 */
export const hasKafkaHead = (frame: Uint8Array): boolean => (frame[4]! & 0x22) === 0x20 && (frame[5]! & 0x8f) === 0

interface Block {
  readonly start: number
  readonly end: number
  readonly isStored: boolean
}

/** Visits the blocks of a frame whose lengths fit into one another. */
const eachBlock = (bytes: Uint8Array, view: DataView, head: Head, visit: (block: Block) => void): void => {
  let at = head.blocksAt
  while (true) {
    if (at + 4 > bytes.length) throw corrupt("lz4", "no end mark")
    const word = view.getUint32(at, true)
    at += 4
    if (word === 0) break
    const end = at + (word & 0x7fffffff)
    if (end - at > head.blockBytesMax || end + head.blockTrailerBytes > bytes.length)
      throw corrupt("lz4", "a block past the end")
    visit({ start: at, end, isStored: word >>> 31 === 1 })
    at = end + head.blockTrailerBytes
  }
  if (at + head.frameTrailerBytes !== bytes.length) throw corrupt("lz4", "bytes after the end")
}

/** The sum of an LZ4 length's extension bytes (each 255 is followed by another), and where it ends. */
const extension = (bytes: Uint8Array, start: number, end: number): { length: number; at: number } => {
  let length = 0
  let at = start
  while (true) {
    if (at >= end) throw corrupt("lz4", "a cut length")
    const byte = bytes[at++]!
    length += byte
    if (byte !== 255) return { length, at }
  }
}

/** The bytes to which a compressed block decompresses, by its tokens alone. */
const blockLength = (bytes: Uint8Array, { start, end }: Block): number => {
  let at = start
  let length = 0
  while (at < end) {
    const token = bytes[at++]!
    let literals = token >>> 4
    if (literals === 15) {
      const more = extension(bytes, at, end)
      literals += more.length
      at = more.at
    }
    at += literals
    length += literals
    if (at > end) throw corrupt("lz4", "literals past the block's end")
    // The last sequence has literals only.
    if (at === end) return length
    at += 2
    let match = (token & 15) + 4
    if (match === 19) {
      const more = extension(bytes, at, end)
      match += more.length
      at = more.at
    }
    length += match
  }
  throw corrupt("lz4", "a block that ends in a match")
}

/**
 * The bytes to which a frame decompresses, by its blocks and tokens alone: a frame need not declare its content's size.
 * Throws `InvalidCompression`, `TooLarge` over `limitBytes`.
 */
export const lz4Length = (bytes: Uint8Array, limitBytes: number): number => {
  const view = viewOf(bytes)
  const head = headOf(bytes, view)
  let total = 0
  eachBlock(bytes, view, head, (block) => {
    const length = block.isStored ? block.end - block.start : blockLength(bytes, block)
    if (length > head.blockBytesMax) throw corrupt("lz4", "a block that decompresses to more than the frame allows")
    total += length
    if (total > limitBytes) throw tooLarge("lz4", limitBytes)
  })
  if (head.contentBytes !== undefined && head.contentBytes !== total) throw corrupt("lz4", "another size than declared")
  return total
}

/** A block that `blockLength` has passed, to `to`; matches reach back to `floor`. Returns where it ends. */
const decodeBlock = (
  bytes: Uint8Array,
  { start, end }: Block,
  out: Uint8Array,
  first: number,
  floor: number
): number => {
  let at = start
  let to = first
  while (true) {
    const token = bytes[at++]!
    let literals = token >>> 4
    if (literals === 15) {
      const more = extension(bytes, at, end)
      literals += more.length
      at = more.at
    }
    copyLiterals(bytes, at, out, to, literals)
    at += literals
    to += literals
    if (at >= end) return to
    const distance = bytes[at]! | (bytes[at + 1]! << 8)
    at += 2
    if (distance === 0 || distance > to - floor) throw corrupt("lz4", "a match out of bounds")
    let match = (token & 15) + 4
    if (match === 19) {
      const more = extension(bytes, at, end)
      match += more.length
      at = more.at
    }
    copyMatch(out, to, distance, match)
    to += match
  }
}

/** Decompresses into the beginning of `out`, which has room for what `lz4Length` says. Throws `InvalidCompression`. */
export const lz4Into = (bytes: Uint8Array, out: Uint8Array): void => {
  const view = viewOf(bytes)
  const head = headOf(bytes, view)
  let to = 0
  eachBlock(bytes, view, head, (block) => {
    const { start, end } = block
    if (head.blockTrailerBytes > 0 && xxHash32(bytes.subarray(start, end)) !== view.getUint32(end, true))
      throw corrupt("lz4", "a block with a wrong checksum")
    if (block.isStored) {
      copyLiterals(bytes, start, out, to, end - start)
      to += end - start
    } else to = decodeBlock(bytes, block, out, to, head.areIndependent ? to : 0)
  })
  if (head.frameTrailerBytes > 0 && xxHash32(out.subarray(0, to)) !== view.getUint32(bytes.length - 4, true))
    throw corrupt("lz4", "content with a wrong checksum")
}
