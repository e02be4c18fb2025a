import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import mqtt from "mqtt"
import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Broker, layer, layerRetention, Mqtt } from "../../src/composition.ts"
import { loadConfig } from "../../src/config/loadConfig.ts"
import { layerListeners, Serving } from "../../src/listeners.ts"
import { RawClient as KafkaClient } from "../kafka/kit.ts"
import { connectPacket } from "../mqtt/kit.ts"
import { newestEvents } from "../support/newestEvents.ts"
import { acquired, layerTest } from "../support/parts.ts"

// Servers with the listeners of a configuration, over real sockets.

let directory: string
let stops: Array<() => Promise<void>> = []

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-listen-"))
})

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
  fs.rmSync(directory, { recursive: true })
})

const none = "mqtt: { port: none }\nmqttWs: { port: none }\nkafka: { port: none }\nhttp: { port: none }\n"

const layerOf = (yaml: string, journal = new MemoryJournal(systemClock)) => {
  const loaded = loadConfig({ flags: new Map(), env: {}, files: [{ name: "a.yaml", text: yaml }] })
  const { config, settings } = Either.getOrThrow(loaded)
  const { limits } = config
  const parts = layerRetention().pipe(Layer.provideMerge(layer), Layer.provideMerge(layerTest({ journal, limits })))
  return layerListeners(config, settings).pipe(Layer.provideMerge(parts))
}

const start = async (yaml: string) => {
  const journal = new MemoryJournal(systemClock)
  const { made, close } = await acquired(Layer.build(layerOf(yaml, journal)))
  stops.push(close)
  const { listeners, ports } = Context.get(made, Serving)
  const broker = Context.get(made, Broker)
  const portOf = (name: string): number => listeners.find((each) => each.name === name)!.port
  return { broker, journal, mqtt: Context.get(made, Mqtt), listeners, ports, portOf, close }
}

type Where = { readonly port: number; readonly host: string } | { readonly path: string }

const at = (port: number): Where => ({ port, host: "127.0.0.1" })

/** The CONNACK that a client of this id gets; empty: the connection was closed. `before`: bytes that come first. */
const connackAt = (where: Where, clientId: string, before: Uint8Array = Buffer.alloc(0)): Promise<string> => {
  const socket = net.connect(where)
  socket.on("error", () => undefined)
  stops.unshift(async () => void socket.destroy())
  socket.write(Buffer.concat([before, connectPacket({ clientId, version: 4 })]))
  return new Promise<string>((resolve) => {
    socket.once("data", (chunk) => resolve((chunk as Buffer).toString("hex")))
    socket.once("close", () => resolve(""))
  })
}

const accepted = "20020000"
const proxyLine = Buffer.from("PROXY TCP4 192.0.2.7 10.0.0.1 56324 1883\r\n")

const upgradeRequest = Buffer.from(
  "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
    `Sec-WebSocket-Key: ${Buffer.from("sixteen bytes ok").toString("base64")}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`
)
const webConnect = connectPacket({ clientId: "web", version: 4 })
const connectFrame = Buffer.concat([Buffer.from([0x82, 0x80 | webConnect.length, 0, 0, 0, 0]), webConnect])

/** A WebSocket whose client has its CONNACK, once it has sent these pieces one by one. */
const webSocketAt = async (where: Where, pieces: ReadonlyArray<Uint8Array>): Promise<net.Socket> => {
  const socket = net.connect(where).setNoDelay(true)
  stops.unshift(async () => void socket.destroy())
  let received = Buffer.alloc(0)
  socket.on("error", () => undefined)
  socket.on("data", (chunk) => (received = Buffer.concat([received, chunk as Buffer])))
  for (const piece of pieces) {
    socket.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await expect.poll(() => received.includes(Buffer.from(`8204${accepted}`, "hex"))).toBe(true)
  return socket
}

/** Asks for the metrics. */
const get = async (where: Where, before: Uint8Array = Buffer.alloc(0)): Promise<string> => {
  const socket = net.connect(where)
  socket.write(Buffer.concat([before, Buffer.from("GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")]))
  const parts: Array<Buffer> = []
  socket.on("data", (part) => parts.push(part as Buffer))
  socket.on("error", () => undefined)
  await new Promise((resolve) => socket.on("close", resolve))
  return Buffer.concat(parts).toString()
}

describe("listeners by configuration", () => {
  it("are as many of a kind as there are names, each with limits of its own; metrics tell them apart", async () => {
    const { portOf, ports } = await start(`${none}
listeners:
  one: { protocol: mqtt, port: 0, connectionsMax: 1 }
  other: { protocol: mqtt, port: 0 }
  admin: { protocol: http, port: 0, connectionsMax: 1 }
`)
    expect(ports).toEqual({ mqtt: 0, mqttWs: 0, kafka: 0, http: 0 })
    expect(await connackAt(at(portOf("one")), "a")).toBe(accepted)
    expect(await connackAt(at(portOf("one")), "b")).toBe("20020003")
    expect(await connackAt(at(portOf("other")), "b")).toBe(accepted)
    const lines = (await get(at(portOf("admin")))).split("\n").filter((line) => line.startsWith("logbrook_listener_"))
    expect(lines).toEqual([
      'logbrook_listener_connections{listener="admin",protocol="http"} 1',
      'logbrook_listener_connections{listener="one",protocol="mqtt"} 1',
      'logbrook_listener_connections{listener="other",protocol="mqtt"} 1',
      'logbrook_listener_refused_connections_total{listener="admin",protocol="http"} 0',
      'logbrook_listener_refused_connections_total{listener="one",protocol="mqtt"} 1',
      'logbrook_listener_refused_connections_total{listener="other",protocol="mqtt"} 0'
    ])
    // The first request's connection has its place until it is closed.
    const held = net.connect(portOf("admin"), "127.0.0.1")
    await once(held, "connect")
    expect(await get(at(portOf("admin")))).toBe("")
    held.destroy()
  })

  it("end together: clients of all are told, and nothing listens any more", async () => {
    const { portOf, close } = await start(`${none}
listeners:
  one: { protocol: mqtt, port: 0 }
  other: { protocol: mqtt, port: 0 }
  web: { protocol: mqttWs, port: 0 }
`)
    const clients = await Promise.all(
      ["mqtt one", "mqtt other", "ws web"].map((each) => {
        const [scheme, name] = each.split(" ") as [string, string]
        const options = { protocolVersion: 5, reconnectPeriod: 0 } as const
        return mqtt.connectAsync(`${scheme}://127.0.0.1:${portOf(name)}`, options)
      })
    )
    const told = clients.map(
      (client) =>
        new Promise<number | undefined>((resolve) => client.once("disconnect", (packet) => resolve(packet.reasonCode)))
    )
    await close()
    expect(await Promise.all(told)).toEqual([0x8b, 0x8b, 0x8b])
    expect(await connackAt(at(portOf("one")), "c")).toBe("")
    for (const client of clients) client.end(true)
  })

  it("have mount points, over TCP and WebSocket", async () => {
    const { portOf } = await start(`${none}
listeners:
  plain: { protocol: mqtt, port: 0 }
  below: { protocol: mqtt, port: 0, mountPoint: tenants/a/ }
  web: { protocol: mqttWs, port: 0, mountPoint: tenants/ }
`)
    const got: Array<string> = []
    const connect = async (scheme: string, name: string) => {
      const url = `${scheme}://127.0.0.1:${portOf(name)}`
      const client = await mqtt.connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0 })
      stops.unshift(async () => void client.end(true))
      client.on("message", (topic) => got.push(`${name} ${topic}`))
      await client.subscribeAsync("#")
      return client
    }
    await connect("mqtt", "plain")
    await connect("ws", "web")
    const below = await connect("mqtt", "below")
    await below.publishAsync("x", "x", { qos: 1 })
    await expect.poll(() => [...got].sort()).toEqual(["below x", "plain tenants/a/x", "web a/x"])
  })

  it("tell Kafka clients the address of the one by which they have come", async () => {
    const { portOf } = await start(`${none}
listeners:
  inside: { protocol: kafka, port: 0 }
  outside: { protocol: kafka, port: 0, advertised: "kafka.example.org:29092" }
`)
    const tells = async (name: string) => {
      const client = await KafkaClient.connect(portOf(name))
      const { brokers } = await client.send(Metadata, 9, { topics: null })
      const { coordinators } = await client.send(FindCoordinator, 4, { keyType: 0, coordinatorKeys: ["group"] })
      client.socket.destroy()
      return [brokers[0], coordinators![0]].map((each) => `${each!.host}:${each!.port}`)
    }
    const inside = `127.0.0.1:${portOf("inside")}`
    expect(await tells("inside")).toEqual([inside, inside])
    expect(await tells("outside")).toEqual(["kafka.example.org:29092", "kafka.example.org:29092"])
  })
})

const socketAt = (name: string): string => path.join(directory, name)

describe("Unix sockets", () => {
  it("carry every protocol, and are of one address", async () => {
    const { mqtt: broker, listeners } = await start(`${none}
listeners:
  device: { protocol: mqtt, path: "${socketAt("mqtt")}", mode: 600, connectionsPerAddressMax: 1 }
  web: { protocol: mqttWs, path: "${socketAt("ws")}" }
  kafka-local: { protocol: kafka, path: "${socketAt("kafka")}", advertised: "a.example.org:9092" }
  admin: { protocol: http, path: "${socketAt("http")}" }
`)
    expect(listeners.map(({ port }) => port)).toEqual([0, 0, 0, 0])
    expect(fs.statSync(socketAt("mqtt")).mode & 0o777).toBe(0o600)
    expect(fs.statSync(socketAt("http")).mode & 0o777).toBe(0o660)
    expect(await connackAt({ path: socketAt("mqtt") }, "a")).toBe(accepted)
    expect(await connackAt({ path: socketAt("mqtt") }, "b")).toBe("20020003")
    await webSocketAt({ path: socketAt("ws") }, [upgradeRequest, connectFrame])
    const addresses = [...broker.connections()].map(({ remoteAddress }) => remoteAddress)
    expect(addresses).toEqual([`unix:${socketAt("mqtt")}`, `unix:${socketAt("ws")}`])
    const kafka = await KafkaClient.connect({ path: socketAt("kafka") })
    const { brokers } = await kafka.send(Metadata, 9, { topics: null })
    expect(brokers).toMatchObject([{ host: "a.example.org", port: 9092 }])
    kafka.socket.destroy()
    expect(await get({ path: socketAt("http") })).toMatch(/^HTTP\/1.1 200/)
  })

  it("that a dead server has left are taken over, those of a living one are not; the file goes with the listener", async () => {
    const yaml = `${none}
listeners:
  device: { protocol: mqtt, path: "${socketAt("mqtt")}" }
`
    const living = net.createServer().listen(socketAt("mqtt"))
    await once(living, "listening")
    const failed = await Effect.runPromiseExit(Effect.scoped(Layer.build(layerOf(yaml))))
    expect(Exit.isFailure(failed) && String(failed.cause)).toContain("EADDRINUSE")
    living.close()
    await once(living, "close")
    fs.writeFileSync(socketAt("mqtt"), "no socket")
    expect(Exit.isFailure(await Effect.runPromiseExit(Effect.scoped(Layer.build(layerOf(yaml)))))).toBe(true)
    expect(fs.readFileSync(socketAt("mqtt"), "utf8")).toBe("no socket")
    fs.rmSync(socketAt("mqtt"))
    // As a crash leaves it: nobody listens, and the file is there.
    const dead = net.createServer().listen(socketAt("first"))
    await once(dead, "listening")
    fs.linkSync(socketAt("first"), socketAt("mqtt"))
    dead.close()
    await once(dead, "close")
    expect(fs.existsSync(socketAt("mqtt"))).toBe(true)
    const { close } = await start(yaml)
    expect(await connackAt({ path: socketAt("mqtt") }, "a")).toBe(accepted)
    await close()
    expect(fs.existsSync(socketAt("mqtt"))).toBe(false)
  })

  it("have the addresses that PROXY headers tell", async () => {
    const { mqtt: broker } = await start(`${none}
listeners:
  device: { protocol: mqtt, path: "${socketAt("mqtt")}", proxyProtocol: true }
`)
    expect(await connackAt({ path: socketAt("mqtt") }, "a", proxyLine)).toBe(accepted)
    expect(await connackAt({ path: socketAt("mqtt") }, "b", Buffer.from("PROXY UNKNOWN\r\n"))).toBe(accepted)
    expect(await connackAt({ path: socketAt("mqtt") }, "c")).toBe("")
    const addresses = [...broker.connections()].map(({ remoteAddress }) => remoteAddress)
    expect(addresses).toEqual(["192.0.2.7", `unix:${socketAt("mqtt")}`])
  })
})

describe("PROXY headers before HTTP", () => {
  it("tell whose a WebSocket is, in whichever pieces they come; without one it is closed", async () => {
    const { mqtt: broker, portOf } = await start(`${none}
listeners:
  web: { protocol: mqttWs, port: 0, proxyProtocol: true }
`)
    const where = at(portOf("web"))
    const bytes = Buffer.concat([proxyLine, upgradeRequest, connectFrame])
    const addressAfter = async (pieces: ReadonlyArray<Uint8Array>): Promise<string> => {
      const socket = await webSocketAt(where, pieces)
      const addresses = [...broker.connections()].map(({ remoteAddress }) => remoteAddress)
      socket.destroy()
      await expect.poll(() => [...broker.connections()].length).toBe(0)
      return addresses.join()
    }
    expect(await addressAfter([bytes])).toBe("192.0.2.7")
    expect(await addressAfter([bytes.subarray(0, 10), bytes.subarray(10)])).toBe("192.0.2.7")
    expect(await addressAfter([proxyLine, bytes.subarray(proxyLine.length)])).toBe("192.0.2.7")
    expect(await addressAfter(Array.from(bytes, (byte) => Buffer.from([byte])))).toBe("192.0.2.7")
    const direct = net.connect(where)
    direct.write(upgradeRequest)
    direct.resume()
    await once(direct, "close")
    expect(direct.bytesRead).toBe(0)
  })

  it("tell who asks the API", async () => {
    const { broker, journal, portOf } = await start(`${none}
listeners:
  admin: { protocol: http, port: 0, proxyProtocol: true }
`)
    expect(await get(at(portOf("admin")), proxyLine)).toMatch(/^HTTP\/1.1 200/)
    expect(await get(at(portOf("admin")))).toBe("")
    const socket = net.connect(portOf("admin"), "127.0.0.1")
    const body = JSON.stringify({ name: "orders", partitions: 1 })
    const head = "POST /api/v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    socket.write(proxyLine)
    socket.write(`${head}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
    const [answer] = await once(socket, "data")
    expect(String(answer)).toMatch(/^HTTP\/1.1 20/)
    const [event] = newestEvents({ journal, broker }, { kind: "catalog" }, 1)
    expect(event!.cause.origin).toBe("http POST /streams by anonymous@192.0.2.7")
  })

  it("have to come in time, and a stop does not wait for them", async () => {
    const { portOf, close } = await start(`${none}
limits: { connectTimeoutMs: 50ms }
listeners:
  admin: { protocol: http, port: 0, proxyProtocol: true }
`)
    const silent = net.connect(portOf("admin"), "127.0.0.1")
    silent.write("PROXY ")
    silent.resume()
    await once(silent, "close")
    await close()
  })
})
