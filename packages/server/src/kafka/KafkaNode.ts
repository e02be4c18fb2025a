import type { Buffers } from "@logbrook/core/BufferPool"
import { compressInThread } from "@logbrook/core/Compression"
import type { MessageBuffers } from "@logbrook/protocols/kafka/Splitter"
import type { Broker } from "../Broker.ts"
import { TurnShare } from "../TurnShare.ts"
import { BoundedLines } from "../net/BoundedLines.ts"
import { Refusals } from "../net/Refusals.ts"
import { FetchSessions } from "./FetchSessions.ts"
import { declareKafkaMetrics } from "./kafkaMetrics.ts"
import { ProducerIds } from "./ProducerIds.ts"
import { type Compressing, Recompressor } from "./Recompressor.ts"

/** Audit lines per second; a flood of bad clients must not become a flood of log. */
const auditLinesPerSecondMax = 20

export type AuditFields = Readonly<Record<string, string | number | undefined>>

/** Text of a client's making, as one short line. */
export const printable = (text: string): string => text.slice(0, 200).replaceAll(/\p{Cc}/gu, "?")

/** Small ones come from Node's slabs, which cost less than a buffer each. */
const slabBytesMax = 4096

const requestBuffers = (pool: Buffers): MessageBuffers => ({
  take: (bytes) => (bytes < slabBytesMax ? Buffer.allocUnsafe(bytes) : pool.take(bytes)),
  give: (bytes) => pool.give(bytes)
})

/** The part of the configuration that clients notice. */
export interface ClientSettings {
  /** Names of client software (KIP-511) that is known to decompress zstd. */
  readonly zstdClients: ReadonlySet<string>
  /** Whether Metadata creates the topics that clients ask for. */
  readonly autoCreateTopics: boolean
  /** A topic that is created without a number has so many. */
  readonly defaultPartitions: number
}

/** Batches of a large Produce that are checked, or stored, in a turn of the event loop: 10 ms or less. */
export const batchesPerTurn = 256

/** Lookups of offsets by time, each of which unpacks a batch or a run, take about so long in a turn of the event loop. */
const lookupsTurnMsMax = 5

/** Java's producers send batches up to 16 KB unless they are told otherwise. */
const compressing: Compressing = { later: compressInThread, largeBytesMin: 16 * 1024 + 1 }

/** The state that all connections of a Kafka listener share. */
export class KafkaNode {
  readonly broker: Broker
  readonly settings: ClientSettings
  readonly producerIds: ProducerIds
  readonly fetchSessions: FetchSessions
  readonly metrics: ReturnType<typeof declareKafkaMetrics>
  readonly refusals: Refusals
  /** Where requests lie, and their record batches until they leave the tail of the log. */
  readonly requestBuffers: MessageBuffers
  readonly recompressor: Recompressor
  /** Batches of large Produce requests. */
  readonly batchShare: TurnShare
  /** Milliseconds of lookups by time. */
  readonly lookupShare: TurnShare
  /** Requests read, wholly or in part, and not answered, in bytes. */
  #inFlightBytes = 0
  /** Responses that the system has not taken yet, or that wait for one before them, in bytes. */
  unsentBytes = 0
  readonly #waiting = new Set<() => void>()
  /** The connection that may read more of a large request without room for it. */
  #largeReader: (() => void) | undefined
  readonly #audit: BoundedLines

  constructor(broker: Broker, settings: ClientSettings, compressedBy = compressing) {
    this.broker = broker
    this.settings = settings
    this.producerIds = new ProducerIds()
    this.metrics = declareKafkaMetrics(broker.metrics)
    const { limits, clock, shards } = broker
    this.fetchSessions = new FetchSessions(limits, clock, shards.memory, this.metrics.fetchSessionsEvicted)
    this.#audit = new BoundedLines(
      broker.log,
      broker.clock,
      "warn",
      auditLinesPerSecondMax,
      "kafka: more refusals than were logged"
    )
    this.refusals = new Refusals(broker, "kafka")
    this.requestBuffers = requestBuffers(broker.shards.buffers)
    this.recompressor = new Recompressor(this, compressedBy)
    this.batchShare = new TurnShare(clock, batchesPerTurn)
    this.lookupShare = new TurnShare(clock, lookupsTurnMsMax)
  }

  /** Tells of all that is counted to be told of later: the server stops. */
  flush(): void {
    this.refusals.flush()
    this.#audit.flush()
  }

  /** In a buffer of `requestBuffers`, whose owner the caller is. */
  copy(bytes: Uint8Array): Uint8Array {
    const own = this.requestBuffers.take(bytes.length).subarray(0, bytes.length)
    own.set(bytes)
    return own
  }

  get hasRoom(): boolean {
    const { limits, shards } = this.broker
    return this.#inFlightBytes < limits.kafkaInFlightBytesMax && shards.memory.room("transit") > 0
  }

  /** The bytes that unread responses may still have. */
  get responseRoomBytes(): number {
    const { limits, shards } = this.broker
    const bytesMax = Math.min(limits.kafkaInFlightBytesMax, shards.memory.budget("transit"))
    return Math.max(0, bytesMax - this.unsentBytes)
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes
  }

  took(bytes: number): void {
    this.#inFlightBytes += bytes
    this.broker.shards.memory.add("transit", bytes)
  }

  gave(bytes: number): void {
    this.#inFlightBytes -= bytes
    this.broker.shards.memory.add("transit", -bytes)
    if (this.hasRoom) this.#wake()
  }

  #wake(): void {
    if (this.#waiting.size === 0) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resume of waiting) resume()
  }

  /**
   * Whether a connection may read more of a large request although there is no room: one may at a time, else
   * half-read requests could fill all the room and wait for each other. False: `resume` runs once when that may change.
   */
  mayReadLarge(resume: () => void): boolean {
    this.#largeReader ??= resume
    if (this.#largeReader === resume) return true
    this.#waiting.add(resume)
    return false
  }

  /** The large request is complete, or its connection gone. */
  endLarge(resume: () => void): void {
    this.#waiting.delete(resume)
    if (this.#largeReader !== resume) return
    this.#largeReader = undefined
    this.#wake()
  }

  /** Logs a line about a client that sends what no client may. */
  audit(message: string, fields: AuditFields): void {
    this.metrics.violations.add(1)
    this.#audit.write(message, fields)
  }
}
