import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { DeleteGroups } from "@logbrook/protocols/kafka/messages/42_DeleteGroups"
import * as Exit from "effect/Exit"
import { failureOf, firstError } from "../errors.ts"
import { groupIdError } from "../groupIds.ts"
import { handler, type RequestContext } from "../Handler.ts"

// DeleteGroups 0-2 (KIP-229): each group by itself, with its offsets; NON_EMPTY_GROUP while it has members. Answered when all
// is durable. The group id may be empty. A group can be deleted while the disk is full.

/** More in one request are refused: each is a command of its own. */
const groupsMax = 1000

interface Deleted {
  readonly groupId: string
  readonly errorCode: KafkaErrorCode
}

const deleteGroup = (context: RequestContext, groupId: string, settle: (deleted: Deleted) => void): void => {
  const invalid = groupIdError(groupId)
  if (invalid !== KafkaError.NONE) return settle({ groupId, errorCode: invalid })
  return context.ask(groupActor(groupId), { _tag: "DeleteGroup" }, (exit) => {
    const errorCode = Exit.isFailure(exit)
      ? failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE).code
      : KafkaError.NONE
    settle({ groupId, errorCode })
  })
}

export const deleteGroupsHandler = handler(DeleteGroups, [0, 2], (context, request, _version, respond) => {
  const results: Array<Deleted> = []
  // Clients find the answers by their names.
  const asked = [...new Set(request.groupsNames)]
  if (asked.length > groupsMax) context.violation(`DeleteGroups of ${asked.length} groups`)
  const groups = asked.slice(0, groupsMax)
  let open = groups.length
  if (open === 0) return respond({ results })
  groups.forEach((groupId, i) =>
    deleteGroup(context, groupId, (deleted) => {
      results[i] = deleted
      if (--open === 0) respond({ results }, firstError(results))
    })
  )
  return undefined
})
