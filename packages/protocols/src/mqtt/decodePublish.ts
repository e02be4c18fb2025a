import { bodyStart } from "./fixedHeader.ts"
import type {
  AckProperties,
  CodecLimits,
  ProtocolVersion,
  Puback,
  Pubcomp,
  Publish,
  Pubrec,
  Pubrel,
  QoS
} from "./Packet.ts"
import { defaultCodecLimits, PacketType } from "./Packet.ts"
import { malformed, PacketReader, protocolError } from "./PacketReader.ts"
import { allowedProperties, readProperties } from "./Properties.ts"
import { ReasonCode } from "./ReasonCodes.ts"
import type { TopicCache } from "./TopicNames.ts"
import { decodeTopicName } from "./TopicNames.ts"

// PUBLISH and its acknowledgements are the hot packets: they are checked and decoded in one pass, by hand.

/** The things that decoding needs besides the bytes; all connections have the same one, so that they share the topics. */
export interface DecodeContext {
  readonly limits: CodecLimits
  /** Made with the same limits; `undefined` decodes each topic anew. */
  readonly topics: TopicCache | undefined
}

export const defaultContext: DecodeContext = { limits: defaultCodecLimits, topics: undefined }

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

/** `reader` stands behind the fixed header of an acknowledgement. Throws `MqttError`. */
export const decodeAck = (
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
