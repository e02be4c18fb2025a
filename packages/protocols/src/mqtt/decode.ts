import type {
  AckProperties,
  Auth,
  CodecLimits,
  Disconnect,
  ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  QoS,
  SessionPacket,
  Subscribe,
  Subscription,
  Unsubscribe
} from "./Packet.ts"
import { defaultCodecLimits, MqttError, PacketType } from "./Packet.ts"
import { malformed, PacketReader, protocolError } from "./PacketReader.ts"
import { allowedProperties, readProperties } from "./Properties.ts"
import { ReasonCode } from "./ReasonCodes.ts"
import type { TopicCache } from "./TopicNames.ts"
import { decodeTopicName, parseSharedFilter, validateTopicFilter } from "./TopicNames.ts"

// No mqtt-packet behind a validator: a validator that is strict has read every field already, so it decodes them too.
// mqtt-packet is the oracle in the tests.

/** What decoding needs besides the bytes; one for all connections, so that they share the topics. */
export interface DecodeContext {
  readonly limits: CodecLimits
  /** Made with the same limits; `undefined` decodes each topic anew. */
  readonly topics: TopicCache | undefined
}

const defaultContext: DecodeContext = { limits: defaultCodecLimits, topics: undefined }

/**
 * Where the body of `packet` begins. Throws `MqttError` 0x81 unless its remaining length is that of the slice.
 * MQTT 3.1.1 does not ask for the shortest remaining length, MQTT 5 does [MQTT-1.5.5-1].
 */
export const bodyStart = (packet: Uint8Array, version: ProtocolVersion): number => {
  const short = packet[1]
  if (short !== undefined && short < 0x80) {
    if (packet.length !== short + 2) throw malformed("the remaining length is not that of the packet")
    return 2
  }
  let remaining = 0
  for (let index = 1; index <= 4; index++) {
    const byte = packet[index]
    if (byte === undefined) throw malformed("the fixed header is not complete")
    remaining += (byte & 0x7f) * 2 ** (7 * (index - 1))
    if (byte >= 0x80) continue
    if (byte === 0 && version === 5) throw malformed("the remaining length is longer than needed")
    if (packet.length !== remaining + index + 1) throw malformed("the remaining length is not that of the packet")
    return index + 1
  }
  throw malformed("the remaining length has more than four bytes")
}

/**
 * Decodes one whole packet of a client that is connected; CONNECT itself is `decodeConnect`'s.
 * Checks everything that a packet shows by itself. What takes the session's state is left to the caller: unset
 * aliases, packet ids in use, Receive Maximum. Payload and correlation data of PUBLISH are views into `packet`.
 * Throws `MqttError`.
 */
export const decodePacket = (
  packet: Uint8Array,
  version: ProtocolVersion,
  context: DecodeContext = defaultContext
): SessionPacket => {
  if (packet.length < 2) throw malformed("the fixed header is not complete")
  const type = packet[0]! >>> 4
  if (type === PacketType.Publish) return decodePublish(packet, version, context)
  throwIfFlagsInvalid(packet[0]!)
  const reader = new PacketReader(packet, bodyStart(packet, version), packet.length)
  switch (type) {
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return decodeAck(reader, type, version, context.limits)
    case PacketType.Subscribe:
      return decodeSubscribe(reader, version, context.limits)
    case PacketType.Unsubscribe:
      return decodeUnsubscribe(reader, version, context.limits)
    case PacketType.Pingreq:
      reader.throwUnlessAtEnd()
      return { _tag: "Pingreq" }
    case PacketType.Disconnect:
      return decodeDisconnect(reader, version, context.limits)
    case PacketType.Auth:
      if (version === 4) throw protocolError("AUTH is not of MQTT 3.1.1")
      return decodeAuth(reader, context.limits)
    case PacketType.Connect:
      throw protocolError("a second CONNECT")
    default:
      throw protocolError(`packets of type ${type} are not a client's to send`)
  }
}

/** Flags other than PUBLISH's are fixed [MQTT-2.1.3-1]. Type 0 is reserved. */
const throwIfFlagsInvalid = (first: number): void => {
  const type = first >>> 4
  if (type === 0) throw malformed("packet type 0 is reserved")
  const isTwo = type === PacketType.Pubrel || type === PacketType.Subscribe || type === PacketType.Unsubscribe
  if ((first & 0x0f) !== (isTwo ? 2 : 0)) throw malformed("the flags of the fixed header are not the packet type's")
}

/**
 * Decodes PUBLISH, the hot packet. Throws `MqttError`. Whether the payload is the UTF-8 that it may be announced as is left to
 * the caller: that is answered, and no reason to close (MQTT 5, 3.3.2.3.2).
 * Measured (bench/mqttCodec.ts, 100 B, QoS 1): less than a fifth of mqtt-packet's time, splitter and `TopicCache` included.
 */
export const decodePublish = (
  packet: Uint8Array,
  version: ProtocolVersion,
  context: DecodeContext = defaultContext
): Publish => {
  const first = packet[0]!
  const qos = (first >>> 1) & 3
  const dup = (first & 8) !== 0
  if (qos === 3) throw malformed("QoS 3")
  if (dup && qos === 0) throw protocolError("DUP on QoS 0")
  const end = packet.length
  const topicStart = bodyStart(packet, version) + 2
  if (topicStart > end) throw malformed("a field is longer than its packet")
  const topicEnd = topicStart + ((packet[topicStart - 2]! << 8) | packet[topicStart - 1]!)
  let at = topicEnd + (qos === 0 ? 0 : 2)
  if (at > end) throw malformed("a field is longer than its packet")
  let packetId = 0
  if (qos > 0) {
    packetId = (packet[topicEnd]! << 8) | packet[topicEnd + 1]!
    if (packetId === 0) throw protocolError("packet id 0")
  }
  let properties: Publish["properties"] = undefined
  if (version === 5) {
    if (packet[at] === 0) at++
    else {
      const reader = new PacketReader(packet, at, end)
      properties = readProperties(reader, allowedProperties.publish, context.limits)
      at = reader.at
    }
  }
  const topic = decodePublishTopic(packet, topicStart, topicEnd, properties?.topicAlias !== undefined, context)
  const payload = packet.subarray(at, end)
  return { _tag: "Publish", topic, payload, qos: qos as QoS, retain: (first & 1) !== 0, dup, packetId, properties }
}

const decodePublishTopic = (
  packet: Uint8Array,
  start: number,
  end: number,
  hasAlias: boolean,
  context: DecodeContext
): string => {
  if (start === end) {
    if (hasAlias) return ""
    throw protocolError("a topic name is empty and there is no alias")
  }
  return context.topics === undefined
    ? decodeTopicName(packet, start, end, context.limits)
    : context.topics.decode(packet, start, end)
}

const ackTags = { 4: "Puback", 5: "Pubrec", 6: "Pubrel", 7: "Pubcomp" } as const

const publishAckCodes = new Set<number>([
  ReasonCode.Success,
  ReasonCode.NoMatchingSubscribers,
  ReasonCode.UnspecifiedError,
  ReasonCode.ImplementationSpecificError,
  ReasonCode.NotAuthorized,
  ReasonCode.TopicNameInvalid,
  ReasonCode.PacketIdentifierInUse,
  ReasonCode.QuotaExceeded,
  ReasonCode.PayloadFormatInvalid
])

const releaseAckCodes = new Set<number>([ReasonCode.Success, ReasonCode.PacketIdentifierNotFound])

const noProperties: AckProperties = Object.freeze({})

const decodeAck = (
  reader: PacketReader,
  type: 4 | 5 | 6 | 7,
  version: ProtocolVersion,
  limits: CodecLimits
): Puback | Pubrec | Pubrel | Pubcomp => {
  const packetId = reader.packetId()
  let reasonCode: number = ReasonCode.Success
  let properties = noProperties
  if (version === 5 && reader.remaining > 0) {
    reasonCode = reader.uint8()
    if (!(type <= PacketType.Pubrec ? publishAckCodes : releaseAckCodes).has(reasonCode)) {
      throw protocolError(`reason code ${reasonCode} is not one of ${ackTags[type]}`)
    }
    if (reader.remaining > 0) properties = readProperties(reader, allowedProperties.ack, limits)
  }
  reader.throwUnlessAtEnd()
  return { _tag: ackTags[type], packetId, reasonCode, properties }
}

const decodeSubscribe = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Subscribe => {
  const packetId = reader.packetId()
  const properties = version === 5 ? readProperties(reader, allowedProperties.subscribe, limits) : {}
  if (reader.remaining === 0) throw protocolError("SUBSCRIBE without a filter")
  const subscriptions: Array<Subscription> = []
  while (reader.remaining > 0 && subscriptions.length < limits.subscriptionsPerPacketMax) {
    subscriptions.push(decodeSubscription(reader, version, limits))
  }
  const refusedFilters = countFilters(reader, 1)
  return { _tag: "Subscribe", packetId, subscriptions, refusedFilters, properties }
}

/** Passes over the filters that are left, each with `optionBytes` behind it: a packet of 4 MiB holds a million. */
const countFilters = (reader: PacketReader, optionBytes: number): number => {
  let count = 0
  for (; reader.remaining > 0; count++) reader.skip(reader.uint16() + optionBytes)
  return count
}

const decodeSubscription = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Subscription => {
  const filter = reader.string()
  const options = reader.uint8()
  const qos = options & 3
  const retainHandling = (options >>> 4) & 3
  if ((options & (version === 4 ? 0xfc : 0xc0)) !== 0) throw malformed("reserved bits of a subscription are set")
  if (qos === 3) throw version === 4 ? malformed("QoS 3") : protocolError("QoS 3")
  if (retainHandling === 3) throw protocolError("retain handling 3")
  validateTopicFilter(filter, limits)
  const noLocal = (options & 4) !== 0
  if (noLocal && parseSharedFilter(filter) !== undefined) throw protocolError("No Local on a shared subscription")
  return {
    filter,
    qos: qos as QoS,
    noLocal,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2
  }
}

const decodeUnsubscribe = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Unsubscribe => {
  const packetId = reader.packetId()
  const properties = version === 5 ? readProperties(reader, allowedProperties.unsubscribe, limits) : {}
  if (reader.remaining === 0) throw protocolError("UNSUBSCRIBE without a filter")
  const filters: Array<string> = []
  while (reader.remaining > 0 && filters.length < limits.subscriptionsPerPacketMax) {
    const filter = reader.string()
    validateTopicFilter(filter, limits)
    filters.push(filter)
  }
  const refusedFilters = countFilters(reader, 0)
  if (version === 4 && refusedFilters > 0) {
    throw new MqttError(
      ReasonCode.QuotaExceeded,
      `more than ${limits.subscriptionsPerPacketMax} filters in UNSUBSCRIBE`
    )
  }
  return { _tag: "Unsubscribe", packetId, filters, refusedFilters, properties }
}

/** Those of MQTT 5, section 3.14.2.1, that a client may send. */
const disconnectCodes = new Set<number>([
  ReasonCode.NormalDisconnection,
  ReasonCode.DisconnectWithWillMessage,
  ReasonCode.UnspecifiedError,
  ReasonCode.MalformedPacket,
  ReasonCode.ProtocolError,
  ReasonCode.ImplementationSpecificError,
  ReasonCode.TopicNameInvalid,
  ReasonCode.ReceiveMaximumExceeded,
  ReasonCode.TopicAliasInvalid,
  ReasonCode.PacketTooLarge,
  ReasonCode.MessageRateTooHigh,
  ReasonCode.QuotaExceeded,
  ReasonCode.AdministrativeAction,
  ReasonCode.PayloadFormatInvalid
])

const decodeDisconnect = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Disconnect => {
  let reasonCode: number = ReasonCode.NormalDisconnection
  let properties: Disconnect["properties"] = noProperties
  if (version === 5 && reader.remaining > 0) {
    reasonCode = reader.uint8()
    if (!disconnectCodes.has(reasonCode)) {
      throw protocolError(`reason code ${reasonCode} is not one of a client's DISCONNECT`)
    }
    if (reader.remaining > 0) properties = readProperties(reader, allowedProperties.disconnect, limits)
  }
  reader.throwUnlessAtEnd()
  return { _tag: "Disconnect", reasonCode, properties }
}

const decodeAuth = (reader: PacketReader, limits: CodecLimits): Auth => {
  const reasonCode = reader.remaining === 0 ? ReasonCode.Success : reader.uint8()
  if (reasonCode !== ReasonCode.ContinueAuthentication && reasonCode !== ReasonCode.ReAuthenticate) {
    throw protocolError(`reason code ${reasonCode} is not one of a client's AUTH`)
  }
  const { authenticationMethod, authenticationData, ...rest } = readProperties(reader, allowedProperties.auth, limits)
  reader.throwUnlessAtEnd()
  if (authenticationMethod === undefined) throw protocolError("AUTH without its method")
  const data = authenticationData === undefined ? {} : { authenticationData: new Uint8Array(authenticationData) }
  return { _tag: "Auth", reasonCode, properties: { ...rest, authenticationMethod, ...data } }
}
