import { assign, initialTransition, setup, type SnapshotFrom, transition } from "xstate"
import { emptyContext, foldContext, type ClassicContext, type ClassicEvent } from "./classicContext.ts"

/** A journal event as xstate wants it: the same, with its tag as `type` too. */
type Typed<E> = E extends { readonly _tag: infer Tag } ? E & { readonly type: Tag } : never

/**
 * The states of Kafka's classic group, but for Dead: a group that is deleted is none. Machine events are journal events; the only action folds the context,
 * which `foldContext` does. Deadlines, replies and refusals are `decide`'s.
 *
 * | State | What it does | Where it goes |
 * |---|---|---|
 * | Empty | has no members; hands out member ids, takes the first member; refuses heartbeats and syncs; offsets without a generation | `RebalanceStarted` → PreparingRebalance |
 * | PreparingRebalance | parks joins; heartbeats and syncs learn of the rebalance; who has not joined by the deadline is dropped, static members excepted | `RebalanceCompleted` → CompletingRebalance, or Empty if nobody is left |
 * | CompletingRebalance | parks followers' syncs until the leader's assignment; refuses offsets | `AssignmentStored` → Stable; a join with other protocols, a member gone: `RebalanceStarted` → PreparingRebalance |
 * | Stable | answers syncs with the assignment and heartbeats; takes offsets | a new member, a leader's join, changed protocols, a member gone: `RebalanceStarted` → PreparingRebalance |
 *
 * A static member that comes back while the group is Stable (`MemberReplaced`) changes no state.
 */
export const classicMachine = setup({
  types: { context: {} as ClassicContext, events: {} as Typed<ClassicEvent> },
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
        RebalanceStarted: { target: "PreparingRebalance", actions: "fold" }
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
    }
  }
})

export type ClassicSnapshot = SnapshotFrom<typeof classicMachine>

export type ClassicStateName = ClassicSnapshot["value"]

export const initialSnapshot: ClassicSnapshot = initialTransition(classicMachine)[0]

/** Throws for an event that the state does not take. */
export const nextSnapshot = (snapshot: ClassicSnapshot, event: ClassicEvent): ClassicSnapshot =>
  transition(classicMachine, snapshot, { ...event, type: event._tag } as Typed<ClassicEvent>)[0]

export const snapshotOf = (value: ClassicStateName, context: ClassicContext): ClassicSnapshot =>
  classicMachine.resolveState({ value, context })
