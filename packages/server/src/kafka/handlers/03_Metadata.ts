import { isBound, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { cluster, type Operation, type Resource } from "@logbrook/core/access/Access"
import { isStreamName } from "@logbrook/core/StreamName"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { zeroUuid, type RequestOf } from "@logbrook/protocols/kafka/Schema"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf, type RequestContext } from "../Handler.ts"

// Metadata 0-13: this node, and streams by name or by topic id (v12), each once. Whoever asks is told what it may do
// to a topic or the cluster (KIP-430). Left out: creation of what does not exist.

const needs = { Topic: ["Describe"] } as const

type Context = ContextOf<typeof needs>
type Asked = NonNullable<RequestOf<typeof Metadata>["topics"]>[number]

/** Names that Kafka itself would not take; its internal topics do not exist here, which is no fault of the name. */
const errorOfName = (name: string): number =>
  isStreamName(name) || name.startsWith("__")
    ? KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    : KafkaError.INVALID_TOPIC_EXCEPTION

/** Kafka's numbers of operations (AclOperation); what is allowed has the bits of them. */
const numbers: Readonly<Record<Operation, number>> = {
  Read: 3,
  Write: 4,
  Create: 5,
  Delete: 6,
  Alter: 7,
  Describe: 8,
  ClusterAction: 9,
  DescribeConfigs: 10,
  AlterConfigs: 11,
  IdempotentWrite: 12
}

const onBoth = ["Create", "Alter", "Describe", "DescribeConfigs", "AlterConfigs"] as const
const ofTopic: ReadonlyArray<Operation> = ["Read", "Write", "Delete", ...onBoth]
const ofCluster: ReadonlyArray<Operation> = ["ClusterAction", "IdempotentWrite", ...onBoth]

/** The bits of those operations that the client may do. */
const bitsOf = (context: RequestContext, resource: Resource, ofKind: ReadonlyArray<Operation>): number => {
  const permitted = new Set(context.permitted(resource))
  return ofKind.reduce((bits, operation) => (permitted.has(operation) ? bits | (1 << numbers[operation]) : bits), 0)
}

/** Earlier versions have the field already, and no way to answer it. */
const byIdSince = 12

const described = ({ node }: RequestContext, { name, topicId, logIds }: Stream) => {
  const { nodeId, shard } = node.broker
  const nodes = [nodeId]
  const partitions = logIds.map((_, partitionIndex) => ({
    errorCode: KafkaError.NONE,
    partitionIndex,
    leaderId: nodeId,
    leaderEpoch: shard.epoch,
    replicaNodes: nodes,
    isrNodes: nodes
  }))
  return { errorCode: KafkaError.NONE as number, name: name as string | null, topicId, partitions }
}

type Described = ReturnType<typeof described>

/** Adds the operations that the client may do on a topic, if it may describe the topic. */
const withOperations = (context: Context, topic: Described) => {
  const stream = topic.name === null ? undefined : context.topic("Describe", topic.name)
  if (stream === undefined || isFailure(stream)) return topic
  const { name } = stream
  const bits = bitsOf(context, { type: "Topic", name, isBound: isBound(stream) }, ofTopic)
  return { ...topic, topicAuthorizedOperations: bits }
}

const topicOf = (context: Context, { topicId, name }: Asked, version: number): Described => {
  if (name === null && version < byIdSince) {
    return { errorCode: KafkaError.INVALID_REQUEST, name: "", topicId, partitions: [] }
  }
  const stream = name === null ? context.topicById("Describe", topicId) : context.topic("Describe", name)
  if (!isFailure(stream)) return described(context, stream)
  const { code } = stream
  return name === null
    ? { errorCode: code, name, topicId, partitions: [] }
    : {
        errorCode: code === KafkaError.UNKNOWN_TOPIC_OR_PARTITION ? errorOfName(name) : code,
        name,
        topicId: zeroUuid,
        partitions: []
      }
}

/** The topics that are asked for, each once, whether by name or by id. */
const asked = (context: Context, topics: ReadonlyArray<Asked>, version: number) => {
  const found = new Map<string, Described>()
  for (const each of topics) {
    const topic = topicOf(context, each, version)
    const key = topic.name === null ? `id ${topic.topicId}` : `name ${topic.name}`
    if (!found.has(key)) found.set(key, topic)
  }
  return [...found.values()]
}

/** v0 asks for all by an empty list, later versions by null; an empty list is none then. */
const asksForAll = (topics: RequestOf<typeof Metadata>["topics"], version: number): topics is null =>
  version === 0 ? topics?.length === 0 : topics === null

const metadata = (context: Context, request: RequestOf<typeof Metadata>, version: number) => {
  const { broker } = context.node
  const found = asksForAll(request.topics, version)
    ? context.topics("Describe").map((stream) => described(context, stream))
    : asked(context, request.topics ?? [], version)
  const topics = request.includeTopicAuthorizedOperations ? found.map((topic) => withOperations(context, topic)) : found
  const { host, port } = context.advertised
  const brokers = [{ nodeId: broker.nodeId, host, port }]
  const { clusterId, nodeId: controllerId } = broker
  const authorized = request.includeClusterAuthorizedOperations
    ? { clusterAuthorizedOperations: bitsOf(context, cluster, ofCluster) }
    : {}
  return { brokers, clusterId, controllerId, topics, ...authorized }
}

export const metadataHandler = handler(Metadata, { serves: [0, 13], needs, handle: metadata })
