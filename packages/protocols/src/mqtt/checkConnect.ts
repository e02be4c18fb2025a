import { isUtf8 } from "node:buffer"
import { bodyStart } from "./fixedHeader.ts"
import type { CodecLimits, MqttErrorOptions, ProtocolVersion, UserProperties } from "./Packet.ts"
import { MqttError, PacketType } from "./Packet.ts"
import { malformed, PacketReader, protocolError } from "./PacketReader.ts"
import type { SectionFacts } from "./Properties.ts"
import { allowedProperties, checkProperties, noFacts } from "./Properties.ts"
import { ConnackCode311, ReasonCode } from "./ReasonCodes.ts"

const userNameFlag = 0x80
const passwordFlag = 0x40

/** The check's result for a CONNECT that may pass: its body, and what mqtt-packet would lose, see `SectionFacts`. */
export interface CheckedConnect {
  /** A view; bytes of its own where flags had to be corrected. */
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
    const flagsAt = reader.at - start
    const { flags, facts } = checkHead(reader, version, limits)
    packetSizeMax = facts.maximumPacketSizeBytes
    const payload = checkPayload(reader, version, flags, limits)
    const body = bodyOf(reader.since(start), flagsAt, flags, payload)
    const { willUserProperties } = payload
    return { body, version, userProperties: facts.userProperties, willUserProperties }
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
  // [MQTT-3.1.2-22 of 3.1.1], which is closed without CONNACK [MQTT-3.1.4-1 of 3.1.1]; MQTT 5 allows it.
  if (version !== 5 && (flags & 0xc0) === 0x40) throw malformed("a password without a user name")
}

interface Payload {
  readonly willUserProperties: UserProperties | undefined
  readonly hasUserName: boolean
  readonly hasPassword: boolean
}

const checkPayload = (reader: PacketReader, version: ProtocolVersion, flags: number, limits: CodecLimits): Payload => {
  checkClientId(reader, version, (flags & 0x02) !== 0, limits)
  const willUserProperties = (flags & 0x04) === 0 ? undefined : checkWill(reader, version, limits)
  // The length of an MQTT 3.1 packet takes precedence over these two flags (MQTT 3.1, 3.1).
  const isThere = (flag: number): boolean => (flags & flag) !== 0 && (version !== 3 || reader.remaining > 0)
  const hasUserName = isThere(userNameFlag)
  if (hasUserName) reader.passString()
  const hasPassword = isThere(passwordFlag)
  if (hasPassword) reader.binary()
  reader.throwUnlessAtEnd()
  return { willUserProperties, hasUserName, hasPassword }
}

/** The body with flags that tell only of what is there, as mqtt-packet needs them. */
const bodyOf = (
  body: Uint8Array,
  flagsAt: number,
  flags: number,
  { hasUserName, hasPassword }: Payload
): Uint8Array => {
  const told =
    (flags & ~(userNameFlag | passwordFlag)) | (hasUserName ? userNameFlag : 0) | (hasPassword ? passwordFlag : 0)
  if (told === flags) return body
  const corrected = new Uint8Array(body)
  corrected[flagsAt] = told
  return corrected
}

/** MQTT 3.1, 3.1: a client id has 1 to 23 characters. */
const clientIdCharactersMax31 = 23

const checkClientId = (
  reader: PacketReader,
  version: ProtocolVersion,
  cleanStart: boolean,
  limits: CodecLimits
): void => {
  const start = reader.at
  const characters = version === 3 ? Array.from(reader.string()).length : 0
  if (version !== 3) reader.passString()
  const bytes = reader.at - start - 2
  const isTooLong = bytes > limits.clientIdBytesMax || characters > clientIdCharactersMax31
  const mayBeEmpty = version === 5 || (version === 4 && cleanStart)
  if (!isTooLong && (bytes > 0 || mayBeEmpty)) return
  throw new MqttError(
    ReasonCode.ClientIdentifierNotValid,
    isTooLong ? "a client id is too long" : "a client id is empty that may not be",
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
