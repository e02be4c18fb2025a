import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterEach, beforeEach, expect, it } from "vitest"
import { FileLock } from "@logbrook/core/FileLock"
import { temporaryDirectory } from "../../../core/test/support/temporary.ts"
import { listen, type ListenFailed } from "../../src/net/listen.ts"

// Unix sockets: who makes the file, with which mode, and who takes over one that a crash has left.

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

let socketPath: string
let scope: Scope.CloseableScope

beforeEach(() => {
  socketPath = path.join(temporaryDirectory(), "s")
  scope = Effect.runSync(Scope.make())
})

afterEach(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const listening = (server: net.Server, mode = 0o660, at = socketPath) =>
  listen(server, {
    protocol: "mqtt",
    name: "local",
    at: { path: at, mode },
    isTls: false,
    log,
    end: async (closed) => void (await closed)
  }).pipe(Effect.either, Effect.provideService(Scope.Scope, scope), Effect.runPromise)

/** The code and the message of a failure. */
const failureOf = (outcome: Either.Either<unknown, ListenFailed>): ReadonlyArray<string> => {
  const { code, message } = Either.getOrThrow(Either.flip(outcome))
  return [code, message]
}

/** As a crash leaves it: nobody listens, and the file is there. */
const leaveDead = async (): Promise<void> => {
  const first = `${socketPath}.first`
  const dead = net.createServer().listen(first)
  await once(dead, "listening")
  fs.linkSync(first, socketPath)
  dead.close()
  await once(dead, "close")
}

/** Tells what there is right behind `listen`, before the server says that it listens, and makes a file while it begins to. */
class WatchedServer extends net.Server {
  modes: Array<number> = []

  override listen(...parameters: ReadonlyArray<unknown>): this {
    const file = `${socketPath}.other`
    fs.writeFileSync(file, "", { mode: 0o666 })
    super.listen(...(parameters as [string]))
    this.modes.push(fs.statSync(socketPath).mode & 0o777, fs.statSync(file).mode & 0o777)
    return this
  }
}

it.each([0o600, 0o660, 0o606, 0o666])(
  "a socket of mode %o, and what is made meanwhile, is nobody else's before it has its mode",
  async (mode) => {
    const before = process.umask(0o27)
    try {
      const server = new WatchedServer()
      expect(Either.isRight(await listening(server, mode))).toBe(true)
      expect([server.modes, fs.statSync(socketPath).mode & 0o777]).toEqual([[0o700, 0o600], mode])
      expect(failureOf(await listening(net.createServer(), mode, path.join(socketPath, "none")))[0]).toBe("ENOTDIR")
      expect(failureOf(await listening(net.createServer(), 0o600))[0]).toBe("EADDRINUSE")
      const nowhere = path.join(path.dirname(socketPath), "none", "s")
      expect(failureOf(await listening(net.createServer(), mode, nowhere))[0]).toBe("ENOENT")
      expect(fs.statSync(socketPath).mode & 0o777).toBe(mode)
    } finally {
      expect(process.umask(before)).toBe(0o27)
    }
  }
)

it("a server whose socket cannot have its mode does not listen", async () => {
  const server = net.createServer()
  server.once("listening", () => fs.rmSync(socketPath))
  expect(failureOf(await listening(server))[0]).toBe("ENOENT")
  expect(server.listening).toBe(false)
})

it("of two servers that find a dead socket one takes it over, and keeps it", async () => {
  await leaveDead()
  const servers = [net.createServer(), net.createServer()]
  const outcomes = await Promise.all(servers.map((server) => listening(server)))
  const winners = servers.filter((_, at) => Either.isRight(outcomes[at]!))
  expect(winners).toHaveLength(1)
  const client = net.connect(socketPath)
  await once(winners[0]!, "connection")
  client.destroy()
  expect(fs.readdirSync(path.dirname(socketPath))).toEqual(["s"])
})

it("a socket at which another server begins to listen stays", async () => {
  await leaveDead()
  const other = new FileLock(`${socketPath}.lock`)
  other.take()
  expect(failureOf(await listening(net.createServer()))).toEqual([
    "EADDRINUSE",
    "another server begins to listen there"
  ])
  expect(fs.readdirSync(path.dirname(socketPath)).toSorted()).toEqual(["s", "s.lock"])
  other.release()
  expect(Either.isRight(await listening(net.createServer()))).toBe(true)
})

it.each(["4999999 1 ended", ""])(
  "a server that was killed while it began to listen keeps nobody out: %j",
  async (left) => {
    await leaveDead()
    fs.writeFileSync(`${socketPath}.lock`, left)
    expect(Either.isRight(await listening(net.createServer()))).toBe(true)
    expect(fs.readdirSync(path.dirname(socketPath))).toEqual(["s"])
  }
)
