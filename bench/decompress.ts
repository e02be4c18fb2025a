/**
 * CPU of decompressing a batch's records into a buffer that is there, as the server does, beside the libraries `snappy` and
 * `lz4-napi`, which allocate each output. In pairs, JSON of devices and a bomb of 15 MiB. The library's figures for
 * snappy depend on what malloc has at hand, up to threefold: run it several times.
 *
 *     node --conditions=source bench/decompress.ts
 */
import { randomFillSync } from "node:crypto"
import { compress, withDecompressed } from "@logbrook/core/Compression"
import { decompressFrameSync } from "lz4-napi"
import { uncompressSync } from "snappy"

const mib = 1024 * 1024
const rounds = 9
const roundBytes = 40_000_000

const readings = (bytes: number): Buffer => {
  const lines: Array<string> = []
  for (let length = 0, n = 0; length < bytes; n++) {
    const line = { device: `dev-${n % 97}`, celsius: 20 + Math.random() * 10, at: 1_790_000_000_000 + n * 17, ok: true }
    lines.push(JSON.stringify(line))
    length += lines.at(-1)!.length
  }
  return Buffer.from(lines.join("\n")).subarray(0, bytes)
}

const bomb = (): Buffer => {
  const bytes = Buffer.alloc(15 * mib)
  randomFillSync(bytes, 0, 100_000)
  return bytes
}

const cpuUs = (times: number, work: () => void): number => {
  const from = process.cpuUsage()
  for (let n = 0; n < times; n++) work()
  const { user, system } = process.cpuUsage(from)
  return (user + system) / times
}

const median = (figures: ReadonlyArray<number>): number => figures.toSorted((a, b) => a - b)[figures.length >> 1]!

const inputs = [
  ["1 KB", readings(1000)],
  ["16 KB", readings(16_384)],
  ["1 MB", readings(1_000_000)],
  ["bomb, 15 MiB", bomb()]
] as const
const libraries = { snappy: uncompressSync, lz4: decompressFrameSync } as const

console.log("| Codec | Records | library, µs | ours, µs | ours / library |\n|---|---|---:|---:|---:|")
for (const codec of ["snappy", "lz4"] as const) {
  for (const [name, bytes] of inputs) {
    const packed = Buffer.from(compress(codec, bytes))
    const times = Math.ceil(roundBytes / bytes.length)
    const library = (): unknown => libraries[codec](packed)
    const ours = (): number => withDecompressed(codec, packed, 16 * mib, ({ length }) => length)
    if (ours() !== bytes.length) throw new Error("another length")
    const pairs = Array.from({ length: rounds }, () => [cpuUs(times, library), cpuUs(times, ours)] as const)
    const [theirsUs, oursUs] = [median(pairs.map(([us]) => us)), median(pairs.map(([, us]) => us))]
    const ratio = median(pairs.map(([library, own]) => own / library))
    console.log(`| ${codec} | ${name} | ${theirsUs.toFixed(0)} | ${oursUs.toFixed(0)} | ${ratio.toFixed(2)} |`)
  }
}
