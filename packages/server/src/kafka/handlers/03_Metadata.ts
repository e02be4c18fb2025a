import { isBound, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { zeroUuid, type RequestOf } from "@logbrook/protocols/kafka/Schema"
import { isFailure } from "../Access.ts"
import { clusterOperations, topicOperations } from "../authorizedOperations.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { failureOfName } from "../requestElements.ts"
import { partitionsOf } from "../topicDescription.ts"

// Metadata 0-13: this node, and streams by name or by topic id (v12), each once. Whoever asks is told what it may do
// to a topic or the cluster (KIP-430). Left out: creation of what does not exist.

const needs = { Topic: ["Describe"] } as const

type Context = ContextOf<typeof needs>
type Asked = NonNullable<RequestOf<typeof Metadata>["topics"]>[number]

/** Earlier versions have the field already, and no way to answer it. */
const byIdSince = 12

const described = (context: Context, stream: Stream) => ({
  errorCode: KafkaError.NONE as number,
  name: stream.name as string | null,
  topicId: stream.topicId,
  partitions: partitionsOf(context, stream)
})

type Described = ReturnType<typeof described>

/** Adds the operations that the client may do on a topic, if it may describe the topic. */
const withOperations = (context: Context, topic: Described) => {
  const stream = topic.name === null ? undefined : context.topic("Describe", topic.name)
  if (stream === undefined || isFailure(stream)) return topic
  return { ...topic, topicAuthorizedOperations: topicOperations(context, stream.name, isBound(stream)) }
}

const topicOf = (context: Context, { topicId, name }: Asked, version: number): Described => {
  if (name === null && version < byIdSince) {
    return { errorCode: KafkaError.INVALID_REQUEST, name: "", topicId, partitions: [] }
  }
  const stream = name === null ? context.topicById("Describe", topicId) : context.topic("Describe", name)
  if (!isFailure(stream)) return described(context, stream)
  return name === null
    ? { errorCode: stream.code, name, topicId, partitions: [] }
    : { errorCode: failureOfName(stream, name).code, name, topicId: zeroUuid, partitions: [] }
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
    ? { clusterAuthorizedOperations: clusterOperations(context) }
    : {}
  return { brokers, clusterId, controllerId, topics, ...authorized }
}

export const metadataHandler = handler(Metadata, { serves: [0, 13], needs, handle: metadata })
