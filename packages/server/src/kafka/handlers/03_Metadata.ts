import { isBound, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { isStreamName } from "@logbrook/core/StreamName"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { zeroUuid, type RequestOf } from "@logbrook/protocols/kafka/Schema"
import { isFailure } from "../Access.ts"
import { after, afterAll, type Answer } from "../Answer.ts"
import { clusterOperations, topicOperations } from "../authorizedOperations.ts"
import { createFreeStream } from "../createFreeStream.ts"
import type { Failure } from "../errors.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { failureOfName } from "../requestElements.ts"
import { partitionsOf } from "../topicDescription.ts"

// Metadata 0-13: this node, and streams by name or by topic id (v12), each once. Whoever asks is told what it may do
// to a topic or the cluster (KIP-430). With `kafka.autoCreateTopics` free streams are made of names that are unknown, unless the
// client does not want that (v4), and answered once they are durable: Kafka answers UNKNOWN_TOPIC_OR_PARTITION at once, and the
// client asks again.

const needs = { Topic: ["Describe", "Create"] } as const

type Context = ContextOf<typeof needs>
type Request = RequestOf<typeof Metadata>
type Asked = NonNullable<Request["topics"]>[number]

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

/** By name, why it could not be created. */
type NotCreated = ReadonlyMap<string, KafkaErrorCode>

/** More of one request are created when it is sent again: each is a command of its own. */
const createdMax = 1000

/** The names of the request that can be created, each once. */
const missingOf = (context: Context, topics: ReadonlyArray<Asked>): ReadonlySet<string> => {
  const missing = new Set<string>()
  for (const { name } of topics) {
    if (missing.size >= createdMax) break
    if (name === null || !isStreamName(name)) continue
    const stream = context.topic("Describe", name)
    if (isFailure(stream) && stream.code === KafkaError.UNKNOWN_TOPIC_OR_PARTITION) missing.add(name)
  }
  return missing
}

/** A failure that waiting may mend leaves a name unknown, so that the client asks again. */
const toldFailures: ReadonlySet<KafkaErrorCode> = new Set([
  KafkaError.TOPIC_AUTHORIZATION_FAILED,
  KafkaError.INVALID_TOPIC_EXCEPTION
])

const createMissing = (context: Context, topics: ReadonlyArray<Asked>): Answer<NotCreated> => {
  const names = [...missingOf(context, topics)]
  const created = names.map((name): Answer<Stream | Failure> => {
    const denied = context.deniedTopic("Create", name)
    return denied ?? createFreeStream(context, { name, partitions: -1, config: [], validateOnly: false })
  })
  return afterAll(created, (results) => {
    const failures = results.map((result) => (isFailure(result) ? result.code : KafkaError.NONE))
    return new Map(names.flatMap((name, i) => (toldFailures.has(failures[i]!) ? [[name, failures[i]!]] : [])))
  })
}

const topicOf = (context: Context, { topicId, name }: Asked, version: number, notCreated: NotCreated): Described => {
  if (name === null && version < byIdSince) {
    return { errorCode: KafkaError.INVALID_REQUEST, name: "", topicId, partitions: [] }
  }
  const stream = name === null ? context.topicById("Describe", topicId) : context.topic("Describe", name)
  if (!isFailure(stream)) return described(context, stream)
  return name === null
    ? { errorCode: stream.code, name, topicId, partitions: [] }
    : {
        errorCode: notCreated.get(name) ?? failureOfName(stream, name).code,
        name,
        topicId: zeroUuid,
        partitions: []
      }
}

/** The topics that are asked for, each once, whether by name or by id. */
const asked = (context: Context, topics: ReadonlyArray<Asked>, version: number, notCreated: NotCreated) => {
  const found = new Map<string, Described>()
  for (const each of topics) {
    const topic = topicOf(context, each, version, notCreated)
    const key = topic.name === null ? `id ${topic.topicId}` : `name ${topic.name}`
    if (!found.has(key)) found.set(key, topic)
  }
  return [...found.values()]
}

/** v0 asks for all by an empty list, later versions by null; an empty list is none then. */
const asksForAll = (topics: ReadonlyArray<Asked>, version: number): boolean => version === 0 && topics.length === 0

const respond = (context: Context, request: Request, found: ReadonlyArray<Described>) => {
  const { broker } = context.node
  const topics = request.includeTopicAuthorizedOperations ? found.map((topic) => withOperations(context, topic)) : found
  const { host, port } = context.advertised
  const brokers = [{ nodeId: broker.nodeId, host, port }]
  const { clusterId, nodeId: controllerId } = broker
  const authorized = request.includeClusterAuthorizedOperations
    ? { clusterAuthorizedOperations: clusterOperations(context) }
    : {}
  return { brokers, clusterId, controllerId, topics, ...authorized }
}

const noFailures: NotCreated = new Map()

const metadata = (context: Context, request: Request, version: number) => {
  const { topics } = request
  if (topics === null || asksForAll(topics, version)) {
    return respond(
      context,
      request,
      context.topics("Describe").map((stream) => described(context, stream))
    )
  }
  const { settings, broker } = context.node
  const creates = settings.autoCreateTopics && request.allowAutoTopicCreation && !broker.disk.isLow
  return after(creates ? createMissing(context, topics) : noFailures, (notCreated) =>
    respond(context, request, asked(context, topics, version, notCreated))
  )
}

export const metadataHandler = handler(Metadata, { serves: [0, 13], needs, handle: metadata })
