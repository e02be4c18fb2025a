import * as Exit from "effect/Exit"
import { memberCommitted, refuseMembersCommit } from "../classic/Classic.ts"
import { contextOf } from "../classic/classicDraft.ts"
import { consumerProtocolType } from "../classic/subscriptions.ts"
import { type Answer, apply, applyAs, type Draft, growthExcess, refused } from "../groupDraft.ts"
import type {
  CommitOffsets,
  DeleteOffsets,
  ForgetStreams,
  GroupEvent,
  GroupSettings,
  OffsetsCommand,
  OffsetsRemoved,
  OffsetsStored,
  OffsetToCommit,
  RemovedOffset
} from "../GroupProtocol.ts"
import { evolveGroup, groupStateName, type GroupState, isEmptyGroup, subscribedTopicsOf } from "../groupState.ts"
import { expireOffsets } from "./offsetExpiry.ts"
import { committedOffset, fetched } from "./offsetTable.ts"

export const decideOffsets = (draft: Draft, command: OffsetsCommand): Answer => {
  switch (command._tag) {
    case "CommitOffsets":
      return commitOffsets(draft, command)
    case "FetchOffsets":
      return Exit.succeed({ _tag: "OffsetsFetched", offsets: fetched(draft.state.offsets, command.partitions) })
    case "ForgetStreams":
      return forgetStreams(draft, command)
    case "DeleteOffsets":
      return deleteOffsets(draft, command)
    case "ExpireOffsets":
      expireOffsets(draft, command.dueMs)
      return Exit.succeed({ _tag: "Done" })
  }
}

/** Why this commit is not the group's; undefined: it is. */
const refuseCommit = (draft: Draft, command: CommitOffsets): Answer | undefined => {
  const { generation, memberId } = command
  if (generation < 0 && groupStateName(draft.state) === "Empty") return undefined
  // A group that never was, or was forgotten: the client's generation is from another life.
  if (generation >= 0 && isEmptyGroup(draft.state)) {
    return refused("GroupIdNotFound", "The commit is not of a member of this generation.", memberId)
  }
  return refuseMembersCommit(draft, command)
}

const commitOffsets = (draft: Draft, command: CommitOffsets): Answer => {
  const { memberId, generation, offsets } = command
  if (draft.state.groupId.length > draft.settings.nameLengthMax)
    return refused("InvalidGroupId", "The group id is too long.")
  const refusal = refuseCommit(draft, command)
  if (refusal !== undefined) return refusal
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
  memberCommitted(draft, memberId)
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
    deleted.set(`${partition}/${topicId}`, { topicId, stream, partition, offset: offset.offset })
  }
  if (deleted.size > 0) apply(draft, { _tag: "OffsetsDeleted", offsets: [...deleted.values()] })
  const reply: OffsetsRemoved = { _tag: "OffsetsRemoved", partitions }
  return Exit.succeed(reply)
}
