import { partitionActor } from "@logbrook/actors/partition/Partition"
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
// transactions. Left out: when a producer without transactions has written last. A partition that is named again is answered once.

type Partition = ResponseInputOf<typeof DescribeProducers>["topics"][number]["partitions"][number]

const needs = { Topic: ["Read"] } as const

const describePartition = (
  context: ContextOf<typeof needs>,
  topic: string,
  partitionIndex: number
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
    return { partitionIndex, errorCode: KafkaError.NONE, activeProducers: exit.value.producers }
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
    return after(
      answersByTopic(some, (topic, partitionIndex) => describePartition(context, topic, partitionIndex)),
      (topics) => new Reply({ topics }, { violation })
    )
  }
})
