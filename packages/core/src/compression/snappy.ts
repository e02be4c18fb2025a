import { uncompressSync } from "snappy"
import { copyLiterals, copyMatch } from "./copy.ts"
import { corrupt, tooLarge } from "./InvalidCompression.ts"

// Snappy as Kafka's clients send it: one raw block, or snappy-java's stream of blocks.

/** A block's declared length, and where its elements begin. */
interface Head {
  readonly length: number
  readonly at: number
}

const headOf = (bytes: Uint8Array, start: number, end: number): Head => {
  let length = 0
  for (let n = 0; n < 5 && start + n < end; n++) {
    const byte = bytes[start + n]!
    length += (byte & 0x7f) * 2 ** (7 * n)
    if (byte < 0x80) return { length, at: start + n + 1 }
  }
  throw corrupt("snappy", "no length")
}

const xerialMagic = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00)
const xerialHeaderBytes = 16

const isXerial = (bytes: Uint8Array): boolean =>
  bytes.length >= xerialHeaderBytes && xerialMagic.every((byte, at) => bytes[at] === byte)

/** The blocks of snappy-java's stream: magic, two versions, then blocks, each with a big-endian length. */
const eachBlock = (bytes: Uint8Array, visit: (start: number, end: number) => void): void => {
  if (!isXerial(bytes)) return visit(0, bytes.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = xerialHeaderBytes
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw corrupt("snappy", "a cut block length")
    const length = view.getInt32(at)
    at += 4
    if (length <= 0 || length > bytes.length - at) throw corrupt("snappy", "a block's length past the end")
    visit(at, at + length)
    at += length
  }
}

/** The bytes that all blocks declare. Throws `InvalidCompression`, `TooLarge` over `limitBytes`. */
export const snappyLength = (bytes: Uint8Array, limitBytes: number): number => {
  let total = 0
  eachBlock(bytes, (start, end) => {
    total += headOf(bytes, start, end).length
    if (total > limitBytes) throw tooLarge("snappy", limitBytes)
  })
  return total
}

const littleEndian = (bytes: Uint8Array, at: number, count: number): number => {
  let value = 0
  for (let n = 0; n < count; n++) value += bytes[at + n]! * 2 ** (8 * n)
  return value
}

/** A literal's length where six bits of its tag do not hold it. */
const longLiteral = (bytes: Uint8Array, at: number, count: number, end: number): number => {
  if (count > end - at) throw corrupt("snappy", "a cut length")
  return littleEndian(bytes, at, count) + 1
}

/** One block, whose declared length is there from `start` in `out`. */
const decodeBlock = (
  bytes: Uint8Array,
  { at: from, length: size }: Head,
  end: number,
  out: Uint8Array,
  start: number
) => {
  const stop = start + size
  let at = from
  let to = start
  while (at < end) {
    const tag = bytes[at++]!
    const kind = tag & 3
    let length = (tag >>> 2) + 1
    if (kind === 0) {
      if (length > 60) {
        const count = length - 60
        length = longLiteral(bytes, at, count, end)
        at += count
      }
      if (length > end - at || length > stop - to) throw corrupt("snappy", "a literal past the end")
      copyLiterals(bytes, at, out, to, length)
      at += length
      to += length
      continue
    }
    const distanceBytes = kind === 3 ? 4 : kind
    if (distanceBytes > end - at) throw corrupt("snappy", "a cut distance")
    let distance: number
    if (kind === 2) {
      const low = bytes[at]!
      const high = bytes[at + 1]!
      distance = low | (high << 8)
      // A copy has 64 bytes at most, so a longer repeat is a row of equal ones.
      const each = length
      while (bytes[at + 2] === tag && bytes[at + 3] === low && bytes[at + 4] === high && at + 5 <= end) {
        length += each
        at += 3
      }
    } else if (kind === 1) {
      length = ((tag >>> 2) & 7) + 4
      distance = ((tag >>> 5) << 8) | bytes[at]!
    } else distance = littleEndian(bytes, at, 4)
    at += distanceBytes
    if (distance === 0 || distance > to - start || length > stop - to) throw corrupt("snappy", "a copy out of bounds")
    copyMatch(out, to, distance, length)
    to += length
  }
  if (to !== stop) throw corrupt("snappy", "less than declared")
}

/**
 * A block of so many bytes and more is decoded here. The library is up to 2.4 times as quick with memory that malloc has
 * at hand, but larger outputs are new memory each time, whose first touch costs more than all else: 65 to 75 ms of CPU for a
 * block of 15 MiB beside 4 to 6 (`bench/decompress.ts`), in which nobody else is served.
 */
const ownBytesMin = 1024 * 1024

const decodeByLibrary = (block: Uint8Array, out: Uint8Array, to: number): void => {
  let decoded: Uint8Array
  try {
    decoded = uncompressSync(block, { asBuffer: true }) as Buffer
  } catch (error) {
    throw corrupt("snappy", error instanceof Error ? error.message : "not readable")
  }
  out.set(decoded, to)
  free(decoded)
}

/** Frees what the library has allocated for this alone, and does not wait for V8 to collect it. */
const free = ({ buffer, length }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === length) buffer.transfer(0)
}

/** Decompresses into the beginning of `out`, which has room for what `snappyLength` says. Throws `InvalidCompression`. */
export const snappyInto = (bytes: Uint8Array, out: Uint8Array): void => {
  let to = 0
  eachBlock(bytes, (start, end) => {
    const head = headOf(bytes, start, end)
    if (head.length < ownBytesMin) decodeByLibrary(bytes.subarray(start, end), out, to)
    else decodeBlock(bytes, head, end, out, to)
    to += head.length
  })
}
