import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { SyncGroup } from "@logbrook/protocols/kafka/messages/14_SyncGroup"
import * as Exit from "effect/Exit"
import { failureOf } from "../errors.ts"
import { memberGroupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler } from "../Handler.ts"

// SyncGroup 0-5: the leader brings the assignment, everybody gets its part once it is durable.

/** From here on a member says which protocol it believes the group to have (KIP-559). */
const namedProtocolVersionMin = 5

const noBytes = new Uint8Array(0)

const refuse = (errorCode: number) => ({ errorCode, assignment: noBytes })

export const syncGroupHandler = handler(SyncGroup, {
  serves: [0, 5],
  needs: { Group: ["Read"] },
  handle: (context, request, version) => {
    const { groupId, generationId: generation, memberId, groupInstanceId, protocolType, protocolName } = request
    const invalid = memberGroupIdError(groupId)
    if (invalid !== KafkaError.NONE) return refuse(invalid)
    const isUnnamed = protocolType === null || protocolName === null
    if (version >= namedProtocolVersionMin && isUnnamed) return refuse(KafkaError.INCONSISTENT_GROUP_PROTOCOL)
    const { assignments } = request
    const command = { _tag: "SyncMember", generation, memberId, groupInstanceId, protocolType, protocolName } as const
    const group = context.group("Read", groupId)
    if (isFailure(group)) return refuse(group.code)
    return context.ask(group, { ...command, assignments }, (exit) => {
      if (Exit.isFailure(exit)) return refuse(failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE).code)
      const { protocolType: type, protocolName: name, assignment } = exit.value
      return { errorCode: KafkaError.NONE, protocolType: type, protocolName: name, assignment }
    })
  }
})
