import type { CodecLimits, UserProperties } from "./Packet.ts"
import { MqttError } from "./Packet.ts"
import type { PacketReader } from "./PacketReader.ts"
import { malformed, protocolError } from "./PacketReader.ts"
import { ReasonCode } from "./ReasonCodes.ts"
import { decodeTopicName } from "./TopicNames.ts"

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

/** Everything that a client may send in any packet. `readProperties` lets through what the packet at hand may have. */
export interface ClientProperties {
  payloadFormatIndicator?: 0 | 1
  messageExpiryIntervalSeconds?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Uint8Array
  subscriptionIdentifier?: number
  sessionExpiryIntervalSeconds?: number
  authenticationMethod?: string
  authenticationData?: Uint8Array
  requestProblemInformation?: boolean
  willDelayIntervalSeconds?: number
  requestResponseInformation?: boolean
  reasonString?: string
  receiveMaximum?: number
  topicAliasMaximum?: number
  topicAlias?: number
  userProperties?: UserProperties
  maximumPacketSizeBytes?: number
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

/** What clients may send, by packet. */
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
 * A whole property section with its length. Binary values are views.
 * Throws `MqttError`: 0x81 for lengths, UTF-8 and properties that have no place in this packet,
 * 0x82 for duplicates and values out of range, 0x90 for a response topic, 0x94 for alias 0, 0x97 for too many user properties.
 */
export const readProperties = (reader: PacketReader, allowed: PropertySet, limits: CodecLimits): ClientProperties => {
  const properties: ClientProperties = {}
  const length = reader.variable()
  if (length === 0) return properties
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
      readProperty(reader, id, properties, limits)
    }
    if (reader.at > end) throw malformed("a property is longer than its section")
  }
  if (userProperties !== undefined) properties.userProperties = userProperties
  return properties
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

const readProperty = (reader: PacketReader, id: number, to: ClientProperties, limits: CodecLimits): void => {
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
      to.responseTopic = topicName(reader, limits)
      return
    case P.CorrelationData:
      to.correlationData = reader.binary()
      return
    case P.TopicAlias:
      to.topicAlias = reader.uint16()
      if (to.topicAlias === 0) throw new MqttError(ReasonCode.TopicAliasInvalid, "topic alias 0")
      return
    case P.SubscriptionIdentifier:
      to.subscriptionIdentifier = positive(reader.variable(), id)
      return
    case P.SessionExpiryInterval:
      to.sessionExpiryIntervalSeconds = reader.uint32()
      return
    case P.ReasonString:
      to.reasonString = reader.string()
      return
    default:
      readConnectProperty(reader, id, to)
  }
}

const readConnectProperty = (reader: PacketReader, id: number, to: ClientProperties): void => {
  switch (id) {
    case P.AuthenticationMethod:
      to.authenticationMethod = reader.string()
      return
    case P.AuthenticationData:
      to.authenticationData = reader.binary()
      return
    case P.RequestProblemInformation:
      to.requestProblemInformation = bit(reader, id) === 1
      return
    case P.WillDelayInterval:
      to.willDelayIntervalSeconds = reader.uint32()
      return
    case P.RequestResponseInformation:
      to.requestResponseInformation = bit(reader, id) === 1
      return
    case P.ReceiveMaximum:
      to.receiveMaximum = positive(reader.uint16(), id)
      return
    case P.TopicAliasMaximum:
      to.topicAliasMaximum = reader.uint16()
      return
    case P.MaximumPacketSize:
      to.maximumPacketSizeBytes = positive(reader.uint32(), id)
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

const positive = (value: number, id: number): number => {
  if (value === 0) throw protocolError(`property ${id} is 0`)
  return value
}

const topicName = (reader: PacketReader, limits: CodecLimits): string => {
  const length = reader.uint16()
  const start = reader.skip(length)
  return decodeTopicName(reader.bytes, start, start + length, limits)
}
