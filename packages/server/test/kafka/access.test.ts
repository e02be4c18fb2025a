import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { transactionActor } from "@logbrook/actors/transaction/TransactionProtocol"
import type { Operation, Principal, Resource, Rule } from "@logbrook/core/access/Access"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { ElectLeaders } from "@logbrook/protocols/kafka/messages/43_ElectLeaders"
import { ListGroups } from "@logbrook/protocols/kafka/messages/16_ListGroups"
import type { ListTransactions } from "@logbrook/protocols/kafka/messages/66_ListTransactions"
import { zeroUuid, type AnyApi, type ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { handler } from "../../src/kafka/Handler.ts"
import { registry } from "../../src/kafka/handlers.ts"
import { batchOf, startKit, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, produceOf } from "./requests.ts"

const name = "orders"
const groupId = "g"
const partition = { partitionIndex: 0, offset: 0, currentLeaderEpoch: -1, timestamp: -1 }
const member = { groupId, memberId: "m", generationId: 1 }
const topics = [{ name, topic: name, partitions: [{ ...partition, partition: 0, leaderEpoch: 0 }] }]
/** Of each type that has rights of its own. */
const resources = [
  { resourceType: 2, resourceName: name },
  { resourceType: 4, resourceName: "1" },
  { resourceType: 32, resourceName: groupId }
]
const retention = { name: "retention.ms", value: "1000" }
const offset = { partitionIndex: 0, committedOffset: 1, committedMetadata: "" }
const timeoutMs = 1000
const acl = { resourceType: 2, resourceName: name, principal: "User:a", host: "*", operation: 3, permissionType: 3 }
const anyName = { resourceNameFilter: null, principalFilter: null, hostFilter: null }
const aclFilter = { ...anyName, resourceTypeFilter: 1, patternTypeFilter: 1, operation: 1, permissionType: 1 }
const one = { numPartitions: 1, replicationFactor: 1 }
const timeouts = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000 }

const transactionalId = "billing"
const producer = { transactionalId, producerId: 1, producerEpoch: 0 }

/** Requests of each API that would do something, to a topic and a group that there are. */
const requests: Readonly<Record<string, () => object | ReadonlyArray<object>>> = {
  Produce: () => produceOf(name, batchOf(["a"]), { transactionalId }),
  Fetch: () => fetchOf(name),
  ListOffsets: () => ({ replicaId: -1, topics }),
  Metadata: () => ({ topics: [{ name }, { name: "new" }] }),
  OffsetCommit: () => ({ groupId, memberId: "", topics: [{ name, partitions: [offset] }] }),
  OffsetFetch: () => ({ groups: [{ groupId, topics: [{ name, partitionIndexes: [0] }] }] }),
  FindCoordinator: () => [
    { keyType: 0, coordinatorKeys: [groupId] },
    { keyType: 1, coordinatorKeys: [transactionalId] }
  ],
  JoinGroup: () => ({ ...member, ...timeouts, protocolType: "consumer", protocols: [] }),
  Heartbeat: () => member,
  LeaveGroup: () => ({ groupId, members: [{ memberId: "m" }] }),
  SyncGroup: () => ({ ...member, protocolType: "consumer", protocolName: "range", assignments: [] }),
  ApiVersions: () => ({ clientSoftwareName: "raw", clientSoftwareVersion: "1" }),
  CreateTopics: () => ({
    topics: [{ ...one, name: "new", assignments: [], configs: [] }],
    timeoutMs,
    validateOnly: false
  }),
  DeleteTopics: () => ({ topics: [{ name, topicId: zeroUuid }], timeoutMs }),
  DeleteRecords: () => ({ topics, timeoutMs }),
  InitProducerId: () => [
    { transactionalId: null, transactionTimeoutMs: 0 },
    { transactionalId, transactionTimeoutMs: 1000 }
  ],
  AddPartitionsToTxn: () => ({
    transactions: [{ ...producer, verifyOnly: false, topics: [{ name, partitions: [0] }] }]
  }),
  AddOffsetsToTxn: () => ({ ...producer, groupId }),
  WriteTxnMarkers: () => ({
    markers: [
      {
        producerId: 1,
        producerEpoch: 0,
        transactionResult: false,
        topics: [{ name, partitionIndexes: [0] }],
        coordinatorEpoch: 0
      }
    ]
  }),
  EndTxn: () => ({ ...producer, committed: true }),
  TxnOffsetCommit: () => ({ ...producer, groupId, topics: [{ name, partitions: [offset] }] }),
  DescribeTransactions: () => ({ transactionalIds: [transactionalId] }),
  ListTransactions: () => ({ stateFilters: [], producerIdFilters: [] }),
  OffsetForLeaderEpoch: () => ({ replicaId: -1, topics }),
  DescribeGroups: () => ({ groups: [groupId] }),
  ListGroups: () => ({}),
  DescribeAcls: () => aclFilter,
  CreateAcls: () => ({ creations: [acl] }),
  DeleteAcls: () => ({ filters: [aclFilter] }),
  DescribeConfigs: () => ({ resources: resources.map((each) => ({ ...each, configurationKeys: null })) }),
  AlterConfigs: () => ({
    resources: resources.map((each) => ({ ...each, configs: [retention] })),
    validateOnly: false
  }),
  IncrementalAlterConfigs: () => ({
    resources: resources.map((each) => ({ ...each, configs: [{ ...retention, configOperation: 0 }] })),
    validateOnly: false
  }),
  CreatePartitions: () => ({ topics: [{ name, count: 2, assignments: null }], timeoutMs, validateOnly: false }),
  DescribeLogDirs: () => ({ topics: null }),
  DeleteGroups: () => ({ groupsNames: [groupId] }),
  ElectLeaders: () => ({ topicPartitions: [{ topic: name, partitions: [0] }] }),
  AlterPartitionReassignments: () => ({ topics: [{ name, partitions: [{ partitionIndex: 0, replicas: [1] }] }] }),
  ListPartitionReassignments: () => ({}),
  DescribeQuorum: () => ({ topics: [{ topicName: "__cluster_metadata", partitions: [{ partitionIndex: 0 }] }] }),
  DescribeCluster: () => ({ includeClusterAuthorizedOperations: false }),
  DescribeProducers: () => ({ topics: [{ name, partitionIndexes: [0] }] }),
  ListConfigResources: () => ({}),
  DescribeTopicPartitions: () => ({ topics: [{ name }] }),
  OffsetDelete: () => ({ groupId, topics: [{ name, partitions: [{ partitionIndex: 0 }] }] })
}

/** Later ones name topics by ids. */
const versions: Readonly<Record<string, number>> = { Produce: 12, Fetch: 12, OffsetCommit: 9, OffsetFetch: 9 }

/** They tell unasked what the client may do, for which they ask about everything. */
const telling: ReadonlySet<string> = new Set(["DescribeTopicPartitions"])

/** They leave out what the client may not see, so nothing is left, and that is no error. */
const listsOf: Readonly<Record<string, (response: never) => ReadonlyArray<unknown>>> = {
  ListGroups: ({ groups }: ResponseOf<typeof ListGroups>) => groups,
  ListTransactions: ({ transactionStates }: ResponseOf<typeof ListTransactions>) => transactionStates
}

const authorizationErrors: ReadonlySet<number> = new Set([
  KafkaError.TOPIC_AUTHORIZATION_FAILED,
  KafkaError.GROUP_AUTHORIZATION_FAILED,
  KafkaError.CLUSTER_AUTHORIZATION_FAILED,
  KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
])

const denies: Rule = () => ({ reason: "BoundStream", text: "nobody may do anything" })
const allows: Rule = () => undefined

/** Writes down what it is asked. */
class Recording extends Authorizer {
  asked = new Set<string>()

  override authorize(principal: Principal, operation: Operation, resource: Resource) {
    this.asked.add(`${operation} ${resource.type}`)
    return super.authorize(principal, operation, resource)
  }
}

const start = async (rule: Rule) => {
  const authorizer = new Recording([rule])
  const kit = await startKit({ authorizer, settings: { autoCreateTopics: true } })
  const { topicId, logIds } = await kit.createStream(name)
  const logId = logIds[0]
  await kit.createStream("bound", { filters: ["b/#"] })
  const committed = { topicId, stream: name, partition: 0, offset: 1, leaderEpoch: -1, metadata: "" }
  await kit.ask(groupActor(groupId), {
    _tag: "CommitOffsets",
    generation: -1,
    memberId: "",
    groupInstanceId: null,
    offsets: [committed]
  })
  await kit.ask(transactionActor(transactionalId), {
    _tag: "InitProducer",
    producerId: -1,
    producerEpoch: -1,
    timeoutMs: 600_000,
    newProducerId: 1,
    mayBeNew: true
  })
  await kit.ask(transactionActor(transactionalId), {
    _tag: "AddPartitions",
    producerId: 1,
    producerEpoch: 0,
    partitions: [{ topicId, stream: name, partition: 0, logId }]
  })
  return { authorizer, kit, client: await kit.connect() }
}

const send = async (client: RawClient, api: AnyApi, version: number): Promise<ReadonlyArray<never>> => {
  const responses: Array<never> = []
  for (const request of [requests[api.name]!()].flat())
    responses.push((await client.send(api, version, request as never)) as never)
  return responses
}

describe.each([...registry.handlers.values()].map((each) => [each.api.name, each] as const))("%s", (_name, each) => {
  const needs = Object.entries(each.needs).flatMap(([type, all]) => all.map((operation) => `${operation} ${type}`))
  const version = versions[each.api.name] ?? each.serves[1]
  let denied: Awaited<ReturnType<typeof start>>
  let allowed: Awaited<ReturnType<typeof start>>

  beforeAll(async () => {
    denied = await start(denies)
    allowed = await start(allows)
  })
  afterAll(async () => {
    await denied.kit.close()
    await allowed.kit.close()
  })

  it("asks for all that it declares, and for nothing else", async () => {
    allowed.authorizer.asked.clear()
    await send(allowed.client, each.api, version)
    const asked = [...allowed.authorizer.asked].sort()
    if (telling.has(each.api.name)) expect(asked).toEqual(expect.arrayContaining(needs))
    else expect(asked).toEqual(needs.sort())
  })

  it("does nothing for who may not, and says so", async () => {
    const { kit, client } = denied
    const { nextSeq } = kit.shard
    for (const response of await send(client, each.api, version)) {
      const errorCode = each.api.firstError(response)
      const listOf = listsOf[each.api.name]
      if (listOf !== undefined) expect(listOf(response)).toEqual([])
      else if (needs.length === 0) expect(errorCode).toBe(KafkaError.NONE)
      else expect(authorizationErrors).toContain(errorCode)
    }
    expect(kit.shard.nextSeq).toBe(nextSeq)
  })
})

const mayOrders: Rule = (_principal, _operation, resource) =>
  resource.type === "Topic" && resource.name !== name ? { reason: "BoundStream", text: "not this one" } : undefined

describe("what is read of several", () => {
  let kit: Kit
  beforeAll(async () => {
    kit = await startKit({ authorizer: new Authorizer([mayOrders]) })
    for (const each of [name, "secret"]) await kit.createStream(each)
  })
  afterAll(() => kit.close())

  it("leaves out of all topics what the client may not describe", async () => {
    const client = await kit.connect()
    const all = await client.send(Metadata, 13, { topics: null })
    expect(all.topics.map((topic) => topic.name)).toEqual([name])
  })

  it("answers alike for a topic that the client may not know of, whether or not it is there", async () => {
    const client = await kit.connect()
    const codes = await Promise.all(
      ["secret", "nowhere"].map(async (topic) => {
        const response = await client.send(Fetch, 12, fetchOf(topic))
        return Fetch.firstError(response)
      })
    )
    expect(codes).toEqual([KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED])
  })
})

const handle = () => ({ errorCode: 0 })

it("a handler that does not declare what it needs, or does something else, is none", () => {
  // @ts-expect-error -- no needs
  handler(Heartbeat, { serves: [0, 4], handle })
  // @ts-expect-error -- no such operation
  handler(Heartbeat, { serves: [0, 4], needs: { Group: ["Join"] }, handle })
  handler(Heartbeat, {
    serves: [0, 4],
    needs: { Group: ["Read"] },
    handle: (context, request) => {
      context.group("Read", request.groupId)
      // @ts-expect-error -- not declared
      context.group("Delete", request.groupId)
      // @ts-expect-error -- nothing of topics is declared
      context.topic("Read", "orders")
      // @ts-expect-error -- there is no way past it
      expect(() => context.node.broker.directory).toBeTypeOf("function")
      return { errorCode: 0 }
    }
  })
})

it("ElectLeaders tells a denial in every version: where the whole has no error, each partition has it", async () => {
  const { kit, client } = await start(denies)
  for (let version = 0; version <= 2; version++) {
    const topicPartitions = [{ topic: name, partitions: [0] }]
    const { errorCode, replicaElectionResults } = await client.send(ElectLeaders, version, { topicPartitions })
    const codes = replicaElectionResults.flatMap(({ partitionResult }) => partitionResult.map((each) => each.errorCode))
    expect([errorCode, ...codes]).toContain(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    expect(codes).toEqual([KafkaError.CLUSTER_AUTHORIZATION_FAILED])
  }
  await kit.close()
})
