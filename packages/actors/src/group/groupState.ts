import { type ActorId, nameOf } from "@logbrook/core/actor/Definition"
import { persistentStates } from "@logbrook/core/actor/States"
import {
  type ClassicProtocol,
  evolveClassic,
  hasNobody,
  loadClassic,
  type SavedClassic,
  saveClassic
} from "./classic/classicState.ts"
import { subscribedTopics } from "./classic/subscriptions.ts"
import {
  committed,
  forgotten,
  listOffsets,
  noOffsets,
  type OffsetTable,
  offsetTable,
  removed
} from "./offsets/offsetTable.ts"
import {
  hasPendingTopic,
  loadPending,
  nothingPending,
  pendingAdded,
  pendingCompleted,
  pendingForgotten,
  pendingOf,
  pendingOutdated,
  pendingRemoved,
  type PendingTable,
  type SavedPending,
  savePending
} from "./offsets/pendingOffsets.ts"
import { type CommittedOffset, type GroupEvent, GroupKind, type GroupStateName } from "./GroupProtocol.ts"
import { weightOfGroup } from "./groupWeight.ts"

/** How the members of a group share its partitions. */
export type MembershipProtocol = ClassicProtocol

/** A group is its committed offsets and, once somebody has asked for membership, the protocol of its members. */
export interface GroupState {
  readonly groupId: string
  readonly offsets: OffsetTable
  /** Offsets of transactions that are not over. */
  readonly pending: PendingTable
  /** Undefined in a group that never had members, as that of a simple consumer. */
  readonly protocol: MembershipProtocol | undefined
}

export const GroupStates = persistentStates<GroupState>()(GroupKind)

const groupThatNeverWas = (groupId: string): GroupState => ({
  groupId,
  offsets: noOffsets,
  pending: nothingPending,
  protocol: undefined
})

export const initialGroup = (id: ActorId): GroupState => groupThatNeverWas(nameOf(id))

export const groupStateName = ({ protocol }: GroupState): GroupStateName => protocol?.machine.value ?? "Empty"

export const generationOf = ({ protocol }: GroupState): number => protocol?.machine.context.generation ?? 0

export const memberCountOf = ({ protocol }: GroupState): number => protocol?.machine.context.members.size ?? 0

/** When the last member left, Unix ms; undefined: it has members, never had any, or the journal is too old to tell. */
export const emptySinceMsOf = ({ protocol }: GroupState): number | undefined =>
  protocol?.machine.context.emptySinceMs ?? undefined

const noTopics: ReadonlySet<string> = new Set()

/** Undefined: not known, see `subscribedTopics`. */
export const subscribedTopicsOf = ({ protocol }: GroupState): ReadonlySet<string> | undefined =>
  protocol === undefined ? noTopics : subscribedTopics(protocol.machine.context)

/** Whether offsets of this topic are committed, or pending. */
export const hasOffsetsOf = ({ offsets, pending }: GroupState, topicId: string): boolean =>
  offsets.topics.has(topicId) || hasPendingTopic(pending, topicId)

export const contentBytesOf = ({ offsets, pending, protocol }: GroupState): number =>
  offsets.weightBytes + pending.weightBytes + (protocol?.membersBytes ?? 0)

/** About the bytes of memory that the group takes, of its members and offsets and all their names; 0 for one that is empty. */
export const weightBytesOf = (state: GroupState): number => weightOfGroup(state.groupId, contentBytesOf(state))

/** No members, none expected, no offsets, nor any to come. Its generation is nobody's, so it may be forgotten. */
export const isEmptyGroup = ({ offsets, pending, protocol }: GroupState): boolean =>
  offsets.count === 0 && pending.count === 0 && (protocol === undefined || hasNobody(protocol))

/**
 * A group with nothing to remember is one that never was, whether or not the runtime has dropped it in between:
 * so a replay, which drops nothing, comes to the same state as the life that it repeats.
 */
export const emptyAsNew = (state: GroupState): GroupState =>
  isEmptyGroup(state) ? groupThatNeverWas(state.groupId) : state

export const evolveGroup = (before: GroupState, event: GroupEvent): GroupState => {
  const state = emptyAsNew(before)
  switch (event._tag) {
    case "OffsetsCommitted":
      return {
        ...state,
        offsets: committed(state.offsets, event.offsets, event.atMs),
        pending: pendingOutdated(state.pending, event.offsets)
      }
    case "PendingOffsetsAdded":
      return { ...state, pending: pendingAdded(state.pending, event.producerId, event.offsets) }
    case "PendingOffsetsCompleted":
      return completePending(state, event)
    case "OffsetsForgotten":
      return {
        ...state,
        offsets: forgotten(state.offsets, event.topicIds),
        pending: pendingForgotten(state.pending, event.topicIds)
      }
    case "OffsetsExpired":
    case "OffsetsDeleted":
      return {
        ...state,
        offsets: removed(state.offsets, event.offsets),
        pending: pendingRemoved(state.pending, event.offsets)
      }
    case "GroupDeleted":
      if (groupStateName(state) !== "Empty") throw new Error("the journal deletes a group that has members")
      return groupThatNeverWas(state.groupId)
    default:
      return { ...state, protocol: evolveClassic(state.protocol, event) }
  }
}

const completePending = (
  state: GroupState,
  { producerId, outcome, atMs }: Extract<GroupEvent, { readonly _tag: "PendingOffsetsCompleted" }>
): GroupState => {
  const own = pendingOf(state.pending, producerId).filter(({ isOutdated }) => !isOutdated)
  const pending = pendingCompleted(state.pending, producerId)
  if (outcome === "abort") return { ...state, pending }
  return { ...state, offsets: committed(state.offsets, own, atMs), pending: pendingOutdated(pending, own) }
}

export interface SavedGroup {
  readonly offsets: ReadonlyArray<CommittedOffset>
  /** Left out while there are none. */
  readonly pending?: ReadonlyArray<SavedPending>
  readonly protocol: SavedClassic | null
}

export const groupStateVersion = 2

/** Version 1 had the classic protocol's fields beside the offsets, also in a group without one. */
type SavedGroup1 = Omit<SavedClassic, "_tag"> & Pick<SavedGroup, "offsets">

/** Throws for a version that never was. */
export const upcastGroup = (saved: unknown, version: number): SavedGroup => {
  if (version !== 1) throw new Error(`no group was ever saved in version ${version}`)
  const { offsets, ...classic } = saved as SavedGroup1
  const { state, generation, members, pending } = classic
  const isUnused = state === "Empty" && generation === 0 && members.length === 0 && pending.length === 0
  return { offsets, protocol: isUnused ? null : { _tag: "Classic", ...classic } }
}

/** All groups with nothing to remember are saved alike, so that their hashes agree whether one was dropped or not. */
export const saveGroup = (state: GroupState): SavedGroup => {
  const { offsets, pending, protocol } = emptyAsNew(state)
  return {
    offsets: listOffsets(offsets),
    ...(pending.count > 0 && { pending: savePending(pending) }),
    protocol: protocol === undefined ? null : saveClassic(protocol)
  }
}

export const loadGroup = (id: ActorId, { offsets, pending = [], protocol }: SavedGroup): GroupState => ({
  groupId: nameOf(id),
  offsets: offsetTable(offsets),
  pending: loadPending(pending),
  protocol: protocol === null ? undefined : loadClassic(protocol)
})
