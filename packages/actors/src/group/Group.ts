import type { Definition, Signal } from "@logbrook/core/actor/Definition"
import { unbounded } from "@logbrook/core/memory/MemoryAccount"
import * as Exit from "effect/Exit"
import { hasAllMembersSynced, noBytes, rebalanceTimeoutMs, staticMemberId } from "./groupContext.ts"
import {
  type Answer,
  apply,
  applyAs,
  cancelDeadline,
  contextOf,
  decisionOf,
  type Draft,
  draftOf,
  findMember,
  growthExcess,
  illegalGeneration,
  memberRefusal,
  pendingKey,
  rebalanceInProgress,
  refused,
  sessionKey,
  stateNameOf,
  touchSession
} from "./groupDraft.ts"
import { committedOffset, fetched } from "./groupOffsets.ts"
import {
  type Command,
  type CommitOffsets,
  type DeleteOffsets,
  defaultGroupSettings,
  type ForgetStreams,
  type GroupEvent,
  GroupKind,
  type GroupRefusal,
  type GroupSettings,
  type Heartbeat,
  type LeaveMembers,
  type LeavingMember,
  type MembersLeft,
  type OffsetsRemoved,
  type OffsetsStored,
  type OffsetToCommit,
  type RemovedOffset
} from "./GroupProtocol.ts"
import {
  evolveGroup,
  type GroupState,
  initialGroup,
  isEmptyGroup,
  loadGroup,
  saveGroup,
  settled,
  weightBytesOf
} from "./groupState.ts"
import { joinMember } from "./joinMember.ts"
import { expireOffsets, resumeOffsets, watchOffsets } from "./offsetExpiry.ts"
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
import { consumerProtocolType, subscribedTopics } from "./subscriptions.ts"
import { syncMember } from "./syncMember.ts"

export type GroupDefinition = Definition<typeof GroupKind, GroupState>

/** The coordinator of one classic consumer group, `group/<groupId>`, as Apache Kafka's `GroupMetadataManager` is one. */
export const makeGroup = (settings: GroupSettings = defaultGroupSettings): GroupDefinition => ({
  kind: GroupKind.name,
  version: 1,
  isPersistent: true,
  initial: initialGroup,
  decide: (state, command, nowMs, room = unbounded) => {
    const before = settled(state)
    const draft = draftOf(settings, before, nowMs, room("groups"))
    const answer = handle(draft, command)
    watchOffsets(draft, before)
    return decisionOf(draft, answer)
  },
  evolve: evolveGroup,
  resume: (state, nowMs) => [...resume(state, nowMs), ...resumeOffsets(state, settings, nowMs)],
  save: saveGroup,
  load: (id, saved) => loadGroup(id, saved as ReturnType<typeof saveGroup>),
  weights: [{ holder: "groups", perActor, bytesOf: weightBytesOf }],
  isEmpty: isEmptyGroup
})

/** Of memory: an actor that is in memory, beside its id and its state. */
const perActor = 600

const done: Answer = Exit.succeed({ _tag: "Done" })

/** undefined: the reply is parked. */
const handle = (draft: Draft, command: Command): Answer | undefined => {
  switch (command._tag) {
    case "JoinMember":
      return joinMember(draft, command)
    case "SyncMember":
      return syncMember(draft, command)
    case "Heartbeat":
      return heartbeat(draft, command)
    case "LeaveMembers":
      return leaveMembers(draft, command)
    case "CommitOffsets":
      return commitOffsets(draft, command)
    case "FetchOffsets":
      return Exit.succeed({ _tag: "OffsetsFetched", offsets: fetched(draft.state.offsets, command.partitions) })
    case "ForgetStreams":
      return forgetStreams(draft, command)
    case "DeleteOffsets":
      return deleteOffsets(draft, command)
    case "DeleteGroup":
      return deleteGroup(draft)
    case "Describe":
      return describe(draft)
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
    case "ExpireOffsets":
      expireOffsets(draft, command.dueMs)
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

/** Why this commit is not the group's, or null. Kafka: `validateOffsetCommit`. */
const refuseCommit = (draft: Draft, { memberId, groupInstanceId, generation }: CommitOffsets): GroupRefusal | null => {
  const context = contextOf(draft)
  const state = stateNameOf(draft)
  if (generation < 0 && state === "Empty") return null
  // A group that never was, or was forgotten: the client's generation is from another life.
  if (generation >= 0 && isEmptyGroup(draft.state)) return "GroupIdNotFound"
  const member = findMember(context, memberId, groupInstanceId)
  if (typeof member === "string") return member
  if (generation !== context.generation) return "IllegalGeneration"
  return state === "CompletingRebalance" ? "RebalanceInProgress" : null
}

const commitOffsets = (draft: Draft, command: CommitOffsets): Answer => {
  const { memberId, generation, offsets } = command
  if (draft.state.groupId.length > draft.settings.nameLengthMax)
    return refused("InvalidGroupId", "The group id is too long.")
  const context = contextOf(draft)
  const refusal = refuseCommit(draft, command)
  if (refusal === "IllegalGeneration") return illegalGeneration(context, generation, memberId)
  if (refusal !== null) return refused(refusal, "The commit is not of a member of this generation.", memberId)
  const outcome = offsets.map((each) => ({ ...partitionOf(each), refused: refuseOffset(draft.settings, each) }))
  const accepted = offsets.filter((_, i) => outcome[i]?.refused === null)
  if (accepted.length > 0) {
    const event: GroupEvent = {
      _tag: "OffsetsCommitted",
      memberId,
      generation,
      atMs: draft.nowMs,
      offsets: accepted
    }
    const next = evolveGroup(draft.state, event)
    const excess = excessOf(draft, next)
    if (excess !== undefined) return refused("InvalidCommitOffsetSize", excess, memberId)
    applyAs(draft, event, next)
  }
  const member = context.members.get(memberId)
  if (member !== undefined && member.joinTicket === 0) touchSession(draft, member)
  const reply: OffsetsStored = { _tag: "OffsetsStored", partitions: outcome }
  return Exit.succeed(reply)
}

const partitionOf = ({ topicId, partition }: OffsetToCommit) => ({ topicId, partition })

/** As in Kafka an offset may be any: kafkajs commits -1 and -2 for "the end" and "the beginning", and finds none later. */
const refuseOffset = (
  settings: GroupSettings,
  { metadata }: OffsetToCommit
): OffsetsStored["partitions"][number]["refused"] =>
  metadata.length > settings.offsetMetadataLengthMax ? "OffsetMetadataTooLarge" : null

/** Which bound the commit would break. */
const excessOf = (draft: Draft, next: GroupState): string | undefined => {
  const { settings, state } = draft
  if (next.offsets.count > Math.max(settings.offsetsMax, state.offsets.count)) {
    return `A group keeps at most ${settings.offsetsMax} offsets.`
  }
  return growthExcess(draft, next.offsets.weightBytes - state.offsets.weightBytes)
}

const forgetStreams = (draft: Draft, command: ForgetStreams): Answer => {
  const topicIds = command.topicIds.filter((topicId) => draft.state.offsets.topics.has(topicId))
  if (topicIds.length > 0) apply(draft, { _tag: "OffsetsForgotten", topicIds })
  return Exit.succeed({ _tag: "StreamsForgotten" })
}

/** A group of other than consumers says not what it subscribes to: while it has members, none of its offsets goes. */
const deleteOffsets = (draft: Draft, command: DeleteOffsets): Answer => {
  if (isEmptyGroup(draft.state)) return refused("GroupIdNotFound", "There is no such group.")
  const context = contextOf(draft)
  const subscribed = subscribedTopics(context)
  if (subscribed === undefined && context.protocolType !== consumerProtocolType) {
    return refused("NonEmptyGroup", "The group has members.")
  }
  const partitions = command.partitions.map(({ topicId, stream, partition }) => {
    const isUsed = subscribed === undefined || subscribed.has(stream)
    return { topicId, partition, refused: isUsed ? ("GroupSubscribedToTopic" as const) : null }
  })
  const deleted = new Map<string, RemovedOffset>()
  for (const each of partitions) {
    const offset = each.refused === null ? committedOffset(draft.state.offsets, each) : undefined
    if (offset === undefined) continue
    const { topicId, stream, partition } = offset
    deleted.set(`${partition}/${topicId}`, { topicId, stream, partition, offset: offset.offset })
  }
  if (deleted.size > 0) apply(draft, { _tag: "OffsetsDeleted", offsets: [...deleted.values()] })
  const reply: OffsetsRemoved = { _tag: "OffsetsRemoved", partitions }
  return Exit.succeed(reply)
}

const deleteGroup = (draft: Draft): Answer => {
  if (isEmptyGroup(draft.state)) return refused("GroupIdNotFound", "There is no such group.")
  if (stateNameOf(draft) !== "Empty") return refused("NonEmptyGroup", "The group has members.")
  for (const memberId of contextOf(draft).pending.keys()) cancelDeadline(draft, pendingKey(memberId))
  apply(draft, { _tag: "GroupDeleted" })
  return Exit.succeed({ _tag: "GroupGone" })
}

const describe = (draft: Draft): Answer => {
  if (isEmptyGroup(draft.state)) return refused("GroupIdNotFound", "There is no such group.")
  const { generation, leader, members, pending, protocolName, protocolType } = contextOf(draft)
  const state = stateNameOf(draft)
  const stable = state === "Stable"
  return Exit.succeed({
    _tag: "GroupDescription",
    groupId: draft.state.groupId,
    state,
    generation,
    protocolType: protocolType ?? "",
    protocolName: stable ? (protocolName ?? "") : "",
    leader,
    members: [...members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: (stable ? member.protocols.find((each) => each.name === protocolName)?.metadata : undefined) ?? noBytes,
      assignment: stable ? member.assignment : noBytes
    })),
    pendingMembers: pending.size,
    committedOffsets: draft.state.offsets.count
  })
}

const forgetParkedReplies = (draft: Draft, ticketsUpTo: number): void => {
  const state = stateNameOf(draft)
  if (state !== "PreparingRebalance" && state !== "CompletingRebalance") return
  apply(draft, { _tag: "ParkedRepliesForgotten", ticketsUpTo })
  maybeCompleteJoin(draft)
}

/** Everybody has a whole session to come back in; who was parked must ask again, for its connection is gone. */
const resume = ({ machine }: GroupState, nowMs: number): ReadonlyArray<Signal<typeof GroupKind>> => {
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
