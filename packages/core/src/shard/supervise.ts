import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Fiber from "effect/Fiber"
import type { Clock } from "../Clock.ts"
import { effectClockOf } from "../effectClock.ts"
import type { Shard } from "./Shard.ts"

/** A turn threw: a defect of the runtime, not of one actor. */
export class ShardFault extends Data.TaggedError("ShardFault")<{ readonly defect: unknown }> {}

const restartsMax = 5

/** Parked for as long as plain code drains the shard; costs no Effect operation per turn. Never succeeds. */
const drain = (shard: Shard): Effect.Effect<never, ShardFault> =>
  Effect.async<never, ShardFault>((resume) => {
    shard.start((defect) => resume(Effect.fail(new ShardFault({ defect }))))
    return Effect.sync(() => shard.stop())
  })

const completed = (shard: Shard): Effect.Effect<void> =>
  Effect.async<void>((resume) => shard.whenCompleted(() => resume(Effect.void)))

/**
 * Runs a recovered shard until the scope closes. A turn that threw loses its commands (their callers are told);
 * the states are rebuilt from the journal and the rest goes on. The sixth fault within a minute fails the fiber,
 * which is the parent's to observe. It waits by `clock`.
 */
export const supervise = (
  shard: Shard,
  clock: Clock,
  onFault: (fault: ShardFault) => void
): Effect.Effect<Fiber.RuntimeFiber<never, ShardFault>, never, Scope.Scope> =>
  drain(shard).pipe(
    Effect.tapError((fault) => Effect.sync(() => onFault(fault))),
    Effect.tapError(() => completed(shard)),
    Effect.tapError(() => Effect.sync(() => shard.rebuild())),
    Effect.retry(
      Schedule.exponential("20 millis").pipe(
        Schedule.intersect(Schedule.recurs(restartsMax)),
        Schedule.resetAfter("1 minute")
      )
    ),
    Effect.withClock(effectClockOf(clock)),
    Effect.forkScoped
  )
