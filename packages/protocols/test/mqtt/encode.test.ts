import * as fc from "fast-check"
import * as mqttPacket from "mqtt-packet"
import { describe, expect, it } from "vitest"
import { decodePacket } from "../../src/mqtt/decode.ts"
import * as encode from "../../src/mqtt/encode.ts"
import * as hot from "../../src/mqtt/encodePublish.ts"
import type { ProtocolVersion, UserProperties } from "../../src/mqtt/Packet.ts"
import { MqttError } from "../../src/mqtt/Packet.ts"
import { fitsString, PacketWriter } from "../../src/mqtt/PacketWriter.ts"

const versions = [4, 5] as const

const parse = (bytes: Uint8Array, version: ProtocolVersion): mqttPacket.Packet => {
  const parser = mqttPacket.parser({ protocolVersion: version })
  const seen: Array<mqttPacket.Packet> = []
  parser.on("packet", (packet) => seen.push(packet))
  parser.on("error", (error: Error) => expect.fail(error.message))
  expect(parser.parse(Buffer.from(bytes))).toBe(0)
  expect(seen.length).toBe(1)
  return seen[0] as mqttPacket.Packet
}

const receipt: UserProperties = [
  ["stream", "plant"],
  ["partition", "3"],
  ["offset", "1234567"]
]
const receiptParsed = { stream: "plant", partition: "3", offset: "1234567" }

describe("CONNACK", () => {
  it("of MQTT 3.1.1", () => {
    expect(parse(encode.encodeConnack(4, true, 0), 4)).toMatchObject({
      cmd: "connack",
      sessionPresent: true,
      returnCode: 0
    })
    expect(parse(encode.encodeConnack(4, true, 5), 4)).toMatchObject({ sessionPresent: false, returnCode: 5 })
  })

  it("of MQTT 5, with every property", () => {
    const same = {
      receiveMaximum: 1_024,
      maximumQoS: 1,
      retainAvailable: true,
      assignedClientIdentifier: "lb-1",
      topicAliasMaximum: 32,
      reasonString: "réason",
      wildcardSubscriptionAvailable: true,
      sharedSubscriptionAvailable: false,
      responseInformation: "info",
      serverReference: "other",
      authenticationMethod: "SCRAM"
    } as const
    const packet = encode.encodeConnack(5, true, 0, {
      ...same,
      sessionExpiryIntervalSeconds: 4_000_000_000,
      maximumPacketSizeBytes: 1_048_576,
      subscriptionIdentifierAvailable: true,
      serverKeepAliveSeconds: 60,
      authenticationData: Uint8Array.of(1, 2),
      userProperties: receipt
    })
    const parsed = parse(packet, 5)
    expect(parsed).toMatchObject({ cmd: "connack", sessionPresent: true, reasonCode: 0 })
    expect((parsed as mqttPacket.IConnackPacket).properties).toEqual({
      ...same,
      sessionExpiryInterval: 4_000_000_000,
      maximumPacketSize: 1_048_576,
      subscriptionIdentifiersAvailable: true,
      serverKeepAlive: 60,
      authenticationData: Buffer.of(1, 2),
      userProperties: expect.objectContaining(receiptParsed)
    })
  })

  it("that refuses", () => {
    const five = encode.encodeConnackRefusal(
      new MqttError(0x84, "no such level", { connackCode311: 1, connackVersion: 5 })
    )
    expect(parse(five ?? expect.fail("none"), 5)).toMatchObject({
      reasonCode: 0x84,
      properties: { reasonString: "no such level" }
    })
    const four = encode.encodeConnackRefusal(
      new MqttError(0x84, "no such level", { connackCode311: 1, connackVersion: 4 })
    )
    expect(four).toEqual(Buffer.of(0x20, 2, 0, 1))
    expect(encode.encodeConnackRefusal(new MqttError(0x81, "bad", { connackVersion: 4 }))).toBeUndefined()
    expect(encode.encodeConnackRefusal(new MqttError(0x82, "early"))).toBeUndefined()
  })
})

describe("PUBLISH", () => {
  const delivery = fc.record({
    topic: fc.stringMatching(/^[a-zé/]{1,200}$/),
    payload: fc.uint8Array({ maxLength: 400, size: "max" }),
    qos: fc.constantFrom(0, 1, 2),
    retain: fc.boolean()
  })

  it.each(versions)("version %i: our decoder and mqtt-packet read it; id and DUP are patched in place", (version) => {
    fc.assert(
      fc.property(delivery, fc.integer({ min: 1, max: 65_535 }), fc.boolean(), (given, packetId, dup) => {
        const message = { ...given, topic: given.topic.slice(0, 31), qos: given.qos as 0 | 1 | 2 }
        const template = hot.publishTemplate(version, message)
        const isAcked = message.qos > 0
        const sent = isAcked ? hot.copyWithPacketId(template, packetId, dup) : template
        const expected = { ...message, payload: Buffer.from(message.payload), dup: isAcked && dup }
        expect(parse(sent, version)).toMatchObject({ ...expected, ...(isAcked && { messageId: packetId }) })
        const ours = decodePacket(sent, version)
        expect(ours).toMatchObject({ ...expected, packetId: isAcked ? packetId : 0 })
        const head = hot.encodePublishHead(version, message)
        expect(Buffer.concat([head, message.payload]).equals(template)).toBe(true)
      })
    )
  })

  it.each([0, 110, 120, 16_366, 16_376, 100_000])("with a payload of %i bytes", (length) => {
    for (const version of versions) {
      const message = { topic: "topic", payload: Buffer.alloc(length, 7), qos: 1, retain: false } as const
      const packet = hot.copyWithPacketId(hot.publishTemplate(version, message), 0x1234)
      const parsed = parse(packet, version) as mqttPacket.IPublishPacket
      expect(parsed).toMatchObject({ topic: "topic", messageId: 0x1234 })
      expect(message.payload.equals(parsed.payload as Buffer)).toBe(true)
    }
  })

  it("a template stays as it is when receivers take their copies", () => {
    const template = hot.publishTemplate(4, { topic: "t", payload: Buffer.from("p"), qos: 1, retain: false })
    const before = Buffer.from(template)
    hot.copyWithPacketId(template, 0x1234, true)
    expect(before.equals(template)).toBe(true)
    hot.patchDup(template, true)
    hot.patchDup(template, false)
    expect(before.equals(template)).toBe(true)
  })

  it("a template with a topic alias is every receiver's with its own, whatever its other properties", () => {
    for (const qos of [0, 1] as const) {
      for (const content of ["", "c".repeat(20), "c".repeat(300)]) {
        const properties = { topicAlias: 0, payloadFormatIndicator: 1, contentType: content } as const
        const template = hot.publishTemplate(5, {
          topic: "",
          payload: Buffer.from("p"),
          qos,
          retain: false,
          properties
        })
        const before = Buffer.from(template)
        const packet = hot.copyWithTopicAlias(template, 0x1234, qos === 0 ? 0 : 0x5678, qos === 1)
        const parsed = parse(packet, 5) as mqttPacket.IPublishPacket
        expect(parsed).toMatchObject({ topic: "", qos, dup: qos === 1, payload: Buffer.from("p") })
        expect(parsed.properties).toEqual({ topicAlias: 0x1234, payloadFormatIndicator: true, contentType: content })
        expect(parsed.messageId).toBe(qos === 0 ? undefined : 0x5678)
        expect(before.equals(template)).toBe(true)
      }
    }
  })

  it("with every property, in MQTT 5 only", () => {
    const message = {
      topic: "t",
      payload: Buffer.from("p"),
      qos: 1,
      retain: true,
      properties: {
        payloadFormatIndicator: 1,
        messageExpiryIntervalSeconds: 70_000,
        topicAlias: 3,
        contentType: "text/plain",
        responseTopic: "r",
        correlationData: Uint8Array.of(9),
        userProperties: receipt,
        subscriptionIdentifiers: [1, 200_000]
      }
    } as const
    expect((parse(hot.publishTemplate(5, message), 5) as mqttPacket.IPublishPacket).properties).toEqual({
      payloadFormatIndicator: true,
      messageExpiryInterval: 70_000,
      topicAlias: 3,
      contentType: "text/plain",
      responseTopic: "r",
      correlationData: Buffer.of(9),
      userProperties: expect.objectContaining(receiptParsed),
      subscriptionIdentifier: [1, 200_000]
    })
    expect(parse(hot.publishTemplate(4, message), 4)).not.toHaveProperty("properties")
  })
})

const encodeAt = (sizeMax: number): Uint8Array =>
  hot.encodeAck(5, "Puback", 7, 0x97, { reasonString: "why", userProperties: receipt }, sizeMax)

describe("acknowledgements", () => {
  it("are written into the caller's buffer", () => {
    const target = Buffer.alloc(17, 0xee)
    let at = 0
    for (const write of [hot.writePuback, hot.writePubrec, hot.writePubrel, hot.writePubcomp]) {
      at = write(target, at, 0xabcd)
    }
    expect(at).toBe(16)
    expect(target.toString("hex")).toBe("4002abcd5002abcd6202abcd7002abcdee")
    const tags = (["Puback", "Pubrec", "Pubrel", "Pubcomp"] as const).map((tag) => hot.encodeAck(5, tag, 0xabcd))
    expect(Buffer.concat(tags).toString("hex")).toBe(target.subarray(0, 16).toString("hex"))
  })

  it("carry receipts, reason and reason string in MQTT 5, and nothing in 3.1.1", () => {
    const properties = { reasonString: "why", userProperties: receipt }
    for (const tag of ["Puback", "Pubrec"] as const) {
      expect(parse(hot.encodeAck(5, tag, 7, 0, { userProperties: receipt }), 5)).toMatchObject({
        cmd: tag.toLowerCase(),
        messageId: 7,
        reasonCode: 0,
        properties: { userProperties: receiptParsed }
      })
      expect(decodePacket(hot.encodeAck(5, tag, 7, 0x97, properties), 5)).toEqual({
        _tag: tag,
        packetId: 7,
        reasonCode: 0x97,
        properties
      })
      expect(hot.encodeAck(4, tag, 7, 0x97, properties).length).toBe(4)
    }
    expect(hot.encodeAck(5, "Pubrel", 7, 0x92).length).toBe(5)
  })

  it("are never larger than the client's Maximum Packet Size but for what they must have", () => {
    const text = fc.string({ maxLength: 60 }).filter(fitsString)
    const properties = fc.record(
      { reasonString: text, userProperties: fc.array(fc.tuple(text, text), { maxLength: 3 }) },
      { requiredKeys: [] }
    )
    type Given = typeof properties extends fc.Arbitrary<infer T> ? T : never
    const codes = [0, 0x97]
    const packets: ReadonlyArray<(given: Given, packetSizeMax?: number) => Uint8Array> = [
      (given, size) => encode.encodeConnack(5, false, 0, { ...given, receiveMaximum: 9 }, size),
      (given, size) => hot.encodeAck(5, "Puback", 1, 0x87, given, size),
      (given, size) => hot.encodeAck(5, "Pubrec", 1, 0, given, size),
      (given, size) => encode.encodeSuback(5, 1, codes, given, size),
      (given, size) => encode.encodeUnsuback(5, 1, codes, given, size),
      (given, size) => encode.encodeDisconnect(0x82, given, size),
      (given, size) => encode.encodeAuth(0x18, { ...given, authenticationMethod: "m" }, size)
    ]
    fc.assert(
      fc.property(fc.nat(packets.length - 1), properties, fc.integer({ min: 1, max: 120 }), (which, given, size) => {
        const encoded = packets[which]!
        const withReason = given.reasonString === undefined ? {} : { reasonString: given.reasonString }
        const smaller = [given, withReason, {}].map((each) => encoded(each))
        expect(encoded(given, size)).toEqual(smaller.find(({ length }) => length <= size) ?? smaller[2])
      })
    )
  })

  it("lose user properties, then the reason string, to fit the client's Maximum Packet Size", () => {
    const full = encodeAt(Infinity)
    expect(encodeAt(full.length).length).toBe(full.length)
    expect(decodePacket(encodeAt(full.length - 1), 5)).toMatchObject({ properties: { reasonString: "why" } })
    expect(decodePacket(encodeAt(full.length - 1), 5)).not.toHaveProperty("properties.userProperties")
    expect(encodeAt(11).length).toBe(5)
    expect(encodeAt(12).length).toBe(12)
  })
})

describe("other packets", () => {
  it("SUBACK", () => {
    expect(parse(encode.encodeSuback(4, 9, [0, 1, 2, 0x8f]), 4)).toMatchObject({
      cmd: "suback",
      messageId: 9,
      granted: [0, 1, 2, 0x80]
    })
    expect(parse(encode.encodeSuback(5, 9, [2, 0x8f], { reasonString: "no such stream" }), 5)).toMatchObject({
      messageId: 9,
      granted: [2, 0x8f],
      properties: { reasonString: "no such stream" }
    })
  })

  it("UNSUBACK", () => {
    expect(parse(encode.encodeUnsuback(4, 9, [0]), 4)).toMatchObject({ cmd: "unsuback", messageId: 9, length: 2 })
    expect(parse(encode.encodeUnsuback(5, 9, [0, 0x11]), 5)).toMatchObject({ messageId: 9, granted: [0, 0x11] })
  })

  it("PINGRESP", () => expect(parse(hot.encodePingresp(), 4)).toMatchObject({ cmd: "pingresp" }))

  it("DISCONNECT", () => {
    expect(encode.encodeDisconnect(0)).toEqual(Buffer.of(0xe0, 2, 0, 0))
    expect(encode.encodeDisconnect(0x8b)).toEqual(Buffer.of(0xe0, 2, 0x8b, 0))
    const properties = { reasonString: "moved", serverReference: "other" }
    expect(parse(encode.encodeDisconnect(0x9d, properties), 5)).toMatchObject({ reasonCode: 0x9d, properties })
  })

  it("AUTH", () => {
    const properties = { authenticationMethod: "m", authenticationData: Uint8Array.of(1) }
    expect(parse(encode.encodeAuth(0x18, properties), 5)).toMatchObject({
      cmd: "auth",
      reasonCode: 0x18,
      properties: { authenticationMethod: "m", authenticationData: Buffer.of(1) }
    })
  })
})

describe("PacketWriter", () => {
  const fields: ReadonlyArray<readonly [name: string, write: (writer: PacketWriter) => void, expected: string]> = [
    ["uint8", (writer) => writer.uint8(0xab), "ab"],
    ["uint16", (writer) => writer.uint16(0xabcd), "abcd"],
    ["uint32", (writer) => writer.uint32(0xabcdef01), "abcdef01"],
    ["variable", (writer) => writer.variable(268_435_455), "ffffff7f"],
    ["string", (writer) => writer.string("é1"), "0003c3a931"],
    ["binary", (writer) => writer.binary(Uint8Array.of(1, 2, 3)), "0003010203"]
  ]

  it.each(fields)("%s keeps every byte wherever the scratch buffer grows", (_, write, expected) => {
    for (let before = 4_085; before <= 4_097; before++) {
      const writer = new PacketWriter()
      writer.raw(Buffer.alloc(before, 0x77))
      write(writer)
      const out = Buffer.alloc(writer.length)
      writer.copyTo(out, 0)
      expect(out.subarray(before).toString("hex")).toBe(expected)
      expect(out.subarray(0, before).equals(Buffer.alloc(before, 0x77))).toBe(true)
    }
  })
})

describe("what MQTT cannot express", () => {
  it("throws RangeError, and the next packet is whole", () => {
    for (const reasonString of ["a\0b", "x".repeat(65_536)]) {
      expect(fitsString(reasonString)).toBe(false)
      expect(() => encode.encodeDisconnect(0x80, { reasonString })).toThrow(RangeError)
    }
    expect(() => encode.encodeConnack(5, false, 0, { receiveMaximum: 65_536 })).toThrow(RangeError)
    expect(() => encode.encodeConnack(4, false, 256)).toThrow(RangeError)
    expect(() => encode.encodeSuback(5, 65_536, [0])).toThrow(RangeError)
    expect(() => encode.encodeSuback(5, 1, [])).toThrow(RangeError)
    expect(() => encode.encodeDisconnect(0x80, { userProperties: [["a", "b\0"]] })).toThrow(RangeError)
    expect(fitsString("x".repeat(65_535))).toBe(true)
    expect(parse(encode.encodeDisconnect(0x80, { reasonString: "x".repeat(65_535) }), 5)).toMatchObject({
      properties: { reasonString: "x".repeat(65_535) }
    })
    expect(encode.encodeDisconnect(0x80)).toEqual(Buffer.of(0xe0, 2, 0x80, 0))
  })
})
