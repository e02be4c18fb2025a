import { partitionActor } from "@logbrook/actors/partition/Partition"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { DeleteRecords } from "@logbrook/protocols/kafka/messages/21_DeleteRecords"
import * as Exit from "effect/Exit"
import { after, type Answer } from "../Answer.ts"
import { failureOf } from "../errors.ts"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { answersByTopic, bounded, partitionsOnce } from "../requestElements.ts"

// DeleteRecords 0-2: the log start moves, also that of a bound stream, also while the disk is full; answered when it is
// durable. -1: to the end. A partition that is named again is answered once, and its last offset counts. Left out: waiting for
// a part of the timeout.

interface Deleted {
  readonly partitionIndex: number
  readonly lowWatermark: number
  readonly errorCode: KafkaErrorCode
}

const noWatermark = -1

const needs = { Topic: ["Delete"] } as const

interface Asked {
  readonly partitionIndex: number
  readonly offset: number
}

const deleteRecords = (
  context: ContextOf<typeof needs>,
  topic: string,
  { partitionIndex, offset }: Asked
): Answer<Deleted> => {
  const refuse = (errorCode: KafkaErrorCode): Deleted => ({ partitionIndex, lowWatermark: noWatermark, errorCode })
  const stream = context.topic("Delete", topic)
  if (isFailure(stream)) return refuse(stream.code)
  const logId = stream.logIds[partitionIndex]
  if (logId === undefined) return refuse(KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
  const { isCompacted, isExpiring } = effectiveConfig(stream.config)
  if (isCompacted && !isExpiring) return refuse(KafkaError.POLICY_VIOLATION)
  return context.ask(partitionActor(logId), { _tag: "MoveLogStart", offset, reason: "DeleteRecords" }, (exit) => {
    if (Exit.isFailure(exit)) return refuse(failureOf(exit.cause, KafkaError.NOT_LEADER_OR_FOLLOWER).code)
    const { logStartOffset } = exit.value
    return { partitionIndex, lowWatermark: logStartOffset, errorCode: KafkaError.NONE }
  })
}

export const deleteRecordsHandler = handler(DeleteRecords, {
  serves: [0, 2],
  needs,
  handle: (context, request) => {
    const all = partitionsOnce(
      request.topics.map(({ name, partitions }) => [name, partitions] as const),
      ({ partitionIndex }) => partitionIndex
    )
    const [some, violation] = bounded("DeleteRecords", "partitions", all)
    return after(
      answersByTopic(some, (topic, asked) => deleteRecords(context, topic, asked)),
      (topics) => new Reply({ throttleTimeMs: 0, topics }, { violation })
    )
  }
})
