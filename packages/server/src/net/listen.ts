import * as fs from "node:fs"
import * as net from "node:net"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Log } from "../Log.ts"
import type { ListenAddress, Listening, ListenerProtocol } from "./Listener.ts"

/** A listener could not be had. `code` and `message` are the system's: `EADDRINUSE`. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly protocol: ListenerProtocol
  readonly name: string
  readonly at: ListenAddress
  readonly code: string
  readonly message: string
}> {}

export interface ListenOptions {
  readonly protocol: ListenerProtocol
  readonly name: string
  readonly at: ListenAddress
  readonly log: Log
  /** Ends the connections, once the server accepts no more. `closed` resolves when the last of them has closed. */
  readonly end: (closed: Promise<unknown>) => Promise<void>
}

const isSocket = (path: string): boolean => fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true

/** Removes the file of a Unix socket whose server is gone: a crash leaves it, and nobody could listen there again. */
const removeStale = (path: string): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (!isSocket(path)) {
      resume(Effect.void)
      return
    }
    const socket = net.connect({ path })
    const done = (isStale: boolean): void => {
      socket.destroy()
      if (isStale) fs.rmSync(path, { force: true })
      resume(Effect.void)
    }
    socket.once("connect", () => done(false))
    socket.once("error", ({ code }: NodeJS.ErrnoException) => done(code === "ECONNREFUSED"))
  })

const opened = (server: net.Server, options: ListenOptions): Effect.Effect<Listening, ListenFailed> =>
  Effect.async((resume) => {
    const { protocol, name, at, log } = options
    const fail = ({ code = "UNKNOWN", message }: NodeJS.ErrnoException): void =>
      resume(Effect.fail(new ListenFailed({ protocol, name, at, code, message })))
    const listening = (): void => {
      server.off("error", fail)
      server.on("error", (error) => log.error(`${name}: a connection could not be accepted`, { error: String(error) }))
      if ("path" in at) fs.chmodSync(at.path, at.mode)
      const port = "path" in at ? 0 : (server.address() as net.AddressInfo).port
      resume(Effect.succeed({ name, protocol, at: "path" in at ? at : { ...at, port }, port }))
    }
    server.once("error", fail)
    if ("path" in at) server.listen(at.path, listening)
    else server.listen(at.port, at.host, listening)
  })

/** The server listens until the scope closes, which waits until all of its connections have closed. */
export const listen = (
  server: net.Server,
  options: ListenOptions
): Effect.Effect<Listening, ListenFailed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.zipRight("path" in options.at ? removeStale(options.at.path) : Effect.void, opened(server, options)),
    () =>
      Effect.promise(() => {
        const closed = new Promise((resolve) => server.close(resolve))
        return options.end(closed)
      })
  )
