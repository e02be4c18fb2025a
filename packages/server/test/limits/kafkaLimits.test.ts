import type { Limits } from "@logbrook/core/Limits"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { SyncGroup } from "@logbrook/protocols/kafka/messages/14_SyncGroup"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { afterEach, describe, expect, it } from "vitest"
import { batchOf, startKit, until, type Kit, type RawClient } from "../kafka/kit.ts"
import { fetchOf, only, produceOf } from "../kafka/requests.ts"

// Each limit by its name, set to another value than the default, over real sockets.

let kit: Kit

const start = async (limits: Partial<Limits>): Promise<RawClient> => {
  kit = await startKit({ limits })
  await kit.createStream("orders")
  return kit.connect()
}

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const produced = async (client: RawClient, stream: string, records: Uint8Array): Promise<number> => {
  const { responses } = await client.send(Produce, 9, produceOf(stream, records))
  return responses[0]!.partitionResponses[0]!.errorCode
}

/** A Metadata request of so many bytes, without the prefix. */
const metadataOf = (client: RawClient, bytes: number): Buffer => {
  const least = client.requestOf(Metadata, 1, { topics: [{ name: "" }] }).length - 4
  const names: Array<{ name: string }> = []
  for (let left = bytes - least; left >= 0; left -= 202) names.push({ name: "x".repeat(Math.min(200, left)) })
  const request = client.requestOf(Metadata, 1, { topics: names })
  expect(Math.abs(request.length - 4 - bytes)).toBeLessThan(210)
  return request
}

const topicOf = (name: string, value: string) => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [{ name: "max.message.bytes", value }]
})

const joinOf = (memberId: string, metadataBytes: number, sessionTimeoutMs: number) => ({
  groupId: "g",
  sessionTimeoutMs,
  rebalanceTimeoutMs: 1000,
  memberId,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: Buffer.alloc(metadataBytes) }]
})

const sync = async (client: RawClient, generationId: number, memberId: string, bytes: number) => {
  const assignments = [{ memberId, assignment: Buffer.alloc(bytes) }]
  const answer = await client.send(SyncGroup, 3, { groupId: "g", generationId, memberId, assignments })
  return answer.errorCode
}

const join = async (client: RawClient, metadataBytes: number, sessionTimeoutMs = 10_000) => {
  const first = await client.send(JoinGroup, 5, joinOf("", metadataBytes, sessionTimeoutMs))
  if (first.errorCode !== KafkaError.MEMBER_ID_REQUIRED) return first
  return client.send(JoinGroup, 5, joinOf(first.memberId, metadataBytes, sessionTimeoutMs))
}

describe("before the first valid request", () => {
  it("preAuthFrameBytesMax: a first request over it is closed on, once it is known by its first bytes", async () => {
    const client = await start({ preAuthFrameBytesMax: 1000 })
    client.write(metadataOf(client, 2000).subarray(0, 10))
    await client.closed()
    expect(client.responses).toHaveLength(0)
    expect(kit.lines.map(({ fields }) => fields["reason"])).toEqual([expect.stringContaining("1000 are allowed")])
  })

  it("preAuthFrameBytesMax: is for the first request only", async () => {
    const client = await start({ preAuthFrameBytesMax: 1000 })
    await client.send(ApiVersions, 0, {})
    client.write(metadataOf(client, 2000))
    await until(() => client.responses.length === 2)
  })

  it("preAuthFrameBytesMax: a producer that goes on after a lost connection may begin with what it has", async () => {
    const client = await start({ preAuthFrameBytesMax: 1000 })
    const request = client.requestOf(Produce, 9, produceOf("orders", batchOf(["x".repeat(5000)])))
    for (const byte of request.subarray(0, 7)) {
      client.write(Buffer.of(byte))
      await pause(1)
    }
    client.write(request.subarray(7))
    await until(() => client.responses.length === 1)
  })

  it("preAuthConnectionsMax: counts who has sent no request yet", async () => {
    const client = await start({ preAuthConnectionsMax: 1 })
    await until(() => kit.broker.gate.open === 1)
    await (await kit.connect()).closed()
    await client.send(ApiVersions, 0, {})
    const next = await kit.connect()
    expect((await next.send(ApiVersions, 0, {})).errorCode).toBe(0)
  })

  it("connectTimeoutMs: who sends no request, or half of one, is closed on; who has sent one may idle", async () => {
    const silent = await start({ connectTimeoutMs: 300 })
    const [half, idle] = [await kit.connect(), await kit.connect()]
    await idle.send(ApiVersions, 0, {})
    half.write(half.requestOf(ApiVersions, 0, {}).subarray(0, 9))
    await Promise.all([silent.closed(), half.closed()])
    expect((await idle.send(ApiVersions, 0, {})).errorCode).toBe(0)
  })
})

describe("requests", () => {
  it("kafkaPipelinedRequestsMax: so many are begun, the others wait", async () => {
    const client = await start({ kafkaPipelinedRequestsMax: 2 })
    const { nextSeq } = kit.shard
    const wait = client.requestOf(Fetch, 11, fetchOf("orders", { maxWaitMs: 1500, minBytes: 100_000 }))
    const produce = Array.from({ length: 5 }, () => client.requestOf(Produce, 9, produceOf("orders", batchOf(["a"]))))
    client.write(Buffer.concat([wait, ...produce]))
    await pause(200)
    // Behind the fetch that waits, one.
    expect(kit.shard.nextSeq - nextSeq).toBe(1)
    await until(() => client.responses.length === 6)
  })

  it("kafkaFetchSessionsMax: so many clients have fetch sessions, one more is answered in full", async () => {
    const client = await start({ kafkaFetchSessionsMax: 1 })
    const opening = { ...fetchOf("orders"), sessionEpoch: 0 }
    const { sessionId } = await client.send(Fetch, 11, opening)
    expect(sessionId).not.toBe(0)
    const other = await client.send(Fetch, 11, opening)
    expect([other.errorCode, other.sessionId, other.responses.length]).toEqual([0, 0, 1])
    await client.send(Fetch, 11, { ...opening, sessionId, sessionEpoch: -1 })
    expect((await client.send(Fetch, 11, opening)).sessionId).not.toBe(0)
  })

  it("kafkaRequestBytesMax: a request of so many bytes is served, one more closes", async () => {
    const records = batchOf(["x".repeat(3000)])
    const probe = await start({})
    const bytes = probe.requestOf(Produce, 9, produceOf("orders", records)).length - 4
    await kit.close()
    const client = await start({ kafkaRequestBytesMax: bytes })
    expect(await produced(client, "orders", records)).toBe(0)
    client.write(client.requestOf(Produce, 9, produceOf("orders", batchOf(["x".repeat(3001)]))))
    await client.closed()
    expect(client.responses).toHaveLength(1)
  })
})

describe("record batches", () => {
  const large = batchOf(["x".repeat(1_500_000)])

  it("recordBatchBytesMax: raised, larger batches are stored and read", async () => {
    const client = await start({ recordBatchBytesMax: 2_000_000 })
    expect(await produced(client, "orders", large)).toBe(0)
    const { records } = only(await client.send(Fetch, 11, fetchOf("orders")))
    expect(records).toHaveLength(large.length)
    const over = batchOf(["x".repeat(1_999_999)])
    expect(await produced(client, "orders", over)).toBe(KafkaError.MESSAGE_TOO_LARGE)
  })

  it("recordBatchBytesMax: bounds max.message.bytes of a stream, and is its default", async () => {
    const client = await start({ recordBatchBytesMax: 2_000_000 })
    const plain = { ...topicOf("plain", ""), configs: [] }
    const topics = [topicOf("small", "1400000"), topicOf("most", "2000000"), topicOf("over", "2000001"), plain]
    const answer = await client.send(CreateTopics, 5, { topics, timeoutMs: 1000 })
    const made = new Map(answer.topics.map((topic) => [topic.name, topic]))
    expect(topics.map(({ name }) => made.get(name)!.errorCode)).toEqual([0, 0, KafkaError.INVALID_CONFIG, 0])
    const shown = made.get("plain")!.configs!.find(({ name }) => name === "max.message.bytes")
    expect(shown?.value).toBe("2000000")
    expect(await produced(client, "small", large)).toBe(KafkaError.MESSAGE_TOO_LARGE)
    expect(await produced(client, "most", large)).toBe(0)
  })

  it("recordBatchBytesMax: lowered, it bounds streams that were made before", async () => {
    const client = await start({ recordBatchBytesMax: 1000 })
    expect(await produced(client, "orders", batchOf(["x".repeat(1000)]))).toBe(KafkaError.MESSAGE_TOO_LARGE)
    expect(await produced(client, "orders", batchOf(["x".repeat(800)]))).toBe(0)
  })
})

it("topicLevelsMax: bounds the level that a stream's key is taken from", async () => {
  await start({ topicLevelsMax: 40 })
  const { shard } = kit
  const create = (level: number) =>
    kit.ask("catalog/0", {
      _tag: "CreateStream",
      name: `level-${level}`,
      topicId: Buffer.alloc(16, level).toString("base64url"),
      filters: ["#"],
      partitions: 1,
      key: `topic[${level}]`,
      config: [],
      validateOnly: false
    })
  await create(40)
  await expect(create(41)).rejects.toThrow("1 to 40")
  expect(shard.isPoisoned).toBe(false)
})

describe("groups", () => {
  it("groupMetadataBytesMax: bounds what a member says of itself, and what it is assigned", async () => {
    const client = await start({ groupMetadataBytesMax: 100 })
    expect((await join(client, 101)).errorCode).toBe(KafkaError.GROUP_MAX_SIZE_REACHED)
    const first = await join(client, 100)
    expect(first.errorCode).toBe(0)
    const over = await sync(client, first.generationId, first.memberId, 101)
    expect(over).toBe(KafkaError.GROUP_MAX_SIZE_REACHED)
    const second = await join(client, 100)
    expect(await sync(client, second.generationId, second.memberId, 100)).toBe(0)
  })

  it("groupBytesMax: bounds what a whole group takes", async () => {
    const client = await start({ groupBytesMax: 8000 })
    expect((await join(client, 8000)).errorCode).toBe(KafkaError.GROUP_MAX_SIZE_REACHED)
    const { errorCode, generationId, memberId } = await join(client, 3000)
    expect(errorCode).toBe(0)
    expect(await sync(client, generationId, memberId, 100)).toBe(0)
    const topics = [
      { name: "orders", partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: "x".repeat(3000) }] }
    ]
    const request = { groupId: "g", generationIdOrMemberEpoch: generationId, memberId, topics }
    const answer = await client.send(OffsetCommit, 7, request)
    expect(answer.topics[0]!.partitions[0]!.errorCode).toBe(KafkaError.INVALID_COMMIT_OFFSET_SIZE)
  })

  it("groupSessionTimeoutMsMin and groupSessionTimeoutMsMax: bound what a member may ask for", async () => {
    const client = await start({ groupSessionTimeoutMsMin: 200, groupSessionTimeoutMsMax: 500 })
    expect((await join(client, 1, 199)).errorCode).toBe(KafkaError.INVALID_SESSION_TIMEOUT)
    expect((await join(client, 1, 501)).errorCode).toBe(KafkaError.INVALID_SESSION_TIMEOUT)
    expect((await join(client, 1, 500)).errorCode).toBe(0)
  })

  it("a member is gone after its session timeout without a heartbeat, and not before", async () => {
    const client = await start({ groupSessionTimeoutMsMin: 200 })
    const { generationId, memberId } = await join(client, 1, 600)
    expect(await sync(client, generationId, memberId, 1)).toBe(0)
    const heartbeat = async () => (await client.send(Heartbeat, 3, { groupId: "g", generationId, memberId })).errorCode
    for (let i = 0; i < 4; i++) {
      await pause(250)
      expect(await heartbeat()).toBe(0)
    }
    await pause(900)
    expect(await heartbeat()).toBe(KafkaError.UNKNOWN_MEMBER_ID)
  })

  it("groupOffsetsMax and groupOffsetMetadataLengthMax: bound what a group commits", async () => {
    const client = await start({ groupOffsetsMax: 2, groupOffsetMetadataLengthMax: 4 })
    await kit.createStream("wide", { partitions: 3 })
    const commit = async (partitionIndex: number, committedMetadata: string) => {
      const partitions = [{ partitionIndex, committedOffset: 1, committedMetadata }]
      const request = {
        groupId: "g",
        generationIdOrMemberEpoch: -1,
        memberId: "",
        topics: [{ name: "wide", partitions }]
      }
      const { topics } = await client.send(OffsetCommit, 7, request)
      return topics[0]!.partitions[0]!.errorCode
    }
    expect(await commit(0, "12345")).toBe(KafkaError.OFFSET_METADATA_TOO_LARGE)
    expect(await commit(0, "1234")).toBe(0)
    expect(await commit(1, "")).toBe(0)
    expect(await commit(2, "")).toBe(KafkaError.INVALID_COMMIT_OFFSET_SIZE)
    expect(await commit(0, "")).toBe(0)
  })
})
