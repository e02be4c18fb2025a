import { type ActorId, nameOf } from "@logbrook/core/actor/Definition"
import { emptyContext, type GroupContext, type Member, type PendingMember } from "./groupContext.ts"
import { type GroupSnapshot, initialSnapshot, nextSnapshot, snapshotOf } from "./groupMachine.ts"
import { committed, forgotten, listOffsets, noOffsets, type OffsetTable, offsetTable } from "./groupOffsets.ts"
import type { CommittedOffset, GroupEvent, GroupStateName } from "./GroupProtocol.ts"

export interface GroupState {
  readonly groupId: string
  readonly machine: GroupSnapshot
  readonly offsets: OffsetTable
}

export const initialGroup = (id: ActorId): GroupState => ({
  groupId: nameOf(id),
  machine: initialSnapshot,
  offsets: noOffsets
})

/** No members, none expected, no offsets. Its generation is nobody's, so it may be forgotten. */
export const isEmptyGroup = ({ machine, offsets }: GroupState): boolean =>
  (machine.value === "Empty" || machine.value === "Dead") &&
  machine.context.members.size === 0 &&
  machine.context.pending.size === 0 &&
  offsets.size === 0

/**
 * A group with nothing to remember is one that never was, whether or not the runtime has dropped it in between:
 * so a replay, which drops nothing, comes to the same state as the life that it repeats.
 */
export const settled = (state: GroupState): GroupState =>
  isEmptyGroup(state) ? { groupId: state.groupId, machine: initialSnapshot, offsets: noOffsets } : state

export const evolveGroup = (before: GroupState, event: GroupEvent): GroupState => {
  const state = settled(before)
  switch (event._tag) {
    case "OffsetsCommitted":
      return { ...state, offsets: committed(state.offsets, event.offsets, event.atMs) }
    case "OffsetsForgotten":
      return { ...state, offsets: forgotten(state.offsets, event.topicIds) }
    case "GroupDeleted":
      return { ...state, machine: nextSnapshot(state.machine, event), offsets: noOffsets }
    default:
      return { ...state, machine: nextSnapshot(state.machine, event) }
  }
}

interface SavedGroup extends Omit<GroupContext, "members" | "pending"> {
  readonly state: GroupStateName
  readonly members: ReadonlyArray<Member>
  readonly pending: ReadonlyArray<PendingMember>
  readonly offsets: ReadonlyArray<CommittedOffset>
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
    offsets: listOffsets(offsets)
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
  return { groupId: nameOf(id), machine: snapshotOf(state, context), offsets: offsetTable(offsets) }
}
