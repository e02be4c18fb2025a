import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import * as tls from "node:tls"
import * as Context from "effect/Context"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { temporaryDirectory } from "../../../../core/test/support/temporary.ts"
import { Broker, layer, layerRetention, Mqtt } from "../../../src/composition.ts"
import { loadConfig } from "../../../src/config/loadConfig.ts"
import { Certificates, layerListeners, Serving } from "../../../src/listeners.ts"
import type { Fields, Log } from "../../../src/Log.ts"
import { RawClient as KafkaClient } from "../../kafka/kit.ts"
import { connectPacket } from "../../mqtt/kit.ts"
import { TestAuthority, writeTls } from "../../support/certificates.ts"
import { newestEvents } from "../../support/newestEvents.ts"
import { acquired, layerTest } from "../../support/parts.ts"

// A server with TLS on every listener, over real sockets.

const authority = new TestAuthority()
const stranger = new TestAuthority("Another CA")
const own = authority.server()

let directory: string
let stops: Array<() => unknown> = []

beforeEach(() => {
  directory = temporaryDirectory()
  writeTls(directory, authority, own)
})

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

const protocols = ["mqtt", "mqttWs", "kafka", "http"] as const
type Protocol = (typeof protocols)[number]

interface Line {
  readonly message: string
  readonly fields: Fields
}

const file = (name: string): string => JSON.stringify(path.join(directory, name))

const start = async (section = "", rest = "", tlsOn = "tls: true") => {
  const lines: Array<Line> = []
  const note = (message: string, fields: Fields = {}): void => void lines.push({ message, fields })
  const log: Log = { debug: note, info: note, warn: note, error: note }
  const yaml =
    `tls: { cert: ${file("cert.pem")}, key: ${file("key.pem")}, clientCa: ${file("ca.pem")}${section} }\n` +
    protocols.map((name) => `${name}: { port: 0, ${tlsOn} }\n`).join("") +
    rest
  const loaded = loadConfig({ flags: new Map(), env: {}, files: [{ name: "a.yaml", text: yaml }] })
  const { config, settings } = Either.getOrThrow(loaded)
  const journal = new MemoryJournal(systemClock)
  const test = layerTest({ journal, limits: config.limits, log, mqtt: config.mqtt })
  const parts = layerRetention().pipe(Layer.provideMerge(layer), Layer.provideMerge(test))
  const { made, close } = await acquired(Layer.build(layerListeners(config, settings).pipe(Layer.provideMerge(parts))))
  let isStopped = false
  const stop = async (): Promise<void> => {
    if (!isStopped) await close()
    isStopped = true
  }
  stops.push(stop)
  const { listeners, ports } = Context.get(made, Serving)
  const refusals = () => lines.filter(({ message }) => message.endsWith("connection refused"))
  return {
    broker: Context.get(made, Broker),
    mqtt: Context.get(made, Mqtt),
    certificates: Context.get(made, Certificates),
    journal,
    lines,
    ports,
    listeners,
    stop,
    refusals,
    /** The refusals' reasons, once there is one. */
    refused: async (): Promise<ReadonlyArray<unknown>> => {
      await expect.poll(() => refusals().length, { timeout: 20_000 }).toBeGreaterThan(0)
      return refusals().map(({ fields }) => fields["reason"])
    }
  }
}

/** A TLS socket, once the server's side of the handshake is done. */
const secure = async (port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> => {
  const socket = tls.connect({ port, host: "127.0.0.1", servername: "localhost", ca: authority.cert, ...options })
  stops.unshift(() => socket.destroy())
  socket.on("error", () => undefined)
  await once(socket, "secureConnect")
  return socket
}

/** All that comes until the other side closes. */
const allOf = async (socket: net.Socket): Promise<Buffer> => {
  const parts: Array<Buffer> = []
  socket.on("data", (part: Buffer) => parts.push(part))
  socket.on("error", () => undefined)
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve))
  return Buffer.concat(parts)
}

/** Resolves with so many bytes. */
const bytesOf = async (socket: net.Socket, count: number): Promise<Buffer> => {
  let received = Buffer.alloc(0)
  socket.on("data", (part: Buffer) => (received = Buffer.concat([received, part])))
  await expect.poll(() => received.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(count)
  return received
}

const accepted = "20020000"
const upgrade =
  "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  `Sec-WebSocket-Key: ${Buffer.from("sixteen bytes ok").toString("base64")}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`

const connack = async (socket: net.Socket, clientId: string): Promise<string> => {
  socket.write(connectPacket({ clientId, version: 4 }))
  return (await bytesOf(socket, 4)).toString("hex")
}

/** What a client of a protocol gets that asks the simplest question over a socket. */
const ask: Readonly<Record<Protocol, (socket: net.Socket) => Promise<unknown>>> = {
  mqtt: (socket) => connack(socket, "c1"),
  mqttWs: async (socket) => {
    const packet = connectPacket({ clientId: "c2", version: 4 })
    socket.write(upgrade)
    socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | packet.length, 0, 0, 0, 0]), packet]))
    let received = Buffer.alloc(0)
    socket.on("data", (part: Buffer) => (received = Buffer.concat([received, part])))
    await expect.poll(() => received.includes(Buffer.from(`8204${accepted}`, "hex")), { timeout: 20_000 }).toBe(true)
    return accepted
  },
  kafka: async (socket) => (await KafkaClient.over(socket).send(Metadata, 9, { topics: null })).brokers,
  http: async (socket) => {
    socket.write("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    return (await allOf(socket)).toString().split("\r\n")[0]
  }
}

const answers = (ports: Readonly<Record<Protocol, number>>): Readonly<Record<Protocol, unknown>> => ({
  mqtt: accepted,
  mqttWs: accepted,
  kafka: [expect.objectContaining({ host: "127.0.0.1", port: ports.kafka })],
  http: "HTTP/1.1 200 OK"
})

/** Their places at the gates, pre-auth among them. */
const open = ({ gate }: Broker["Type"]) => [gate.open, gate.preAuth, ...[...gate.listeners].map((each) => each.open)]

describe.each(protocols)("%s over TLS", (protocol) => {
  it.each(["TLSv1.2", "TLSv1.3"] as const)("answers over %s, and tells its own port", async (version) => {
    const server = await start()
    const socket = await secure(server.ports[protocol], { minVersion: version, maxVersion: version })
    expect(socket.getProtocol()).toBe(version)
    expect(await ask[protocol](socket)).toEqual(answers(server.ports)[protocol])
    socket.destroy()
    await expect.poll(() => open(server.broker).every((count) => count === 0), { timeout: 20_000 }).toBe(true)
    expect(server.broker.shards.memory.bytes("connections")).toBe(0)
  })

  it("takes nothing older", async () => {
    const server = await start()
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const
    await expect(secure(server.ports[protocol], old)).rejects.toThrow(/protocol version|unsupported/i)
    expect(await server.refused()).toEqual(["TLS: ERR_SSL_UNSUPPORTED_PROTOCOL"])
  })

  it("closes a client in plain text, and says so", async () => {
    const server = await start()
    const socket = net.connect(server.ports[protocol], "127.0.0.1")
    stops.unshift(() => socket.destroy())
    socket.write(protocol === "http" || protocol === "mqttWs" ? "GET / HTTP/1.1\r\n" : connectPacket({}))
    expect(await allOf(socket)).toHaveLength(0)
    const what = protocol === "http" || protocol === "mqttWs" ? "an HTTP request" : "plain text"
    expect(await server.refused()).toEqual([`${what} came instead of a TLS handshake`])
  })

  it("in plain text closes a client with TLS, and says so", async () => {
    const server = await start("", "listeners: { other: { protocol: mqtt, port: 0, tls: true } }\n", "tls: false")
    await expect(secure(server.ports[protocol])).rejects.toThrow()
    const said = () => server.lines.filter(({ fields }) => String(fields["reason"]).includes("a TLS handshake"))
    await expect.poll(() => said().length, { timeout: 20_000 }).toBe(1)
  })

  it("ends a handshake that never ends, and gives back what it took", async () => {
    const server = await start("", "limits: { connectTimeoutMs: 300 }\n")
    const silent = net.connect(server.ports[protocol], "127.0.0.1")
    const begun = net.connect(server.ports[protocol], "127.0.0.1")
    stops.unshift(() => [silent, begun].map((socket) => socket.destroy()))
    begun.write(Buffer.from("1603010200010001fc0303", "hex"))
    await Promise.all([allOf(silent), allOf(begun)])
    await server.refused()
    await expect.poll(() => server.refusals().length, { timeout: 20_000 }).toBe(2)
    expect(new Set(await server.refused())).toEqual(new Set(["no TLS handshake came in time"]))
    await expect.poll(() => open(server.broker).every((count) => count === 0), { timeout: 20_000 }).toBe(true)
    expect(server.broker.shards.memory.bytes("connections")).toBe(0)
  })

  it("closes what is no handshake behind its first byte, with the reason", async () => {
    const server = await start()
    const socket = net.connect(server.ports[protocol], "127.0.0.1")
    stops.unshift(() => socket.destroy())
    socket.write(Buffer.concat([Buffer.from("1603010005", "hex"), Buffer.alloc(64, 0xff)]))
    await allOf(socket)
    expect(await server.refused()).toEqual([expect.stringMatching(/^TLS: ERR_SSL_/)])
  })

  it("lets in by the address of a PROXY header before TLS", async () => {
    const server = await start("", "", "tls: true, proxyProtocol: true")
    const socket = net.connect(server.ports[protocol], "127.0.0.1")
    socket.write("PROXY TCP4 192.0.2.7 10.0.0.1 56324 1883\r\n")
    const within = tls.connect({ socket, servername: "localhost", ca: authority.cert })
    stops.unshift(() => within.destroy())
    await once(within, "secureConnect")
    expect(await ask[protocol](within)).toEqual(answers(server.ports)[protocol])
  })

  it("asks for a certificate where it is required, and takes a good one only", async () => {
    const server = await start(", clientCertificates: required")
    const port = server.ports[protocol]
    const good = await secure(port, authority.client("alice"))
    expect(await ask[protocol](good)).toEqual(answers(server.ports)[protocol])
    expect(server.refusals()).toEqual([])
    const none = await secure(port)
    none.write("x")
    await allOf(none)
    const other = await secure(port, stranger.client("alice"))
    await allOf(other)
    const expired = await secure(port, authority.pair("client", { commonName: "alice", untilMs: -1000 }))
    await allOf(expired)
    const nameless = await secure(port, authority.pair("client"))
    await allOf(nameless)
    await expect.poll(() => server.refusals().length, { timeout: 20_000 }).toBe(4)
    expect(await server.refused()).toEqual([
      "TLS: ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
      "TLS: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "TLS: CERT_HAS_EXPIRED",
      "the certificate has no common name"
    ])
  })

  it("takes clients without a certificate where it is optional, and none with a bad one", async () => {
    const server = await start(", clientCertificates: optional")
    const port = server.ports[protocol]
    expect(await ask[protocol](await secure(port))).toEqual(answers(server.ports)[protocol])
    await allOf(await secure(port, stranger.client("alice")))
    expect(await server.refused()).toEqual(["TLS: UNABLE_TO_VERIFY_LEAF_SIGNATURE"])
  })
})

describe("the principal of a certificate", () => {
  it("is named by the journal and the log, for MQTT, Kafka and HTTP alike", async () => {
    const server = await start(", clientCertificates: required")
    const alice = authority.client("alice")
    const mqtt = await secure(server.ports.mqtt, alice)
    await connack(mqtt, "c1")
    mqtt.destroy()
    const kafka = KafkaClient.over(await secure(server.ports.kafka, alice))
    const topic = { name: "t", numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
    await kafka.send(CreateTopics, 5, { topics: [topic], timeoutMs: 1000, validateOnly: false })
    const http = await secure(server.ports.http, alice)
    http.write("DELETE /api/v1/streams/t HTTP/1.0\r\nHost: localhost\r\n\r\n")
    await allOf(http)
    const origins = () =>
      newestEvents(server, {})
        .map(({ cause }) => cause.origin)
        .filter((origin) => origin !== undefined && / by /.test(origin))
    await expect.poll(() => new Set(origins().map((origin) => origin!.split(" ")[0])).size).toBe(3)
    expect(origins()).toEqual(
      expect.arrayContaining([
        "mqtt c1 by alice@127.0.0.1 CONNECT",
        expect.stringMatching(/^kafka raw by alice@127\.0\.0\.1:\d+ CreateTopics#1$/),
        expect.stringMatching(/^http DELETE .* by alice@127\.0\.0\.1$/)
      ])
    )
    await expect
      .poll(() => server.lines.find(({ message }) => message === "mqtt: connection ended")?.fields)
      .toMatchObject({
        client: "c1",
        user: "alice",
        address: "127.0.0.1"
      })
  })
})

describe("a session that is resumed", () => {
  it.each(["TLSv1.2", "TLSv1.3"] as const)("is still that of its certificate's principal, over %s", async (version) => {
    const server = await start(", clientCertificates: required")
    const options = { ...authority.client("alice"), minVersion: version, maxVersion: version }
    const first = tls.connect({ port: server.ports.mqtt, servername: "localhost", ca: authority.cert, ...options })
    stops.unshift(() => first.destroy())
    first.on("error", () => undefined)
    const [session] = (await once(first, "session")) as [Buffer]
    const second = await secure(server.ports.mqtt, { ...options, session })
    expect(second.isSessionReused()).toBe(true)
    expect(await connack(second, "c1")).toBe(accepted)
    expect([...server.mqtt.connections()].map(({ clientId }) => clientId)).toContain("c1")
    const origins = newestEvents(server, { actor: "session/c1" }).map(({ cause }) => cause.origin)
    expect(origins).toContain("mqtt c1 by alice@127.0.0.1 CONNECT")
  })

  it("begins anew once there is a new certificate", async () => {
    const server = await start(", clientCertificates: required")
    const options = authority.client("alice")
    const first = await secure(server.ports.mqtt, options)
    const [session] = (await once(first, "session")) as [Buffer]
    server.certificates.reload()
    expect((await secure(server.ports.mqtt, { ...options, session })).isSessionReused()).toBe(false)
  })
})

describe("connections over TLS", () => {
  it("carry what is large both ways, in pieces", async () => {
    const server = await start()
    const socket = await secure(server.ports.mqtt)
    expect(await connack(socket, "c1")).toBe(accepted)
    socket.removeAllListeners("data")
    socket.write(Buffer.from("8206000100012300", "hex"))
    expect((await bytesOf(socket, 5)).toString("hex")).toBe("9003000100")
    socket.removeAllListeners("data")
    const payload = Buffer.alloc(900_000, "x")
    const publish = Buffer.concat([Buffer.from([0x30, 0xa3, 0xf7, 0x36, 0, 1, 0x74]), payload])
    socket.write(publish)
    expect((await bytesOf(socket, publish.length)).equals(publish)).toBe(true)
  })

  it("end with close_notify when the server stops, behind what was written", async () => {
    const server = await start()
    const socket = await secure(server.ports.mqtt)
    socket.write(connectPacket({ clientId: "c5", version: 5 }))
    await bytesOf(socket, 4)
    socket.removeAllListeners("data")
    const ended = once(socket, "end")
    const rest = allOf(socket)
    await server.stop()
    await ended
    // DISCONNECT, the server shuts down.
    expect((await rest).subarray(0, 1).toString("hex")).toBe("e0")
  })

  it("of a client that ends its side get what they have asked for", async () => {
    const server = await start()
    const socket = await secure(server.ports.kafka, { allowHalfOpen: true } as tls.ConnectionOptions)
    const client = KafkaClient.over(socket)
    const answer = client.send(Metadata, 9, { topics: null })
    socket.end()
    expect((await answer).brokers).toHaveLength(1)
  })

  it("that break are an end with a reason of OpenSSL's", async () => {
    const server = await start()
    const raw = net.connect(server.ports.mqtt, "127.0.0.1")
    const socket = tls.connect({ socket: raw, servername: "localhost", ca: authority.cert })
    socket.on("error", () => undefined)
    stops.unshift(() => socket.destroy())
    await once(socket, "secureConnect")
    expect(await connack(socket, "c1")).toBe(accepted)
    raw.write(Buffer.concat([Buffer.from("1703030020", "hex"), Buffer.alloc(32, 1)]))
    const end = () => server.lines.find(({ message }) => message === "mqtt: connection ended")?.fields
    await expect
      .poll(() => end(), { timeout: 20_000 })
      .toMatchObject({
        by: "socket",
        error: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC"
      })
  })

  it("stay while their certificate is replaced; new ones get the new one", async () => {
    const server = await start()
    const serials: Array<string | undefined> = []
    const connected = async (): Promise<tls.TLSSocket> => {
      const socket = await secure(server.ports.kafka)
      // Node forgets it later.
      serials.push(socket.getPeerX509Certificate()!.serialNumber)
      return socket
    }
    const client = KafkaClient.over(await connected())
    writeTls(directory, authority, authority.server())
    server.certificates.reload()
    await connected()
    expect(serials[1]).not.toBe(serials[0])
    expect((await client.send(Metadata, 9, { topics: null })).brokers).toHaveLength(1)
    fs.writeFileSync(path.join(directory, "key.pem"), "broken")
    server.certificates.reload()
    await connected()
    expect(serials[2]).toBe(serials[1])
    expect(server.lines.map(({ message }) => message)).toContain(
      "tls: new files are not taken, the old ones stay in use"
    )
  })

  it("have no second handshake", async () => {
    const server = await start("", "limits: { connectTimeoutMs: 60000 }\n")
    const socket = await secure(server.ports.mqtt, { maxVersion: "TLSv1.2" })
    expect(await connack(socket, "c1")).toBe(accepted)
    const refused = new Promise((resolve) => void socket.once("error", resolve))
    socket.renegotiate({ rejectUnauthorized: true }, () => undefined)
    expect(await refused).toMatchObject({ code: "ERR_SSL_NO_RENEGOTIATION" })
  })

  it("are not let in without memory for TLS", async () => {
    const server = await start()
    const { memory } = server.broker.shards
    memory.add("connections", memory.budget("connections") - memory.bytes("connections") - 40 * 1024)
    await expect(secure(server.ports.mqtt)).rejects.toThrow()
    expect(await server.refused()).toEqual(["there is no room for a TLS connection"])
  })

  it("above a limit are closed before their handshake: no CONNACK is worth one", async () => {
    const server = await start("", "limits: { connectionsMax: 1 }\n")
    await connack(await secure(server.ports.mqtt), "c1")
    await expect(secure(server.ports.mqtt)).rejects.toThrow()
    expect(await server.refused()).toEqual(["there is no room for a TLS connection"])
    await expect.poll(() => server.broker.gate.told).toBe(0)
  })

  it("do not stop a good client while a thousand handshakes are left open", async () => {
    const server = await start(
      "",
      "limits: { preAuthConnectionsPerAddressMax: 900, connectTimeoutMs: 60000, memoryBytesMax: 1GiB }\n"
    )
    const good = KafkaClient.over(await secure(server.ports.kafka))
    await good.send(Metadata, 9, { topics: null })
    const sockets = Array.from({ length: 1000 }, () => net.connect(server.ports.kafka, "127.0.0.1"))
    stops.unshift(() => sockets.map((socket) => socket.destroy()))
    for (const socket of sockets)
      socket.on("error", () => undefined).write(Buffer.from("1603010200010001fc0303", "hex"))
    await expect.poll(() => server.broker.gate.preAuth, { timeout: 20_000 }).toBe(900)
    await expect.poll(() => server.broker.gate.refused, { timeout: 20_000 }).toBe(100)
    expect((await good.send(Metadata, 9, { topics: null })).brokers).toHaveLength(1)
    for (const socket of sockets) socket.destroy()
    await expect.poll(() => server.broker.gate.preAuth, { timeout: 20_000 }).toBe(0)
  })
})
