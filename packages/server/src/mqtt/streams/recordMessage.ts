import { isUtf8 } from "node:buffer"
import type { RecordHeader, RecordReader } from "@logbrook/core/Record"
import { fitsString } from "@logbrook/protocols/mqtt/PacketWriter"
import type { Publication } from "../../streams/PublishRoutes.ts"
import { headerNames, noProperties } from "../../streams/PublishRoutes.ts"
import { streamTopic } from "./StreamRequest.ts"

/** The most bytes of a string in MQTT (5, 1.5.4). */
const stringBytesMax = 65_535
/** The headers with which every record of an MQTT message begins, see `mqttHeaders`. */
const ownHeadersFirst = 4

/** The last one: the headers of a batch are views of the same bytes, and a view of Node's class for each took 6 % of the CPU. */
let viewed: Buffer = Buffer.alloc(0)

const textOf = (bytes: Uint8Array | null): string => {
  if (bytes === null) return ""
  if (viewed.buffer !== bytes.buffer) viewed = Buffer.from(bytes.buffer)
  return viewed.toString("utf8", bytes.byteOffset, bytes.byteOffset + bytes.length)
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}

/** Whether MQTT can carry the bytes as a string [MQTT-1.5.4-1, MQTT-1.5.4-2]. Its text then has as many bytes. */
const isText = (bytes: Uint8Array): boolean => {
  if (bytes.length > stringBytesMax) return false
  let bits = 0
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 0) return false
    bits |= bytes[at]!
  }
  return bits < 0x80 || isUtf8(bytes)
}

const plus = 0x2b
const hash = 0x23

/** Whether the bytes are a topic name, with so many bytes before it [MQTT-3.3.2-2, MQTT-4.7.3-1]. */
const isTopicName = (bytes: Uint8Array, bytesBefore = 0): boolean => {
  if (bytes.length === 0 || bytesBefore + bytes.length > stringBytesMax) return false
  return !bytes.includes(plus) && !bytes.includes(hash) && isText(bytes)
}

/** A record as its reader finds it. */
export interface FoundRecord {
  readonly stream: string
  readonly partition: number
  readonly offset: number
  /** Unix ms. */
  readonly timestampMs: number
  readonly key: Uint8Array | null
  /** Null: a tombstone, which arrives as an empty payload. */
  readonly value: Uint8Array | null
  readonly headers: ReadonlyArray<RecordHeader>
  /** The topic of an MQTT message, which has the server's own headers first; undefined: the record was none. */
  readonly topic: string | undefined
}

/** The reader says so of a record, beside what it is. */
export interface StreamMarks {
  /** The records before it, in its partition, that retention took before they were read. */
  readonly gap?: number
  /** It is the last of what was there when the reader began. */
  readonly isCaughtUp?: true
}

const hasOwnHeaders = (headers: ReadonlyArray<RecordHeader>): boolean =>
  headers.length >= ownHeadersFirst &&
  isSame(headers[0]![0], headerNames.topic) &&
  isSame(headers[1]![0], headerNames.clientId) &&
  isSame(headers[2]![0], headerNames.qos) &&
  isSame(headers[3]![0], headerNames.retain)

/**
 * A Kafka producer may write the server's own headers as well. A topic that MQTT has no room for, also as `$stream/NAME/TOPIC`, makes no
 * message of the record.
 */
const topicOf = (stream: string, headers: ReadonlyArray<RecordHeader>): string | undefined => {
  if (!hasOwnHeaders(headers)) return undefined
  const bytes = headers[0]![1]
  if (bytes === null || !isTopicName(bytes, streamTopic(stream).length + 1)) return undefined
  return textOf(bytes)
}

export const foundRecord = (
  stream: string,
  partition: number,
  offset: number,
  timestampMs: number,
  record: RecordReader
): FoundRecord => {
  const headers = record.headers()
  return {
    stream,
    partition,
    offset,
    timestampMs,
    key: record.key(),
    value: record.value(),
    headers,
    topic: topicOf(stream, headers)
  }
}

/** The client that published an MQTT message; undefined: the record is none. */
export const publisherOf = ({ headers, topic }: FoundRecord): string | undefined =>
  topic === undefined ? undefined : textOf(headers[1]![1])

const one = 0x31

/** The retain flag that a message was published with. */
const wasRetained = ({ headers, topic }: FoundRecord): boolean => topic !== undefined && headers[3]![1]?.[0] === one

interface Restored {
  /** The publisher's own headers are those from here to `end`. */
  readonly first: number
  readonly end: number
  /** By their headers' names; undefined: there are none. */
  readonly properties: ReadonlyMap<Uint8Array, Uint8Array> | undefined
}

/** The headers that follow the publisher's own, in their order, see `extraHeaders`. */
const lastHeaders = [
  headerNames.contentType,
  headerNames.responseTopic,
  headerNames.correlationData,
  headerNames.payloadFormat,
  headerNames.expiry
]

/** A publisher may name its own last properties so, with whatever values: those that MQTT has no room for stay its own. */
const isPossible = (name: Uint8Array, value: Uint8Array): boolean => {
  if (name === headerNames.responseTopic) return isTopicName(value)
  if (name === headerNames.contentType) return isText(value)
  if (name === headerNames.payloadFormat) return /^[01]$/.test(textOf(value))
  return value.length <= stringBytesMax
}

const restore = ({ headers, topic }: FoundRecord): Restored => {
  if (topic === undefined) return { first: 0, end: headers.length, properties: undefined }
  let properties: Map<Uint8Array, Uint8Array> | undefined
  let end = headers.length
  for (let at = lastHeaders.length - 1; at >= 0 && end > ownHeadersFirst; at--) {
    const [name, value] = headers[end - 1]!
    if (value === null || !isSame(name, lastHeaders[at]!) || !isPossible(lastHeaders[at]!, value)) continue
    properties ??= new Map()
    properties.set(lastHeaders[at]!, value)
    end--
  }
  return { first: ownHeadersFirst, end, properties }
}

const binarySuffix = ";base64"

type Property = readonly [name: string, value: string]

/**
 * A header or key as a user property. Bytes that are no text come in base64, under the name with `;base64` behind it. Undefined: it
 * is longer than MQTT's strings.
 */
const property = (name: Uint8Array, value: Uint8Array | null): Property | undefined => {
  const title = titleOf(name)
  if (title === undefined) return undefined
  if (value === null) return [title, ""]
  if (value.length > stringBytesMax) return undefined
  if (isText(value)) return [title, textOf(value)]
  const encoded: Property = [`${title}${binarySuffix}`, Buffer.from(value).toString("base64")]
  return encoded.every(fitsString) ? encoded : undefined
}

/** Bytes that are no text are replaced, by more bytes than they were. */
const titleOf = (name: Uint8Array): string | undefined => {
  if (name.length > stringBytesMax) return undefined
  if (isText(name)) return textOf(name)
  const title = textOf(name).replaceAll("\0", "\ufffd")
  return fitsString(title) ? title : undefined
}

const keyName = Buffer.from("key")

/** The publisher's own, in order with repeats; then the record's place and time, and what its reader says. */
const userProperties = (
  { stream, partition, offset, timestampMs, key, headers }: FoundRecord,
  { first, end }: Restored,
  { gap, isCaughtUp }: StreamMarks
): ReadonlyArray<Property> => {
  const properties: Array<Property> = []
  let leftOut = 0
  for (let at = first; at < end; at++) {
    const own = property(...headers[at]!)
    if (own === undefined) leftOut++
    else properties.push(own)
  }
  properties.push(
    ["stream", stream],
    ["partition", String(partition)],
    ["offset", String(offset)],
    ["ts", String(timestampMs * 1000)]
  )
  const keyed = key === null ? undefined : property(keyName, key)
  if (keyed !== undefined) properties.push(keyed)
  else if (key !== null) leftOut++
  if (leftOut > 0) properties.push(["stream-left-out", String(leftOut)])
  if (gap !== undefined) properties.push(["stream-gap", String(gap)])
  if (isCaughtUp) properties.push(["stream-caught-up", "1"])
  return properties
}

const noBytes = new Uint8Array(0)

/**
 * The message that a record is delivered as: the topic, properties and payload with which it was published. Records of Kafka's
 * producers arrive on `$stream/NAME`, with their headers as user properties. Message expiry is not restored: retention alone says
 * how long a stream keeps its records. `isFullTopic`: on `$stream/NAME/TOPIC`. `hasProperties` false: of MQTT 3.1.1, which has none.
 */
export const messageOfRecord = (
  record: FoundRecord,
  marks: StreamMarks,
  isFullTopic: boolean,
  hasProperties: boolean
): Publication => {
  const { topic } = record
  const own = streamTopic(record.stream)
  const message = {
    ...noProperties,
    topic: topic === undefined ? own : isFullTopic ? `${own}/${topic}` : topic,
    payload: record.value ?? noBytes,
    qos: 0,
    retain: wasRetained(record)
  }
  if (!hasProperties) return message
  const restored = restore(record)
  const all = userProperties(record, restored, marks)
  const { properties } = restored
  if (properties === undefined) return { ...message, userProperties: all }
  const text = (name: Uint8Array): string | undefined => {
    const value = properties.get(name)
    return value === undefined ? undefined : textOf(value)
  }
  const payloadFormat = text(headerNames.payloadFormat)
  return {
    ...message,
    userProperties: all,
    contentType: text(headerNames.contentType),
    responseTopic: text(headerNames.responseTopic),
    correlationData: properties.get(headerNames.correlationData),
    payloadFormat: payloadFormat === undefined ? undefined : Number(payloadFormat)
  }
}
