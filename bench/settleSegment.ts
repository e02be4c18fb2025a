/**
 * CPU per record of settling a segment that a server wrote: `node --conditions=source bench/settleSegment.ts [SCENARIO] [rounds]`, after a
 * build; qos0-1k and 5 without. The segment is settled again and again in this process, by the first settling's caches warm.
 * Proves nothing about a cold disk, nor about what appends take beside it (bench/settle.ts).
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { systemClock } from "@logbrook/core/Clock"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { Pace } from "@logbrook/core/settle/Pace"
import type { SettleJob } from "@logbrook/core/settle/SettleJob"
import { settleSegment } from "@logbrook/core/settle/settleSegment"
import { recoverShard } from "@logbrook/core/shard/recover"
import { LogStore } from "@logbrook/core/storage/LogStore"
import { definitions } from "@logbrook/server/Broker"
import { LoadProcess } from "./load/LoadProcess.ts"
import { mqttShapes } from "./scenarios/shapes.ts"
import { createStream, startLogbrook } from "./servers/logbrook.ts"
import { median } from "./stats.ts"

const sliceMs = 4000
const segmentBytes = 128_000_000
const [scenario = "qos0-1k", rounds = "5"] = process.argv.slice(2)
const dataDir = mkdtempSync(join(tmpdir(), "bench-settle-segment-"))
const directory = join(dataDir, "data")

/** Killed in the middle, so that a segment is left that is closed and not settled. */
const fill = async (): Promise<void> => {
  const server = await startLogbrook("0", [], undefined, { dataDir })
  const load = new LoadProcess("1")
  try {
    await createStream(server, { name: "sensors", filters: ["sensors/+/data"], partitions: 16 })
    await load.call("connect", { name: "load", port: server.mqttPort, shape: mqttShapes.get(scenario)!.shape })
    await load.call("slice", { name: "load", durationMs: sliceMs })
  } finally {
    await server.kill()
    await load.stop()
  }
}

const firstJob = async (): Promise<SettleJob> => {
  const journal = LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: defaultLimits.segmentIndexEntriesMax })
  const logs = new LogStore(journal, 0, defaultLimits.synthesisedBatchBytesMax)
  recoverShard({ journal, definitions: definitions(defaultLimits), clock: systemClock }, logs)
  const waiting = journal
    .segments()
    .slice(0, -1)
    .find(({ isSettled }) => !isSettled)
  if (waiting === undefined) throw new Error("every closed segment was settled before the server was killed: try again")
  const { firstSeq, nextSeq } = waiting
  const replacement = journal.replacement([firstSeq])!
  const job = { ...replacement, startOffsets: logs.startOffsets(firstSeq, nextSeq), keptFromSeq: 0 }
  await journal.close()
  return { ...job, target: join(dataDir, "settled.mdb") }
}

try {
  await fill()
  const job = await firstJob()
  const costs: Array<number> = []
  for (let round = -1; round < Number(rounds); round++) {
    const before = process.cpuUsage()
    const { records } = await settleSegment(job, { pace: new Pace(systemClock, 1000, 0) })
    const { user, system } = process.cpuUsage(before)
    if (round >= 0) costs.push((user + system) / records)
  }
  const shown = costs.map((cost) => cost.toFixed(2)).join(", ")
  console.log(`${scenario}: ${median(costs).toFixed(2)} µs of CPU per record (${shown})`)
} finally {
  rmSync(dataDir, { recursive: true, force: true })
}
process.exit(0)
