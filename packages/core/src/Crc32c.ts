import { crc32c as nativeCrc32c } from "@node-rs/crc32"

const polynomial = 0x82f63b78

const tables = ((): ReadonlyArray<Int32Array> => {
  const first = new Int32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
    first[byte] = crc
  }
  const all = [first]
  for (let slice = 1; slice < 4; slice++) {
    const previous = all[slice - 1]!
    all.push(previous.map((crc) => (crc >>> 8) ^ first[crc & 255]!))
  }
  return all
})()
const t0 = tables[0]!
const t1 = tables[1]!
const t2 = tables[2]!
const t3 = tables[3]!

/** The table implementation, four bytes a step; exported for its test and measurement. */
export const crc32cTable = (bytes: Uint8Array, seed = 0): number => {
  const end = bytes.length
  const sliced = end & ~3
  let crc = ~seed
  let at = 0
  for (; at < sliced; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc = t3[crc & 255]! ^ t2[(crc >>> 8) & 255]! ^ t1[(crc >>> 16) & 255]! ^ t0[crc >>> 24]!
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at]!) & 255]!
  return ~crc >>> 0
}

// bench/crc32c.ts: the table takes 0.18 of the native call's time at 16 B, 0.70 at 64 B, 0.98 at 96 B, 1.75 at 200 B.
const nativeBytesMin = 96

/**
 * CRC-32C (Castagnoli) as an unsigned 32-bit number. `seed` is the CRC of the bytes that came before, so that
 * `crc32c(b, crc32c(a))` is the CRC of `a` followed by `b`.
 */
export const crc32c = (bytes: Uint8Array, seed = 0): number =>
  bytes.length < nativeBytesMin ? crc32cTable(bytes, seed) : nativeCrc32c(bytes, seed)
