import type { AckProperties, MqttError, ProtocolVersion, QoS, UserProperties } from "./Packet.ts"
import { PacketType } from "./Packet.ts"
import { PacketWriter, variableBytes, writeVariable } from "./PacketWriter.ts"
import { PropertyId } from "./Properties.ts"
import { ReasonCode, subackFailure311 } from "./ReasonCodes.ts"

// All encoders return bytes of their own. They throw `RangeError` for what MQTT cannot express (a string of more than
// 65,535 bytes or with NUL, a number out of range): the caller's defect, see `fitsString` for text of foreign origin.
//
// `packetSizeMax` is the client's Maximum Packet Size in bytes: user properties, then the reason string are left out
// of a packet that would be larger [MQTT-3.2.2-19, MQTT-3.2.2-20, MQTT-3.4.2-2, MQTT-3.4.2-3]. What is larger still, the
// caller must not send [MQTT-3.1.2-24].

const body = new PacketWriter()
const section = new PacketWriter()

const P = PropertyId

const finish = (first: number): Uint8Array => {
  const header = 1 + variableBytes(body.length)
  const packet = Buffer.allocUnsafe(header + body.length)
  packet[0] = first
  writeVariable(packet, 1, body.length)
  body.copyTo(packet, header)
  return packet
}

const writeText = (id: number, text: string | undefined): void => {
  if (text === undefined) return
  section.uint8(id)
  section.string(text)
}

const writeBytes = (id: number, bytes: Uint8Array | undefined): void => {
  if (bytes === undefined) return
  section.uint8(id)
  section.binary(bytes)
}

const writeNumber = (id: number, bytes: 1 | 2 | 4, value: number | boolean | undefined): void => {
  if (value === undefined) return
  section.uint8(id)
  if (bytes === 1) section.uint8(Number(value))
  else if (bytes === 2) section.uint16(Number(value))
  else section.uint32(Number(value))
}

const writeUserProperties = (userProperties: UserProperties | undefined): void => {
  if (userProperties === undefined) return
  for (const [name, value] of userProperties) {
    section.uint8(P.UserProperty)
    section.string(name)
    section.string(value)
  }
}

const appendSection = (): void => {
  body.variable(section.length)
  body.append(section)
}

/** Encodes with `properties`, and while that is larger than `packetSizeMax`, without what may be left out. */
const encodeFitting = <Properties extends AckProperties>(
  properties: Properties,
  packetSizeMax: number,
  encode: (properties: Properties) => Uint8Array
): Uint8Array => {
  const packet = encode(properties)
  if (packet.length <= packetSizeMax) return packet
  const smaller = encode({ ...properties, userProperties: undefined } as Properties)
  if (smaller.length <= packetSizeMax) return smaller
  return encode({ ...properties, userProperties: undefined, reasonString: undefined } as Properties)
}

const noProperties: AckProperties = Object.freeze({})

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
  const first = PacketType.Connack << 4
  // [MQTT-3.2.2-4, MQTT-3.2.2-6]: a refusal never has a session.
  const flags = sessionPresent && code === 0 ? 1 : 0
  if (version === 4) return Uint8Array.of(first, 2, flags, code)
  return encodeFitting(properties, packetSizeMax, (properties) => {
    body.reset()
    body.uint8(flags)
    body.uint8(code)
    writeConnackProperties(properties)
    return finish(first)
  })
}

const writeConnackProperties = (properties: ConnackProperties): void => {
  section.reset()
  writeNumber(P.SessionExpiryInterval, 4, properties.sessionExpiryIntervalSeconds)
  writeNumber(P.ReceiveMaximum, 2, properties.receiveMaximum)
  writeNumber(P.MaximumQoS, 1, properties.maximumQoS)
  writeNumber(P.RetainAvailable, 1, properties.retainAvailable)
  writeNumber(P.MaximumPacketSize, 4, properties.maximumPacketSizeBytes)
  writeText(P.AssignedClientIdentifier, properties.assignedClientIdentifier)
  writeNumber(P.TopicAliasMaximum, 2, properties.topicAliasMaximum)
  writeText(P.ReasonString, properties.reasonString)
  writeUserProperties(properties.userProperties)
  writeNumber(P.WildcardSubscriptionAvailable, 1, properties.wildcardSubscriptionAvailable)
  writeNumber(P.SubscriptionIdentifierAvailable, 1, properties.subscriptionIdentifierAvailable)
  writeNumber(P.SharedSubscriptionAvailable, 1, properties.sharedSubscriptionAvailable)
  writeNumber(P.ServerKeepAlive, 2, properties.serverKeepAliveSeconds)
  writeText(P.ResponseInformation, properties.responseInformation)
  writeText(P.ServerReference, properties.serverReference)
  writeText(P.AuthenticationMethod, properties.authenticationMethod)
  writeBytes(P.AuthenticationData, properties.authenticationData)
  appendSection()
}

/** The CONNACK that answers what `decodeConnect` threw; `undefined` if the client gets none and is just closed. */
export const encodeConnackRefusal = (error: MqttError): Uint8Array | undefined => {
  if (error.connackVersion === 5) {
    return encodeConnack(5, false, error.reasonCode, { reasonString: error.message }, error.connackSizeMax)
  }
  if (error.connackVersion === undefined || error.connackCode311 === undefined) return undefined
  return encodeConnack(4, false, error.connackCode311)
}

export interface DeliveryProperties {
  readonly payloadFormatIndicator?: 0 | 1
  readonly messageExpiryIntervalSeconds?: number
  readonly topicAlias?: number
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  readonly userProperties?: UserProperties
  /** One for each of the client's subscriptions that matched and has one. */
  readonly subscriptionIdentifiers?: ReadonlyArray<number>
}

export interface Delivery {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  /** Left out of MQTT 3.1.1. */
  readonly properties?: DeliveryProperties
}

/**
 * PUBLISH up to its payload, with packet id 0 and without DUP; the payload follows as it is, shared by all receivers.
 * For QoS 1 and 2 the id is then set by `patchPacketId`.
 */
export const encodePublishHead = (version: ProtocolVersion, delivery: Delivery): Uint8Array => {
  const payloadBytes = delivery.payload.length
  writePublishBody(version, delivery)
  const header = 1 + variableBytes(body.length + payloadBytes)
  const head = Buffer.allocUnsafe(header + body.length)
  startPublish(head, header, delivery)
  return head
}

/**
 * A whole PUBLISH as one buffer, with packet id 0 and without DUP: one for all receivers of a version and QoS.
 * QoS 0 is sent as it is, by everyone; for QoS 1 and 2 each receiver has its own by `copyWithPacketId`.
 */
export const publishTemplate = (version: ProtocolVersion, delivery: Delivery): Uint8Array => {
  const payloadBytes = delivery.payload.length
  writePublishBody(version, delivery)
  const header = 1 + variableBytes(body.length + payloadBytes)
  const packet = Buffer.allocUnsafe(header + body.length + payloadBytes)
  startPublish(packet, header, delivery)
  packet.set(delivery.payload, header + body.length)
  return packet
}

const startPublish = (target: Uint8Array, header: number, delivery: Delivery): void => {
  target[0] = (PacketType.Publish << 4) | (delivery.qos << 1) | (delivery.retain ? 1 : 0)
  writeVariable(target, 1, body.length + delivery.payload.length)
  body.copyTo(target, header)
}

const writePublishBody = (version: ProtocolVersion, delivery: Delivery): void => {
  body.reset()
  body.string(delivery.topic)
  if (delivery.qos > 0) body.uint16(0)
  if (version === 4) return
  if (delivery.properties === undefined) {
    body.uint8(0)
    return
  }
  const properties = delivery.properties
  section.reset()
  writeNumber(P.PayloadFormatIndicator, 1, properties.payloadFormatIndicator)
  writeNumber(P.MessageExpiryInterval, 4, properties.messageExpiryIntervalSeconds)
  writeNumber(P.TopicAlias, 2, properties.topicAlias)
  writeText(P.ContentType, properties.contentType)
  writeText(P.ResponseTopic, properties.responseTopic)
  writeBytes(P.CorrelationData, properties.correlationData)
  writeUserProperties(properties.userProperties)
  for (const identifier of properties.subscriptionIdentifiers ?? []) {
    section.uint8(P.SubscriptionIdentifier)
    section.variable(identifier)
  }
  appendSection()
}

/** Sets the packet id of an encoded PUBLISH (or its head) of QoS 1 or 2, in place. */
export const patchPacketId = (packet: Uint8Array, packetId: number): void => {
  let at = 1
  while (packet[at]! >= 0x80) at++
  at += 3 + ((packet[at + 1]! << 8) | packet[at + 2]!)
  packet[at] = packetId >>> 8
  packet[at + 1] = packetId
}

/** Sets or clears DUP of an encoded PUBLISH of QoS 1 or 2, in place: for a delivery that is repeated [MQTT-3.3.1-1]. */
export const patchDup = (packet: Uint8Array, dup: boolean): void => {
  packet[0] = dup ? packet[0]! | 8 : packet[0]! & ~8
}

/** A receiver's own copy of a template (or head) of QoS 1 or 2. */
export const copyWithPacketId = (template: Uint8Array, packetId: number, dup = false): Uint8Array => {
  const packet = Buffer.allocUnsafe(template.length)
  packet.set(template)
  patchPacketId(packet, packetId)
  if (dup) patchDup(packet, true)
  return packet
}

/** Writes 4 bytes at `at`, reason Success. Returns the position after them. */
export const writePuback = (target: Uint8Array, at: number, packetId: number): number =>
  writeAck(target, at, PacketType.Puback << 4, packetId)

/** As `writePuback`. */
export const writePubrec = (target: Uint8Array, at: number, packetId: number): number =>
  writeAck(target, at, PacketType.Pubrec << 4, packetId)

/** As `writePuback`. */
export const writePubrel = (target: Uint8Array, at: number, packetId: number): number =>
  writeAck(target, at, (PacketType.Pubrel << 4) | 2, packetId)

/** As `writePuback`. */
export const writePubcomp = (target: Uint8Array, at: number, packetId: number): number =>
  writeAck(target, at, PacketType.Pubcomp << 4, packetId)

const writeAck = (target: Uint8Array, at: number, first: number, packetId: number): number => {
  target[at] = first
  target[at + 1] = 2
  target[at + 2] = packetId >>> 8
  target[at + 3] = packetId
  return at + 4
}

const ackFirstBytes = { Puback: 0x40, Pubrec: 0x50, Pubrel: 0x62, Pubcomp: 0x70 } as const

/** Any of the four acknowledgements. MQTT 3.1.1 knows neither reason nor properties: there they are left out. */
export const encodeAck = (
  version: ProtocolVersion,
  tag: keyof typeof ackFirstBytes,
  packetId: number,
  reasonCode: number = ReasonCode.Success,
  properties: AckProperties = noProperties,
  packetSizeMax = Infinity
): Uint8Array => {
  const first = ackFirstBytes[tag]
  return encodeFitting(properties, packetSizeMax, (properties) => {
    body.reset()
    body.uint16(packetId)
    writeReasonAndProperties(version, reasonCode, properties)
    return finish(first)
  })
}

/** Both may be left out at the end of a packet: the properties if there are none, the reason if it is also 0. */
const writeReasonAndProperties = (
  version: ProtocolVersion,
  reasonCode: number,
  properties: DisconnectServerProperties
): void => {
  if (version === 4) return
  section.reset()
  writeText(P.ReasonString, properties.reasonString)
  writeUserProperties(properties.userProperties)
  writeText(P.ServerReference, properties.serverReference)
  if (reasonCode === ReasonCode.Success && section.length === 0) return
  body.uint8(reasonCode)
  if (section.length > 0) appendSection()
}

/** `codes`: one per filter, in order. MQTT 3.1.1 knows but one failure, 0x80: it stands for all of them there. */
export const encodeSuback = (
  version: ProtocolVersion,
  packetId: number,
  codes: ReadonlyArray<number>,
  properties: AckProperties = noProperties,
  packetSizeMax = Infinity
): Uint8Array =>
  encodeFitting(properties, packetSizeMax, (properties) => {
    startSubscriptionAck(version, packetId, properties)
    body.raw(Uint8Array.from(codes, (code) => (version === 4 ? Math.min(code, subackFailure311) : code)))
    return finish(PacketType.Suback << 4)
  })

/** `codes`: one per filter, in order; MQTT 3.1.1 has none. */
export const encodeUnsuback = (
  version: ProtocolVersion,
  packetId: number,
  codes: ReadonlyArray<number>,
  properties: AckProperties = noProperties,
  packetSizeMax = Infinity
): Uint8Array =>
  encodeFitting(properties, packetSizeMax, (properties) => {
    startSubscriptionAck(version, packetId, properties)
    if (version === 5) body.raw(Uint8Array.from(codes))
    return finish(PacketType.Unsuback << 4)
  })

const startSubscriptionAck = (version: ProtocolVersion, packetId: number, properties: AckProperties): void => {
  body.reset()
  body.uint16(packetId)
  if (version === 4) return
  section.reset()
  writeText(P.ReasonString, properties.reasonString)
  writeUserProperties(properties.userProperties)
  appendSection()
}

export const encodePingresp = (): Uint8Array => Uint8Array.of(PacketType.Pingresp << 4, 0)

export interface DisconnectServerProperties extends AckProperties {
  readonly serverReference?: string
}

/** MQTT 5 only: an MQTT 3.1.1 server just closes the connection. */
export const encodeDisconnect = (
  reasonCode: number,
  properties: DisconnectServerProperties = noProperties,
  packetSizeMax = Infinity
): Uint8Array =>
  encodeFitting(properties, packetSizeMax, (properties) => {
    body.reset()
    writeReasonAndProperties(5, reasonCode, properties)
    return finish(PacketType.Disconnect << 4)
  })

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
  encodeFitting(properties, packetSizeMax, (properties) => {
    body.reset()
    body.uint8(reasonCode)
    section.reset()
    writeText(P.AuthenticationMethod, properties.authenticationMethod)
    writeBytes(P.AuthenticationData, properties.authenticationData)
    writeText(P.ReasonString, properties.reasonString)
    writeUserProperties(properties.userProperties)
    appendSection()
    return finish(PacketType.Auth << 4)
  })
