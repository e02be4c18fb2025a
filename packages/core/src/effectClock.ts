import * as EffectClock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Clock } from "./Clock.ts"

/** Effect's clock over ours: what waits by a `Schedule` waits for the same timers as everything else, the simulated ones too. */
export const effectClockOf = (clock: Clock): EffectClock.Clock => {
  const nowNs = (): bigint => BigInt(Math.round(clock.monotonicMs() * 1e6))
  return {
    [EffectClock.ClockTypeId]: EffectClock.ClockTypeId,
    unsafeCurrentTimeMillis: clock.monotonicMs,
    currentTimeMillis: Effect.sync(clock.monotonicMs),
    unsafeCurrentTimeNanos: nowNs,
    currentTimeNanos: Effect.sync(nowNs),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const cancel = clock.after(Duration.toMillis(duration), () => resume(Effect.void))
        return Effect.sync(cancel)
      })
  }
}
