import type * as Exit from "effect/Exit"
import type { Holder, Room } from "../memory/MemoryAccount.ts"
import type { AnyKind, CommandOf, EventOf, FailureOf, NoticeOf, ReplyOf, Tagged, Tell } from "./Kind.ts"
import type { States } from "./States.ts"

/** `kind/name`, such as `group/orders`; a partition's name is its log id, which is never used again. */
export type ActorId = string

export const kindOf = (id: ActorId): string => id.slice(0, id.indexOf("/"))

export const nameOf = (id: ActorId): string => id.slice(id.indexOf("/") + 1)

/**
 * A signal: something that the runtime does for an actor once the decision's events are durable.
 * Deadlines and parked replies are soft state: a restart forgets them and `resume` arms the deadlines anew.
 */
export type Signal<K extends AnyKind> =
  /** Sends `command` to this actor at `atMs`. A deadline set before under the same key is replaced. */
  | { readonly _tag: "SetDeadline"; readonly key: string; readonly atMs: number; readonly command: CommandOf<K> }
  | { readonly _tag: "CancelDeadline"; readonly key: string }
  /** Gives the reply that was parked under `key`; nothing if there is none. */
  | { readonly _tag: "Release"; readonly key: string; readonly exit: Exit.Exit<ReplyOf<K>, FailureOf<K>> }
  /** A command to another actor, whose cause is this decision's last event. */
  | Tell
  /** For the shell outside the actors, such as "close that connection". */
  | { readonly _tag: "Notify"; readonly notice: NoticeOf<K> }

/** The bytes that a partition's event refers to. They travel beside the event and never enter a state. */
export interface RecordBytes {
  readonly bytes: Uint8Array
  /** Whole Kafka RecordBatches as a producer sent them; otherwise the records without a batch header. */
  readonly verbatim: boolean
}

/** `C`: what is answered is this command's reply. `State`: what may be handed over as `next`; nothing unless it is said. */
export interface Decision<K extends AnyKind, C extends Tagged = CommandOf<K>, State = never> {
  /** The events that happened, to be made durable in one commit. */
  readonly events: ReadonlyArray<EventOf<K>>
  /** Sent to the caller after the commit; `undefined` parks it under `parkAs`. */
  readonly reply: Exit.Exit<ReplyOf<K, C>, FailureOf<K>> | undefined
  /** The key under which a `Release` finds the parked reply. A reply parked there before must be released first. */
  readonly parkAs?: string
  readonly signals: ReadonlyArray<Signal<K>>
  /** The records of its one `RecordsAppended`; only a partition has any. */
  readonly records?: RecordBytes
  /**
   * The state that the events lead to, where deciding has folded them already: it is taken as it is, and they are not folded
   * again. It must be what `evolve` would give, as a replay will do. Deciding may not change the state that it was given, since
   * the decision can still be refused: events of which `evolve` changes parts in place cannot be folded ahead. Not beside
   * `records`, of which the runtime completes the event.
   */
  readonly next?: State
}

/** The memory, in bytes, that an actor has the server keep on one holder's account. */
export interface Weight<State> {
  readonly holder: Holder
  /** The bytes of the actor itself beside its id, whatever its state; 0 if another actor's state accounts for it. */
  readonly perActor: number
  /**
   * The bytes of the state, and of all that the server derives from it. It takes constant time, from sums that the
   * state keeps up. A state that was saved and loaded weighs the same.
   */
  readonly bytesOf: (state: State) => number
}

/**
 * An event-sourced actor as pure functions: no Effect, clock, random or I/O inside,
 * so that replay, tests and simulation need no runtime.
 * Values that are not deterministic (ids, times) come in by the command and are kept in the event.
 */
export interface Definition<K extends AnyKind, State> {
  /** The kind's name. */
  readonly kind: K["name"]
  /** The version of the events' shapes, from 1 on; journaled with every event. A journal with a higher one is refused. */
  readonly version: number
  /**
   * An event that was journaled by an older `version`, as `evolve` takes it; pure, as `evolve` is. Without it older events
   * go to `evolve` as they are, which is right as long as event types and optional fields are only added.
   */
  readonly upcast?: (event: Tagged, version: number) => EventOf<K>
  /** By which readers outside the shard ask for states; without it they cannot. */
  readonly states?: States<K, State>
  /** The version of what `save` gives, from 1 on, which is the default; kept in snapshots. A snapshot with a higher one is refused. */
  readonly stateVersion?: number
  /**
   * Turns what an older `stateVersion` saved into what `load` takes; pure. Without it older states go to `load` as
   * they are, which is right as long as optional fields are only added, and left out of what is saved while they say
   * nothing.
   */
  readonly upcastState?: (saved: unknown, version: number) => unknown
  readonly initial: (id: ActorId) => State
  /**
   * Decides what happens, given a command. Throwing is a defect that fails this caller only. `nowMs`: Unix ms. `room`: a decision that
   * would add more than that to a holder's account is a refusal instead; undefined: there is no bound.
   */
  readonly decide: (state: State, command: CommandOf<K>, nowMs: number, room?: Room) => Decision<K, CommandOf<K>, State>
  /** The next state. Throwing is a defect that stops this actor until its replay succeeds. */
  readonly evolve: (state: State, event: EventOf<K>) => State
  /** The deadlines to arm for a state that a replay has rebuilt. */
  readonly resume: (state: State, nowMs: number) => ReadonlyArray<Signal<K>>
  /** Plain data (objects, arrays, numbers, strings, booleans, null, Uint8Array) with a deterministic order. */
  readonly save: (state: State) => unknown
  /** From what `save` gave, or `upcastState` for an older version. */
  readonly load: (id: ActorId, saved: unknown) => State
  /** Undefined for actors of which there are few, whose states clients cannot make grow. */
  readonly weights?: ReadonlyArray<Weight<State>>
  /** Nothing to remember: the actor need not be kept in memory or in a snapshot. */
  readonly isEmpty: (state: State) => boolean
}

// oxlint-disable-next-line typescript/no-explicit-any -- the one place where definitions of all kinds meet
export type AnyDefinition = Definition<AnyKind, any>
