/**
 * Kills the server again and again under load (at any time, after rolls, while it settles, stops or is backed up), and compares what it has with what it acknowledged.
 * `--kills N` (10), `--seed N`, `--lose qos1|qos2|produce|commit` to see the audit fail. Exits with 0 only if all holds.
 */
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { Kafka } from "kafkajs"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"
import { randomOf } from "../support/random.ts"
import { Audit, type Loss } from "./Audit.ts"
import { killAt, moments } from "./kills.ts"
import { audit, finish, loadText, regrouped, startLoad, type Load } from "./load.ts"
import { phasesOf } from "./phases.ts"

const startKillShare = 0.1
/** Members that a kill made kafkajs replace expire only in a server that lives longer than their sessions. */
const regroupEvery = 10
const faultsShown = 20

/** Some kills come while the server is still starting. */
const restart = async (server: ServerProcess, random: () => number): Promise<number> => {
  if (random() < startKillShare) {
    const starting = server.start().catch(() => undefined)
    await sleep(50 + random() * 250)
    await server.kill()
    await starting
  }
  return server.start()
}

const killAll = async (
  server: ServerProcess,
  kafka: Kafka,
  audited: Audit,
  load: Load,
  kills: number,
  random: () => number
) => {
  const readyMs: Array<number> = []
  const phases = new Map<string, number>()
  const count = (phase: string): void => void phases.set(phase, (phases.get(phase) ?? 0) + 1)
  for (let kill = 1; kill <= kills && audited.faults.length === 0; kill++) {
    const moment = moments[Math.floor(random() * moments.length)]!
    const isOwnEnd = await killAt(moment, server, backupDir, random)
    if (isOwnEnd) audited.faults.push(`the server ended by itself: ${server.logTail()}`)
    count(moment)
    for (const phase of phasesOf(server.dataDir)) count(`found: ${phase}`)
    readyMs.push(await restart(server, random))
    await audit(audited, kafka, load)
    if (kill % regroupEvery === 0) await regrouped(load)
    if (kill % 10 === 0 || kill === kills)
      console.log(`kill ${kill}: ${audited.records} records, ready in ${readyMs.at(-1)!.toFixed(0)} ms`)
  }
  return { readyMs, phases }
}

const summary = (audited: Audit, load: Load, readyMs: ReadonlyArray<number>): string => {
  const sorted = readyMs.toSorted((a, b) => a - b)
  return [
    `${audited.faults.length === 0 ? "held" : "FAILED"}: ${readyMs.length} kills`,
    loadText(audited, load),
    `ready in ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms (median), ${sorted.at(-1)?.toFixed(0)} ms (worst)`
  ].join(", ")
}

const options = { kills: { type: "string" }, seed: { type: "string" }, lose: { type: "string" } } as const
const { values } = parseArgs({ options })
const kills = Number(values.kills ?? 10)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
console.log(`${kills} kills, seed ${seed}`)

const server = await ServerProcess.start({ env: { LOGBROOK_JOURNAL_SEGMENT_BYTES: "2MB" } })
const kafka = kafkajsOf(server.kafka, "rig")
const audited = new Audit(server.kafka, values.lose as Loss | undefined)
const backupDir = `${server.dataDir}-backup`
let isKept = false
try {
  const load = await startLoad(server, kafka)
  const { readyMs, phases } = await killAll(server, kafka, audited, load, kills, randomOf(seed))
  console.log(`kills: ${[...phases].map(([phase, times]) => `${phase} ${times}`).join(", ")}`)
  if (audited.faults.length === 0) {
    await finish(server, kafka, audited, load)
    // Whatever the kills left of the backups before, this one is read again as a whole.
    await server.cli("backup", backupDir, "--data-dir", server.dataDir)
  }
  for (const fault of audited.faults.slice(0, faultsShown)) console.log(fault)
  console.log(summary(audited, load, readyMs))
} catch (error) {
  audited.faults.push(String(error))
  console.log(error)
  console.log(server.logTail())
  console.log("FAILED: the rig could not go on")
} finally {
  fs.rmSync(backupDir, { recursive: true, force: true })
  isKept = audited.faults.length > 0 && values.lose === undefined
  if (isKept) {
    await server.kill()
    console.log(`the journal is left in ${server.dataDir}`)
  } else await server.dispose()
}
process.exit(audited.faults.length === 0 ? 0 : 1)
