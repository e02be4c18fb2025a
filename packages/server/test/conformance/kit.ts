import * as mqttPacket from "mqtt-packet"
import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import {
  connectPacket,
  type Kit,
  type KitOptions,
  packet,
  publishPacket,
  RawClient,
  type RawPublish,
  startKit
} from "../mqtt/kit.ts"
import { MovableClock } from "./MovableClock.ts"
import { type StatementId, statementsById, type Version } from "./statements.ts"

/** One test for each of the statements, with its number in its name. `run` gets the statement's version of MQTT. */
export const conforms = (
  ids: ReadonlyArray<StatementId> | StatementId,
  what: string,
  run: (version: Version) => Promise<unknown>
): void => {
  for (const id of [ids].flat()) {
    const statement = statementsById.get(id)
    if (statement === undefined || statement.binds === "client") throw new Error(`${id} binds no server`)
    it(`[${id}] ${what}`, () => run(statement.version))
  }
}

// --- Bytes ---

export type Bytes = Uint8Array | ReadonlyArray<number>

/** A two-byte integer. */
export const two = (value: number): ReadonlyArray<number> => [value >>> 8, value & 0xff]

/** A string or binary data with its length. */
export const text = (value: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([Buffer.from(two(bytes.length)), bytes])
}

export const bytesOf = (...parts: ReadonlyArray<Bytes>): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)))

/** Properties of MQTT 5, each with its id, without their length. */
export const property = {
  payloadFormat: (format: number) => [1, format],
  messageExpiry: (seconds: number) => [2, 0, 0, ...two(seconds)],
  contentType: (value: string | Uint8Array) => [3, ...text(value)],
  responseTopic: (value: string | Uint8Array) => [8, ...text(value)],
  correlationData: (value: string) => [9, ...text(value)],
  subscriptionId: (id: number) => [11, id],
  sessionExpiry: (seconds: number) => [17, 0, 0, ...two(seconds)],
  authenticationMethod: (method: string) => [21, ...text(method)],
  authenticationData: (data: string) => [22, ...text(data)],
  wantsProblems: (flag: number) => [23, flag],
  willDelay: (seconds: number) => [24, 0, 0, ...two(seconds)],
  wantsResponseInformation: (flag: number) => [25, flag],
  reasonString: (value: string) => [31, ...text(value)],
  receiveMaximum: (count: number) => [33, ...two(count)],
  topicAliasMaximum: (count: number) => [34, ...two(count)],
  topicAlias: (alias: number) => [35, ...two(alias)],
  user: (name: string | Uint8Array, value: string | Uint8Array) => [38, ...text(name), ...text(value)],
  packetSizeMax: (bytes: number) => [39, 0, 0, ...two(bytes)]
} as const

/** A properties section of less than 128 bytes; nothing before MQTT 5. */
export const section = (version: Version, properties: ReadonlyArray<number> = []): ReadonlyArray<number> =>
  version === 5 ? [properties.length, ...properties] : []

export const packetType = {
  connect: 0x10,
  connack: 0x20,
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
  subscribe: 0x82,
  suback: 0x90,
  unsubscribe: 0xa2,
  unsuback: 0xb0,
  pingreq: 0xc0,
  pingresp: 0xd0,
  disconnect: 0xe0,
  auth: 0xf0
} as const

export const ack = (type: number, packetId: number, code?: number): Buffer =>
  packet(type, two(packetId), code === undefined ? [] : [code])

export const subscribe = (
  version: Version,
  packetId: number,
  filters: ReadonlyArray<readonly [filter: string | Uint8Array, options: number]>,
  properties: ReadonlyArray<number> = []
): Buffer =>
  packet(
    packetType.subscribe,
    two(packetId),
    section(version, properties),
    ...filters.flatMap(([filter, options]) => [text(filter), [options]])
  )

export const unsubscribe = (version: Version, packetId: number, filters: ReadonlyArray<string | Uint8Array>): Buffer =>
  packet(packetType.unsubscribe, two(packetId), section(version), ...filters.map((filter) => text(filter)))

/** Subscription options of MQTT 5, beside the QoS. */
export const option = {
  noLocal: 4,
  retainAsPublished: 8,
  retainHandling: (handling: 0 | 1 | 2) => handling << 4
} as const

/** A packet of the server's as mqtt-packet reads it. */
export const read = <P extends mqttPacket.Packet>(version: Version, bytes: Uint8Array): P => {
  let found: mqttPacket.Packet | undefined
  const parser = mqttPacket.parser({ protocolVersion: version })
  parser.on("packet", (packet) => (found = packet))
  parser.on("error", (error) => {
    throw error
  })
  parser.parse(Buffer.from(bytes))
  return found as P
}

// --- The server and its clients ---

interface WillOptions {
  readonly topic: string | Uint8Array
  readonly payload?: string
  readonly qos?: number
  readonly retain?: boolean
  readonly properties?: ReadonlyArray<number>
}

export interface ConnectOptions {
  readonly clientId?: string
  /** Clean Session 0; Clean Start 0 with a session expiry interval of an hour. */
  readonly isDurable?: boolean
  /** Clean Start 0 without more, or the flag for a durable one. */
  readonly cleanStart?: boolean
  readonly keepAliveSeconds?: number
  readonly properties?: ReadonlyArray<number>
  readonly will?: WillOptions
}

/** The bytes of a CONNECT. */
export const connect = (version: Version, clientId: string, options: ConnectOptions = {}): Buffer => {
  const { isDurable = false, cleanStart = !isDurable, keepAliveSeconds = 0, properties = [], will } = options
  const willFlags = will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0)
  return connectPacket({
    version,
    clientId,
    keepAliveSeconds,
    flags: (cleanStart ? 2 : 0) | willFlags,
    properties: [...(isDurable && version === 5 ? property.sessionExpiry(3600) : []), ...properties],
    ...(will !== undefined && {
      rest: bytesOf(section(version, will.properties), text(will.topic), text(will.payload ?? "will"))
    })
  })
}

/** A client, which has at most one connection. Whatever it is not told to wait for must not come. */
export class Peer {
  readonly raw: RawClient
  readonly version: Version
  readonly clientId: string
  #packetId = 100

  constructor(raw: RawClient, version: Version, clientId: string) {
    this.raw = raw
    this.version = version
    this.clientId = clientId
  }

  send(...bytes: ReadonlyArray<Bytes>): this {
    this.raw.send(...bytes)
    return this
  }

  packet(): Promise<Buffer> {
    return this.raw.packet()
  }

  /** The next packet, which has to be of this type. */
  async next(type: number): Promise<Buffer> {
    const bytes = await this.packet()
    expect(bytes[0]! & 0xf0, `got ${bytes.toString("hex")}`).toBe(type & 0xf0)
    return bytes
  }

  /** The next packet is an acknowledgement of this type; its packet id and code, 0 if there is none. */
  async acked(type: number): Promise<{ readonly packetId: number; readonly code: number }> {
    const bytes = await this.next(type)
    expect(bytes[0]).toBe(type)
    return { packetId: bytes.readUInt16BE(2), code: bytes[4] ?? 0 }
  }

  /** The next packet is a PUBLISH. */
  async message(): Promise<mqttPacket.IPublishPacket & { readonly text: string; readonly bytes: Buffer }> {
    const bytes = await this.next(0x30)
    const publish = read<mqttPacket.IPublishPacket>(this.version, bytes)
    return { ...publish, text: publish.payload.toString(), bytes }
  }

  /** The payloads of so many messages that come next, and nothing behind them. They are not acknowledged. */
  async messages(count: number): Promise<ReadonlyArray<string>> {
    const texts: Array<string> = []
    for (let i = 0; i < count; i++) texts.push((await this.message()).text)
    await this.nothing()
    return texts
  }

  /** Nothing came but the answer to this PINGREQ. */
  async nothing(): Promise<void> {
    this.send([packetType.pingreq, 0])
    expect([...(await this.packet())]).toEqual([packetType.pingresp, 0])
  }

  /** The codes of SUBACK. */
  async subscribe(filter: string, options = 0, properties?: ReadonlyArray<number>): Promise<ReadonlyArray<number>> {
    this.send(subscribe(this.version, ++this.#packetId, [[filter, options]], properties))
    return this.#codes(await this.next(packetType.suback))
  }

  /** The codes of UNSUBACK, which are of MQTT 5. */
  async unsubscribe(filter: string): Promise<ReadonlyArray<number>> {
    this.send(unsubscribe(this.version, ++this.#packetId, [filter]))
    return this.#codes(await this.next(packetType.unsuback))
  }

  #codes(bytes: Buffer): ReadonlyArray<number> {
    expect(bytes.readUInt16BE(2)).toBe(this.#packetId)
    return [...bytes.subarray(this.version === 5 ? 5 + bytes[4]! : 4)]
  }

  /** Publishes, and sees the exchange of the QoS through. What subscribers get of it was sent then. */
  async publish(topic: string, payload = "x", options: Omit<RawPublish, "version"> = {}): Promise<void> {
    const { version } = this
    const qos = options.qos ?? 1
    const packetId = options.packetId ?? ++this.#packetId
    this.send(publishPacket(topic, payload, { ...options, version, qos, packetId }))
    if (qos === 0) return this.nothing()
    const answer = await this.acked(qos === 1 ? packetType.puback : packetType.pubrec)
    expect(answer.packetId).toBe(packetId)
    expect(answer.code).toBeLessThan(0x80)
    if (qos === 1) return
    this.send(ack(packetType.pubrel, packetId))
    expect(await this.acked(packetType.pubcomp)).toEqual({ packetId, code: 0 })
  }

  /** Everything that comes until the server closes. */
  rest(): Promise<Buffer> {
    return this.raw.rest()
  }

  /** The server ends the connection: MQTT 5 with DISCONNECT of this code, others with nothing. */
  async ended(code: number): Promise<void> {
    const rest = await this.rest()
    if (this.version !== 5) expect(rest.toString("hex")).toBe("")
    else {
      expect(rest[0], `got ${rest.toString("hex")}`).toBe(packetType.disconnect)
      expect(rest[2]).toBe(code)
      expect(rest).toHaveLength(rest[1]! + 2)
    }
  }

  /** DISCONNECT, and the server's close. */
  async disconnect(...rest: ReadonlyArray<number>): Promise<void> {
    this.send(packet(packetType.disconnect, rest))
    expect(await this.rest()).toHaveLength(0)
  }
}

const probeId = "probe"

/** The server of a test file: one for all of its tests, which have clients and topics of their own. */
export class Served {
  kit!: Kit
  readonly clock = new MovableClock()
  readonly #peers = new Set<Peer>()
  #names = 0

  track(kit: Kit): void {
    this.kit = kit
  }

  /** A client id or topic that nobody else has. */
  name(kind = "n"): string {
    return `${kind}${++this.#names}`
  }

  /** A connection on which nothing was sent. */
  open(version: Version, clientId = this.name("c")): Peer {
    const peer = new Peer(new RawClient(this.kit.port), version, clientId)
    this.#peers.add(peer)
    return peer
  }

  /** What CONNECT is answered by, and the client. */
  async connack(version: Version, options: ConnectOptions = {}): Promise<{ peer: Peer; connack: Buffer }> {
    const peer = this.open(version, options.clientId)
    peer.send(connect(version, peer.clientId, options))
    return { peer, connack: await peer.packet() }
  }

  /** A client whose CONNECT was taken. */
  async connect(version: Version, options: ConnectOptions = {}): Promise<Peer> {
    const { peer, connack } = await this.connack(version, options)
    expect([connack[0], connack[3]]).toEqual([packetType.connack, 0])
    return peer
  }

  /** A client that has subscribed. */
  async subscribed(version: Version, filter: string, options = 0, rest: ConnectOptions = {}): Promise<Peer> {
    const peer = await this.connect(version, rest)
    expect((await peer.subscribe(filter, options))[0]).toBe(options & 3)
    return peer
  }

  /** Everything that the server sends for these first bytes of a connection, which it closes. */
  async refused(version: Version, ...bytes: ReadonlyArray<Bytes>): Promise<Buffer> {
    return this.open(version)
      .send(...bytes)
      .rest()
  }

  /** All that the server has taken so far is durable: a CONNECT behind it is answered. */
  async settled(): Promise<void> {
    const probe = new RawClient(this.kit.port).send(connect(4, probeId))
    await probe.packet()
    probe.socket.destroy()
  }

  /** The server has seen that nobody is connected any more, or nobody by this id. */
  async gone(clientId?: string): Promise<void> {
    const isLeft = (id: string): boolean => (clientId === undefined ? id !== probeId : id === clientId)
    const left = () => [...this.kit.mqtt.connections()].filter((each) => isLeft(each.clientId))
    // So long that a slow machine does not fail.
    for (const deadlineMs = performance.now() + 60_000; left().length > 0;) {
      if (performance.now() > deadlineMs) throw new Error(`connections stay: ${JSON.stringify(left())}`)
      await new Promise((resolve) => void setTimeout(resolve, 1))
    }
    await this.settled()
  }

  /** The client's connection breaks, and the server knows. */
  async broken({ raw, clientId }: Peer): Promise<void> {
    raw.socket.resetAndDestroy()
    await this.gone(clientId)
  }

  /** Ends all connections of a test. */
  async end(): Promise<void> {
    for (const { raw } of this.#peers) raw.socket.destroy()
    this.#peers.clear()
    await this.gone()
  }
}

/** Starts a server for the tests of the file, or of the `describe`. */
export const serve = (options: Pick<KitOptions, "mqtt" | "authenticationMethods"> = {}): Served => {
  const served = new Served()
  beforeAll(async () => served.track(await startKit({ ...options, clock: served.clock })))
  afterEach(() => served.end())
  afterAll(() => served.kit.stop())
  return served
}
