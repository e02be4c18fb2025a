import * as Effect from "effect/Effect"
import { CliError } from "./CliError.ts"

/** Runs what rejects with a `CliError`; everything else that it rejects with is a defect. */
export const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, CliError> =>
  Effect.tryPromise({ try: run, catch: (error) => error }).pipe(
    Effect.catchAll((error) => (error instanceof CliError ? Effect.fail(error) : Effect.die(error)))
  )
