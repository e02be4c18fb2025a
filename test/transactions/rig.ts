/**
 * Three copiers of different Kafka clients, which read committed records of one topic and write them in transactions, with their
 * offsets, to another, some of which they abort, while the server is killed (`kill -9`) again and again: each copier's output is the
 * input, each record of it once through `read_committed`; every copier has committed again behind every third kill and the last, and one
 * in five kills, at most, has cost it its producer; one that was held on while another took its name is fenced; no transaction stays open,
 * so the last stable offset is the end; and `journal verify` finds nothing.
 * `--kills N` (10), `--seed N`, `--copiers a,b,c` (names of libraries.ts). `--wrong twice|none` makes a record be counted once more or left
 * out, to see the checks fail. Exits with 0 only if all holds.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { KafkaClient } from "../../bench/load/KafkaClient.ts"
import { javaRead } from "../support/java.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { tolerateLostConnections } from "../support/overRestarts.ts"
import { randomOf } from "../support/random.ts"
import { runCommand } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { Copier } from "./Copier.ts"
import { Feeder } from "./Feeder.ts"
import { libraries, type LibraryName } from "./libraries.ts"

const partitions = 3
const from = "in"
const to = "out"
const abortShare = 0.2
const betweenMsMax = 2500
/** Every so many kills, each copier must have committed something since the last one. Kills between come sooner. */
const progressEvery = 3
/** Every so many kills, a copier becomes a zombie. */
const zombieEvery = 4
/** After so many kills a copier may once be without a producer that can commit or abort. */
const killsPerRestart = 5
/** Far more than a restart, a transaction's timeout of 20 s and a group's session together. */
const progressWithinMs = 90_000
const faultsShown = 20

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    copiers: { type: "string", default: "librdkafka,librdkafka-2024,java" },
    wrong: { type: "string", default: "nothing" }
  }
})
tolerateLostConnections()

interface Site {
  readonly server: ServerProcess
  readonly copiers: ReadonlyArray<Copier>
  readonly faults: Array<string>
}

/** `PARTITION:OFFSET` of each committed record. */
const placesOf = async (server: ServerProcess, topic: string): Promise<ReadonlyArray<string>> =>
  (await javaRead(server.kafka, topic)).map(({ partition, offset }) => `${partition}:${offset}`)

/** By partition, with this isolation level: the last stable offset (1), the high watermark (0). */
const endsOf = async (server: ServerProcess, topic: string, isolationLevel: 0 | 1): Promise<ReadonlyArray<number>> => {
  const client = await KafkaClient.connect(server.ports.kafka)
  const asked = Array.from({ length: partitions }, (_, i) => ({ partitionIndex: i, timestamp: -1 }))
  const request = { replicaId: -1, isolationLevel, topics: [{ name: topic, partitions: asked }] }
  const { topics } = await client.request(ListOffsets, 5, request)
  client.close()
  return topics[0]!.partitions.map(({ offset }) => offset)
}

/** Whether the copier has committed the offset behind the last of these places in each partition. */
const hasCopied = async (server: ServerProcess, { name }: Copier, places: ReadonlyArray<string>): Promise<boolean> => {
  const next = new Map<number, number>()
  for (const place of places) {
    const [partition, offset] = place.split(":").map(Number) as [number, number]
    next.set(partition, Math.max(next.get(partition) ?? 0, offset + 1))
  }
  const admin = kafkajsOf(server.kafka).admin()
  await admin.connect()
  const [topic] = await admin.fetchOffsets({ groupId: name, topics: [from] })
  await admin.disconnect()
  const committed = new Map(topic?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
  return [...next].every(([partition, offset]) => (committed.get(partition) ?? -1) >= offset)
}

/** What waits too long is a fault, with the end of its log. */
const awaitEach = async (
  { copiers, faults }: Site,
  what: string,
  isThere: (copier: Copier) => boolean | Promise<boolean>
): Promise<void> => {
  await Promise.all(
    copiers.map(async (copier) => {
      const isSettled = async (): Promise<boolean> => !copier.isRunning || (await isThere(copier))
      await waitUntil(what, progressWithinMs, isSettled).catch(() => {
        faults.push(`${copier.name} stands still (${what}); its log is ${copier.log}`)
      })
      if (!copier.isRunning) faults.push(`${copier.name} ended by itself; its log is ${copier.log}`)
    })
  )
}

const killAll = async (site: Site, kills: number, random: () => number): Promise<void> => {
  const { server, copiers, faults } = site
  for (let kill = 1; kill <= kills && faults.length === 0; kill++) {
    await sleep(random() * betweenMsMax)
    await server.kill()
    const before = new Map(copiers.map((copier) => [copier, copier.counts.committed]))
    await server.start()
    if (kill % progressEvery === 0 || kill === kills) {
      await awaitEach(site, "a commit", (copier) => copier.counts.committed > before.get(copier)!)
      console.log(`kill ${kill}: ${textOf(copiers)}`)
    }
    if (kill % zombieEvery === 0) {
      const copier = copiers[(kill / zombieEvery) % copiers.length]!
      if (!(await copier.replace(progressWithinMs))) faults.push(`a zombie of ${copier.name} was not fenced`)
    }
  }
}

const textOf = (copiers: ReadonlyArray<Copier>): string =>
  copiers
    .map(({ name, counts: { committed, aborted, failed, started, restarted, fenced } }) => {
      return `${name} ${committed}/${aborted}/${failed}, ${started}/${restarted}/${fenced}`
    })
    .join("; ")

/** What a copier has made of the input that it must not have. */
const outputFaults = (name: string, input: ReadonlyArray<string>, output: ReadonlyArray<string>): Array<string> => {
  const counts = new Map<string, number>()
  for (const place of output) counts.set(place, (counts.get(place) ?? 0) + 1)
  const faults = input.filter((place) => !counts.has(place)).map((place) => `${name}: ${place} is missing`)
  for (const [place, count] of counts) if (count > 1) faults.push(`${name}: ${place} came ${count} times`)
  const known = new Set(input)
  for (const place of counts.keys()) if (!known.has(place)) faults.push(`${name}: ${place} was never committed`)
  return faults
}

const check = async ({ server, copiers, faults }: Site, input: ReadonlyArray<string>): Promise<void> => {
  const written = (await javaRead(server.kafka, to)).map(
    ({ value }) => value!.toString().split(" ") as [string, string]
  )
  if (values.wrong === "twice") written.push(written.at(-1)!)
  if (values.wrong === "none") written.pop()
  for (const { name } of copiers) {
    const output = written.filter(([by]) => by === name).map(([, place]) => place)
    faults.push(...outputFaults(name, input, output))
  }
  for (const topic of [from, to]) {
    const [stable, ends] = [await endsOf(server, topic, 1), await endsOf(server, topic, 0)]
    if (stable.join() !== ends.join()) faults.push(`${topic}: last stable offsets ${stable.join()} of ${ends.join()}`)
  }
}

const verify = async ({ server, faults }: Site): Promise<void> => {
  await server.stop()
  const args = server.cliArgs("journal", "verify", "--data-dir", server.dataDir)
  const { code, stdout, stderr } = await runCommand(process.execPath, args)
  if (code !== 0) faults.push(`journal verify exited with ${code}: ${stdout.toString("utf8")}${stderr}`)
}

const startCopiers = (
  server: ServerProcess,
  names: ReadonlyArray<LibraryName>,
  logs: string,
  seed: number,
  restartsMax: number
) =>
  names.map((name, i) => {
    const common = { brokers: server.kafka, from, to, abortShare, restartsMax }
    return new Copier(libraries[name], { ...common, name, seed: seed + i, log: path.join(logs, name) })
  })

const run = async (kills: number, seed: number, names: ReadonlyArray<LibraryName>): Promise<ReadonlyArray<string>> => {
  const random = randomOf(seed)
  const server = await ServerProcess.start()
  const logs = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-copiers-"))
  const faults: Array<string> = []
  let copiers: ReadonlyArray<Copier> = []
  try {
    for (const topic of [from, to]) await server.createStream(topic, { partitions })
    const feeder = new Feeder(server.kafka, from, partitions, abortShare, randomOf(seed + 1000))
    copiers = startCopiers(server, names, logs, seed, Math.ceil(kills / killsPerRestart))
    const site = { server, copiers, faults }
    await awaitEach(site, "a first commit", ({ counts }) => counts.committed > 0)
    await killAll(site, kills, random)
    await feeder.end()
    const input = await placesOf(server, from)
    await awaitEach(site, "the whole input", (copier) => hasCopied(server, copier, input))
    await Promise.all(copiers.map((copier) => copier.end()))
    console.log(
      `${kills} kills; ${input.length} records; committed/aborted/failed, started/restarted/fenced: ${textOf(copiers)}`
    )
    console.log(`the input's transactions: ${Object.values(feeder.counts).join("/")}`)
    await check(site, input)
    await verify(site)
  } catch (error) {
    faults.push(`the rig could not go on: ${(error as Error).stack}`, server.logTail())
  }
  await Promise.all(copiers.map((copier) => copier.end()))
  if (faults.length > 0 && values.wrong === "nothing") {
    await server.kill()
    console.log(`the journal is left in ${server.dataDir}, the copiers' logs in ${logs}`)
  } else {
    await server.dispose()
    fs.rmSync(logs, { recursive: true })
  }
  return faults
}

const names = values.copiers.split(",") as Array<LibraryName>
const faults = await run(Number(values.kills), Number(values.seed), names)
for (const fault of faults.slice(0, faultsShown)) console.log(fault)
console.log(faults.length === 0 ? "all holds" : `${faults.length} faults`)
process.exit(faults.length === 0 ? 0 : 1)
