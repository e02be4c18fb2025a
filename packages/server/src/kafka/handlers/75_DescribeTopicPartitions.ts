import { isBound } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeTopicPartitions } from "@logbrook/protocols/kafka/messages/75_DescribeTopicPartitions"
import { zeroUuid, type RequestOf, type ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import { isFailure } from "../Access.ts"
import { topicOperations } from "../authorizedOperations.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { failureOfName } from "../requestElements.ts"
import { partitionsOf } from "../topicDescription.ts"

// DescribeTopicPartitions 0: what Metadata tells of topics, by name, with at most 2000 partitions in a response; where more are
// left, a cursor tells where the next request begins. Left out: eligible leader replicas, which one node has none of.

/** Kafka's `max.request.partition.size.limit`. */
const partitionsMax = 2000

const needs = { Topic: ["Describe"] } as const

type Context = ContextOf<typeof needs>
type Topic = ResponseInputOf<typeof DescribeTopicPartitions>["topics"][number]
type Cursor = NonNullable<RequestOf<typeof DescribeTopicPartitions>["cursor"]>

/** No topics in the request are all that the client may describe. Those before the cursor were answered already. */
const namesOf = (context: Context, { topics, cursor }: RequestOf<typeof DescribeTopicPartitions>) => {
  const asked = topics.length > 0 ? topics : context.topics("Describe")
  const names = [...new Set(asked.map(({ name }) => name))].sort()
  return cursor === null ? names : names.filter((name) => name >= cursor.topicName)
}

const describeTopic = (context: Context, name: string, from: number, count: number): readonly [Topic, left: number] => {
  const stream = context.topic("Describe", name)
  if (isFailure(stream)) {
    return [{ errorCode: failureOfName(stream, name).code, name, topicId: zeroUuid, partitions: [] }, 0]
  }
  const all = partitionsOf(context, stream)
  const partitions = all.slice(from, from + count).map((partition) => ({
    ...partition,
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    offlineReplicas: []
  }))
  const topicAuthorizedOperations = topicOperations(context, name, isBound(stream))
  const topic = { errorCode: KafkaError.NONE, name, topicId: stream.topicId, partitions, topicAuthorizedOperations }
  return [topic, Math.max(0, all.length - from - count)]
}

/** Until the response is full: the cursor is at the first partition that did not fit. */
const page = (context: Context, names: ReadonlyArray<string>, cursor: Cursor | null, limit: number) => {
  const topics: Array<Topic> = []
  let room = limit
  for (const name of names) {
    if (room === 0) return { topics, nextCursor: { topicName: name, partitionIndex: 0 } }
    const from = cursor?.topicName === name ? cursor.partitionIndex : 0
    const [topic, left] = describeTopic(context, name, from, room)
    topics.push(topic)
    if (left > 0) return { topics, nextCursor: { topicName: name, partitionIndex: from + room } }
    room -= topic.partitions.length
  }
  return { topics, nextCursor: null }
}

export const describeTopicPartitionsHandler = handler(DescribeTopicPartitions, {
  serves: [0, 0],
  needs,
  handle: (context, request) => {
    const { cursor, responsePartitionLimit } = request
    if (cursor !== null && cursor.partitionIndex < 0) {
      // The response has no error of the whole.
      return new Reply({ topics: [] }, { violation: `DescribeTopicPartitions from partition ${cursor.partitionIndex}` })
    }
    const limit = Math.max(1, Math.min(partitionsMax, responsePartitionLimit))
    return page(context, namesOf(context, request), cursor, limit)
  }
})
