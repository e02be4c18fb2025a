import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { DeleteGroups } from "@logbrook/protocols/kafka/messages/42_DeleteGroups"
import * as Exit from "effect/Exit"
import { afterAll, type Answer } from "../Answer.ts"
import { failureOf } from "../errors.ts"
import { groupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"

// DeleteGroups 0-2 (KIP-229): each group by itself, with its offsets; NON_EMPTY_GROUP while it has members. Answered when all
// is durable. The group id may be empty. A group can be deleted while the disk is full.

interface Deleted {
  readonly groupId: string
  readonly errorCode: KafkaErrorCode
}

const needs = { Group: ["Delete"] } as const

const deleteGroup = (context: ContextOf<typeof needs>, groupId: string): Answer<Deleted> => {
  const invalid = groupIdError(groupId)
  if (invalid !== KafkaError.NONE) return { groupId, errorCode: invalid }
  const group = context.group("Delete", groupId)
  if (isFailure(group)) return { groupId, errorCode: group.code }
  return context.ask(group, { _tag: "DeleteGroup" }, (exit) => {
    const errorCode = Exit.isFailure(exit)
      ? failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE).code
      : KafkaError.NONE
    return { groupId, errorCode }
  })
}

export const deleteGroupsHandler = handler(DeleteGroups, {
  serves: [0, 2],
  needs,
  handle: (context, request) => {
    // Clients find the answers by their names.
    const [asked, violation] = bounded("DeleteGroups", "groups", [...new Set(request.groupsNames)])
    const deleted = asked.map((groupId) => deleteGroup(context, groupId))
    return afterAll(deleted, (results) => new Reply({ results }, { violation }))
  }
})
