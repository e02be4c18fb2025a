import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { keyOf, noKeyLimits, parseKeyExpression, type KeyExpression } from "@logbrook/core/KeyExpression"
import { partitionOf } from "@logbrook/core/Murmur2"
import { encodeHeaders, noHeaders, recordBytes, type HeaderBlock, type RecordHeader } from "@logbrook/core/Record"
import { batchHeaderBytes } from "@logbrook/core/RecordBatch"
import { PartitionBatch, type AckReceiver } from "@logbrook/core/shard/Intake"
import type { Shards } from "@logbrook/core/shard/Shards"
import type { Admission } from "../net/ConnectionGate.ts"
import type { StreamDirectory } from "./StreamDirectory.ts"

/** An MQTT message on its way into streams. `payload` is copied at once. */
export interface Publication {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: number
  readonly retain: boolean
  /** In the packet's order; names may repeat. */
  readonly userProperties: ReadonlyArray<readonly [name: string, value: string]> | undefined
  readonly contentType: string | undefined
  readonly responseTopic: string | undefined
  readonly correlationData: Uint8Array | undefined
  readonly payloadFormat: number | undefined
  /** Unix ms. */
  readonly expiryAtMs: number | undefined
}

/** Those of a message that has none. */
export const noProperties = {
  userProperties: undefined,
  contentType: undefined,
  responseTopic: undefined,
  correlationData: undefined,
  payloadFormat: undefined,
  expiryAtMs: undefined
} as const satisfies Partial<Publication>

/** Where a record went: its offset is `batch.baseOffset + index` once the turn has decided. */
export interface Placed {
  readonly batch: PartitionBatch
  readonly index: number
}

interface Target {
  readonly stream: Stream
  readonly expression: KeyExpression
  /** Known when it depends on client and topic only. */
  readonly fixed: { readonly key: Uint8Array; readonly logId: number } | undefined
  readonly hasMqttHeaders: boolean
  /** A record without key could never be compacted, and a message may have none. */
  readonly mayLackKey: boolean
  /** Clearing a topic's retained message deletes the topic's key: the record is a tombstone. */
  readonly hasTombstones: boolean
  /** The most bytes of a batch with one message alone. */
  readonly batchBytesMax: number
}

interface Route {
  readonly topic: string
  readonly version: number
  readonly targets: ReadonlyArray<Target>
  readonly mayLackKey: boolean
  /** A payload up to this fits into every target, whatever else the message has. */
  readonly payloadBytesSafe: number
  /** The headers that only depend on client, topic, QoS and retain, encoded once: index qos * 2 + retain. */
  readonly blocks: Array<HeaderBlock | undefined>
}

/** Topics remembered per client; a client with more pays for the trie again. */
const routesMax = 32
/** The memory of a route, each of its targets, as many blocks of headers as there are QoS and retain, and the topic itself. */
const routeBytes = 1000
const targetBytes = 600
const blocksPerRoute = 7
/** A record's framing above its key, value and headers is a few bytes; this is what a turn is told of it. */
const recordOverheadBytes = 24

const utf8 = (text: string): Uint8Array => Buffer.from(text, "utf8")

/** Encodes one client's messages into the partition batches of the streams that are bound to their topics. */
export class PublishRoutes {
  readonly #shards: Shards
  readonly #directory: StreamDirectory
  readonly #clientId: string
  readonly #origin: string
  readonly #admission: Admission | undefined
  readonly #routes = new Map<string, Route>()
  /** The bytes of the routes that are remembered, on the connection's account. */
  #bytes = 0
  #last: Route | undefined

  constructor(shards: Shards, directory: StreamDirectory, clientId: string, admission?: Admission) {
    this.#shards = shards
    this.#admission = admission
    this.#directory = directory
    this.#clientId = clientId
    this.#origin = `mqtt ${clientId} PUBLISH`
  }

  /** Whether any stream stores messages on this topic. */
  isBound(topic: string): boolean {
    return this.#route(topic).targets.length > 0
  }

  /** The partitions that may have to store messages on this topic. */
  logIds(topic: string): ReadonlyArray<number> {
    return this.#route(topic).targets.flatMap(({ fixed, stream }) => fixed?.logId ?? stream.logIds)
  }

  /** Whether a compacted stream finds no key in the message: then nobody must store it, since it is refused as a whole. */
  lacksKey(topic: string, userProperties: Publication["userProperties"]): boolean {
    const route = this.#route(topic)
    if (!route.mayLackKey) return false
    const source = { clientId: this.#clientId, topic, userProperties }
    return route.targets.some(({ mayLackKey, expression }) => mayLackKey && keyOf(expression, source) === null)
  }

  /** Whether one of the streams cannot hold the message: then nobody must store it, since it is refused as a whole. */
  isTooLarge(publication: Publication): boolean {
    const route = this.#route(publication.topic)
    const { payload } = publication
    if (payload.length <= route.payloadBytesSafe) return false
    return route.targets.some((target) => {
      const { key } = target.fixed ?? this.#place(target, publication)
      const bytes = target.hasMqttHeaders
        ? recordBytes(key, payload, this.#block(route, publication), extraHeaders(publication))
        : recordBytes(key, payload, noHeaders, userHeaders(publication))
      return batchHeaderBytes + bytes > target.batchBytesMax
    })
  }

  /**
   * Puts the message into the batch of every bound stream's partition for the next turn, in the order of the calls.
   * `nowMs`: arrival. Empty when no stream is bound to the topic. The caller asks for acknowledgements by `Shard.ack`.
   */
  append(publication: Publication, nowMs: number): ReadonlyArray<Placed> {
    const route = this.#route(publication.topic)
    if (route.targets.length === 0) return nowhere
    const extra = extraHeaders(publication)
    return route.targets.map((target) => {
      const batch = this.#put(route, target, publication, extra, nowMs)
      return { batch, index: batch.records.count - 1 }
    })
  }

  /**
   * `append` and `Shard.ack` in one, without an object for it: for a message that no more than one stream takes, which is
   * nearly all of them. False, and nothing done, when it is not one. No `receiver`: nobody waits.
   */
  appendOnly(publication: Publication, nowMs: number, receiver: AckReceiver | undefined, token: number): boolean {
    const route = this.#route(publication.topic)
    if (route.targets.length !== 1) return false
    const batch = this.#put(route, route.targets[0]!, publication, extraHeaders(publication), nowMs)
    if (receiver !== undefined) this.#shards.ack(receiver, token, batch, batch.records.count - 1)
    return true
  }

  /** The partition batch whose last record is the message, or one that is refused. */
  #put(
    route: Route,
    target: Target,
    publication: Publication,
    extra: ReadonlyArray<RecordHeader>,
    nowMs: number
  ): PartitionBatch {
    const block = target.hasMqttHeaders ? this.#block(route, publication) : noHeaders
    const own = target.hasMqttHeaders ? extra : userHeaders(publication)
    const { key, logId } = target.fixed ?? this.#place(target, publication)
    const shard = this.#shards.ofLog(logId)
    const batch = shard.partitionBatch(logId, this.#origin)
    const { byteLength } = batch.records
    const { payload, retain } = publication
    const value = target.hasTombstones && retain && payload.length === 0 ? null : payload
    if (!batch.records.append(key, value, block, nowMs, own)) {
      return PartitionBatch.refused(logId, this.#origin, "MessageTooLarge")
    }
    shard.recordsAdded(batch.records.byteLength - byteLength + recordOverheadBytes)
    return batch
  }

  #route(topic: string): Route {
    const last = this.#last
    // Mostly a client's messages have the topic of the one before, and the very same string.
    if (last !== undefined && last.topic === topic && last.version === this.#directory.version) return last
    return (this.#last = this.#routeOf(topic))
  }

  #routeOf(topic: string): Route {
    const known = this.#routes.get(topic)
    if (known !== undefined && known.version === this.#directory.version) return known
    const targets = this.#directory.boundTo(topic).map((stream) => this.#target(stream, topic))
    const route: Route = {
      topic,
      version: this.#directory.version,
      targets,
      mayLackKey: targets.some((target) => target.mayLackKey),
      payloadBytesSafe:
        Math.min(...targets.map(({ batchBytesMax }) => batchBytesMax)) - this.#directory.recordOverheadBytesMax,
      blocks: []
    }
    this.#remember(route)
    return route
  }

  /** Where there is no memory for it, each message pays for the trie again. */
  #remember(route: Route): void {
    const { topic, targets } = route
    const blocks = targets.length === 0 ? 1 : blocksPerRoute
    const bytes = routeBytes + targetBytes * targets.length + blocks * (topic.length + this.#clientId.length)
    const hasRoom = (): boolean => this.#admission?.hasRoomToRemember("connections", bytes) === true
    // A route that is known under this topic is of a time before the streams changed, as all are then.
    if (this.#routes.size >= routesMax || this.#routes.has(topic) || !hasRoom()) this.#forget()
    if (this.#admission === undefined || !hasRoom()) return
    this.#admission.add("connections", bytes)
    this.#bytes += bytes
    this.#routes.set(topic, route)
  }

  #forget(): void {
    this.#routes.clear()
    this.#admission?.add("connections", -this.#bytes)
    this.#bytes = 0
  }

  #target(stream: Stream, topic: string): Target {
    const expression = parseKeyExpression(stream.key, noKeyLimits)
    const isFixed = expression._tag !== "UserProperty" && expression._tag !== "None"
    const text = isFixed ? keyOf(expression, { clientId: this.#clientId, topic, userProperties: undefined }) : null
    const key = text === null ? null : utf8(text)
    const { mqttHeaders, isCompacted } = effectiveConfig(stream.config)
    return {
      stream,
      expression,
      fixed: key === null ? undefined : { key, logId: stream.logIds[partitionOf(key, stream.logIds.length)]! },
      hasMqttHeaders: mqttHeaders,
      mayLackKey: isCompacted && key === null,
      hasTombstones: isCompacted && expression._tag === "Topic",
      batchBytesMax: this.#directory.batchBytesMax(stream)
    }
  }

  /** Without a key the partition is the same for a whole turn. */
  #place(
    { stream, expression }: Target,
    { topic, userProperties }: Publication
  ): { key: Uint8Array | null; logId: number } {
    const text = keyOf(expression, { clientId: this.#clientId, topic, userProperties })
    const { logIds } = stream
    if (text === null) return { key: null, logId: logIds[this.#shards.ofLog(logIds[0]!).nextSeq % logIds.length]! }
    const key = utf8(text)
    return { key, logId: stream.logIds[partitionOf(key, stream.logIds.length)]! }
  }

  #block(route: Route, { topic, qos, retain }: Publication): HeaderBlock {
    const at = qos * 2 + (retain ? 1 : 0)
    return (route.blocks[at] ??= mqttHeaders(topic, this.#clientId, qos, retain))
  }
}

const nowhere: ReadonlyArray<Placed> = []
const noExtra: ReadonlyArray<RecordHeader> = []

export const headerNames = {
  topic: utf8("mqtt.topic"),
  clientId: utf8("mqtt.clientid"),
  qos: utf8("mqtt.qos"),
  retain: utf8("mqtt.retain"),
  contentType: utf8("mqtt.content-type"),
  responseTopic: utf8("mqtt.response-topic"),
  correlationData: utf8("mqtt.correlation-data"),
  payloadFormat: utf8("mqtt.payload-format"),
  expiry: utf8("mqtt.expiry")
}

/** The headers with which every record of an MQTT message begins; the client's own headers follow, under whatever names. */
export const mqttHeaders = (topic: string, clientId: string, qos: number, retain: boolean): HeaderBlock =>
  encodeHeaders([
    [headerNames.topic, utf8(topic)],
    [headerNames.clientId, utf8(clientId)],
    [headerNames.qos, utf8(String(qos))],
    [headerNames.retain, utf8(retain ? "1" : "0")]
  ])

/** The client id's place in `mqttHeaders`. */
export const clientIdHeaderAt = 1

const userHeaders = ({ userProperties }: Publication): ReadonlyArray<RecordHeader> =>
  userProperties === undefined ? noExtra : userProperties.map(([name, value]) => [utf8(name), utf8(value)] as const)

/** The headers that MQTT 5 adds; there are none in the common case. */
export const extraHeaders = (publication: Publication): ReadonlyArray<RecordHeader> => {
  const { userProperties, contentType, responseTopic, correlationData, payloadFormat, expiryAtMs } = publication
  const known = userProperties ?? contentType ?? responseTopic ?? correlationData ?? payloadFormat ?? expiryAtMs
  if (known === undefined) return noExtra
  const headers: Array<RecordHeader> = [...userHeaders(publication)]
  if (contentType !== undefined) headers.push([headerNames.contentType, utf8(contentType)])
  if (responseTopic !== undefined) headers.push([headerNames.responseTopic, utf8(responseTopic)])
  if (correlationData !== undefined) headers.push([headerNames.correlationData, correlationData])
  if (payloadFormat !== undefined) headers.push([headerNames.payloadFormat, utf8(String(payloadFormat))])
  if (expiryAtMs !== undefined) headers.push([headerNames.expiry, utf8(String(expiryAtMs))])
  return headers
}
