import * as Exit from "effect/Exit"
import {
  hasAllMembersJoined,
  hasAllMembersSynced,
  type ClassicContext,
  type Member,
  noBytes,
  rebalanceTimeoutMs,
  selectProtocol
} from "./classicContext.ts"
import { apply, cancelDeadline, type Draft, setDeadline } from "../groupDraft.ts"
import {
  contextOf,
  memberRefusal,
  pendingKey,
  rebalanceInProgress,
  releaseJoin,
  releaseSync,
  sessionKey,
  stateNameOf,
  touchSession
} from "./classicDraft.ts"
import type { Joined, LeaveReason, PendingLeaveReason } from "../GroupProtocol.ts"

export interface Cause {
  readonly memberId: string
  readonly reason: string
}

/** The reply that tells a member of the current generation; the leader also learns of all members. */
export const joinedReply = (context: ClassicContext, memberId: string, listMembers: boolean): Joined => {
  const { generation, protocolType, protocolName, leader, members } = context
  const metadataOf = (member: Member) =>
    member.protocols.find((each) => each.name === protocolName)?.metadata ?? noBytes
  return {
    _tag: "Joined",
    generation,
    protocolType: protocolType ?? "",
    protocolName: protocolName ?? "",
    leader: leader ?? "",
    memberId,
    skipAssignment: false,
    members: listMembers
      ? [...members.values()].map((member) => ({
          memberId: member.memberId,
          groupInstanceId: member.groupInstanceId,
          metadata: metadataOf(member)
        }))
      : []
  }
}

/** Removes a member and answers what it has parked. The caller does what follows for the group: `rebalanceOrCompleteJoin`. */
export const removeMember = (draft: Draft, member: Member, reason: LeaveReason, detail: string | null): void => {
  const { memberId, groupInstanceId } = member
  releaseJoin(draft, member, memberRefusal("UnknownMemberId", memberId))
  if (stateNameOf(draft) === "CompletingRebalance") {
    releaseSync(draft, member, memberRefusal("UnknownMemberId", memberId))
  }
  cancelDeadline(draft, sessionKey(memberId))
  apply(draft, { _tag: "MemberLeft", memberId, groupInstanceId, reason, detail })
}

/** A rebalance if a generation is disturbed; in one that is under way perhaps its end. */
export const rebalanceOrCompleteJoin = (draft: Draft, cause: Cause): void => {
  if (stateNameOf(draft) === "PreparingRebalance") maybeCompleteJoin(draft)
  else startRebalance(draft, cause)
}

/** An initial rebalance waits for its deadline, lest three members that start together rebalance thrice. */
export const maybeCompleteJoin = (draft: Draft): void => {
  const context = contextOf(draft)
  if (stateNameOf(draft) !== "PreparingRebalance" || context.initialRebalance) return
  if (hasAllMembersJoined(context)) completeJoin(draft)
}

const startRebalance = (draft: Draft, { memberId, reason }: Cause): void => {
  const initial = stateNameOf(draft) === "Empty"
  if (stateNameOf(draft) === "CompletingRebalance") {
    for (const member of contextOf(draft).members.values()) {
      if (member.syncTicket === 0) continue
      releaseSync(draft, member, rebalanceInProgress(member.memberId))
      touchSession(draft, member)
    }
  }
  if (!initial) cancelDeadline(draft, "sync")
  apply(draft, { _tag: "RebalanceStarted", memberId, reason, initial })
  const context = contextOf(draft)
  const { initialRebalanceDelayMs } = draft.settings
  if (initial && initialRebalanceDelayMs > 0) {
    awaitJoins(draft, initialRebalanceDelayMs, rebalanceTimeoutMs(context) - initialRebalanceDelayMs)
  } else if (hasAllMembersJoined(context)) completeJoin(draft)
  else awaitJoins(draft, rebalanceTimeoutMs(context), 0)
}

const awaitJoins = (draft: Draft, delayMs: number, remainingMs: number): void => {
  const { generation, tickets } = contextOf(draft)
  setDeadline(draft, "rebalance", delayMs, {
    _tag: "CompleteJoin",
    generation,
    ticketsSeen: tickets,
    remainingMs: Math.max(remainingMs, 0)
  })
}

/** The deadline of the join phase: more time for an initial rebalance that members still come to, else its end. */
export const joinPhaseOver = (
  draft: Draft,
  command: { readonly generation: number; readonly ticketsSeen: number; readonly remainingMs: number }
): void => {
  const context = contextOf(draft)
  if (stateNameOf(draft) !== "PreparingRebalance" || context.generation !== command.generation) return
  const { initialRebalanceDelayMs } = draft.settings
  if (context.initialRebalance && command.remainingMs > 0 && context.tickets > command.ticketsSeen) {
    const delayMs = Math.min(initialRebalanceDelayMs, command.remainingMs)
    awaitJoins(draft, delayMs, command.remainingMs - delayMs)
  } else completeJoin(draft)
}

/** The next generation, of all that have joined and of static members that may come back. */
const completeJoin = (draft: Draft): void => {
  for (const member of contextOf(draft).members.values()) {
    if (member.joinTicket === 0 && member.groupInstanceId === null) {
      removeMember(draft, member, "rebalance timeout", null)
    }
  }
  const before = contextOf(draft)
  const leader = electLeader(before)
  if (leader === null && before.members.size > 0) {
    // Only static members are left, and none has come: their sessions decide.
    awaitJoins(draft, rebalanceTimeoutMs(before), 0)
    return
  }
  const protocolName = leader === null ? null : selectProtocol(before)
  cancelDeadline(draft, "rebalance")
  const completed = { _tag: "RebalanceCompleted", generation: before.generation + 1, protocolName, leader } as const
  apply(draft, leader === null ? { ...completed, emptySinceMs: draft.nowMs } : completed)
  const context = contextOf(draft)
  for (const member of before.members.values()) {
    const reply = joinedReply(context, member.memberId, member.memberId === leader)
    releaseJoin(draft, member, Exit.succeed(reply))
    touchSession(draft, member)
  }
  if (leader !== null) awaitSyncs(draft)
}

/** The old leader if it has come, else the first that has. */
const electLeader = ({ leader, members }: ClassicContext): string | null => {
  if (leader !== null && (members.get(leader)?.joinTicket ?? 0) > 0) return leader
  for (const member of members.values()) if (member.joinTicket > 0) return member.memberId
  return null
}

const awaitSyncs = (draft: Draft): void => {
  const context = contextOf(draft)
  const { generation } = context
  setDeadline(draft, "sync", rebalanceTimeoutMs(context), { _tag: "ExpireSync", generation })
}

/** Drops the members that joined a generation and never synced. */
export const syncPhaseOver = (draft: Draft, generation: number): void => {
  const context = contextOf(draft)
  const state = stateNameOf(draft)
  if ((state !== "CompletingRebalance" && state !== "Stable") || context.generation !== generation) return
  if (hasAllMembersSynced(context)) return
  const late = [...context.members.values()].filter((member) => member.syncTicket === 0)
  for (const member of late) removeMember(draft, member, "sync timeout", null)
  const ids = late.map((member) => member.memberId)
  startRebalance(draft, { memberId: ids[0] ?? "", reason: `no SyncGroup in time from ${listIds(ids)}` })
}

export const expireMember = (draft: Draft, memberId: string): void => {
  const member = contextOf(draft).members.get(memberId)
  if (member === undefined) return
  const state = stateNameOf(draft)
  // A connection with a parked request sends nothing else, so silence proves nothing. A new member's join is
  // parked for a bounded time all the same: a client that retries under a new id would otherwise pile up.
  if (member.joinTicket > 0 && !member.isNew) return
  if (member.syncTicket > 0 && state === "CompletingRebalance") return
  removeMember(draft, member, "session expired", null)
  rebalanceOrCompleteJoin(draft, { memberId, reason: `session of ${memberId} expired` })
}

export const removePending = (draft: Draft, memberId: string, reason: PendingLeaveReason): void => {
  cancelDeadline(draft, pendingKey(memberId))
  apply(draft, { _tag: "PendingMemberLeft", memberId, reason })
}

/** For reasons: the first few, since a group may have a thousand. */
export const listIds = (ids: ReadonlyArray<string>): string =>
  ids.length <= 3 ? ids.join(", ") : `${ids.slice(0, 3).join(", ")} and ${ids.length - 3} more`
