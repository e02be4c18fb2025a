import { Authorizer } from "@logbrook/core/access/Authorizer"
import type { Rule } from "@logbrook/core/access/Access"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { DescribeConfigs } from "@logbrook/protocols/kafka/messages/32_DescribeConfigs"
import { afterEach, describe, expect, it } from "vitest"
import { newestEvents } from "../support/newestEvents.ts"
import { batchOf, startKit, type Kit, type KitOptions, type RawClient } from "./kit.ts"
import { produceOf } from "./requests.ts"

const askedByMetadata = /^kafka asker@127\.0\.0\.1:\d+ Metadata#\d+$/

const mayNotCreate: Rule = (_principal, operation) =>
  operation === "Create" ? { reason: "BoundStream", text: "not this one" } : undefined

const topicOf = (name: string, numPartitions: number) => ({
  name,
  numPartitions,
  replicationFactor: 1,
  assignments: [],
  configs: []
})

let kit: Kit
let client: RawClient

const start = async (options: KitOptions = {}) => {
  kit = await startKit({ ...options, settings: { autoCreateTopics: true, defaultPartitions: 3, ...options.settings } })
  client = await kit.connect()
}

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
})

const ask = async (names: ReadonlyArray<string>, version = 12, allowAutoTopicCreation = true) => {
  const topics = names.map((name) => ({ name }))
  const answer = await client.send(Metadata, version, { topics, allowAutoTopicCreation }, "asker")
  return answer.topics.map(({ name, errorCode, partitions }) => [name, errorCode, partitions.length])
}

const streams = () => [...kit.broker.directory.all().values()].map(({ name }) => name).sort()

describe("kafka.autoCreateTopics", () => {
  it("creates what is asked for, and answers it once it is durable", async () => {
    await start()
    for (let version = 0; version <= 13; version++) {
      expect(await ask([`made-${version}`], version)).toEqual([[`made-${version}`, 0, 3]])
      expect(await ask([`made-${version}`], version)).toEqual([[`made-${version}`, 0, 3]])
    }
    expect(streams()).toHaveLength(14)
    const { responses } = await client.send(Produce, 9, produceOf("made-0", batchOf(["a"]), { index: 2 }))
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  })

  it("says in the journal who asked", async () => {
    await start()
    await ask(["made"])
    const [event] = newestEvents(kit, { kind: "catalog" }, 1)
    expect(event).toMatchObject({ type: "StreamCreated", cause: { origin: expect.stringMatching(askedByMetadata) } })
  })

  it("creates nothing where the client does not want it, asks for all, or by an id", async () => {
    await start()
    expect(await ask(["made"], 4, false)).toEqual([["made", KafkaError.UNKNOWN_TOPIC_OR_PARTITION, 0]])
    await client.send(Metadata, 12, { topics: null })
    await client.send(Metadata, 12, { topics: [{ topicId: "AAAAAAAAAAAAAAAAAAAAAQ", name: null }] })
    expect(streams()).toEqual([])
  })

  it("creates nothing of its own accord", async () => {
    await start({ settings: { autoCreateTopics: false } })
    expect(await ask(["made"])).toEqual([["made", KafkaError.UNKNOWN_TOPIC_OR_PARTITION, 0]])
    expect(streams()).toEqual([])
  })

  it("takes the names that Kafka takes, each once", async () => {
    await start()
    await kit.createStream("a.b")
    expect(await ask(["made", "a/b", "..", "__consumer_offsets", "a_b", "made", "x".repeat(250), "a.b"])).toEqual([
      ["made", 0, 3],
      ["a/b", KafkaError.INVALID_TOPIC_EXCEPTION, 0],
      ["..", KafkaError.INVALID_TOPIC_EXCEPTION, 0],
      ["__consumer_offsets", KafkaError.UNKNOWN_TOPIC_OR_PARTITION, 0],
      ["a_b", KafkaError.INVALID_TOPIC_EXCEPTION, 0],
      ["x".repeat(250), KafkaError.INVALID_TOPIC_EXCEPTION, 0],
      ["a.b", 0, 1]
    ])
    expect(streams()).toEqual(["a.b", "made"])
  })

  it("creates a topic once that two clients ask for at the same moment", async () => {
    await start()
    const other = await kit.connect()
    const request = { topics: [{ name: "made" }] }
    const answers = await Promise.all([client.send(Metadata, 12, request), other.send(Metadata, 12, request)])
    const [one, two] = answers.map(({ topics }) => [topics[0]!.errorCode, topics[0]!.topicId])
    expect(one![0]).toBe(0)
    expect(two).toEqual(one)
  })

  it("creates no more than limits.streamsMax, and nothing while the disk is low", async () => {
    await start({ limits: { streamsMax: 2 } })
    expect(await ask(["a", "b", "c"])).toEqual([
      ["a", 0, 3],
      ["b", 0, 3],
      ["c", KafkaError.UNKNOWN_TOPIC_OR_PARTITION, 0]
    ])
    await kit.ask("catalog/0", { _tag: "DeleteStream", name: "b" })
    kit.disk.isLow = true
    expect(await ask(["c"])).toEqual([["c", KafkaError.UNKNOWN_TOPIC_OR_PARTITION, 0]])
    kit.disk.isLow = false
    expect(await ask(["c"])).toEqual([["c", 0, 3]])
  })

  it("creates nothing that the client may not create", async () => {
    await start({ authorizer: new Authorizer([mayNotCreate]) })
    expect(await ask(["made"])).toEqual([["made", KafkaError.TOPIC_AUTHORIZATION_FAILED, 0]])
    expect(streams()).toEqual([])
  })
})

describe("kafka.defaultPartitions", () => {
  it("is of topics that are created without a number, and told as Kafka's setting", async () => {
    await start()
    const topics = [topicOf("default", -1), topicOf("two", 2)]
    const created = await client.send(CreateTopics, 7, { topics, timeoutMs: 1000, validateOnly: false })
    expect(created.topics.map(({ numPartitions }) => numPartitions)).toEqual([3, 2])
    const keys = ["num.partitions", "auto.create.topics.enable"]
    const resources = [{ resourceType: 4, resourceName: "1", configurationKeys: keys }]
    const { results } = await client.send(DescribeConfigs, 4, { resources })
    const told = results[0]!.configs.map(({ name, value, configSource }) => [name, value, configSource])
    expect(told.sort()).toEqual([
      ["auto.create.topics.enable", "true", 4],
      ["num.partitions", "3", 4]
    ])
  })
})
