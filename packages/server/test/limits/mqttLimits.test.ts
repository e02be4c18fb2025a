import type { Limits } from "@logbrook/core/Limits"
import { defaultCodecLimits } from "@logbrook/protocols/mqtt/Packet"
import * as mqttPacket from "mqtt-packet"
import { afterEach, describe, expect, it } from "vitest"
import {
  connackOf,
  connected,
  connectPacket,
  type Kit,
  packet,
  publishPacket,
  RawClient,
  startKit,
  subscribePacket
} from "../mqtt/kit.ts"

// Each limit by its name, set to another value than the default, over real sockets.

let kit: Kit

const start = async (limits: Partial<Limits>): Promise<void> => {
  kit = await startKit({ limits })
}

afterEach(() => kit.stop())

const bothVersions = [4, 5] as const
const identifierRejected = { 4: 2, 5: 0x85 } as const
const topicAliasInvalid = 0x94
const packetTooLarge = 0x95
const noMatchingSubscribers = 0x10
const implementationSpecificError = 0x83
const quotaExceeded = 0x97

const sessionExpiry = (seconds: number): ReadonlyArray<number> => [
  0x11,
  ...Buffer.from(Uint32Array.of(seconds).buffer).reverse()
]

const aliased = (topic: string, alias: number) => publishPacket(topic, "x", { qos: 1, properties: [0x23, 0, alias] })

const unsubscribe = (filters: ReadonlyArray<string>, protocolVersion: 4 | 5 = 5) => {
  const packet: mqttPacket.Packet = { cmd: "unsubscribe", messageId: 2, unsubscriptions: [...filters] }
  return mqttPacket.generate(packet, { protocolVersion })
}

describe("CONNECT", () => {
  for (const version of bothVersions) {
    it(`clientIdBytesMax: MQTT ${version}, in bytes of UTF-8`, async () => {
      await start({ clientIdBytesMax: 8 })
      const client = await connected(kit.port, { version, clientId: "ääää" })
      expect(client.accepted[3]).toBe(0)
      expect((await connected(kit.port, { version, clientId: "ääääx" })).accepted[3]).toBe(identifierRejected[version])
      client.socket.destroy()
    })
  }

  it("preAuthFrameBytesMax: bounds CONNECT, and nothing behind it", async () => {
    await start({ preAuthFrameBytesMax: 100 })
    await kit.bind("all", ["#"])
    const over = new RawClient(kit.port)
    over.send(connectPacket({ clientId: "x".repeat(101) }))
    // Its version is not known yet, so there is no CONNACK that it could read.
    expect(await over.rest()).toHaveLength(0)
    expect(kit.audit.map(({ fields }) => fields["code"])).toEqual([`0x${packetTooLarge.toString(16)}`])
    const client = await connected(kit.port)
    client.send(publishPacket("a", "x".repeat(5000), { qos: 1 }))
    expect((await client.packet())[0]).toBe(0x40)
    client.socket.destroy()
  })

  it("sessionExpiryMsMax: a longer expiry is cut and told, and the session goes when it is over", async () => {
    await start({ sessionExpiryMsMax: 1000 })
    const client = await connected(kit.port, { clientId: "long", properties: sessionExpiry(3600) })
    expect(connackOf(client.accepted).properties).toMatchObject({ sessionExpiryInterval: 1 })
    const old = await connected(kit.port, { clientId: "old", version: 4, flags: 0 })
    for (const each of [client, old]) each.socket.destroy()
    await expect.poll(() => [...kit.mqtt.connections()].length).toBe(0)
    expect(kit.mqtt.directory.size).toBe(2)
    await expect.poll(() => kit.mqtt.directory.size).toBe(0)
  })

  it("sessionExpiryMsMax: a shorter one is granted as it is asked for", async () => {
    await start({ sessionExpiryMsMax: 10_000 })
    const client = await connected(kit.port, { properties: sessionExpiry(9) })
    expect(connackOf(client.accepted).properties).not.toHaveProperty("sessionExpiryInterval")
    client.socket.destroy()
  })
})

describe("topicAliasesMax", () => {
  it("is announced, holds so many, and refuses one more", async () => {
    await start({ topicAliasesMax: 3 })
    await kit.bind("all", ["#"])
    const client = await connected(kit.port)
    expect(connackOf(client.accepted).properties).toMatchObject({ topicAliasMaximum: 3 })
    for (const alias of [1, 2, 3]) {
      client.send(aliased(`t/${alias}`, alias))
      expect((await client.packet())[0]).toBe(0x40)
    }
    client.send(aliased("", 3))
    expect((await client.packet())[0]).toBe(0x40)
    expect(kit.records("all").map(({ headers }) => new Map(headers).get("mqtt.topic"))).toEqual([
      "t/1",
      "t/2",
      "t/3",
      "t/3"
    ])
    client.send(aliased("t/4", 4))
    const rest = await client.rest()
    expect([rest[0], rest[2]]).toEqual([0xe0, topicAliasInvalid])
  })

  it("0 is none at all", async () => {
    await start({ topicAliasesMax: 0 })
    const client = await connected(kit.port)
    client.send(aliased("t", 1))
    expect((await client.rest())[2]).toBe(topicAliasInvalid)
  })
})

describe("subscriptionsPerPacketMax", () => {
  it("SUBSCRIBE with more filters is granted as far as that, and the rest refused one by one", async () => {
    await start({ subscriptionsPerPacketMax: 2 })
    const client = await connected(kit.port)
    client.send(
      subscribePacket(1, [
        ["a", 0],
        ["b", 0]
      ])
    )
    expect([...(await client.packet()).subarray(-2)]).toEqual([0, 0])
    client.send(
      subscribePacket(2, [
        ["c", 0],
        ["d", 0],
        ["e", 0]
      ])
    )
    expect([...(await client.packet()).subarray(-3)]).toEqual([0, 0, quotaExceeded])
    client.send(publishPacket("e", "x", { qos: 1 }))
    expect((await client.packet()).subarray(-1)[0]).toBe(noMatchingSubscribers)
    client.socket.destroy()
  })

  it("UNSUBSCRIBE the same; MQTT 3.1.1 could not tell, and closes", async () => {
    await start({ subscriptionsPerPacketMax: 2 })
    const client = await connected(kit.port)
    client.send(unsubscribe(["a", "b"]))
    expect((await client.packet())[0]).toBe(0xb0)
    client.send(unsubscribe(["a", "b", "c"]))
    const noSubscriptionExisted = 0x11
    const codes = [...(await client.packet()).subarray(-3)]
    expect(codes).toEqual([noSubscriptionExisted, noSubscriptionExisted, implementationSpecificError])
    client.socket.destroy()
    const old = await connected(kit.port, { version: 4 })
    old.send(unsubscribe(["a", "b", "c"], 4))
    expect(await old.rest()).toHaveLength(0)
  })

  it("a million filters are answered with a million codes", async () => {
    await start({})
    const client = await connected(kit.port)
    const filters = Array.from({ length: 1_000_000 }, () => [0, 1, 0x61, 0]).flat()
    client.send(packet(0x82, [0, 1, 0], filters))
    const suback = await client.packet()
    expect(suback[0]).toBe(0x90)
    const codes = suback.subarray(-1_000_000)
    expect(codes.subarray(0, 10_000).every((code) => code === 0)).toBe(true)
    expect(codes.subarray(10_000).every((code) => code === quotaExceeded)).toBe(true)
    expect(kit.mqtt.directory.subscriptions.size).toBe(1)
    client.socket.destroy()
  })
})

describe("subscriptionsPerSessionMax", () => {
  for (const version of bothVersions) {
    it(`MQTT ${version}: a session has 10,000, each filter above them its own code, and the connection stays`, async () => {
      await start({})
      const client = await connected(kit.port, { version })
      const filters = Array.from({ length: 500 }, (_, i) => i)
      for (let packetId = 1; packetId <= 21; packetId++) {
        client.send(
          subscribePacket(
            packetId,
            filters.map((i) => [`ha/${packetId}/${i}/state`, 0] as const),
            version
          )
        )
        const codes = (await client.packet()).subarray(-500)
        const expected = packetId <= 20 ? 0 : version === 5 ? quotaExceeded : 0x80
        expect(codes.every((code) => code === expected)).toBe(true)
      }
      client.send(publishPacket("ha/20/499/state", "on", { version }))
      expect((await client.packet()).includes("ha/20/499/state")).toBe(true)
      client.socket.destroy()
    })
  }
})

describe("mqttPacketBytesMax", () => {
  it("raised, larger messages are stored, also several in one turn", async () => {
    await start({ mqttPacketBytesMax: 4 * 1024 * 1024, recordBatchBytesMax: 4 * 1024 * 1024 })
    await kit.bind("all", ["#"])
    const client = await connected(kit.port)
    const payload = "x".repeat(3_000_000)
    client.send(...[1, 2].map((packetId) => publishPacket("a", payload, { qos: 1, packetId })))
    for (const packetId of [1, 2]) expect([...(await client.packet()).subarray(0, 4)]).toEqual([0x40, 2, 0, packetId])
    expect(kit.records("all").map(({ value }) => value?.length)).toEqual([3_000_000, 3_000_000])
    client.socket.destroy()
  })

  it("4 MiB as shipped: a retained list of 1.2 MB is taken, kept and delivered", async () => {
    await start({})
    const client = await connected(kit.port)
    expect(connackOf(client.accepted).properties).toMatchObject({ maximumPacketSize: 4 * 1024 * 1024 })
    client.send(publishPacket("zigbee2mqtt/bridge/devices", "x".repeat(1_200_000), { qos: 1, retain: true }))
    expect((await client.packet())[0]).toBe(0x40)
    client.send(subscribePacket(1, [["zigbee2mqtt/#", 0]]))
    expect((await client.packet())[0]).toBe(0x90)
    expect((await client.packet()).length).toBeGreaterThan(1_200_000)
    client.send(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x02]))
    expect((await client.rest())[2]).toBe(packetTooLarge)
  })

  it("a message that a stream cannot hold is refused, stored nowhere, and the connection stays", async () => {
    await start({})
    await kit.bind("small", ["s/#"], 1, { config: [["max.message.bytes", "1000"]] })
    await kit.bind("all", ["#"])
    const client = await connected(kit.port)
    client.send(publishPacket("s/1", "x".repeat(1000), { qos: 1, packetId: 1 }))
    expect([...(await client.packet()).subarray(0, 5)].slice(2)).toEqual([0, 1, quotaExceeded])
    client.send(publishPacket("t", "x".repeat(1_200_000), { qos: 1, packetId: 2 }))
    expect([...(await client.packet()).subarray(0, 5)].slice(2)).toEqual([0, 2, quotaExceeded])
    client.send(publishPacket("s/1", "x".repeat(500), { qos: 1, packetId: 3 }))
    expect([...(await client.packet())]).toEqual([0x40, 2, 0, 3])
    for (const stream of ["small", "all"]) expect(kit.records(stream).map(({ value }) => value?.length)).toEqual([500])
    expect(kit.broker.metrics.render()).toContain(`dropped_total{reason="too_large"} 2`)
    client.socket.destroy()
  })
})

it("what codecs take on their own, for tests and tools, is what a server ships with", async () => {
  await start({})
  expect(kit.mqtt.noMount.decoding.limits).toEqual(defaultCodecLimits)
})
