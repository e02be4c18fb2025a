// How long a fetch of data that is not in the page cache holds the event loop: `node --conditions=source bench/coldFetch.ts
// [MiB] [rounds]`, after a build, on Linux. Settled batches of a producer, of 64 KB each, are read as Fetch reads them, 1 MiB
// at a time, in order and out of order, by a process that has just opened the journal: what a read takes, the loop is held.
// The figures are this disk's and its readahead's (/sys/block/*/queue/read_ahead_kb): it proves nothing about others.
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { systemClock } from "@logbrook/core/Clock"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { recoverShard } from "@logbrook/core/shard/recover"
import type { Log } from "@logbrook/core/storage/Log"
import { LogStore } from "@logbrook/core/storage/LogStore"
import { definitions } from "@logbrook/server/Broker"
import { LoadProcess } from "./load/LoadProcess.ts"
import { createStream, metric, startLogbrook } from "./servers/logbrook.ts"
import { dropFromPageCache } from "./servers/pageCache.ts"
import { until } from "./servers/processes.ts"
import { quantile } from "./stats.ts"

const mib = 1024 * 1024
const partitions = 4
const segmentBytes = 64 * mib
const readBytesMax = mib
const recordsPerBatch = 64
const valueBytes = 1000
const settledMsMax = 120_000

/** Where reads begin that lie side by side. */
const readsOf = (log: Log): Array<{ readonly log: Log; readonly offset: number }> => {
  const reads: Array<{ log: Log; offset: number }> = []
  for (let at = 0, bytes = readBytesMax; at < log.index.count; at++) {
    const { baseOffset, byteLength, place } = log.index.at(at)
    if (place !== "run") break
    if (bytes + byteLength > readBytesMax) {
      reads.push({ log, offset: baseOffset })
      bytes = 0
    }
    bytes += byteLength
  }
  return reads
}

/** In a process of its own: everything that is settled. */
const readAll = async (directory: string, title: string, isShuffled: boolean): Promise<void> => {
  const journal = LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 4_000_000 })
  const logs = new LogStore(journal, 0, 64 * 1024)
  recoverShard({ journal, definitions: definitions(defaultLimits), clock: systemClock }, logs)
  const reads = [...logs.logs()].flatMap(readsOf)
  if (isShuffled) reads.sort(() => Math.random() - 0.5)
  const tookMs = reads.map(({ log, offset }) => {
    const began = performance.now()
    logs.read(log, offset, readBytesMax)
    return performance.now() - began
  })
  const shown = [0.5, 0.9, 0.99, 1].map((share) => quantile(tookMs, share).toFixed(2)).join(" ")
  console.log(`${title}: ${reads.length} reads of 1 MiB took ${shown} ms (p50 p90 p99 max)`)
  await journal.close()
}

const fill = async (dataDir: string, mebibytes: number): Promise<void> => {
  const settings = { LOGBROOK_JOURNAL_SEGMENT_BYTES: String(segmentBytes) }
  const server = await startLogbrook("0", [], undefined, { settings, dataDir })
  const load = new LoadProcess("1")
  try {
    await createStream(server, { name: "cold", filters: [], partitions })
    const batches = Math.floor((mebibytes * mib) / (recordsPerBatch * valueBytes))
    const shape = { topic: "cold", partitions, connections: 4, recordsPerBatch, valueBytes, batches }
    await load.call("produceAll", { port: server.kafkaPort, ...shape })
    const isSettled = async () => (await metric(server, "logbrook_settle_segments_unsettled")) === 0
    await until("all is settled", settledMsMax, isSettled)
  } finally {
    await load.stop()
    await server.stop()
  }
}

const run = async (mebibytes: number, rounds: number): Promise<void> => {
  const dataDir = mkdtempSync(join(tmpdir(), "bench-cold-"))
  const data = join(dataDir, "data")
  const program = fileURLToPath(import.meta.url)
  try {
    await fill(dataDir, mebibytes)
    for (let round = 0; round < rounds; round++) {
      for (const order of ["in order", "shuffled"]) {
        await dropFromPageCache(data)
        for (const heat of ["cold", "warm"]) {
          const args = ["--conditions=source", program, "read", data, `${heat}, ${order}`]
          spawnSync(process.execPath, args, { stdio: "inherit" })
        }
      }
    }
  } finally {
    rmSync(dataDir, { recursive: true })
  }
}

const [first = "512", second = "3", title = ""] = process.argv.slice(2)
if (first === "read") await readAll(second, title, title.endsWith("shuffled"))
else await run(Number(first), Number(second))
