import {
  checkAuth,
  checkDisconnect,
  checkSubscribe,
  checkUnsubscribe,
  passFilters,
  passUnsubscribed,
  readFilter,
  readSubscription
} from "./check.ts"
import type { DecodeContext } from "./decodePublish.ts"
import { decodeAck, decodePublish, defaultContext } from "./decodePublish.ts"
import { defined } from "./defined.ts"
import { bodyStart, throwIfFlagsInvalid } from "./fixedHeader.ts"
import { parsePacket } from "./mqttPacket.ts"
import type {
  Auth,
  AuthProperties,
  CodecLimits,
  Disconnect,
  DisconnectProperties,
  ProtocolVersion,
  SessionPacket,
  Subscribe,
  SubscribeProperties,
  Unsubscribe
} from "./Packet.ts"
import { PacketType } from "./Packet.ts"
import { malformed, PacketReader, protocolError } from "./PacketReader.ts"
import { ReasonCode } from "./ReasonCodes.ts"

/**
 * Decodes one whole packet of a client that is connected; `decodeConnect` decodes CONNECT. Checks everything that a
 * packet shows by itself. The caller checks what depends on the session's state: unset aliases, packet ids in use,
 * Receive Maximum. Payload and correlation data of PUBLISH are views into `packet`.
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
  throwIfFlagsInvalid(packet[0]!, version)
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
      if (version !== 5) throw protocolError("AUTH is of MQTT 5 only")
      return decodeAuth(reader, context.limits)
    case PacketType.Connect:
      throw protocolError("a second CONNECT")
    default:
      throw protocolError(`packets of type ${type} are not a client's to send`)
  }
}

const decodeSubscribe = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Subscribe => {
  const start = reader.at
  const userProperties = checkSubscribe(reader, version, limits)
  const subscriptions = [readSubscription(reader, version, limits)]
  const head = reader.since(start)
  while (reader.remaining > 0 && subscriptions.length < limits.subscriptionsPerPacketMax) {
    subscriptions.push(readSubscription(reader, version, limits))
  }
  const refusedFilters = passFilters(reader, 1)
  // The check has every filter anyway, and mqtt-packet took 2 µs for each: a hundred clients with 150 held the loop for 30 ms.
  const { messageId, properties } = parsePacket("subscribe", head, version)
  return {
    _tag: "Subscribe",
    packetId: messageId!,
    subscriptions,
    refusedFilters,
    properties: defined<SubscribeProperties>({
      subscriptionIdentifier: properties?.subscriptionIdentifier,
      userProperties
    })
  }
}

const decodeUnsubscribe = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Unsubscribe => {
  const start = reader.at
  const userProperties = checkUnsubscribe(reader, version, limits)
  const filters = [readFilter(reader, limits)]
  const head = reader.since(start)
  while (reader.remaining > 0 && filters.length < limits.subscriptionsPerPacketMax)
    filters.push(readFilter(reader, limits))
  const refusedFilters = passUnsubscribed(reader, version, limits)
  const { messageId } = parsePacket("unsubscribe", head, version)
  return {
    _tag: "Unsubscribe",
    packetId: messageId!,
    filters,
    refusedFilters,
    properties: defined<Unsubscribe["properties"]>({ userProperties })
  }
}

const decodeDisconnect = (reader: PacketReader, version: ProtocolVersion, limits: CodecLimits): Disconnect => {
  const start = reader.at
  const userProperties = checkDisconnect(reader, version, limits)
  const { reasonCode, properties } = parsePacket("disconnect", reader.since(start), version)
  return {
    _tag: "Disconnect",
    reasonCode: reasonCode ?? ReasonCode.NormalDisconnection,
    properties: defined<DisconnectProperties>({
      sessionExpiryIntervalSeconds: properties?.sessionExpiryInterval,
      reasonString: properties?.reasonString,
      userProperties
    })
  }
}

const decodeAuth = (reader: PacketReader, limits: CodecLimits): Auth => {
  const start = reader.at
  const userProperties = checkAuth(reader, limits)
  const { reasonCode, properties } = parsePacket("auth", reader.since(start), 5)
  const data = properties?.authenticationData
  return {
    _tag: "Auth",
    reasonCode,
    properties: defined<AuthProperties>({
      authenticationMethod: properties!.authenticationMethod!,
      authenticationData: data && new Uint8Array(data),
      reasonString: properties?.reasonString,
      userProperties
    })
  }
}
