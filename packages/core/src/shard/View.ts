import type { Address, AnyKind, EventOf } from "../actor/Kind.ts"
import type { Seq } from "../journal/Journal.ts"

/** The states of one kind of actor as the journal holds them, whatever becomes of the commits that are under way. */
export interface View<K extends AnyKind, State> {
  /** Undefined: nothing is known of this actor, or nothing any more. It may be kept: nobody changes it. */
  readonly get: (actor: Address<K>) => State | undefined
  /** All actors of which something is known, in no promised order. Among 200,000 actors of other kinds it takes some 5 ms. */
  readonly all: () => Iterable<readonly [actor: Address<K>, state: State]>
}

/** A fold over the durable events of one kind's actors. */
export interface Follower<K extends AnyKind, State> {
  /** Each actor as the journal had it when the following began. A state that is not persistent must not be kept. */
  readonly restored: (actor: Address<K>, state: State) => void
  /** Called for each event from then on, once it is durable and before the replies, in the order of the journal. */
  readonly event: (actor: Address<K>, event: EventOf<K>, seq: Seq) => void
}
