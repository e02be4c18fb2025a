import type { Clock } from "../Clock.ts"
import type { ActorId, AnyDefinition } from "../actor/Definition.ts"
import type { AppendFailure, Journal } from "../journal/Journal.ts"
import type { Limits } from "../Limits.ts"

export interface ShardOptions {
  readonly journal: Journal
  readonly clock: Clock
  readonly limits: Limits
  readonly definitions: ReadonlyArray<AnyDefinition>
  /** `shard/<number>`: the actor in which the shard's own starts are journaled. */
  readonly number: number
  readonly version: string
  /** The journal is poisoned: nothing more is acknowledged, the process must say why and stop. */
  readonly onPoison: (failure: AppendFailure) => void
  readonly onDefect: (where: string, defect: unknown) => void
  /** An actor's `evolve` threw, and its state was rebuilt. */
  readonly onRestart?: (actor: ActorId) => void
}
