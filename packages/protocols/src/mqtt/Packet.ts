import type { ConnackCode311, ReasonCode } from "./ReasonCodes.ts"

/**
 * The protocol level in CONNECT: 3 is MQTT 3.1, 4 MQTT 3.1.1, 5 MQTT 5. Packets of 3 are those of 4 but for CONNECT, the flags of
 * some fixed headers, and SUBACK, which cannot refuse; what is said of MQTT 3.1.1 is true of 3.1 where nothing else is said.
 */
export type ProtocolVersion = 3 | 4 | 5

export type QoS = 0 | 1 | 2

/** In the order of the packet, with repeats. An array, because names such as `__proto__` come from outside. */
export type UserProperties = ReadonlyArray<readonly [name: string, value: string]>

/** The most that a codec may spend on one packet; `defaultCodecLimits` are the limits that the server ships with. */
export interface CodecLimits {
  readonly clientIdBytesMax: number
  /** The bound holds for topic names and for topic filters. */
  readonly topicBytesMax: number
  readonly topicLevelsMax: number
  /** Per property section. */
  readonly userPropertiesMax: number
  /** Names and values together, per property section. */
  readonly userPropertyBytesMax: number
  /** Filters that are read of one SUBSCRIBE or UNSUBSCRIBE; those behind them are counted. */
  readonly subscriptionsPerPacketMax: number
}

export const defaultCodecLimits: CodecLimits = {
  clientIdBytesMax: 256,
  topicBytesMax: 1_024,
  topicLevelsMax: 32,
  userPropertiesMax: 64,
  userPropertyBytesMax: 8_192,
  subscriptionsPerPacketMax: 10_000
}

export interface MqttErrorOptions {
  readonly connackCode311?: ConnackCode311
  readonly connackVersion?: ProtocolVersion
  readonly connackSizeMax?: number
}

/** The only error that this codec throws on input from outside. The connection is of no more use afterwards. */
export class MqttError extends Error {
  readonly _tag = "MqttError"
  override readonly name = "MqttError"
  /** For CONNACK or DISCONNECT of MQTT 5. */
  readonly reasonCode: ReasonCode
  /** For CONNACK of MQTT 3.1.1; `undefined` where 3.1.1 has no code for it and just closes. */
  readonly connackCode311: ConnackCode311 | undefined
  /** Which CONNACK the client can read; `undefined` if the error is not one of CONNECT, or comes too early to tell. */
  readonly connackVersion: ProtocolVersion | undefined
  /** The client's Maximum Packet Size, as far as it was read. */
  readonly connackSizeMax: number

  constructor(reasonCode: ReasonCode, message: string, options: MqttErrorOptions = {}) {
    super(message)
    this.reasonCode = reasonCode
    this.connackCode311 = options.connackCode311
    this.connackVersion = options.connackVersion
    this.connackSizeMax = options.connackSizeMax ?? Infinity
  }
}

export interface WillProperties {
  readonly willDelayIntervalSeconds?: number
  readonly payloadFormatIndicator?: 0 | 1
  readonly messageExpiryIntervalSeconds?: number
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  readonly userProperties?: UserProperties
}

export interface Will {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: WillProperties
}

export interface ConnectProperties {
  readonly sessionExpiryIntervalSeconds?: number
  readonly receiveMaximum?: number
  readonly maximumPacketSizeBytes?: number
  readonly topicAliasMaximum?: number
  readonly requestResponseInformation?: boolean
  readonly requestProblemInformation?: boolean
  readonly userProperties?: UserProperties
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}

/** Owns its bytes: authentication outlives the read buffer. */
export interface Connect {
  readonly _tag: "Connect"
  readonly version: ProtocolVersion
  /** Clean Session in MQTT 3.1.1. */
  readonly cleanStart: boolean
  readonly keepAliveSeconds: number
  /** Empty if the server is to assign one. */
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  readonly will: Will | undefined
  readonly properties: ConnectProperties
}

export interface PublishProperties {
  readonly payloadFormatIndicator?: 0 | 1
  readonly messageExpiryIntervalSeconds?: number
  readonly topicAlias?: number
  readonly contentType?: string
  readonly responseTopic?: string
  /** A view into the packet, like the payload. */
  readonly correlationData?: Uint8Array
  readonly userProperties?: UserProperties
}

export interface Publish {
  readonly _tag: "Publish"
  /** Empty only if `properties.topicAlias` is set. */
  readonly topic: string
  /** A view into the packet: valid as long as the packet is. */
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** 0 with QoS 0. */
  readonly packetId: number
  /** `undefined` in MQTT 3.1.1 and if there are none. */
  readonly properties: PublishProperties | undefined
}

export interface AckProperties {
  readonly reasonString?: string
  readonly userProperties?: UserProperties
}

interface Ack<Tag extends string> {
  readonly _tag: Tag
  readonly packetId: number
  /** `Success` in MQTT 3.1.1. */
  readonly reasonCode: number
  readonly properties: AckProperties
}

export type Puback = Ack<"Puback">
export type Pubrec = Ack<"Pubrec">
export type Pubrel = Ack<"Pubrel">
export type Pubcomp = Ack<"Pubcomp">

export interface Subscription {
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: send retained messages, 1: only if the subscription is new, 2: never. */
  readonly retainHandling: 0 | 1 | 2
}

export interface SubscribeProperties {
  readonly subscriptionIdentifier?: number
  readonly userProperties?: UserProperties
}

export interface Subscribe {
  readonly _tag: "Subscribe"
  readonly packetId: number
  /** Never empty. */
  readonly subscriptions: ReadonlyArray<Subscription>
  /** Filters behind these, over `subscriptionsPerPacketMax`: only their lengths were read. */
  readonly refusedFilters: number
  readonly properties: SubscribeProperties
}

export interface Unsubscribe {
  readonly _tag: "Unsubscribe"
  readonly packetId: number
  /** Never empty. */
  readonly filters: ReadonlyArray<string>
  /** As in `Subscribe`; always 0 in MQTT 3.1.1, whose UNSUBACK cannot tell. */
  readonly refusedFilters: number
  readonly properties: { readonly userProperties?: UserProperties }
}

export interface Pingreq {
  readonly _tag: "Pingreq"
}

export interface DisconnectProperties {
  readonly sessionExpiryIntervalSeconds?: number
  readonly reasonString?: string
  readonly userProperties?: UserProperties
}

export interface Disconnect {
  readonly _tag: "Disconnect"
  /** `NormalDisconnection` in MQTT 3.1.1. */
  readonly reasonCode: number
  readonly properties: DisconnectProperties
}

export interface AuthProperties {
  readonly authenticationMethod: string
  readonly authenticationData?: Uint8Array
  readonly reasonString?: string
  readonly userProperties?: UserProperties
}

/** Owns its bytes. */
export interface Auth {
  readonly _tag: "Auth"
  /** `ContinueAuthentication` or `ReAuthenticate`. */
  readonly reasonCode: number
  readonly properties: AuthProperties
}

/** The packets that a client may send after its CONNECT. */
export type SessionPacket =
  | Publish
  | Puback
  | Pubrec
  | Pubrel
  | Pubcomp
  | Subscribe
  | Unsubscribe
  | Pingreq
  | Disconnect
  | Auth

export type Packet = Connect | SessionPacket

/** The high four bits of a packet's first byte. */
export const PacketType = {
  Connect: 1,
  Connack: 2,
  Publish: 3,
  Puback: 4,
  Pubrec: 5,
  Pubrel: 6,
  Pubcomp: 7,
  Subscribe: 8,
  Suback: 9,
  Unsubscribe: 10,
  Unsuback: 11,
  Pingreq: 12,
  Pingresp: 13,
  Disconnect: 14,
  Auth: 15
} as const
