import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { isStreamName } from "@logbrook/core/StreamName"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { zeroUuid, type RequestOf } from "@logbrook/protocols/kafka/Schema"
import { firstError } from "../errors.ts"
import { handler, type RequestContext } from "../Handler.ts"

// Metadata 0-13: this node, and streams by name or by topic id (v12). Left out: creation of what does not exist, and
// authorized operations, which are answered as not known.

type Asked = NonNullable<RequestOf<typeof Metadata>["topics"]>[number]

/** Names that Kafka itself would not take; its internal topics do not exist here, which is no fault of the name. */
const errorOfName = (name: string): number =>
  isStreamName(name) || name.startsWith("__")
    ? KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    : KafkaError.INVALID_TOPIC_EXCEPTION

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

/** v0 asks for all by an empty list, later versions by null; an empty list is none then. */
const asksForAll = (topics: RequestOf<typeof Metadata>["topics"], version: number): topics is null =>
  version === 0 ? topics?.length === 0 : topics === null

export const metadataHandler = handler(Metadata, [0, 13], (context, request, version, respond) => {
  const { broker } = context.node
  const topics = asksForAll(request.topics, version)
    ? Array.from(broker.directory.all().values(), (stream) => described(context, stream))
    : (request.topics ?? []).map((asked) => topicOf(context, asked, version))
  const { host, port } = context.advertised
  const brokers = [{ nodeId: broker.nodeId, host, port }]
  const { clusterId, nodeId: controllerId } = broker
  respond({ brokers, clusterId, controllerId, topics }, firstError(topics))
})
