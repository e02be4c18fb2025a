import { collectable, startLogbrook } from "../servers/logbrook.ts"
import { pause, rssBytes } from "../servers/processes.ts"
import { median, thousands } from "../stats.ts"
import type { Scenario } from "./Scenario.ts"

/** V8 gives freed pages back to the system some seconds after a collection. */
const restMs = 10_000
const quickRestMs = 4000
/**
 * V8's young generation grows while the first some thousand connections come, once, to 48 MB: it is none of theirs. How much
 * of it stays resident differs by some 30 MB from run to run, so the two are far apart.
 */
const slopeBetween = [4000, 16_000]

/** Start-up from an empty directory, the idle server, and what a connection that says nothing costs. */
export const footprint: Scenario = async ({ load, serverCpus, rounds, isQuick }) => {
  const readyMs: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const server = await startLogbrook(serverCpus)
    readyMs.push(server.readyMs)
    await server.stop()
  }
  const server = await startLogbrook(serverCpus, collectable)
  /** What is in use: what V8 has not found time to collect is no connection's memory. */
  const restingRss = async (): Promise<number> => {
    process.kill(server.pid, "SIGUSR2")
    await pause(isQuick ? quickRestMs : restMs)
    return rssBytes(server.pid)
  }
  const counts = isQuick ? [2000, 4000] : slopeBetween
  const rss: Array<number> = []
  try {
    await pause(isQuick ? 1000 : restMs)
    const idleBytes = rssBytes(server.pid)
    const idleCollectedBytes = await restingRss()
    for (const connections of counts) {
      const open = await load.call("idle", { name: "idle", port: server.mqttPort, connections })
      if (open !== connections) throw new Error(`${open} of ${connections} connections are open`)
      rss.push(await restingRss())
    }
    await load.call("endIdle", { name: "idle" })
    const perConnection = (rss[1]! - rss[0]!) / (counts[1]! - counts[0]!)
    const ready = median(readyMs)
    const columns = ["what", "measured"]
    const rows = [
      ["ready from an empty directory, ms", `${ready.toFixed(0)} (${readyMs.map((ms) => ms.toFixed(0)).join(", ")})`],
      ["idle server, RSS MB", (idleBytes / 1e6).toFixed(1)],
      ["after a full collection, RSS MB", (idleCollectedBytes / 1e6).toFixed(1)],
      ...counts.map((count, index) => [
        `with ${thousands(count)} idle connections, collected, RSS MB`,
        (rss[index]! / 1e6).toFixed(1)
      ]),
      ["an idle connection between the two, kB", (perConnection / 1000).toFixed(2)]
    ]
    const bars = [
      { what: "ready from an empty directory", measured: ready, unit: "ms", bound: { atMost: 1000 } },
      { what: "idle server", measured: idleBytes / 1e6, unit: "MB", bound: { atMost: 120 } },
      { what: "idle connection", measured: perConnection / 1000, unit: "kB", bound: { atMost: 8 } }
    ]
    const raw = { readyMs, idleBytes, idleCollectedBytes, counts, rss }
    return { scenario: "footprint", tables: [{ title: "footprint", columns, rows }], bars, raw }
  } finally {
    await server.stop()
  }
}
