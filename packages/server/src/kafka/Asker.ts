import type { Address, AnyKind, CommandOf, Settle } from "@logbrook/core/actor/Kind"
import type { LateAsk } from "@logbrook/core/shard/Intake"

/** Who asks actors for something: a request. What it leads to has the request for its cause. */
export interface Asker {
  /** A full shard pauses the connection. */
  readonly ask: <K extends AnyKind, const C extends CommandOf<K>>(
    to: Address<K>,
    command: C,
    settle: Settle<K, C>
  ) => void
  readonly askLate: <K extends AnyKind, C extends CommandOf<K>>(ask: Omit<LateAsk<K, C>, "cause">) => void
}
