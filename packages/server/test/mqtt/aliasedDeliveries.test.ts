import mqtt, { type IPublishPacket } from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connected, type Kit, publishPacket, type RawClient, startKit, subscribePacket } from "./kit.ts"

// Over real sockets, by the bytes that a client gets and by a client that reads aliases.

let kit: Kit

beforeEach(async () => {
  kit = await startKit({ limits: { topicAliasesMax: 2 } })
})

afterEach(() => kit.stop())

const topicAliasMaximum = (count: number): ReadonlyArray<number> => [0x22, count >>> 8, count & 0xff]

/** A subscriber to everything, and a publisher. */
const pair = async (
  properties: ReadonlyArray<number>,
  version: 4 | 5 = 5
): Promise<readonly [RawClient, RawClient]> => {
  const subscriber = await connected(kit.port, { clientId: "sub", version, properties })
  subscriber.send(subscribePacket(1, [["#", 1]], version))
  await subscriber.packet()
  return [subscriber, await connected(kit.port, { clientId: "pub" })]
}

/** Of a PUBLISH of QoS 0. */
const topicAndProperties = (packet: Buffer): string => {
  const length = packet.readUInt16BE(2)
  const topic = packet.toString("utf8", 4, 4 + length)
  const properties = packet.subarray(5 + length, 5 + length + packet[4 + length]!)
  return `${topic} ${properties.toString("hex")}`.trim()
}

const sent = async ([subscriber, publisher]: readonly [RawClient, RawClient], topics: ReadonlyArray<string>) => {
  publisher.send(...topics.map((topic) => publishPacket(topic, "x")))
  const got: Array<string> = []
  while (got.length < topics.length) got.push(topicAndProperties(await subscriber.packet()))
  return got
}

describe("topic aliases to a client", () => {
  it("stand for topics that come again, as many as client and server allow", async () => {
    const clients = await pair(topicAliasMaximum(100))
    const topics = ["one/topic", "one/topic", "one/topic", "two", "two/topic", "two/topic", "three/topic", "two/topic"]
    expect(await sent(clients, topics)).toEqual([
      "one/topic",
      "one/topic 230001",
      "230001",
      "two",
      "two/topic",
      "two/topic 230002",
      "three/topic",
      "230002"
    ])
    for (const client of clients) client.socket.destroy()
  })

  it("are never sent to a client that has not asked for them [MQTT-3.3.2-10], whatever others get", async () => {
    const clients = await pair(topicAliasMaximum(0))
    const other = await connected(kit.port, { clientId: "other", properties: topicAliasMaximum(1) })
    other.send(subscribePacket(1, [["#", 0]]))
    await other.packet()
    expect(await sent(clients, Array(3).fill("one/topic"))).toEqual(Array(3).fill("one/topic"))
    expect([await other.packet(), await other.packet(), await other.packet()].map(topicAndProperties)).toEqual([
      "one/topic",
      "one/topic 230001",
      "230001"
    ])
    for (const client of [...clients, other]) client.socket.destroy()
  })

  it("end with their connection [MQTT-3.3.2-7]", async () => {
    const topics = ["one/topic", "one/topic", "one/topic"]
    const before = await pair(topicAliasMaximum(1))
    expect(await sent(before, topics)).toContain("230001")
    // Their client ids come again, so the first two are closed.
    const after = await pair(topicAliasMaximum(1))
    for (const client of before) await client.rest()
    expect(await sent(after, topics)).toEqual(["one/topic", "one/topic 230001", "230001"])
    for (const client of after) client.socket.destroy()
  })

  it("are left out where a packet with topic and alias is above Maximum Packet Size", async () => {
    // A PUBLISH of "one/topic" and x takes 14 bytes, 17 with an alias.
    const clients = await pair([...topicAliasMaximum(1), 0x27, 0, 0, 0, 16])
    expect(await sent(clients, Array(4).fill("one/topic"))).toEqual(Array(4).fill("one/topic"))
    for (const client of clients) client.socket.destroy()
  })

  it.each([0, 1, 2] as const)(
    "are read by mqtt.js, QoS %i, with the messages of a payload of any size",
    async (qos) => {
      const url = `mqtt://127.0.0.1:${kit.port}`
      const client = await mqtt.connectAsync(url, { protocolVersion: 5, properties: { topicAliasMaximum: 2 } })
      const got: Array<string> = []
      let aliases = 0
      client.on("packetreceive", (packet) => {
        if (packet.cmd === "publish" && packet.topic === "") aliases++
      })
      client.on("message", (topic, payload, packet: IPublishPacket) => {
        got.push(`${topic} ${payload.length} ${String(packet.properties?.contentType)}`)
      })
      await client.subscribeAsync("+/topic", { qos })
      const wanted: Array<string> = []
      for (let i = 0; i < 60; i++) {
        const topic = `${["a", "b", "c"][i % 3]}/topic`
        const payload = Buffer.alloc(i % 5 === 0 ? 5000 : 10, 1)
        wanted.push(`${topic} ${payload.length} text`)
        await client.publishAsync(topic, payload, { qos, properties: { contentType: "text" } })
      }
      await expect.poll(() => got.length).toBe(60)
      expect(got).toEqual(wanted)
      // mqtt.js would lose the topics of those of QoS 2.
      if (qos === 2) expect(aliases).toBe(0)
      else expect(aliases).toBeGreaterThan(0)
      await client.endAsync()
    }
  )
})
