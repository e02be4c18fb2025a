import type { Clock } from "../Clock.ts"
import type { ActorId, AnyDefinition } from "../actor/Definition.ts"
import type { AppendFailure, Journal } from "../journal/Journal.ts"
import type { BufferPool } from "../BufferPool.ts"
import type { Limits } from "../Limits.ts"
import type { MemoryAccount } from "../memory/MemoryAccount.ts"
import type { Ask } from "./Intake.ts"

export interface ShardOptions {
  readonly journal: Journal
  readonly clock: Clock
  readonly limits: Limits
  readonly definitions: ReadonlyArray<AnyDefinition>
  /** Shared with other shards, if there are any. */
  readonly memory?: MemoryAccount
  readonly buffers?: BufferPool
  /** Takes what an actor tells another one; without it all actors are this shard's. */
  readonly tell?: (ask: Ask) => void
  /** `shard/<number>`: the actor in which the shard's own starts are journaled. */
  readonly number: number
  readonly version: string
  /** The journal is poisoned: nothing more is acknowledged, the process must say why and stop. */
  readonly onPoison: (failure: AppendFailure) => void
  readonly onDefect: (where: string, defect: unknown) => void
  /** An actor's `evolve` threw, and its state was rebuilt. */
  readonly onRestart?: (actor: ActorId) => void
}
