import { sessionActor } from "@logbrook/actors/session/SessionProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Holder } from "@logbrook/core/memory/MemoryAccount"
import mqtt, { type IClientOptions, type MqttClient } from "mqtt"
import { generate } from "mqtt-packet"
import { connected, type Kit, startKit, subscribePacket } from "./kit.ts"
import { newestState } from "../../../core/test/support/newestState.ts"

let kit: Kit
const clients: Array<MqttClient> = []

beforeEach(async () => {
  kit = await startKit()
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await kit.stop()
})

/** As if others had taken all but so much. */
const fill = (holder: Holder, leftBytes = 0): void => {
  const { memory } = kit.shard
  memory.add(holder, memory.room(holder) - leftBytes)
}

const connect = async (options: IClientOptions = {}): Promise<MqttClient> => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${kit.port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    ...options
  })
  clients.push(client)
  return client
}

const refusalOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "taken",
    (error: { code?: number }) => error.code
  )

const dropped = (reason: string): number => {
  const line = kit.broker.metrics.render().match(new RegExp(`messages_dropped_total\\{reason="${reason}"\\} (\\d+)`))
  return Number(line?.[1] ?? 0)
}

const bytes = (holder: Holder): number => kit.shard.memory.bytes(holder)

/** QoS 0, under this topic alias. */
const publishOf = (topic: string, alias: number): Buffer =>
  generate(
    { cmd: "publish", topic, payload: "x", qos: 0, dup: false, retain: false, properties: { topicAlias: alias } },
    { protocolVersion: 5 }
  )

const willOf = (payload: string) => ({ topic: "gone", payload: Buffer.from(payload), qos: 0, retain: false }) as const

describe("without memory for more", () => {
  it("what was retained and cleared, and sessions that have ended, leave all of it to others", async () => {
    const { memory } = kit.shard
    const leftBytes = 4000
    const client = await connect()
    fill("retained", leftBytes)
    fill("sessions", leftBytes)
    for (let i = 0; i < 20; i++) {
      await client.publishAsync(`r/${i}`, "x", { qos: 1, retain: true })
      await client.publishAsync(`r/${i}`, "", { qos: 1, retain: true })
      const session = await connect({ clientId: `session${i}`, properties: { sessionExpiryInterval: 60 } })
      await session.subscribeAsync("a", { qos: 1 })
      expect(memory.room("sessions")).toBeLessThan(leftBytes)
      await session.endAsync({ properties: { sessionExpiryInterval: 0 } })
      await expect.poll(() => memory.room("sessions")).toBe(leftBytes)
    }
    expect(memory.room("retained")).toBe(leftBytes)
  })

  it("a new durable session's CONNECT is answered with 0x97, of MQTT 3.1.1 with 3; a known one is resumed, a clean one begun", async () => {
    const durable = { clientId: "known", clean: false, properties: { sessionExpiryInterval: 60 } }
    const known = await connect(durable)
    await known.endAsync()
    fill("sessions")
    expect(await refusalOf(connect({ ...durable, clientId: "new" }))).toBe(0x97)
    expect(await refusalOf(connect({ clientId: "new", clean: false, protocolVersion: 4 }))).toBe(3)
    expect((await connect({ clientId: "clean" })).connected).toBe(true)
    const will = { topic: "gone", payload: Buffer.alloc(1000), qos: 1, retain: false } as const
    expect(await refusalOf(connect({ ...durable, will }))).toBe(0x97)
    expect((await connect(durable)).connected).toBe(true)
  })

  it("a takeover that is refused ends the session's old connection all the same: its will is published, and the client may come again", async () => {
    const watcher = await connected(kit.port, { clientId: "watcher" })
    watcher.send(subscribePacket(1, [["gone", 0]]))
    await watcher.packet()
    const durable = { clientId: "known", clean: false, properties: { sessionExpiryInterval: 60 } }
    await connect({ ...durable, will: willOf("old") })
    fill("sessions")
    expect(await refusalOf(connect({ ...durable, will: willOf("x".repeat(1000)) }))).toBe(0x97)
    expect((await watcher.packet()).toString()).toContain("gone\u0000old")
    const { life } = newestState<SessionState>(kit.shard.actors, sessionActor("known"))!
    expect([life.connectionId, life.will]).toEqual([null, null])
    expect((await connect(durable)).connected).toBe(true)
    watcher.socket.destroy()
  })

  it("a filter is refused for itself, with 0x97 or 0x80, and what is unsubscribed makes room", async () => {
    const five = await connect({ clientId: "five" })
    const four = await connect({ clientId: "four", protocolVersion: 4 })
    await five.subscribeAsync("a")
    fill("sessions")
    const codes: Array<unknown> = []
    for (const client of [five, four])
      client.on("packetreceive", (packet) => packet.cmd === "suback" && codes.push(packet.granted))
    await refusalOf(five.subscribeAsync(["b"], { qos: 1 }))
    await refusalOf(four.subscribeAsync(["b"], { qos: 1 }))
    expect(codes).toEqual([[0x97], [0x80]])
    await five.unsubscribeAsync("a")
    await five.subscribeAsync(["b"], { qos: 1 })
    expect(codes[2]).toEqual([1])
  })

  it("a group that reads a stream is refused for itself with 0x97, and one that there is needs no more for its member", async () => {
    await kit.bind("orders", ["devices/#"], 1)
    const client = await connected(kit.port, { clientId: "member" })
    const answerTo = async (...filters: ReadonlyArray<string>): Promise<ReadonlyArray<number>> => {
      client.send(
        subscribePacket(
          1,
          filters.map((filter) => [filter, 1])
        )
      )
      return [...(await client.packet()).subarray(-filters.length)]
    }
    // Each takes 3.7 KB, with its subscription.
    fill("sessions", 9000)
    const groups = Array.from({ length: 5 }, (_, i) => `$share/g${i}/$stream/orders`)
    expect(await answerTo(groups[0]!, "plain", ...groups.slice(1), "other")).toEqual([1, 1, 1, 0x97, 0x97, 0x97, 1])
    fill("sessions")
    expect(await answerTo(...groups)).toEqual([1, 1, 0x97, 0x97, 0x97])
    expect([...kit.mqtt.directory.get("member")!.subscriptions.filters()].sort()).toEqual([
      groups[0],
      groups[1],
      "other",
      "plain"
    ])
    client.socket.destroy()
  })

  it("no stream gets a retained message that is refused, which is 0x97 and counted; what is retained may grow by what there is, be replaced and cleared", async () => {
    await kit.bind("stored", ["r/#"], 1)
    const client = await connect()
    await client.publishAsync("r/a", "12345", { qos: 1, retain: true })
    fill("retained", 10)
    expect(await refusalOf(client.publishAsync("r/b", "1", { qos: 1, retain: true }))).toBe(0x97)
    expect(await refusalOf(client.publishAsync("r/b", "1", { qos: 2, retain: true }))).toBe(0x97)
    await client.publishAsync("r/b", "1", { qos: 0, retain: true })
    await client.publishAsync("r/a", "7654321", { qos: 1, retain: true })
    expect(await refusalOf(client.publishAsync("r/a", "x".repeat(20), { qos: 1, retain: true }))).toBe(0x97)
    await client.publishAsync("r/a", "", { qos: 1, retain: true })
    expect(kit.records("stored").map(({ value }) => value)).toEqual(["12345", "7654321", ""])
    expect(dropped("retained_full")).toBe(4)
  })

  it("a message of QoS 2 is refused before a stream has it", async () => {
    await kit.bind("stored", ["q"], 1)
    const client = await connect()
    fill("sessions")
    expect(await refusalOf(client.publishAsync("q", "1", { qos: 2 }))).toBe(0x97)
    await client.publishAsync("q", "2", { qos: 1 })
    expect(kit.records("stored").map(({ value }) => value)).toEqual(["2"])
    expect(dropped("no_memory")).toBe(1)
  })
})

describe("on the account while its connection is open", () => {
  it("what a client brings that is no session: itself, topic aliases, routes, a packet in part", async () => {
    await kit.bind("stored", ["t/#"], 1)
    const before = bytes("connections")
    const client = await connected(kit.port, { clientId: "c" })
    const alone = bytes("connections")
    expect(alone).toBeGreaterThan(before)
    client.send(publishOf("t/1", 1))
    await expect.poll(() => bytes("connections")).toBeGreaterThan(alone)
    const first = bytes("connections")
    client.send(publishOf("t/1", 1), publishOf("t/1", 1))
    client.send([0x30, 0x80, 0x80, 0x04], Buffer.alloc(5000, "t"))
    await expect.poll(() => bytes("transit")).toBeGreaterThan(5000)
    expect(bytes("connections")).toBe(first)
    client.socket.destroy()
    await expect.poll(() => [bytes("connections"), bytes("transit")]).toEqual([before, 0])
  })

  it("without room an alias more, and a large packet in part, end the connection with 0x97", async () => {
    for (const sent of [[publishOf("x", 1)], [[0x30, 0x80, 0x80, 0x04], Buffer.alloc(3000, "t")]]) {
      const client = await connected(kit.port, { clientId: "c" })
      fill("connections")
      fill("transit")
      client.send(...(sent as [Buffer]))
      const packet = await client.packet()
      expect([packet[0], packet[2]]).toEqual([0xe0, 0x97])
      client.socket.destroy()
      kit.shard.memory.add("connections", -kit.shard.memory.budget("connections") / 2)
    }
  })

  it("messages that wait for a clean session's client: one more is dropped, and all are given back with the connection", async () => {
    const client = await connected(kit.port, { clientId: "reads-slowly" })
    client.send(subscribePacket(1, [["q", 1]]))
    await client.packet()
    const publisher = await connect({ clientId: "p" })
    const window = kit.broker.limits.inflightPerSessionMax
    for (let n = 0; n < window + 2; n++) await publisher.publishAsync("q", "x".repeat(1000), { qos: 1 })
    expect(bytes("transit")).toBeGreaterThan(2000)
    expect(bytes("transit")).toBeLessThan(4000)
    fill("transit", 100)
    await publisher.publishAsync("q", "x".repeat(1000), { qos: 1 })
    expect(dropped("queue_full")).toBe(1)
    const filled = bytes("transit")
    client.socket.destroy()
    await expect.poll(() => bytes("transit")).toBeLessThan(filled - 2000)
  })
})
