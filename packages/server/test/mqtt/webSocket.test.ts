import { createHash } from "node:crypto"
import * as net from "node:net"
import mqtt from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Kit, connectPacket, packet, publishPacket, startKit, subscribePacket } from "./kit.ts"

let kit: Kit
const sockets: Array<net.Socket> = []

beforeEach(async () => {
  kit = await startKit()
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await kit.stop()
})

const key = Buffer.from("sixteen bytes ok").toString("base64")
const request = (changes: Record<string, string | undefined> = {}): string => {
  const headers = {
    Host: "localhost",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Protocol": "mqttv3.1, mqtt",
    ...changes
  }
  const lines = Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
  return `GET /mqtt HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`
}

/** Masked with zeros, so that the payload can be read. */
const frame = (opcode: number, payload: Uint8Array): Buffer => {
  const length = payload.length < 126 ? [payload.length | 0x80] : [0xfe, payload.length >>> 8, payload.length & 0xff]
  return Buffer.concat([Buffer.from([0x80 | opcode, ...length, 0, 0, 0, 0]), payload])
}

class Client {
  readonly socket: net.Socket
  received = Buffer.alloc(0)
  isClosed = false

  constructor(of = kit) {
    this.socket = net.connect(of.webSocketPort, "127.0.0.1")
    sockets.push(this.socket)
    this.socket.on("data", (chunk) => (this.received = Buffer.concat([this.received, chunk as Buffer])))
    this.socket.on("error", () => undefined)
    this.socket.on("close", () => (this.isClosed = true))
  }

  /** The next bytes, at least so many. */
  async bytes(count: number): Promise<Buffer> {
    await expect.poll(() => this.received.length).toBeGreaterThanOrEqual(count)
    const bytes = this.received.subarray(0, count)
    this.received = this.received.subarray(count)
    return bytes
  }

  async upgrade(): Promise<this> {
    this.socket.write(request())
    await expect.poll(() => this.received.includes("\r\n\r\n")).toBe(true)
    this.received = this.received.subarray(this.received.indexOf("\r\n\r\n") + 4)
    return this
  }

  /** A server's frame of less than 126 bytes. */
  async frame(): Promise<{ first: number; payload: Buffer }> {
    const [first, length] = await this.bytes(2)
    return { first: first!, payload: await this.bytes(length!) }
  }
}

const connected = async (): Promise<Client> => {
  const client = await new Client().upgrade()
  client.socket.write(frame(2, connectPacket({ version: 4 })))
  expect(await client.frame()).toEqual({ first: 0x82, payload: Buffer.from([0x20, 2, 0, 0]) })
  return client
}

/** Of the answer to a page of this origin. */
const statusFor = async (origin: string): Promise<string> => {
  const client = new Client()
  client.socket.write(request({ Origin: origin }))
  await expect.poll(() => client.received.toString()).toMatch(/\r\n\r\n/)
  return client.received.toString().slice(9, 12)
}

describe("MQTT over WebSocket", () => {
  it("is accepted with the key's answer and the subprotocol", async () => {
    const client = new Client()
    client.socket.write(request())
    await expect.poll(() => client.received.toString()).toMatch(/\r\n\r\n$/)
    const answer = client.received.toString()
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
    expect(answer).toMatch(/^HTTP\/1.1 101 /)
    expect(answer).toContain(`Sec-WebSocket-Accept: ${accept}\r\n`)
    expect(answer).toContain("Sec-WebSocket-Protocol: mqtt\r\n")
  })

  it("is accepted with the subprotocol of MQTT 3.1 clients, where that alone is offered", async () => {
    const client = new Client()
    client.socket.write(request({ "Sec-WebSocket-Protocol": "mqttv3.1" }))
    await expect
      .poll(() => client.received.toString())
      .toMatch(/^HTTP\/1.1 101 [^]*Sec-WebSocket-Protocol: mqttv3.1\r\n/)
  })

  it.each<[string, Record<string, string | undefined>, number]>([
    ["without the subprotocol", { "Sec-WebSocket-Protocol": undefined }, 400],
    ["with another one", { "Sec-WebSocket-Protocol": "chat" }, 400],
    ["without a key", { "Sec-WebSocket-Key": undefined }, 400],
    ["with a key that is none", { "Sec-WebSocket-Key": "short" }, 400],
    ["of another version", { "Sec-WebSocket-Version": "8" }, 426],
    ["of another protocol", { Upgrade: "h2c" }, 400],
    ["that is no upgrade", { Upgrade: undefined, Connection: "close" }, 426]
  ])("refuses a request %s", async (_name, changes, status) => {
    const client = new Client()
    client.socket.write(request(changes))
    await expect.poll(() => client.isClosed).toBe(true)
    expect(client.received.toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  it("takes CONNECT with the request, packets in parts, and many packets in one message of any size", async () => {
    await kit.bind("all", ["#"])
    const client = new Client()
    client.socket.write(Buffer.concat([Buffer.from(request()), frame(2, connectPacket({ version: 4 }))]))
    await expect.poll(() => client.received.includes(Buffer.from([0x82, 4, 0x20, 2, 0, 0]))).toBe(true)
    const publish = publishPacket("a", "x".repeat(60_000), { version: 4, qos: 1 })
    const head = frame(2, publish.subarray(0, 9))
    head[0] = 2
    const rest = frame(2, publish.subarray(9))
    rest[0] = 0x80
    client.socket.write(Buffer.concat([head, frame(9, Buffer.from("p")), rest]))
    await expect.poll(() => kit.records("all")).toHaveLength(1)
    expect(client.received.includes(Buffer.from([0x8a, 1, 0x70]))).toBe(true)
    const large = Buffer.concat(Array.from({ length: 50 }, () => publish))
    const long = Buffer.alloc(8)
    long.writeBigUInt64BE(BigInt(large.length))
    client.socket.write(Buffer.concat([Buffer.from([0x82, 0xff]), long, Buffer.alloc(4), large]))
    await expect.poll(() => kit.records("all")).toHaveLength(51)
  })

  it("answers a close, and publishes the will", async () => {
    await kit.bind("wills", ["w"])
    const client = await new Client().upgrade()
    const will = { flags: 6, rest: [0, 1, 0x77, 0, 1, 0x78] }
    client.socket.write(frame(2, connectPacket({ version: 4, ...will })))
    await client.frame()
    client.socket.write(frame(8, Buffer.from([3, 0xe8])))
    expect(await client.frame()).toEqual({ first: 0x88, payload: Buffer.from([3, 0xe8]) })
    await expect.poll(() => client.isClosed).toBe(true)
    await expect.poll(() => kit.records("wills")).toHaveLength(1)
  })

  it("closes at text with 1003, and stores nothing that comes behind it", async () => {
    await kit.bind("all", ["#"])
    const client = await connected()
    const publish = frame(2, publishPacket("a", "x", { version: 4 }))
    client.socket.write(Buffer.concat([frame(1, Buffer.from("text")), publish]))
    expect(await client.frame()).toEqual({ first: 0x88, payload: Buffer.from([3, 0xeb]) })
    await expect.poll(() => client.isClosed).toBe(true)
    await kit.seq()
    expect(kit.records("all")).toEqual([])
    expect(kit.audit.map(({ fields }) => fields["reason"])).toEqual(["WebSocket: a text frame"])
  })

  it.each([
    ["a close frame", (client: Client) => client.socket.write(frame(8, Buffer.from([3, 0xe8]))), "WebSocket close"],
    ["a FIN", (client: Client) => client.socket.end(), "FIN"],
    ["a RST", (client: Client) => client.socket.resetAndDestroy(), "ECONNRESET"]
  ])("tells how the client ended the connection: %s", async (_name, end, error) => {
    end(await connected())
    await expect
      .poll(() => kit.lines.map(({ message, fields }) => [message, fields["error"]]))
      .toEqual([["mqtt: connection ended", error]])
  })

  it("tells the client in a close frame when the server ends the connection", async () => {
    const client = await connected()
    client.socket.write(frame(2, packet(0xc0, [1])))
    expect((await client.frame()).first).toBe(0x88)
    await expect.poll(() => client.isClosed).toBe(true)
  })

  it("takes pages of local names only, and those that are allowed", async () => {
    for (const origin of ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080", "http://LOCALHOST"]) {
      expect(await statusFor(origin)).toBe("101")
    }
    const foreign = ["https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "null"]
    for (const origin of foreign) expect(await statusFor(origin)).toBe("403")
    expect(kit.audit.map(({ fields }) => fields["origin"])).toEqual(foreign)
  })

  it("ends for a client that closes and reads nothing, and publishes its will", async () => {
    await kit.bind("wills", ["w"])
    const client = await new Client().upgrade()
    client.socket.write(frame(2, connectPacket({ version: 4, flags: 6, rest: [0, 1, 0x77, 0, 1, 0x78] })))
    await client.frame()
    client.socket.write(frame(2, subscribePacket(1, [["a", 0]], 4)))
    await client.frame()
    client.socket.pause()
    const publisher = await new Client().upgrade()
    publisher.socket.write(frame(2, connectPacket({ version: 4, clientId: "publisher" })))
    await publisher.frame()
    for (let i = 0; i < 150; i++)
      publisher.socket.write(frame(2, publishPacket("a", "x".repeat(60_000), { version: 4 })))
    publisher.socket.write(frame(2, packet(0xc0, [])))
    await publisher.frame()
    const { open } = kit.broker.gate
    client.socket.write(frame(8, Buffer.from([3, 0xe8])))
    await expect.poll(() => kit.records("wills")).toHaveLength(1)
    await expect.poll(() => kit.broker.gate.open).toBe(open - 1)
  })

  it("upgrades nobody while the server stops", async () => {
    const own = await startKit()
    const held = Array.from({ length: 5 }, () => new Client(own))
    const [head, end] = [request().slice(0, -2), "\r\n"]
    for (const { socket } of held) socket.write(head)
    const client = await new Client(own).upgrade()
    client.socket.write(frame(2, connectPacket({ version: 4 })))
    await client.frame()
    const stopped = own.stop()
    // In the turns in which the client's session ends.
    for (const { socket } of held) socket.write(end)
    await stopped
    await expect.poll(() => held.every(({ isClosed }) => isClosed)).toBe(true)
    for (const { received } of held) expect(received.toString()).not.toContain(" 101 ")
  })

  it("counts sockets at the gate before their request is there, and closes those that send none in time", async () => {
    const limits = { connectTimeoutMs: 2000, connectionsPerAddressMax: 2, refusalsToldMax: 1 }
    const own = await startKit({ limits })
    const { gate } = own.broker
    const clients = Array.from({ length: 4 }, () => new Client(own))
    await expect.poll(() => clients.filter(({ isClosed }) => isClosed)).toHaveLength(1)
    expect([gate.open, gate.told, gate.refused]).toEqual([2, 1, 2])
    await expect.poll(() => [gate.open, gate.told]).toEqual([0, 0])
    await own.stop()
  })

  it("tells a client that its connection is one too many", async () => {
    const own = await startKit({ limits: { connectionsMax: 1 } })
    const connect = (): Promise<mqtt.MqttClient> =>
      mqtt.connectAsync(`ws://127.0.0.1:${own.webSocketPort}/mqtt`, { protocolVersion: 5, reconnectPeriod: 0 })
    const first = await connect()
    await expect(connect()).rejects.toMatchObject({ code: 0x89 })
    await first.endAsync(true)
    await expect.poll(() => own.broker.gate.told).toBe(0)
    await own.stop()
  })

  it("answers the newest ping once the client reads again, and drops pongs that nobody reads", async () => {
    const client = await connected()
    client.socket.pause()
    const pings = Buffer.concat(Array.from({ length: 10_000 }, () => frame(9, Buffer.alloc(125))))
    for (let i = 0; i < 8; i++) client.socket.write(pings)
    client.socket.write(frame(9, Buffer.from("newest")))
    client.socket.write(frame(2, subscribePacket(1, [["a", 0]], 4)))
    // All before it has been read by then.
    await expect.poll(() => kit.broker.metrics.render()).toMatch(/^logbrook_mqtt_subscriptions 1$/m)
    client.socket.resume()
    await expect
      .poll(() => client.received.includes(Buffer.from([0x82, 5, 0x90, 3, 0, 1, 0])), { timeout: 60_000 })
      .toBe(true)
    const newest = Buffer.from("\u008A\u0006newest", "latin1")
    await expect.poll(() => client.received.includes(newest), { timeout: 60_000 }).toBe(true)
    expect(client.received.length).toBeLessThan(80_000 * 127)
  })

  it("carries what a client has written while it was not connected, all in one message", async () => {
    await kit.bind("all", ["#"])
    const client = mqtt.connect(`ws://127.0.0.1:${kit.webSocketPort}/mqtt`, { protocolVersion: 5 })
    const payload = Buffer.alloc(100_000, 0x78)
    await Promise.all(Array.from({ length: 40 }, (_, i) => client.publishAsync(`a/${i}`, payload, { qos: 1 })))
    expect(kit.records("all")).toHaveLength(40)
    await client.endAsync(true)
  })
})
