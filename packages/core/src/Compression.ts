import { compressFrame, compressFrameSync } from "lz4-napi"
import { compress as snappyCompress, compressSync as snappyCompressSync } from "snappy"
import {
  constants,
  createGunzip,
  createZstdDecompress,
  gunzipSync,
  gzip,
  gzipSync,
  zstdCompress,
  zstdCompressSync,
  zstdDecompressSync
} from "node:zlib"
import { type Codec, corrupt, tooLarge } from "./compression/InvalidCompression.ts"
import { lz4Into, lz4Length } from "./compression/lz4.ts"
import { snappyInto, snappyLength } from "./compression/snappy.ts"
import { defaultLimits } from "./Limits.ts"

export { type Codec, InvalidCompression } from "./compression/InvalidCompression.ts"

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

/** Codecs whose output's length is known before it is decoded. */
const measured = {
  snappy: { lengthOf: snappyLength, into: snappyInto },
  lz4: { lengthOf: lz4Length, into: lz4Into }
} as const

/**
 * Decompresses one batch's records: a gzip stream, a raw snappy block or snappy-java's framing, one lz4 frame, one zstd
 * frame. The bound holds before the output is allocated: snappy declares it, lz4 is walked, zlib and zstd grow up to it.
 * Throws `InvalidCompression`: `TooLarge` over `limitBytes`, else `Corrupt`, also for bytes after the end.
 */
export const decompress = (codec: Codec, bytes: Uint8Array, limitBytes: number): Uint8Array => {
  if (codec === "gzip" || codec === "zstd") return zlibBounded(codec, bytes, limitBytes)
  const { lengthOf, into } = measured[codec]
  const out = Buffer.allocUnsafeSlow(lengthOf(bytes, limitBytes))
  into(bytes, out)
  return out
}

/** Made when it is first needed, and undefined while it is used. Only the pages that were written to are memory. */
let scratch: Uint8Array | undefined

/** Gives `use` the scratch buffer: another one where it is in use, one of `bytes` where it is too small. */
const withRoom = <A>(bytes: number, use: (out: Uint8Array) => A): A => {
  const scratchBytes = defaultLimits.decompressedBytesMax + 1
  if (bytes > scratchBytes) return use(Buffer.allocUnsafeSlow(bytes))
  const out = scratch ?? Buffer.allocUnsafeSlow(scratchBytes)
  scratch = undefined
  try {
    return use(out)
  } finally {
    scratch = out
  }
}

/**
 * As `decompress`, for one look: what `use` is given is gone when it returns. Nothing is left to V8, which collects such
 * garbage only once there are 64 MiB of it, nor to malloc, which keeps much of what was zlib's pieces of 16 KiB: after
 * 60 refused gzip and 60 refused zstd batches 72 MiB, which only `malloc_trim` gave back, and Node cannot call that. The
 * first touch of a new page costs more than to decode into it (`bench/decompress.ts`).
 */
export const withDecompressed = <A>(
  codec: Codec,
  bytes: Uint8Array,
  limitBytes: number,
  use: (decompressed: Uint8Array) => A
): A => {
  // A stream of Node's grows beyond the buffer where it must.
  if (codec === "gzip" || codec === "zstd") return withRoom(0, (out) => use(zlibBounded(codec, bytes, limitBytes, out)))
  const { lengthOf, into } = measured[codec]
  const length = lengthOf(bytes, limitBytes)
  return withRoom(length, (out) => {
    into(bytes, out)
    return use(out.subarray(0, length))
  })
}

/** Compresses with the codec's defaults; snappy without framing, as librdkafka writes it. */
export const compress = (codec: Codec, bytes: Uint8Array): Uint8Array => {
  switch (codec) {
    case "gzip":
      return gzipSync(bytes)
    case "snappy":
      return snappyCompressSync(bytes)
    case "lz4":
      return compressFrameSync(asBuffer(bytes))
    case "zstd":
      return zstdCompressSync(bytes)
  }
}

/** Compresses as `compress`, and tells of it later. `bytes` stay as they are until `told` has heard what was made of them, or why nothing was. */
export type CompressLater = (codec: Codec, bytes: Uint8Array, told: (made: Uint8Array | Error) => void) => void

/** In a thread of Node's pool. */
export const compressInThread: CompressLater = (codec, bytes, told) => {
  switch (codec) {
    case "gzip":
      return gzip(bytes, (error, made) => told(error ?? made))
    case "snappy":
      return void snappyCompress(bytes).then(told, told)
    case "lz4":
      return void compressFrame(asBuffer(bytes)).then(told, told)
    case "zstd":
      // The frame says how long its content is, which some clients' decoders need.
      return zstdCompress(bytes, { pledgedSrcSize: bytes.length }, (error, made) => told(error ?? made))
  }
}
