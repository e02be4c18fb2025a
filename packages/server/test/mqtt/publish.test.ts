import type { SessionState } from "@logbrook/actors/session/sessionState"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import {
  connackOf,
  connected,
  connectPacket,
  type Kit,
  type KitOptions,
  packet,
  type RawPublish,
  publishPacket,
  startKit,
  subscribePacket
} from "./kit.ts"
import { newestState } from "../../../core/test/support/newestState.ts"

let kit: Kit

/** Of a CONNECT: a will "x" that is to be retained. `topic` is one character. */
const retainedWill = (topic: string) => ({ flags: 2 | 4 | 32, rest: [0, 0, 1, ...Buffer.from(topic), 0, 1, 0x78] })

const start = async (options: KitOptions): Promise<void> => {
  await kit.stop()
  kit = await startKit(options)
}

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

const userProperty = (name: string, value: string): ReadonlyArray<number> => [
  38,
  0,
  name.length,
  ...Buffer.from(name),
  0,
  value.length,
  ...Buffer.from(value)
]

const utf8AndExpiry = [1, 1, 2, 0, 0, 0, 60]
const contentType = [3, 0, 4, ...Buffer.from("text")]
const responseTopic = [8, 0, 2, ...Buffer.from("re")]
const correlationData = [9, 0, 2, 7, 8]

const rendered = (): string => kit.broker.metrics.render()
const receivedBytes = () => Number(/logbrook_mqtt_received_bytes_total (\d+)/.exec(rendered())![1])
const dropped = (reason: string): string => `logbrook_mqtt_messages_dropped_total{reason="${reason}"}`

describe("acknowledgements", () => {
  it("come in the order of the messages, bound or not, and say 0x10 when nobody has the message", async () => {
    await kit.bind("bound", ["bound"])
    const client = await connected(kit.port)
    const topics = ["bound", "free", "bound", "bound", "free"]
    client.send(...topics.map((topic, i) => publishPacket(topic, "x", { qos: 1, packetId: i + 1 })))
    for (const [i, topic] of topics.entries()) {
      const ack = await client.packet()
      expect([...ack]).toEqual(topic === "bound" ? [0x40, 2, 0, i + 1] : [0x40, 3, 0, i + 1, 0x10])
    }
    client.socket.destroy()
  })

  it("of messages that go nowhere are counted, with their topics", async () => {
    await kit.bind("bound", ["bound"])
    const subscriber = await connected(kit.port, { clientId: "subscriber" })
    subscriber.send(
      subscribePacket(1, [
        ["heard", 0],
        ["own", 0x04]
      ])
    )
    await subscriber.packet()
    const client = await connected(kit.port)
    const send = (topic: string, qos: 0 | 1 | 2, rest: RawPublish = {}) =>
      client.send(publishPacket(topic, "x", { qos, packetId: 1, ...rest }))
    for (const topic of ["bound", "heard", "free", "free"]) send(topic, 0)
    for (const topic of ["bound", "heard", "free"]) {
      send(topic, 1)
      await client.packet()
    }
    send("free/2", 2)
    await client.packet()
    send("kept", 1, { retain: true })
    await client.packet()
    // No Local: nobody else is subscribed.
    subscriber.send(publishPacket("own", "x"))
    await expect.poll(() => rendered()).toContain(`${dropped("no_match")} 5`)
    expect(kit.mqtt.unmatched.top(9)).toEqual([
      { topic: "free", count: 3 },
      { topic: "free/2", count: 1 },
      { topic: "own", count: 1 }
    ])
    subscriber.socket.destroy()
    client.socket.destroy()
  })

  it("are plain for MQTT 3.1.1", async () => {
    const client = await connected(kit.port, { version: 4 })
    client.send(publishPacket("free", "x", { version: 4, qos: 1, packetId: 300 }))
    expect([...(await client.packet())]).toEqual([0x40, 2, 1, 44])
    client.socket.destroy()
  })

  it("come after the commit: the record is there", async () => {
    await kit.bind("bound", ["bound"])
    const client = await connected(kit.port)
    client.send(publishPacket("bound", "x", { qos: 1 }))
    await client.packet()
    expect(kit.records("bound").map(({ value }) => value)).toEqual(["x"])
    client.socket.destroy()
  })

  it("carry stream, partition and offset for who asks for receipts", async () => {
    await kit.bind("bound", ["bound"])
    await kit.bind("other", ["+/none", "bound"])
    await kit.bind("third", ["+"])
    const client = await connected(kit.port, { properties: userProperty("receipts", "1") })
    client.send(publishPacket("bound", "x", { qos: 1 }))
    const receipt = (await client.packet()).toString("latin1")
    for (const stream of ["bound", "other", "third"]) expect(receipt).toContain(`stream\0\x05${stream}`)
    for (const qos of [1, 2] as const) {
      client.send(publishPacket("x", "x", { qos, packetId: 9 }))
      const ack = await client.packet()
      const text = ack.toString("latin1")
      expect(ack[0]).toBe(qos === 1 ? 0x40 : 0x50)
      expect(text).toContain("stream\0\x05third")
      expect(text).toContain("partition\0\x010")
      expect(text).toContain(`offset\0\x01${qos}`)
    }
    client.socket.destroy()
  })

  it("say why a message is refused: streams are not written by MQTT under their own topics", async () => {
    const client = await connected(kit.port)
    client.send(publishPacket("$stream/a", "x", { qos: 1, packetId: 3 }))
    expect([...(await client.packet()).subarray(0, 5)].slice(2)).toEqual([0, 3, 0x87])
    client.send(publishPacket("$share/a/b", "x", { qos: 2, packetId: 4 }))
    expect([...(await client.packet()).subarray(0, 5)].slice(2)).toEqual([0, 4, 0x87])
    client.send(publishPacket("$stream/a", "x"), [0xc0, 0])
    expect([...(await client.packet())]).toEqual([0xd0, 0])
    expect(rendered()).toContain(`${dropped("not_authorized")} 3`)
    const old = await connected(kit.port, { version: 4, clientId: "old" })
    old.send(publishPacket("$stream/a", "x", { version: 4, qos: 1 }))
    expect(await old.rest()).toHaveLength(0)
    client.socket.destroy()
  })

  it("refuse what the disk has no room for, and take what needs none", async () => {
    await kit.bind("bound", ["bound"])
    const client = await connected(kit.port)
    const old = await connected(kit.port, { version: 4, clientId: "old" })
    kit.disk.isLow = true
    const events = kit.events.length
    client.send(publishPacket("bound", "x", { qos: 1, packetId: 1 }))
    expect([...(await client.packet())].slice(2, 5)).toEqual([0, 1, 0x97])
    client.send(publishPacket("free", "x", { qos: 2, packetId: 2 }))
    expect([...(await client.packet())].slice(2, 5)).toEqual([0, 2, 0x97])
    client.send(publishPacket("free", "x", { qos: 0, retain: true }))
    client.send(publishPacket("bound", "x", { qos: 0 }))
    client.send(publishPacket("free", "x", { qos: 1, packetId: 3 }))
    expect([...(await client.packet())]).toEqual([0x40, 3, 0, 3, 0x10])
    expect(rendered()).toContain(`${dropped("disk_low")} 4`)
    await kit.seq()
    expect(kit.events.length).toBe(events)
    old.send(publishPacket("bound", "x", { version: 4, qos: 1 }))
    expect(await old.rest()).toHaveLength(0)
    kit.disk.isLow = false
    client.send(publishPacket("free", "x", { qos: 2, packetId: 2 }))
    expect([...(await client.packet())]).toEqual([0x50, 3, 0, 2, 0x10])
    client.socket.destroy()
  })

  it("leave out reason strings for who does not want them", async () => {
    const client = await connected(kit.port, { properties: [23, 0] })
    client.send(publishPacket("$stream/a", "x", { qos: 1, packetId: 3 }))
    expect([...(await client.packet())]).toEqual([0x40, 3, 0, 3, 0x87])
    client.socket.destroy()
  })
})

it("says in CONNACK what the server can, and what was changed", async () => {
  const client = await connected(kit.port, { clientId: "", properties: [17, 255, 255, 255, 255] })
  const text = client.accepted.toString("latin1")
  expect(text).toContain("\x21\x04\x00")
  expect(text).toContain("\x22\x00\x20")
  expect(text).toContain("\x27\x00\x40\x00\x00")
  expect(text).toContain(`\x11${Buffer.from([0, 9, 0x3a, 0x80]).toString("latin1")}`)
  expect(text).toMatch(/logbrook-[0-9a-f-]{36}/)
  client.socket.destroy()
})

it("handles what comes with CONNECT in one segment", async () => {
  const { RawClient } = await import("./kit.ts")
  const client = new RawClient(kit.port)
  client.send(connectPacket(), subscribePacket(1, [["a", 0]]), [0xc0, 0])
  expect((await client.packet())[0]).toBe(0x20)
  expect([(await client.packet())[0], (await client.packet())[0]].sort()).toEqual([0x90, 0xd0])
  client.socket.destroy()
})

it("knows topic aliases for a connection's life", async () => {
  await kit.bind("bound", ["bound"])
  const client = await connected(kit.port)
  client.send(
    publishPacket("bound", "1", { properties: [35, 0, 32] }),
    publishPacket("", "2", { properties: [35, 0, 32] }),
    publishPacket("", "3", { qos: 1, properties: [35, 0, 32] })
  )
  await client.packet()
  expect(kit.records("bound").map(({ value }) => value)).toEqual(["1", "2", "3"])
  client.socket.destroy()
})

it("keeps what MQTT 5 adds to a message: in the stream, and to the subscriber", async () => {
  await kit.bind("bound", ["bound"])
  const properties = [
    ...utf8AndExpiry,
    ...contentType,
    ...responseTopic,
    ...correlationData,
    ...userProperty("k", "1"),
    ...userProperty("k", "2"),
    ...userProperty("mqtt.topic", "x")
  ]
  const live = await connected(kit.port, { clientId: "live" })
  live.send(packet(0x82, [0, 1, 2, 11, 9, 0, 5], Buffer.from("bound"), [1]))
  await live.packet()
  const durable = { clientId: "durable", flags: 0, properties: [17, 0, 0, 14, 16] }
  const away = await connected(kit.port, durable)
  away.send(packet(0x82, [0, 1, 2, 11, 9, 0, 5], Buffer.from("bound"), [1]), [0xe0, 0])
  await away.rest()
  const client = await connected(kit.port, { clientId: "pub" })
  client.send(publishPacket("bound", "y", { qos: 1, properties }))
  await client.packet()
  const back = await connected(kit.port, durable)
  for (const subscriber of [live, back]) {
    const got = await subscriber.packet()
    const length = got[11]!
    const section = got.subarray(12, 12 + length)
    expect(got.subarray(12 + length).toString()).toBe("y")
    expect(section.subarray(0, 2)).toEqual(Buffer.from([1, 1]))
    expect(section.subarray(2, 6)).toEqual(Buffer.from([2, 0, 0, 0]))
    expect(section[6]).toSatisfy((left: number) => left === 59 || left === 60)
    expect([...section.subarray(7)]).toEqual([...properties.slice(7), 11, 9])
  }
  expect(kit.records("bound")[0]!.headers.slice(4)).toEqual([
    ["k", "1"],
    ["k", "2"],
    ["mqtt.topic", "x"],
    ["mqtt.content-type", "text"],
    ["mqtt.response-topic", "re"],
    ["mqtt.correlation-data", "\x07\x08"],
    ["mqtt.payload-format", "1"],
    ["mqtt.expiry", expect.stringMatching(/^\d{13}$/)]
  ])
  for (const one of [live, back, client]) one.socket.destroy()
})

describe("deliveries", () => {
  it("honour No Local and Retain As Published", async () => {
    const client = await connected(kit.port)
    client.send(
      subscribePacket(1, [
        ["nl", 4],
        ["rap", 8],
        ["plain", 0]
      ])
    )
    await client.packet()
    client.send(
      publishPacket("nl", "x"),
      publishPacket("rap", "y", { retain: true }),
      publishPacket("plain", "z", { retain: true })
    )
    expect((await client.packet())[0]).toBe(0x31)
    expect((await client.packet())[0]).toBe(0x30)
    client.socket.destroy()
  })

  it("give all subscription ids of overlapping subscriptions", async () => {
    const client = await connected(kit.port)
    client.send(packet(0x82, [0, 1, 2, 11, 1, 0, 3], Buffer.from("a/+"), [0]))
    client.send(packet(0x82, [0, 2, 3, 11, 0x80, 0x01, 0, 3], Buffer.from("a/#"), [0]))
    await client.packet()
    await client.packet()
    client.send(publishPacket("a/b", "x"))
    const got = await client.packet()
    expect([...got.subarray(7)]).toEqual([5, 11, 1, 11, 0x80, 0x01, 0x78])
    client.socket.destroy()
  })

  it("give a subscription id as often as it was given", async () => {
    const client = await connected(kit.port)
    for (const [packetId, filter] of [
      [1, "a/+"],
      [2, "a/#"]
    ] as const) {
      client.send(packet(0x82, [0, packetId, 2, 11, 7, 0, 3], Buffer.from(filter), [0]))
      await client.packet()
    }
    client.send(publishPacket("a/b", "x"))
    expect([...(await client.packet()).subarray(7)]).toEqual([4, 11, 7, 11, 7, 0x78])
    client.socket.destroy()
  })

  it("send retained messages as Retain Handling says", async () => {
    const client = await connected(kit.port)
    client.send(publishPacket("r", "x", { qos: 1, retain: true }))
    await client.packet()
    const answers = async (options: number): Promise<number> => {
      client.send(subscribePacket(1, [["r", options]]), [0xc0, 0])
      const suback = await client.packet()
      const first = suback[0] === 0xd0 ? await client.packet() : suback
      expect(first[0]).toBe(0x90)
      await new Promise((resolve) => setTimeout(resolve, 30))
      const bytes = client.waitingBytes
      while (client.waitingBytes > 0) await client.packet()
      return bytes
    }
    const message = 2 + 3 + 1 + 1
    expect([message, message + 2]).toContain(await answers(0x10))
    expect([0, 2]).toContain(await answers(0x10))
    expect([message, message + 2]).toContain(await answers(0x00))
    expect([0, 2]).toContain(await answers(0x20))
    client.socket.destroy()
  })

  it("send every retained message of a wildcard, page by page", async () => {
    const client = await connected(kit.port)
    const topics = Array.from({ length: 500 }, (_, i) => `many/${i}`)
    for (const [i, topic] of topics.entries())
      client.send(publishPacket(topic, "x", { qos: 1, retain: true, packetId: i + 1 }))
    for (let i = 0; i < topics.length; i++) await client.packet()
    const durable = { flags: 0, properties: [17, 0, 0, 14, 16] }
    for (const [clientId, qos, options] of [
      ["q0", 0, {}],
      ["q1", 1, {}],
      ["d1", 1, durable]
    ] as const) {
      const subscriber = await connected(kit.port, { clientId, ...options })
      subscriber.send(subscribePacket(1, [["many/#", qos]]))
      await subscriber.packet()
      const got = new Set<string>()
      while (got.size < topics.length) {
        const message = await subscriber.packet()
        got.add(message.subarray(4, 4 + message[3]!).toString())
        const at = 4 + message[3]!
        if (qos === 1) subscriber.send([0x40, 2, message[at]!, message[at + 1]!])
      }
      expect(got).toEqual(new Set(topics))
      subscriber.socket.destroy()
    }
    client.socket.destroy()
  })

  it("keep to the client's Receive Maximum, and go on with its acknowledgements", async () => {
    const subscriber = await connected(kit.port, { clientId: "sub", properties: [33, 0, 2] })
    subscriber.send(subscribePacket(1, [["a", 2]]))
    await subscriber.packet()
    const client = await connected(kit.port, { clientId: "pub" })
    for (let i = 1; i <= 4; i++) client.send(publishPacket("a", String(i), { qos: i === 2 ? 2 : 1, packetId: i }))
    for (let i = 1; i <= 4; i++) await client.packet()
    const first = await subscriber.packet()
    const second = await subscriber.packet()
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(subscriber.waitingBytes).toBe(0)
    expect([first[0], second[0]]).toEqual([0x32, 0x34])
    subscriber.send([0x40, 2, first[5]!, first[6]!])
    expect(String((await subscriber.packet()).at(-1))).toBe(String("3".charCodeAt(0)))
    subscriber.send([0x50, 2, second[5]!, second[6]!])
    expect((await subscriber.packet())[0]).toBe(0x62)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(subscriber.waitingBytes).toBe(0)
    subscriber.send([0x70, 2, second[5]!, second[6]!])
    expect(String((await subscriber.packet()).at(-1))).toBe(String("4".charCodeAt(0)))
    subscriber.socket.destroy()
    client.socket.destroy()
  })

  it("leave out what is larger than the client's Maximum Packet Size, or has expired", async () => {
    const subscriber = await connected(kit.port, { clientId: "sub", properties: [39, 0, 0, 0, 40] })
    subscriber.send(subscribePacket(1, [["a", 1]]))
    await subscriber.packet()
    const client = await connected(kit.port, { clientId: "pub" })
    client.send(publishPacket("a", "x".repeat(40), { qos: 1 }))
    client.send(publishPacket("a", "y", { qos: 1, packetId: 2, properties: [2, 0, 0, 0, 0] }))
    client.send(publishPacket("a", "z", { qos: 1, packetId: 3 }))
    expect((await subscriber.packet()).at(-1)).toBe("z".charCodeAt(0))
    expect(rendered()).toContain(`${dropped("packet_too_large")} 1`)
    expect(rendered()).toContain(`${dropped("expired")} 1`)
    subscriber.socket.destroy()
    client.socket.destroy()
  })

  it("drop QoS 0 for who does not read, and close the connection after a while", async () => {
    await start({ limits: { slowConsumerUnsentBytesMax: 100_000, slowConsumerStallMs: 500 } })
    const subscriber = await connected(kit.port, { clientId: "sub" })
    subscriber.send(subscribePacket(1, [["a", 0]]))
    await subscriber.packet()
    subscriber.socket.pause()
    const client = await connected(kit.port, { clientId: "pub" })
    for (let i = 0; i < 300; i++) client.send(publishPacket("a", Buffer.alloc(100_000)))
    await expect.poll(() => kit.mqtt.directory.get("sub")).toBe(undefined)
    expect(rendered()).not.toContain(`${dropped("slow_consumer")} 0`)
    expect(kit.audit.at(-1)!.fields).toMatchObject({ by: "slow consumer", code: "0x97" })
    client.socket.destroy()
  })

  it("need no room in the queue while the window has some", async () => {
    await start({ limits: { offlineQueueMessagesMax: 0, inflightPerSessionMax: 2 } })
    const subscriber = await connected(kit.port, { clientId: "sub" })
    subscriber.send(subscribePacket(1, [["a", 1]]))
    await subscriber.packet()
    const client = await connected(kit.port, { clientId: "pub" })
    for (let i = 1; i <= 3; i++) client.send(publishPacket("a", "x", { qos: 1, packetId: i }))
    for (let i = 1; i <= 3; i++) await client.packet()
    for (let i = 0; i < 2; i++) expect((await subscriber.packet())[0]! >>> 4).toBe(3)
    expect(rendered()).toContain(`${dropped("queue_full")} 1`)
    subscriber.socket.destroy()
    client.socket.destroy()
  })

  it("queue behind the window within the limit, and count what is dropped", async () => {
    await start({ limits: { offlineQueueMessagesMax: 10, inflightPerSessionMax: 2 } })
    const subscriber = await connected(kit.port, { clientId: "sub" })
    subscriber.send(subscribePacket(1, [["a", 1]]))
    await subscriber.packet()
    const client = await connected(kit.port, { clientId: "pub" })
    for (let i = 1; i <= 20; i++) client.send(publishPacket("a", "x", { qos: 1, packetId: i }))
    for (let i = 1; i <= 20; i++) await client.packet()
    expect(rendered()).toContain(`${dropped("queue_full")} 8`)
    subscriber.socket.destroy()
    client.socket.destroy()
  })
})

describe("limits", () => {
  it("retained messages over the limit are refused with 0x97 and not stored", async () => {
    await start({ limits: { retainedMessagesMax: 1 } })
    await kit.bind("all", ["#"])
    const client = await connected(kit.port)
    client.send(publishPacket("a", "x", { qos: 1, retain: true }))
    expect((await client.packet())[0]).toBe(0x40)
    client.send(publishPacket("b", "x", { qos: 1, retain: true, packetId: 2 }))
    expect([...(await client.packet())].slice(2, 5)).toEqual([0, 2, 0x97])
    client.send(publishPacket("a", "", { qos: 1, retain: true, packetId: 3 }))
    expect((await client.packet())[0]).toBe(0x40)
    client.send(publishPacket("b", "y", { qos: 1, retain: true, packetId: 4 }))
    expect([...(await client.packet())]).toEqual([0x40, 2, 0, 4])
    expect(kit.records("all").map(({ value }) => value)).toEqual(["x", "", "y"])
    client.socket.destroy()
  })

  it("subscriptions over the limit are refused one by one", async () => {
    await start({ limits: { subscriptionsPerSessionMax: 1 } })
    for (const version of [4, 5] as const) {
      const client = await connected(kit.port, { version })
      client.send(
        subscribePacket(
          1,
          [
            ["a", 1],
            ["b", 1],
            ["$stream/x", 0]
          ],
          version
        )
      )
      const codes = [...(await client.packet()).subarray(-3)]
      expect(codes).toEqual(version === 5 ? [1, 0x97, 0x8f] : [1, 0x80, 0x80])
      client.socket.destroy()
    }
  })

  it("Receive Maximum is what is announced: one more of QoS 2 closes an MQTT 5 connection, behind the answers", async () => {
    await kit.bind("all", ["#"])
    const { receiveMaximum } = kit.broker.limits
    const client = await connected(kit.port)
    expect(client.accepted.toString("hex")).toContain("210400")
    const burst = (first: number, count: number): void => {
      const ids = Array.from({ length: count }, (_, i) => first + i)
      client.send(...ids.map((packetId) => publishPacket("a", String(packetId), { qos: 2, packetId })))
    }
    burst(1, receiveMaximum)
    for (let id = 1; id <= receiveMaximum; id++)
      expect([...(await client.packet())]).toEqual([0x50, 2, id >> 8, id & 255])
    client.send([0x62, 2, 0, 1])
    expect([...(await client.packet())]).toEqual([0x70, 2, 0, 1])
    burst(2000, 2)
    expect([...(await client.packet())]).toEqual([0x50, 2, 2000 >> 8, 2000 & 255])
    const rest = await client.rest()
    expect([rest[0], rest[2]]).toEqual([0xe0, 0x93])
    expect(kit.records("all")).toHaveLength(receiveMaximum + 1)
  })

  it("what was taken is answered before 0x93, all of it in one write", async () => {
    await start({ limits: { receiveMaximum: 3 } })
    const client = await connected(kit.port)
    client.send(...Array.from({ length: 4 }, (_, i) => publishPacket("a", "x", { qos: 2, packetId: i + 1 })))
    for (let id = 1; id <= 3; id++) expect([...(await client.packet())]).toEqual([0x50, 3, 0, id, 0x10])
    const rest = await client.rest()
    expect([rest[0], rest[2]]).toEqual([0xe0, 0x93])
  })

  it("ids of an earlier connection that wait for PUBREL leave this one's Receive Maximum alone", async () => {
    await start({ limits: { receiveMaximum: 3 } })
    const durable = { clientId: "sender", flags: 0, properties: [17, 0, 0, 14, 16] }
    const before = await connected(kit.port, durable)
    const burst = (client: typeof before, first: number): void => {
      client.send(...[0, 1, 2].map((i) => publishPacket("a", "x", { qos: 2, packetId: first + i })))
    }
    burst(before, 1)
    for (let id = 1; id <= 3; id++) await before.packet()
    before.socket.destroy()
    const client = await connected(kit.port, durable)
    burst(client, 11)
    for (let id = 11; id <= 13; id++) expect([...(await client.packet())].slice(0, 4)).toEqual([0x50, 3, 0, id])
    client.socket.destroy()
  })

  it.each([
    { qos: 1, version: 4 },
    { qos: 1, version: 5 },
    { qos: 2, version: 4 }
  ] as const)("any number of QoS $qos may be under way in MQTT $version", async ({ qos, version }) => {
    await kit.bind("all", ["#"])
    const count = 5000
    const client = await connected(kit.port, { version })
    const ids = Array.from({ length: count }, (_, i) => i + 1)
    client.send(...ids.map((packetId) => publishPacket("a", "x", { version, qos, packetId })))
    for (const id of ids) expect([...(await client.packet())]).toEqual([qos === 1 ? 0x40 : 0x50, 2, id >> 8, id & 255])
    if (qos === 2) {
      client.send(...ids.map((id) => [0x62, 2, id >> 8, id & 255]))
      for (const id of ids) expect([...(await client.packet())]).toEqual([0x70, 2, id >> 8, id & 255])
    }
    expect(kit.records("all")).toHaveLength(count)
    client.socket.destroy()
  })

  it("a socket is read no further while Receive Maximum messages wait for their commits, then on", async () => {
    await start({ limits: { receiveMaximum: 100 } })
    await kit.bind("all", ["#"])
    for (const [qos, version] of [
      [1, 4],
      [1, 5],
      [2, 4]
    ] as const) {
      const clientId = `q${qos}v${version}`
      const client = await connected(kit.port, { clientId, version })
      kit.shard.hold(true)
      const before = receivedBytes()
      const count = 2000
      const payload = "x".repeat(1000)
      const packets = Array.from({ length: count }, (_, i) =>
        publishPacket("a", payload, { version, qos, packetId: i + 1 })
      )
      client.send(...packets)
      let seen = -1
      await expect.poll(() => seen === (seen = receivedBytes()), { interval: 300 }).toBe(true)
      expect(kit.shard.waiting).toBeLessThan(count / 2)
      expect(seen - before).toBeLessThan((count / 2) * payload.length)
      kit.shard.hold(false)
      for (let id = 1; id <= count; id++) expect((await client.packet()).subarray(2).readUInt16BE()).toBe(id)
      client.socket.destroy()
    }
  })

  it("connections over the limit of an address get 0x97 or 3", async () => {
    await start({ limits: { connectionsPerAddressMax: 1 } })
    const first = await connected(kit.port)
    const second = await connected(kit.port)
    const { reasonCode, properties } = connackOf(second.accepted)
    expect(reasonCode).toBe(0x97)
    expect(properties).toEqual({ reasonString: "there are too many connections from this address" })
    expect(await second.rest()).toHaveLength(0)
    expect((await connected(kit.port, { version: 4 })).accepted).toEqual(Buffer.from([0x20, 2, 0, 3]))
    first.socket.destroy()
    await expect.poll(() => kit.broker.gate.open).toBe(0)
    const third = await connected(kit.port)
    expect(third.accepted[3]).toBe(0)
    third.socket.destroy()
  })

  it("connections over the limit of all get 0x89, those of too many in a second 0x9F", async () => {
    await start({ limits: { connectionsMax: 1, newConnectionsPerSecondMax: 1, refusalsToldMax: 1000 } })
    const first = await connected(kit.port)
    expect((await connected(kit.port)).accepted[3]).toBe(0x89)
    first.socket.destroy()
    await expect.poll(() => kit.broker.gate.open).toBe(0)
    // Of two that are begun together one is too many, unless a second is over between them.
    const codes = new Set<number>()
    const both = async (): Promise<number> => {
      const clients = await Promise.all([connected(kit.port), connected(kit.port)])
      for (const { accepted, socket } of clients) {
        codes.add(accepted[3]!)
        socket.destroy()
      }
      await expect.poll(() => kit.broker.gate.open).toBe(0)
      return codes.has(0x9f) ? 0x9f : 0
    }
    await expect.poll(both).toBe(0x9f)
  })

  it("connections over the limit that say nothing are closed in time, and those that are too many to wait at once", async () => {
    const connectTimeoutMs = 700
    await start({ limits: { connectionsMax: 1, refusalsToldMax: 1, connectTimeoutMs } })
    const first = await connected(kit.port)
    const { RawClient } = await import("./kit.ts")
    const silent = new RawClient(kit.port)
    await expect.poll(() => kit.broker.gate.told).toBe(1)
    const unheard = new RawClient(kit.port).send(connectPacket({}))
    expect(await unheard.rest()).toHaveLength(0)
    expect(await silent.rest()).toHaveLength(0)
    await expect.poll(() => kit.broker.gate.told).toBe(0)
    expect(kit.audit.map(({ fields }) => fields["reason"])).toEqual(["no CONNECT in time"])
    first.socket.destroy()
  })

  it("connections without CONNECT are refused over their limit, and count no longer once they have sent it", async () => {
    await start({ limits: { preAuthConnectionsMax: 1 } })
    const { RawClient } = await import("./kit.ts")
    const first = new RawClient(kit.port)
    await expect.poll(() => kit.broker.gate.open).toBe(1)
    expect((await connected(kit.port)).accepted[3]).toBe(0x89)
    first.socket.destroy()
    await expect.poll(() => kit.broker.gate.open).toBe(0)
    const third = await connected(kit.port, { clientId: "third" })
    const fourth = await connected(kit.port, { clientId: "fourth" })
    for (const each of [third, fourth]) {
      expect(each.accepted[3]).toBe(0)
      each.socket.destroy()
    }
  })

  it("sessions over the limit get 0x97 or 3", async () => {
    await start({ limits: { sessionsMax: 1 } })
    const first = await connected(kit.port, { clientId: "one" })
    expect((await connected(kit.port, { clientId: "two" })).accepted[3]).toBe(0x97)
    expect((await connected(kit.port, { clientId: "two", version: 4 })).accepted[3]).toBe(3)
    expect((await connected(kit.port, { clientId: "one" })).accepted[3]).toBe(0)
    first.socket.destroy()
  })

  it("count CONNECTs that are not durable yet", async () => {
    await start({ limits: { sessionsMax: 3 } })
    const { shard } = kit
    shard.hold(true)
    const clients = Array.from({ length: 8 }, (_, i) => connected(kit.port, { clientId: `c${i}` }))
    await expect.poll(() => kit.audit.length).toBe(5)
    shard.hold(false)
    const codes = (await Promise.all(clients)).map(({ accepted }) => accepted[3])
    expect(kit.mqtt.directory.size).toBe(3)
    expect(codes.filter((code) => code === 0)).toHaveLength(3)
  })

  it("count wills that outlive their sessions since nobody can store them", async () => {
    await start({ limits: { sessionsMax: 3, retainedMessagesMax: 1 } })
    const first = await connected(kit.port, { clientId: "first" })
    first.send(publishPacket("full", "x", { qos: 1, retain: true }))
    await first.packet()
    const codes: Array<number | undefined> = []
    for (const name of ["a", "b", "c", "d"]) {
      const client = await connected(kit.port, { clientId: name, ...retainedWill(name) })
      codes.push(client.accepted[3])
      client.socket.destroy()
      await expect.poll(() => kit.mqtt.directory.size).toBe(1)
    }
    expect(codes).toEqual([0, 0, 0x97, 0x97])
    first.send(publishPacket("full", "", { qos: 1, retain: true, packetId: 2 }))
    await first.packet()
    await expect.poll(() => kit.events.filter((tag) => tag === "WillPublished")).toHaveLength(1)
    expect((await connected(kit.port, { clientId: "e" })).accepted[3]).toBe(0)
    first.socket.destroy()
  })
})

describe("a will that the retained store refuses in its turn", () => {
  it("is in its streams and queues once, however often it is published again", async () => {
    await kit.bind("bound", ["w"])
    const sleeper = await connected(kit.port, { clientId: "sleeper", properties: [17, 0, 0, 3, 232] })
    sleeper.send(subscribePacket(1, [["w", 1]]))
    await sleeper.packet()
    sleeper.socket.destroy()
    await expect.poll(() => kit.mqtt.directory.get("sleeper")?.connection).toBe(undefined)
    const { memory } = kit.shard
    vi.spyOn(kit.mqtt.retained, "hasRoomFor").mockReturnValue(true)
    const room = memory.room("retained")
    memory.add("retained", room)
    const { flags, rest } = retainedWill("w")
    const client = await connected(kit.port, { clientId: "c", flags: flags | 8, rest })
    client.socket.destroy()
    // Twice at least.
    await expect
      .poll(() =>
        Number(
          rendered()
            .split(`${dropped("retained_full")} `)[1]!
            .split("\n")[0]
        )
      )
      .toBeGreaterThan(1)
    expect(kit.events.filter((tag) => tag.startsWith("Will"))).toEqual(["WillTriggered", "WillStored"])
    memory.add("retained", -room)
    await expect.poll(() => kit.events).toContain("WillPublished")
    expect(kit.records("bound").map(({ value }) => value)).toEqual(["x"])
    expect(newestState<SessionState>(kit.shard.actors, "session/sleeper")?.queue.size).toBe(1)
  })
})

describe("a message of QoS 2 that comes again before its answer", () => {
  it.each([3, 4, 5] as const)("is refused as the first one is: version %i", async (version) => {
    const { memory } = kit.shard
    vi.spyOn(kit.mqtt.retained, "hasRoomFor").mockReturnValue(true)
    memory.add("retained", memory.room("retained"))
    const client = await connected(kit.port, { version, clientId: "again" })
    const message = publishPacket("kept", "x", { version, qos: 2, packetId: 7, retain: true })
    client.send(message, message)
    if (version === 5) {
      for (let i = 0; i < 2; i++) expect([...(await client.packet()).subarray(2, 5)]).toEqual([0, 7, 0x97])
    } else expect((await client.rest()).length).toBe(0)
    client.socket.destroy()
  })
})

const broken = (): never => {
  throw new Error("broken")
}

describe("a message for a session whose actor was given up", () => {
  it("is refused before anybody has stored it", async () => {
    const defects: Array<string> = []
    await start({ onDefect: (where) => defects.push(where) })
    await kit.bind("bound", ["t/#"])
    const sleeper = await connected(kit.port, { clientId: "sleeper", properties: [17, 0, 0, 3, 232] })
    sleeper.send(subscribePacket(1, [["t/a", 2]]))
    await sleeper.packet()
    sleeper.socket.destroy()
    await expect.poll(() => kit.mqtt.directory.get("sleeper")?.connection).toBe(undefined)
    const live = kit.shard.actors.get("session/sleeper")!
    Object.assign(live, { definition: { ...live.definition, evolve: broken } })
    const client = await connected(kit.port, { clientId: "sender" })
    for (let packetId = 1; packetId <= 3; packetId++) {
      client.send(publishPacket("t/a", "x", { qos: 2, packetId }))
      expect((await client.packet())[4]).toBe(0x80)
    }
    // The first one found out; the others are nowhere.
    expect(kit.shard.failedActors).toEqual(["session/sleeper"])
    expect(new Set(defects)).toEqual(new Set(["session/sleeper"]))
    expect(kit.records("bound")).toHaveLength(1)
    expect(newestState<SessionState>(kit.shard.actors, "session/sender")?.unreleasedQos2.size).toBe(0)
    client.send(publishPacket("t/b", "x", { qos: 2, packetId: 9 }))
    expect([...(await client.packet())]).toEqual([0x50, 2, 0, 9])
    client.socket.destroy()
  })
})
