import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import * as Exit from "effect/Exit"
import { failureOf } from "../errors.ts"
import { memberGroupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler } from "../Handler.ts"

// Heartbeat 0-4: keeps a member's session; tells of a rebalance by REBALANCE_IN_PROGRESS.

export const heartbeatHandler = handler(Heartbeat, {
  serves: [0, 4],
  needs: { Group: ["Read"] },
  handle: (context, request) => {
    const { groupId, generationId: generation, memberId, groupInstanceId } = request
    const invalid = memberGroupIdError(groupId)
    if (invalid !== KafkaError.NONE) return { errorCode: invalid }
    const command = { _tag: "Heartbeat", generation, memberId, groupInstanceId } as const
    const group = context.group("Read", groupId)
    if (isFailure(group)) return { errorCode: group.code }
    return context.ask(group, command, (exit) => {
      const errorCode = Exit.isFailure(exit)
        ? failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE).code
        : KafkaError.NONE
      return { errorCode }
    })
  }
})
