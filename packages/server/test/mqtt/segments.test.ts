import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { MqttConnection } from "../../src/mqtt/MqttConnection.ts"
import type { Transport } from "../../src/mqtt/Transport.ts"
import { lingerMs } from "../../src/net/endSoftly.ts"
import { connected, connectPacket, type Kit, packet, publishPacket, startKit, subscribePacket } from "./kit.ts"

// A client gets the same answers however its bytes are cut, also when it ends the connection or breaks the protocol.

/** `npm run fuzz:mqtt` has many more, mutated. */
const conversations = 2000
const atOnce = 100
const conversationsPerServer = 500
const overSockets = 120
const filtersOfOthers = 10_000

let kit: Kit

const start = async (): Promise<void> => {
  // Byte by byte, a slow machine takes long: no client shall be taken for one that does not send.
  const patience = { connectTimeoutMs: 600_000, frameStallMs: 600_000 }
  kit = await startKit({ limits: { ...patience, commitPacingMs: 0, preAuthConnectionsPerAddressMax: 1000 } })
  // However many there are in a second, which the log bounds.
  kit.mqtt.faults.write = (message, fields) => void kit.audit.push({ message, fields })
  await kit.bind("stored", ["p/stored/#"])
}

beforeAll(start)

afterAll(() => kit.stop())

// --- What a client says ---

type Version = 3 | 4 | 5
type Random = (below: number) => number

const randomOf = (seed: number): Random => {
  let state = (seed + 1) * 0x9e3779b9
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

/** What a client may send. Nobody is subscribed to what it publishes: deliveries are no answers. */
const proper: ReadonlyArray<(random: Random, version: Version) => Buffer> = [
  (random, version) => publish("p/stored/1", random, version),
  (random, version) => publish("p/nobody", random, version),
  (random, version) => publish("$SYS/broker/uptime", random, version),
  (random, version) => subscribePacket(1 + random(9), [["s/a", random(3)]], version),
  (random, version) => {
    const filters = ["s/+", "$stream/x", "s/#"].slice(random(3)).map((filter) => [filter, random(3)] as const)
    return subscribePacket(1 + random(9), filters, version)
  },
  (random, version) => packet(0xa2, [0, 1 + random(9)], version === 5 ? [0] : [], [0, 3], Buffer.from("s/a")),
  (random) => packet(0x62, [0, 1 + random(5)]),
  (random) => packet(0x40, [0, 1 + random(5)]),
  (random) => packet(0x50, [0, 1 + random(5)]),
  () => packet(0xc0)
]

const publish = (topic: string, random: Random, version: Version): Buffer => {
  const qos = random(3) as 0 | 1 | 2
  return publishPacket(topic, "x".repeat(random(200)), { version, qos, packetId: 1 + random(5) })
}

/** What ends a connection. */
const last: ReadonlyArray<(random: Random, version: Version) => Buffer> = [
  () => packet(0xe0),
  (_random, version) => (version === 5 ? packet(0xe0, [4]) : packet(0xe0)),
  () => Buffer.from("0766", "hex"),
  () => Buffer.from("0000", "hex"),
  () => Buffer.from("30ffffffff7f", "hex"),
  () => Buffer.from("30ffffff02", "hex"),
  () => packet(0x90, [0, 1, 0]),
  () => packet(0x36, [0, 1, 0x61, 0, 1]),
  () => packet(0xc1),
  (random, version) => publishPacket("p/+", "x", { version, qos: 1, packetId: 1 + random(5) }),
  (_random, version) => subscribePacket(0, [["a", 0]], version),
  (_random, version) => publishPacket("$stream/x", "x", { version, qos: 1, packetId: 7 }),
  (_random, version) => connectPacket({ version, clientId: "second" }),
  // Cut off in the middle.
  (_random, version) => publishPacket("p/stored/1", "cut off", { version, qos: 1 }).subarray(0, 9),
  () => Buffer.alloc(0)
]

const badConnects: ReadonlyArray<(version: Version, clientId: string) => Buffer> = [
  (version, clientId) => connectPacket({ version, clientId, flags: 3 }),
  (version, clientId) => connectPacket({ version, clientId: clientId.padEnd(300, "x") }),
  (_version, clientId) => connectPacket({ version: 3, name: "MQTT", clientId }),
  (_version, clientId) => connectPacket({ version: 5, clientId, properties: [21, 0, 1, 0x78] }),
  () => packet(0x30, [0, 1, 0x61])
]

interface Conversation {
  readonly version: Version
  readonly bytes: Buffer
}

/** A client id per way, of the same length, so that none takes over another's session. */
const conversationOf = (seed: number, clientId: string): Conversation => {
  const random = randomOf(seed)
  const version = ([3, 4, 5] as const)[random(3)]!
  const isBad = random(12) === 0
  const connect = isBad
    ? badConnects[random(badConnects.length)]!(version, clientId)
    : connectPacket({ version, clientId, flags: random(2) === 0 ? 2 : 0 })
  const parts = Array.from({ length: random(8) }, () => proper[random(proper.length)]!(random, version))
  const end = last[random(last.length)]!(random, version)
  return { version, bytes: Buffer.concat([connect, ...parts, end]) }
}

// --- How it is cut ---

type Way = "whole" | "bytes" | "pieces"
const ways: ReadonlyArray<Way> = ["whole", "bytes", "pieces"]

const cut = (bytes: Buffer, way: Way, seed: number): ReadonlyArray<Buffer> => {
  if (way === "whole") return [bytes]
  if (way === "bytes") return Array.from(bytes, (byte) => Buffer.from([byte]))
  const random = randomOf(seed + 0x5bd1)
  const pieces: Array<Buffer> = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + random(40)
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A peer that reads everything, and closes when the server has ended its side. */
class Peer implements Transport {
  readonly remoteAddress: string
  readonly unsentBytes = 0
  readonly received: Array<Buffer> = []
  readonly ended: Promise<void>
  isPaused = false
  isClosed = false
  end: () => void = () => undefined

  constructor(address: string) {
    this.remoteAddress = address
    this.ended = new Promise((resolve) => {
      this.end = resolve
    })
  }

  write(buffers: ReadonlyArray<Uint8Array>): void {
    for (const buffer of buffers) this.received.push(Buffer.from(buffer))
  }

  destroy(): void {
    this.isClosed = true
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }
}

/** Between pieces others run, commits become durable, and others' SUBSCRIBEs use up what is done in a turn, now and then. */
const overTransport = async (bytes: Buffer, way: Way, seed: number): Promise<Buffer> => {
  const address = `${way} ${seed}`
  const peer = new Peer(address)
  const connection = new MqttConnection(kit.mqtt, peer, kit.broker.gate.admit(address)!)
  const random = randomOf(seed + 7)
  for (const piece of cut(bytes, way, seed)) {
    while (peer.isPaused) await turn()
    if (way !== "whole" && random(3) === 0) await turn()
    if (random(3) === 0) kit.mqtt.filters.use(filtersOfOthers)
    connection.onChunk(Buffer.from(piece))
  }
  while (peer.isPaused) await turn()
  connection.ended()
  await peer.ended
  connection.onClosed()
  return Buffer.concat(peer.received)
}

const overSocket = async (bytes: Buffer, way: Way, seed: number): Promise<Buffer> => {
  const socket = net.connect({ port: kit.port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true })
  const received: Array<Buffer> = []
  socket.on("data", (chunk) => received.push(chunk as Buffer))
  const closed = new Promise<void>((resolve, reject) => {
    socket.on("end", resolve)
    socket.on("error", reject)
  })
  for (const piece of cut(bytes, way, seed)) {
    socket.write(piece)
    if (way !== "whole") await turn()
  }
  socket.end()
  await closed
  return Buffer.concat(received)
}

// --- What it is answered ---

/** Whole packets, in hexadecimal. */
const packetsOf = (bytes: Buffer): Array<string> => {
  const packets: Array<string> = []
  for (let at = 0; at < bytes.length;) {
    let length = 0
    let end = at + 1
    for (let shift = 0; ; shift += 7) {
      length |= (bytes[end]! & 0x7f) << shift
      if (bytes[end++]! < 0x80) break
    }
    packets.push(bytes.toString("hex", at, end + length))
    expect(end + length).toBeLessThanOrEqual(bytes.length)
    at = end + length
  }
  return packets
}

/** Answers that need no commit overtake those that do: only the first and the last have their place. */
const answersOf = (bytes: Buffer): { readonly ends: ReadonlyArray<string>; readonly all: ReadonlyArray<string> } => {
  const packets = packetsOf(bytes)
  const isLast = packets.at(-1)?.startsWith("e0") === true
  const first = packets[0]?.startsWith("20") === true ? packets[0] : "none"
  return { ends: [first, isLast ? packets.at(-1)! : "none"], all: packets.toSorted() }
}

/** By whom and why the connection was ended, as it is told to the log. */
const refusalOf = (clientId: string): unknown =>
  kit.audit
    .filter(
      ({ message, fields }) => /^mqtt: connection (refused|ended)$/.test(message) && fields["client"] === clientId
    )
    .map(({ fields }) => fields["code"])

type Carry = (bytes: Buffer, way: Way, seed: number) => Promise<Buffer>

const converse = async (seed: number, prefix: string, carry: Carry): Promise<void> => {
  const fates = await Promise.all(
    ways.map(async (way) => {
      const clientId = `${prefix}${way[0]}${seed}`
      const { bytes } = conversationOf(seed, clientId)
      return { ...answersOf(await carry(bytes, way, seed)), refusal: refusalOf(clientId) }
    })
  )
  for (const fate of fates) expect(fate, `conversation ${seed}`).toEqual(fates[0])
}

describe("whole, byte by byte and in pieces, a client is answered the same", () => {
  it("over a transport", async () => {
    for (let from = 0; from < conversations; from += atOnce) {
      if (from > 0 && from % conversationsPerServer === 0) {
        await kit.stop()
        await start()
      }
      const count = Math.min(atOnce, conversations - from)
      await Promise.all(Array.from({ length: count }, (_, i) => converse(from + i, "t", overTransport)))
    }
  }, 600_000)

  it("over sockets", async () => {
    for (let seed = 0; seed < overSockets; seed++) await converse(100_000 + seed, "s", overSocket)
  })

  it("with something that is answered in them", () => {
    const seen = new Set<string>()
    for (let seed = 0; seed < conversations; seed++) {
      const { bytes } = conversationOf(seed, "x")
      seen.add(String(bytes.at(-1)))
    }
    expect(seen.size).toBeGreaterThan(10)
  })
})

const opened = async (address: string): Promise<{ readonly peer: Peer; readonly connection: MqttConnection }> => {
  const peer = new Peer(address)
  const connection = new MqttConnection(kit.mqtt, peer, kit.broker.gate.admit(address)!)
  connection.onChunk(connectPacket({ clientId: address }))
  while (peer.isPaused) await turn()
  return { peer, connection }
}

const account = () => kit.shard.memory
const bytesInTransit = (): number => account().bytes("transit")

describe("what waits behind others' SUBSCRIBEs", () => {
  const said = Buffer.concat([subscribePacket(1, [["a", 0]]), packet(0xc0)])

  it("is on the account until it is taken", async () => {
    const { peer, connection } = await opened("waits")
    const before = bytesInTransit()
    kit.mqtt.filters.use(filtersOfOthers)
    connection.onChunk(said)
    expect(bytesInTransit()).toBeGreaterThan(before + said.length)
    expect(peer.isPaused).toBe(true)
    while (peer.isPaused) await turn()
    expect(bytesInTransit()).toBe(before)
    connection.ended()
    await peer.ended
    connection.onClosed()
  })

  it("is refused where there is no memory for it", async () => {
    const { peer, connection } = await opened("waits in vain")
    const left = account().room("transit")
    account().add("transit", left)
    kit.mqtt.filters.use(filtersOfOthers)
    connection.onChunk(said)
    await peer.ended
    account().add("transit", -left)
    connection.onClosed()
    const { ends, all } = answersOf(Buffer.concat(peer.received))
    expect(all.length).toBe(2)
    expect(ends[1]).toMatch(/^e0..97/)
  })
})

describe("what a connection has kept when it ends", () => {
  it("is given back at once, not when the client has closed as well", async () => {
    const filled = await opened("fills")
    for (let i = 0; i < 100; i++) filled.connection.onChunk(publishPacket(`kept/${i}`, "x", { retain: true }))
    const client = await opened("ends")
    const before = bytesInTransit()
    client.connection.onChunk(subscribePacket(1, [["kept/#", 0]]))
    while (bytesInTransit() === before) await turn()
    const part = publishPacket("p/stored/1", "x".repeat(2000)).subarray(0, 1500)
    client.connection.onChunk(Buffer.concat([packet(0xe0), part]))
    await client.peer.ended
    expect(bytesInTransit()).toBe(before)
    for (const { connection } of [client, filled]) connection.onClosed()
  })
})

describe("a close", () => {
  it("behind what the client still sends loses neither acknowledgement nor reason", async () => {
    // A slow machine has not sent all when the server would give up reading on.
    const { clock } = kit.broker
    const after: typeof clock.after = (delayMs, task) => clock.after(delayMs === lingerMs ? 600_000 : delayMs, task)
    Object.assign(kit.broker, { clock: { ...clock, after } })
    const client = await connected(kit.port, { clientId: "talks on" })
    client.socket.pause()
    const message = publishPacket("p/stored/1", "x".repeat(1000), { qos: 1, packetId: 9 })
    client.send(message, Buffer.from("0000", "hex"))
    // More than the buffers of both sides hold, while nobody reads.
    for (let i = 0; i < 40; i++) {
      client.send(Buffer.alloc(256 * 1024, 0x30))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    client.socket.resume()
    expect([...(await client.packet())]).toEqual([0x40, 2, 0, 9])
    const end = await client.packet()
    expect([end[0], end[2]]).toEqual([0xe0, 0x81])
    client.socket.destroy()
  })

  it("by the client's own end is answered as well", async () => {
    const client = await connected(kit.port, { clientId: "hangs up" })
    client.socket.allowHalfOpen = true
    client.send(publishPacket("p/stored/1", "x", { qos: 1, packetId: 9 }))
    client.socket.end()
    expect([...(await client.packet())]).toEqual([0x40, 2, 0, 9])
    client.socket.destroy()
  })
})
