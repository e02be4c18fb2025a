import { isUtf8 } from "node:buffer"
import { bodyStart } from "./decode.ts"
import type { CodecLimits, Connect, MqttErrorOptions, ProtocolVersion, QoS, Will } from "./Packet.ts"
import { defaultCodecLimits, MqttError, PacketType } from "./Packet.ts"
import { malformed, PacketReader, protocolError } from "./PacketReader.ts"
import type { ClientProperties } from "./Properties.ts"
import { allowedProperties, readProperties } from "./Properties.ts"
import { ConnackCode311, ReasonCode } from "./ReasonCodes.ts"
import { decodeTopicName } from "./TopicNames.ts"

/**
 * Decodes the first packet of a connection, which says the version of all others.
 * Throws `MqttError`; from where the version is known, `connackVersion` says which CONNACK tells the client.
 */
export const decodeConnect = (packet: Uint8Array, limits: CodecLimits = defaultCodecLimits): Connect => {
  if (packet.length < 2) throw malformed("the fixed header is not complete")
  if (packet[0]! >>> 4 !== PacketType.Connect) throw protocolError("the first packet is not CONNECT")
  if (packet[0] !== PacketType.Connect << 4) throw malformed("the flags of the fixed header are not those of CONNECT")
  const reader = new PacketReader(packet, bodyStart(packet, 4), packet.length)
  const version = readVersion(reader)
  let packetSizeMax = Infinity
  try {
    // Once more, because only now is it known whether the shortest remaining length is asked for.
    bodyStart(packet, version)
    const head = readHead(reader, version, limits)
    packetSizeMax = head.properties.maximumPacketSizeBytes ?? Infinity
    return readPayload(reader, version, head, limits)
  } catch (error) {
    throw error instanceof MqttError ? withVersion(error, version, packetSizeMax) : error
  }
}

const withVersion = (error: MqttError, version: ProtocolVersion, connackSizeMax: number): MqttError => {
  const { connackCode311 } = error
  const options: MqttErrorOptions = {
    connackVersion: version,
    connackSizeMax,
    ...(connackCode311 !== undefined && { connackCode311 })
  }
  return new MqttError(error.reasonCode, error.message, options)
}

/** Only `MQTT` 4 and 5: MQTT 3.1 (`MQIsdp`) is refused, and so are the levels by which bridges mark themselves. */
const readVersion = (reader: PacketReader): ProtocolVersion => {
  const name = reader.string()
  const level = reader.uint8()
  if (name === "MQTT" && (level === 4 || level === 5)) return level
  throw new MqttError(ReasonCode.UnsupportedProtocolVersion, `protocol name or level ${level} is not supported`, {
    connackCode311: ConnackCode311.UnacceptableProtocolVersion,
    connackVersion: level > 5 && level < 0x80 ? 5 : 4
  })
}

interface Head {
  readonly flags: number
  readonly keepAliveSeconds: number
  readonly properties: ClientProperties
}

/** The variable header behind name and level. */
const readHead = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Head => {
  const flags = reader.uint8()
  throwIfFlagsInvalid(flags, version)
  const keepAliveSeconds = reader.uint16()
  const properties = version === 5 ? owned(readProperties(reader, allowedProperties.connect, limits)) : {}
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError("authentication data without a method")
  }
  return { flags, keepAliveSeconds, properties }
}

const readPayload = (
  reader: PacketReader,
  version: ProtocolVersion,
  { flags, keepAliveSeconds, properties }: Head,
  limits: CodecLimits
): Connect => {
  const cleanStart = (flags & 0x02) !== 0
  const clientId = readClientId(reader, version, cleanStart, limits)
  const will = (flags & 0x04) === 0 ? undefined : readWill(reader, version, flags, limits)
  const username = (flags & 0x80) === 0 ? undefined : reader.string()
  const password = (flags & 0x40) === 0 ? undefined : new Uint8Array(reader.binary())
  reader.throwUnlessAtEnd()
  return { _tag: "Connect", version, cleanStart, keepAliveSeconds, clientId, username, password, will, properties }
}

const throwIfFlagsInvalid = (flags: number, version: ProtocolVersion): void => {
  if ((flags & 0x01) !== 0) throw malformed("the reserved flag of CONNECT is set")
  if ((flags & 0x04) === 0 && (flags & 0x38) !== 0) throw malformed("will QoS or will retain without a will")
  if ((flags & 0x18) === 0x18) throw malformed("will QoS 3")
  if (version === 4 && (flags & 0xc0) === 0x40) {
    // [MQTT-3.1.2-22]; MQTT 5 allows it.
    throw new MqttError(ReasonCode.MalformedPacket, "a password without a user name", {
      connackCode311: ConnackCode311.BadUserNameOrPassword
    })
  }
}

const readClientId = (
  reader: PacketReader,
  version: ProtocolVersion,
  cleanStart: boolean,
  limits: CodecLimits
): string => {
  const start = reader.at
  const clientId = reader.string()
  const isTooLong = reader.at - start - 2 > limits.clientIdBytesMax
  if (!isTooLong && (clientId !== "" || version === 5 || cleanStart)) return clientId
  throw new MqttError(
    ReasonCode.ClientIdentifierNotValid,
    isTooLong
      ? `a client id is longer than ${limits.clientIdBytesMax} bytes`
      : "an empty client id without clean session",
    { connackCode311: ConnackCode311.IdentifierRejected }
  )
}

const readWill = (reader: PacketReader, version: ProtocolVersion, flags: number, limits: CodecLimits): Will => {
  const properties = version === 5 ? owned(readProperties(reader, allowedProperties.will, limits)) : {}
  const topicLength = reader.uint16()
  const topicStart = reader.skip(topicLength)
  const topic = decodeTopicName(reader.bytes, topicStart, topicStart + topicLength, limits)
  const payload = new Uint8Array(reader.binary())
  if (properties.payloadFormatIndicator === 1 && !isUtf8(payload)) {
    throw new MqttError(ReasonCode.PayloadFormatInvalid, "a payload announced as UTF-8 is not")
  }
  return { topic, payload, qos: ((flags >>> 3) & 3) as QoS, retain: (flags & 0x20) !== 0, properties }
}

const owned = (properties: ClientProperties): ClientProperties => {
  const { authenticationData, correlationData } = properties
  if (authenticationData !== undefined) properties.authenticationData = new Uint8Array(authenticationData)
  if (correlationData !== undefined) properties.correlationData = new Uint8Array(correlationData)
  return properties
}
