import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import { SyncGroup } from "@logbrook/protocols/kafka/messages/14_SyncGroup"
import { DescribeGroups } from "@logbrook/protocols/kafka/messages/15_DescribeGroups"
import { ListGroups } from "@logbrook/protocols/kafka/messages/16_ListGroups"
import { DescribeLogDirs } from "@logbrook/protocols/kafka/messages/35_DescribeLogDirs"
import { ElectLeaders } from "@logbrook/protocols/kafka/messages/43_ElectLeaders"
import { AlterPartitionReassignments } from "@logbrook/protocols/kafka/messages/45_AlterPartitionReassignments"
import { ListPartitionReassignments } from "@logbrook/protocols/kafka/messages/46_ListPartitionReassignments"
import { DescribeQuorum } from "@logbrook/protocols/kafka/messages/55_DescribeQuorum"
import { DescribeCluster } from "@logbrook/protocols/kafka/messages/60_DescribeCluster"
import { DescribeProducers } from "@logbrook/protocols/kafka/messages/61_DescribeProducers"
import { ListConfigResources } from "@logbrook/protocols/kafka/messages/74_ListConfigResources"
import { DescribeTopicPartitions } from "@logbrook/protocols/kafka/messages/75_DescribeTopicPartitions"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import { describe, expect, it } from "vitest"
import { batchOf, startMs, type Kit, type RawClient } from "./kit.ts"
import { aKitForEach } from "./aKitForEach.ts"
import { produceOf } from "./requests.ts"

let kit: Kit
let client: RawClient

aKitForEach((started, connected) => {
  kit = started
  client = connected
})

const notAsked = -0x8000_0000
const metadata = Buffer.from([0, 1, 2, 3])

const joinOf = (groupId: string) => ({
  groupId,
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  memberId: "",
  protocolType: "consumer",
  protocols: [{ name: "range", metadata }]
})

/** A member that has joined and waits for its assignment. */
const join = (groupId: string) => client.send(JoinGroup, 3, joinOf(groupId))

const sync = (groupId: string, memberId: string) =>
  client.send(SyncGroup, 3, {
    groupId,
    generationId: 1,
    memberId,
    assignments: [{ memberId, assignment: Buffer.from("all") }]
  })

/** A group of a simple consumer: offsets and no members. */
const commit = async (groupId: string): Promise<void> => {
  await kit.createStream("orders")
  const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: "" }]
  const { topics } = await client.send(OffsetCommit, 8, {
    groupId,
    memberId: "",
    topics: [{ name: "orders", partitions }]
  })
  expect(topics[0]!.partitions[0]!.errorCode).toBe(0)
}

const describeGroup = async (groupId: string, version = 6) => {
  const { groups } = await client.send(DescribeGroups, version, { groups: [groupId] })
  expect(groups.length).toBe(1)
  return groups[0]!
}

describe("DescribeGroups", () => {
  it("shows members; their metadata and assignments once the group is stable, in every version", async () => {
    const { memberId } = await join("g")
    const member = { memberId, groupInstanceId: null, clientId: "raw", clientHost: "/127.0.0.1" }
    const none = Buffer.alloc(0)
    const waiting = await describeGroup("g")
    expect(waiting).toMatchObject({ errorCode: 0, groupState: "CompletingRebalance", protocolType: "consumer" })
    expect(waiting.protocolData).toBe("")
    expect(waiting.members.map(plainMember)).toEqual([{ ...member, memberMetadata: none, memberAssignment: none }])
    await sync("g", memberId)
    for (let version = 0; version <= 6; version++) {
      const stable = await describeGroup("g", version)
      const { members, ...group } = stable
      expect(group).toEqual({
        errorCode: 0,
        errorMessage: null,
        groupId: "g",
        groupState: "Stable",
        protocolType: "consumer",
        protocolData: "range",
        authorizedOperations: notAsked
      })
      expect(members.map(plainMember)).toEqual([
        { ...member, memberMetadata: metadata, memberAssignment: Buffer.from("all") }
      ])
    }
  })

  it("shows a group of a simple consumer as Empty, and one that is not there as Dead, from v6 on as an error too", async () => {
    await commit("simple")
    expect(await describeGroup("simple")).toMatchObject({ errorCode: 0, groupState: "Empty", protocolType: "" })
    expect(await describeGroup("none", 5)).toMatchObject({ errorCode: 0, errorMessage: null, groupState: "Dead" })
    expect(await describeGroup("none", 6)).toMatchObject({
      errorCode: KafkaError.GROUP_ID_NOT_FOUND,
      errorMessage: "There is no such group.",
      groupState: "Dead"
    })
    expect((await describeGroup("g".repeat(600))).errorCode).toBe(KafkaError.INVALID_GROUP_ID)
  })

  it("tells those who ask what they may do", async () => {
    await commit("simple")
    for (let version = 3; version <= 6; version++) {
      const asking = { groups: ["simple"], includeAuthorizedOperations: true }
      const { groups } = await client.send(DescribeGroups, version, asking)
      // Read, Delete, Describe, DescribeConfigs, AlterConfigs.
      expect(groups[0]!.authorizedOperations).toBe((1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11))
    }
  })

  it("ends the connection of who asks for more than 1000 groups", async () => {
    const groups = Array.from({ length: 1001 }, (_, i) => `g${i}`)
    expect((await client.send(DescribeGroups, 6, { groups })).groups.length).toBe(1000)
    await client.closed()
  })
})

const plainMember = <M extends { memberMetadata: Uint8Array; memberAssignment: Uint8Array }>(member: M) => ({
  ...member,
  memberMetadata: Buffer.from(member.memberMetadata),
  memberAssignment: Buffer.from(member.memberAssignment)
})

const listGroups = async (statesFilter: ReadonlyArray<string>, typesFilter: ReadonlyArray<string>) =>
  (await client.send(ListGroups, 5, { statesFilter, typesFilter })).groups.map(({ groupId }) => groupId).sort()

describe("ListGroups", () => {
  it("lists groups with members or offsets, in every version", async () => {
    await commit("simple")
    await sync("live", (await join("live")).memberId)
    for (let version = 0; version <= 5; version++) {
      const { errorCode, groups } = await client.send(ListGroups, version, {})
      expect(errorCode).toBe(0)
      expect([...groups].sort((a, b) => (a.groupId < b.groupId ? -1 : 1))).toEqual([
        {
          groupId: "live",
          protocolType: "consumer",
          groupState: version >= 4 ? "Stable" : "",
          groupType: version >= 5 ? "classic" : ""
        },
        {
          groupId: "simple",
          protocolType: "",
          groupState: version >= 4 ? "Empty" : "",
          groupType: version >= 5 ? "classic" : ""
        }
      ])
    }
  })

  it("lists those of some states and types, whatever the case of their letters", async () => {
    await commit("simple")
    await join("live")
    expect(await listGroups(["empty"], [])).toEqual(["simple"])
    expect(await listGroups(["CompletingRebalance", "Stable"], ["Classic"])).toEqual(["live"])
    expect(await listGroups(["Dead"], [])).toEqual([])
    expect(await listGroups([], ["consumer"])).toEqual([])
    expect(await listGroups([], ["consumer", "classic"])).toEqual(["live", "simple"])
  })
})

const endpointError = async (endpointType: number) => {
  const asked = { includeClusterAuthorizedOperations: false, endpointType }
  return (await client.send(DescribeCluster, 1, asked)).errorCode
}

describe("DescribeCluster", () => {
  it("is this node, its controller as well, in every version", async () => {
    for (let version = 0; version <= 2; version++) {
      const { brokers, ...cluster } = await client.send(DescribeCluster, version, {
        includeClusterAuthorizedOperations: version === 2
      })
      expect(brokers).toEqual([
        { brokerId: 1, host: "127.0.0.1", port: kit.listener.port, rack: null, isFenced: false }
      ])
      expect(cluster).toMatchObject({ errorCode: 0, clusterId: "test-cluster", controllerId: 1, endpointType: 1 })
      expect(cluster.clusterAuthorizedOperations).toBe(version === 2 ? 8096 : notAsked)
    }
  })

  it("does not tell of controllers, nor of what there is not", async () => {
    expect(await endpointError(2)).toBe(KafkaError.MISMATCHED_ENDPOINT_TYPE)
    expect(await endpointError(3)).toBe(KafkaError.UNSUPPORTED_ENDPOINT_TYPE)
  })
})

const describeTopics = (names: ReadonlyArray<string>, more: object = {}) =>
  client.send(DescribeTopicPartitions, 0, { topics: names.map((name) => ({ name })), ...more })

describe("DescribeTopicPartitions", () => {
  it("is all topics by name for an empty list, with what the client may do", async () => {
    await kit.createStream("z", { partitions: 2 })
    const { topicId } = await kit.createStream("a", { filters: ["a/#"] })
    const { topics, nextCursor } = await describeTopics([])
    expect(nextCursor).toBe(null)
    expect(topics.map(({ name, partitions }) => [name, partitions.length])).toEqual([
      ["a", 1],
      ["z", 2]
    ])
    expect(topics.map(({ topicAuthorizedOperations }) => topicAuthorizedOperations)).toEqual([3560, 3576])
    expect(topics[0]).toMatchObject({ errorCode: 0, topicId, isInternal: false })
    expect(topics[0]!.partitions).toEqual([
      {
        errorCode: 0,
        partitionIndex: 0,
        leaderId: 1,
        leaderEpoch: kit.shard.epoch,
        replicaNodes: [1],
        isrNodes: [1],
        eligibleLeaderReplicas: [],
        lastKnownElr: [],
        offlineReplicas: []
      }
    ])
  })

  it("tells an error for each topic that is not there", async () => {
    await kit.createStream("a")
    const { topics } = await describeTopics(["nowhere", "a", "a/b", "a"])
    expect(topics.map(({ errorCode, name, topicId }) => [errorCode, name, topicId === zeroUuid])).toEqual([
      [0, "a", false],
      [17, "a/b", true],
      [3, "nowhere", true]
    ])
  })

  it("goes on page by page, each partition once", async () => {
    for (const [name, partitions] of [
      ["a", 3],
      ["b", 1],
      ["c", 4]
    ] as const)
      await kit.createStream(name, { partitions })
    for (const limit of [1, 2, 3, 4, 5, 7, 8, 9]) {
      const seen: Array<string> = []
      let cursor: { readonly topicName: string; readonly partitionIndex: number } | null = null
      do {
        const page: Awaited<ReturnType<typeof describeTopics>> = await describeTopics([], {
          responsePartitionLimit: limit,
          cursor
        })
        const found = page.topics.flatMap(({ name, partitions }) => partitions.map((p) => `${name}${p.partitionIndex}`))
        expect(found.length).toBe(Math.min(limit, 8 - seen.length))
        seen.push(...found)
        cursor = page.nextCursor
      } while (cursor !== null)
      expect(seen).toEqual(["a0", "a1", "a2", "b0", "c0", "c1", "c2", "c3"])
    }
  })

  it("has at most 2000 partitions in a page, whatever is asked for, and at least one", async () => {
    for (let i = 0; i < 32; i++) await kit.createStream(`s${String(i).padStart(2, "0")}`, { partitions: 64 })
    const count = ({ topics }: Awaited<ReturnType<typeof describeTopics>>) =>
      topics.reduce((sum, { partitions }) => sum + partitions.length, 0)
    const page = await describeTopics([], { responsePartitionLimit: 1_000_000 })
    expect([count(page), page.nextCursor]).toEqual([2000, { topicName: "s31", partitionIndex: 16 }])
    expect(count(await describeTopics([], { responsePartitionLimit: -5 }))).toBe(1)
  })

  it("ends the connection of who begins at a partition below 0", async () => {
    const cursor = { topicName: "a", partitionIndex: -1 }
    expect((await describeTopics([], { cursor })).topics).toEqual([])
    await client.closed()
  })
})

describe("DescribeLogDirs", () => {
  it("tells the bytes of partitions in one directory, in every version", async () => {
    await kit.createStream("orders", { partitions: 2 })
    const batch = batchOf(["a", "b"])
    await client.send(Produce, 11, produceOf("orders", batch))
    kit.disk.check()
    const { totalBytes, freeBytes } = kit.disk
    for (let version = 1; version <= 5; version++) {
      const { errorCode, results } = await client.send(DescribeLogDirs, version, { topics: null })
      expect([errorCode, results.length]).toEqual([0, 1])
      const dir = results[0]!
      expect(dir.topics).toEqual([
        {
          name: "orders",
          partitions: [
            { partitionIndex: 0, partitionSize: batch.length, offsetLag: 0, isFutureKey: false },
            { partitionIndex: 1, partitionSize: 0, offsetLag: 0, isFutureKey: false }
          ]
        }
      ])
      expect([dir.totalBytes, dir.usableBytes]).toEqual(version >= 4 ? [totalBytes, freeBytes] : [-1, -1])
    }
  })

  it("leaves out what is not there, and what was not asked for", async () => {
    await kit.createStream("orders", { partitions: 2 })
    await kit.createStream("other")
    const { results } = await client.send(DescribeLogDirs, 4, {
      topics: [
        { topic: "orders", partitions: [1, 2, 1] },
        { topic: "other", partitions: [7] },
        { topic: "nowhere", partitions: [0] }
      ]
    })
    const topics = results[0]!.topics
    expect(topics.map(({ name, partitions }) => [name, partitions.map((p) => p.partitionIndex)])).toEqual([
      ["orders", [1]]
    ])
  })
})

describe("one node", () => {
  it("has nothing to elect", async () => {
    await kit.createStream("orders")
    for (let version = 0; version <= 2; version++) {
      const topicPartitions = [{ topic: "orders", partitions: [0, 1] }]
      const answer = await client.send(ElectLeaders, version, { topicPartitions })
      const codes = answer.replicaElectionResults[0]!.partitionResult.map(({ errorCode }) => errorCode)
      expect(codes).toEqual([KafkaError.ELECTION_NOT_NEEDED, KafkaError.UNKNOWN_TOPIC_OR_PARTITION])
      expect(await client.send(ElectLeaders, version, { topicPartitions: null })).toMatchObject({
        errorCode: 0,
        replicaElectionResults: []
      })
    }
    const long = [{ topic: "t".repeat(30_000), partitions: Array.from({ length: 20_000 }, (_, index) => index) }]
    const bytes = ElectLeaders.encodeResponse(2, await client.send(ElectLeaders, 2, { topicPartitions: long }))
    expect(Buffer.concat(bytes).length).toBeLessThan(1_000_000)
    const unknownType = await client.send(ElectLeaders, 1, { electionType: 2, topicPartitions: null })
    expect(unknownType.errorCode).toBe(KafkaError.INVALID_REQUEST)
  })

  it("keeps every partition: where it is is done, elsewhere is refused, nothing is there to cancel", async () => {
    await kit.createStream("orders", { partitions: 5 })
    const replicas = [[1], null, [2], [1, 2], [], [1]]
    const partitions = replicas.map((each, partitionIndex) => ({ partitionIndex, replicas: each }))
    for (let version = 0; version <= 1; version++) {
      const { errorCode, responses } = await client.send(AlterPartitionReassignments, version, {
        topics: [{ name: "orders", partitions }]
      })
      expect(errorCode).toBe(0)
      const codes = responses[0]!.partitions.map((each) => each.errorCode)
      const { INVALID_REPLICA_ASSIGNMENT: elsewhere, UNKNOWN_TOPIC_OR_PARTITION: unknown } = KafkaError
      expect(codes).toEqual([0, KafkaError.NO_REASSIGNMENT_IN_PROGRESS, elsewhere, elsewhere, elsewhere, unknown])
    }
    const listed = await client.send(ListPartitionReassignments, 0, {})
    expect(listed).toMatchObject({ errorCode: 0, errorMessage: null, topics: [] })
  })

  it("is a quorum of one, whose log is the journal", async () => {
    const asked = [
      { topicName: "__cluster_metadata", partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }] },
      { topicName: "orders", partitions: [{ partitionIndex: 0 }] }
    ]
    const { nextSeq, epoch } = kit.shard
    for (let version = 0; version <= 2; version++) {
      const { errorCode, topics, nodes } = await client.send(DescribeQuorum, version, { topics: asked })
      expect(errorCode).toBe(0)
      const [log, second] = topics[0]!.partitions
      expect(log).toMatchObject({ errorCode: 0, leaderId: 1, leaderEpoch: epoch, highWatermark: nextSeq })
      expect(log!.currentVoters).toMatchObject([{ replicaId: 1, logEndOffset: nextSeq }])
      const unknown = KafkaError.UNKNOWN_TOPIC_OR_PARTITION
      expect([second!.errorCode, topics[1]!.partitions[0]!.errorCode]).toEqual([unknown, unknown])
      const here = { host: "127.0.0.1", port: kit.listener.port }
      expect(nodes).toEqual(version < 2 ? [] : [{ nodeId: 1, listeners: [{ name: "PLAINTEXT", ...here }] }])
    }
  })
})

describe("DescribeProducers", () => {
  it("tells the producers that a partition remembers, and their newest times while their batches are there", async () => {
    const { logIds } = await kit.createStream("orders", { partitions: 2 })
    await client.send(Produce, 11, produceOf("orders", batchOf(["a"])))
    const fields = { producerEpoch: 3, baseSequence: 0 }
    for (const producerId of [8, 5]) {
      const records = [
        { value: "b", timestampMs: startMs + producerId },
        { value: "c", timestampMs: startMs }
      ]
      await client.send(Produce, 11, produceOf("orders", batchOf(records, { ...fields, producerId })))
    }
    const topics = [{ name: "orders", partitionIndexes: [0, 1, 2] }]
    const { partitions } = (await client.send(DescribeProducers, 0, { topics })).topics[0]!
    const rest = {
      producerEpoch: 3,
      lastSequence: 1,
      coordinatorEpoch: -1,
      currentTxnStartOffset: -1
    }
    expect(partitions.map(({ errorCode, activeProducers }) => [errorCode, activeProducers])).toEqual([
      [0, [8, 5].map((producerId) => ({ producerId, lastTimestamp: startMs + producerId, ...rest }))],
      [0, []],
      [KafkaError.UNKNOWN_TOPIC_OR_PARTITION, []]
    ])
    await kit.ask(`partition/${logIds[0]}`, { _tag: "MoveLogStart", offset: 3, reason: "test" })
    const [after] = (await client.send(DescribeProducers, 0, { topics })).topics[0]!.partitions
    expect(after!.activeProducers.map(({ lastTimestamp }) => lastTimestamp)).toEqual([-1, startMs + 5])
  })

  it("tells a name that no topic may have from one that none has", async () => {
    const topics = ["nowhere", "a/b", ""].map((name) => ({ name, partitionIndexes: [0] }))
    const answer = await client.send(DescribeProducers, 0, { topics })
    expect(answer.topics.map(({ name, partitions }) => [name, partitions[0]!.errorCode])).toEqual([
      ["nowhere", KafkaError.UNKNOWN_TOPIC_OR_PARTITION],
      ["a/b", KafkaError.INVALID_TOPIC_EXCEPTION],
      ["", KafkaError.INVALID_TOPIC_EXCEPTION]
    ])
  })

  it("tells a partition once, however often it is named, and of a thousand at most", async () => {
    await kit.createStream("orders")
    const again = { name: "orders", partitionIndexes: [0, 0, 0] }
    const { topics } = await client.send(DescribeProducers, 0, { topics: [again, again] })
    expect(topics.map(({ partitions }) => partitions.map(({ partitionIndex }) => partitionIndex))).toEqual([[0]])
    const many = { name: "orders", partitionIndexes: Array.from({ length: 1001 }, (_, index) => index) }
    const answer = await client.send(DescribeProducers, 0, { topics: [many] })
    expect(answer.topics[0]!.partitions.length).toBe(1000)
    await client.closed()
  })
})

describe("ListConfigResources", () => {
  it("lists topics and this node, of the types that are asked for", async () => {
    await kit.createStream("orders")
    const list = async (resourceTypes: ReadonlyArray<number>, version = 1) => {
      const { errorCode, configResources } = await client.send(ListConfigResources, version, { resourceTypes })
      expect(errorCode).toBe(0)
      return configResources.map(({ resourceType, resourceName }) => [resourceType, resourceName])
    }
    expect(await list([])).toEqual([
      [2, "orders"],
      [4, "1"],
      [8, "1"]
    ])
    expect(await list([4, 16, 32, 4])).toEqual([[4, "1"]])
    expect(await list([2])).toEqual([[2, "orders"]])
    expect(await list([], 0)).toEqual([])
    const { errorCode } = await client.send(ListConfigResources, 1, { resourceTypes: [3] })
    expect(errorCode).toBe(KafkaError.UNSUPPORTED_VERSION)
  })
})
