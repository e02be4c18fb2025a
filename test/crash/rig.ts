/**
 * Kills the server again and again under load, and compares what it has with what it acknowledged.
 * `--kills N` (10), `--seed N`, `--lose qos1|qos2|produce|commit` to see the audit fail. Exits with 0 only if all holds.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { Kafka } from "kafkajs"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { Audit, type Loss } from "./Audit.ts"
import { GroupReader } from "./GroupReader.ts"
import { KafkaProducer } from "./KafkaProducer.ts"
import { MqttPublisher, type Device } from "./MqttPublisher.ts"

const readings = { name: "readings", partitions: 4 }
const orders = { name: "orders", partitions: 2 }
const group = "readers"
const qos1Devices = 32
const qos2Devices = 12
/** Each device sends this often, one to three messages. */
const sendEveryMs = 20
const produceEveryMs = 15
/** Small ones lie in frames, large ones are batches of their own. */
const payloadBytes = [30, 200, 30, 1000, 60, 30, 6000]
const loadMsMin = 150
const loadMsMax = 900
const startKillShare = 0.1
const settleTimeoutMs = 30_000
/** Members that a kill made kafkajs replace expire only in a server that lives longer than their sessions. */
const regroupEvery = 10
const faultsShown = 20

/** Small and fast, and the same for a seed (mulberry32). */
const randomOf = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const padded = (id: string, n: number): Buffer => {
  const bytes = Buffer.alloc(payloadBytes[n % payloadBytes.length]!, "x")
  bytes.write(`${id} `)
  return bytes
}

const payloadOf = ({ clientId }: Device, n: number): Buffer => padded(`${clientId} ${n}`, n)

const batchOf = (n: number) =>
  Array.from({ length: 1 + (n % 25) }, (_, i) => ({ id: `order-${n}-${i}`, value: padded(`order-${n}-${i}`, n + i) }))

/** Everything that talks to the server, over all of its lives. */
const startLoad = async (server: ServerProcess, kafka: Kafka) => {
  const device = (qos: 1 | 2) => (_: unknown, i: number) =>
    new MqttPublisher(server.ports.mqtt, `qos${qos}-${i}`, qos, `site/${i % 5}/qos${qos}-${i}/reading`, payloadOf)
  const publishers = [
    ...Array.from({ length: qos1Devices }, device(1)),
    ...Array.from({ length: qos2Devices }, device(2))
  ]
  const producer = new KafkaProducer(kafka, orders.name, orders.partitions, produceEveryMs, batchOf)
  const reader = new GroupReader(kafka, group, readings.name, 2)
  await reader.start()
  let tick = 0
  const sending = setInterval(() => {
    tick++
    for (const [i, publisher] of publishers.entries()) publisher.publish(1 + ((tick + i) % 3))
  }, sendEveryMs)
  /** Resolves when everything that was sent is answered. */
  const settle = async (): Promise<void> => {
    clearInterval(sending)
    await waitUntil("all messages are answered", settleTimeoutMs, () => publishers.every(({ isIdle }) => isIdle))
    await producer.end()
    for (const publisher of publishers) publisher.end()
  }
  return { devices: publishers.map((publisher) => publisher.device), producer, reader, settle }
}

type Load = Awaited<ReturnType<typeof startLoad>>

const committedOf = async (kafka: Kafka): Promise<ReadonlyMap<number, number>> => {
  const admin = kafka.admin()
  await admin.connect()
  const [found] = await admin.fetchOffsets({ groupId: group, topics: [readings.name] })
  await admin.disconnect()
  return new Map(found!.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
}

const audit = async (audited: Audit, kafka: Kafka, { devices, producer, reader }: Load): Promise<void> => {
  const acknowledged = new Map(reader.acknowledged)
  const committed = await committedOf(kafka)
  audited.committed(committed, acknowledged, reader.tried)
  await audited.devices(readings.name, readings.partitions, devices)
  await audited.produced(orders.name, orders.partitions, producer.acknowledged)
}

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

/** Resolves when the group has an assignment again, and reads and commits. */
const regrouped = async ({ reader }: Load): Promise<void> => {
  const before = reader.commits
  await waitUntil("the group goes on", settleTimeoutMs, () => reader.commits > before + 4)
}

/** Resolves when the group has committed all that is in its stream. */
const caughtUp = (server: ServerProcess, { reader }: Load): Promise<unknown> =>
  waitUntil("the group has read all", settleTimeoutMs, async () => {
    const { partitionDetails } = await server.get<{
      partitionDetails: ReadonlyArray<{ partition: number; highWatermark: number }>
    }>(`/streams/${readings.name}`)
    return partitionDetails.every(
      ({ partition, highWatermark }) => reader.acknowledged.get(partition) === highWatermark
    )
  })

const killAll = async (
  server: ServerProcess,
  kafka: Kafka,
  audited: Audit,
  load: Load,
  kills: number,
  random: () => number
) => {
  const readyMs: Array<number> = []
  for (let kill = 1; kill <= kills && audited.faults.length === 0; kill++) {
    await sleep(loadMsMin + random() * (loadMsMax - loadMsMin))
    if (!server.isRunning) audited.faults.push(`the server ended by itself: ${server.logTail()}`)
    await server.kill()
    readyMs.push(await restart(server, random))
    await audit(audited, kafka, load)
    if (kill % regroupEvery === 0) await regrouped(load)
    if (kill % 10 === 0 || kill === kills)
      console.log(`kill ${kill}: ${audited.records} records, ready in ${readyMs.at(-1)!.toFixed(0)} ms`)
  }
  return readyMs
}

const finish = async (server: ServerProcess, kafka: Kafka, audited: Audit, load: Load): Promise<void> => {
  await load.settle()
  await caughtUp(server, load)
  await load.reader.end()
  await audit(audited, kafka, load)
  for (const { clientId, sent, acknowledged } of load.devices) {
    if (sent !== acknowledged) audited.faults.push(`${clientId}: ${sent} sent, ${acknowledged} acknowledged`)
  }
  await audited.whole(readings.name, readings.partitions)
  await audited.whole(orders.name, orders.partitions)
  const code = await server.stop()
  if (code !== 0) audited.faults.push(`a graceful stop exited with ${code}: ${server.logTail()}`)
  try {
    await server.cli("journal", "verify", "--data-dir", server.dataDir)
  } catch (error) {
    audited.faults.push((error as Error).message)
  }
}

const summary = (audited: Audit, { devices, producer, reader }: Load, readyMs: ReadonlyArray<number>): string => {
  const sum = (qos: number): number =>
    devices.filter((device) => device.qos === qos).reduce((all, { acknowledged }) => all + acknowledged, 0)
  const sorted = readyMs.toSorted((a, b) => a - b)
  return [
    `${audited.faults.length === 0 ? "held" : "FAILED"}: ${readyMs.length} kills`,
    `${sum(1)} QoS 1 (${audited.duplicates} resent ones stored twice) and ${sum(2)} QoS 2 messages`,
    `${audited.records} records in all`,
    `${reader.commits} commits`,
    `${producer.givenUp.length} batches given up${[...new Set(producer.givenUp)].map((why) => ` (${why})`).join("")}`,
    `ready in ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms (median), ${sorted.at(-1)?.toFixed(0)} ms (worst)`
  ].join(", ")
}

const options = { kills: { type: "string" }, seed: { type: "string" }, lose: { type: "string" } } as const
const { values } = parseArgs({ options })
const kills = Number(values.kills ?? 10)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
console.log(`${kills} kills, seed ${seed}`)

const server = await ServerProcess.start({ env: { LOGBROOK_JOURNAL_SEGMENT_BYTES: "8MB" } })
const kafka = kafkajsOf(server.kafka, "rig")
const audited = new Audit(server.kafka, values.lose as Loss | undefined)
let isKept = false
try {
  await server.createStream(readings.name, { filters: ["site/+/+/reading"], partitions: readings.partitions })
  await server.createStream(orders.name, { partitions: orders.partitions })
  const load = await startLoad(server, kafka)
  const readyMs = await killAll(server, kafka, audited, load, kills, randomOf(seed))
  if (audited.faults.length === 0) await finish(server, kafka, audited, load)
  for (const fault of audited.faults.slice(0, faultsShown)) console.log(fault)
  console.log(summary(audited, load, readyMs))
} catch (error) {
  audited.faults.push(String(error))
  console.log(error)
  console.log(server.logTail())
  console.log("FAILED: the rig could not go on")
} finally {
  isKept = audited.faults.length > 0 && values.lose === undefined
  if (isKept) {
    await server.kill()
    console.log(`the journal is left in ${server.dataDir}`)
  } else await server.dispose()
}
process.exit(audited.faults.length === 0 ? 0 : 1)
