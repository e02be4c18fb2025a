/**
 * Cuts the power of the server's disk again and again under load, and compares what a restart on what is left has with
 * what was acknowledged. Needs root, gcc, mkfs.ext4, /dev/fuse and loop devices.
 * `--cuts N` (10), `--seed N`; `--control N` (0): afterwards N cuts of a server whose syncs do nothing, which must lose.
 * Exits with 0 only if all holds.
 */
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { Kafka } from "kafkajs"
import { Audit } from "../crash/Audit.ts"
import { audit, finish, loadText, regrouped, startLoad, type Load } from "../crash/load.ts"
import { phasesOf } from "../crash/phases.ts"
import { shimEnv } from "../support/diskShim.ts"
import { enterOwnMountNamespace } from "../support/mountNamespace.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { randomOf } from "../support/random.ts"
import { ServerProcess } from "../support/server.ts"
import { PowerDisk } from "./PowerDisk.ts"
import { fates } from "./VolatileDisk.ts"

const diskMiB = 2047
/** Small, so that rolls, snapshots and settlings are under way at most cuts. */
const settings = { LOGBROOK_JOURNAL_SEGMENT_BYTES: "2MB" }
const loadMsMin = 150
const loadMsMax = 900
const operationsMax = 400
/** A server that learns of the cut from its disk ends by itself: late while appends wait for a settling, tried three times. */
const endsWithinMs = 20_000
const startCutShare = 0.1
const regroupEvery = 10
const verifyEvery = 20
const faultsShown = 20

interface Rig {
  readonly disk: PowerDisk
  readonly server: ServerProcess
  readonly kafka: Kafka
  readonly audited: Audit
  readonly random: () => number
  readonly found: Found
  /** Its syncs do nothing: then nothing can be timed by what reaches the disk. */
  readonly isControl: boolean
}

/** What was going on at the cuts, by what was on the disk. */
interface Found {
  cuts: number
  byKill: number
  withoutReason: number
  unflushedMax: number
  lostWrites: number
  readonly endedMs: Array<number>
  readonly readyMs: Array<number>
  readonly phases: Map<string, number>
}

const nothingFound = (): Found => ({
  cuts: 0,
  byKill: 0,
  withoutReason: 0,
  unflushedMax: 0,
  lostWrites: 0,
  endedMs: [],
  readyMs: [],
  phases: new Map()
})

/** Kills the server at the cut, or lets it learn of it from its disk: then it has to end, and say why. */
const endServer = async ({ server, audited, random, found }: Rig): Promise<void> => {
  if (random() < 0.5) {
    found.byKill++
    await server.kill()
    return
  }
  const startedMs = performance.now()
  const ended = await Promise.race([server.exited(), sleep(endsWithinMs, "running", { ref: false })])
  found.endedMs.push(performance.now() - startedMs)
  if (ended === "running") audited.faults.push(`runs on without its disk: ${server.logTail()}`)
  else if (ended !== 1 || !server.logTail().includes("error[E_DIED]")) found.withoutReason++
  await server.kill()
}

const cutOnce = async (rig: Rig): Promise<void> => {
  const { disk, server, random, found, isControl } = rig
  if (isControl || random() < 0.5) {
    await sleep(loadMsMin + random() * (loadMsMax - loadMsMin))
    disk.cutNow()
  } else {
    await sleep(loadMsMin)
    disk.cutAfter(1 + Math.floor(random() * operationsMax))
  }
  const unflushed = await disk.cut()
  await endServer(rig)
  found.cuts++
  found.unflushedMax = Math.max(found.unflushedMax, unflushed)
  found.lostWrites += await disk.powerOn(fates[Math.floor(random() * fates.length)]!)
  for (const phase of phasesOf(server.dataDir)) found.phases.set(phase, (found.phases.get(phase) ?? 0) + 1)
}

/** Some cuts come while the server is still starting. */
const restart = async ({ disk, server, random, found }: Rig): Promise<void> => {
  if (random() < startCutShare) {
    const starting = server.start().catch(() => undefined)
    await sleep(50 + random() * 250)
    disk.cutNow()
    await disk.cut()
    await server.kill()
    await starting
    found.cuts++
    found.byKill++
    found.lostWrites += await disk.powerOn("none")
  }
  found.readyMs.push(await server.start())
}

const cutAll = async (rig: Rig, load: Load, cuts: number): Promise<void> => {
  const { server, kafka, audited, found } = rig
  while (found.cuts < cuts && audited.faults.length === 0) {
    const before = found.cuts
    await cutOnce(rig)
    await restart(rig)
    await audit(audited, kafka, load)
    const passes = (every: number): boolean => Math.floor(before / every) < Math.floor(found.cuts / every)
    if (passes(regroupEvery)) await regrouped(load)
    if (passes(verifyEvery)) await server.cli("journal", "verify", "--data-dir", server.dataDir)
    if (passes(10))
      console.log(`cut ${found.cuts}: ${audited.records} records, ready in ${found.readyMs.at(-1)!.toFixed(0)} ms`)
  }
}

const middle = (values: ReadonlyArray<number>): string =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]?.toFixed(0) ?? "-"

const foundText = ({
  cuts,
  byKill,
  withoutReason,
  unflushedMax,
  lostWrites,
  endedMs,
  readyMs,
  phases
}: Found): string => {
  const inPhases = [...phases].map(([phase, count]) => `${phase} ${count}`).join(", ")
  return [
    `${cuts} cuts (${byKill} with a kill; the others ended by themselves in ${middle(endedMs)} ms (median), ${Math.max(0, ...endedMs).toFixed(0)} ms (worst), ${withoutReason} without a reason)`,
    `found by the next start: ${inPhases || "nothing under way"}`,
    `${lostWrites} unflushed writes lost, ${unflushedMax} unflushed at most`,
    `ready in ${middle(readyMs)} ms (median), ${Math.max(...readyMs).toFixed(0)} ms (worst)`
  ].join("; ")
}

/** Resolves with the faults that the audit found. */
const run = async (cuts: number, seed: number, isControl: boolean): Promise<ReadonlyArray<string>> => {
  const disk = await PowerDisk.make(diskMiB, seed)
  const dataDir = path.join(disk.directory, "data")
  const shim = isControl ? await shimEnv({ directory: disk.directory, does: "nosync" }) : {}
  const server = await ServerProcess.start({ dataDir, env: { ...settings, ...shim } })
  const kafka = kafkajsOf(server.kafka, "rig")
  const rig = {
    disk,
    server,
    kafka,
    audited: new Audit(server.kafka, undefined),
    random: randomOf(seed),
    found: nothingFound(),
    isControl
  }
  const { audited, found } = rig
  try {
    const load = await startLoad(server, kafka)
    await cutAll(rig, load, cuts)
    if (audited.faults.length === 0) await finish(server, kafka, audited, load)
    else load.abandon()
    console.log(`${foundText(found)}; ${loadText(audited, load)}`)
  } catch (error) {
    audited.faults.push((error as Error).stack ?? String(error), server.logTail())
  }
  await server.kill()
  if (audited.faults.length > 0 && !isControl) {
    for (const fault of audited.faults.slice(0, faultsShown)) console.log(fault)
    await disk.dump(`/tmp/logbrook-power-${seed}.img`)
    console.log(`the disk is left in /tmp/logbrook-power-${seed}.img: mount -o loop`)
  }
  await disk.dispose()
  await server.dispose()
  return audited.faults
}

enterOwnMountNamespace()
const options = { cuts: { type: "string" }, seed: { type: "string" }, control: { type: "string" } } as const
const { values } = parseArgs({ options })
const cuts = Number(values.cuts ?? 10)
const control = Number(values.control ?? 0)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
console.log(`${cuts} cuts, ${control} without syncs, seed ${seed}`)

// kafkajs gives up in the background when a server does not come back.
process.on("unhandledRejection", (error) => console.log(`a client: ${String(error)}`))
const faults = cuts > 0 ? await run(cuts, seed, false) : []
let isSeen = true
if (control > 0) {
  const losses = await run(control, seed, true)
  isSeen = losses.length > 0
  console.log(
    `without syncs: ${losses.length} faults found, which is ${isSeen ? "as it must be" : "a fault of this rig"}`
  )
  for (const loss of losses.slice(0, 3)) console.log(`  ${loss.slice(0, 200)}`)
}
console.log(faults.length === 0 && isSeen ? "held" : "FAILED")
process.exit(faults.length === 0 && isSeen ? 0 : 1)
