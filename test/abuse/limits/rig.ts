/**
 * Every limit at its maximum at once, on the server as it is run within 512 MiB, with the limits as shipped; then `kill -9`
 * and a start under the same memory. Prints the curve. Exits with 0 only if the process stays below 512 MiB, starts again,
 * and serves a client that does nothing wrong.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Limits } from "@logbrook/core/Limits"
import { type Battlefield, Horde, sleep as pause } from "../Attack.ts"
import { startedAgain } from "../aftermath.ts"
import { mappedBytes } from "../mappedBytes.ts"
import { asShipped, memoryBytesMax } from "../serverEnv.ts"
import { ProcessWatch, sampleOf } from "../../support/ProcessWatch.ts"
import { ServerProcess } from "../../support/server.ts"
import { everyLimit, steps, type StepName } from "./everyLimit.ts"

const mib = 1024 * 1024
const watchEveryMs = 50
const stepMsMax = 120_000
const inMib = (bytes: number): string => (bytes / mib).toFixed(0)

const limitsOf = (step: StepName): ReadonlyArray<string> =>
  (Object.keys(everyLimit) as Array<keyof Limits>).filter((limit) => everyLimit[limit] === step)

/** The accounts, as `/readyz` has them. */
const accounts = async (server: ServerProcess): Promise<string> => {
  const answer = (await (await fetch(`${server.url}/readyz`)).json()) as {
    memory: Record<string, { bytes: number; budgetBytes: number }>
  }
  return Object.entries(answer.memory)
    .map(([holder, { bytes, budgetBytes }]) => `${holder} ${Math.round((100 * bytes) / budgetBytes)} %`)
    .join(", ")
}

const run = async (server: ServerProcess): Promise<number> => {
  let failures = 0
  const fail = (what: string): void => {
    failures++
    console.log(`  FAILED: ${what}`)
  }
  await server.createStream("wide", { partitions: 64 })
  await server.createStream("filled", { partitions: 1 })
  await server.createStream("free", { partitions: 1 })
  await server.createStream("good", { filters: ["good/#"], partitions: 1 })
  await server.createStream("flood", {
    filters: ["unread/#", "queued/#"],
    partitions: 4,
    config: { "retention.bytes": "4000000" }
  })
  console.log("| Step | s | anon, MiB | peak | what it did | limits | accounts |\n|---|---:|---:|---:|---|---|---|")
  const stopping = new AbortController()
  const watch = new ProcessWatch(server.pid, watchEveryMs)
  const tally = new Map<string, number>()
  const count = (what: string, by = 1): void => void tally.set(what, (tally.get(what) ?? 0) + by)
  const field: Battlefield = { ports: server.ports, scale: 1, signal: stopping.signal, count }
  const horde = new Horde(field)
  const startedMs = performance.now()
  for (const [name, step] of Object.entries(steps) as Array<[StepName, (typeof steps)[StepName]]>) {
    tally.clear()
    const samplesBefore = watch.samples.length
    const inTime = new AbortController()
    const over = step(field, horde).then(() => true)
    if (!(await Promise.race([over, pause(stepMsMax, inTime.signal).then(() => false)]))) fail(`${name} takes too long`)
    inTime.abort()
    if (!server.isRunning) {
      fail(`the server ended at ${name}\n${server.logTail()}`)
      break
    }
    const peak = Math.max(0, ...watch.samples.slice(samplesBefore).map(({ anonBytes }) => anonBytes))
    const did = Array.from(tally, ([what, times]) => `${times} ${what}`).join(", ")
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
    const cells = [
      name,
      seconds,
      inMib(sampleOf(server.pid).anonBytes),
      inMib(peak),
      did,
      limitsOf(name).join(" "),
      await accounts(server)
    ]
    console.log(`| ${cells.join(" | ")} |`)
  }
  if (server.isRunning) {
    const { rssBytes, anonBytes } = sampleOf(server.pid)
    const programBytes = rssBytes - anonBytes - mappedBytes(server.pid, server.dataDir)
    const peakBytes = watch.peak("anonBytes") + programBytes
    console.log(`peak: ${inMib(peakBytes)} MiB, of which ${inMib(programBytes)} are the program`)
    if (peakBytes > memoryBytesMax) fail(`${inMib(peakBytes)} MiB at its peak`)
  }
  watch.stop()
  stopping.abort()
  await server.kill()
  horde.disband()
  await sleep(500)
  const { readyMs, peakBytes, restBytes, servedMs } = await startedAgain(server)
  console.log(
    `kill -9; ready after ${readyMs.toFixed(0)} ms, anon ${inMib(peakBytes)} MiB at its peak and ${inMib(restBytes)} then; a good client is served in ${servedMs.toFixed(0)} ms; ${await accounts(server)}`
  )
  if (peakBytes > memoryBytesMax) fail(`${inMib(peakBytes)} MiB at the start`)
  return failures
}

const server = await ServerProcess.start({ env: asShipped })
let failed: number
try {
  failed = await run(server)
} catch (error) {
  failed = 1
  console.log(error)
  console.log(server.logTail())
} finally {
  await server.dispose().catch(console.log)
}
console.log(failed === 0 ? "held" : "FAILED")
process.exit(failed === 0 ? 0 : 1)
