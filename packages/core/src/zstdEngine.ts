import { constants } from "node:zlib"

/**
 * The part of Node's zstd streams that does the work: `writeSync` writes into `out` at once, and leaves in
 * `_writeState` how much room and input remain. It is not in Node's documentation: where it is missing, `oneCall` does
 * nothing.
 */
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
  } | null
  readonly _writeState?: Uint32Array
}

/**
 * Has a stream of `zlib` compress all of `bytes`, or decompress them, into the first `room` bytes of `out`; tells how many it
 * wrote. Undefined if it did not take all of them, failed, or has not what this takes: then the stream is of no use any more.
 */
export const oneCall = (stream: object, bytes: Uint8Array, out: Uint8Array, room: number): number | undefined => {
  const { _handle: handle, _writeState: state } = stream as Engine
  if (!handle?.writeSync || state === undefined) return undefined
  // Left as it is by a call that fails.
  state[1] = bytes.length + 1
  handle.writeSync(constants.ZSTD_e_end, bytes, 0, bytes.length, out, 0, room)
  const [roomLeft, inputLeft] = state
  return inputLeft === 0 ? room - roomLeft! : undefined
}
