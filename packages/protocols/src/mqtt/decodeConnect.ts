import type { CheckedConnect } from "./checkConnect.ts"
import { checkConnect } from "./checkConnect.ts"
import { defined } from "./defined.ts"
import type * as MqttPacket from "mqtt-packet"
import { parsePacket } from "./mqttPacket.ts"
import type { CodecLimits, Connect, ConnectProperties, UserProperties, Will, WillProperties } from "./Packet.ts"
import { defaultCodecLimits } from "./Packet.ts"

/**
 * Decodes the first packet of a connection, which says the version of all others.
 * Throws `MqttError`; from where the version is known, `connackVersion` says which CONNACK tells the client.
 */
export const decodeConnect = (packet: Uint8Array, limits: CodecLimits = defaultCodecLimits): Connect => {
  const checked = checkConnect(packet, limits)
  const parsed = parsePacket("connect", checked.body, checked.version)
  const { clean, keepalive, clientId, username, password, will } = parsed
  return {
    _tag: "Connect",
    version: checked.version,
    cleanStart: clean!,
    keepAliveSeconds: keepalive!,
    clientId,
    username,
    password: owned(password),
    will: will === undefined ? undefined : willOf(will, checked.willUserProperties),
    properties: propertiesOf(parsed, checked)
  }
}

const propertiesOf = (
  { properties }: MqttPacket.IConnectPacket,
  { userProperties }: CheckedConnect
): ConnectProperties =>
  defined<ConnectProperties>({
    sessionExpiryIntervalSeconds: properties?.sessionExpiryInterval,
    receiveMaximum: properties?.receiveMaximum,
    maximumPacketSizeBytes: properties?.maximumPacketSize,
    topicAliasMaximum: properties?.topicAliasMaximum,
    requestResponseInformation: properties?.requestResponseInformation,
    requestProblemInformation: properties?.requestProblemInformation,
    authenticationMethod: properties?.authenticationMethod,
    authenticationData: owned(properties?.authenticationData),
    userProperties
  })

const willOf = (
  { topic, payload, qos, retain, properties }: NonNullable<MqttPacket.IConnectPacket["will"]>,
  userProperties: UserProperties | undefined
): Will => ({
  topic,
  payload: new Uint8Array(payload as Buffer),
  qos: qos!,
  retain: retain!,
  properties: defined<WillProperties>({
    willDelayIntervalSeconds: properties?.willDelayInterval,
    payloadFormatIndicator: bitOf(properties?.payloadFormatIndicator),
    messageExpiryIntervalSeconds: properties?.messageExpiryInterval,
    contentType: properties?.contentType,
    responseTopic: properties?.responseTopic,
    correlationData: owned(properties?.correlationData),
    userProperties
  })
})

const bitOf = (flag: boolean | undefined): 0 | 1 | undefined => (flag === undefined ? undefined : flag ? 1 : 0)

/** Copies a value that outlives the handshake, so that it does not hold on to all of its packet's bytes. */
const owned = (view: Uint8Array | undefined): Uint8Array | undefined => view && new Uint8Array(view)
