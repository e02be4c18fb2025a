import { setTimeout as sleep } from "node:timers/promises"
import type { Kafka } from "kafkajs"
import mqtt, { type IClientOptions, type MqttClient } from "mqtt"
import { GroupReader } from "../crash/GroupReader.ts"
import type { MqttPublisher } from "../crash/MqttPublisher.ts"
import type { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { PartitionReader } from "./PartitionReader.ts"

/** What goes on beside the load, round after round; each checks what it can. */
export interface Soak {
  readonly server: ServerProcess
  readonly kafka: Kafka
  /** For members of the group that come and go. */
  readonly guests: Kafka
  readonly publishers: ReadonlyArray<MqttPublisher>
  readonly readings: { readonly name: string; readonly partitions: number }
  readonly group: string
  readonly faults: Array<string>
  readonly random: () => number
}

export type Activity = (soak: Soak, round: number) => Promise<void>

const seenTimeoutMs = 20_000

const defaults: IClientOptions = { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000 }

const connect = async (soak: Soak, options: IClientOptions): Promise<MqttClient> => {
  const client = await mqtt.connectAsync(soak.server.mqttUrl, { ...defaults, ...options })
  // Whoever is cut off when the server restarts finds that out by the call that fails.
  return client.on("error", () => undefined)
}

const pick = <A>(soak: Soak, all: ReadonlyArray<A>): A => all[Math.floor(soak.random() * all.length)]!

/** Some publishers lose their connection. */
export const drops: Activity = async (soak) => {
  for (let i = 0; i < 4; i++) pick(soak, soak.publishers).drop()
  await sleep(1500)
}

const lastRetained = new Map<string, string>()
/** Topics whose last message was not acknowledged when a restart took the connection: it may be there or not. */
const unsure = new Set<string>()
const retainedTopics = 40

/** Retained messages are set and cleared; a new subscriber gets those that are there, as they are. */
export const retained: Activity = async (soak, round) => {
  const writer = await connect(soak, { clientId: "retained-writer" })
  for (let i = 0; i < 10; i++) {
    const topic = `soak/retained/${Math.floor(soak.random() * retainedTopics)}`
    const payload = soak.random() < 0.3 ? "" : `${round}-${i}`
    unsure.add(topic)
    await writer.publishAsync(topic, payload, { qos: 1, retain: true })
    unsure.delete(topic)
    if (payload === "") lastRetained.delete(topic)
    else lastRetained.set(topic, payload)
  }
  await writer.endAsync()
  const reader = await connect(soak, { clientId: `retained-reader-${round % 7}` })
  const found = new Map<string, string>()
  reader.on("message", (topic, payload) => void found.set(topic, payload.toString()))
  await reader.subscribeAsync("soak/retained/+", { qos: 1 })
  const different = (): ReadonlyArray<string> =>
    [...new Set([...found.keys(), ...lastRetained.keys()])]
      .filter((topic) => !unsure.has(topic) && found.get(topic) !== lastRetained.get(topic))
      .map((topic) => `${topic} is ${found.get(topic)}, not ${lastRetained.get(topic)}`)
  await waitUntil("the retained messages", seenTimeoutMs, () => different().length === 0).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${different().join("; ")}`, { cause: error })
  })
  await reader.endAsync()
  await sleep(1000)
}

/** A client with a will loses its connection: a subscriber with a wildcard gets the will, once. */
export const wills: Activity = async (soak, round) => {
  const watcher = await connect(soak, { clientId: "will-watcher" })
  const seen: Array<string> = []
  watcher.on("message", (_topic, payload) => void seen.push(payload.toString()))
  await watcher.subscribeAsync("soak/will/#", { qos: 2 })
  const payload = Buffer.from(`gone ${round}`)
  const dying = await connect(soak, { clientId: "dying", will: { topic: `soak/will/${round % 9}`, payload, qos: 1 } })
  dying.stream.destroy()
  await waitUntil("the will", seenTimeoutMs, () => seen.length > 0)
  await sleep(200)
  if (seen.length !== 1 || seen[0] !== payload.toString()) soak.faults.push(`wills: got ${seen.join(", ")}`)
  await watcher.endAsync()
}

/** A durable session is away while messages come for it, and gets all of them, in order. */
export const awayAndBack: Activity = async (soak, round) => {
  const clientId = `durable-${round % 5}`
  const topic = `soak/own/${clientId}`
  const properties = { sessionExpiryInterval: 3600 }
  const first = await connect(soak, { clientId, clean: true, properties })
  await first.subscribeAsync(["soak/own/+", "soak/nobody/#"], { qos: 1 })
  first.stream.destroy()
  const writer = await connect(soak, { clientId: "durable-writer" })
  const sent = Array.from({ length: 50 }, (_, i) => `${round}-${i}`)
  for (const payload of sent) await writer.publishAsync(topic, payload, { qos: round % 2 === 0 ? 1 : 2 })
  await writer.endAsync()
  const seen: Array<string> = []
  // What was queued comes at once behind CONNACK.
  const back = mqtt.connect(soak.server.mqttUrl, { ...defaults, clientId, clean: false, properties })
  back.on("error", () => undefined)
  back.on("message", (from, payload) => void (from === topic && seen.push(payload.toString())))
  await waitUntil(`the queue of ${clientId}`, seenTimeoutMs, () => seen.length >= sent.length)
  if (seen.join() !== sent.join()) soak.faults.push(`${clientId}: got ${seen.join()} where ${sent.join()} was sent`)
  await back.endAsync()
  // Ends the session, else it would queue what comes for the next.
  const last = await connect(soak, { clientId, clean: true })
  await last.endAsync()
}

/** One more member comes into the group, and leaves it. */
export const rebalances: Activity = async (soak) => {
  const member = new GroupReader(soak.guests, soak.group, soak.readings.name, 1)
  try {
    await member.start()
    await sleep(3000 + soak.random() * 3000)
  } finally {
    await member.end()
  }
  await sleep(2000)
}

/** Reads a partition from its beginning, some megabytes. */
export const fromTheBeginning: Activity = async (soak, round) => {
  const { name, partitions } = soak.readings
  const partition = round % partitions
  // What expires while it is read is no fault of the server's; the next round reads again.
  const reader = new PartitionReader(soak.server.ports.kafka, name, partition, [])
  reader.offset = await reader.start()
  const end = await reader.end()
  let last = -1
  const reads = 50
  for (let i = 0; i < reads && reader.offset < end; i++) {
    await reader.next((_key, _value, offset) => {
      if (last !== -1 && offset !== last + 1) soak.faults.push(`${name}/${partition}: ${offset} behind ${last}`)
      last = offset
    })
  }
  await reader.close()
  await sleep(1000)
}

/** A stream is made, filled, read and deleted. */
export const streams: Activity = async (soak, round) => {
  const name = `churn-${round}`
  await soak.server.createStream(name, { partitions: 4 })
  const producer = soak.kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const messages = Array.from({ length: 40 }, (_, i) => ({ key: `${i}`, value: "v".repeat(500), partition: i % 4 }))
  await producer.send({ topic: name, acks: -1, messages })
  await producer.disconnect()
  for (let partition = 0; partition < 4; partition++) {
    const reader = new PartitionReader(soak.server.ports.kafka, name, partition, soak.faults)
    const keys: Array<string> = []
    await waitUntil(`${name}/${partition}`, seenTimeoutMs, async () => {
      await reader.next((key) => void keys.push(key))
      return keys.length >= 10
    })
    if (
      keys.join() !==
      messages
        .filter((each) => each.partition === partition)
        .map(({ key }) => key)
        .join()
    ) {
      soak.faults.push(`${name}/${partition}: got ${keys.join()}`)
    }
    await reader.close()
  }
  await soak.server.request("DELETE", `/streams/${name}`)
  await sleep(500)
}
