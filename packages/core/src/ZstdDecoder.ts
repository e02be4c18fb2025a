import { constants, createZstdDecompress, zstdDecompressSync, type ZstdDecompress } from "node:zlib"

/** What Node's zstd stream works with, see `ZstdEncoder`. */
interface Engine {
  readonly _handle?: {
    readonly writeSync?: (
      flush: number,
      bytes: Uint8Array,
      at: number,
      length: number,
      out: Uint8Array,
      outAt: number,
      outLength: number
    ) => void
  }
  readonly _writeState?: Uint32Array
}

/** Content that may be longer goes the slow way: the buffer stays. */
const outBytesMax = 1024 * 1024

/**
 * Decompresses zstd frames, one after the other, with one context and one buffer, as far as Node's own stream has what that
 * takes. `zstdDecompressSync` makes both anew for each call: 54 instead of 18 µs of CPU for 51 KB of JSON.
 */
export class ZstdDecoder {
  #stream: ZstdDecompress | undefined
  #out = Buffer.alloc(0)

  /**
   * One whole frame's content, which should have no more than `expectedBytes`, and has `bytesMax` at most. Valid until the
   * next call. Throws what `zstdDecompressSync` does.
   */
  decode(frame: Uint8Array, expectedBytes: number, bytesMax: number): Uint8Array {
    const fast = expectedBytes < outBytesMax ? this.#decode(frame, Math.min(expectedBytes, bytesMax)) : undefined
    return fast ?? zstdDecompressSync(frame, { maxOutputLength: bytesMax })
  }

  #decode(frame: Uint8Array, expectedBytes: number): Uint8Array | undefined {
    // A frame that is none is told as an event, too.
    this.#stream ??= createZstdDecompress().on("error", () => undefined)
    const { _handle: handle, _writeState: state } = this.#stream as unknown as Engine
    if (handle?.writeSync === undefined || state === undefined) return undefined
    // Where all the room was needed, there may be more to come.
    if (this.#out.length <= expectedBytes) this.#out = Buffer.allocUnsafeSlow(expectedBytes + 1)
    const out = this.#out
    // Left as it is by a call that fails.
    state[1] = frame.length + 1
    handle.writeSync(constants.ZSTD_e_end, frame, 0, frame.length, out, 0, expectedBytes + 1)
    const [roomLeft, inputLeft] = state
    if (inputLeft === 0 && roomLeft! > 0) return out.subarray(0, expectedBytes + 1 - roomLeft!)
    this.#stream = undefined
    return undefined
  }
}
