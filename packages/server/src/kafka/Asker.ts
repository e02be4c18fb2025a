import type { Address, AnyKind, CommandOf, FailureOf, ReplyOf } from "@logbrook/core/actor/Kind"
import type { ActorId } from "@logbrook/core/actor/Definition"
import type { CommandList, ListAnswer } from "@logbrook/core/shard/CommandList"
import type { Exit } from "effect/Exit"
import type { Later } from "./Answer.ts"

/** An actor's reply to a command, or its failure, once that is durable. */
export type Outcome<K extends AnyKind, C extends CommandOf<K>> = Exit<ReplyOf<K, C>, FailureOf<K>>

/** A request that asks actors. The events that it leads to have the request for their cause. */
export interface Asker {
  /**
   * Asks an actor and gives what `answer` makes of the outcome. A full shard pauses the connection. `byteLength`: the bytes that the
   * command carries to the journal, if they are many.
   */
  readonly ask: <K extends AnyKind, const C extends CommandOf<K>, T>(
    to: Address<K>,
    command: C,
    answer: (exit: Outcome<K, C>) => T,
    byteLength?: number
  ) => Later<T>
  /** Asks all actors of a list, which are of the shard that owns `to`, in one turn. Else as `ask`. */
  readonly askAll: <T>(
    to: ActorId,
    list: CommandList,
    answer: (given: ListAnswer) => T,
    byteLength?: number
  ) => Later<T>
}
