import type { Signal } from "@logbrook/core/actor/Definition"
import * as Exit from "effect/Exit"
import { type Answer, apply, cancelDeadline, type Draft, refused } from "../groupDraft.ts"
import type {
  ClassicCommand,
  Command,
  CommitOffsets,
  Done,
  GroupDescription,
  GroupKind,
  GroupRefusal,
  Heartbeat,
  LeaveMembers,
  LeavingMember,
  MembersLeft
} from "../GroupProtocol.ts"
import { hasAllMembersSynced, noBytes, rebalanceTimeoutMs, staticMemberId } from "./classicContext.ts"
import {
  contextOf,
  findMember,
  illegalGeneration,
  memberRefusal,
  pendingKey,
  rebalanceInProgress,
  sessionKey,
  stateNameOf,
  touchSession
} from "./classicDraft.ts"
import type { ClassicProtocol } from "./classicState.ts"
import { joinMember } from "./joinMember.ts"
import {
  expireMember,
  joinPhaseOver,
  listIds,
  maybeCompleteJoin,
  rebalanceOrCompleteJoin,
  removeMember,
  removePending,
  syncPhaseOver
} from "./rebalance.ts"
import { syncMember } from "./syncMember.ts"

const done: Exit.Exit<Done> = Exit.succeed({ _tag: "Done" })

/** undefined: the reply is parked. */
export const decideClassic = (draft: Draft, command: ClassicCommand): Answer | undefined => {
  switch (command._tag) {
    case "JoinMember":
      return joinMember(draft, command)
    case "SyncMember":
      return syncMember(draft, command)
    case "Heartbeat":
      return heartbeat(draft, command)
    case "LeaveMembers":
      return leaveMembers(draft, command)
    case "ExpireMember":
      expireMember(draft, command.memberId)
      return done
    case "ExpirePendingMember":
      if (contextOf(draft).pending.has(command.memberId)) removePending(draft, command.memberId, "session expired")
      maybeCompleteJoin(draft)
      return done
    case "CompleteJoin":
      joinPhaseOver(draft, command)
      return done
    case "ExpireSync":
      syncPhaseOver(draft, command.generation)
      return done
    case "ForgetParkedReplies":
      forgetParkedReplies(draft, command.ticketsUpTo)
      return done
  }
}

/** During a rebalance a heartbeat keeps the session and is answered `RebalanceInProgress`. */
const heartbeat = (draft: Draft, { memberId, groupInstanceId, generation }: Heartbeat): Answer => {
  const context = contextOf(draft)
  const member = findMember(context, memberId, groupInstanceId)
  if (typeof member === "string") return memberRefusal(member, memberId)
  if (generation !== context.generation) return illegalGeneration(context, generation, memberId)
  if (member.joinTicket === 0) touchSession(draft, member)
  return stateNameOf(draft) === "PreparingRebalance"
    ? rebalanceInProgress(memberId)
    : Exit.succeed({ _tag: "HeartbeatAccepted" })
}

const leaveMembers = (draft: Draft, { members }: LeaveMembers): Answer => {
  const gone: Array<string> = []
  const outcome = (leaving: LeavingMember): MembersLeft["members"][number] => {
    const { memberId, groupInstanceId } = leaving
    return { memberId, groupInstanceId, refused: leaveMember(draft, leaving, gone) }
  }
  const reply: MembersLeft = { _tag: "MembersLeft", members: members.map(outcome) }
  const memberId = gone[0]
  if (memberId === undefined) maybeCompleteJoin(draft)
  else rebalanceOrCompleteJoin(draft, { memberId, reason: `${listIds(gone)} left` })
  return Exit.succeed(reply)
}

const leaveMember = (draft: Draft, leaving: LeavingMember, gone: Array<string>) => {
  const { groupInstanceId, reason } = leaving
  const context = contextOf(draft)
  if (context.pending.has(leaving.memberId)) {
    removePending(draft, leaving.memberId, "left")
    return null
  }
  // An operator removes a static member by its instance id alone (KIP-345).
  const byInstance = leaving.memberId === "" && groupInstanceId !== null
  const memberId = byInstance ? (staticMemberId(context, groupInstanceId) ?? "") : leaving.memberId
  const member = findMember(context, memberId, groupInstanceId)
  if (typeof member === "string") return member
  removeMember(draft, member, "left", reason === null ? null : reason.slice(0, 255))
  gone.push(member.memberId)
  return null
}

const forgetParkedReplies = (draft: Draft, ticketsUpTo: number): void => {
  const state = stateNameOf(draft)
  if (state !== "PreparingRebalance" && state !== "CompletingRebalance") return
  apply(draft, { _tag: "ParkedRepliesForgotten", ticketsUpTo })
  maybeCompleteJoin(draft)
}

/** Why a commit is not one of a member of this generation; undefined: it is. Kafka: `validateOffsetCommit`. */
export const refuseMembersCommit = (
  draft: Draft,
  { memberId, groupInstanceId, generation }: Pick<CommitOffsets, "memberId" | "groupInstanceId" | "generation">
): Answer | undefined => {
  const context = contextOf(draft)
  const member = findMember(context, memberId, groupInstanceId)
  if (typeof member === "string") return refusedCommit(member, memberId)
  if (generation !== context.generation) return illegalGeneration(context, generation, memberId)
  return undefined
}

/** Nobody has its partitions yet; a transaction may commit what was read before. */
export const refuseWhileAssigning = (draft: Draft, memberId: string): Answer | undefined =>
  stateNameOf(draft) === "CompletingRebalance" ? refusedCommit("RebalanceInProgress", memberId) : undefined

const refusedCommit = (reason: GroupRefusal, memberId: string): Answer =>
  refused(reason, "The commit is not of a member of this generation.", memberId)

/** A member's commit shows that it lives, unless its join is parked. */
export const memberCommitted = (draft: Draft, memberId: string): void => {
  const member = contextOf(draft).members.get(memberId)
  if (member !== undefined && member.joinTicket === 0) touchSession(draft, member)
}

/** The group is deleted: cancels the deadlines of those that were given a member id and have not joined. */
export const forgetPending = (draft: Draft): void => {
  for (const memberId of contextOf(draft).pending.keys()) cancelDeadline(draft, pendingKey(memberId))
}

export const describeClassic = ({
  machine
}: ClassicProtocol): Omit<GroupDescription, "_tag" | "groupId" | "state" | "committedOffsets"> => {
  const { generation, leader, members, pending, protocolName, protocolType } = machine.context
  const isStable = machine.value === "Stable"
  return {
    generation,
    protocolType: protocolType ?? "",
    protocolName: isStable ? (protocolName ?? "") : "",
    leader,
    members: [...members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata:
        (isStable ? member.protocols.find((each) => each.name === protocolName)?.metadata : undefined) ?? noBytes,
      assignment: isStable ? member.assignment : noBytes
    })),
    pendingMembers: pending.size
  }
}

/** Everybody has a whole session to come back in; who was parked must ask again, for its connection is gone. */
export const resumeClassic = ({ machine }: ClassicProtocol, nowMs: number): ReadonlyArray<Signal<typeof GroupKind>> => {
  const { members, pending, generation, tickets } = machine.context
  const signals: Array<Signal<typeof GroupKind>> = []
  const arm = (key: string, delayMs: number, command: Command) =>
    signals.push({ _tag: "SetDeadline", key, atMs: nowMs + delayMs, command })
  for (const { memberId, sessionTimeoutMs } of members.values()) {
    arm(sessionKey(memberId), sessionTimeoutMs, { _tag: "ExpireMember", memberId })
  }
  for (const { memberId, sessionTimeoutMs } of pending.values()) {
    arm(pendingKey(memberId), sessionTimeoutMs, { _tag: "ExpirePendingMember", memberId })
  }
  const timeoutMs = rebalanceTimeoutMs(machine.context)
  const preparing = machine.value === "PreparingRebalance"
  const completing = machine.value === "CompletingRebalance"
  if (preparing || completing) arm("replies", 0, { _tag: "ForgetParkedReplies", ticketsUpTo: tickets })
  if (preparing) {
    arm("rebalance", timeoutMs, { _tag: "CompleteJoin", generation, ticketsSeen: tickets, remainingMs: 0 })
  }
  if (completing || (machine.value === "Stable" && !hasAllMembersSynced(machine.context))) {
    arm("sync", timeoutMs, { _tag: "ExpireSync", generation })
  }
  return signals
}
