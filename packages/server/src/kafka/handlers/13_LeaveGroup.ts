import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { LeaveGroup } from "@logbrook/protocols/kafka/messages/13_LeaveGroup"
import * as Exit from "effect/Exit"
import { failureOf, firstError, leaveCode } from "../errors.ts"
import { memberGroupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler } from "../Handler.ts"

// LeaveGroup 0-5: one member, from v3 on several, static ones by their instance id (KIP-345).

const severalVersionMin = 3

export const leaveGroupHandler = handler(LeaveGroup, {
  serves: [0, 5],
  needs: { Group: ["Read"] },
  handle: (context, request, version) => {
    const { groupId } = request
    const invalid = memberGroupIdError(groupId)
    if (invalid !== KafkaError.NONE) return { errorCode: invalid }
    const leaving =
      version >= severalVersionMin
        ? request.members
        : [{ memberId: request.memberId, groupInstanceId: null, reason: null }]
    const group = context.group("Read", groupId)
    if (isFailure(group)) return { errorCode: group.code }
    return context.ask(group, { _tag: "LeaveMembers", members: leaving }, (exit) => {
      if (Exit.isFailure(exit)) {
        const { code } = failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE)
        return { errorCode: code }
      }
      const members = exit.value.members.map(({ memberId, groupInstanceId, refused }) => ({
        memberId,
        groupInstanceId,
        errorCode: leaveCode(refused)
      }))
      const first = firstError(members)
      return { errorCode: version >= severalVersionMin ? KafkaError.NONE : first, members }
    })
  }
})
