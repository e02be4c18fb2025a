import { setTimeout as sleep } from "node:timers/promises"
import { ProcessWatch, sampleOf } from "../support/ProcessWatch.ts"
import type { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { GoodClient } from "./GoodClient.ts"

const serveTimeoutMs = 10_000
const watchEveryMs = 20
const quietMs = 2000

/** A client that comes after the attack: ms to the acknowledgement of its first message, with what the gate refuses. */
export const servedAfter = async (port: number): Promise<number> => {
  const startedMs = performance.now()
  await waitUntil("a client that comes after the attack is served", serveTimeoutMs, async () => {
    const client = await GoodClient.connect(port, "good-after")
    try {
      return (await client.measure(1)).length > 0
    } catch {
      return false
    } finally {
      client.end()
    }
  })
  return performance.now() - startedMs
}

/** How a start behind an attack went. */
export interface Restarted {
  readonly readyMs: number
  readonly peakBytes: number
  readonly restBytes: number
  readonly servedMs: number
}

/** Starts a server that was killed again under the same memory. Rejects if it does not get ready, or serves nobody then. */
export const startedAgain = async (server: ServerProcess): Promise<Restarted> => {
  const starting = server.start()
  const watch = new ProcessWatch(server.pid, watchEveryMs)
  const readyMs = await starting
  const servedMs = await servedAfter(server.ports.mqtt)
  await sleep(quietMs)
  watch.stop()
  return { readyMs, peakBytes: watch.peak("anonBytes"), restBytes: sampleOf(server.pid).anonBytes, servedMs }
}
