import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { isStreamName } from "@logbrook/core/StreamName"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { zeroUuid, type RequestOf } from "@logbrook/protocols/kafka/Schema"
import { handler, type RequestContext } from "../Handler.ts"

// Metadata 0-13: this node, and streams by name or by topic id (v12), each once. Nobody is authorized yet, so a client may do
// all that Kafka has for a topic or the cluster (KIP-430). Left out: creation of what does not exist.

type Asked = NonNullable<RequestOf<typeof Metadata>["topics"]>[number]

/** Names that Kafka itself would not take; its internal topics do not exist here, which is no fault of the name. */
const errorOfName = (name: string): number =>
  isStreamName(name) || name.startsWith("__")
    ? KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    : KafkaError.INVALID_TOPIC_EXCEPTION

/** Kafka's numbers of operations (AclOperation); what is allowed has the bits of them. */
const operations = {
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  clusterAction: 9,
  describeConfigs: 10,
  alterConfigs: 11,
  idempotentWrite: 12
} as const

const bitsOf = (...names: ReadonlyArray<keyof typeof operations>): number =>
  names.reduce((bits, name) => bits | (1 << operations[name]), 0)

const onBoth = ["create", "alter", "describe", "describeConfigs", "alterConfigs"] as const
const ofTopic = bitsOf("read", "write", "delete", ...onBoth)
const ofCluster = bitsOf("clusterAction", "idempotentWrite", ...onBoth)

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

const topicOf = (context: RequestContext, { topicId, name }: Asked, version: number): ReturnType<typeof described> => {
  const { directory } = context.node.broker
  if (name === null && version < byIdSince) {
    return { errorCode: KafkaError.INVALID_REQUEST, name: "", topicId, partitions: [] }
  }
  const stream = name === null ? directory.byTopicId(topicId) : directory.byName(name)
  if (stream !== undefined) return described(context, stream)
  return name === null
    ? { errorCode: KafkaError.UNKNOWN_TOPIC_ID, name, topicId, partitions: [] }
    : { errorCode: errorOfName(name), name, topicId: zeroUuid, partitions: [] }
}

/** What is asked for, each topic once, whether by name or by id. */
const asked = (context: RequestContext, topics: ReadonlyArray<Asked>, version: number) => {
  const found = new Map<string, ReturnType<typeof described>>()
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

const metadata = (context: RequestContext, request: RequestOf<typeof Metadata>, version: number) => {
  const { broker } = context.node
  const found = asksForAll(request.topics, version)
    ? Array.from(broker.directory.all().values(), (stream) => described(context, stream))
    : asked(context, request.topics ?? [], version)
  const topics = request.includeTopicAuthorizedOperations
    ? found.map((topic) => ({ ...topic, topicAuthorizedOperations: ofTopic }))
    : found
  const { host, port } = context.advertised
  const brokers = [{ nodeId: broker.nodeId, host, port }]
  const { clusterId, nodeId: controllerId } = broker
  const cluster = request.includeClusterAuthorizedOperations ? { clusterAuthorizedOperations: ofCluster } : {}
  return { brokers, clusterId, controllerId, topics, ...cluster }
}

export const metadataHandler = handler(Metadata, { serves: [0, 13], handle: metadata })
