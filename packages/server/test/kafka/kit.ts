import { once } from "node:events"
import * as net from "node:net"
import { tmpdir } from "node:os"
import { randomBytes } from "node:crypto"
import { catalogActor, type CatalogReply, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { Authorizer } from "@logbrook/core/access/Authorizer"
import { type Clock, systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import type { Journal } from "@logbrook/core/journal/Journal"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { encodeHeaders, noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch, type BatchFields } from "@logbrook/core/RecordBatch"
import type { Shard } from "@logbrook/core/shard/Shard"
import { decodeResponseHeader, encodeWholeRequest } from "@logbrook/protocols/kafka/Header"
import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { Splitter } from "@logbrook/protocols/kafka/Splitter"
import * as Exit from "effect/Exit"
import type { Broker } from "../../src/Broker.ts"
import { DiskGuard } from "../../src/DiskGuard.ts"
import type { ClientSettings } from "../../src/kafka/KafkaNode.ts"
import { listenKafka } from "../../src/kafka/KafkaListener.ts"
import type { Fields, Log } from "../../src/Log.ts"
import { localListener } from "../support/listener.ts"
import { acquired, running } from "../support/parts.ts"

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly fields: Fields
}

export interface Kit {
  readonly broker: Broker
  /** The only one. */
  readonly shard: Shard
  readonly disk: DiskGuard
  readonly listener: { readonly port: number; readonly close: () => Promise<void> }
  readonly journal: Journal
  readonly lines: Array<LogLine>
  readonly defects: Array<unknown>
  readonly connect: () => Promise<RawClient>
  readonly createStream: (name: string, options?: StreamOptions) => Promise<Stream>
  readonly ask: (to: string, command: object) => Promise<unknown>
  readonly close: () => Promise<void>
}

export interface StreamOptions {
  readonly partitions?: number
  readonly filters?: ReadonlyArray<string>
  readonly config?: ReadonlyArray<readonly [string, string]>
}

export interface KitOptions {
  readonly limits?: Partial<Limits>
  readonly journal?: Journal
  readonly clock?: Clock
  readonly authorizer?: Authorizer
  readonly settings?: Partial<ClientSettings>
  readonly isProxied?: boolean
  readonly advertised?: { readonly host: string; readonly port: number }
}

/** A broker over a journal in memory, listening on a free port. */
export const startKit = async (options: KitOptions = {}): Promise<Kit> => {
  const limits: Limits = { ...defaultLimits, newConnectionsPerSecondMax: 10_000, ...options.limits }
  const defects: Array<unknown> = []
  const lines: Array<LogLine> = []
  const { clock = systemClock } = options
  const journal = options.journal ?? new MemoryJournal(clock)
  const { nextSeq } = journal
  const at =
    (level: string) =>
    (message: string, fields: Fields = {}): void =>
      void lines.push({ level, message, fields })
  const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }
  const disk = new DiskGuard(tmpdir(), limits)
  const faulty = (_where: unknown, defect?: unknown): void => void defects.push(defect ?? _where)
  const { broker, shard, close } = running({
    journal,
    limits,
    log,
    disk,
    ...(options.authorizer && { authorizer: options.authorizer }),
    clock,
    faults: { died: faulty, defect: faulty, shardRestarts: faulty }
  })
  // The start itself is an event; tests that count events begin after it.
  await until(() => journal.nextSeq > nextSeq)
  const advertised = options.advertised ?? { host: "127.0.0.1", port: 0 }
  const settings = {
    zstdClients: new Set<string>(),
    autoCreateTopics: false,
    defaultPartitions: 1,
    ...options.settings
  }
  const { made, close: stopListening } = await acquired(
    listenKafka(broker, settings, [
      { ...localListener("kafka", { isProxied: options.isProxied ?? false }), advertised }
    ])
  )
  const listener = { port: made[0]!.port, close: stopListening }
  const ask = (to: string, command: object): Promise<unknown> =>
    new Promise((resolve, reject) =>
      shard.offer({
        to,
        command,
        cause: { origin: "test" },
        reply: (exit) => (Exit.isSuccess(exit) ? resolve(exit.value) : reject(new Error(String(exit.cause))))
      })
    )
  const clients: Array<RawClient> = []
  return {
    broker,
    shard,
    disk,
    listener,
    journal,
    lines,
    defects,
    ask,
    connect: async () => {
      const client = await RawClient.connect(listener.port)
      clients.push(client)
      return client
    },
    createStream: async (name, { partitions = 1, filters = [], config = [] } = {}) => {
      const topicId = randomBytes(16).toString("base64url")
      const command = { _tag: "CreateStream", name, topicId, filters, partitions, key: "clientid", config }
      const reply = (await ask(catalogActor, { ...command, validateOnly: false })) as CatalogReply
      return (reply as Extract<CatalogReply, { _tag: "Stream" }>).stream
    },
    close: async () => {
      for (const client of clients) client.socket.destroy()
      await listener.close()
      await close()
    }
  }
}

/** A client that sends what it is told to, right or wrong. */
export class RawClient {
  readonly socket: net.Socket
  readonly responses: Array<Uint8Array> = []
  isClosed = false
  #correlationId = 0
  readonly #waiting = new Map<number, (response: Uint8Array | undefined) => void>()

  private constructor(socket: net.Socket) {
    this.socket = socket
    const splitter = new Splitter(64 * 1024 * 1024)
    socket.on("data", (chunk) => splitter.push(chunk, (response) => this.#onResponse(response)))
    socket.on("close", () => {
      this.isClosed = true
      for (const answered of this.#waiting.values()) answered(undefined)
    })
    socket.on("error", () => undefined)
  }

  /** To a port of this machine, or a Unix socket. */
  static async connect(to: number | { readonly path: string }): Promise<RawClient> {
    const socket = typeof to === "number" ? net.connect(to, "127.0.0.1") : net.connect(to)
    await once(socket, "connect")
    return new RawClient(socket)
  }

  /** Over a socket that is connected. */
  static over(socket: net.Socket): RawClient {
    return new RawClient(socket)
  }

  #onResponse(response: Uint8Array): void {
    this.responses.push(response)
    const correlationId = Buffer.from(response).readInt32BE(0)
    this.#waiting.get(correlationId)?.(response)
    this.#waiting.delete(correlationId)
  }

  /** The bytes of a request, not sent. */
  requestOf<A extends AnyApi>(api: A, version: number, request: RequestInputOf<A>, clientId = "raw"): Buffer {
    const header = { correlationId: ++this.#correlationId, clientId }
    return Buffer.concat(encodeWholeRequest(api, version, header, request))
  }

  get lastCorrelationId(): number {
    return this.#correlationId
  }

  async send<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    clientId?: string
  ): Promise<ResponseOf<A>> {
    const bytes = this.requestOf(api, version, request, clientId)
    const correlationId = this.#correlationId
    const response = await new Promise<Uint8Array | undefined>((resolve) => {
      this.#waiting.set(correlationId, resolve)
      this.socket.write(bytes)
    })
    if (response === undefined) throw new Error("closed")
    const { bodyOffset } = decodeResponseHeader(response, api, version)
    return api.decodeResponse(response, version, bodyOffset) as ResponseOf<A>
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Milliseconds until the server has closed. */
  async closed(): Promise<number> {
    const startedMs = Date.now()
    if (!this.isClosed) await once(this.socket, "close")
    return Date.now() - startedMs
  }
}

export interface TestRecord {
  readonly key?: string | null
  readonly value: string | Uint8Array
  readonly timestampMs?: number
  readonly headers?: ReadonlyArray<readonly [string, string]>
}

/** Of records that say nothing else: neither expired nor ahead of the machine's clock. */
export const startMs = Date.now() - 60_000

/** A batch as a producer sends it. */
export const batchOf = (records: ReadonlyArray<TestRecord | string>, fields: Partial<BatchFields> = {}): Uint8Array => {
  const builder = new RecordsBuilder(2 * 1024 * 1024)
  for (const each of records) {
    const { key = null, value, timestampMs = startMs, headers = [] } = typeof each === "string" ? { value: each } : each
    const block =
      headers.length === 0
        ? noHeaders
        : encodeHeaders(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text)]))
    builder.append(key === null ? null : Buffer.from(key), Buffer.from(value), block, timestampMs)
  }
  return buildBatch(
    {
      baseOffset: 0,
      partitionLeaderEpoch: -1,
      count: builder.count,
      baseTimestampMs: builder.firstTimestampMs,
      maxTimestampMs: builder.maxTimestampMs,
      ...fields
    },
    Buffer.from(builder.bytes)
  )
}

/** Resolves once `isSo`; fails the test after a minute, so that a slow machine does not. */
export const until = async (isSo: () => boolean): Promise<void> => {
  const endMs = Date.now() + 60_000
  while (!isSo()) {
    if (Date.now() > endMs) throw new Error("waited for a minute")
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
