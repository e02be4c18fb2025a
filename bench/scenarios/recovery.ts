import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Filled } from "../load/fillJournal.ts"
import { startLogbrook } from "../servers/logbrook.ts"
import { dropFromPageCache } from "../servers/pageCache.ts"
import { rssBytes } from "../servers/processes.ts"
import { median, quantile, thousands } from "../stats.ts"
import type { Bar, Bench, Scenario } from "./Scenario.ts"

interface Size {
  readonly events: number
  readonly segments: number
  /** What was asked for. */
  readonly readyMsMax?: number
}

const endings = ["SIGTERM", "SIGKILL", "SIGKILL, cold"] as const
type Ending = (typeof endings)[number]

interface Recovered extends Filled {
  readonly readyMsMax: number | undefined
  readonly after: Ending
  readonly readyMs: ReadonlyArray<number>
  readonly rssMb: number
}

const sizes: ReadonlyArray<Size> = [
  { events: 100_000, segments: 1 },
  { events: 1_000_000, segments: 1 },
  { events: 1_000_000, segments: 10 },
  { events: 10_000_000, segments: 50, readyMsMax: 2000 }
]
const quickSizes: ReadonlyArray<Size> = [{ events: 100_000, segments: 5 }]

const fillProgram = fileURLToPath(new URL("../load/fillJournal.ts", import.meta.url))
const fillMsMax = 600_000
/** Starts that count, of each journal and ending. */
const restartsMax = 3

const fill = async (directory: string, { events, segments }: Size): Promise<Filled> => {
  const data = join(directory, "data")
  mkdirSync(data)
  const args = [fillProgram, data, String(events), String(segments)]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: fillMsMax })
  return JSON.parse(stdout) as Filled
}

/** Starts on what the start before has left, which was ended as `after` says; cold: and nothing of it is in the page cache. */
const restarts = async ({ serverCpus, rounds }: Bench, dataDir: string, after: Ending) => {
  const readyMs: Array<number> = []
  const rss: Array<number> = []
  for (let round = -1; round < Math.min(rounds, restartsMax); round++) {
    if (after === "SIGKILL, cold") await dropFromPageCache(join(dataDir, "data"))
    const server = await startLogbrook(serverCpus, [], undefined, { dataDir })
    if (round >= 0) {
      readyMs.push(server.readyMs)
      rss.push(rssBytes(server.pid) / 1e6)
    }
    await (after === "SIGTERM" ? server.stop() : server.kill())
  }
  return { after, readyMs, rssMb: median(rss) }
}

/** Time from a start to the first 200 of /readyz, and the memory then, by the size of the journal. */
export const recovery: Scenario = async (bench) => {
  const measured: Array<Recovered> = []
  for (const size of bench.isQuick ? quickSizes : sizes) {
    const directory = mkdtempSync(join(tmpdir(), "bench-recovery-"))
    try {
      bench.progress(`recovery: writing ${thousands(size.events)} events in ${size.segments} segments`)
      const filled = await fill(directory, size)
      for (const after of endings) {
        const found = await restarts(bench, directory, after)
        measured.push({ ...filled, ...found, readyMsMax: size.readyMsMax })
      }
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
  const columns = ["after", "events", "segments", "journal MB", "ready ms (range)", "RSS MB"]
  const rows = measured.map(({ after, events, segments, bytes, readyMs, rssMb }) => [
    after,
    thousands(events),
    String(segments),
    thousands(bytes / 1e6),
    `${median(readyMs).toFixed(0)} (${quantile(readyMs, 0).toFixed(0)}-${quantile(readyMs, 1).toFixed(0)})`,
    rssMb.toFixed(0)
  ])
  const bars = measured.flatMap(({ after, events, segments, readyMs, readyMsMax }): Array<Bar> => {
    const what = `ready with ${thousands(events)} events in ${segments} segments, after ${after}`
    const bound = readyMsMax === undefined || after === "SIGKILL, cold" ? undefined : { atMost: readyMsMax }
    return [{ what, measured: median(readyMs), unit: "ms", bound }]
  })
  const title = "recovery: from a start to ready; cold: without what the page cache had of the journal"
  return { scenario: "recovery", tables: [{ title, columns, rows }], bars, raw: measured }
}
