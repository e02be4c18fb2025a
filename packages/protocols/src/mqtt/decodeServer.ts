import { bodyStart } from "./fixedHeader.ts"
import type { Puback, Pubcomp, Publish, PublishProperties, Pubrec, Pubrel, QoS, UserProperties } from "./Packet.ts"
import { PacketType } from "./Packet.ts"
import { malformed, PacketReader, protocolError } from "./PacketReader.ts"
import { PropertyId } from "./Properties.ts"
import { ReasonCode } from "./ReasonCodes.ts"

// The packets of a server, for clients of our own that speak MQTT 5. A client bounds nothing but the size of a packet (`Splitter`): it
// has chosen its server.

/** The properties that a server may send in any packet, by the names of the other codecs. Binary values are views. */
export interface ServerProperties extends PublishProperties {
  readonly sessionExpiryIntervalSeconds?: number
  readonly assignedClientIdentifier?: string
  readonly serverKeepAliveSeconds?: number
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
  readonly responseInformation?: string
  readonly serverReference?: string
  readonly reasonString?: string
  readonly receiveMaximum?: number
  readonly topicAliasMaximum?: number
  readonly maximumQoS?: 0 | 1
  /** 0 or 1, as the next three. */
  readonly retainAvailable?: number
  readonly wildcardSubscriptionAvailable?: number
  readonly subscriptionIdentifierAvailable?: number
  readonly sharedSubscriptionAvailable?: number
  readonly maximumPacketSizeBytes?: number
  readonly userProperties?: UserProperties
  /** Of the subscriptions that matched. */
  readonly subscriptionIdentifiers?: ReadonlyArray<number>
}

export interface Connack {
  readonly _tag: "Connack"
  readonly sessionPresent: boolean
  readonly reasonCode: number
  readonly properties: ServerProperties
}

/** A PUBLISH to a client. Payload and correlation data are views into the packet. */
export interface Delivered extends Omit<Publish, "properties"> {
  readonly properties: ServerProperties
}

export interface Suback {
  readonly _tag: "Suback" | "Unsuback"
  readonly packetId: number
  /** By filter, in order. */
  readonly reasonCodes: ReadonlyArray<number>
  readonly properties: ServerProperties
}

export interface Pingresp {
  readonly _tag: "Pingresp"
}

export interface ServerDisconnect {
  readonly _tag: "Disconnect"
  readonly reasonCode: number
  readonly properties: ServerProperties
}

export type ServerPacket =
  | Connack
  | Delivered
  | Puback
  | Pubrec
  | Pubrel
  | Pubcomp
  | Suback
  | Pingresp
  | ServerDisconnect

type Read = (reader: PacketReader) => number | string | Uint8Array

const uint8: Read = (reader) => reader.uint8()
const uint16: Read = (reader) => reader.uint16()
const uint32: Read = (reader) => reader.uint32()
const text: Read = (reader) => reader.string()
const binary: Read = (reader) => reader.binary()

const P = PropertyId

/** All but the two that may be there several times. */
const single: ReadonlyMap<number, readonly [name: keyof ServerProperties, read: Read]> = new Map([
  [P.PayloadFormatIndicator, ["payloadFormatIndicator", uint8]],
  [P.MessageExpiryInterval, ["messageExpiryIntervalSeconds", uint32]],
  [P.ContentType, ["contentType", text]],
  [P.ResponseTopic, ["responseTopic", text]],
  [P.CorrelationData, ["correlationData", binary]],
  [P.SessionExpiryInterval, ["sessionExpiryIntervalSeconds", uint32]],
  [P.AssignedClientIdentifier, ["assignedClientIdentifier", text]],
  [P.ServerKeepAlive, ["serverKeepAliveSeconds", uint16]],
  [P.AuthenticationMethod, ["authenticationMethod", text]],
  [P.AuthenticationData, ["authenticationData", binary]],
  [P.ResponseInformation, ["responseInformation", text]],
  [P.ServerReference, ["serverReference", text]],
  [P.ReasonString, ["reasonString", text]],
  [P.ReceiveMaximum, ["receiveMaximum", uint16]],
  [P.TopicAliasMaximum, ["topicAliasMaximum", uint16]],
  [P.TopicAlias, ["topicAlias", uint16]],
  [P.MaximumQoS, ["maximumQoS", uint8]],
  [P.RetainAvailable, ["retainAvailable", uint8]],
  [P.MaximumPacketSize, ["maximumPacketSizeBytes", uint32]],
  [P.WildcardSubscriptionAvailable, ["wildcardSubscriptionAvailable", uint8]],
  [P.SubscriptionIdentifierAvailable, ["subscriptionIdentifierAvailable", uint8]],
  [P.SharedSubscriptionAvailable, ["sharedSubscriptionAvailable", uint8]]
])

/** A whole property section; none where the packet ends before it, as refusals of MQTT 3.1.1 do. */
const readProperties = (reader: PacketReader): ServerProperties => {
  if (reader.remaining === 0) return {}
  const length = reader.variable()
  const end = reader.skip(length) + length
  reader.at = end - length
  const values: Partial<Record<keyof ServerProperties, unknown>> = {}
  const userProperties: Array<readonly [string, string]> = []
  const subscriptionIdentifiers: Array<number> = []
  while (reader.at < end) {
    const id = reader.variable()
    const found = single.get(id)
    if (found !== undefined) values[found[0]] = found[1](reader)
    else if (id === P.UserProperty) userProperties.push([reader.string(), reader.string()])
    else if (id === P.SubscriptionIdentifier) subscriptionIdentifiers.push(reader.variable())
    else throw malformed(`property ${id} is unknown`)
    if (reader.at > end) throw malformed("a property is longer than its section")
  }
  if (userProperties.length > 0) values.userProperties = userProperties
  if (subscriptionIdentifiers.length > 0) values.subscriptionIdentifiers = subscriptionIdentifiers
  return values as ServerProperties
}

const ackTags = { 4: "Puback", 5: "Pubrec", 6: "Pubrel", 7: "Pubcomp" } as const

/** Decodes one whole packet of a server. Throws `MqttError`, also for packets that only clients send. */
export const decodeServerPacket = (packet: Uint8Array): ServerPacket => {
  if (packet.length < 2) throw malformed("the fixed header is not complete")
  const type = packet[0]! >>> 4
  const reader = new PacketReader(packet, bodyStart(packet, 5), packet.length)
  switch (type) {
    case PacketType.Connack:
      return {
        _tag: "Connack",
        sessionPresent: (reader.uint8() & 1) === 1,
        reasonCode: reader.uint8(),
        properties: readProperties(reader)
      }
    case PacketType.Publish:
      return readDelivered(reader, packet[0]!)
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      return {
        _tag: ackTags[type],
        packetId: reader.packetId(),
        reasonCode: reader.remaining === 0 ? ReasonCode.Success : reader.uint8(),
        properties: readProperties(reader)
      }
    case PacketType.Suback:
    case PacketType.Unsuback: {
      const packetId = reader.packetId()
      const properties = readProperties(reader)
      const reasonCodes = [...packet.subarray(reader.skip(reader.remaining))]
      return { _tag: type === PacketType.Suback ? "Suback" : "Unsuback", packetId, reasonCodes, properties }
    }
    case PacketType.Pingresp:
      return { _tag: "Pingresp" }
    case PacketType.Disconnect:
      return {
        _tag: "Disconnect",
        reasonCode: reader.remaining === 0 ? ReasonCode.NormalDisconnection : reader.uint8(),
        properties: readProperties(reader)
      }
    default:
      throw protocolError(`packets of type ${type} are not a server's to send here`)
  }
}

const readDelivered = (reader: PacketReader, first: number): Delivered => {
  const qos = (first >>> 1) & 3
  if (qos === 3) throw malformed("QoS 3")
  const topic = reader.string()
  const packetId = qos === 0 ? 0 : reader.packetId()
  const properties = readProperties(reader)
  const start = reader.skip(reader.remaining)
  const payload = reader.bytes.subarray(start, reader.end)
  return {
    _tag: "Publish",
    topic,
    payload,
    qos: qos as QoS,
    retain: (first & 1) !== 0,
    dup: (first & 8) !== 0,
    packetId,
    properties
  }
}
