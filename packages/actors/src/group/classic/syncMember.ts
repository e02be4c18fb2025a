import * as Exit from "effect/Exit"
import { hasAllMembersSynced, type Member } from "./classicContext.ts"
import { type Answer, apply, cancelDeadline, type Draft, growthExcess, park, refused } from "../groupDraft.ts"
import {
  contextOf,
  findMember,
  illegalGeneration,
  memberRefusal,
  nextTicket,
  rebalanceInProgress,
  releaseSync,
  sessionKey,
  stateNameOf,
  syncKey,
  touchSession
} from "./classicDraft.ts"
import type { MemberAssignment, Synced, SyncMember } from "../GroupProtocol.ts"
import { rebalanceOrCompleteJoin, removeMember } from "./rebalance.ts"

/** SyncGroup. Followers are parked until the leader's assignment is durable. */
export const syncMember = (draft: Draft, command: SyncMember): Answer | undefined => {
  const { memberId, generation, groupInstanceId } = command
  const context = contextOf(draft)
  const member = findMember(context, memberId, groupInstanceId)
  if (typeof member === "string") return memberRefusal(member, memberId)
  if (generation !== context.generation) return illegalGeneration(context, generation, memberId)
  if (
    (command.protocolType !== null && command.protocolType !== context.protocolType) ||
    (command.protocolName !== null && command.protocolName !== context.protocolName)
  ) {
    return refused("InconsistentGroupProtocol", "The group has chosen another protocol.", memberId)
  }
  switch (stateNameOf(draft)) {
    case "CompletingRebalance":
      return context.leader === memberId ? storeAssignment(draft, command, member) : awaitAssignment(draft, member)
    case "Stable":
      return answerStable(draft, member)
    default:
      return rebalanceInProgress(memberId)
  }
}

const syncedReply = (draft: Draft, memberId: string): Answer => {
  const { protocolType, protocolName, members } = contextOf(draft)
  const reply: Synced = {
    _tag: "Synced",
    protocolType: protocolType ?? "",
    protocolName: protocolName ?? "",
    assignment: members.get(memberId)?.assignment ?? new Uint8Array(0)
  }
  return Exit.succeed(reply)
}

const markSynced = (draft: Draft, { memberId }: Member): number => {
  const ticket = nextTicket(draft)
  apply(draft, { _tag: "MemberSynced", memberId, ticket })
  return ticket
}

const awaitAssignment = (draft: Draft, member: Member): undefined => {
  releaseSync(draft, member, rebalanceInProgress(member.memberId))
  park(draft, syncKey(member.memberId, markSynced(draft, member)))
  cancelDeadline(draft, sessionKey(member.memberId))
}

const storeAssignment = (draft: Draft, command: SyncMember, leader: Member): Answer => {
  const { members, generation } = contextOf(draft)
  // An assignment of a member that is not in this generation is not kept; a later one for the same member replaces the
  // earlier.
  const known = new Map(
    command.assignments.filter(({ memberId }) => members.has(memberId)).map((each) => [each.memberId, each])
  )
  const excess = excessOf(draft, known)
  if (excess !== undefined) return removeLeader(draft, leader, excess)
  markSynced(draft, leader)
  apply(draft, { _tag: "AssignmentStored", generation, assignments: [...known.values()] })
  const context = contextOf(draft)
  for (const member of context.members.values()) {
    if (member.syncTicket === 0) continue
    touchSession(draft, member)
    if (member.memberId !== leader.memberId) releaseSync(draft, member, syncedReply(draft, member.memberId))
  }
  if (hasAllMembersSynced(context)) cancelDeadline(draft, "sync")
  return syncedReply(draft, leader.memberId)
}

const excessOf = (draft: Draft, assignments: ReadonlyMap<string, MemberAssignment>): string | undefined => {
  const { memberMetadataBytesMax } = draft.settings
  let growth = 0
  for (const member of contextOf(draft).members.values()) {
    const assignedBytes = assignments.get(member.memberId)?.assignment.length ?? 0
    if (assignedBytes > memberMetadataBytesMax) {
      return `The assignment of ${member.memberId} is of ${assignedBytes} bytes; ${memberMetadataBytesMax} are the most.`
    }
    growth += assignedBytes - member.assignment.length
  }
  return growthExcess(draft, growth)
}

/** Nobody else can make this generation Stable, and the leader would only send the same again. */
const removeLeader = (draft: Draft, leader: Member, excess: string): Answer => {
  const { memberId } = leader
  removeMember(draft, leader, "assignment too large", excess)
  rebalanceOrCompleteJoin(draft, { memberId, reason: `the assignment by ${memberId} is too large` })
  return refused("GroupMaxSizeReached", excess, memberId)
}

const answerStable = (draft: Draft, member: Member): Answer => {
  if (member.syncTicket === 0) markSynced(draft, member)
  if (hasAllMembersSynced(contextOf(draft))) cancelDeadline(draft, "sync")
  touchSession(draft, member)
  return syncedReply(draft, member.memberId)
}
