import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { collectable, metric, startLogbrook, type Logbrook } from "../servers/logbrook.ts"
import { cpuMs, pause, rssBytes } from "../servers/processes.ts"
import { thousands } from "../stats.ts"
import type { Bar, Scenario } from "./Scenario.ts"

const filtersEach = 10
const sessionsWhole = 100_000
const sessionsQuick = 10_000
/** They come in pieces: a call to the load process is one message. */
const sessionsPerCall = 5000
/** V8 gives freed pages back to the system some seconds after a collection. */
const restMs = 8000

/** After what there is to collect was collected. */
const restingRss = async ({ pid }: Logbrook): Promise<number> => {
  process.kill(pid, "SIGUSR2")
  await pause(restMs)
  return rssBytes(pid)
}

/** They weigh more than they take, and by default sessions may have a tenth of what V8's heap may have. */
const settings = { LOGBROOK_LIMITS_MEMORY_BYTES_MAX: "8GiB" }

const mb = (bytes: number): string => (bytes / 1e6).toFixed(0)

interface Start {
  readonly after: string
  readonly readyMs: number
  readonly cpuMs: number
  readonly rssBytes: number
  readonly restingBytes: number
}

/** Durable sessions that are not connected, with ten subscriptions each: what they take, and how long a start with them lasts. */
export const sessions: Scenario = async ({ load, serverCpus, isQuick, progress }) => {
  const count = isQuick ? sessionsQuick : sessionsWhole
  const dataDir = mkdtempSync(join(tmpdir(), "bench-sessions-"))
  const starts: Array<Start> = []
  const begin = () => startLogbrook(serverCpus, collectable, undefined, { dataDir, settings })
  try {
    let server = await begin()
    const emptyBytes = await restingRss(server)
    for (let from = 0; from < count; from += sessionsPerCall) {
      const to = Math.min(from + sessionsPerCall, count)
      await load.call("addSessions", { port: server.mqttPort, from, to, filtersEach })
      progress(`sessions: ${thousands(to)} of ${thousands(count)}, RSS ${(rssBytes(server.pid) / 1e6).toFixed(0)} MB`)
    }
    const madeBytes = rssBytes(server.pid)
    const restingBytes = await restingRss(server)
    for (const after of ["SIGTERM", "SIGKILL"]) {
      await (after === "SIGTERM" ? server.stop() : server.kill())
      server = await begin()
      const { pid, readyMs } = server
      const started = { after, readyMs, cpuMs: cpuMs(pid), rssBytes: rssBytes(pid) }
      const there = await metric(server, "logbrook_mqtt_sessions")
      if (there !== count) throw new Error(`${there} of ${count} sessions are there after ${after}`)
      starts.push({ ...started, restingBytes: await restingRss(server) })
    }
    await server.stop()
    const columns = ["when", "ready ms", "CPU until then, ms", "RSS MB", "collected, RSS MB"]
    const rows = [
      ["empty", "", "", "", mb(emptyBytes)],
      ["made", "", "", mb(madeBytes), mb(restingBytes)],
      ...starts.map((each) => [
        `after ${each.after}`,
        each.readyMs.toFixed(0),
        String(each.cpuMs),
        mb(each.rssBytes),
        mb(each.restingBytes)
      ])
    ]
    const bars = starts.flatMap(({ after, readyMs, rssBytes: bytes }): Array<Bar> => [
      { what: `ready after ${after}`, measured: readyMs, unit: "ms", bound: { atMost: 3000 } },
      { what: `resident after ${after}`, measured: bytes / 1e6, unit: "MB", bound: { atMost: 1000 } }
    ])
    bars.push({ what: "resident once they were made", measured: madeBytes / 1e6, unit: "MB", bound: { atMost: 1000 } })
    const title = `sessions: ${thousands(count)} durable sessions with ${filtersEach} subscriptions each`
    return { scenario: "sessions", tables: [{ title, columns, rows }], bars, raw: { count, madeBytes, starts } }
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
}
