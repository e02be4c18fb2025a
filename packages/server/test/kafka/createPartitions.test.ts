import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { CreatePartitions } from "@logbrook/protocols/kafka/messages/37_CreatePartitions"
import { expect, it } from "vitest"
import { batchOf, type Kit, type RawClient } from "./kit.ts"
import { aKitForEach } from "./aKitForEach.ts"
import { fetchOf, only, produceOf } from "./requests.ts"

let kit: Kit
let client: RawClient

aKitForEach((started, connected) => {
  kit = started
  client = connected
})

const { INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION } = KafkaError

interface Options {
  readonly version?: number
  readonly validateOnly?: boolean
  readonly assignments?: ReadonlyArray<{ readonly brokerIds: ReadonlyArray<number> }> | null
}

const grow = async (
  name: string,
  count: number,
  { version = 3, validateOnly = false, assignments = null }: Options = {}
) => {
  const topics = [{ name, count, assignments }]
  const { results } = await client.send(CreatePartitions, version, { topics, timeoutMs: 1000, validateOnly })
  expect(results.map((each) => each.name)).toEqual([name])
  return results[0]!.errorCode
}

const partitionsOf = async (name: string) => {
  const { topics } = await client.send(Metadata, 12, { topics: [{ topicId: "AAAAAAAAAAAAAAAAAAAAAA", name }] })
  return topics[0]!.partitions.map(({ partitionIndex }) => partitionIndex)
}

it("adds partitions in every version, which take records at once; those that were there stay as they are", async () => {
  await kit.createStream("t")
  await client.send(Produce, 11, produceOf("t", batchOf(["old"])))
  for (let version = 0; version <= 3; version++) {
    expect(await grow("t", version + 2, { version })).toBe(0)
    expect(await partitionsOf("t")).toEqual(Array.from({ length: version + 2 }, (_, i) => i))
  }
  const topicData = [{ name: "t", partitionData: [{ index: 4, records: batchOf(["new"]) }] }]
  const { responses } = await client.send(Produce, 11, { acks: -1, timeoutMs: 1000, topicData, transactionalId: null })
  expect(responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: 0 })
  for (const [partition, highWatermark] of [
    [0, 1],
    [1, 0],
    [4, 1]
  ] as const) {
    const fetched = only(await client.send(Fetch, 12, fetchOf("t", { partition })))
    expect(fetched).toMatchObject({ errorCode: 0, highWatermark })
  }
})

it("adds partitions to a stream that MQTT writes, but not to one of last values", async () => {
  await kit.createStream("bound", { filters: ["a/#"], partitions: 2 })
  await kit.createStream("last", { filters: ["b/#"], partitions: 2, config: [["cleanup.policy", "compact"]] })
  expect(await grow("bound", 3)).toBe(0)
  expect(await grow("last", 3)).toBe(INVALID_PARTITIONS)
  expect([await partitionsOf("bound"), await partitionsOf("last")]).toEqual([
    [0, 1, 2],
    [0, 1]
  ])
})

it("refuses fewer, as many, too many, and topics that are not there", async () => {
  await kit.createStream("t", { partitions: 2 })
  for (const count of [-1, 0, 1, 2, kit.broker.limits.partitionsPerStreamMax + 1]) {
    expect(await grow("t", count)).toBe(INVALID_PARTITIONS)
  }
  expect(await grow("nowhere", 2)).toBe(UNKNOWN_TOPIC_OR_PARTITION)
  expect(await partitionsOf("t")).toEqual([0, 1])
})

it("takes assignments of the new partitions to this node alone", async () => {
  await kit.createStream("t")
  const [here, there, both] = [[1], [2], [1, 2]].map((brokerIds) => ({ brokerIds }))
  expect(await grow("t", 3, { assignments: [here!] })).toBe(INVALID_REPLICA_ASSIGNMENT)
  expect(await grow("t", 3, { assignments: [here!, there!] })).toBe(INVALID_REPLICA_ASSIGNMENT)
  expect(await grow("t", 3, { assignments: [both!, here!] })).toBe(INVALID_REPLICA_ASSIGNMENT)
  expect(await grow("t", 3, { assignments: [here!, here!] })).toBe(0)
  expect(await partitionsOf("t")).toEqual([0, 1, 2])
})

it("changes nothing when it shall only validate", async () => {
  await kit.createStream("t")
  const { nextSeq } = kit.shard
  expect(await grow("t", 3, { validateOnly: true })).toBe(0)
  expect(await grow("t", 1, { validateOnly: true })).toBe(INVALID_PARTITIONS)
  expect(kit.shard.nextSeq).toBe(nextSeq)
})

it("refuses a topic that is named twice, and ends the connection of who names more than 1000", async () => {
  await kit.createStream("t")
  const topic = { name: "t", count: 2, assignments: null }
  const ask = { timeoutMs: 1000, validateOnly: false }
  const { results } = await client.send(CreatePartitions, 3, { topics: [topic, topic], ...ask })
  expect(results.map(({ name, errorCode }) => [name, errorCode])).toEqual([["t", INVALID_REQUEST]])
  const topics = Array.from({ length: 1001 }, (_, i) => ({ ...topic, name: `u${i}` }))
  expect((await client.send(CreatePartitions, 3, { topics, ...ask })).results.length).toBe(1000)
  await client.closed()
})
