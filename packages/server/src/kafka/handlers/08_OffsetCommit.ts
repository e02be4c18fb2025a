import type { OffsetToCommit } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import * as Exit from "effect/Exit"
import { failureOf, offsetCode } from "../errors.ts"
import { groupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler } from "../Handler.ts"
import { offsetToCommit } from "../offsetsToCommit.ts"

// OffsetCommit 2-10: of group members, and with generation -1 of simple consumers while the group is empty. Offsets hang on
// the topic id, by which v10 names topics. v9: GROUP_ID_NOT_FOUND. The group id may be empty. Left out: the retention time of v2-4, which Kafka ignores too (KIP-211), and KIP-848 members.

interface Result {
  readonly partitionIndex: number
  errorCode: number
}

/** Clients of older versions know only that the generation is not the group's. */
const groupIdNotFoundVersionMin = 9

const topicIdVersionMin = 10

const versioned = (code: KafkaErrorCode, version: number): KafkaErrorCode =>
  code === KafkaError.GROUP_ID_NOT_FOUND && version < groupIdNotFoundVersionMin ? KafkaError.ILLEGAL_GENERATION : code

export const offsetCommitHandler = handler(OffsetCommit, {
  serves: [2, 10],
  needs: { Group: ["Read"], Topic: ["Read"] },
  handle: (context, request, version) => {
    const offsets: Array<OffsetToCommit> = []
    const known: Array<Result> = []
    const topics = request.topics.map(({ name, topicId: askedId, partitions }) => {
      const stream = version >= topicIdVersionMin ? context.topicById("Read", askedId) : context.topic("Read", name)
      return {
        name,
        topicId: askedId,
        partitions: partitions.map((asked) => {
          const { partitionIndex } = asked
          const offset = offsetToCommit(stream, asked)
          if (typeof offset === "number") return { partitionIndex, errorCode: offset as number }
          const result: Result = { partitionIndex, errorCode: KafkaError.NONE }
          offsets.push(offset)
          known.push(result)
          return result
        })
      }
    })
    const { groupId } = request
    const group = context.group("Read", groupId)
    const invalid = isFailure(group) ? group.code : groupIdError(groupId)
    if (invalid !== KafkaError.NONE) for (const result of known) result.errorCode = invalid
    if (known.length === 0 || isFailure(group) || invalid !== KafkaError.NONE) return { topics }
    const { generationIdOrMemberEpoch: generation, memberId, groupInstanceId } = request
    const command = { _tag: "CommitOffsets", generation, memberId, groupInstanceId, offsets } as const
    return context.ask(group, command, (exit) => {
      known.forEach((result, i) => {
        result.errorCode = Exit.isFailure(exit)
          ? versioned(failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE).code, version)
          : offsetCode(exit.value.partitions[i]!.refused)
      })
      return { topics }
    })
  }
})
