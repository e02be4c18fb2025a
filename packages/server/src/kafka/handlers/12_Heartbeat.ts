import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import * as Exit from "effect/Exit"
import { failureOf } from "../errors.ts"
import { memberGroupIdError } from "../groupIds.ts"
import { handler } from "../Handler.ts"

// Heartbeat 0-4: keeps a member's session; tells of a rebalance by REBALANCE_IN_PROGRESS.

export const heartbeatHandler = handler(Heartbeat, [0, 4], (context, request, _version, respond) => {
  const { groupId, generationId: generation, memberId, groupInstanceId } = request
  const invalid = memberGroupIdError(groupId)
  if (invalid !== KafkaError.NONE) return respond({ errorCode: invalid }, invalid)
  const command = { _tag: "Heartbeat", generation, memberId, groupInstanceId } as const
  return context.ask(groupActor(groupId), command, (exit) => {
    const errorCode = Exit.isFailure(exit)
      ? failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE).code
      : KafkaError.NONE
    respond({ errorCode }, errorCode)
  })
})
