import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Clock } from "@logbrook/core/Clock"
import type { Log } from "../../Log.ts"
import { Credentials, TlsFileInvalid } from "./Credentials.ts"
import type { TlsOptions } from "./TlsOptions.ts"

/** How often files are looked at: a changed one is in use after two to three looks. */
const lookEveryMs = 1000

/** The credentials of all listeners. Listeners with the same files and rules have the same. */
export interface Certificates {
  readonly of: (options: TlsOptions) => Credentials
  /** Reads all files anew. */
  readonly reload: () => void
}

/** Loads the files of all listeners, and looks after them until the scope closes. */
export const openCertificates = (
  all: ReadonlyArray<TlsOptions>,
  log: Log,
  clock: Clock
): Effect.Effect<Certificates, TlsFileInvalid, Scope.Scope> =>
  Effect.gen(function* () {
    const byOptions = new Map<string, Credentials>()
    for (const options of all) {
      const key = JSON.stringify(options)
      if (byOptions.has(key)) continue
      const credentials = yield* Effect.try({
        try: () => new Credentials(options, log),
        catch: (error) => error as TlsFileInvalid
      })
      byOptions.set(key, credentials)
    }
    const credentials = [...byOptions.values()]
    if (credentials.length > 0) yield* looking(credentials, clock)
    return {
      of: (options) => byOptions.get(JSON.stringify(options))!,
      reload: () => {
        for (const each of credentials) each.reload()
      }
    }
  })

const looking = (all: ReadonlyArray<Credentials>, clock: Clock) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let isOver = false
      let cancel: () => void
      const look = async (): Promise<void> => {
        for (const each of all) await each.look()
        if (!isOver) cancel = clock.after(lookEveryMs, () => void look())
      }
      cancel = clock.after(lookEveryMs, () => void look())
      return () => {
        isOver = true
        cancel()
      }
    }),
    (stop) => Effect.sync(stop)
  )
