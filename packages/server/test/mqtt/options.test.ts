import { retainedActor } from "@logbrook/actors/retained/Retained"
import type * as mqttPacket from "mqtt-packet"
import { afterEach, describe, expect, it } from "vitest"
import type { MqttOptions } from "../../src/mqtt/MqttOptions.ts"
import {
  connackOf,
  connected,
  connectPacket,
  type Kit,
  packet,
  parsed,
  publishPacket,
  RawClient,
  startKit,
  subscribePacket
} from "./kit.ts"

// What an operator chooses of MQTT: what CONNACK tells of it, and what is refused by it.

let kit: Kit

const start = async (mqtt: Partial<MqttOptions>): Promise<void> => {
  kit = await startKit({ mqtt })
}

afterEach(() => kit.stop())

/** The last packet that a connection gets. */
const goodbyeOf = async (client: RawClient): Promise<mqttPacket.IDisconnectPacket> => parsed(await client.rest())

/** The flags of CONNECT with a will, and what follows the client id then. */
const willFlags = (qos: 0 | 1 | 2, retain: boolean): number => 2 | 4 | (qos << 3) | (retain ? 0x20 : 0)
const will = (version: 4 | 5): ReadonlyArray<number> => [...(version === 5 ? [0] : []), 0, 1, 0x77, 0, 0]

/** Everything that comes for a CONNECT that is refused. */
const refusedConnect = async (version: 4 | 5, flags: number): Promise<Buffer> => {
  const client = new RawClient(kit.port)
  client.send(connectPacket({ version, flags, rest: will(version) }))
  return client.rest()
}

describe("keepAliveSMax", () => {
  it.each([
    [0, 60],
    [61, 60],
    [65_535, 60],
    [60, undefined],
    [7, undefined]
  ])("a client of MQTT 5 that announces %i s is told %s as Server Keep Alive [MQTT-3.1.2-21]", async (asked, told) => {
    await start({ keepAliveSMax: 60 })
    const client = await connected(kit.port, { keepAliveSeconds: asked })
    expect(connackOf(client.accepted).properties?.serverKeepAlive).toBe(told)
    expect([...kit.mqtt.connections()].map(({ keepAliveMs }) => keepAliveMs)).toEqual([(told ?? asked) * 1000])
    client.socket.destroy()
  })

  it("a client of MQTT 3.1.1 keeps its own, since it cannot be told", async () => {
    await start({ keepAliveSMax: 60 })
    const client = await connected(kit.port, { version: 4, keepAliveSeconds: 3600 })
    expect([...kit.mqtt.connections()].map(({ keepAliveMs }) => keepAliveMs)).toEqual([3_600_000])
    client.socket.destroy()
  })

  it("0: none and any are as they were asked for", async () => {
    await start({})
    const client = await connected(kit.port, { keepAliveSeconds: 65_535 })
    expect(connackOf(client.accepted).properties).not.toHaveProperty("serverKeepAlive")
    client.socket.destroy()
  })
})

describe("maximumQos", () => {
  it("is announced, and what is above it ends the connection with 0x9B [MQTT-3.2.2-9, MQTT-3.2.2-11]", async () => {
    await start({ maximumQos: 1 })
    await kit.bind("all", ["#"])
    const client = await connected(kit.port)
    expect(connackOf(client.accepted).properties).toMatchObject({ maximumQoS: 1 })
    client.send(publishPacket("a", "x", { qos: 1 }))
    expect((await client.packet())[0]).toBe(0x40)
    client.send(publishPacket("a", "x", { qos: 2, packetId: 2 }))
    expect(await goodbyeOf(client)).toMatchObject({ cmd: "disconnect", reasonCode: 0x9b })
    const old = await connected(kit.port, { version: 4 })
    old.send(publishPacket("a", "x", { version: 4, qos: 2 }))
    expect(await old.rest()).toHaveLength(0)
    expect(kit.records("all")).toHaveLength(1)
  })

  it("refuses a will above it [MQTT-3.2.2-12]", async () => {
    await start({ maximumQos: 0 })
    expect(connackOf(await refusedConnect(5, willFlags(1, false)))).toMatchObject({ cmd: "connack", reasonCode: 0x9b })
    // No code of MQTT 3.1.1 says so.
    expect(await refusedConnect(4, willFlags(1, false))).toHaveLength(0)
    const client = await connected(kit.port, { flags: willFlags(0, false), rest: will(5) })
    expect(connackOf(client.accepted).reasonCode).toBe(0)
    client.socket.destroy()
  })

  it("is the most that a subscription is granted, whatever is asked for [MQTT-3.2.2-10]", async () => {
    await start({ maximumQos: 1 })
    const client = await connected(kit.port)
    client.send(
      subscribePacket(1, [
        ["a", 0],
        ["b", 1],
        ["c", 2]
      ])
    )
    expect([...(await client.packet()).subarray(-3)]).toEqual([0, 1, 1])
    client.socket.destroy()
  })

  it("is not told when it is 2", async () => {
    await start({})
    const client = await connected(kit.port)
    expect(Object.keys(connackOf(client.accepted).properties!).sort()).toEqual([
      "maximumPacketSize",
      "receiveMaximum",
      "topicAliasMaximum"
    ])
    client.socket.destroy()
  })
})

describe("retainAvailable", () => {
  it("false is announced, and a retained message ends the connection with 0x9A [MQTT-3.2.2-14]", async () => {
    await start({ retainAvailable: false })
    await kit.bind("all", ["#"])
    const client = await connected(kit.port)
    expect(connackOf(client.accepted).properties).toMatchObject({ retainAvailable: false })
    client.send(publishPacket("a", "x", { retain: true, qos: 1 }))
    expect(await goodbyeOf(client)).toMatchObject({ cmd: "disconnect", reasonCode: 0x9a })
    const old = await connected(kit.port, { version: 4 })
    old.send(publishPacket("a", "x", { version: 4, retain: true }))
    expect(await old.rest()).toHaveLength(0)
    expect([kit.mqtt.retained.index.size, kit.records("all").length]).toEqual([0, 0])
  })

  it("false refuses a retained will [MQTT-3.2.2-13]", async () => {
    await start({ retainAvailable: false })
    expect(connackOf(await refusedConnect(5, willFlags(0, true)))).toMatchObject({ cmd: "connack", reasonCode: 0x9a })
    expect(await refusedConnect(4, willFlags(0, true))).toHaveLength(0)
    const client = await connected(kit.port, { flags: willFlags(2, false), rest: will(5) })
    expect(connackOf(client.accepted).reasonCode).toBe(0)
    client.socket.destroy()
  })

  it("false sends nobody what was retained before", async () => {
    await start({ retainAvailable: false })
    // As an earlier start has left it.
    const message = {
      payload: Buffer.from("old"),
      qos: 0,
      userProperties: [],
      contentType: null,
      responseTopic: null,
      correlationData: null,
      payloadFormat: null,
      expiryAtMs: null,
      clientId: "before",
      timestampMs: 0
    } as const
    kit.broker.shards.tell(retainedActor("a"), { _tag: "SetRetained", message }, { origin: "test" })
    await expect.poll(() => kit.mqtt.retained.index.size).toBe(1)
    const client = await connected(kit.port)
    client.send(subscribePacket(1, [["a", 0]]))
    expect((await client.packet())[0]).toBe(0x90)
    client.send([0xc0, 0])
    expect((await client.packet())[0]).toBe(0xd0)
    client.socket.destroy()
  })
})

describe("responsePrefix", () => {
  const asksForIt = [0x19, 1]

  it("gives each client that asks for Response Information a topic of one level", async () => {
    await start({ responsePrefix: "plant/responses" })
    const client = await connected(kit.port, { clientId: "a/b+c#d%é", properties: asksForIt })
    expect(connackOf(client.accepted).properties).toMatchObject({
      responseInformation: "plant/responses/a%2Fb%2Bc%23d%25é"
    })
    const other = await connected(kit.port, { clientId: "other", properties: [0x19, 0] })
    const another = await connected(kit.port, { clientId: "another" })
    for (const { accepted } of [other, another]) {
      expect(connackOf(accepted).properties).not.toHaveProperty("responseInformation")
    }
    for (const each of [client, other, another]) each.socket.destroy()
  })

  it("null: nobody is told any", async () => {
    await start({})
    const client = await connected(kit.port, { properties: asksForIt })
    expect(connackOf(client.accepted).properties).not.toHaveProperty("responseInformation")
    client.socket.destroy()
  })
})

describe("draining", () => {
  const serverReference = "other.example.org:1883"

  it.each([
    ["temporarily", 0x9c],
    ["permanently", 0x9d]
  ] as const)(
    "redirect %s: whoever connects is told another server, and no session is made",
    async (redirect, code) => {
      await start({ serverReference, redirect })
      const client = new RawClient(kit.port)
      client.send(connectPacket({ clientId: "five" }))
      const { reasonCode, properties } = connackOf(await client.rest())
      expect([reasonCode, properties?.serverReference]).toEqual([code, serverReference])
      const old = new RawClient(kit.port)
      old.send(connectPacket({ clientId: "four", version: 4 }))
      expect([...(await old.rest())]).toEqual([0x20, 2, 0, 3])
      expect(kit.mqtt.directory.size).toBe(0)
    }
  )

  it("a server that stops names the other one, with 0x9C", async () => {
    await start({ serverReference })
    const client = await connected(kit.port)
    const old = await connected(kit.port, { clientId: "old", version: 4 })
    await kit.stop()
    const { reasonCode, properties } = await goodbyeOf(client)
    expect([reasonCode, properties?.serverReference]).toEqual([0x9c, serverReference])
    expect(await old.rest()).toHaveLength(0)
    await start({})
    const last = await connected(kit.port)
    await kit.stop()
    expect((await goodbyeOf(last)).reasonCode).toBe(0x8b)
    await start({})
  })

  it("another end than the server's names none", async () => {
    await start({ serverReference })
    const client = await connected(kit.port, { clientId: "kicked" })
    await expect.poll(() => kit.mqtt.kick("kicked", "test")).toBe(true)
    const { reasonCode, properties } = await goodbyeOf(client)
    expect([reasonCode, properties?.serverReference]).toEqual([0x98, undefined])
  })
})

const hasReason = (packet: mqttPacket.Packet): boolean => {
  const { properties } = packet as mqttPacket.IPubackPacket
  return properties?.reasonString !== undefined || properties?.userProperties !== undefined
}

describe("Request Problem Information 0 [MQTT-3.1.2-29]", () => {
  const none = [0x17, 0]
  const receipts = [0x26, 0, 8, ...Buffer.from("receipts"), 0, 1, 0x31]

  /** What is answered to things that have a reason: a SUBSCRIBE and a PUBLISH that are refused, one that is stored. */
  const answers = async (properties: ReadonlyArray<number>): Promise<ReadonlyArray<mqttPacket.Packet>> => {
    const client = await connected(kit.port, { properties: [...properties, ...receipts] })
    client.send(subscribePacket(1, [["$stream/none", 0]]))
    const got = [await client.packet()]
    client.send(publishPacket("$SYS/x", "x", { qos: 1, packetId: 2 }))
    got.push(await client.packet())
    client.send(publishPacket("$SYS/x", "x", { qos: 2, packetId: 3 }))
    got.push(await client.packet())
    client.send(publishPacket("stored", "x", { qos: 1, packetId: 4 }))
    got.push(await client.packet())
    client.send(packet(0xa2, [0, 5, 0, 0, 1, 0x61]))
    got.push(await client.packet())
    // A second CONNECT, which DISCONNECT may say why of.
    client.send(connectPacket())
    got.push(await client.rest())
    return got.map((bytes) => parsed(bytes))
  }

  it("keeps reasons and receipts out of every answer but CONNACK and DISCONNECT", async () => {
    await start({})
    await kit.bind("stored", ["stored"])
    const with1 = await answers([])
    expect(with1.map((packet) => [packet.cmd, hasReason(packet)])).toEqual([
      ["suback", true],
      ["puback", true],
      ["pubrec", true],
      ["puback", true],
      ["unsuback", false],
      ["disconnect", true]
    ])
    const with0 = await answers(none)
    expect(with0.map((packet) => [packet.cmd, hasReason(packet)])).toEqual([
      ["suback", false],
      ["puback", false],
      ["pubrec", false],
      ["puback", false],
      ["unsuback", false],
      ["disconnect", true]
    ])
    expect(with0.map((packet) => "reasonCode" in packet && packet.reasonCode)).toEqual(
      with1.map((packet) => "reasonCode" in packet && packet.reasonCode)
    )
  })
})
