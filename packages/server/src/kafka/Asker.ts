import type { Address, AnyKind, CommandOf, FailureOf, ReplyOf } from "@logbrook/core/actor/Kind"
import type { LateAsk } from "@logbrook/core/shard/Intake"
import type { Exit } from "effect/Exit"
import type { Later } from "./Answer.ts"

/** What an actor has made of a command, once that is durable. */
export type Outcome<K extends AnyKind, C extends CommandOf<K>> = Exit<ReplyOf<K, C>, FailureOf<K>>

/** Who asks actors for something: a request. What it leads to has the request for its cause. */
export interface Asker {
  /** What `answer` makes of the outcome. A full shard pauses the connection. */
  readonly ask: <K extends AnyKind, const C extends CommandOf<K>, T>(
    to: Address<K>,
    command: C,
    answer: (exit: Outcome<K, C>) => T
  ) => Later<T>
  readonly askLate: <K extends AnyKind, C extends CommandOf<K>, T>(
    ask: Omit<LateAsk<K, C>, "cause" | "reply">,
    answer: (exit: Outcome<K, C>) => T
  ) => Later<T>
}
