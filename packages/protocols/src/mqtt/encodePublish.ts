import { encodeFitting } from "./encodeFitting.ts"
import type { AckProperties, ProtocolVersion, QoS, UserProperties } from "./Packet.ts"
import { PacketType } from "./Packet.ts"
import { PacketWriter, variableBytes, writeVariable } from "./PacketWriter.ts"
import { PropertyId } from "./Properties.ts"
import { ReasonCode } from "./ReasonCodes.ts"

// PUBLISH, its acknowledgements and PINGRESP are the hot packets: they are written by hand. As in encode.ts, encoders
// return bytes of their own and throw `RangeError` for what MQTT cannot express.

const body = new PacketWriter()
const section = new PacketWriter()

const P = PropertyId

export interface DeliveryProperties {
  readonly payloadFormatIndicator?: 0 | 1
  readonly messageExpiryIntervalSeconds?: number
  /** 0 is a place for `patchTopicAlias`. */
  readonly topicAlias?: number
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  readonly userProperties?: UserProperties
  /** The identifiers of the client's subscriptions that matched and have one. */
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
  if (version !== 5) return
  if (delivery.properties === undefined) {
    body.uint8(0)
    return
  }
  const properties = delivery.properties
  section.reset()
  // The first property: `patchTopicAlias` finds it there.
  writeNumber(P.TopicAlias, 2, properties.topicAlias)
  writeNumber(P.PayloadFormatIndicator, 1, properties.payloadFormatIndicator)
  writeNumber(P.MessageExpiryInterval, 4, properties.messageExpiryIntervalSeconds)
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

/** Where the variable header of an encoded PUBLISH goes on behind its topic. */
const behindTopic = (packet: Uint8Array): number => {
  let at = 1
  while (packet[at]! >= 0x80) at++
  return at + 3 + ((packet[at + 1]! << 8) | packet[at + 2]!)
}

/** Sets the packet id of an encoded PUBLISH (or its head) of QoS 1 or 2, in place. */
export const patchPacketId = (packet: Uint8Array, packetId: number): void => {
  const at = behindTopic(packet)
  packet[at] = packetId >>> 8
  packet[at + 1] = packetId
}

/** Sets the topic alias of an encoded PUBLISH (or its head) that has one, in place. */
export const patchTopicAlias = (packet: Uint8Array, alias: number): void => {
  const hasPacketId = (packet[0]! & 0x06) !== 0
  let at = behindTopic(packet) + (hasPacketId ? 2 : 0)
  // The length of the properties, then the alias's own id.
  while (packet[at]! >= 0x80) at++
  packet[at + 2] = alias >>> 8
  packet[at + 3] = alias
}

/** Sets or clears DUP of an encoded PUBLISH of QoS 1 or 2, in place: for a delivery that is repeated [MQTT-3.3.1-1]. */
export const patchDup = (packet: Uint8Array, dup: boolean): void => {
  packet[0] = dup ? packet[0]! | 8 : packet[0]! & ~8
}

/** A receiver's own copy of a template (or head) of QoS 1 or 2. */
export const copyWithPacketId = (template: Uint8Array, packetId: number, dup = false): Uint8Array => {
  const packet = copyOf(template)
  patchPacketId(packet, packetId)
  if (dup) patchDup(packet, true)
  return packet
}

/** A receiver's own copy of a template (or head) that has a topic alias. `packetId`: 0 for QoS 0. */
export const copyWithTopicAlias = (template: Uint8Array, alias: number, packetId: number, dup = false): Uint8Array => {
  const packet = packetId === 0 ? copyOf(template) : copyWithPacketId(template, packetId, dup)
  patchTopicAlias(packet, alias)
  return packet
}

const copyOf = (template: Uint8Array): Uint8Array => {
  const packet = Buffer.allocUnsafe(template.length)
  packet.set(template)
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
  properties: AckProperties = {},
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
const writeReasonAndProperties = (version: ProtocolVersion, reasonCode: number, properties: AckProperties): void => {
  if (version !== 5) return
  section.reset()
  writeText(P.ReasonString, properties.reasonString)
  writeUserProperties(properties.userProperties)
  if (reasonCode === ReasonCode.Success && section.length === 0) return
  body.uint8(reasonCode)
  if (section.length > 0) appendSection()
}

export const encodePingresp = (): Uint8Array => Uint8Array.of(PacketType.Pingresp << 4, 0)

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
