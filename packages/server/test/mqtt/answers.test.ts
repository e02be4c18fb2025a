import { afterEach, beforeEach, describe, expect, it } from "vitest"
import {
  connected,
  connectPacket,
  type Kit,
  packet,
  publishPacket,
  RawClient,
  type RawConnect,
  startKit,
  subscribePacket
} from "./kit.ts"

// What a client is answered, and what ends its connection instead.

let kit: Kit

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

const both = [4, 5] as const
const protocolError = 0x82
const packetTooLarge = 0x95
const disconnect = (reasonCode: number) => (rest: Buffer) => rest[0] === 0xe0 && rest[2] === reasonCode

const maximumPacketSize = (bytes: number): ReadonlyArray<number> => [39, 0, 0, bytes >>> 8, bytes & 0xff]

const connackOf = async (options: RawConnect): Promise<Buffer> => {
  const client = new RawClient(kit.port)
  client.send(connectPacket(options), [0xe0, 0])
  return client.rest()
}

const filters = (count: number) => Array.from({ length: count }, () => ["$share/group/a", 1] as const)

describe("Maximum Packet Size", () => {
  it("is kept by CONNACK: it has what it must have, or is not sent [MQTT-3.1.2-24]", async () => {
    // Receive Maximum, Maximum Packet Size and Topic Alias Maximum.
    const bytes = 5 + 3 + 5 + 3
    for (let size = 1; size <= 40; size++) {
      const connack = await connackOf({ properties: maximumPacketSize(size) })
      expect(connack.length).toBe(size < bytes ? 0 : bytes)
    }
    await expect.poll(() => kit.mqtt.directory.size).toBe(0)
  })

  it("is kept by a CONNACK that refuses, whatever is wrong behind it in CONNECT", async () => {
    for (let size = 1; size <= 80; size++) {
      const connack = await connackOf({ clientId: "x".repeat(257), properties: maximumPacketSize(size) })
      expect(connack.length).toBeLessThanOrEqual(size)
      if (size >= 5) expect([connack[0], connack[3]]).toEqual([0x20, 0x85])
    }
  })

  it("is kept by whatever is sent, and an answer that cannot keep it ends the connection with 0x95", async () => {
    const receipts = [38, 0, 8, ...Buffer.from("receipts"), 0, 1, 0x31]
    await kit.bind("stored", ["stored"])
    for (let size = 16; size <= 90; size += 3) {
      const client = await connected(kit.port, { properties: [...maximumPacketSize(size), ...receipts] })
      expect(client.accepted.length).toBeLessThanOrEqual(size)
      client.send(
        subscribePacket(1, [["$stream/x", 0]]),
        publishPacket("$stream/x", "x", { qos: 1, packetId: 2 }),
        publishPacket("$stream/x", "x", { qos: 2, packetId: 3 }),
        publishPacket("stored", "x", { qos: 1, packetId: 4 }),
        packet(0xa2, [0, 5, 0, 0, 1, 0x61])
      )
      const kinds = [0x90, 0x40, 0x50, 0x40, 0xb0]
      for (let i = 0; i < kinds.length; i++) {
        const answer = await client.packet()
        expect(kinds).toContain(answer[0])
        expect(answer.length).toBeLessThanOrEqual(size)
      }
      client.send(subscribePacket(6, filters(size)))
      const rest = await client.rest()
      expect(rest).toSatisfy(disconnect(packetTooLarge))
      expect(rest.length).toBeLessThanOrEqual(size)
    }
  })
})

const ack = (first: number, id: Buffer) => packet(first, id)

const puback = 0x40

const pubrec = 0x50

const pubrel = 0x62

const pubcomp = 0x70

/** The client has one message of `qos` under way, whose packet id is returned. */
const delivered = async (client: RawClient, version: 4 | 5, qos: 1 | 2): Promise<Buffer> => {
  client.send(subscribePacket(1, [["a", qos]], version))
  await client.packet()
  const publisher = await connected(kit.port, { clientId: "publisher" })
  publisher.send(publishPacket("a", "x", { qos }))
  const message = await client.packet()
  publisher.socket.destroy()
  expect(message[0]! & 0xf6).toBe(0x30 | (qos << 1))
  return message.subarray(5, 7)
}

describe("acknowledgements of another kind than what was sent [MQTT-4.8.0-1]", () => {
  for (const version of both) {
    const cases = [
      ["PUBREC for QoS 1", 1, [pubrec]],
      ["PUBCOMP for QoS 1", 1, [pubcomp]],
      ["PUBACK for QoS 2", 2, [puback]],
      ["PUBCOMP for QoS 2 before PUBREC", 2, [pubcomp]],
      ["PUBACK for QoS 2 behind PUBREC", 2, [pubrec, puback]]
    ] as const
    for (const [name, qos, acks] of cases) {
      it(`MQTT ${version}: ${name} ends the connection`, async () => {
        const client = await connected(kit.port, { version })
        const id = await delivered(client, version, qos)
        for (const first of acks) {
          client.send(ack(first, id))
          if (first === pubrec && qos === 2) expect((await client.packet())[0]).toBe(pubrel)
        }
        const rest = await client.rest()
        if (version === 4) expect(rest).toHaveLength(0)
        else expect(rest).toSatisfy(disconnect(protocolError))
      })
    }

    it(`MQTT ${version}: of ids that nothing has are passed over, or answered as unknown`, async () => {
      const client = await connected(kit.port, { version })
      const id = await delivered(client, version, 1)
      client.send(ack(puback, id), ack(puback, id), ack(pubcomp, id), ack(pubrec, id), [0xc0, 0])
      expect([...(await client.packet())]).toEqual(version === 5 ? [pubrel, 3, ...id, 0x92] : [pubrel, 2, ...id])
      expect((await client.packet())[0]).toBe(0xd0)
      client.socket.destroy()
    })
  }

  it("are forgiven for ids of an earlier connection, whose acknowledgements may come late and twice", async () => {
    const durable: RawConnect = { clientId: "durable", flags: 0, properties: [17, 0, 0, 14, 16] }
    const first = await connected(kit.port, durable)
    const id = await delivered(first, 5, 1)
    first.socket.destroy()
    const back = await connected(kit.port, durable)
    expect((await back.packet())[0]).toBe(0x3a)
    back.send(ack(puback, id))
    back.send(subscribePacket(2, [["a", 2]]))
    expect((await back.packet())[0]).toBe(0x90)
    // The id is given again, to a message of QoS 2.
    const publisher = await connected(kit.port, { clientId: "publisher" })
    publisher.send(publishPacket("a", "y", { qos: 2 }))
    const again = await back.packet()
    expect([...again.subarray(5, 7)]).toEqual([...id])
    back.send(ack(puback, id), ack(pubrec, id))
    expect((await back.packet())[0]).toBe(pubrel)
    for (const client of [back, publisher]) client.socket.destroy()
  })
})

describe("the first byte", () => {
  it("decides: what does not begin as CONNECT is closed at once, long before the time for CONNECT is over", async () => {
    for (const byte of [0x00, 0x11, 0x16, 0x30, 0x47, 0x82, 0xc0]) {
      const client = new RawClient(kit.port)
      client.send([byte])
      expect(await client.rest()).toHaveLength(0)
    }
    expect(kit.audit.map(({ fields }) => fields["reason"])).toEqual(Array(7).fill("the first packet is not CONNECT"))
  })

  it.each([
    ["GET / HTTP/1.1\r\n\r\n", "an HTTP request came instead of CONNECT"],
    ["\u0016\u0003\u0001\u0002\u0000", "a TLS handshake came instead of CONNECT"]
  ])("names another protocol: %j", async (text, reason) => {
    const before = kit.audit.length
    const client = new RawClient(kit.port)
    client.send(Buffer.from(text, "latin1"))
    expect(await client.rest()).toHaveLength(0)
    expect(kit.audit.slice(before).map(({ fields }) => fields["reason"])).toEqual([reason])
  })
})

describe("a payload that is not the UTF-8 that it is announced as", () => {
  const badUtf8 = Buffer.from([0xff])
  const announced = { properties: [1, 1] }

  it("is refused with 0x99, stored and delivered nowhere, and the connection stays", async () => {
    await kit.bind("all", ["#"])
    const client = await connected(kit.port)
    client.send(subscribePacket(1, [["a", 0]]))
    await client.packet()
    client.send(publishPacket("a", badUtf8, { ...announced, qos: 1, packetId: 2 }))
    expect([...(await client.packet()).subarray(0, 5)]).toEqual([0x40, expect.any(Number), 0, 2, 0x99])
    client.send(publishPacket("a", badUtf8, { ...announced, qos: 2, packetId: 3 }))
    expect([...(await client.packet()).subarray(0, 5)]).toEqual([0x50, expect.any(Number), 0, 3, 0x99])
    client.send(publishPacket("a", badUtf8, announced), publishPacket("a", "ü", announced))
    expect((await client.packet()).subarray(-2).toString()).toBe("ü")
    await expect.poll(() => kit.records("all").map(({ value }) => value)).toEqual(["ü"])
    expect(kit.broker.metrics.render()).toContain(`dropped_total{reason="payload_format"} 3`)
    client.socket.destroy()
  })
})

const will = (topic: string) => [0, 0, topic.length, ...Buffer.from(topic), 0, 1, 0x78]

/** Of the CONNACK for a client with a will to the topic. */
const codeOfWill = async (topic: string) => {
  const client = await connected(kit.port, { flags: 6, rest: will(topic) })
  client.send([0xe0, 0])
  await client.rest()
  return client.accepted[3]
}

describe("topics under $SYS", () => {
  it("are refused to clients of MQTT 5, dropped for those of 3.1.1 as Mosquitto does it, and counted", async () => {
    await kit.bind("system", ["$SYS/#"])
    const watcher = await connected(kit.port, { clientId: "watcher" })
    watcher.send(subscribePacket(1, [["$SYS/broker/connection/#", 0]]))
    await watcher.packet()
    const client = await connected(kit.port)
    client.send(publishPacket("$SYS/broker/uptime", "x", { qos: 1, packetId: 2 }))
    expect([...(await client.packet()).subarray(0, 5)]).toEqual([0x40, expect.any(Number), 0, 2, 0x87])
    const old = await connected(kit.port, { version: 4, clientId: "old" })
    old.send(publishPacket("$SYS/broker/uptime", "x", { version: 4, qos: 1, packetId: 3 }))
    expect([...(await old.packet())]).toEqual([0x40, 2, 0, 3])
    old.send(publishPacket("$SYS/broker/uptime", "x", { version: 4, qos: 2, packetId: 4 }))
    expect([...(await old.packet())]).toEqual([0x50, 2, 0, 4])
    old.send(packet(pubrel, [0, 4]))
    expect([...(await old.packet())]).toEqual([0x70, 2, 0, 4])
    expect(kit.broker.metrics.render()).toContain(`dropped_total{reason="not_authorized"} 3`)
    // But what bridges tell of themselves.
    old.send(
      publishPacket("$SYS/broker/connection/plant/state", "1", { version: 4, qos: 1, packetId: 5, retain: true })
    )
    expect([...(await old.packet())]).toEqual([0x40, 2, 0, 5])
    expect((await watcher.packet()).toString()).toContain("$SYS/broker/connection/plant/state")
    expect(kit.records("system")).toHaveLength(1)
    for (const each of [watcher, client, old]) each.socket.destroy()
  })

  it("hold for wills too", async () => {
    expect(await codeOfWill("$SYS/broker/uptime")).toBe(0x87)
    expect(await codeOfWill("$SYS/broker/connection/plant/state")).toBe(0)
  })
})
