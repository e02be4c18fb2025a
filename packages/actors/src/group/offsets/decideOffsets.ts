import * as Exit from "effect/Exit"
import { memberCommitted, refuseMembersCommit, refuseWhileAssigning } from "../classic/Classic.ts"
import { contextOf } from "../classic/classicDraft.ts"
import { consumerProtocolType } from "../classic/subscriptions.ts"
import { type Answer, apply, applyAs, type Draft, growthExcess, refused } from "../groupDraft.ts"
import type {
  AddPendingOffsets,
  CommitOffsets,
  CompletePending,
  DeleteOffsets,
  FetchedOffset,
  FetchOffsets,
  ForgetStreams,
  GroupEvent,
  GroupSettings,
  OffsetsCommand,
  OffsetsRemoved,
  OffsetsStored,
  OffsetToCommit,
  RemovedOffset
} from "../GroupProtocol.ts"
import {
  contentBytesOf,
  evolveGroup,
  groupStateName,
  type GroupState,
  hasOffsetsOf,
  isEmptyGroup,
  subscribedTopicsOf
} from "../groupState.ts"
import { expireOffsets } from "./offsetExpiry.ts"
import { committedOffset, fetched, keyOf, neverCommitted } from "./offsetTable.ts"
import { isPending, pendingOf } from "./pendingOffsets.ts"

export const decideOffsets = (draft: Draft, command: OffsetsCommand): Answer => {
  switch (command._tag) {
    case "CommitOffsets":
      return commitOffsets(draft, command)
    case "AddPendingOffsets":
      return addPendingOffsets(draft, command)
    case "CompletePending":
      return completePending(draft, command)
    case "FetchOffsets":
      return fetchOffsets(draft.state, command)
    case "ForgetStreams":
      return forgetStreams(draft, command)
    case "DeleteOffsets":
      return deleteOffsets(draft, command)
    case "ExpireOffsets":
      expireOffsets(draft, command.dueMs)
      return Exit.succeed({ _tag: "Done" })
  }
}

const refuseGroupId = ({ state, settings }: Draft): Answer | undefined =>
  state.groupId.length > settings.nameLengthMax ? refused("InvalidGroupId", "The group id is too long.") : undefined

/** Why this commit is not the group's; undefined: it is. */
const refuseCommit = (draft: Draft, command: CommitOffsets | AddPendingOffsets): Answer | undefined => {
  const { generation, memberId } = command
  if (generation < 0 && groupStateName(draft.state) === "Empty") return undefined
  // A group that never was, or was forgotten: the client's generation is from another life.
  if (generation >= 0 && isEmptyGroup(draft.state)) {
    return refused("GroupIdNotFound", "The commit is not of a member of this generation.", memberId)
  }
  return refuseMembersCommit(draft, command)
}

const commitOffsets = (draft: Draft, command: CommitOffsets): Answer => {
  const { memberId, generation } = command
  const refusal = refuseGroupId(draft) ?? refuseCommit(draft, command) ?? refuseWhileAssigning(draft, memberId)
  if (refusal !== undefined) return refusal
  const who = { memberId, generation }
  const stored = store(draft, command, (offsets) => ({ _tag: "OffsetsCommitted", ...who, atMs: draft.nowMs, offsets }))
  if (Exit.isSuccess(stored)) memberCommitted(draft, memberId)
  return stored
}

/** Keeps the offsets that may be kept, if the group has room for them, by the event that `eventOf` makes of them. */
const store = (
  draft: Draft,
  { offsets, memberId }: CommitOffsets | AddPendingOffsets,
  eventOf: (accepted: ReadonlyArray<OffsetToCommit>) => GroupEvent
): Answer => {
  const outcome = outcomeOf(draft, offsets)
  const accepted = offsetsOnce(offsets.filter((_, i) => outcome[i]?.refused === null))
  if (accepted.length > 0) {
    const event = eventOf(accepted)
    const next = evolveGroup(draft.state, event)
    const excess = excessOf(draft, next)
    if (excess !== undefined) return refused("InvalidCommitOffsetSize", excess, memberId)
    applyAs(draft, event, next)
  }
  return Exit.succeed({ _tag: "OffsetsStored", partitions: outcome })
}

/** As of Kafka's classic groups: a client that tells no generation may be one that cannot (before v3), or one without a group. */
const refusePending = (draft: Draft, command: AddPendingOffsets): Answer | undefined => {
  const { generation, memberId, groupInstanceId } = command
  if (generation < 0 && memberId === "" && groupInstanceId === null) return undefined
  return refuseCommit(draft, command)
}

const addPendingOffsets = (draft: Draft, command: AddPendingOffsets): Answer => {
  const { producerId, producerEpoch, memberId, generation } = command
  const refusal = refuseGroupId(draft) ?? refusePending(draft, command)
  if (refusal !== undefined) return refusal
  const who = { producerId, producerEpoch, memberId, generation }
  return store(draft, command, (offsets) => ({ _tag: "PendingOffsetsAdded", ...who, offsets }))
}

/** Told by the transaction's coordinator, perhaps more than once. */
const completePending = (draft: Draft, { producerId, outcome }: CompletePending): Answer => {
  if (pendingOf(draft.state.pending, producerId).length > 0) {
    apply(draft, { _tag: "PendingOffsetsCompleted", producerId, outcome, atMs: draft.nowMs })
  }
  return Exit.succeed({ _tag: "Done" })
}

const fetchOffsets = ({ offsets, pending }: GroupState, { partitions, requireStable }: FetchOffsets): Answer => {
  const found = fetched(offsets, partitions)
  if (!requireStable || pending.count === 0) return Exit.succeed({ _tag: "OffsetsFetched", offsets: found })
  const stable = found.map((each): FetchedOffset =>
    isPending(pending, each) ? { ...neverCommitted(each), stream: each.stream, isUnstable: true } : each
  )
  return Exit.succeed({ _tag: "OffsetsFetched", offsets: stable })
}

/** Each partition once: of one that is named again the last counts, as for Kafka. */
const offsetsOnce = (offsets: ReadonlyArray<OffsetToCommit>): ReadonlyArray<OffsetToCommit> => [
  ...new Map(offsets.map((each) => [keyOf(each), each])).values()
]

const outcomeOf = (draft: Draft, offsets: ReadonlyArray<OffsetToCommit>): OffsetsStored["partitions"] =>
  offsets.map((each) => ({ ...partitionOf(each), refused: refuseOffset(draft.settings, each) }))

const partitionOf = ({ topicId, partition }: OffsetToCommit) => ({ topicId, partition })

/** As in Kafka an offset may be any: kafkajs commits -1 and -2 for "the end" and "the beginning", and finds none later. */
const refuseOffset = (
  settings: GroupSettings,
  { metadata }: OffsetToCommit
): OffsetsStored["partitions"][number]["refused"] =>
  metadata.length > settings.offsetMetadataLengthMax ? "OffsetMetadataTooLarge" : null

const offsetCountOf = ({ offsets, pending }: GroupState): number => offsets.count + pending.count

/** Which bound the commit would break. */
const excessOf = (draft: Draft, next: GroupState): string | undefined => {
  const { settings, state } = draft
  if (offsetCountOf(next) > Math.max(settings.offsetsMax, offsetCountOf(state))) {
    return `A group keeps at most ${settings.offsetsMax} offsets.`
  }
  return growthExcess(draft, contentBytesOf(next) - contentBytesOf(state))
}

const forgetStreams = (draft: Draft, command: ForgetStreams): Answer => {
  const topicIds = command.topicIds.filter((topicId) => hasOffsetsOf(draft.state, topicId))
  if (topicIds.length > 0) apply(draft, { _tag: "OffsetsForgotten", topicIds })
  return Exit.succeed({ _tag: "StreamsForgotten" })
}

/** A group of other than consumers says not what it subscribes to: while it has members, none of its offsets goes. */
const deleteOffsets = (draft: Draft, command: DeleteOffsets): Answer => {
  if (isEmptyGroup(draft.state)) return refused("GroupIdNotFound", "There is no such group.")
  const subscribed = subscribedTopicsOf(draft.state)
  if (subscribed === undefined && contextOf(draft).protocolType !== consumerProtocolType) {
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
    deleted.set(keyOf(offset), { topicId, stream, partition, offset: offset.offset })
  }
  if (deleted.size > 0) apply(draft, { _tag: "OffsetsDeleted", offsets: [...deleted.values()] })
  const reply: OffsetsRemoved = { _tag: "OffsetsRemoved", partitions }
  return Exit.succeed(reply)
}
