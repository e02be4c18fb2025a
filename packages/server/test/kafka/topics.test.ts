import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { DeleteRecords } from "@logbrook/protocols/kafka/messages/21_DeleteRecords"
import { OffsetForLeaderEpoch } from "@logbrook/protocols/kafka/messages/23_OffsetForLeaderEpoch"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Retention } from "../../src/Retention.ts"
import { batchOf, startKit, startMs, type Kit, type RawClient } from "./kit.ts"
import { produceOf } from "./requests.ts"

let kit: Kit
let client: RawClient
let journal: MemoryJournal

beforeEach(async () => {
  journal = new MemoryJournal(systemClock)
  kit = await startKit({ journal })
  client = await kit.connect()
})

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
})

const named = (name: string) => ({ topicId: zeroUuid, name })

describe("Metadata", () => {
  it("names this node, all topics for null, none for an empty list (traps 14, 15)", async () => {
    const { topicId } = await kit.createStream("orders", { partitions: 2 })
    for (let version = 0; version <= 13; version++) {
      const all = await client.send(Metadata, version, { topics: version === 0 ? [] : null })
      expect(all.brokers).toEqual([{ nodeId: 1, host: "127.0.0.1", port: kit.listener.port, rack: null }])
      expect(all.controllerId).toBe(version === 0 ? -1 : 1)
      expect(all.clusterId).toBe(version < 2 ? null : "test-cluster")
      expect(all.topics.map(({ name, topicId: id }) => [name, id])).toEqual([
        ["orders", version < 10 ? zeroUuid : topicId]
      ])
      const { partitions, topicAuthorizedOperations } = all.topics[0]!
      expect(topicAuthorizedOperations).toBe(-0x8000_0000)
      expect(partitions.map((p) => [p.partitionIndex, p.leaderId, p.leaderEpoch, p.isrNodes])).toEqual(
        [0, 1].map((p) => [p, 1, version < 7 ? -1 : kit.shard.epoch, [1]])
      )
      if (version > 0) expect((await client.send(Metadata, version, { topics: [] })).topics).toEqual([])
    }
  })

  it("tells an error for each topic that is not there, and creates none (traps 16, 18)", async () => {
    const topics = [named("nowhere"), named("a/b"), named(".."), named("__consumer_offsets"), named("a\0b")]
    const answer = await client.send(Metadata, 12, {
      topics: [...topics, { topicId: "AAAAAAAAAAAAAAAAAAAAAQ", name: null }],
      allowAutoTopicCreation: true
    })
    expect(answer.topics.map(({ errorCode, name }) => [errorCode, name])).toEqual([
      [3, "nowhere"],
      [17, "a/b"],
      [17, ".."],
      [3, "__consumer_offsets"],
      [17, "a\0b"],
      [100, null]
    ])
    expect(kit.broker.directory.all().size).toBe(0)
  })

  it("refuses ids before v12, which has no way to answer them", async () => {
    for (const version of [10, 11]) {
      const { topics } = await client.send(Metadata, version, {
        topics: [{ topicId: "AAAAAAAAAAAAAAAAAAAAAQ", name: null }]
      })
      expect(topics.map(({ errorCode, name }) => [errorCode, name])).toEqual([[KafkaError.INVALID_REQUEST, ""]])
    }
  })

  it("tells a topic once, however often and by whatever it is named", async () => {
    const { topicId } = await kit.createStream("orders")
    const topics = [named("orders"), named("nowhere"), { topicId, name: null }, named("orders"), named("nowhere")]
    const answer = await client.send(Metadata, 12, { topics })
    expect(answer.topics.map(({ errorCode, name }) => [errorCode, name])).toEqual([
      [0, "orders"],
      [3, "nowhere"]
    ])
    const old = await client.send(Metadata, 0, { topics: [named("orders"), named("orders")] })
    expect(old.topics.map(({ name }) => name)).toEqual(["orders"])
  })

  it("tells those who ask what they may do: all, but for writing to a bound stream", async () => {
    await kit.createStream("orders")
    await kit.createStream("sensors", { filters: ["s/#"] })
    const asking = { includeTopicAuthorizedOperations: true, includeClusterAuthorizedOperations: true }
    const notAsked = -0x8000_0000
    for (let version = 8; version <= 13; version++) {
      const all = await client.send(Metadata, version, { topics: null, ...asking })
      expect(all.topics.map(({ topicAuthorizedOperations }) => topicAuthorizedOperations)).toEqual([3576, 3560])
      expect(all.clusterAuthorizedOperations).toBe(version <= 10 ? 8096 : notAsked)
      const plain = await client.send(Metadata, version, { topics: null })
      expect(plain.topics.map(({ topicAuthorizedOperations }) => topicAuthorizedOperations)).toEqual([
        notAsked,
        notAsked
      ])
      expect(plain.clusterAuthorizedOperations).toBe(notAsked)
    }
  })

  it("finds a topic by its id with a null name", async () => {
    const { topicId } = await kit.createStream("orders")
    const { topics } = await client.send(Metadata, 12, { topics: [{ topicId, name: null }] })
    expect(topics.map(({ errorCode, name }) => [errorCode, name])).toEqual([[0, "orders"]])
  })

  it("tells what is advertised", async () => {
    const other = await startKit({ advertised: { host: "logs.example", port: 19092 } })
    const { brokers } = await (await other.connect()).send(Metadata, 1, { topics: null })
    expect(brokers[0]).toMatchObject({ host: "logs.example", port: 19092 })
    await other.close()
    const wild = await startKit({ advertised: { host: "0.0.0.0", port: 0 } })
    const { brokers: own } = await (await wild.connect()).send(Metadata, 1, { topics: null })
    expect(own[0]).toMatchObject({ host: "127.0.0.1", port: wild.listener.port })
    await wild.close()
  })
})

const topicOf = (name: string, more: object = {}) => ({
  name,
  numPartitions: -1,
  replicationFactor: -1,
  assignments: [],
  configs: [],
  ...more
})

const create = async (topic: ReturnType<typeof topicOf>, version = 7, validateOnly = false) => {
  const { topics } = await client.send(CreateTopics, version, { topics: [topic], validateOnly })
  return topics[0]!
}

const on = (...nodes: ReadonlyArray<ReadonlyArray<number>>) =>
  nodes.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))

describe("CreateTopics", () => {
  it("creates in every version, with what it has become", async () => {
    for (let version = 2; version <= 7; version++) {
      const configs = [{ name: "retention.ms", value: "1000" }]
      const created = await create(topicOf(`t${version}`, { numPartitions: 3, replicationFactor: 1, configs }), version)
      const stream = kit.broker.directory.byName(`t${version}`)!
      expect([created.errorCode, stream.logIds.length, stream.config.get("retention.ms")]).toEqual([0, 3, "1000"])
      if (version < 5) continue
      expect([created.numPartitions, created.replicationFactor]).toEqual([3, 1])
      const sources = created.configs!.map(({ name, value, configSource }) => [name, value, configSource])
      expect(sources).toContainEqual(["retention.ms", "1000", 1])
      expect(sources).toContainEqual(["cleanup.policy", "delete", 5])
      if (version === 7) expect(created.topicId).toBe(stream.topicId)
    }
  })

  it("checks only, when asked to", async () => {
    const seq = kit.shard.nextSeq
    const checked = await create(topicOf("orders", { numPartitions: 5 }), 7, true)
    expect([checked.errorCode, checked.numPartitions]).toEqual([0, 5])
    expect((await create(topicOf("..", { numPartitions: 5 }), 7, true)).errorCode).toBe(17)
    expect(kit.shard.nextSeq).toBe(seq)
  })

  it("takes assignments that fit one node", async () => {
    const created = await create(topicOf("orders", { assignments: on([1], [1]) }))
    expect([created.errorCode, created.numPartitions]).toEqual([0, 2])
    const refused = KafkaError.INVALID_REPLICA_ASSIGNMENT
    expect((await create(topicOf("a", { assignments: on([2]) }))).errorCode).toBe(refused)
    expect((await create(topicOf("a", { assignments: on([1, 1]) }))).errorCode).toBe(refused)
    const gap = [{ partitionIndex: 1, brokerIds: [1] }]
    expect((await create(topicOf("a", { assignments: gap }))).errorCode).toBe(refused)
    const both = topicOf("a", { assignments: on([1]), numPartitions: 1 })
    expect((await create(both)).errorCode).toBe(KafkaError.INVALID_REQUEST)
  })

  it("refuses names that differ in dots and underscores only, in one request too", async () => {
    await kit.createStream("plant_line", { filters: ["a/#"] })
    const refusal = await create(topicOf("plant.line"))
    expect(refusal.errorCode).toBe(KafkaError.INVALID_TOPIC_EXCEPTION)
    expect(refusal.errorMessage).toBe(`"plant.line" and the stream "plant_line" differ in '.' and '_' only`)
    const { topics } = await client.send(CreateTopics, 7, { topics: [topicOf("x.y"), topicOf("x_y")] })
    expect(topics.map(({ errorCode }) => errorCode)).toEqual([0, KafkaError.INVALID_TOPIC_EXCEPTION])
  })

  it("takes settings of Kafka's own storage, and keeps them", async () => {
    const configs = [
      { name: "segment.bytes", value: "52428800" },
      { name: "min.insync.replicas", value: "1" }
    ]
    const created = await create(topicOf("app-repartition", { configs }))
    expect(created.errorCode).toBe(0)
    const shown = created.configs!.map(({ name, value }) => `${name}=${value}`)
    expect(shown).toContain("segment.bytes=52428800")
    expect(shown.some((setting) => setting.startsWith("segment.ms"))).toBe(false)
  })

  it("refuses a setting in fewer bytes than it may have", async () => {
    const long = "x".repeat(32_000)
    for (const setting of [
      { name: long, value: "1" },
      { name: "retention.ms", value: long }
    ]) {
      const { errorCode, errorMessage } = await create(topicOf("a", { configs: [setting] }))
      expect(errorCode).toBe(KafkaError.INVALID_CONFIG)
      expect(errorMessage!.length).toBeLessThan(300)
    }
  })

  it.each<[string, object, number]>([
    ["a/b", {}, KafkaError.INVALID_TOPIC_EXCEPTION],
    ["a\0b", {}, KafkaError.INVALID_TOPIC_EXCEPTION],
    ["__proto__", {}, KafkaError.INVALID_TOPIC_EXCEPTION],
    ["x".repeat(250), {}, KafkaError.INVALID_TOPIC_EXCEPTION],
    ["a", { numPartitions: 1_000_000 }, KafkaError.INVALID_PARTITIONS],
    ["a", { numPartitions: 0 }, KafkaError.INVALID_PARTITIONS],
    ["a", { numPartitions: -2 }, KafkaError.INVALID_PARTITIONS],
    ["a", { replicationFactor: 3 }, KafkaError.INVALID_REPLICATION_FACTOR],
    ["a", { replicationFactor: 0 }, KafkaError.INVALID_REPLICATION_FACTOR],
    ["a", { configs: [{ name: "retention.ms", value: null }] }, KafkaError.INVALID_CONFIG],
    ["a", { configs: [{ name: "retention.ms", value: "soon" }] }, KafkaError.INVALID_CONFIG],
    ["a", { configs: [{ name: "min.insync.replicas", value: "0" }] }, KafkaError.INVALID_CONFIG],
    ["a", { configs: [{ name: "compression.type", value: "none" }] }, KafkaError.INVALID_CONFIG],
    ["a", { configs: [{ name: "__proto__", value: "1" }] }, KafkaError.INVALID_CONFIG]
  ])("refuses %j with %j", async (name, more, errorCode) => {
    const seq = kit.shard.nextSeq
    expect((await create(topicOf(name, more))).errorCode).toBe(errorCode)
    expect(kit.shard.nextSeq).toBe(seq)
  })

  it("refuses what exists, what comes twice, and all while the disk is low", async () => {
    await create(topicOf("orders"))
    expect((await create(topicOf("orders"))).errorCode).toBe(KafkaError.TOPIC_ALREADY_EXISTS)
    const { topics } = await client.send(CreateTopics, 7, { topics: [topicOf("a"), topicOf("a"), topicOf("b")] })
    const codes = topics.map(({ name, errorCode }) => `${name} ${errorCode}`).sort()
    expect(codes).toEqual([`a ${KafkaError.INVALID_REQUEST}`, "b 0"])
    kit.disk.isLow = true
    expect((await create(topicOf("c"))).errorCode).toBe(KafkaError.KAFKA_STORAGE_ERROR)
  })
})

it("CreateTopics makes a stream without a key of its own: producers give the keys", async () => {
  await create(topicOf("orders"))
  expect(kit.broker.directory.byName("orders")!.key).toBe("none")
})

it("CreateTopics takes as many topics as there can be streams", async () => {
  await kit.close()
  kit = await startKit({ limits: { streamsMax: 2 } })
  client = await kit.connect()
  const topics = ["a", "b", "c"].map((name) => topicOf(name))
  const answer = await client.send(CreateTopics, 7, { topics })
  expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
    ["a", 0],
    ["b", 0]
  ])
  await client.closed()
})

describe("DeleteTopics", () => {
  it("deletes by name in every version, by id from v6 on, while the disk is low too", async () => {
    kit.disk.isLow = true
    for (let version = 1; version <= 6; version++) {
      const { topicId } = await kit.createStream("orders")
      const asked = version === 6 ? { topics: [{ name: null, topicId }] } : { topicNames: ["orders"] }
      const { responses } = await client.send(DeleteTopics, version, { ...asked, timeoutMs: 1000 })
      expect(responses[0]).toMatchObject({ name: "orders", errorCode: 0 })
      expect(kit.broker.directory.byName("orders")).toBeUndefined()
    }
  })

  it("knows what is not there", async () => {
    const topics = [
      { name: "nowhere", topicId: zeroUuid },
      { name: null, topicId: "AAAAAAAAAAAAAAAAAAAAAQ" }
    ]
    const { responses } = await client.send(DeleteTopics, 6, { topics, timeoutMs: 1000 })
    expect(responses.map(({ errorCode }) => errorCode)).toEqual([3, 100])
  })

  it("leaves a stream alone that is named twice, by name or by id", async () => {
    const { topicId } = await kit.createStream("orders")
    const other = { name: "other", topicId: zeroUuid }
    const byName = { name: "orders", topicId: zeroUuid }
    const byId = { name: null, topicId }
    for (const [one, again] of [
      [byName, byName],
      [byName, byId],
      [byId, byId]
    ]) {
      await kit.createStream("other")
      const { responses } = await client.send(DeleteTopics, 6, { topics: [one!, other, again!], timeoutMs: 1000 })
      expect(responses.map(({ errorCode, name }) => [errorCode, name])).toEqual([
        [KafkaError.INVALID_REQUEST, one!.name],
        [0, "other"]
      ])
    }
    const { responses } = await client.send(DeleteTopics, 1, { topicNames: ["orders", "orders"], timeoutMs: 1000 })
    expect(responses.map(({ errorCode }) => errorCode)).toEqual([KafkaError.INVALID_REQUEST])
    expect([...kit.broker.directory.all().keys()]).toEqual(["orders"])
  })

  it("gives a new id to the same name, and an empty log", async () => {
    const before = await kit.createStream("orders")
    await client.send(Produce, 9, produceOf("orders", batchOf(["a"])))
    await client.send(DeleteTopics, 1, { topicNames: ["orders"], timeoutMs: 1000 })
    const after = await kit.createStream("orders")
    expect(after.topicId).not.toBe(before.topicId)
    expect(kit.shard.logs.log(after.logIds[0]!).highWatermark).toBe(0)
  })
})

const list = async (timestamp: number, version = 9, currentLeaderEpoch = -1, isolationLevel = 0) => {
  const { topics } = await client.send(ListOffsets, version, {
    replicaId: -1,
    isolationLevel,
    topics: [{ name: "orders", partitions: [{ partitionIndex: 0, currentLeaderEpoch, timestamp }] }]
  })
  const { errorCode, offset, timestamp: foundAtMs } = topics[0]!.partitions[0]!
  return [errorCode, offset, foundAtMs]
}

const at = (value: string, ms: number) => ({ value, timestampMs: startMs + ms })

describe("retention.ms", () => {
  it("counts from when they were written for records without times", async () => {
    await kit.createStream("orders", { config: [["retention.ms", "1000"]] })
    const { logs } = kit.shard
    const log = logs.log(kit.broker.directory.byName("orders")!.logIds[0]!)
    const retention = new Retention(kit.broker)
    const produceAt = async (timestampMs: number) => {
      await client.send(Produce, 9, produceOf("orders", batchOf([{ value: "a", timestampMs }])))
      retention.look()
    }
    await produceAt(-1)
    expect(log.startOffset).toBe(0)
    const startAfterLooks = () => {
      for (let i = 0; i < 50; i++) retention.look()
      return log.startOffset
    }
    await expect.poll(startAfterLooks).toBe(1)
    await produceAt(Date.now() + 3_600_000)
    await produceAt(-1)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect([startAfterLooks(), log.highWatermark]).toEqual([1, 3])
  })
})

interface End {
  readonly partitionIndex: number
  readonly timestamp: number
}

describe("ListOffsets (traps 29, 30)", () => {
  beforeEach(async () => {
    await kit.createStream("orders")
    await client.send(Produce, 9, produceOf("orders", batchOf([at("a", 0), at("b", 10), at("c", 5)])))
    await client.send(Produce, 9, produceOf("orders", batchOf([at("d", 7)])))
  })

  it("tells the ends, times, and the largest timestamp", async () => {
    for (let version = 1; version <= 11; version++) {
      expect(await list(-1, version)).toEqual([0, 4, -1])
      expect(await list(-2, version)).toEqual([0, 0, -1])
      expect(await list(startMs + 1, version)).toEqual([0, 1, startMs + 10])
      expect(await list(startMs + 11, version)).toEqual([0, -1, -1])
      expect(await list(-3, version)).toEqual(version >= 7 ? [0, 1, startMs + 10] : [35, -1, -1])
      expect(await list(-4, version)).toEqual(version >= 8 ? [0, 0, -1] : [35, -1, -1])
      expect(await list(-5, version)).toEqual(version >= 9 ? [0, -1, -1] : [35, -1, -1])
      expect(await list(-6, version)).toEqual(version >= 11 ? [0, -1, -1] : [35, -1, -1])
      expect(await list(-7, version)).toEqual([35, -1, -1])
      expect(await list(Number.MIN_SAFE_INTEGER, version)).toEqual([35, -1, -1])
      expect(await list(Number.MAX_SAFE_INTEGER, version)).toEqual([0, -1, -1])
    }
    expect(await list(-1, 9, -1, 1)).toEqual([0, 4, -1])
  })

  it("refuses a partition that is asked for twice, and answers it once", async () => {
    const [first, seventh] = [0, 7].map((partitionIndex) => ({ partitionIndex, timestamp: -1 })) as [End, End]
    const topics = [
      { name: "orders", partitions: [first, seventh] },
      { name: "nowhere", partitions: [first, first] },
      { name: "orders", partitions: [{ ...first, timestamp: -2 }] }
    ]
    for (let version = 1; version <= 11; version++) {
      const answer = await client.send(ListOffsets, version, { replicaId: -1, topics })
      const told = answer.topics.map(({ name, partitions }) => [
        name,
        ...partitions.map(({ partitionIndex, errorCode, offset }) => [partitionIndex, errorCode, offset])
      ])
      expect(told).toEqual([
        ["orders", [0, KafkaError.INVALID_REQUEST, -1], [7, KafkaError.UNKNOWN_TOPIC_OR_PARTITION, -1]],
        ["nowhere", [0, KafkaError.INVALID_REQUEST, -1]]
      ])
    }
  })

  it("checks the leader epoch, topic and partition", async () => {
    const { epoch } = kit.shard
    expect(await list(-1, 9, epoch)).toEqual([0, 4, -1])
    expect(await list(-1, 9, epoch - 1)).toEqual([KafkaError.FENCED_LEADER_EPOCH, -1, -1])
    expect(await list(-1, 9, epoch + 1)).toEqual([KafkaError.UNKNOWN_LEADER_EPOCH, -1, -1])
    const topics = ["orders", "nowhere"].map((name) => ({
      name,
      partitions: [{ partitionIndex: name === "orders" ? 7 : 0, timestamp: -1 }]
    }))
    const answer = await client.send(ListOffsets, 5, { replicaId: -1, topics })
    expect(answer.topics.map(({ partitions }) => partitions[0]!.errorCode)).toEqual([3, 3])
  })
})

const endOf = async (from: RawClient, leaderEpoch: number, currentLeaderEpoch = -1) => {
  const answers: Array<ReadonlyArray<number>> = []
  for (let version = 2; version <= 4; version++) {
    const partitions = [{ partition: 0, currentLeaderEpoch, leaderEpoch }]
    const { topics } = await from.send(OffsetForLeaderEpoch, version, { topics: [{ topic: "orders", partitions }] })
    const { errorCode, leaderEpoch: epoch, endOffset } = topics[0]!.partitions[0]!
    answers.push([errorCode, epoch, endOffset])
  }
  expect(answers[1]).toEqual(answers[0])
  expect(answers[2]).toEqual(answers[0])
  return answers[0]
}

describe("OffsetForLeaderEpoch (traps 19, 20)", () => {
  it("tells where each epoch ended, over restarts", async () => {
    await kit.createStream("orders")
    const first = kit.shard.epoch
    await client.send(Produce, 9, produceOf("orders", batchOf(["a", "b"])))
    expect(await endOf(client, first)).toEqual([0, first, 2])
    await kit.close()
    // In the second epoch nothing is written.
    const second = await startKit({ journal })
    await second.close()
    kit = await startKit({ journal })
    client = await kit.connect()
    const third = kit.shard.epoch
    expect(third).toBe(first + 2)
    expect(await endOf(client, first)).toEqual([0, first, 2])
    await client.send(Produce, 9, produceOf("orders", batchOf(["c"])))
    expect(await endOf(client, first)).toEqual([0, first, 2])
    expect(await endOf(client, first + 1)).toEqual([0, first, 2])
    expect(await endOf(client, third)).toEqual([0, third, 3])
    expect(await endOf(client, third + 1)).toEqual([0, -1, -1])
    expect(await endOf(client, first - 1)).toEqual([0, first - 1, 0])
    expect(await endOf(client, third, first)).toEqual([KafkaError.FENCED_LEADER_EPOCH, -1, -1])
    expect(await endOf(client, third, third + 1)).toEqual([KafkaError.UNKNOWN_LEADER_EPOCH, -1, -1])
  })

  it("knows no other topics", async () => {
    expect((await endOf(client, 1))![0]).toBe(3)
  })
})

const deleted = async (version: number, ...asked: ReadonlyArray<readonly [string, number, number]>) => {
  const topics = asked.map(([name, partitionIndex, offset]) => ({ name, partitions: [{ partitionIndex, offset }] }))
  const answer = await client.send(DeleteRecords, version, { topics, timeoutMs: 1000 })
  return answer.topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, lowWatermark, errorCode }) => [name, partitionIndex, lowWatermark, errorCode])
  )
}

const produceThree = async (name: string, index = 0) => {
  const batch = batchOf([
    { key: "a", value: "1" },
    { key: "a", value: "2" },
    { key: "b", value: "3" }
  ])
  await client.send(Produce, 9, produceOf(name, batch, { index }))
}

describe("DeleteRecords", () => {
  it("moves the log start, up to the high watermark, and never back", async () => {
    const { logIds } = await kit.createStream("orders", { partitions: 2 })
    await produceThree("orders")
    const { logs } = kit.shard
    for (const version of [0, 1, 2]) {
      expect(await deleted(version, ["orders", 0, version])).toEqual([["orders", 0, version, 0]])
      expect(logs.log(logIds[0]!).startOffset).toBe(version)
    }
    expect(await deleted(2, ["orders", 0, 1])).toEqual([["orders", 0, 2, 0]])
    expect(await deleted(2, ["orders", 0, -1], ["orders", 1, -1])).toEqual([
      ["orders", 0, 3, 0],
      ["orders", 1, 0, 0]
    ])
    await produceThree("orders")
    expect(await deleted(2, ["orders", 0, 3])).toEqual([["orders", 0, 3, 0]])
  })

  it("tells an error for each partition that is not there, or has not so many records", async () => {
    await kit.createStream("orders")
    await produceThree("orders")
    for (const offset of [4, -2, Number.MAX_SAFE_INTEGER]) {
      expect(await deleted(2, ["orders", 0, offset], ["orders", 1, 0], ["orders", -1, 0], ["nowhere", 0, 0])).toEqual([
        ["orders", 0, -1, KafkaError.OFFSET_OUT_OF_RANGE],
        ["orders", 1, -1, KafkaError.UNKNOWN_TOPIC_OR_PARTITION],
        ["orders", -1, -1, KafkaError.UNKNOWN_TOPIC_OR_PARTITION],
        ["nowhere", 0, -1, KafkaError.UNKNOWN_TOPIC_OR_PARTITION]
      ])
    }
    expect((await client.send(DeleteRecords, 2, { topics: [], timeoutMs: 0 })).topics).toEqual([])
  })

  it("is refused where records go by compaction alone, not where none goes", async () => {
    for (const policy of ["compact", "compact,delete", ""]) {
      const name = `of-${policy.replace(",", "-")}`
      await kit.createStream(name, { config: [["cleanup.policy", policy]] })
      const wanted = policy === "compact" ? [-1, KafkaError.POLICY_VIOLATION] : [0, 0]
      expect(await deleted(2, [name, 0, -1])).toEqual([[name, 0, ...wanted]])
    }
  })

  it("asks a partition once, however often it is named, and takes a thousand at most", async () => {
    await kit.createStream("orders")
    await produceThree("orders")
    expect(await deleted(2, ["orders", 0, 3], ["nowhere", 0, 0], ["orders", 0, 1])).toEqual([
      ["orders", 0, 1, 0],
      ["nowhere", 0, -1, KafkaError.UNKNOWN_TOPIC_OR_PARTITION]
    ])
    const many = Array.from({ length: 1001 }, (_, index) => ["orders", index, -1] as const)
    const answered = await deleted(2, ...many)
    expect([answered.length, answered[0]]).toEqual([1000, ["orders", 0, 3, 0]])
    await client.closed()
  })

  it("leaves a stream alone that is only compacted", async () => {
    await kit.createStream("last", { config: [["cleanup.policy", "compact"]] })
    await kit.createStream("both", { config: [["cleanup.policy", "compact,delete"]] })
    for (const name of ["last", "both"]) await produceThree(name)
    expect(await deleted(2, ["last", 0, 1], ["both", 0, 1])).toEqual([
      ["last", 0, -1, KafkaError.POLICY_VIOLATION],
      ["both", 0, 1, 0]
    ])
  })
})

const produceCode = async (name: string, batch: Uint8Array): Promise<number> => {
  const { responses } = await client.send(Produce, 9, produceOf(name, batch))
  return responses[0]!.partitionResponses[0]!.errorCode
}

describe("a compacted topic", () => {
  it("is created with Kafka's settings, which the answer tells", async () => {
    const configs = [
      { name: "cleanup.policy", value: "compact,delete" },
      { name: "min.compaction.lag.ms", value: "5" }
    ]
    const topic = { name: "last", numPartitions: 1, replicationFactor: 1, assignments: [], configs }
    const { topics } = await client.send(CreateTopics, 7, { topics: [topic], timeoutMs: 0, validateOnly: false })
    const told = new Map(topics[0]!.configs!.map(({ name, value, configSource }) => [name, [value, configSource]]))
    expect(topics[0]!.errorCode).toBe(0)
    expect(told.get("cleanup.policy")).toEqual(["compact,delete", 1])
    expect(told.get("min.compaction.lag.ms")).toEqual(["5", 1])
    expect(told.get("max.compaction.lag.ms")).toEqual(["9223372036854775807", 5])
    expect(told.get("delete.retention.ms")).toEqual(["86400000", 5])
    expect(told.get("min.cleanable.dirty.ratio")).toEqual(["0.5", 5])
  })

  it("takes no record without a key, and nothing of its batch", async () => {
    const { logIds } = await kit.createStream("last", { config: [["cleanup.policy", "compact"]] })
    expect(await produceCode("last", batchOf([{ key: "a", value: "1" }, { value: "2" }]))).toBe(
      KafkaError.INVALID_RECORD
    )
    expect(kit.shard.logs.log(logIds[0]!).highWatermark).toBe(0)
    expect(await produceCode("last", batchOf([{ key: "a", value: "1" }]))).toBe(0)
    expect(await produceCode("last", batchOf([{ key: "", value: "1" }]))).toBe(0)
  })
})
