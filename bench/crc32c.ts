/** CRC-32C, table against native, by slice length: where `Crc32c.ts` changes over. One process, no other load. */
import { crc32c as nativeCrc32c } from "@node-rs/crc32"
import { crc32cTable } from "@logbrook/core/Crc32c"

const bytes = Uint8Array.from({ length: 1024 }, (_, at) => (at * 131) & 255)
const rounds = 200_000

const nsPerCall = (crc: (bytes: Uint8Array) => number, slice: Uint8Array): number => {
  let sum = 0
  let best = Infinity
  for (let repeat = 0; repeat < 5; repeat++) {
    const began = process.hrtime.bigint()
    for (let round = 0; round < rounds; round++) sum ^= crc(slice)
    best = Math.min(best, Number(process.hrtime.bigint() - began) / rounds)
  }
  return sum === 1 ? NaN : best
}

for (const length of [16, 40, 64, 96, 128, 200, 400, 1024]) {
  const slice = bytes.subarray(0, length)
  const table = nsPerCall((given) => crc32cTable(given), slice)
  const native = nsPerCall((given) => nativeCrc32c(given), slice)
  console.log(
    `${length} B: table ${table.toFixed(0)} ns, native ${native.toFixed(0)} ns, ratio ${(table / native).toFixed(2)}`
  )
}
