import { partitionActor } from "@logbrook/actors/partition/Partition"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { DeleteRecords } from "@logbrook/protocols/kafka/messages/21_DeleteRecords"
import * as Exit from "effect/Exit"
import { failureOf, firstError } from "../errors.ts"
import { handler, type RequestContext } from "../Handler.ts"

// DeleteRecords 0-2: the log start moves, also that of a bound stream, also while the disk is full; answered when it is
// durable. -1: to the end. Left out: waiting for a part of the timeout.

interface Deleted {
  readonly partitionIndex: number
  readonly lowWatermark: number
  readonly errorCode: KafkaErrorCode
}

const noWatermark = -1

const deleteRecords = (
  context: RequestContext,
  topic: string,
  { partitionIndex, offset }: { readonly partitionIndex: number; readonly offset: number },
  settle: (deleted: Deleted) => void
): void => {
  const refuse = (errorCode: KafkaErrorCode): void => settle({ partitionIndex, lowWatermark: noWatermark, errorCode })
  const stream = context.node.broker.directory.byName(topic)
  const logId = stream?.logIds[partitionIndex]
  if (stream === undefined || logId === undefined) return refuse(KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
  if (!effectiveConfig(stream.config).isExpiring) return refuse(KafkaError.POLICY_VIOLATION)
  return context.ask(partitionActor(logId), { _tag: "MoveLogStart", offset, reason: "DeleteRecords" }, (exit) => {
    if (Exit.isFailure(exit)) return refuse(failureOf(exit.cause, KafkaError.NOT_LEADER_OR_FOLLOWER).code)
    const { logStartOffset } = exit.value
    return settle({ partitionIndex, lowWatermark: logStartOffset, errorCode: KafkaError.NONE })
  })
}

export const deleteRecordsHandler = handler(DeleteRecords, [0, 2], (context, request, _version, respond) => {
  const topics = request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }): Deleted => {
      return { partitionIndex, lowWatermark: noWatermark, errorCode: KafkaError.NONE }
    })
  }))
  let open = request.topics.reduce((sum, { partitions }) => sum + partitions.length, 0)
  if (open === 0) return respond({ throttleTimeMs: 0, topics })
  request.topics.forEach(({ name, partitions }, i) =>
    partitions.forEach((asked, j) =>
      deleteRecords(context, name, asked, (deleted) => {
        const answered = topics[i]!.partitions
        answered[j] = deleted
        if (--open === 0)
          respond({ throttleTimeMs: 0, topics }, firstError(topics.flatMap((topic) => topic.partitions)))
      })
    )
  )
  return undefined
})
