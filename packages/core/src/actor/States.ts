import type { AnyKind } from "./Kind.ts"

/**
 * The type of the states of one kind, declared once beside it. The kind's definition names it, and readers outside the
 * shard ask by it:
 *
 *     GroupStates = persistentStates<GroupState>()(GroupKind)      shard.view(GroupStates).get(groupActor("orders"))
 *     SessionStates = states<SessionState>()(SessionKind)          shard.follow(SessionStates, { restored, event })
 */
export interface States<K extends AnyKind, State> {
  readonly kind: K
  readonly isPersistent: boolean
  /** For types only: never there. */
  readonly "~state"?: State
}

/**
 * `evolve` never changes a state in place: one that it was given stays what it was. So readers can be shown the durable state
 * while newer ones are on their way to the journal, and nothing is copied for that.
 */
export interface PersistentStates<K extends AnyKind, State> extends States<K, State> {
  readonly isPersistent: true
}

/** Declares the states of a kind whose `evolve` may change a state in place: it can be followed, and there is no view of it. */
export const states =
  <State>() =>
  <K extends AnyKind>(kind: K): States<K, State> => ({ kind, isPersistent: false })

export const persistentStates =
  <State>() =>
  <K extends AnyKind>(kind: K): PersistentStates<K, State> => ({ kind, isPersistent: true })
