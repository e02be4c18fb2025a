import { RecordReader, RecordsBuilder, encodeHeaders } from "@logbrook/core/Record"
import { describe, expect, it } from "vitest"
import { OutgoingMessage } from "../../../src/mqtt/Message.ts"
import { foundRecord, messageOfRecord, publisherOf, type StreamMarks } from "../../../src/mqtt/streams/recordMessage.ts"
import { extraHeaders, mqttHeaders, type Publication } from "../../../src/streams/PublishRoutes.ts"

const atMs = 1_764_496_800_123

const found = (
  key: string | Uint8Array | null,
  value: string | null,
  headers: ReadonlyArray<readonly [string, string | Uint8Array | null]>
) => {
  const records = new RecordsBuilder(1_000_000)
  const block = encodeHeaders(headers.map(([name, own]) => [Buffer.from(name), own === null ? null : Buffer.from(own)]))
  records.append(key === null ? null : Buffer.from(key), value === null ? null : Buffer.from(value), block, atMs)
  const reader = new RecordReader().reset(new Uint8Array(records.bytes))
  reader.next()
  return foundRecord("orders", 3, 17, atMs, reader)
}

const published = (publication: Partial<Publication>, retain = false) => {
  const whole: Publication = {
    topic: "devices/7/up",
    payload: Buffer.from("21.5"),
    qos: 1,
    retain,
    userProperties: undefined,
    contentType: undefined,
    responseTopic: undefined,
    correlationData: undefined,
    payloadFormat: undefined,
    expiryAtMs: undefined,
    ...publication
  }
  const records = new RecordsBuilder(1_000_000)
  const block = mqttHeaders(whole.topic, "device-7", 1, retain)
  records.append(Buffer.from("device-7"), whole.payload, block, atMs, extraHeaders(whole))
  const reader = new RecordReader().reset(new Uint8Array(records.bytes))
  reader.next()
  return foundRecord("orders", 3, 17, atMs, reader)
}

const place = [
  ["stream", "orders"],
  ["partition", "3"],
  ["offset", "17"],
  ["ts", "1764496800123000"]
]
const noMarks: StreamMarks = {}
const messageOf = (record: ReturnType<typeof found>, marks = noMarks, isFullTopic = false, hasProperties = true) =>
  messageOfRecord(record, marks, isFullTopic, hasProperties)

describe("a record that was an MQTT message", () => {
  it("is delivered as it was published, with its place behind the publisher's own properties", () => {
    const userProperties = [
      ["unit", "C"],
      ["trace", "1"],
      ["unit", "K"]
    ] as const
    const publication = {
      userProperties,
      contentType: "text/plain",
      responseTopic: "devices/7/down",
      correlationData: Buffer.from([0, 255, 1]),
      payloadFormat: 1,
      expiryAtMs: atMs + 5000
    }
    const message = messageOf(published(publication))
    expect(message).toMatchObject({
      topic: "devices/7/up",
      retain: false,
      contentType: "text/plain",
      responseTopic: "devices/7/down",
      payloadFormat: 1,
      expiryAtMs: undefined
    })
    expect(Buffer.from(message.payload).toString()).toBe("21.5")
    expect(Buffer.from(message.correlationData!)).toEqual(Buffer.from([0, 255, 1]))
    expect(message.userProperties).toEqual([...userProperties, ...place, ["key", "device-7"]])
  })

  it("keeps a publisher's properties that have the names of the server's own", () => {
    const userProperties = [
      ["mqtt.topic", "x"],
      ["mqtt.content-type", "not one"],
      ["stream", "mine"]
    ] as const
    const message = messageOf(published({ userProperties, contentType: "real" }))
    expect(message.contentType).toBe("real")
    expect(message.topic).toBe("devices/7/up")
    expect(message.userProperties!.slice(0, 3)).toEqual(userProperties)
  })

  it.each([
    ["mqtt.response-topic", "a/#"],
    ["mqtt.response-topic", ""],
    ["mqtt.payload-format", "7"]
  ])("keeps the property %s %s, which MQTT has no room for elsewhere", (name, value) => {
    const message = messageOf(published({ userProperties: [[name, value]] }))
    expect([message.responseTopic, message.payloadFormat]).toEqual([undefined, undefined])
    expect(message.userProperties![0]).toEqual([name, value])
  })

  it("has the retain flag that it was published with, and an empty payload where it deletes a key", () => {
    expect(messageOf(published({}, true)).retain).toBe(true)
    expect(messageOf(found("k", null, [])).payload).toHaveLength(0)
  })

  it("has the stream before its topic if that is wanted", () => {
    expect(messageOf(published({}), noMarks, true).topic).toBe("$stream/orders/devices/7/up")
  })

  it("has no properties for MQTT 3.1.1", () => {
    const message = messageOf(published({ contentType: "x" }), { gap: 3 }, false, false)
    expect([message.userProperties, message.contentType]).toEqual([undefined, undefined])
  })

  it("tells who published it", () => {
    expect(publisherOf(published({}))).toBe("device-7")
    expect(publisherOf(found(null, "", []))).toBeUndefined()
  })
})

describe("a record of a Kafka producer", () => {
  it("arrives on its stream, with its headers as user properties", () => {
    const record = found("k1", "v", [
      ["a", "1"],
      ["b", null],
      ["a", "2"]
    ])
    expect(messageOf(record)).toMatchObject({ topic: "$stream/orders", retain: false })
    expect(messageOf(record, noMarks, true).topic).toBe("$stream/orders")
    expect(messageOf(record).userProperties).toEqual([["a", "1"], ["b", ""], ["a", "2"], ...place, ["key", "k1"]])
  })

  it("has no key property without a key", () => {
    expect(messageOf(found(null, "v", [])).userProperties).toEqual(place)
  })

  it("tells bytes that are no text in base64", () => {
    const binary = Buffer.from([0xff, 0x00, 0x01])
    const message = messageOf(
      found(binary, "v", [
        ["id", binary],
        ["nul", Buffer.from("a\0b")]
      ])
    )
    expect(message.userProperties).toEqual([
      ["id;base64", "/wAB"],
      ["nul;base64", "YQBi"],
      ...place,
      ["key;base64", "/wAB"]
    ])
  })

  it("leaves out what is longer than MQTT's strings, and says how many there were", () => {
    const message = messageOf(
      found("k".repeat(65_536), "v", [
        ["long", "x".repeat(65_536)],
        ["short", "x".repeat(65_535)]
      ])
    )
    expect(message.userProperties!.map(([name]) => name)).toEqual([
      "short",
      "stream",
      "partition",
      "offset",
      "ts",
      "stream-left-out"
    ])
    expect(message.userProperties!.at(-1)).toEqual(["stream-left-out", "2"])
  })
})

/** As a client would get it. Throws `RangeError` for what the encoder does not take. */
const encoded = (message: Publication) => new OutgoingMessage(message).encode(5, 0, false, [], atMs)

/** The server's own headers, as a Kafka producer may write them, with others behind them. */
const forged = (topic: string | Uint8Array | null, ...rest: ReadonlyArray<readonly [string, string | Uint8Array]>) =>
  found(null, "v", [["mqtt.topic", topic], ["mqtt.clientid", "c"], ["mqtt.qos", "0"], ["mqtt.retain", "0"], ...rest])

describe("a record with what MQTT has no room for", () => {
  const invalid = Buffer.alloc(22_000, 0xff)

  it.each([
    ["a header's name of NULs", Buffer.alloc(30_000)],
    ["a header's name that is no UTF-8", invalid]
  ])("leaves out %s, which takes more bytes as text", (_, name) => {
    const records = new RecordsBuilder(1_000_000)
    records.append(null, Buffer.from("v"), encodeHeaders([[name, Buffer.from("x")]]), atMs)
    const reader = new RecordReader().reset(new Uint8Array(records.bytes))
    reader.next()
    const message = messageOf(foundRecord("orders", 3, 17, atMs, reader))
    expect(message.userProperties).toEqual([...place, ["stream-left-out", "1"]])
    expect(() => encoded(message)).not.toThrow()
  })

  it("leaves out a name that has no room for what says that its value is no text", () => {
    const name = "n".repeat(65_530)
    const message = messageOf(
      found(null, "v", [
        [name, "text"],
        [name, Buffer.from([0xff])]
      ])
    )
    expect(message.userProperties).toEqual([[name, "text"], ...place, ["stream-left-out", "1"]])
    expect(() => encoded(message)).not.toThrow()
  })

  it.each([
    ["too long", "t".repeat(65_536)],
    ["too long behind its stream's name", "t".repeat(65_535 - "$stream/orders".length)],
    ["with NUL", "a\0b"],
    ["that is no UTF-8", invalid],
    ["that is empty", ""],
    ["that is none", null],
    ["with +", "a/+"],
    ["with #", "a/#"]
  ])("is one of Kafka's if it has a topic %s", (_, topic) => {
    const record = forged(topic)
    expect([record.topic, publisherOf(record)]).toEqual([undefined, undefined])
    for (const isFullTopic of [false, true]) {
      const message = messageOf(record, noMarks, isFullTopic)
      expect(message.topic).toBe("$stream/orders")
      expect(message.userProperties!.map(([name]) => name)).toContain("mqtt.clientid")
      expect(() => encoded(message)).not.toThrow()
      expect(() => encoded(messageOf(record, noMarks, isFullTopic, false))).not.toThrow()
    }
  })

  it("may have the longest topic there can be", () => {
    const topic = "t".repeat(65_535 - "$stream/orders/".length)
    const message = messageOf(forged(topic), noMarks, true)
    expect(message.topic).toBe(`$stream/orders/${topic}`)
    expect(() => encoded(message)).not.toThrow()
  })

  it.each([
    ["mqtt.content-type", invalid, "mqtt.content-type;base64"],
    ["mqtt.content-type", Buffer.from("a\0b"), "mqtt.content-type;base64"],
    ["mqtt.content-type", Buffer.alloc(65_536, "x"), "stream-left-out"],
    ["mqtt.response-topic", invalid, "mqtt.response-topic;base64"],
    ["mqtt.response-topic", Buffer.from("a\0b"), "mqtt.response-topic;base64"],
    ["mqtt.response-topic", Buffer.alloc(65_536, "x"), "stream-left-out"],
    ["mqtt.correlation-data", Buffer.alloc(65_536, "x"), "stream-left-out"]
  ])("has no property of its %s of %#", (name, value, told) => {
    const message = messageOf(forged("a/b", [name, value]))
    expect(message.topic).toBe("a/b")
    expect([message.contentType, message.responseTopic, message.correlationData]).toEqual([
      undefined,
      undefined,
      undefined
    ])
    expect(message.userProperties!.map(([own]) => own)).toContain(told)
    expect(() => encoded(message)).not.toThrow()
  })
})

describe("the marks of a reader", () => {
  it("are the last properties", () => {
    expect(messageOf(found(null, "v", []), { gap: 12, isCaughtUp: true }).userProperties).toEqual([
      ...place,
      ["stream-gap", "12"],
      ["stream-caught-up", "1"]
    ])
  })
})
