import * as fs from "node:fs"
import * as net from "node:net"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { FileLock } from "@logbrook/core/FileLock"
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
  readonly isTls: boolean
  readonly log: Log
  /** Ends the connections, once the server accepts no more. `closed` resolves when the last of them has closed. */
  readonly end: (closed: Promise<unknown>) => Promise<void>
}

const failureOf = ({ protocol, name, at }: ListenOptions, error: NodeJS.ErrnoException): ListenFailed =>
  new ListenFailed({ protocol, name, at, code: error.code ?? "UNKNOWN", message: error.message })

/** Something with files that is done at once. */
const withFiles = <A>(options: ListenOptions, run: () => A): Effect.Effect<A, ListenFailed> =>
  Effect.try({ try: run, catch: (error) => failureOf(options, error as NodeJS.ErrnoException) })

const isSocket = (path: string): boolean => fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true

const isRefused = (path: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const socket = net.connect({ path })
    const done = (refused: boolean): void => {
      socket.destroy()
      resume(Effect.succeed(refused))
    }
    socket.once("connect", () => done(false))
    socket.once("error", ({ code }: NodeJS.ErrnoException) => done(code === "ECONNREFUSED"))
  })

/** Removes the file of a Unix socket whose server is gone: a crash leaves it, and nobody could listen there again. */
const removeStale = (path: string, options: ListenOptions): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function* () {
    const isStale = (yield* withFiles(options, () => isSocket(path))) && (yield* isRefused(path))
    if (isStale) yield* withFiles(options, () => fs.rmSync(path, { force: true }))
  })

/**
 * Runs what only one server at a time may do at a path, under the lock `PATH.lock`: of two that find a dead socket the second would
 * remove that of the first.
 */
const alone = <A>(
  path: string,
  options: ListenOptions,
  run: Effect.Effect<A, ListenFailed>
): Effect.Effect<A, ListenFailed> => {
  const { protocol, name, at } = options
  const lock = new FileLock(`${path}.lock`)
  const message = "another server begins to listen there"
  const taken = new ListenFailed({ protocol, name, at, code: "EADDRINUSE", message })
  return Effect.acquireUseRelease(
    Effect.filterOrFail(
      withFiles(options, () => lock.take()),
      ({ isOurs }) => isOurs,
      () => taken
    ),
    () => run,
    () => Effect.sync(() => lock.release())
  )
}

/**
 * `listen` makes the file before it returns, as the umask says, which is the whole process's: whatever else the process makes in that
 * moment is its owner's alone too.
 */
const listenAtPath = (server: net.Server, path: string): void => {
  const before = process.umask(0o077)
  try {
    server.listen(path)
  } finally {
    process.umask(before)
  }
}

const opened = (server: net.Server, options: ListenOptions): Effect.Effect<Listening, ListenFailed> =>
  Effect.async((resume) => {
    const { protocol, name, at, isTls, log } = options
    const fail = (error: Error): void => resume(Effect.fail(failureOf(options, error)))
    server.once("error", fail)
    server.once("listening", () => {
      server.off("error", fail)
      server.on("error", (error) => log.error(`${name}: a connection could not be accepted`, { error: String(error) }))
      const port = "path" in at ? 0 : (server.address() as net.AddressInfo).port
      resume(Effect.succeed({ name, protocol, at: "path" in at ? at : { ...at, port }, port, isTls }))
    })
    if ("path" in at) listenAtPath(server, at.path)
    else server.listen(at.port, at.host)
  })

/** The file of a Unix socket is its owner's alone until it has its mode. */
const openedAtPath = (
  server: net.Server,
  path: string,
  mode: number,
  options: ListenOptions
): Effect.Effect<Listening, ListenFailed> =>
  Effect.gen(function* () {
    yield* removeStale(path, options)
    const listening = yield* opened(server, options)
    const setMode = withFiles(options, () => fs.chmodSync(path, mode))
    yield* Effect.tapError(setMode, () => Effect.sync(() => server.close()))
    return listening
  })

/** The server listens until the scope closes, which waits until all of its connections have closed. */
export const listen = (
  server: net.Server,
  options: ListenOptions
): Effect.Effect<Listening, ListenFailed, Scope.Scope> => {
  const { at, end } = options
  const open =
    "path" in at ? alone(at.path, options, openedAtPath(server, at.path, at.mode, options)) : opened(server, options)
  return Effect.acquireRelease(open, () =>
    Effect.promise(() => {
      const closed = new Promise((resolve) => server.close(resolve))
      return end(closed)
    })
  )
}
