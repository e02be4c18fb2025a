import { compressFrameSync, decompressFrameSync } from "lz4-napi"
import { compressSync as snappyCompress, uncompressSync as snappyUncompress } from "snappy"
import {
  constants,
  createGunzip,
  createZstdDecompress,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync
} from "node:zlib"
import { defaultLimits } from "./Limits.ts"

/** Kafka's compression codecs but "none", by their names. */
export type Codec = "gzip" | "snappy" | "lz4" | "zstd"

/** Why bytes do not decompress. */
export type CompressionReason = "Corrupt" | "TooLarge"

/** Bytes that are not of their codec, or that would decompress to more than allowed. */
export class InvalidCompression extends Error {
  readonly _tag = "InvalidCompression"
  readonly reason: CompressionReason

  constructor(reason: CompressionReason, message: string) {
    super(message)
    this.name = "InvalidCompression"
    this.reason = reason
  }
}

const corrupt = (codec: Codec, what: string): InvalidCompression =>
  new InvalidCompression("Corrupt", `${codec}: ${what}`)

const tooLarge = (codec: Codec, limitBytes: number): InvalidCompression =>
  new InvalidCompression("TooLarge", `${codec}: more than ${limitBytes} bytes decompressed`)

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

interface ZlibResult {
  readonly buffer: Uint8Array
  readonly engine: { readonly bytesWritten: number }
}

type ZlibCodec = "gzip" | "zstd"

/** The method that Node's zlib streams keep for compatibility (`_processChunk`), and the fields that it works on. */
interface ZlibEngine {
  _chunkSize: number
  _outBuffer: Uint8Array
  readonly bytesWritten: number
  readonly _processChunk: (bytes: Uint8Array, flush: number) => Uint8Array
}

/** Into new buffers. */
const inflate = (codec: ZlibCodec, bytes: Uint8Array, maxOutputLength: number): ZlibResult => {
  const options = { maxOutputLength, info: true }
  return (codec === "gzip" ? gunzipSync(bytes, options) : zstdDecompressSync(bytes, options)) as unknown as ZlibResult
}

/**
 * Into `out` as far as it fits. Should Node ignore the two fields one day, it allocates as for `inflate`, and nothing else
 * changes.
 */
const inflateInto = (codec: ZlibCodec, bytes: Uint8Array, maxOutputLength: number, out: Uint8Array): ZlibResult => {
  const options = { maxOutputLength, chunkSize: constants.Z_MIN_CHUNK }
  const stream = codec === "gzip" ? createGunzip(options) : createZstdDecompress(options)
  const engine = stream as unknown as ZlibEngine
  // A byte more than allowed tells that it is too large, before a second buffer is begun.
  engine._outBuffer = out.subarray(0, maxOutputLength + 1)
  engine._chunkSize = engine._outBuffer.length
  const flush = codec === "gzip" ? constants.Z_FINISH : constants.ZSTD_e_end
  return { buffer: engine._processChunk(bytes, flush), engine }
}

/**
 * Stops at `limitBytes`; the engine tells how much of the input was of the stream. A zstd frame may ask for a window of
 * 128 MiB, as the highest levels do: that is address space, and only what is written becomes memory (measured: none for
 * a frame of 3 KB), so such frames are taken.
 */
const zlibBounded = (codec: ZlibCodec, bytes: Uint8Array, limitBytes: number, out?: Uint8Array): Uint8Array => {
  const maxOutputLength = Math.max(limitBytes, 1)
  let result: ZlibResult
  try {
    result =
      out === undefined ? inflate(codec, bytes, maxOutputLength) : inflateInto(codec, bytes, maxOutputLength, out)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(codec, limitBytes)
    throw corrupt(codec, error instanceof Error ? error.message : "not readable")
  }
  if (result.engine.bytesWritten !== bytes.length) throw corrupt(codec, "bytes after the end")
  if (result.buffer.length > limitBytes) throw tooLarge(codec, limitBytes)
  return result.buffer
}

/** The length that a raw snappy block declares in its head. */
const snappyLength = (bytes: Uint8Array): number => {
  let length = 0
  for (let at = 0; at < 5; at++) {
    const byte = bytes[at]
    if (byte === undefined) break
    length += (byte & 0x7f) * 2 ** (7 * at)
    if (byte < 0x80) return length
  }
  throw corrupt("snappy", "no length")
}

/** Frees what a library has allocated for this alone, and does not wait for V8 to collect it. */
const free = ({ buffer, length }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === length) buffer.transfer(0)
}

const snappyBlock = (bytes: Uint8Array, limitBytes: number): Uint8Array => {
  // The library allocates what the block declares, so the declaration is checked first.
  if (snappyLength(bytes) > limitBytes) throw tooLarge("snappy", limitBytes)
  try {
    return snappyUncompress(bytes, { asBuffer: true }) as Buffer
  } catch (error) {
    throw corrupt("snappy", error instanceof Error ? error.message : "not readable")
  }
}

const xerialMagic = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00)
const xerialHeaderBytes = 16

const isXerial = (bytes: Uint8Array): boolean =>
  bytes.length >= xerialHeaderBytes && xerialMagic.every((byte, at) => bytes[at] === byte)

/** snappy-java's stream: magic, two versions, then blocks, each with a big-endian length. */
const xerial = (bytes: Uint8Array, limitBytes: number): Uint8Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const blocks: Array<Uint8Array> = []
  let declaredBytes = 0
  let at = xerialHeaderBytes
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw corrupt("snappy", "a cut block length")
    const length = view.getInt32(at)
    at += 4
    if (length <= 0 || length > bytes.length - at) throw corrupt("snappy", "a block's length past the end")
    const block = bytes.subarray(at, at + length)
    declaredBytes += snappyLength(block)
    if (declaredBytes > limitBytes) throw tooLarge("snappy", limitBytes)
    blocks.push(block)
    at += length
  }
  const out = new Uint8Array(declaredBytes)
  let outAt = 0
  for (const block of blocks) {
    const piece = snappyBlock(block, declaredBytes - outAt)
    out.set(piece, outAt)
    outAt += piece.length
    free(piece)
  }
  return out
}

/** The sum of an LZ4 length's extension bytes (each 255 is followed by another), and where it ends. */
const lz4Extension = (bytes: Uint8Array, start: number, end: number): { length: number; at: number } => {
  let length = 0
  let at = start
  while (true) {
    if (at >= end) throw corrupt("lz4", "a cut length")
    const byte = bytes[at++]!
    length += byte
    if (byte !== 255) return { length, at }
  }
}

/** The bytes to which a compressed LZ4 block decompresses, by its tokens alone. */
const lz4BlockLength = (bytes: Uint8Array, start: number, end: number): number => {
  let at = start
  let length = 0
  while (at < end) {
    const token = bytes[at++]!
    let literals = token >>> 4
    if (literals === 15) {
      const extension = lz4Extension(bytes, at, end)
      literals += extension.length
      at = extension.at
    }
    at += literals
    length += literals
    if (at > end) throw corrupt("lz4", "literals past the block's end")
    // The last sequence has literals only.
    if (at === end) return length
    at += 2
    let match = (token & 15) + 4
    if (match === 19) {
      const extension = lz4Extension(bytes, at, end)
      match += extension.length
      at = extension.at
    }
    length += match
  }
  throw corrupt("lz4", "a block that ends in a match")
}

interface Lz4Head {
  readonly blocksAt: number
  readonly blockBytesMax: number
  readonly blockTrailerBytes: number
  readonly frameTrailerBytes: number
}

const lz4Head = (bytes: Uint8Array, view: DataView): Lz4Head => {
  if (bytes.length < 7 || view.getUint32(0, true) !== 0x184d2204) throw corrupt("lz4", "no frame")
  const flags = bytes[4]!
  const blockSize = (bytes[5]! >>> 4) & 7
  if (flags >>> 6 !== 1 || blockSize < 4) throw corrupt("lz4", "an unknown frame version or block size")
  if ((flags & 1) !== 0) throw corrupt("lz4", "a dictionary")
  return {
    blocksAt: 7 + ((flags & 8) === 0 ? 0 : 8),
    blockBytesMax: 1 << (8 + 2 * blockSize),
    blockTrailerBytes: (flags & 16) === 0 ? 0 : 4,
    frameTrailerBytes: (flags & 4) === 0 ? 0 : 4
  }
}

/**
 * Walks a frame's blocks and tokens without decompressing. The library's frame reader has no bound of its own, and a
 * frame need not declare its content's size, so this is the only check before it allocates.
 */
const checkLz4Frame = (bytes: Uint8Array, limitBytes: number): void => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const head = lz4Head(bytes, view)
  let at = head.blocksAt
  let length = 0
  while (true) {
    if (at + 4 > bytes.length) throw corrupt("lz4", "no end mark")
    const word = view.getUint32(at, true)
    at += 4
    if (word === 0) break
    const blockBytes = word & 0x7fffffff
    if (blockBytes > head.blockBytesMax || blockBytes > bytes.length - at) throw corrupt("lz4", "a block past the end")
    length += word >>> 31 === 1 ? blockBytes : lz4BlockLength(bytes, at, at + blockBytes)
    if (length > limitBytes) throw tooLarge("lz4", limitBytes)
    at += blockBytes + head.blockTrailerBytes
  }
  if (at + head.frameTrailerBytes !== bytes.length) throw corrupt("lz4", "bytes after the end")
}

const lz4 = (bytes: Uint8Array, limitBytes: number): Uint8Array => {
  checkLz4Frame(bytes, limitBytes)
  try {
    return decompressFrameSync(asBuffer(bytes))
  } catch (error) {
    throw corrupt("lz4", error instanceof Error ? error.message : "not readable")
  }
}

/**
 * Decompresses one batch's records: a gzip stream, a raw snappy block or snappy-java's framing, one lz4 frame, one zstd
 * frame. The bound holds before the output is allocated: snappy declares it, lz4 is walked, zlib and zstd grow up to it.
 * Throws `InvalidCompression`: `TooLarge` over `limitBytes`, else `Corrupt`, also for bytes after the end.
 */
export const decompress = (codec: Codec, bytes: Uint8Array, limitBytes: number): Uint8Array => {
  switch (codec) {
    case "gzip":
    case "zstd":
      return zlibBounded(codec, bytes, limitBytes)
    case "snappy":
      return isXerial(bytes) ? xerial(bytes, limitBytes) : snappyBlock(bytes, limitBytes)
    case "lz4":
      return lz4(bytes, limitBytes)
  }
}

/** Made when it is first needed, and undefined while it is used. Only the pages that were written to are memory. */
let scratch: Uint8Array | undefined

const zlibInScratch = <A>(
  codec: ZlibCodec,
  bytes: Uint8Array,
  limitBytes: number,
  use: (decompressed: Uint8Array) => A
): A => {
  const out = scratch ?? Buffer.allocUnsafeSlow(defaultLimits.decompressedBytesMax + 1)
  scratch = undefined
  try {
    return use(zlibBounded(codec, bytes, limitBytes, out))
  } finally {
    scratch = out
  }
}

/**
 * As `decompress`, for one look: what `use` is given is gone when it returns. Nothing is left to V8, which collects such
 * garbage only once there are 64 MiB of it, nor to malloc, which keeps much of what was zlib's pieces of 16 KiB: after
 * 60 refused gzip and 60 refused zstd batches 72 MiB, which only `malloc_trim` gave back, and Node cannot call that.
 */
export const withDecompressed = <A>(
  codec: Codec,
  bytes: Uint8Array,
  limitBytes: number,
  use: (decompressed: Uint8Array) => A
): A => {
  if (codec === "gzip" || codec === "zstd") return zlibInScratch(codec, bytes, limitBytes, use)
  const decompressed = decompress(codec, bytes, limitBytes)
  try {
    return use(decompressed)
  } finally {
    free(decompressed)
  }
}

/** Compresses with the codec's defaults; snappy without framing, as librdkafka writes it. */
export const compress = (codec: Codec, bytes: Uint8Array): Uint8Array => {
  switch (codec) {
    case "gzip":
      return gzipSync(bytes)
    case "snappy":
      return snappyCompress(bytes)
    case "lz4":
      return compressFrameSync(asBuffer(bytes))
    case "zstd":
      return zstdCompressSync(bytes)
  }
}
