/**
 * Everything at once for a long time: what was acknowledged is there, and what the server takes does not grow.
 * `--hours H` or `--minutes M` (5), `--restarts N` (0) by SIGTERM, `--seed N`. Exits with 0 only if all holds.
 */
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { GroupReader } from "../crash/GroupReader.ts"
import { KafkaProducer } from "../crash/KafkaProducer.ts"
import { MqttPublisher, type Device } from "../crash/MqttPublisher.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { tolerateLostConnections } from "../support/overRestarts.ts"
import { sampleOf } from "../support/ProcessWatch.ts"
import { randomOf } from "../support/random.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { warmUp } from "../support/warmUp.ts"
import { type Activity, type Soak } from "./activities.ts"
import * as activities from "./activities.ts"
import { Ledger } from "./Ledger.ts"
import { PartitionReader } from "./PartitionReader.ts"
import { growthOf } from "./slope.ts"

const mib = 1024 * 1024
const group = "soak-readers"
/** The client id of the members that stay, and how many they are. */
const memberName = "soak"
const members = 2
const readings = { name: "readings", partitions: 4 }
const orders = { name: "orders", partitions: 2 }
/** Small, so that segments are closed, settled and dropped all the time. */
const retention = { "retention.bytes": "6000000", "retention.ms": "10000" }
const env = {
  NODE_OPTIONS: "--max-old-space-size=256",
  LOGBROOK_JOURNAL_SEGMENT_BYTES: "4MB",
  LOGBROOK_JOURNAL_HISTORY_MS: "5s",
  // What waits for durable sessions is kept as long as they are, and keeps the segments that it lies in.
  LOGBROOK_LIMITS_SESSION_EXPIRY_MS_MAX: "15s",
  // Full within the first seconds.
  LOGBROOK_LIMITS_TAIL_BYTES_MAX: "8MiB"
}
const sendEveryMs = 50
const produceEveryMs = 25
const sampleEveryMs = 500
const answersTimeoutMs = 60_000
const warmUpMs = 5000
const roundTimeoutMs = 30_000
/** Of a run; before, heap and caches take the size that the work needs. */
const warmUpShare = 0.4
/** Beyond these, a figure is not flat. The memory's is that of a heap between two collections. */
const grownMax = { anonBytes: 32 * mib, fileDescriptors: 8, delayMs: 25 }
const faultsShown = 20
const payloadBytes = [30, 200, 1000, 60, 4500]

interface Sample {
  readonly atMs: number
  readonly anonBytes: number
  readonly fileDescriptors: number
  /** Of a request that waits for nothing but the event loop. */
  readonly delayMs: number
}

const padded = (id: string, n: number): Buffer => {
  const bytes = Buffer.alloc(payloadBytes[n % payloadBytes.length]!, "x")
  bytes.write(`${id} `)
  return bytes
}

const payloadOf = ({ clientId }: Device, n: number): Buffer => padded(`${clientId} ${n}`, n)

const batchOf = (producer: number) => (n: number) =>
  Array.from({ length: 1 + (n % 20) }, (_, i) => {
    const id = `order-${producer}-${n}-${i}`
    return { id, value: padded(id, n + i) }
  })

const publishersOf = (server: ServerProcess): ReadonlyArray<MqttPublisher> =>
  Array.from({ length: 24 }, (_, i) => {
    const qos = i % 3 === 0 ? 2 : 1
    return new MqttPublisher(server.ports.mqtt, `device-${i}`, qos, `soak/reading/${i % 5}/${i}`, payloadOf)
  })

/** Every record of a stream goes into the ledger as it comes; resolves when all is read behind `isOver`. */
const tail = async (
  soak: Soak,
  { name, partitions }: { readonly name: string; readonly partitions: number },
  isOver: () => boolean,
  visit: (partition: number, key: string, value: string, offset: number) => void
): Promise<void> => {
  const one = async (partition: number): Promise<void> => {
    const reader = new PartitionReader(soak.server.ports.kafka, name, partition, soak.faults)
    for (let end = Infinity; reader.offset < end;) {
      await reader.next((key, value, offset) => visit(partition, key, value, offset))
      if (isOver()) end = await reader.end()
    }
    await reader.close()
  }
  await Promise.all(Array.from({ length: partitions }, (_, partition) => one(partition)))
}

/** Round after round until it is over, and how many held. One that a restart broke has left something behind: its number is not used again. */
const repeat = async (soak: Soak, activity: Activity, isOver: () => boolean, isDisturbed: () => boolean) => {
  let rounds = 0
  for (let round = 0; !isOver(); round++) {
    try {
      // A call of a client whose connection a restart took may never be answered.
      const late = sleep(roundTimeoutMs, undefined, { ref: false }).then(() => Promise.reject(new Error("no end")))
      await Promise.race([activity(soak, round), late])
      rounds++
    } catch (error) {
      if (!isDisturbed()) soak.faults.push(`${activity.name}, round ${round}: ${String(error)}`)
      await sleep(1000)
    }
  }
  return rounds
}

const sample = async (server: ServerProcess): Promise<Sample> => {
  const startedMs = performance.now()
  await (await fetch(`${server.url}/healthz`)).text()
  const delayMs = performance.now() - startedMs
  const { anonBytes, fileDescriptors } = sampleOf(server.pid)
  return { atMs: performance.now(), anonBytes, fileDescriptors, delayMs }
}

interface GroupView {
  readonly details: { readonly members: ReadonlyArray<{ readonly clientId: string }> }
  readonly offsets: ReadonlyArray<{ readonly partition: number; readonly offset: number; readonly lag: number | null }>
}

/**
 * The group has committed all that there is, by whatever member: a guest that a restart has cut off from its round may still
 * be one. The two that stay are there, and no commit that was acknowledged to them is lost.
 */
const caughtUp = async (soak: Soak, reader: GroupReader): Promise<void> => {
  const view = await waitUntil("the group has read all", answersTimeoutMs, async () => {
    const found = await soak.server.get<GroupView>(`/groups/${group}`)
    const stayed = found.details.members.filter(({ clientId }) => clientId === memberName)
    const hasRead = found.offsets.length === readings.partitions && found.offsets.every(({ lag }) => lag === 0)
    return hasRead && stayed.length === members ? found : undefined
  })
  for (const { partition, offset } of view.offsets) {
    const acknowledged = reader.acknowledged.get(partition) ?? 0
    if (offset < acknowledged) soak.faults.push(`partition ${partition}: committed ${acknowledged}, now ${offset}`)
  }
}

const medianOf = (samples: ReadonlyArray<Sample>, of: keyof Sample): number =>
  samples.map((each) => each[of]).toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0

/** What has grown, after the warm-up. */
const judge = (samples: ReadonlyArray<Sample>, faults: Array<string>): void => {
  for (const name of ["anonBytes", "fileDescriptors", "delayMs"] as const) {
    const grown = growthOf(samples.map((each) => ({ atMs: each.atMs, value: each[name] })))
    const unit = name === "anonBytes" ? mib : 1
    const text = `${name}: median ${(medianOf(samples, name) / unit).toFixed(1)}, grown by ${(grown / unit).toFixed(1)}`
    console.log(text)
    if (grown > grownMax[name]) faults.push(`not flat, ${text}`)
  }
}

const makeSoak = async (server: ServerProcess, random: () => number): Promise<Soak> => {
  await server.createStream(readings.name, {
    filters: ["soak/reading/#"],
    partitions: readings.partitions,
    config: retention
  })
  await server.createStream(orders.name, { partitions: orders.partitions, config: retention })
  const kafka = kafkajsOf(server.kafka, memberName)
  const guests = kafkajsOf(server.kafka, "guest")
  return { server, kafka, guests, publishers: publishersOf(server), readings, group, faults: [], random }
}

const restartNowAndThen = async (soak: Soak, restarts: number, forMs: number, onRestart: () => void) => {
  // All in the first half of the warm-up: a new process begins to grow anew, and has the other half for it.
  for (let i = 0; i < restarts; i++) {
    await sleep((forMs * warmUpShare) / 2 / (restarts + 1))
    onRestart()
    const code = await soak.server.stop()
    if (code !== 0) soak.faults.push(`a stop exited with ${code}: ${soak.server.logTail()}`)
    await soak.server.start()
    onRestart()
    await warmUp(soak.server.ports, warmUpMs)
  }
}

const watch = async (
  soak: Soak,
  startedMs: number,
  forMs: number,
  { ends }: GroupReader
): Promise<ReadonlyArray<Sample>> => {
  const samples: Array<Sample> = []
  const warmMs = startedMs + forMs * warmUpShare
  const tellEveryMs = Math.max(30_000, forMs / 60)
  let toldMs = startedMs
  while (performance.now() < startedMs + forMs && soak.faults.length === 0) {
    await sleep(sampleEveryMs)
    const now = await sample(soak.server).catch(() => undefined)
    if (now === undefined) continue
    if (now.atMs > warmMs) samples.push(now)
    soak.faults.push(...ends.splice(0).map((end) => `a member of the group has ended: ${end}`))
    if (now.atMs < toldMs + tellEveryMs) continue
    toldMs = now.atMs
    const { anonBytes, fileDescriptors, delayMs } = now
    const minutes = ((now.atMs - startedMs) / 60_000).toFixed(1)
    console.log(
      `${minutes} min: ${(anonBytes / mib).toFixed(0)} MiB, ${fileDescriptors} files, ${delayMs.toFixed(1)} ms`
    )
  }
  return samples
}

const run = async (soak: Soak, forMs: number, restarts: number): Promise<Ledger> => {
  const ledger = new Ledger(soak.publishers.map(({ device }) => device))
  const producers = [0, 1].map(
    (n) => new KafkaProducer(soak.kafka, orders.name, orders.partitions, produceEveryMs, batchOf(n))
  )
  const reader = new GroupReader(soak.kafka, group, readings.name, members)
  await reader.start()
  let isOver = false
  let isAtRest = false
  let disturbedMs = -Infinity
  let tick = 0
  const sending = setInterval(() => {
    tick++
    for (const [i, publisher] of soak.publishers.entries()) publisher.publish((tick + i) % 3)
    for (const { acknowledged } of producers) ledger.orders(acknowledged.splice(0))
  }, sendEveryMs)
  const tails = [
    tail(
      soak,
      readings,
      () => isAtRest,
      (_partition, _key, value) => ledger.reading(value)
    ),
    tail(
      soak,
      orders,
      () => isAtRest,
      (partition, key, _value, offset) => ledger.order(partition, offset, key)
    )
  ]
  const isDisturbed = (): boolean => performance.now() - disturbedMs < 20_000 + roundTimeoutMs
  const rounds = Object.values(activities).map(async (activity) => {
    const count = await repeat(soak, activity, () => isOver, isDisturbed)
    return `${count} ${activity.name}`
  })
  const restarting = restartNowAndThen(soak, restarts, forMs, () => (disturbedMs = performance.now()))
  const samples = await watch(soak, performance.now(), forMs, reader)
  isOver = true
  await restarting
  console.log(`rounds: ${(await Promise.all(rounds)).join(", ")}`)
  clearInterval(sending)
  await waitUntil("all messages are answered", answersTimeoutMs, () => soak.publishers.every(({ isIdle }) => isIdle))
  for (const producer of producers) await producer.end()
  await caughtUp(soak, reader)
  isAtRest = true
  await Promise.all(tails)
  await reader.end()
  for (const publisher of soak.publishers) publisher.end()
  for (const { acknowledged } of producers) ledger.orders(acknowledged.splice(0))
  ledger.close(producers.reduce((sum, { givenUp }) => sum + givenUp.length, 0))
  judge(samples, soak.faults)
  return ledger
}

/** The stop is in order, and the journal is whole. */
const finish = async (soak: Soak): Promise<void> => {
  const segments = fs.readdirSync(soak.server.dataDir).filter((name) => /^seg-.*\.mdb$/.test(name))
  const settled = segments.filter((name) => name.includes(".runs"))
  console.log(`segments: ${segments.length}, settled ${settled.length}, the newest ${segments.toSorted().at(-1)}`)
  if (settled.length === 0) soak.faults.push("no segment was settled")
  const code = await soak.server.stop()
  if (code !== 0) soak.faults.push(`the stop exited with ${code}: ${soak.server.logTail()}`)
  await soak.server.cli("journal", "verify", "--data-dir", soak.server.dataDir)
}

const options = {
  hours: { type: "string" },
  minutes: { type: "string" },
  restarts: { type: "string" },
  seed: { type: "string" }
} as const
const { values } = parseArgs({ options })
const minutes = values.hours === undefined ? Number(values.minutes ?? 5) : Number(values.hours) * 60
const seed = Number(values.seed ?? Date.now() % 1_000_000)
tolerateLostConnections()
console.log(`${minutes} min, seed ${seed}`)

const server = await ServerProcess.start({ env })
const faults: Array<string> = []
try {
  await warmUp(server.ports, warmUpMs)
  const soak = await makeSoak(server, randomOf(seed))
  const ledger = await run(soak, minutes * 60_000, Number(values.restarts ?? 0))
  await finish(soak)
  faults.push(...soak.faults, ...ledger.faults)
  console.log(`${ledger.records} records, ${ledger.duplicates} of QoS 1 stored twice after a resend`)
} catch (error) {
  faults.push(String(error))
  console.log(error)
  console.log(server.logTail())
}
if (faults.length === 0) await server.dispose().catch((error: unknown) => faults.push(String(error)))
else {
  await server.stop().catch((error: unknown) => faults.push(String(error)))
  console.log(`the data directory is kept: ${server.dataDir}`)
}
for (const fault of faults.slice(0, faultsShown)) console.log(fault)
console.log(faults.length === 0 ? "held" : `FAILED: ${faults.length} faults`)
process.exit(faults.length === 0 ? 0 : 1)
