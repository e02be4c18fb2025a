import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connected, type Kit, publishPacket, startKit, subscribePacket } from "./kit.ts"

let kit: Kit

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

const compact = [["cleanup.policy", "compact"]] as const

const userProperty = (name: string, value: string): ReadonlyArray<number> => [
  38,
  0,
  name.length,
  ...Buffer.from(name),
  0,
  value.length,
  ...Buffer.from(value)
]

const published = async (...packets: ReadonlyArray<Buffer>): Promise<ReadonlyArray<number | undefined>> => {
  const client = await connected(kit.port)
  client.send(...packets)
  const codes: Array<number | undefined> = []
  while (codes.length < packets.length) codes.push((await client.packet())[4])
  client.socket.destroy()
  return codes
}

describe("a bound stream that is compacted", () => {
  it("gets a tombstone for an emptied retained message, and nothing else empties a topic", async () => {
    await kit.bind("last", ["t/#"], 1, { key: "topic", config: compact })
    await kit.bind("all", ["t/#"], 1, { key: "topic" })
    await kit.bind("byClient", ["t/#"], 1, { config: compact })
    await published(
      publishPacket("t/a", "1", { qos: 1, retain: true, packetId: 1 }),
      publishPacket("t/a", "", { qos: 1, packetId: 2 }),
      publishPacket("t/a", "", { qos: 1, retain: true, packetId: 3 })
    )
    const values = (stream: string) => kit.records(stream).map(({ value }) => value)
    expect(values("last")).toEqual(["1", "", null])
    expect(kit.records("last").map(({ key }) => key)).toEqual(["t/a", "t/a", "t/a"])
    expect(values("all")).toEqual(["1", "", ""])
    expect(values("byClient")).toEqual(["1", "", ""])
  })

  it("refuses a message without a key, and says why", async () => {
    await kit.bind("named", ["t/#"], 1, { key: "user-property:name", config: compact })
    await kit.bind("level", ["l/#"], 1, { key: "topic[3]", config: compact })
    const codes = await published(
      publishPacket("t/a", "x", { qos: 1, packetId: 1 }),
      publishPacket("t/a", "y", { qos: 1, packetId: 2, properties: userProperty("name", "n") }),
      publishPacket("l/a", "x", { qos: 1, packetId: 3 }),
      publishPacket("l/a/b", "y", { qos: 1, packetId: 4 })
    )
    expect(codes).toEqual([0x83, undefined, 0x83, undefined])
    expect(kit.records("named").map(({ key, value }) => [key, value])).toEqual([["n", "y"]])
    expect(kit.records("level").map(({ key, value }) => [key, value])).toEqual([["b", "y"]])
    expect(kit.broker.metrics.render()).toContain('logbrook_mqtt_messages_dropped_total{reason="without_key"} 2')
  })

  it("counts what nobody is told of: messages of QoS 0 without a key", async () => {
    await kit.bind("named", ["t/#"], 1, { key: "user-property:name", config: compact })
    await kit.bind("level", ["t/x/#"], 1, { key: "topic[4]", config: compact })
    const client = await connected(kit.port)
    const named = userProperty("name", "n")
    client.send(publishPacket("t/a", "x"), publishPacket("t/a", "y", { properties: named }), publishPacket("t/x", "x"))
    client.send(publishPacket("t/x/y", "z", { properties: named, qos: 1 }))
    expect((await client.packet())[4]).toBe(0x83)
    client.socket.destroy()
    // The refusal does not wait until the message of QoS 0 before it is durable.
    await expect.poll(() => kit.records("named").map(({ value }) => value)).toEqual(["y"])
    expect(kit.broker.metrics.render()).toContain('logbrook_mqtt_messages_dropped_total{reason="without_key"} 3')
  })

  it("has a message without a key stored by nobody: refused is refused", async () => {
    await kit.bind("all", ["t/#"])
    await kit.bind("named", ["t/#"], 1, { key: "user-property:name", config: compact })
    const subscriber = await connected(kit.port, { clientId: "durable", properties: [17, 0, 0, 0, 60] })
    subscriber.send(subscribePacket(1, [["t/#", 1]]))
    await subscriber.packet()
    const codes = await published(
      publishPacket("t/a", "1", { qos: 1, packetId: 1 }),
      publishPacket("t/a", "2", { qos: 1, packetId: 2, retain: true }),
      publishPacket("t/a", "3", { qos: 2, packetId: 3 })
    )
    expect(codes).toEqual([0x83, 0x83, 0x83])
    await published(publishPacket("t/a", "4", { qos: 1, properties: userProperty("name", "n") }))
    expect((await subscriber.packet()).at(-1)).toBe("4".charCodeAt(0))
    expect(kit.records("all").map(({ value }) => value)).toEqual(["4"])
    expect(kit.mqtt.retained.index.size).toBe(0)
    subscriber.socket.destroy()
  })

  it("drops a will without a key, once", async () => {
    await kit.bind("named", ["t/#"], 1, { key: "user-property:name", config: compact })
    const will = [0, 0, 3, ...Buffer.from("t/w"), 0, 1, 0x78]
    const client = await connected(kit.port, { clientId: "willing", flags: 2 | 4, rest: will })
    client.socket.destroy()
    await expect.poll(() => kit.events.includes("WillDropped")).toBe(true)
    expect(kit.records("named")).toEqual([])
    expect(kit.broker.metrics.render()).toContain('logbrook_mqtt_messages_dropped_total{reason="without_key"} 1')
  })
})
