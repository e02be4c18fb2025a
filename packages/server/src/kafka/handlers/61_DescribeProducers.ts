import { partitionActor, type ProducerDescription } from "@logbrook/actors/partition/Partition"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeProducers } from "@logbrook/protocols/kafka/messages/61_DescribeProducers"
import type { ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import { after, type Answer } from "../Answer.ts"
import { failureOf } from "../errors.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { answersByTopic, bounded, failureOfName, partitionsOnce } from "../requestElements.ts"

// DescribeProducers 0 (KIP-664): the idempotent producers that a partition remembers, the least recently used first, with their
// transactions. A partition knows the newest time of transactions; that of another producer stands in its newest batch, as long as that is
// there. A partition that is named again is answered once.

type Partition = ResponseInputOf<typeof DescribeProducers>["topics"][number]["partitions"][number]

const needs = { Topic: ["Read"] } as const

type Context = ContextOf<typeof needs>

/** The batches that one request looks into, of 64 KB and more each: the newest producers of each partition come first. */
const looksMax = 1000

interface Looks {
  left: number
}

/** Throws `JournalError` for a batch that cannot be read. */
const withTime = (
  context: Context,
  logId: number,
  looks: Looks,
  producer: ProducerDescription
): ProducerDescription => {
  const { lastTimestamp, lastBatchOffset } = producer
  if (lastTimestamp >= 0 || lastBatchOffset < 0 || looks.left === 0) return producer
  looks.left--
  const { logs } = context.node.broker.shards.ofLog(logId)
  const foundMs = logs.maxTimestampOfBatch(logs.log(logId), lastBatchOffset)
  return { ...producer, lastTimestamp: foundMs ?? lastTimestamp }
}

const describePartition = (
  context: Context,
  topic: string,
  partitionIndex: number,
  looks: Looks
): Answer<Partition> => {
  const refuse = (errorCode: number, errorMessage: string | null): Partition => ({
    partitionIndex,
    errorCode,
    errorMessage,
    activeProducers: []
  })
  const stream = context.topic("Read", topic)
  if (isFailure(stream)) {
    const { code, message } = failureOfName(stream, topic)
    return refuse(code, message)
  }
  const logId = stream.logIds[partitionIndex]
  if (logId === undefined) return refuse(KafkaError.UNKNOWN_TOPIC_OR_PARTITION, null)
  return context.ask(partitionActor(logId), { _tag: "DescribeProducers" }, (exit) => {
    if (Exit.isFailure(exit)) {
      const { code, message } = failureOf(exit.cause, KafkaError.NOT_LEADER_OR_FOLLOWER)
      return refuse(code, message)
    }
    try {
      const newestFirst = exit.value.producers.toReversed()
      const activeProducers = newestFirst.map((each) => withTime(context, logId, looks, each)).reverse()
      return { partitionIndex, errorCode: KafkaError.NONE, activeProducers }
    } catch (error) {
      if (!(error instanceof JournalError)) throw error
      context.node.broker.log.error("kafka: a log cannot be read", {
        stream: topic,
        partition: partitionIndex,
        error: error.message
      })
      return refuse(KafkaError.KAFKA_STORAGE_ERROR, null)
    }
  })
}

export const describeProducersHandler = handler(DescribeProducers, {
  serves: [0, 0],
  needs,
  handle: (context, request) => {
    const all = partitionsOnce(
      request.topics.map(({ name, partitionIndexes }) => [name, partitionIndexes] as const),
      (partitionIndex) => partitionIndex
    )
    const [some, violation] = bounded("DescribeProducers", "partitions", all)
    const looks = { left: looksMax }
    return after(
      answersByTopic(some, (topic, partitionIndex) => describePartition(context, topic, partitionIndex, looks)),
      (topics) => new Reply({ topics }, { violation })
    )
  }
})
