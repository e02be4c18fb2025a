import type { CodecLimits, UserProperties } from "./Packet.ts"
import { MqttError } from "./Packet.ts"
import type { PacketReader } from "./PacketReader.ts"
import { malformed, protocolError } from "./PacketReader.ts"
import { ReasonCode } from "./ReasonCodes.ts"

/** MQTT 5, section 2.2.2.2. */
export const PropertyId = {
  PayloadFormatIndicator: 0x01,
  MessageExpiryInterval: 0x02,
  ContentType: 0x03,
  ResponseTopic: 0x08,
  CorrelationData: 0x09,
  SubscriptionIdentifier: 0x0b,
  SessionExpiryInterval: 0x11,
  AssignedClientIdentifier: 0x12,
  ServerKeepAlive: 0x13,
  AuthenticationMethod: 0x15,
  AuthenticationData: 0x16,
  RequestProblemInformation: 0x17,
  WillDelayInterval: 0x18,
  RequestResponseInformation: 0x19,
  ResponseInformation: 0x1a,
  ServerReference: 0x1c,
  ReasonString: 0x1f,
  ReceiveMaximum: 0x21,
  TopicAliasMaximum: 0x22,
  TopicAlias: 0x23,
  MaximumQoS: 0x24,
  RetainAvailable: 0x25,
  UserProperty: 0x26,
  MaximumPacketSize: 0x27,
  WildcardSubscriptionAvailable: 0x28,
  SubscriptionIdentifierAvailable: 0x29,
  SharedSubscriptionAvailable: 0x2a
} as const

/** The properties of PUBLISH and of its acknowledgements; `readProperties` lets through what the packet at hand may have. */
export interface MessageProperties {
  payloadFormatIndicator?: 0 | 1
  messageExpiryIntervalSeconds?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Uint8Array
  topicAlias?: number
  reasonString?: string
  userProperties?: UserProperties
}

/** The facts of a checked section that its caller needs, and its user properties, which mqtt-packet loses. */
export interface SectionFacts {
  /** mqtt-packet keeps them in an object, which loses their order [MQTT-3.1.3-10] and repeats behind an empty value. */
  userProperties: UserProperties | undefined
  /** `Infinity` if the section does not say. */
  maximumPacketSizeBytes: number
  isPayloadUtf8: boolean
  hasAuthenticationMethod: boolean
  hasAuthenticationData: boolean
}

/** Property ids as two bit sets of 32, because ids reach 0x2A. */
interface PropertySet {
  readonly low: number
  readonly high: number
}

const setOf = (...ids: ReadonlyArray<number>): PropertySet => {
  let low = 0
  let high = 0
  for (const id of ids) {
    if (id < 32) low |= 1 << id
    else high |= 1 << (id - 32)
  }
  return { low, high }
}

const has = (set: PropertySet, id: number): boolean =>
  id < 32 ? ((set.low >>> id) & 1) === 1 : id < 64 && ((set.high >>> (id - 32)) & 1) === 1

const P = PropertyId

const messageProperties = [
  P.PayloadFormatIndicator,
  P.MessageExpiryInterval,
  P.ContentType,
  P.ResponseTopic,
  P.CorrelationData,
  P.UserProperty
]

/** The properties that clients may send, by packet. */
export const allowedProperties = {
  connect: setOf(
    P.SessionExpiryInterval,
    P.ReceiveMaximum,
    P.MaximumPacketSize,
    P.TopicAliasMaximum,
    P.RequestResponseInformation,
    P.RequestProblemInformation,
    P.UserProperty,
    P.AuthenticationMethod,
    P.AuthenticationData
  ),
  will: setOf(P.WillDelayInterval, ...messageProperties),
  publish: setOf(P.TopicAlias, ...messageProperties),
  ack: setOf(P.ReasonString, P.UserProperty),
  subscribe: setOf(P.SubscriptionIdentifier, P.UserProperty),
  unsubscribe: setOf(P.UserProperty),
  disconnect: setOf(P.SessionExpiryInterval, P.ReasonString, P.UserProperty),
  auth: setOf(P.AuthenticationMethod, P.AuthenticationData, P.ReasonString, P.UserProperty)
} as const

/**
 * Reads a whole property section with its length. Binary values are views.
 * Throws `MqttError`: 0x81 for lengths, UTF-8 and properties that have no place in this packet,
 * 0x82 for duplicates and values out of range, 0x90 for a response topic, 0x94 for alias 0, 0x97 for too many user properties.
 */
export const readProperties = (reader: PacketReader, allowed: PropertySet, limits: CodecLimits): MessageProperties => {
  const properties: MessageProperties = {}
  const userProperties = walkSection(reader, allowed, limits, readProperty, properties)
  if (userProperties !== undefined) properties.userProperties = userProperties
  return properties
}

/** Passes over a whole property section that mqtt-packet is to read. Throws as `readProperties` does. */
export const checkProperties = (reader: PacketReader, allowed: PropertySet, limits: CodecLimits): SectionFacts => {
  const facts = noFacts()
  facts.userProperties = walkSection(reader, allowed, limits, checkProperty, facts)
  return facts
}

/** The facts of a packet without properties, as all are in MQTT 3.1.1. */
export const noFacts = (): SectionFacts => ({
  userProperties: undefined,
  maximumPacketSizeBytes: Infinity,
  isPayloadUtf8: false,
  hasAuthenticationMethod: false,
  hasAuthenticationData: false
})

/** Calls `each` behind the id of every property but user properties, which it returns. */
const walkSection = <To>(
  reader: PacketReader,
  allowed: PropertySet,
  limits: CodecLimits,
  each: (reader: PacketReader, id: number, to: To, limits: CodecLimits) => void,
  to: To
): UserProperties | undefined => {
  const length = reader.variable()
  if (length === 0) return undefined
  const end = reader.skip(length) + length
  reader.at = end - length
  let userProperties: Array<readonly [string, string]> | undefined
  let userPropertyBytes = 0
  let seenLow = 0
  let seenHigh = 0
  while (reader.at < end) {
    const id = reader.uint8()
    if (!has(allowed, id)) throw notAllowed(id)
    if (id === P.UserProperty) {
      const start = reader.at
      userProperties ??= []
      userProperties.push([reader.string(), reader.string()])
      userPropertyBytes += reader.at - start - 4
      throwIfOverQuota(userProperties.length, userPropertyBytes, limits)
    } else {
      const bit = 1 << (id & 31)
      if (((id < 32 ? seenLow : seenHigh) & bit) !== 0) throw protocolError(`property ${id} is there twice`)
      if (id < 32) seenLow |= bit
      else seenHigh |= bit
      each(reader, id, to, limits)
    }
    if (reader.at > end) throw malformed("a property is longer than its section")
  }
  return userProperties
}

/** Properties with a place in the packet that only servers fill are a protocol error [MQTT-3.3.4-6], all others malformed. */
const notAllowed = (id: number): MqttError =>
  id === P.SubscriptionIdentifier || id === P.ServerReference
    ? protocolError(`property ${id} is not a client's to send here`)
    : malformed(`property ${id} has no place in this packet`)

const throwIfOverQuota = (count: number, bytes: number, limits: CodecLimits): void => {
  if (count > limits.userPropertiesMax) {
    throw new MqttError(ReasonCode.QuotaExceeded, `more than ${limits.userPropertiesMax} user properties`)
  }
  if (bytes > limits.userPropertyBytesMax) {
    throw new MqttError(ReasonCode.QuotaExceeded, `more than ${limits.userPropertyBytesMax} bytes of user properties`)
  }
}

const readProperty = (reader: PacketReader, id: number, to: MessageProperties, limits: CodecLimits): void => {
  switch (id) {
    case P.PayloadFormatIndicator:
      to.payloadFormatIndicator = bit(reader, id)
      return
    case P.MessageExpiryInterval:
      to.messageExpiryIntervalSeconds = reader.uint32()
      return
    case P.ContentType:
      to.contentType = reader.string()
      return
    case P.ResponseTopic:
      to.responseTopic = reader.topicName(limits)
      return
    case P.CorrelationData:
      to.correlationData = reader.binary()
      return
    case P.TopicAlias:
      to.topicAlias = reader.uint16()
      if (to.topicAlias === 0) throw new MqttError(ReasonCode.TopicAliasInvalid, "topic alias 0")
      return
    case P.ReasonString:
      to.reasonString = reader.string()
      return
    default:
      throw malformed(`property ${id} is unknown`)
  }
}

const checkProperty = (reader: PacketReader, id: number, facts: SectionFacts, limits: CodecLimits): void => {
  switch (id) {
    case P.PayloadFormatIndicator:
      facts.isPayloadUtf8 = bit(reader, id) === 1
      return
    case P.RequestProblemInformation:
    case P.RequestResponseInformation:
      bit(reader, id)
      return
    case P.TopicAliasMaximum:
      reader.skip(2)
      return
    case P.MessageExpiryInterval:
    case P.SessionExpiryInterval:
    case P.WillDelayInterval:
      reader.skip(4)
      return
    case P.ReceiveMaximum:
      throwIfZero(reader.uint16(), id)
      return
    case P.SubscriptionIdentifier:
      throwIfZero(reader.variable(), id)
      return
    case P.MaximumPacketSize:
      facts.maximumPacketSizeBytes = reader.uint32()
      throwIfZero(facts.maximumPacketSizeBytes, id)
      return
    case P.ResponseTopic:
      reader.passTopicName(limits)
      return
    default:
      checkTextOrData(reader, id, facts)
  }
}

const checkTextOrData = (reader: PacketReader, id: number, facts: SectionFacts): void => {
  switch (id) {
    case P.AuthenticationMethod:
      facts.hasAuthenticationMethod = true
      reader.passString()
      return
    case P.ContentType:
    case P.ReasonString:
      reader.passString()
      return
    case P.AuthenticationData:
      facts.hasAuthenticationData = true
      reader.binary()
      return
    case P.CorrelationData:
      reader.binary()
      return
    default:
      throw malformed(`property ${id} is unknown`)
  }
}

const bit = (reader: PacketReader, id: number): 0 | 1 => {
  const value = reader.uint8()
  if (value > 1) throw protocolError(`property ${id} is neither 0 nor 1`)
  return value as 0 | 1
}

const throwIfZero = (value: number, id: number): void => {
  if (value === 0) throw protocolError(`property ${id} is 0`)
}
