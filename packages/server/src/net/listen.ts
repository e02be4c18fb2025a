import type * as net from "node:net"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Log } from "../Log.ts"

/** Those of a server, by the names of their settings. */
export type ListenerName = "mqtt" | "mqttWs" | "kafka" | "http"

/** A port could not be had. `code` and `message` are the system's: `EADDRINUSE`. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly what: ListenerName
  readonly host: string
  readonly port: number
  readonly code: string
  readonly message: string
}> {}

export interface Listening {
  readonly port: number
}

export interface ListenOptions {
  readonly what: ListenerName
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly log: Log
  /** Ends the connections, once the server accepts no more. `closed` resolves when the last of them has closed. */
  readonly end: (closed: Promise<unknown>) => Promise<void>
}

const opened = (server: net.Server, { what, host, port, log }: ListenOptions): Effect.Effect<Listening, ListenFailed> =>
  Effect.async((resume) => {
    const fail = ({ code = "UNKNOWN", message }: NodeJS.ErrnoException): void =>
      resume(Effect.fail(new ListenFailed({ what, host, port, code, message })))
    server.once("error", fail)
    server.listen(port, host, () => {
      server.off("error", fail)
      server.on("error", (error) => log.error(`${what}: a connection could not be accepted`, { error: String(error) }))
      resume(Effect.succeed({ port: (server.address() as net.AddressInfo).port }))
    })
  })

/** The server listens until the scope closes, which waits until all of its connections have closed. */
export const listen = (
  server: net.Server,
  options: ListenOptions
): Effect.Effect<Listening, ListenFailed, Scope.Scope> =>
  Effect.acquireRelease(opened(server, options), () =>
    Effect.promise(() => {
      const closed = new Promise((resolve) => server.close(resolve))
      return options.end(closed)
    })
  )
