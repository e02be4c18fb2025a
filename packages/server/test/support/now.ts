import * as Effect from "effect/Effect"
import * as Either from "effect/Either"

/** What an effect gives that waits for nothing; throws what it fails with. */
export const now = <A, E>(effect: Effect.Effect<A, E>): A =>
  Either.getOrThrowWith(Effect.runSync(Effect.either(effect)), (failure) => failure)
