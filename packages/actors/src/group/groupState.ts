import { type ActorId, nameOf } from "@logbrook/core/actor/Definition"
import {
  emptyContext,
  type GroupContext,
  type MachineJournalEvent,
  type Member,
  type PendingMember
} from "./groupContext.ts"
import { type GroupSnapshot, initialSnapshot, nextSnapshot, snapshotOf } from "./groupMachine.ts"
import { committed, forgotten, listOffsets, noOffsets, type OffsetTable, offsetTable, removed } from "./groupOffsets.ts"
import type { CommittedOffset, GroupEvent, GroupStateName } from "./GroupProtocol.ts"
import { contextWeightChange, weightOfContext, weightOfGroup } from "./groupWeight.ts"

export interface GroupState {
  readonly groupId: string
  readonly machine: GroupSnapshot
  readonly offsets: OffsetTable
  /** Of members and pending members: see `groupWeight.ts`. Kept by `evolve`, not saved. */
  readonly membersBytes: number
}

const groupThatNeverWas = (groupId: string): GroupState => ({
  groupId,
  machine: initialSnapshot,
  offsets: noOffsets,
  membersBytes: 0
})

export const initialGroup = (id: ActorId): GroupState => groupThatNeverWas(nameOf(id))

/** About the bytes of memory that the group takes, of its members and offsets and all their names; 0 for one that is empty. */
export const weightBytesOf = ({ groupId, offsets, membersBytes }: GroupState): number =>
  weightOfGroup(groupId, membersBytes + offsets.weightBytes)

/** No members, none expected, no offsets. Its generation is nobody's, so it may be forgotten. */
export const isEmptyGroup = ({ machine, offsets }: GroupState): boolean =>
  (machine.value === "Empty" || machine.value === "Dead") &&
  machine.context.members.size === 0 &&
  machine.context.pending.size === 0 &&
  offsets.count === 0

/**
 * A group with nothing to remember is one that never was, whether or not the runtime has dropped it in between:
 * so a replay, which drops nothing, comes to the same state as the life that it repeats.
 */
export const settled = (state: GroupState): GroupState =>
  isEmptyGroup(state) ? groupThatNeverWas(state.groupId) : state

const machineMoved = (state: GroupState, event: MachineJournalEvent): GroupState => {
  const machine = nextSnapshot(state.machine, event)
  const change = contextWeightChange(state.machine.context, machine.context, event)
  return { ...state, machine, membersBytes: state.membersBytes + change }
}

export const evolveGroup = (before: GroupState, event: GroupEvent): GroupState => {
  const state = settled(before)
  switch (event._tag) {
    case "OffsetsCommitted":
      return { ...state, offsets: committed(state.offsets, event.offsets, event.atMs) }
    case "OffsetsForgotten":
      return { ...state, offsets: forgotten(state.offsets, event.topicIds) }
    case "OffsetsExpired":
    case "OffsetsDeleted":
      return { ...state, offsets: removed(state.offsets, event.offsets) }
    case "GroupDeleted":
      return { ...machineMoved(state, event), offsets: noOffsets }
    default:
      return machineMoved(state, event)
  }
}

interface SavedGroup extends Omit<GroupContext, "members" | "pending" | "emptySinceMs"> {
  readonly state: GroupStateName
  readonly members: ReadonlyArray<Member>
  readonly pending: ReadonlyArray<PendingMember>
  readonly offsets: ReadonlyArray<CommittedOffset>
  /** Left out while it is null, so that a state of before it was kept has the hash that was journaled of it. */
  readonly emptySinceMs?: number
}

/** All groups with nothing to remember are saved alike, so that their hashes agree whether one was dropped or not. */
export const saveGroup = (state: GroupState): SavedGroup => {
  const { machine, offsets } = settled(state)
  const { members, pending, ...rest } = machine.context
  return {
    state: machine.value,
    generation: rest.generation,
    protocolType: rest.protocolType,
    protocolName: rest.protocolName,
    leader: rest.leader,
    tickets: rest.tickets,
    initialRebalance: rest.initialRebalance,
    members: [...members.values()],
    pending: [...pending.values()],
    offsets: listOffsets(offsets),
    ...(rest.emptySinceMs === null ? {} : { emptySinceMs: rest.emptySinceMs })
  }
}

export const loadGroup = (id: ActorId, saved: SavedGroup): GroupState => {
  const { state, members, pending, offsets, ...rest } = saved
  const context: GroupContext = {
    ...emptyContext,
    ...rest,
    members: new Map(members.map((member) => [member.memberId, member])),
    pending: new Map(pending.map((member) => [member.memberId, member]))
  }
  return {
    groupId: nameOf(id),
    machine: snapshotOf(state, context),
    offsets: offsetTable(offsets),
    membersBytes: weightOfContext(context)
  }
}
