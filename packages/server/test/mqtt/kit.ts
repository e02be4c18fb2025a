import { PartitionKind } from "@logbrook/actors/partition/Partition"
import { RetainedKind } from "@logbrook/actors/retained/Retained"
import { SessionKind } from "@logbrook/actors/session/SessionProtocol"
import type { Authorizer } from "@logbrook/core/access/Authorizer"
import type { AnyKind } from "@logbrook/core/actor/Kind"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import * as mqttPacket from "mqtt-packet"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { catalogActor, type CatalogCommand, type CreateStream } from "@logbrook/actors/catalog/CatalogProtocol"
import { type Clock, systemClock } from "@logbrook/core/Clock"
import type { Journal } from "@logbrook/core/journal/Journal"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { Shard } from "@logbrook/core/shard/Shard"
import type { Broker } from "../../src/Broker.ts"
import { Mqtt } from "../../src/composition.ts"
import { DiskGuard } from "../../src/DiskGuard.ts"
import type { Fields, Log } from "../../src/Log.ts"
import type { AuthenticationMethod } from "../../src/mqtt/authentication/AuthenticationMethod.ts"
import type { MqttBroker } from "../../src/mqtt/MqttBroker.ts"
import type { MqttOptions } from "../../src/mqtt/MqttOptions.ts"
import {
  layerMqttListeners,
  layerMqttWebSocketListeners,
  MqttListeners,
  MqttWebSocketListeners
} from "../../src/listeners.ts"
import { localListener } from "../support/listener.ts"
import { acquired, running } from "../support/parts.ts"

export interface StoredRecord {
  readonly key: string | undefined
  /** Null: a tombstone. */
  readonly value: string | null
  readonly headers: ReadonlyArray<readonly [string, string]>
}

export interface Line {
  readonly message: string
  readonly fields: Fields
}

export interface Kit {
  readonly broker: Broker
  /** The only one. */
  readonly shard: Shard
  readonly disk: DiskGuard
  readonly mqtt: MqttBroker
  readonly port: number
  readonly webSocketPort: number
  /** What was logged at `warn`: the audit. */
  readonly audit: Array<Line>
  /** What was logged at `info` and `warn`. */
  readonly lines: Array<Line>
  readonly journal: Journal
  /** A stream bound to these filters. */
  readonly bind: (
    name: string,
    filters: ReadonlyArray<string>,
    partitions?: number,
    rest?: Partial<CreateStream>
  ) => Promise<void>
  /** All records of a stream, partition after partition. */
  readonly records: (stream: string) => Array<StoredRecord>
  /** The durable events of sessions, retained messages and partitions, by their tags. */
  readonly events: ReadonlyArray<string>
  /** One after the last durable event, once nothing is in flight. */
  readonly seq: () => Promise<number>
  readonly stop: () => Promise<void>
}

export interface KitOptions {
  readonly limits?: Partial<Limits>
  readonly mqtt?: Partial<MqttOptions>
  readonly authenticationMethods?: ReadonlyArray<AuthenticationMethod>
  readonly clock?: Clock
  /** Connections begin with PROXY headers. */
  readonly isProxied?: boolean
  /** A directory with a journal on disk; memory otherwise. */
  readonly directory?: string
  readonly journal?: Journal
  readonly authorizer?: Authorizer
  /** Defects fail the test otherwise. */
  readonly onDefect?: (where: string) => void
}

/** High enough that tests do not meet them by accident. */
const kitLimits: Partial<Limits> = { newConnectionsPerSecondMax: 100_000, memoryBytesMax: 1024 * 1024 * 1024 }

const quiet = (): void => undefined

const openJournal = (directory: string | undefined): Journal =>
  directory === undefined
    ? new MemoryJournal(systemClock)
    : LmdbJournal.open({
        directory,
        segmentBytes: defaultLimits.segmentBytesMax,
        segmentRefsMax: defaultLimits.segmentIndexEntriesMax
      })

export const startKit = async (options: KitOptions = {}): Promise<Kit> => {
  const limits: Limits = { ...defaultLimits, ...kitLimits, ...options.limits }
  const journal = options.journal ?? openJournal(options.directory)
  const audit: Array<Line> = []
  const lines: Array<Line> = []
  const log: Log = {
    debug: quiet,
    info: (message, fields = {}) => void lines.push({ message, fields }),
    warn: (message, fields = {}) => {
      audit.push({ message, fields })
      lines.push({ message, fields })
    },
    error: (message, fields = {}) => {
      throw new Error(`${message} ${JSON.stringify(fields)}`)
    }
  }
  const disk = new DiskGuard(os.tmpdir(), limits)
  const { context, broker, shard, close } = running({
    journal,
    limits,
    log,
    disk,
    ...(options.mqtt && { mqtt: options.mqtt }),
    ...(options.authenticationMethods && { authenticationMethods: options.authenticationMethods }),
    ...(options.clock && { clock: options.clock }),
    ...(options.authorizer && { authorizer: options.authorizer }),
    faults: options.onDefect === undefined ? {} : { defect: options.onDefect }
  })
  const mqtt = Context.get(context, Mqtt)
  const events: Array<string> = []
  for (const kind of [SessionKind, RetainedKind, PartitionKind]) {
    shard.observe<AnyKind>(kind, (_actor, { _tag }) => events.push(_tag))
  }
  const isProxied = options.isProxied ?? false
  const mountPoint = ""
  const webSocket = { ...localListener("mqttWs", { isProxied }), mountPoint, origins: new Set(["local"]) }
  const listeners = layerMqttWebSocketListeners([webSocket]).pipe(
    Layer.provideMerge(layerMqttListeners([{ ...localListener("mqtt", { isProxied }), mountPoint }])),
    Layer.provide(Layer.succeedContext(context))
  )
  const { made, close: stopListening } = await acquired(Layer.build(listeners))
  return {
    broker,
    shard,
    disk,
    mqtt,
    port: Context.get(made, MqttListeners)[0]!.port,
    webSocketPort: Context.get(made, MqttWebSocketListeners)[0]!.port,
    audit,
    lines,
    journal,
    events,
    bind: (name, filters, partitions = 1, rest = {}) => bindStream(shard, name, filters, partitions, rest),
    records: (stream) => recordsOf(broker, stream),
    seq: () => durableSeq(shard, journal),
    stop: async () => {
      await stopListening()
      await close()
      await journal.close()
    }
  }
}

const bindStream = (
  shard: Shard,
  name: string,
  filters: ReadonlyArray<string>,
  partitions: number,
  rest: Partial<CreateStream>
): Promise<void> =>
  new Promise((resolve, reject) => {
    const command: CatalogCommand = {
      _tag: "CreateStream",
      name,
      topicId: Buffer.from(name.padEnd(16).slice(0, 16)).toString("base64url"),
      filters,
      partitions,
      key: "clientid",
      config: [],
      validateOnly: false,
      ...rest
    }
    shard.offer({
      to: catalogActor,
      command,
      cause: { origin: "test" },
      reply: (exit) => (Exit.isSuccess(exit) ? resolve() : reject(new Error(String(exit.cause))))
    })
  })

const durableSeq = async (shard: Shard, journal: Journal): Promise<number> => {
  await shard.completed()
  return journal.nextSeq
}

const text = (bytes: Uint8Array | null): string => (bytes === null ? "" : Buffer.from(bytes).toString("utf8"))

const recordsOf = ({ shards, directory }: Broker, name: string): Array<StoredRecord> => {
  const found: Array<StoredRecord> = []
  for (const logId of directory.byName(name)!.logIds) {
    const { logs } = shards.ofLog(logId)
    const log = logs.log(logId)
    for (let offset = log.startOffset; offset < log.highWatermark;) {
      for (const batch of logs.read(log, offset, 1_000_000)) {
        iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (record) => {
          const key = record.key()
          const headers = record.headers().map(([header, value]) => [text(header), text(value)] as const)
          const value = record.value()
          found.push({
            key: key === null ? undefined : text(key),
            value: value === null ? null : text(value),
            headers
          })
        })
        offset = RecordBatch.lastOffset(batch) + 1
      }
    }
  }
  return found
}

export const temporaryDirectory = (): string => fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-mqtt-"))

/** A client that writes whatever bytes it is given. */
export class RawClient {
  readonly socket: net.Socket
  #received = Buffer.alloc(0)
  isClosed = false
  closedAfterMs = 0
  readonly #wake: Array<() => void> = []
  #sentMs = 0

  constructor(port: number) {
    this.socket = net.connect(port, "127.0.0.1")
    this.socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk as Buffer])
      this.#changed()
    })
    this.socket.on("error", () => undefined)
    this.socket.on("close", () => {
      this.isClosed = true
      this.closedAfterMs = performance.now() - this.#sentMs
      this.#changed()
    })
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  send(...bytes: ReadonlyArray<Uint8Array | ReadonlyArray<number>>): this {
    this.#sentMs = performance.now()
    this.socket.write(Buffer.concat(bytes.map((part) => Buffer.from(part as Uint8Array))))
    return this
  }

  async #until(isMet: () => boolean, what: string): Promise<void> {
    // So long that a slow machine does not fail.
    const deadlineMs = performance.now() + 60_000
    while (!isMet()) {
      if (performance.now() > deadlineMs) throw new Error(`${what} did not come; got ${this.#received.toString("hex")}`)
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve)
        setTimeout(resolve, 50)
      })
    }
  }

  /** The next whole packet. */
  async packet(): Promise<Buffer> {
    const length = (): number => {
      for (let at = 1, remaining = 0; at < this.#received.length; at++) {
        remaining += (this.#received[at]! & 0x7f) * 128 ** (at - 1)
        if (this.#received[at]! < 0x80) return 1 + at + remaining
      }
      return Infinity
    }
    await this.#until(() => this.#received.length >= length(), "a packet")
    return this.#take(length())
  }

  /** The next so many bytes, for what is not MQTT. */
  async bytes(count: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= count, `${count} bytes`)
    return this.#take(count)
  }

  /** What comes up to these bytes, and these. */
  async through(end: string): Promise<Buffer> {
    await this.#until(() => this.#received.includes(end), JSON.stringify(end))
    return this.#take(this.#received.indexOf(end) + end.length)
  }

  #take(count: number): Buffer {
    const taken = this.#received.subarray(0, count)
    this.#received = this.#received.subarray(count)
    return taken
  }

  /** Everything that came until the server closed. */
  async rest(): Promise<Buffer> {
    await this.#until(() => this.isClosed, "the close")
    const rest = this.#received
    this.#received = Buffer.alloc(0)
    return rest
  }

  /** What is there now, without waiting. */
  get waitingBytes(): number {
    return this.#received.length
  }
}

// --- Packets by hand ---

const string = (value: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([Buffer.from([bytes.length >>> 8, bytes.length & 0xff]), bytes])
}

const remaining = (length: number): Buffer => {
  const bytes: Array<number> = []
  let rest = length
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return Buffer.from(bytes)
}

export const packet = (first: number, ...parts: ReadonlyArray<Uint8Array | ReadonlyArray<number>>): Buffer => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)))
  return Buffer.concat([Buffer.from([first]), remaining(body.length), body])
}

export interface RawConnect {
  readonly version?: number
  readonly flags?: number
  readonly keepAliveSeconds?: number
  /** MQTT 5, without their length. */
  readonly properties?: ReadonlyArray<number>
  readonly clientId?: string
  readonly name?: string
  /** After the client id. */
  readonly rest?: ReadonlyArray<number> | Uint8Array
}

export const connectPacket = (options: RawConnect = {}): Buffer => {
  const version = options.version ?? 5
  const keepAliveSeconds = options.keepAliveSeconds ?? 0
  const properties = options.properties ?? []
  return packet(
    0x10,
    string(options.name ?? (version === 3 ? "MQIsdp" : "MQTT")),
    [version, options.flags ?? 2, keepAliveSeconds >>> 8, keepAliveSeconds & 0xff],
    version === 5 ? [properties.length, ...properties] : [],
    string(options.clientId ?? "raw"),
    options.rest ?? []
  )
}

export interface RawPublish {
  readonly version?: 3 | 4 | 5
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  readonly dup?: boolean
  readonly packetId?: number
  readonly properties?: ReadonlyArray<number>
}

export const publishPacket = (
  topic: string | Uint8Array,
  payload: string | Uint8Array,
  options: RawPublish = {}
): Buffer => {
  const { version = 5, qos = 0, packetId = 1, properties = [] } = options
  return packet(
    0x30 | (qos << 1) | (options.retain === true ? 1 : 0) | (options.dup === true ? 8 : 0),
    string(topic),
    qos === 0 ? [] : [packetId >>> 8, packetId & 0xff],
    version === 5 ? [properties.length, ...properties] : [],
    Buffer.from(payload as string)
  )
}

export const subscribePacket = (
  packetId: number,
  filters: ReadonlyArray<readonly [string, number]>,
  version = 5
): Buffer =>
  packet(
    0x82,
    [packetId >>> 8, packetId & 0xff],
    version === 5 ? [0] : [],
    ...filters.flatMap(([filter, options]) => [string(filter), [options]])
  )

/** A packet of MQTT 5, as another codec than the server's reads it. */
export const parsed = <Packet extends mqttPacket.Packet>(bytes: Uint8Array): Packet => {
  let found: mqttPacket.Packet | undefined
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  parser.on("packet", (packet) => (found = packet))
  parser.parse(Buffer.from(bytes))
  return found as Packet
}

export const connackOf = (bytes: Uint8Array): mqttPacket.IConnackPacket => parsed(bytes)

/** A connected client; `accepted` is its CONNACK. */
export const connected = async (port: number, options: RawConnect = {}): Promise<RawClient & { accepted: Buffer }> => {
  const client = new RawClient(port)
  client.send(connectPacket(options))
  const accepted = await client.packet()
  return Object.assign(client, { accepted })
}
