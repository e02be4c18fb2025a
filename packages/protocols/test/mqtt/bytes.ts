import { expect } from "vitest"
import { MqttError } from "../../src/mqtt/Packet.ts"

/** Bytes from numbers, strings (UTF-8, without a length) and other bytes. */
export const bytes = (...parts: ReadonlyArray<number | string | Uint8Array>): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.of(part) : Buffer.from(part))))

/** A string or binary field with its length of two bytes. */
export const field = (content: string | Uint8Array): Buffer => {
  const data = Buffer.from(content)
  return bytes(data.length >>> 8, data.length & 0xff, data)
}

export const variable = (value: number): Buffer => {
  const out: Array<number> = []
  let rest = value
  do {
    out.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return Buffer.from(out)
}

/** A packet with the remaining length of its body. */
export const packet = (first: number, ...parts: ReadonlyArray<number | string | Uint8Array>): Buffer => {
  const body = bytes(...parts)
  return bytes(first, variable(body.length), body)
}

/** A property section with its length. */
export const section = (...parts: ReadonlyArray<number | string | Uint8Array>): Buffer => {
  const body = bytes(...parts)
  return bytes(variable(body.length), body)
}

export const errorOf = (run: () => unknown): MqttError => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(MqttError)
    return error as MqttError
  }
  return expect.fail("nothing was thrown")
}

/** Cuts `whole` into pieces of the given sizes, used round and round; sizes must be positive. */
export const cut = (whole: Uint8Array, sizes: ReadonlyArray<number>): Array<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, index = 0; at < whole.length; index++) {
    const size = sizes[index % sizes.length] ?? 1
    pieces.push(whole.subarray(at, at + size))
    at += size
  }
  return pieces
}
