import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { once } from "node:events"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { layer, layerRetention } from "../src/composition.ts"
import { loadConfig } from "../src/config/loadConfig.ts"
import { HttpListeners, layerListeners, Serving } from "../src/listeners.ts"
import { makeLog } from "../src/Log.ts"
import { startServer } from "../src/Server.ts"
import { acquired, layerTest } from "./support/parts.ts"

let directory: string

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-start-"))
})

afterEach(() => {
  vi.restoreAllMocks()
  fs.rmSync(directory, { recursive: true })
})

const anyPorts = { "mqtt-port": "0", "mqtt-ws-port": "0", "kafka-port": "0", "http-port": "0" }

const start = (flags: Readonly<Record<string, string>> = {}) => {
  const given = new Map(Object.entries({ "data-dir": path.join(directory, "data"), ...anyPorts, ...flags }))
  const loaded = Either.getOrThrow(loadConfig({ flags: given, env: {}, files: [] }))
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
      protocol: "mqtt",
      name: "mqtt",
      at: { host: "127.0.0.1", port },
      code: "EADDRINUSE"
    })
    taken.close()
    expect(await failureOf({ "mqtt-port": String(port) })).toBe("started")
  })

  it.each(["http-port", "mqtt-ws-port"])("with no timer that goes on, when --%s is taken", async (flag) => {
    const taken = net.createServer().listen(0, "127.0.0.1")
    await once(taken, "listening")
    const waiting = new Set<() => void>()
    const { after } = systemClock
    vi.spyOn(systemClock, "after").mockImplementation((delayMs, task) => {
      const cancel = after(delayMs, () => {
        waiting.delete(task)
        task()
      })
      waiting.add(task)
      return () => {
        waiting.delete(task)
        cancel()
      }
    })
    const { port } = taken.address() as net.AddressInfo
    expect(await failureOf({ [flag]: String(port) })).toMatchObject({ _tag: "ListenFailed" })
    expect([...waiting]).toEqual([])
    taken.close()
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

describe("a stop", () => {
  it("first sends nobody here, then ends MQTT, Kafka and HTTP, and the shard behind them", async () => {
    const flags = new Map(Object.entries(anyPorts))
    const { config, settings } = Either.getOrThrow(loadConfig({ flags, env: {}, files: [] }))
    const journal = new MemoryJournal(systemClock)
    const parts = layerRetention().pipe(Layer.provideMerge(layer), Layer.provideMerge(layerTest({ journal })))
    const whole = layerListeners(config, settings).pipe(Layer.provideMerge(parts))
    const { made, close } = await acquired(Layer.build(whole))
    const { mqttWs, mqtt, kafka, http } = Context.get(made, Serving).ports
    const { readiness } = Context.get(made, HttpListeners)
    expect(readiness.isDraining).toBe(false)
    const ended: Array<readonly [port: number, isDraining: boolean]> = []
    let seq = 0
    const { close: really } = net.Server.prototype
    vi.spyOn(net.Server.prototype, "close").mockImplementation(function (this: net.Server, done) {
      ended.push([(this.address() as net.AddressInfo).port, readiness.isDraining])
      seq = journal.nextSeq
      return really.call(this, done)
    })
    await close()
    expect(ended).toEqual([mqttWs, mqtt, kafka, http].map((port) => [port, true]))
    // The shard's own stop is an event.
    expect(journal.nextSeq).toBeGreaterThan(seq)
  })
})
