import type { Kafka, KafkaJSError } from "kafkajs"
import type { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import type { Audit } from "./Audit.ts"
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
/** Of so many times, when there is to be little load. */
const slowEvery = 20
/** Small ones lie in frames, large ones are batches of their own. */
const payloadBytes = [30, 200, 30, 1000, 60, 30, 6000]
const answersTimeoutMs = 30_000

const padded = (id: string, n: number): Buffer => {
  const bytes = Buffer.alloc(payloadBytes[n % payloadBytes.length]!, "x")
  bytes.write(`${id} `)
  return bytes
}

const payloadOf = ({ clientId }: Device, n: number): Buffer => padded(`${clientId} ${n}`, n)

const batchOf = (n: number) =>
  Array.from({ length: 1 + (n % 25) }, (_, i) => ({ id: `order-${n}-${i}`, value: padded(`order-${n}-${i}`, n + i) }))

/** Everything that talks to the server, over all of its lives; makes the streams. */
export const startLoad = async (server: ServerProcess, kafka: Kafka) => {
  await server.createStream(readings.name, { filters: ["site/+/+/reading"], partitions: readings.partitions })
  await server.createStream(orders.name, { partitions: orders.partitions })
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
  let every = 1
  const sending = setInterval(() => {
    if (++tick % every !== 0) return
    for (const [i, publisher] of publishers.entries()) publisher.publish(1 + ((tick + i) % 3))
  }, sendEveryMs)
  const abandon = (): void => {
    clearInterval(sending)
    for (const publisher of publishers) publisher.end()
  }
  /** Resolves when everything that was sent is answered. */
  const finish = async (): Promise<void> => {
    clearInterval(sending)
    await waitUntil("all messages are answered", answersTimeoutMs, () => publishers.every(({ isIdle }) => isIdle))
    await producer.end()
    abandon()
  }
  const slow = (isSlow: boolean): void => {
    every = isSlow ? slowEvery : 1
    producer.pauseMs = produceEveryMs * every
  }
  return { devices: publishers.map((publisher) => publisher.device), producer, reader, slow, finish, abandon }
}

export type Load = Awaited<ReturnType<typeof startLoad>>

const committedOf = async (kafka: Kafka, triesLeft = 3): Promise<ReadonlyMap<number, number>> => {
  const admin = kafka.admin()
  try {
    await admin.connect()
    const [found] = await admin.fetchOffsets({ groupId: group, topics: [readings.name] })
    return new Map(found!.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
  } catch (error) {
    // kafkajs may still hold a connection to the server that was killed.
    if (triesLeft === 0 || (error as KafkaJSError).retriable !== true) throw error
    return await committedOf(kafka, triesLeft - 1)
  } finally {
    await admin.disconnect()
  }
}

/** All that was acknowledged before the call is there: the audit's faults tell of what is not. */
export const audit = async (audited: Audit, kafka: Kafka, { devices, producer, reader }: Load): Promise<void> => {
  const acknowledged = new Map(reader.acknowledged)
  const committed = await committedOf(kafka)
  audited.committed(committed, acknowledged, reader.tried)
  await audited.devices(readings.name, readings.partitions, devices)
  await audited.produced(orders.name, orders.partitions, producer.acknowledged)
}

/** Resolves when the group has an assignment again, and reads and commits. */
export const regrouped = async ({ reader }: Load): Promise<void> => {
  const before = reader.commits
  const goesOn = () => reader.commits > before + 4
  await waitUntil("the group goes on", answersTimeoutMs, goesOn).catch((error: Error) => {
    throw new Error([error.message, ...reader.ends].join("\n"))
  })
}

/** Resolves when the group has committed all that is in its stream. */
const caughtUp = (server: ServerProcess, { reader }: Load): Promise<unknown> =>
  waitUntil("the group has read all", answersTimeoutMs, async () => {
    const { partitionDetails } = await server.get<{
      partitionDetails: ReadonlyArray<{ partition: number; highWatermark: number }>
    }>(`/streams/${readings.name}`)
    return partitionDetails.every(
      ({ partition, highWatermark }) => reader.acknowledged.get(partition) === highWatermark
    )
  })

/** Ends the load, and the server in order; everything is read once more, and the journal is verified. */
export const finish = async (server: ServerProcess, kafka: Kafka, audited: Audit, load: Load): Promise<void> => {
  await load.finish()
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

/** What was sent and stored, for a summary. */
export const loadText = (audited: Audit, { devices, producer, reader }: Load): string => {
  const sum = (qos: number): number =>
    devices.filter((device) => device.qos === qos).reduce((all, { acknowledged }) => all + acknowledged, 0)
  return [
    `${sum(1)} QoS 1 (${audited.duplicates} resent ones stored twice) and ${sum(2)} QoS 2 messages`,
    `${audited.records} records in all`,
    `${reader.commits} commits`,
    `${producer.givenUp.length} batches given up${[...new Set(producer.givenUp)].map((why) => ` (${why})`).join("")}`
  ].join(", ")
}
