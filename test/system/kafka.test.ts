import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { GroupStates } from "@logbrook/actors/group/groupState"
import {
  Admin,
  Consumer,
  MessagesStreamModes,
  Producer,
  ProduceAcks,
  stringDeserializers,
  stringSerializers
} from "@platformatic/kafka"
import { CompressionTypes, Kafka, logLevel, type Consumer as KafkaJsConsumer } from "kafkajs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { startKit, type Kit } from "../../packages/server/test/kafka/kit.ts"

// Two clients of npm over real sockets.

let kit: Kit
let broker: string
const closing: Array<() => Promise<unknown>> = []

beforeEach(async () => {
  kit = await startKit()
  broker = `127.0.0.1:${kit.listener.port}`
})

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await kit.close()
  expect(kit.defects).toEqual([])
  expect(kit.lines.filter(({ level }) => level !== "info")).toEqual([])
})

const client = (clientId: string) => new Kafka({ clientId, brokers: [broker], logLevel: logLevel.NOTHING })
const options = (clientId: string) => ({ clientId, bootstrapBrokers: [broker], autocreateTopics: false })
/** A member that stops or rebalances waits for its open fetch. */
const maxWaitTimeInMs = 200

const producerOf = async (clientId: string, idempotent = false) => {
  const producer = client(clientId).producer({ idempotent, allowAutoTopicCreation: false })
  await producer.connect()
  closing.push(() => producer.disconnect())
  return producer
}

describe("kafkajs", () => {
  it("creates, produces plain and gzip, consumes from the beginning, and deletes", async () => {
    const admin = client("admin").admin()
    await admin.connect()
    closing.push(() => admin.disconnect())
    expect(await admin.createTopics({ topics: [{ topic: "orders", numPartitions: 2 }] })).toBe(true)
    const producer = await producerOf("writer")
    const messages = Array.from({ length: 100 }, (_, i) => ({
      key: `k${i % 7}`,
      value: `v${i}`,
      headers: { h: `${i}` }
    }))
    await producer.send({ topic: "orders", messages: messages.slice(0, 50) })
    await producer.send({ topic: "orders", messages: messages.slice(50), compression: CompressionTypes.GZIP })
    const consumer = client("reader").consumer({ groupId: "g", maxWaitTimeInMs })
    await consumer.connect()
    closing.push(() => consumer.disconnect())
    await consumer.subscribe({ topic: "orders", fromBeginning: true })
    const seen: Array<string> = []
    await consumer.run({
      eachMessage: async ({ message }) => {
        expect(message.headers!["h"]!.toString()).toBe(message.value!.toString().slice(1))
        seen.push(`${message.key} ${message.value}`)
      }
    })
    await expect.poll(() => seen.length, { timeout: 15_000 }).toBe(100)
    expect(new Set(seen)).toEqual(new Set(messages.map(({ key, value }) => `${key} ${value}`)))
    const offsets = await admin.fetchTopicOffsets("orders")
    expect(offsets.reduce((sum, { high }) => sum + Number(high), 0)).toBe(100)
    await consumer.stop()
    const committed = await admin.fetchOffsets({ groupId: "g", topics: ["orders"] })
    expect(committed[0]!.partitions.reduce((sum, { offset }) => sum + Number(offset), 0)).toBe(100)
    await admin.deleteTopics({ topics: ["orders"] })
    expect(await admin.listTopics()).toEqual([])
  })

  it("produces idempotently", async () => {
    await kit.createStream("orders")
    const producer = await producerOf("writer", true)
    for (let i = 0; i < 20; i++) await producer.send({ topic: "orders", messages: [{ value: `${i}` }] })
    const log = kit.shard.logs.log(kit.broker.directory.byName("orders")!.logIds[0]!)
    expect(log.highWatermark).toBe(20)
  })

  it("goes on at the beginning when what it had committed has been deleted", async () => {
    await kit.createStream("orders")
    const producer = await producerOf("writer")
    await producer.send({ topic: "orders", messages: Array.from({ length: 10 }, (_, i) => ({ value: `${i}` })) })
    const admin = client("admin").admin()
    await admin.connect()
    closing.push(() => admin.disconnect())
    const committed = { partitionIndex: 0, committedOffset: 2, committedLeaderEpoch: -1, committedMetadata: "" }
    await (
      await kit.connect()
    ).send(OffsetCommit, 7, { groupId: "g", topics: [{ name: "orders", partitions: [committed] }] })
    await admin.fetchTopicOffsets("orders")
    await admin.deleteTopicRecords({ topic: "orders", partitions: [{ partition: 0, offset: "7" }] })
    const consumer = client("reader").consumer({ groupId: "g", maxWaitTimeInMs })
    await consumer.connect()
    closing.push(() => consumer.disconnect())
    await consumer.subscribe({ topic: "orders", fromBeginning: true })
    const seen: Array<string> = []
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen, { timeout: 15_000 }).toEqual(["7", "8", "9"])
  })

  it("shares a stream among three, and again when one leaves", async () => {
    await kit.createStream("orders", { partitions: 6 })
    const assigned = new Map<string, number>()
    const seen: Array<string> = []
    const join = async (name: string): Promise<KafkaJsConsumer> => {
      const consumer = client(name).consumer({
        groupId: "g",
        heartbeatInterval: 200,
        sessionTimeout: 10_000,
        maxWaitTimeInMs
      })
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        assigned.set(name, payload.memberAssignment["orders"]?.length ?? 0)
      })
      await consumer.connect()
      await consumer.subscribe({ topic: "orders", fromBeginning: true })
      await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
      return consumer
    }
    const [first, ...others] = await Promise.all(["a", "b", "c"].map(join))
    closing.push(...others.map((consumer) => () => consumer.disconnect()))
    await expect.poll(() => [...assigned.values()].sort(), { timeout: 20_000 }).toEqual([2, 2, 2])
    await first!.disconnect()
    assigned.delete("a")
    await expect.poll(() => [...assigned.values()].sort(), { timeout: 20_000 }).toEqual([3, 3])
    const producer = await producerOf("writer")
    const messages = Array.from({ length: 60 }, (_, i) => ({ value: `${i}`, partition: i % 6 }))
    await producer.send({ topic: "orders", messages })
    await expect.poll(() => new Set(seen).size, { timeout: 15_000 }).toBe(60)
  })
})

describe("@platformatic/kafka", () => {
  it("creates, produces with its compressions, consumes, and commits", async () => {
    const admin = new Admin(options("admin"))
    closing.push(() => admin.close())
    const created = await admin.createTopics({ topics: ["orders"], partitions: 3, replicas: 1 })
    expect(created).toMatchObject([{ name: "orders", partitions: 3 }])
    let sent = 0
    for (const compression of ["none", "gzip", "zstd"] as const) {
      const producer = new Producer({ ...options("writer"), serializers: stringSerializers, compression })
      closing.push(() => producer.close())
      const messages = Array.from({ length: 30 }, () => ({ topic: "orders", key: `k${sent % 5}`, value: `v${sent++}` }))
      await producer.send({ messages, acks: ProduceAcks.ALL })
    }
    const consumer = new Consumer({ ...options("reader"), groupId: "g", deserializers: stringDeserializers })
    closing.push(() => consumer.close(true))
    const stream = await consumer.consume({
      topics: ["orders"],
      mode: MessagesStreamModes.EARLIEST,
      autocommit: false,
      sessionTimeout: 10_000,
      heartbeatInterval: 500
    })
    const seen = new Set<string>()
    let last: { commit: () => void | Promise<void> } | undefined
    for await (const message of stream) {
      seen.add(message.value)
      last = message
      if (seen.size === sent) break
    }
    expect(seen.size).toBe(90)
    await last!.commit()
    const state = kit.shard.view(GroupStates).get(groupActor("g"))!
    expect(state.offsets.count).toBe(1)
  })

  it("produces idempotently", async () => {
    await kit.createStream("orders")
    const producer = new Producer({ ...options("writer"), serializers: stringSerializers, idempotent: true })
    closing.push(() => producer.close())
    for (let i = 0; i < 10; i++) {
      const { offsets } = await producer.send({ messages: [{ topic: "orders", value: `${i}` }] })
      expect(offsets![0]!.offset).toBe(BigInt(i))
    }
  })
})
