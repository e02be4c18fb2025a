import type { IAuthPacket, IConnackPacket, IDisconnectPacket } from "mqtt-packet"
import { defined } from "./defined.ts"
import { encodeFitting } from "./encodeFitting.ts"
import { generatePacket, pairsForGenerate } from "./mqttPacket.ts"
import type { AckProperties, MqttError, ProtocolVersion, UserProperties } from "./Packet.ts"
import { fitsString } from "./PacketWriter.ts"
import { subackFailure311 } from "./ReasonCodes.ts"

// All encoders return bytes of their own. They throw `RangeError` for what MQTT cannot express (a string of more than
// 65,535 bytes or with NUL, a number out of range): the caller's defect, see `fitsString` for text of foreign origin.
//
// `packetSizeMax` is the client's Maximum Packet Size in bytes: user properties, then the reason string are left out
// of a packet that would be larger [MQTT-3.2.2-19, MQTT-3.2.2-20, MQTT-3.4.2-2, MQTT-3.4.2-3]. The caller must not
// send a packet that is larger still [MQTT-3.1.2-24].

const noProperties: AckProperties = Object.freeze({})

/** mqtt-packet writes NUL as it is, which is the end of a connection for who reads it. Throws `RangeError`. */
export const fitting = (value: string | undefined): string | undefined => {
  if (value === undefined || fitsString(value)) return value
  throw new RangeError("a string does not fit MQTT")
}

export const bufferOf = (bytes: Uint8Array | undefined): Buffer | undefined =>
  bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

export const pairs = (userProperties: UserProperties | undefined): ReturnType<typeof pairsForGenerate> | undefined => {
  if (userProperties === undefined || userProperties.length === 0) return undefined
  for (const pair of userProperties) pair.forEach(fitting)
  return pairsForGenerate(userProperties)
}

const byte = (code: number): number => {
  if (Number.isInteger(code) && code >= 0 && code <= 0xff) return code
  throw new RangeError(`${code} is no code of one byte`)
}

const ackProperties = ({ reasonString, userProperties }: AckProperties) => ({
  reasonString: fitting(reasonString),
  userProperties: pairs(userProperties)
})

export interface ConnackProperties extends AckProperties {
  readonly sessionExpiryIntervalSeconds?: number
  readonly receiveMaximum?: number
  /** Absent means 2. */
  readonly maximumQoS?: 0 | 1
  readonly retainAvailable?: boolean
  readonly maximumPacketSizeBytes?: number
  readonly assignedClientIdentifier?: string
  readonly topicAliasMaximum?: number
  readonly wildcardSubscriptionAvailable?: boolean
  readonly subscriptionIdentifierAvailable?: boolean
  readonly sharedSubscriptionAvailable?: boolean
  readonly serverKeepAliveSeconds?: number
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}

/** `code`: a `ConnackCode311` for version 4, a `ReasonCode` for 5. Version 4 has no properties. */
export const encodeConnack = (
  version: ProtocolVersion,
  sessionPresent: boolean,
  code: number,
  properties: ConnackProperties = noProperties,
  packetSizeMax = Infinity
): Uint8Array => {
  // [MQTT-3.2.2-4, MQTT-3.2.2-6]: a refusal never has a session. MQTT 3.1 has no place for it.
  const head = { cmd: "connack", sessionPresent: version !== 3 && sessionPresent && code === 0 } as const
  if (version !== 5) return generatePacket({ ...head, returnCode: byte(code) }, version)
  return encodeFitting(properties, packetSizeMax, (properties) =>
    generatePacket({ ...head, reasonCode: byte(code), properties: connackProperties(properties) }, 5)
  )
}

/** In the order in which they are written. */
const connackProperties = (properties: ConnackProperties): NonNullable<IConnackPacket["properties"]> =>
  defined<NonNullable<IConnackPacket["properties"]>>({
    sessionExpiryInterval: properties.sessionExpiryIntervalSeconds,
    receiveMaximum: properties.receiveMaximum,
    maximumQoS: properties.maximumQoS,
    retainAvailable: properties.retainAvailable,
    maximumPacketSize: properties.maximumPacketSizeBytes,
    assignedClientIdentifier: fitting(properties.assignedClientIdentifier),
    topicAliasMaximum: properties.topicAliasMaximum,
    ...ackProperties(properties),
    wildcardSubscriptionAvailable: properties.wildcardSubscriptionAvailable,
    subscriptionIdentifiersAvailable: properties.subscriptionIdentifierAvailable,
    sharedSubscriptionAvailable: properties.sharedSubscriptionAvailable,
    serverKeepAlive: properties.serverKeepAliveSeconds,
    responseInformation: fitting(properties.responseInformation),
    serverReference: fitting(properties.serverReference),
    authenticationMethod: fitting(properties.authenticationMethod),
    authenticationData: bufferOf(properties.authenticationData)
  })

/** The CONNACK that answers what `decodeConnect` threw; `undefined` if the client gets none and is just closed. */
export const encodeConnackRefusal = (error: MqttError): Uint8Array | undefined => {
  if (error.connackVersion === 5) {
    return encodeConnack(5, false, error.reasonCode, { reasonString: error.message }, error.connackSizeMax)
  }
  if (error.connackVersion === undefined || error.connackCode311 === undefined) return undefined
  return encodeConnack(error.connackVersion, false, error.connackCode311)
}

/**
 * The code by which SUBACK tells of a failure: MQTT 3.1.1 knows but one, and MQTT 3.1 none, where QoS 0 is the least
 * that can be granted.
 */
const subackCode = (version: ProtocolVersion, code: number): number => {
  if (version === 5 || code < subackFailure311) return byte(code)
  return version === 4 ? subackFailure311 : 0
}

/** `codes`: one per filter, in order, at least one. */
export const encodeSuback = (
  version: ProtocolVersion,
  packetId: number,
  codes: ReadonlyArray<number>,
  properties: AckProperties = noProperties,
  packetSizeMax = Infinity
): Uint8Array => {
  const granted = codes.map((code) => subackCode(version, code))
  return encodeFitting(properties, packetSizeMax, (properties) =>
    generatePacket(
      { cmd: "suback", messageId: packetId, granted, properties: defined(ackProperties(properties)) },
      version
    )
  )
}

/** `codes`: one per filter, in order, at least one; MQTT 3.1.1 has none. */
export const encodeUnsuback = (
  version: ProtocolVersion,
  packetId: number,
  codes: ReadonlyArray<number>,
  properties: AckProperties = noProperties,
  packetSizeMax = Infinity
): Uint8Array => {
  const granted = codes.map(byte)
  return encodeFitting(properties, packetSizeMax, (properties) =>
    generatePacket(
      { cmd: "unsuback", messageId: packetId, granted, properties: defined(ackProperties(properties)) },
      version
    )
  )
}

export interface DisconnectServerProperties extends AckProperties {
  readonly serverReference?: string
}

/** MQTT 5 only: an MQTT 3.1.1 server just closes the connection. */
export const encodeDisconnect = (
  reasonCode: number,
  properties: DisconnectServerProperties = noProperties,
  packetSizeMax = Infinity
): Uint8Array =>
  encodeFitting(properties, packetSizeMax, (properties) =>
    generatePacket(
      {
        cmd: "disconnect",
        reasonCode: byte(reasonCode),
        properties: defined<NonNullable<IDisconnectPacket["properties"]>>({
          ...ackProperties(properties),
          serverReference: fitting(properties.serverReference)
        })
      },
      5
    )
  )

export interface AuthServerProperties extends AckProperties {
  readonly authenticationMethod: string
  readonly authenticationData?: Uint8Array
}

/** MQTT 5 only. */
export const encodeAuth = (
  reasonCode: number,
  properties: AuthServerProperties,
  packetSizeMax = Infinity
): Uint8Array =>
  encodeFitting(properties, packetSizeMax, (properties) =>
    generatePacket(
      {
        cmd: "auth",
        reasonCode: byte(reasonCode),
        properties: defined<NonNullable<IAuthPacket["properties"]>>({
          authenticationMethod: fitting(properties.authenticationMethod),
          authenticationData: bufferOf(properties.authenticationData),
          ...ackProperties(properties)
        })
      },
      5
    )
  )
