import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { once } from "node:events"
import * as Effect from "effect/Effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { loadWithOrigins } from "../src/config/loadConfig.ts"
import { makeLog } from "../src/Log.ts"
import { startServer } from "../src/Server.ts"

let directory: string

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-start-"))
})

afterEach(() => fs.rmSync(directory, { recursive: true }))

const start = (flags: Readonly<Record<string, string>> = {}) => {
  const ports = { "mqtt-port": "0", "mqtt-ws-port": "0", "kafka-port": "0", "http-port": "0" }
  const given = new Map(Object.entries({ "data-dir": path.join(directory, "data"), ...ports, ...flags }))
  const loaded = loadWithOrigins({ flags: given, env: {}, files: [] })
  return Effect.runPromise(Effect.either(startServer(loaded, makeLog("silent", process.stderr, Date.now))))
}

const failureOf = async (flags?: Readonly<Record<string, string>>): Promise<unknown> => {
  const started = await start(flags)
  if (started._tag === "Right") await started.right.stop()
  return started._tag === "Left" ? started.left : "started"
}

describe("a start fails with a value that says why, and leaves nothing open", () => {
  it("when a port is taken; the next start has directory and ports", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1")
    await once(taken, "listening")
    const { port } = taken.address() as net.AddressInfo
    expect(await failureOf({ "mqtt-port": String(port) })).toMatchObject({
      _tag: "ListenFailed",
      what: "mqtt",
      port,
      code: "EADDRINUSE"
    })
    taken.close()
    expect(await failureOf({ "mqtt-port": String(port) })).toBe("started")
  })

  it("when another server has the directory", async () => {
    const first = await start()
    expect(first._tag).toBe("Right")
    expect(await failureOf()).toMatchObject({ _tag: "JournalError", reason: "Locked" })
    if (first._tag === "Right") await first.right.stop()
  })

  it("when there is a file where the directory should be", async () => {
    fs.writeFileSync(path.join(directory, "file"), "")
    expect(await failureOf({ "data-dir": path.join(directory, "file", "data") })).toMatchObject({
      _tag: "JournalError",
      reason: "Io"
    })
  })
})
