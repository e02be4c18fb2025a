/**
 * Compaction: `--records` records with random ones of `--keys` keys, half of them in producers' batches (lz4), half in the
 * server's, are appended as fast as the journal takes them; closed segments are settled, compacted and merged beside it.
 * At the end all is compacted and read: it fails unless the newest record of each key is there, and no other.
 * `node --conditions=source bench/compaction.ts [--records 10000000] [--keys 100000] [--segment-mib 64] [directory]`
 * Proves nothing about sockets, nor about streams that lie beside others in the same segments.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { defaultLimits } from "@logbrook/core/Limits"
import { inChildProcess } from "@logbrook/core/settle/childProcess"
import { KeyedLoad } from "../packages/core/test/settle/KeyedLoad.ts"

const { values, positionals } = parseArgs({
  options: {
    records: { type: "string", default: "10000000" },
    keys: { type: "string", default: "100000" },
    "segment-mib": { type: "string", default: "64" }
  },
  allowPositionals: true
})
const MiB = 1024 * 1024
const records = Number(values.records)
const keys = Number(values.keys)

const directory = fs.mkdtempSync(path.join(positionals[0] ?? os.tmpdir(), "logbrook-compaction-"))
const load = new KeyedLoad({
  directory,
  segmentBytes: Number(values["segment-mib"]) * MiB,
  keys,
  mapBytesMax: defaultLimits.compactionKeysBytesMax,
  work: inChildProcess
})

const seconds = (sinceMs: number): string => ((performance.now() - sinceMs) / 1000).toFixed(1)
const mib = (bytes: number): string => (bytes / MiB).toFixed(0)

try {
  const startedMs = performance.now()
  await load.append(records)
  console.log(
    `appended ${records} records, ${keys} keys, in ${seconds(startedMs)} s; ${mib(load.diskBytes)} MiB on disk`
  )
  const compactingMs = performance.now()
  await load.compactAll()
  console.log(`the rest compacted in ${seconds(compactingMs)} s; ${mib(load.diskBytes)} MiB on disk`)
  const readingMs = performance.now()
  const { compacted, written } = load.check()
  console.log(
    `read in ${seconds(readingMs)} s: ${compacted} records in what is compacted, ${written} in what is written`
  )
  const { diskBytesMax, compactedSegments, compactionMs, bytesIn, bytesOut } = load.figures
  console.log(
    `${compactedSegments} segments compacted in ${(compactionMs / 1000).toFixed(1)} s, ${mib(bytesIn)} MiB to ` +
      `${mib(bytesOut)} MiB; ${mib(diskBytesMax)} MiB on disk at most`
  )
} finally {
  await load.close()
  fs.rmSync(directory, { recursive: true, force: true })
}
