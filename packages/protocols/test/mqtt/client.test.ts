import { describe, expect, it } from "vitest"
import { decodePacket } from "../../src/mqtt/decode.ts"
import { decodeConnect } from "../../src/mqtt/decodeConnect.ts"
import { decodeServerPacket } from "../../src/mqtt/decodeServer.ts"
import { encodeConnack, encodeDisconnect, encodeSuback, encodeUnsuback } from "../../src/mqtt/encode.ts"
import { encodeConnect, encodePingreq, encodeSubscribe } from "../../src/mqtt/encodeClient.ts"
import { copyWithPacketId, encodeAck, encodePingresp, publishTemplate } from "../../src/mqtt/encodePublish.ts"
import { type Connect, MqttError } from "../../src/mqtt/Packet.ts"

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const pairs = [
  ["b", "1"],
  ["a", ""],
  ["b", "2"],
  ["__proto__", "x"]
] as const

describe("the packets of a client", () => {
  it("are read by the server as they were meant", () => {
    const connect: Connect = {
      _tag: "Connect",
      version: 5,
      cleanStart: false,
      keepAliveSeconds: 30,
      clientId: "cli-1",
      username: "user",
      password: bytes("secret"),
      will: {
        topic: "wills/1",
        payload: bytes("gone"),
        qos: 1,
        retain: true,
        properties: { willDelayIntervalSeconds: 3, payloadFormatIndicator: 1, userProperties: pairs }
      },
      properties: { sessionExpiryIntervalSeconds: 60, receiveMaximum: 7, userProperties: pairs }
    }
    expect(decodeConnect(encodeConnect(connect))).toEqual(connect)
    const bare: Connect = { ...connect, cleanStart: true, clientId: "", will: undefined, properties: {} }
    expect(decodeConnect(encodeConnect({ ...bare, username: undefined, password: undefined }))).toMatchObject({
      cleanStart: true,
      clientId: "",
      username: undefined,
      will: undefined,
      properties: {}
    })
    const subscription = { filter: "a/+/#", qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 } as const
    const properties = { subscriptionIdentifier: 9, userProperties: pairs }
    expect(decodePacket(encodeSubscribe({ packetId: 5, subscriptions: [subscription], properties }), 5)).toMatchObject({
      _tag: "Subscribe",
      packetId: 5,
      subscriptions: [subscription],
      properties
    })
    expect(decodePacket(encodePingreq(), 5)).toEqual({ _tag: "Pingreq" })
  })

  it("throw for what MQTT cannot express", () => {
    const subscription = {
      filter: "a\0b",
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0
    } as const
    expect(() => encodeSubscribe({ packetId: 1, subscriptions: [subscription], properties: {} })).toThrow(RangeError)
  })
})

describe("the packets of a server", () => {
  it("are read by a client as they were meant", () => {
    const connack = { receiveMaximum: 20, maximumQoS: 1, assignedClientIdentifier: "auto", reasonString: "so" } as const
    expect(decodeServerPacket(encodeConnack(5, true, 0, connack))).toEqual({
      _tag: "Connack",
      sessionPresent: true,
      reasonCode: 0,
      properties: connack
    })
    const message = {
      topic: "a/b",
      payload: bytes("21.5"),
      qos: 1,
      retain: true,
      properties: {
        payloadFormatIndicator: 1,
        messageExpiryIntervalSeconds: 60,
        contentType: "text/plain",
        responseTopic: "r",
        correlationData: bytes("c"),
        userProperties: pairs,
        subscriptionIdentifiers: [1, 300]
      }
    } as const
    const delivered = decodeServerPacket(new Uint8Array(copyWithPacketId(publishTemplate(5, message), 77, true)))
    expect(delivered).toMatchObject({ ...message, _tag: "Publish", packetId: 77, dup: true })
    expect(decodeServerPacket(publishTemplate(5, { ...message, qos: 0 }))).toMatchObject({ qos: 0, packetId: 0 })
    expect(decodeServerPacket(encodeAck(5, "Puback", 8, 0x10, { reasonString: "nobody" }))).toEqual({
      _tag: "Puback",
      packetId: 8,
      reasonCode: 0x10,
      properties: { reasonString: "nobody" }
    })
    expect(decodeServerPacket(encodeAck(5, "Pubcomp", 8))).toMatchObject({ _tag: "Pubcomp", reasonCode: 0 })
    expect(decodeServerPacket(encodeSuback(5, 3, [0, 0x8f], { reasonString: "no" }))).toEqual({
      _tag: "Suback",
      packetId: 3,
      reasonCodes: [0, 0x8f],
      properties: { reasonString: "no" }
    })
    expect(decodeServerPacket(encodeUnsuback(5, 4, [0x11]))).toMatchObject({ _tag: "Unsuback", reasonCodes: [0x11] })
    expect(decodeServerPacket(encodePingresp())).toEqual({ _tag: "Pingresp" })
    expect(decodeServerPacket(encodeDisconnect(0x8b, { serverReference: "other:1883" }))).toEqual({
      _tag: "Disconnect",
      reasonCode: 0x8b,
      properties: { serverReference: "other:1883" }
    })
  })

  it("of a server without MQTT 5 are a refusal that can be read", () => {
    expect(decodeServerPacket(encodeConnack(4, false, 1))).toMatchObject({ _tag: "Connack", reasonCode: 1 })
  })

  it("are refused where they are none", () => {
    const whole = publishTemplate(5, { topic: "a", payload: bytes("x"), qos: 0, retain: false })
    const bad: ReadonlyArray<Uint8Array> = [
      whole.subarray(0, whole.length - 1),
      Uint8Array.of(0x30),
      Uint8Array.of(0x36, 0),
      Uint8Array.of(0xc0, 0),
      encodeSubscribe({
        packetId: 1,
        subscriptions: [{ filter: "a", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
        properties: {}
      }),
      // A property that is longer than its section, and one that is unknown.
      Uint8Array.of(0xe0, 6, 0x00, 0x02, 0x1f, 0x00, 0x01, 0x61),
      Uint8Array.of(0xe0, 3, 0x00, 0x01, 0x7e)
    ]
    for (const packet of bad) expect(() => decodeServerPacket(packet)).toThrow(MqttError)
  })
})
