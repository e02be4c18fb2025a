import { type DeleteOffsets, type OffsetsRemoved } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetDelete } from "@logbrook/protocols/kafka/messages/47_OffsetDelete"
import * as Exit from "effect/Exit"
import { failureOf, removalCode } from "../errors.ts"
import { memberGroupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler } from "../Handler.ts"

// OffsetDelete 0 (KIP-496): offsets of topics that no member subscribes to (GROUP_SUBSCRIBED_TO_TOPIC), of others than
// consumers only while the group has no members (NON_EMPTY_GROUP). An offset that was never committed counts as deleted.

interface Result {
  readonly partitionIndex: number
  errorCode: number
}

const refuse = (errorCode: number) => ({ errorCode, topics: [] })

export const offsetDeleteHandler = handler(OffsetDelete, {
  serves: [0, 0],
  needs: { Group: ["Delete"], Topic: ["Read"] },
  handle: (context, request) => {
    const { groupId } = request
    const partitions: Array<DeleteOffsets["partitions"][number]> = []
    const known: Array<Result> = []
    const topics = request.topics.map(({ name, partitions: asked }) => {
      const stream = context.topic("Read", name)
      return {
        name,
        partitions: asked.map(({ partitionIndex }): Result => {
          if (isFailure(stream)) return { partitionIndex, errorCode: stream.code }
          if (stream.logIds[partitionIndex] === undefined) {
            return { partitionIndex, errorCode: KafkaError.UNKNOWN_TOPIC_OR_PARTITION }
          }
          const result: Result = { partitionIndex, errorCode: KafkaError.NONE }
          partitions.push({ topicId: stream.topicId, stream: name, partition: partitionIndex })
          known.push(result)
          return result
        })
      }
    })
    const invalid = memberGroupIdError(groupId)
    if (invalid !== KafkaError.NONE) return refuse(invalid)
    const group = context.group("Delete", groupId)
    if (isFailure(group)) return refuse(group.code)
    return context.ask(group, { _tag: "DeleteOffsets", partitions }, (exit) => {
      if (Exit.isFailure(exit)) return refuse(failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE).code)
      tell(known, exit.value)
      return { errorCode: KafkaError.NONE, topics }
    })
  }
})

const tell = (results: ReadonlyArray<Result>, { partitions }: OffsetsRemoved): void =>
  results.forEach((result, i) => {
    result.errorCode = removalCode(partitions[i]!.refused)
  })
