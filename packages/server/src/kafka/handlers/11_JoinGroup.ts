import { randomUUID } from "node:crypto"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import * as Exit from "effect/Exit"
import { failureOf, type Failure } from "../errors.ts"
import { keptClientId, memberGroupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler } from "../Handler.ts"

// JoinGroup 0-9, classic groups: answered when the generation is complete. v4: MEMBER_ID_REQUIRED (KIP-394); v5: static
// members (KIP-345); v9: a leader may skip the assignment (KIP-814).

/** The greatest length of the client id in a member id. */
const prefixLengthMax = 255
const requireMemberIdVersionMin = 4
const nullProtocolVersionMin = 7
const skipAssignmentVersionMin = 9

export const joinGroupHandler = handler(JoinGroup, {
  serves: [0, 9],
  needs: { Group: ["Read"] },
  handle: (context, request, version) => {
    const { groupId, memberId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs, protocolType } = request
    const refuse = (errorCode: number, knownMemberId: string) => ({
      errorCode,
      protocolName: version >= nullProtocolVersionMin ? null : "",
      leader: "",
      memberId: knownMemberId === "" ? memberId : knownMemberId,
      members: []
    })
    const invalid = memberGroupIdError(groupId)
    if (invalid !== KafkaError.NONE) return refuse(invalid, "")
    const prefix = (groupInstanceId ?? context.clientId).slice(0, prefixLengthMax)
    const command = {
      _tag: "JoinMember",
      memberId,
      proposedMemberId: `${prefix}-${randomUUID()}`,
      groupInstanceId,
      clientId: keptClientId(context.clientId),
      clientHost: context.clientHost,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      protocolType,
      protocols: request.protocols,
      requireKnownMemberId: version >= requireMemberIdVersionMin,
      skipAssignmentSupported: version >= skipAssignmentVersionMin,
      reason: request.reason
    } as const
    const group = context.group("Read", groupId)
    if (isFailure(group)) return refuse(group.code, "")
    return context.ask(group, command, (exit) => {
      if (Exit.isFailure(exit)) {
        const failure: Failure = failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE)
        return refuse(failure.code, failure.memberId)
      }
      const { generation, protocolName, leader, skipAssignment, members } = exit.value
      return {
        errorCode: KafkaError.NONE,
        generationId: generation,
        protocolType: exit.value.protocolType,
        protocolName,
        leader,
        skipAssignment,
        memberId: exit.value.memberId,
        members
      }
    })
  }
})
