import type { IConnectPacket } from "mqtt-packet"
import { defined } from "./defined.ts"
import { bufferOf, fitting, pairs } from "./encode.ts"
import { generatePacket } from "./mqttPacket.ts"
import type { Connect, Subscribe, Will } from "./Packet.ts"
import { PacketType } from "./Packet.ts"

// The packets of a client of MQTT 5, for tools of our own. PUBLISH and its acknowledgements are the same both ways: encodePublish.ts has
// them. As there, encoders return bytes of their own and throw `RangeError` for what MQTT cannot express.

type WillPacket = NonNullable<IConnectPacket["will"]>

const willOf = ({ topic, payload, qos, retain, properties }: Will): WillPacket => ({
  topic: fitting(topic)!,
  payload: bufferOf(payload)!,
  qos,
  retain,
  properties: defined<NonNullable<WillPacket["properties"]>>({
    willDelayInterval: properties.willDelayIntervalSeconds,
    payloadFormatIndicator:
      properties.payloadFormatIndicator === undefined ? undefined : properties.payloadFormatIndicator === 1,
    messageExpiryInterval: properties.messageExpiryIntervalSeconds,
    contentType: fitting(properties.contentType),
    responseTopic: fitting(properties.responseTopic),
    correlationData: bufferOf(properties.correlationData),
    userProperties: pairs(properties.userProperties)
  })
})

export const encodeConnect = (connect: Connect): Uint8Array => {
  const { properties, will, username, password } = connect
  return generatePacket(
    defined<IConnectPacket>({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 5,
      clean: connect.cleanStart,
      clientId: fitting(connect.clientId)!,
      keepalive: connect.keepAliveSeconds,
      username: fitting(username),
      password: bufferOf(password),
      will: will === undefined ? undefined : willOf(will),
      properties: defined<NonNullable<IConnectPacket["properties"]>>({
        sessionExpiryInterval: properties.sessionExpiryIntervalSeconds,
        receiveMaximum: properties.receiveMaximum,
        maximumPacketSize: properties.maximumPacketSizeBytes,
        topicAliasMaximum: properties.topicAliasMaximum,
        requestResponseInformation: properties.requestResponseInformation,
        requestProblemInformation: properties.requestProblemInformation,
        userProperties: pairs(properties.userProperties),
        authenticationMethod: fitting(properties.authenticationMethod),
        authenticationData: bufferOf(properties.authenticationData)
      })
    }),
    5
  )
}

export const encodeSubscribe = ({
  packetId,
  subscriptions,
  properties
}: Pick<Subscribe, "packetId" | "subscriptions" | "properties">): Uint8Array =>
  generatePacket(
    {
      cmd: "subscribe",
      messageId: packetId,
      subscriptions: subscriptions.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => ({
        topic: fitting(filter)!,
        qos,
        nl: noLocal,
        rap: retainAsPublished,
        rh: retainHandling
      })),
      properties: defined({
        subscriptionIdentifier: properties.subscriptionIdentifier,
        userProperties: pairs(properties.userProperties)
      })
    },
    5
  )

export const encodePingreq = (): Uint8Array => Uint8Array.of(PacketType.Pingreq << 4, 0)
