import * as Effect from "effect/Effect"
import { JournalError } from "./JournalError.ts"

/** An Effect of a function that opens or reads a journal: what that throws for the journal is a failure, all else a defect. */
export const readingJournal = <A>(read: () => A): Effect.Effect<A, JournalError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(read())
    } catch (error) {
      return error instanceof JournalError ? Effect.fail(error) : Effect.die(error)
    }
  })

/** The same of a function that takes a while. */
export const readingJournalLong = <A>(read: () => Promise<A>): Effect.Effect<A, JournalError> =>
  Effect.tryPromise({ try: read, catch: (error) => error }).pipe(
    Effect.catchAll((error) => (error instanceof JournalError ? Effect.fail(error) : Effect.die(error)))
  )
