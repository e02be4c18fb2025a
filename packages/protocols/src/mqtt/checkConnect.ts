import { isUtf8 } from "node:buffer"
import { bodyStart } from "./fixedHeader.ts"
import type { CodecLimits, MqttErrorOptions, ProtocolVersion, UserProperties } from "./Packet.ts"
import { MqttError, PacketType } from "./Packet.ts"
import { malformed, PacketReader, protocolError } from "./PacketReader.ts"
import type { SectionFacts } from "./Properties.ts"
import { allowedProperties, checkProperties, noFacts } from "./Properties.ts"
import { ConnackCode311, ReasonCode } from "./ReasonCodes.ts"

/** The check's result for a CONNECT that may pass: its body, and what mqtt-packet would lose, see `SectionFacts`. */
export interface CheckedConnect {
  /** A view. */
  readonly body: Uint8Array
  readonly version: ProtocolVersion
  readonly userProperties: UserProperties | undefined
  readonly willUserProperties: UserProperties | undefined
}

/**
 * The strict check of the first packet of a connection, see check.ts.
 * Throws `MqttError`; from where the version is known, `connackVersion` says which CONNACK tells the client.
 */
export const checkConnect = (packet: Uint8Array, limits: CodecLimits): CheckedConnect => {
  if (packet.length < 2) throw malformed("the fixed header is not complete")
  if (packet[0]! >>> 4 !== PacketType.Connect) throw protocolError("the first packet is not CONNECT")
  if (packet[0] !== PacketType.Connect << 4) throw malformed("the flags of the fixed header are not those of CONNECT")
  const reader = new PacketReader(packet, bodyStart(packet, 4), packet.length)
  const start = reader.at
  const version = readVersion(reader)
  let packetSizeMax = Infinity
  try {
    // Once more, because only now is it known whether the shortest remaining length is asked for.
    bodyStart(packet, version)
    const { flags, facts } = checkHead(reader, version, limits)
    packetSizeMax = facts.maximumPacketSizeBytes
    const willUserProperties = checkPayload(reader, version, flags, limits)
    return { body: reader.since(start), version, userProperties: facts.userProperties, willUserProperties }
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

/** MQTT 3.1 has a name of its own. The levels by which bridges mark themselves are refused: they come again with a plain one. */
const readVersion = (reader: PacketReader): ProtocolVersion => {
  const name = reader.string()
  const level = reader.uint8()
  if (name === "MQTT" && (level === 4 || level === 5)) return level
  if (name === "MQIsdp" && level === 3) return level
  throw new MqttError(ReasonCode.UnsupportedProtocolVersion, `protocol name or level ${level} is not supported`, {
    connackCode311: ConnackCode311.UnacceptableProtocolVersion,
    connackVersion: level > 5 && level < 0x80 ? 5 : 4
  })
}

interface Head {
  readonly flags: number
  readonly facts: SectionFacts
}

/** The variable header behind name and level. */
const checkHead = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Head => {
  const flags = reader.uint8()
  throwIfFlagsInvalid(flags, version)
  // The keep alive may be any.
  reader.skip(2)
  const facts = version === 5 ? checkProperties(reader, allowedProperties.connect, limits) : noFacts()
  if (facts.hasAuthenticationData && !facts.hasAuthenticationMethod) {
    throw protocolError("authentication data without a method")
  }
  return { flags, facts }
}

const throwIfFlagsInvalid = (flags: number, version: ProtocolVersion): void => {
  if ((flags & 0x01) !== 0) throw malformed("the reserved flag of CONNECT is set")
  if ((flags & 0x04) === 0 && (flags & 0x38) !== 0) throw malformed("will QoS or will retain without a will")
  if ((flags & 0x18) === 0x18) throw malformed("will QoS 3")
  if (version !== 5 && (flags & 0xc0) === 0x40) {
    // [MQTT-3.1.2-22]; MQTT 5 allows it.
    throw new MqttError(ReasonCode.MalformedPacket, "a password without a user name", {
      connackCode311: ConnackCode311.BadUserNameOrPassword
    })
  }
}

/** Returns the will's user properties. */
const checkPayload = (
  reader: PacketReader,
  version: ProtocolVersion,
  flags: number,
  limits: CodecLimits
): UserProperties | undefined => {
  checkClientId(reader, version, (flags & 0x02) !== 0, limits)
  const userProperties = (flags & 0x04) === 0 ? undefined : checkWill(reader, version, limits)
  if ((flags & 0x80) !== 0) reader.passString()
  if ((flags & 0x40) !== 0) reader.binary()
  reader.throwUnlessAtEnd()
  return userProperties
}

/** MQTT 3.1, 3.1: a client id has 1 to 23 characters. */
const clientIdBytesMax31 = 23

const checkClientId = (
  reader: PacketReader,
  version: ProtocolVersion,
  cleanStart: boolean,
  limits: CodecLimits
): void => {
  const start = reader.at
  reader.passString()
  const bytes = reader.at - start - 2
  const bytesMax = version === 3 ? Math.min(clientIdBytesMax31, limits.clientIdBytesMax) : limits.clientIdBytesMax
  const isTooLong = bytes > bytesMax
  const mayBeEmpty = version === 5 || (version === 4 && cleanStart)
  if (!isTooLong && (bytes > 0 || mayBeEmpty)) return
  throw new MqttError(
    ReasonCode.ClientIdentifierNotValid,
    isTooLong ? `a client id is longer than ${bytesMax} bytes` : "a client id is empty that may not be",
    { connackCode311: ConnackCode311.IdentifierRejected }
  )
}

const checkWill = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): UserProperties | undefined => {
  const facts = version === 5 ? checkProperties(reader, allowedProperties.will, limits) : noFacts()
  reader.passTopicName(limits)
  const payload = reader.binary()
  if (facts.isPayloadUtf8 && !isUtf8(payload)) {
    throw new MqttError(ReasonCode.PayloadFormatInvalid, "a payload announced as UTF-8 is not")
  }
  return facts.userProperties
}
