import type { CodecLimits, ProtocolVersion, QoS, Subscription, UserProperties } from "./Packet.ts"
import { MqttError } from "./Packet.ts"
import type { PacketReader } from "./PacketReader.ts"
import { malformed, protocolError } from "./PacketReader.ts"
import { allowedProperties, checkProperties, noFacts } from "./Properties.ts"
import { ReasonCode } from "./ReasonCodes.ts"
import { parseSharedFilter, validateTopicFilter } from "./TopicNames.ts"

// The strict check: each function walks the body of one packet, which `reader` stands before, and passes or throws
// `MqttError`. It is the boundary: mqtt-packet, which reads past fields and takes much that the standard forbids, sees
// nothing but what passed here. The functions return the user properties, see `SectionFacts`.

/** Leaves the reader before the filters. */
export const checkSubscribe = (
  reader: PacketReader,
  version: ProtocolVersion,
  limits: CodecLimits
): UserProperties | undefined => {
  reader.packetId()
  const { userProperties } = version === 5 ? checkProperties(reader, allowedProperties.subscribe, limits) : noFacts()
  if (reader.remaining === 0) throw protocolError("SUBSCRIBE without a filter")
  return userProperties
}

/** Reads and checks a filter with its options. */
export const readSubscription = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Subscription => {
  const filter = reader.string()
  const options = reader.uint8()
  if ((options & (version !== 5 ? 0xfc : 0xc0)) !== 0) throw malformed("reserved bits of a subscription are set")
  if ((options & 3) === 3) throw version !== 5 ? malformed("QoS 3") : protocolError("QoS 3")
  if ((options & 0x30) === 0x30) throw protocolError("retain handling 3")
  validateTopicFilter(filter, limits)
  const noLocal = (options & 4) !== 0
  if (noLocal && parseSharedFilter(filter) !== undefined) throw protocolError("No Local on a shared subscription")
  return {
    filter,
    qos: (options & 3) as QoS,
    noLocal,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: ((options >>> 4) & 3) as Subscription["retainHandling"]
  }
}

/** As `checkSubscribe`. */
export const checkUnsubscribe = (
  reader: PacketReader,
  version: ProtocolVersion,
  limits: CodecLimits
): UserProperties | undefined => {
  reader.packetId()
  const { userProperties } = version === 5 ? checkProperties(reader, allowedProperties.unsubscribe, limits) : noFacts()
  if (reader.remaining === 0) throw protocolError("UNSUBSCRIBE without a filter")
  return userProperties
}

/** Reads and checks a filter of UNSUBSCRIBE. */
export const readFilter = (reader: PacketReader, limits: CodecLimits): string => {
  const filter = reader.string()
  validateTopicFilter(filter, limits)
  return filter
}

/** Passes over the filters that are left, each with `optionBytes` behind it: a packet of 4 MiB holds a million. */
export const passFilters = (reader: PacketReader, optionBytes: 0 | 1): number => {
  let count = 0
  for (; reader.remaining > 0; count++) reader.skip(reader.uint16() + optionBytes)
  return count
}

/** As `passFilters`. Throws `MqttError` 0x97 for such filters in MQTT 3.1.1, whose UNSUBACK cannot tell of them. */
export const passUnsubscribed = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): number => {
  const count = passFilters(reader, 0)
  if (version === 5 || count === 0) return count
  throw new MqttError(ReasonCode.QuotaExceeded, `more than ${limits.subscriptionsPerPacketMax} filters in UNSUBSCRIBE`)
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

export const checkDisconnect = (
  reader: PacketReader,
  version: ProtocolVersion,
  limits: CodecLimits
): UserProperties | undefined => {
  let facts = noFacts()
  if (version === 5 && reader.remaining > 0) {
    const reasonCode = reader.uint8()
    if (!disconnectCodes.has(reasonCode)) {
      throw protocolError(`reason code ${reasonCode} is not one of a client's DISCONNECT`)
    }
    if (reader.remaining > 0) facts = checkProperties(reader, allowedProperties.disconnect, limits)
  }
  reader.throwUnlessAtEnd()
  return facts.userProperties
}

export const checkAuth = (reader: PacketReader, limits: CodecLimits): UserProperties | undefined => {
  const reasonCode = reader.remaining === 0 ? ReasonCode.Success : reader.uint8()
  if (reasonCode !== ReasonCode.ContinueAuthentication && reasonCode !== ReasonCode.ReAuthenticate) {
    throw protocolError(`reason code ${reasonCode} is not one of a client's AUTH`)
  }
  const facts = checkProperties(reader, allowedProperties.auth, limits)
  reader.throwUnlessAtEnd()
  if (!facts.hasAuthenticationMethod) throw protocolError("AUTH without its method")
  return facts.userProperties
}
