import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { streamSettings, type ConfigLimits } from "@logbrook/actors/catalog/StreamConfig"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import type { RequestOf } from "@logbrook/protocols/kafka/Schema"
import { after, afterAll } from "../Answer.ts"
import { configSources } from "../configResources.ts"
import { createFreeStream } from "../createFreeStream.ts"
import { refused, type Failure } from "../errors.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded, namedTwice, topicTwice } from "../requestElements.ts"

// CreateTopics 2-7: free streams, on this node alone. Left out: waiting for a part of the timeout (a stream is there when
// it is answered), and manual assignments to other nodes.

type Asked = RequestOf<typeof CreateTopics>["topics"][number]

interface Created {
  readonly name: string
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly topicId?: string
  readonly numPartitions?: number
  readonly replicationFactor?: number
  readonly configs?: ReadonlyArray<{
    readonly name: string
    readonly value: string
    readonly readOnly: boolean
    readonly configSource: number
    readonly isSensitive: boolean
  }>
}

/** The partitions that the request asks for: -1 for the default. */
const partitionsOf = ({ numPartitions, assignments }: Asked): number =>
  assignments.length > 0 ? assignments.length : numPartitions

const refuseAssignments = ({ numPartitions, replicationFactor, assignments }: Asked, nodeId: number) => {
  if (numPartitions !== -1 || replicationFactor !== -1) {
    return refused(KafkaError.INVALID_REQUEST, "Either assignments, or partitions and a replication factor.")
  }
  const indexes = new Set(assignments.map(({ partitionIndex }) => partitionIndex))
  const isDense = assignments.every((_, i) => indexes.has(i))
  const isHere = assignments.every(({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === nodeId)
  return isDense && isHere
    ? undefined
    : refused(KafkaError.INVALID_REPLICA_ASSIGNMENT, `Partitions 0, 1, … are each on node ${nodeId} alone.`)
}

const needs = { Topic: ["Create"] } as const

const refuse = (context: ContextOf<typeof needs>, asked: Asked, isTwice: boolean): Failure | undefined => {
  const { disk, nodeId } = context.node.broker
  const denied = context.deniedTopic("Create", asked.name)
  if (denied !== undefined) return denied
  if (isTwice) return topicTwice
  if (disk.isLow) return refused(KafkaError.KAFKA_STORAGE_ERROR, "The disk is nearly full.")
  if (asked.assignments.length > 0) {
    const failure = refuseAssignments(asked, nodeId)
    if (failure !== undefined) return failure
  } else if (asked.replicationFactor !== -1 && asked.replicationFactor !== 1) {
    return refused(KafkaError.INVALID_REPLICATION_FACTOR, "There is one node: the replication factor is 1.")
  }
  if (partitionsOf(asked) < -1) return refused(KafkaError.INVALID_PARTITIONS, "A topic has one partition or more.")
  return asked.configs.some(({ value }) => value === null)
    ? refused(KafkaError.INVALID_CONFIG, "A setting has no value.")
    : undefined
}

const created = (stream: Stream, limits: ConfigLimits): Created => ({
  name: stream.name,
  errorCode: KafkaError.NONE,
  errorMessage: null,
  topicId: stream.topicId,
  numPartitions: stream.logIds.length,
  replicationFactor: 1,
  configs: streamSettings(limits)
    .filter(({ name, isInert }) => isInert !== true || stream.config.has(name))
    .map(({ name, byDefault }) => ({
      name,
      value: stream.config.get(name) ?? byDefault,
      readOnly: false,
      configSource: stream.config.has(name) ? configSources.topic : configSources.byDefault,
      isSensitive: false
    }))
})

export const createTopicsHandler = handler(CreateTopics, {
  serves: [2, 7],
  needs,
  handle: (context, request) => {
    // There cannot be more streams.
    const { streamsMax } = context.node.broker.limits
    const [some, violation] = bounded("CreateTopics", "topics", request.topics, streamsMax)
    const twice = namedTwice(some, ({ name }) => name)
    const asked = new Map(some.map((topic) => [topic.name, topic]))
    const topics = Array.from(asked.values(), (topic) => {
      const refused = refuse(context, topic, twice.has(topic.name))
      const stream = {
        name: topic.name,
        partitions: partitionsOf(topic),
        config: topic.configs.map(({ name, value }) => [name, value ?? ""] as const),
        validateOnly: request.validateOnly
      }
      return after(refused ?? createFreeStream(context, stream), (result): Created =>
        "code" in result
          ? { name: topic.name, errorCode: result.code, errorMessage: result.message, configs: [] }
          : created(result, context.node.broker.limits)
      )
    })
    return afterAll(topics, (results) => new Reply({ topics: results }, { violation }))
  }
})
