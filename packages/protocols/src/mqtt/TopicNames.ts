import { isUtf8 } from "node:buffer"
import type { CodecLimits } from "./Packet.ts"
import { defaultCodecLimits, MqttError } from "./Packet.ts"
import { ReasonCode } from "./ReasonCodes.ts"

const hash = 0x23
const plus = 0x2b
const slash = 0x2f
const dollar = 0x24

const asBuffer = (bytes: Uint8Array): Buffer =>
  bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Throws `MqttError` 0x81 unless there is UTF-8 without NUL from `start` to `end` [MQTT-1.5.4-1, MQTT-1.5.4-2]. */
export const checkString = (bytes: Uint8Array, start: number, end: number): void => {
  let bits = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte === 0) throw new MqttError(ReasonCode.MalformedPacket, "a string contains NUL")
    bits |= byte
  }
  if (bits >= 0x80) throwIfNotUtf8(bytes, start, end)
}

/** As `checkString`. */
export const decodeString = (bytes: Uint8Array, start: number, end: number): string => {
  checkString(bytes, start, end)
  return asBuffer(bytes).toString("utf8", start, end)
}

const throwIfNotUtf8 = (bytes: Uint8Array, start: number, end: number): void => {
  if (!isUtf8(bytes.subarray(start, end))) {
    throw new MqttError(ReasonCode.MalformedPacket, "a string is not valid UTF-8")
  }
}

/**
 * There must be a topic name from `start` to `end`, not empty.
 * Throws `MqttError`: 0x81 for NUL and bad UTF-8, 0x90 for wildcards [MQTT-3.3.2-2], length and levels.
 */
export const checkTopicName = (bytes: Uint8Array, start: number, end: number, limits: CodecLimits): void => {
  if (end === start) throw new MqttError(ReasonCode.TopicNameInvalid, "a topic name is empty")
  if (end - start > limits.topicBytesMax) {
    throw new MqttError(ReasonCode.TopicNameInvalid, `a topic name is longer than ${limits.topicBytesMax} bytes`)
  }
  let bits = 0
  let levels = 1
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    bits |= byte
    if (byte > slash) continue
    if (byte === slash) levels++
    else if (byte === 0) throw new MqttError(ReasonCode.MalformedPacket, "a topic name contains NUL")
    else if (byte === plus || byte === hash) {
      throw new MqttError(ReasonCode.TopicNameInvalid, "a topic name contains a wildcard")
    }
  }
  if (levels > limits.topicLevelsMax) {
    throw new MqttError(ReasonCode.TopicNameInvalid, `a topic name has more than ${limits.topicLevelsMax} levels`)
  }
  if (bits >= 0x80) throwIfNotUtf8(bytes, start, end)
}

/** As `checkTopicName`. */
export const decodeTopicName = (bytes: Uint8Array, start: number, end: number, limits: CodecLimits): string => {
  checkTopicName(bytes, start, end, limits)
  return asBuffer(bytes).toString("utf8", start, end)
}

const invalidFilter = (message: string): MqttError => new MqttError(ReasonCode.TopicFilterInvalid, message)

/**
 * Checks a subscription's filter, `$share/NAME/FILTER` included [MQTT-4.7.1-1, MQTT-4.7.1-2, MQTT-4.7.3-1, MQTT-4.8.2-1].
 * The levels of `$share/NAME/` do not count. Throws `MqttError` 0x8F.
 */
export const validateTopicFilter = (filter: string, limits: CodecLimits = defaultCodecLimits): void => {
  if (Buffer.byteLength(filter) > limits.topicBytesMax) {
    throw invalidFilter(`a topic filter is longer than ${limits.topicBytesMax} bytes`)
  }
  const plain = parseSharedFilter(filter)?.filter ?? filter
  if (plain === "") throw invalidFilter("a topic filter is empty")
  if (plain.includes("\0")) throw invalidFilter("a topic filter contains NUL")
  let levels = 1
  for (let start = 0, at = 0; at <= plain.length; at++) {
    if (at < plain.length && plain.charCodeAt(at) !== slash) continue
    throwIfLevelInvalid(plain, start, at)
    if (at < plain.length) levels++
    start = at + 1
  }
  if (levels > limits.topicLevelsMax) {
    throw invalidFilter(`a topic filter has more than ${limits.topicLevelsMax} levels`)
  }
}

const throwIfLevelInvalid = (filter: string, start: number, end: number): void => {
  for (let at = start; at < end; at++) {
    const code = filter.charCodeAt(at)
    if (code !== hash && code !== plus) continue
    if (end - start > 1) throw invalidFilter("a wildcard shares its level with other characters")
    if (code === hash && end < filter.length) throw invalidFilter("# is not the last level")
  }
}

export interface SharedFilter {
  readonly shareName: string
  readonly filter: string
}

/** The parts of `$share/NAME/FILTER`; `undefined` for other filters. Throws `MqttError` 0x8F [MQTT-4.8.2-1, MQTT-4.8.2-2]. */
export const parseSharedFilter = (filter: string): SharedFilter | undefined => {
  if (filter !== "$share" && !filter.startsWith("$share/")) return undefined
  const end = filter.indexOf("/", 7)
  const shareName = filter.slice(7, end === -1 ? undefined : end)
  if (end === -1 || shareName === "") throw invalidFilter("a shared subscription lacks its name or its filter")
  if (shareName.includes("+") || shareName.includes("#")) throw invalidFilter("a share name contains a wildcard")
  return { shareName, filter: filter.slice(end + 1) }
}

interface CachedTopic {
  readonly hash: number
  readonly bytes: Uint8Array
  readonly topic: string
}

const cachedTopicBytesMax = 128

/**
 * Topic names that were decoded and checked before: one string per topic, whose own hash is computed once.
 * Direct-mapped, so that topics made to collide cost a decode each and no more. Holds `slots` topics of up to 128 bytes.
 * Measured (bench/mqttCodec.ts): a whole PUBLISH with a 33-byte topic decodes in 0.8 of the time.
 */
export class TopicCache {
  readonly #limits: CodecLimits
  readonly #prefix: string
  readonly #slots: Array<CachedTopic | undefined>
  readonly #mask: number
  #last: CachedTopic | undefined

  /** `slots` must be a power of two, else a `RangeError`. `prefix`: put before every topic that does not begin with $. */
  constructor(slots = 4_096, limits: CodecLimits = defaultCodecLimits, prefix = "") {
    if (slots < 1 || (slots & (slots - 1)) !== 0) throw new RangeError("slots must be a power of two")
    this.#limits = limits
    this.#prefix = prefix
    this.#slots = Array.from({ length: slots })
    this.#mask = slots - 1
  }

  /** As `decodeTopicName`, with the prefix. */
  decode(bytes: Uint8Array, start: number, end: number): string {
    const length = end - start
    if (length > cachedTopicBytesMax) return this.#decode(bytes, start, end)
    // The packets of a chunk are one connection's, and mostly of one topic.
    const last = this.#last
    if (last !== undefined && isSame(last.bytes, bytes, start, length)) return last.topic
    let code = length
    for (let at = start; at < end; at++) code = (Math.imul(code, 31) + bytes[at]!) | 0
    const slot = (code ^ (code >>> 15)) & this.#mask
    const cached = this.#slots[slot]
    if (cached !== undefined && cached.hash === code && isSame(cached.bytes, bytes, start, length)) {
      this.#last = cached
      return cached.topic
    }
    const topic = this.#decode(bytes, start, end)
    this.#last = this.#slots[slot] = { hash: code, bytes: new Uint8Array(bytes.subarray(start, end)), topic }
    return topic
  }

  #decode(bytes: Uint8Array, start: number, end: number): string {
    const topic = decodeTopicName(bytes, start, end, this.#limits)
    return this.#prefix === "" || bytes[start] === dollar ? topic : this.#prefix + topic
  }
}

const isSame = (expected: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean => {
  if (expected.length !== length) return false
  for (let index = 0; index < length; index++) {
    if (expected[index] !== bytes[start + index]) return false
  }
  return true
}
