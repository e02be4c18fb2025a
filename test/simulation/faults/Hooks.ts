import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import type { Clock } from "@logbrook/core/Clock"
import type { Journal } from "@logbrook/core/journal/Journal"
import type { Shard } from "@logbrook/core/shard/Shard"

/** Where a planted fault takes hold. The product itself has no switch for any of them. */
export interface Hooks {
  /** The server's actors; the model folds the right ones. */
  readonly definitions?: (own: ReadonlyArray<AnyDefinition>) => ReadonlyArray<AnyDefinition>
  readonly journal?: (own: Journal) => Journal
  readonly shardClock?: (own: Clock) => Clock
  readonly recovered?: (shard: Shard) => void
  /** Replaces methods of the product's classes; returns what puts them back. */
  readonly install?: () => () => void
}

export interface PlantedFault {
  readonly name: string
  readonly hooks: Hooks
}
