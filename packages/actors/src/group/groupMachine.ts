import { assign, initialTransition, setup, type SnapshotFrom, transition } from "xstate"
import { emptyContext, foldContext, type GroupContext, type MachineJournalEvent } from "./groupContext.ts"
import type { GroupStateName } from "./GroupProtocol.ts"

/** A journal event as xstate wants it: the same, with its tag as `type` too. */
type Typed<E> = E extends { readonly _tag: infer Tag } ? E & { readonly type: Tag } : never

/**
 * The states of Kafka's classic group. Machine events are journal events; the only action folds the context,
 * which `foldContext` does. Deadlines, replies and refusals are `decide`'s.
 *
 * | State | What it does | Where it goes |
 * |---|---|---|
 * | Empty | has no members, perhaps offsets; hands out member ids, takes the first member; refuses heartbeats and syncs; offsets without a generation | `RebalanceStarted` → PreparingRebalance; `GroupDeleted` → Dead |
 * | PreparingRebalance | parks joins; heartbeats and syncs learn of the rebalance; who has not joined by the deadline is dropped, static members excepted | `RebalanceCompleted` → CompletingRebalance, or Empty if nobody is left |
 * | CompletingRebalance | parks followers' syncs until the leader's assignment; refuses offsets | `AssignmentStored` → Stable; a join with other protocols, a member gone: `RebalanceStarted` → PreparingRebalance |
 * | Stable | answers syncs with the assignment and heartbeats; takes offsets | a new member, a leader's join, changed protocols, a member gone: `RebalanceStarted` → PreparingRebalance |
 * | Dead | is deleted; the next event finds a group that never was | nowhere |
 *
 * A static member that comes back while the group is Stable (`MemberReplaced`) changes no state.
 */
export const groupMachine = setup({
  types: { context: {} as GroupContext, events: {} as Typed<MachineJournalEvent> },
  actions: {
    fold: assign(({ context, event }) => foldContext(context, event)),
    refuse: assign(({ event }) => {
      throw new Error(`the journal holds ${event.type} in a state that does not take it`)
    })
  },
  guards: { hasMembers: ({ context }) => context.members.size > 0 }
}).createMachine({
  id: "group",
  initial: "Empty",
  context: emptyContext,
  on: {
    MemberIdAssigned: { actions: "fold" },
    PendingMemberLeft: { actions: "fold" },
    "*": { actions: "refuse" }
  },
  states: {
    Empty: {
      on: {
        MemberJoined: { actions: "fold" },
        RebalanceStarted: { target: "PreparingRebalance", actions: "fold" },
        GroupDeleted: { target: "Dead", actions: "fold" }
      }
    },
    PreparingRebalance: {
      on: {
        MemberJoined: { actions: "fold" },
        MemberUpdated: { actions: "fold" },
        MemberReplaced: { actions: "fold" },
        MemberLeft: { actions: "fold" },
        ParkedRepliesForgotten: { actions: "fold" },
        RebalanceCompleted: [
          { guard: "hasMembers", target: "CompletingRebalance", actions: "fold" },
          { target: "Empty", actions: "fold" }
        ]
      }
    },
    CompletingRebalance: {
      on: {
        MemberJoined: { actions: "fold" },
        MemberUpdated: { actions: "fold" },
        MemberReplaced: { actions: "fold" },
        MemberLeft: { actions: "fold" },
        MemberSynced: { actions: "fold" },
        ParkedRepliesForgotten: { actions: "fold" },
        AssignmentStored: { target: "Stable", actions: "fold" },
        RebalanceStarted: { target: "PreparingRebalance", actions: "fold" }
      }
    },
    Stable: {
      on: {
        MemberJoined: { actions: "fold" },
        MemberUpdated: { actions: "fold" },
        MemberReplaced: { actions: "fold" },
        MemberLeft: { actions: "fold" },
        MemberSynced: { actions: "fold" },
        RebalanceStarted: { target: "PreparingRebalance", actions: "fold" }
      }
    },
    Dead: { type: "final" }
  }
})

export type GroupSnapshot = SnapshotFrom<typeof groupMachine>

export const initialSnapshot: GroupSnapshot = initialTransition(groupMachine)[0]

/** Throws for an event that the state does not take. */
export const nextSnapshot = (snapshot: GroupSnapshot, event: MachineJournalEvent): GroupSnapshot =>
  transition(groupMachine, snapshot, { ...event, type: event._tag } as Typed<MachineJournalEvent>)[0]

export const snapshotOf = (value: GroupStateName, context: GroupContext): GroupSnapshot =>
  groupMachine.resolveState({ value, context })
