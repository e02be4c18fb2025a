import * as fs from "node:fs"
import mqtt, { type MqttClient } from "mqtt"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { HeldJournal } from "../../../core/test/support/HeldJournal.ts"
import { type Kit, type KitOptions, connected, packet, startKit, subscribePacket, temporaryDirectory } from "./kit.ts"

let kit: Kit
const directories: Array<string> = []
const clients: Array<MqttClient> = []

const start = async (options: KitOptions): Promise<void> => {
  await kit.stop()
  kit = await startKit(options)
}

beforeEach(async () => {
  kit = await startKit()
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await kit.stop()
  for (const directory of directories.splice(0)) fs.rmSync(directory, { recursive: true })
})

const connect = async (options: mqtt.IClientOptions): Promise<MqttClient> => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${kit.port}`, { protocolVersion: 5, ...options })
  clients.push(client)
  return client
}

const atOnce = 50

/** In their order. */
const retain = async (count: number, payload: string | Buffer, qos: 1 | 2 = 1): Promise<void> => {
  const publisher = await connect({ clientId: "retains" })
  const publish = (i: number) => publisher.publishAsync(`many/${i}`, payload, { qos, retain: true })
  for (let i = 0; i < count; i += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, count - i) }, (_, n) => publish(i + n)))
  }
}

const idOf = (message: Buffer): [number, number] => {
  const at = 4 + message[3]!
  return [message[at]!, message[at + 1]!]
}

const topicOf = (message: Buffer): string => message.subarray(4, 4 + message[3]!).toString()

const unsubscribePacket = (packetId: number, filter: string): Buffer =>
  packet(0xa2, [0, packetId, 0, 0, filter.length], Buffer.from(filter))

/** What comes within 300 ms of silence, each message acknowledged. */
const drained = async (client: Awaited<ReturnType<typeof connected>>, first: ReadonlyArray<Buffer> = []) => {
  const messages = [...first]
  for (let quietMs = 0; quietMs < 300;) {
    if (client.waitingBytes === 0) {
      quietMs += 20
      await new Promise((resolve) => setTimeout(resolve, 20))
      continue
    }
    quietMs = 0
    const next = await client.packet()
    if (next[0]! >>> 4 !== 3) continue
    messages.push(next)
    client.send([0x40, 2, ...idOf(next)])
  }
  return messages
}

describe("retained messages of a new subscription", () => {
  it.each([0, 1] as const)(
    "end with the newest of each topic, and never go back, while they change: QoS %i",
    async (qos) => {
      const directory = temporaryDirectory()
      directories.push(directory)
      await start({ directory })
      const topics = Array.from({ length: 100 }, (_, i) => `many/${i}`)
      const rounds = 60
      const publisher = await connect({ clientId: "pub" })
      const session = { clean: false, properties: { sessionExpiryInterval: 3600 } }
      const subscriber = await connect({ clientId: "sub", ...(qos === 1 && session) })
      const newest = new Map<string, number>()
      const wentBack: Array<string> = []
      subscriber.on("message", (topic, payload) => {
        const value = Number(payload)
        if (value < (newest.get(topic) ?? 0)) wentBack.push(`${topic}: ${newest.get(topic)} to ${value}`)
        newest.set(topic, value)
      })
      for (let round = 1; round <= rounds; round++) {
        const published = topics.map((topic) => publisher.publishAsync(topic, String(round), { qos: 1, retain: true }))
        const filter = round % 2 === 0 ? "many/#" : "many/+"
        if (round % 3 === 1) {
          await new Promise((resolve) => setTimeout(resolve, round % 7))
          await subscriber.subscribeAsync(filter, { qos })
        }
        await Promise.all(published)
        if (round % 3 === 2) await subscriber.unsubscribeAsync(["many/#", "many/+"])
      }
      await subscriber.subscribeAsync("many/#", { qos })
      await expect.poll(() => topics.filter((topic) => newest.get(topic) !== rounds)).toEqual([])
      expect(wentBack).toEqual([])
    }
  )

  it("go to who was not subscribed yet when they came", async () => {
    const directory = temporaryDirectory()
    directories.push(directory)
    await start({ directory })
    const publisher = await connect({ clientId: "pub" })
    for (let i = 0; i < 150; i++) {
      const subscriber = await connected(kit.port, { clientId: `sub${i}` })
      subscriber.send(subscribePacket(1, [[`late/${i}`, 0]]))
      await new Promise((resolve) => setTimeout(resolve, i % 5))
      await publisher.publishAsync(`late/${i}`, "x", { qos: 1, retain: true })
      expect((await subscriber.packet())[0]).toBe(0x90)
      expect((await subscriber.packet())[0]! >>> 4).toBe(3)
      subscriber.socket.destroy()
    }
  })

  it.each([0, 1] as const)("are not dropped while the client takes its time: QoS %i", async (qos) => {
    await retain(40, Buffer.alloc(600_000, 0x78))
    const subscriber = await connect({ clientId: "sub" })
    const got = new Set<string>()
    subscriber.on("message", (topic) => void got.add(topic))
    subscriber.stream.pause()
    subscriber.subscribe("many/#", { qos })
    await new Promise((resolve) => setTimeout(resolve, 300))
    subscriber.stream.resume()
    await expect.poll(() => got.size).toBe(40)
    expect(kit.broker.metrics.render()).not.toMatch(/dropped_total\{reason="(slow_consumer|queue_full)"\} [1-9]/)
  })

  it("stop with UNSUBSCRIBE", async () => {
    await retain(500, "x")
    const subscriber = await connected(kit.port, { clientId: "sub", properties: [33, 0, 1] })
    subscriber.send(subscribePacket(1, [["many/#", 1]]))
    expect((await subscriber.packet())[0]).toBe(0x90)
    const first = await subscriber.packet()
    subscriber.send(unsubscribePacket(2, "many/#"))
    expect((await subscriber.packet())[0]).toBe(0xb0)
    subscriber.send([0x40, 2, ...idOf(first)])
    expect((await drained(subscriber)).length).toBeLessThan(150)
    subscriber.socket.destroy()
  })

  it("come once however often the same filter is subscribed to before they are taken", async () => {
    await retain(100, "x")
    const subscriber = await connected(kit.port, { clientId: "sub", properties: [33, 0, 1] })
    for (let i = 1; i <= 50; i++) subscriber.send(subscribePacket(i, [["many/#", 1]]))
    expect((await drained(subscriber)).length).toBeLessThan(300)
    subscriber.socket.destroy()
  })

  it("take no more memory before SUBSCRIBE is durable than one takes, however many come together", async () => {
    const journal = new HeldJournal()
    await start({ journal })
    await retain(60, Buffer.alloc(100, 0x78))
    const subscriber = await connected(kit.port, { clientId: "sub" })
    const { memory } = kit.shard
    const [before, reads] = [memory.bytes("transit"), vi.spyOn(kit.mqtt.retained, "get")]
    journal.hold()
    subscriber.send(...Array.from({ length: 50 }, (_, i) => subscribePacket(i + 1, [["many/#", 0]])))
    await expect.poll(() => kit.mqtt.directory.get("sub")!.unanswered?.get("many/#")?.packets).toBe(50)
    await expect.poll(() => journal.undurable).toBe(1)
    const [taken, bytes] = [reads.mock.calls.length, memory.bytes("transit") - before]
    journal.release()
    expect([taken, bytes]).toEqual([64, 64 * 400])
    expect(new Set((await drained(subscriber)).map(topicOf)).size).toBe(60)
    expect(memory.bytes("transit")).toBe(before)
    subscriber.socket.destroy()
  })

  it("are on the account of memory while they wait, and come all of them where it is full", async () => {
    const count = 2000
    const publisher = await connect({ clientId: "retains" })
    const publish = (i: number) => publisher.publishAsync(`many/${i}`, "x", { qos: 1, retain: true })
    await Promise.all(Array.from({ length: count }, (_, i) => publish(i)))
    const { memory } = kit.shard
    const before = memory.bytes("transit")
    const waiting = await connected(kit.port, { clientId: "waiting" })
    waiting.send(subscribePacket(1, [["many/#", 1]]))
    expect((await waiting.packet())[0]).toBe(0x90)
    await expect.poll(() => memory.bytes("transit") - before).toBeGreaterThan(count * 16)
    memory.add("transit", memory.room("transit"))
    const full = memory.bytes("transit")
    const subscriber = await connected(kit.port, { clientId: "sub" })
    subscriber.send(subscribePacket(1, [["many/#", 0]]))
    const topics = (await drained(subscriber)).map(topicOf)
    expect([topics.length, new Set(topics).size]).toEqual([count, count])
    expect(Math.abs(memory.bytes("transit") - full)).toBeLessThan(256 * 16)
    expect((await drained(waiting)).length).toBe(count)
    expect(memory.bytes("transit")).toBeLessThan(full - count * 16)
    waiting.socket.destroy()
    subscriber.socket.destroy()
  })

  it("come once when they change before they are taken: as any subscriber gets them", async () => {
    await retain(300, "old")
    const subscriber = await connected(kit.port, { clientId: "sub", properties: [33, 0, 4] })
    subscriber.send(subscribePacket(1, [["many/#", 1]]))
    await subscriber.packet()
    const first = await subscriber.packet()
    const publisher = await connect({ clientId: "pub" })
    await publisher.publishAsync("many/299", "new", { qos: 1, retain: true })
    subscriber.send([0x40, 2, ...idOf(first)])
    const all = await drained(subscriber, [first])
    const changed = all.filter((message) => topicOf(message) === "many/299")
    expect(changed.map((message) => [message.subarray(-3).toString(), message[0]! & 1])).toEqual([["new", 0]])
    expect(all).toHaveLength(300)
    subscriber.socket.destroy()
  })

  it("do not come to who has published them, with No Local [MQTT-3.8.3-3]", async () => {
    await retain(3, "x")
    const own = await connect({ clientId: "own" })
    await own.publishAsync("many/own", "x", { qos: 1, retain: true })
    const topics: Array<string> = []
    own.on("message", (topic) => void topics.push(topic))
    await own.subscribeAsync("many/+", { qos: 1, nl: true })
    await expect.poll(() => topics.toSorted()).toEqual(["many/0", "many/1", "many/2"])
    await own.subscribeAsync("many/own", { qos: 1 })
    await expect.poll(() => topics).toContain("many/own")
    expect(topics).toHaveLength(4)
  })

  it.each(["broken", "taken over"])(
    "come to a durable session when it is back, its connection %s before",
    async (how) => {
      await retain(300, "x")
      const options = { clientId: "sub", flags: 0, properties: [17, 0, 0, 14, 16, 33, 0, 8] }
      const subscriber = await connected(kit.port, options)
      subscriber.send(subscribePacket(1, [["many/#", 1]]))
      await subscriber.packet()
      const first = await subscriber.packet()
      if (how === "broken") subscriber.socket.destroy()
      const again = await connected(kit.port, options)
      const all = await drained(again, [first])
      expect(new Set(all.map(topicOf)).size).toBe(300)
      // What is in its queue does not come again besides.
      expect(all).toHaveLength(301)
      again.socket.destroy()
      // It is through: nothing comes again.
      const later = await connected(kit.port, options)
      expect(await drained(later)).toEqual([])
      later.socket.destroy()
      subscriber.socket.destroy()
    }
  )

  it("are those of the moment of SUBSCRIBE, also when the session is back: what is set meanwhile comes once", async () => {
    await retain(300, "old")
    const options = { clientId: "sub", flags: 0, properties: [17, 0, 0, 14, 16, 33, 0, 8] }
    const subscriber = await connected(kit.port, options)
    subscriber.send(subscribePacket(1, [["many/#", 1]]))
    await subscriber.packet()
    await subscriber.packet()
    subscriber.socket.destroy()
    await expect.poll(() => kit.mqtt.directory.get("sub")?.connection).toBe(undefined)
    const publisher = await connect({ clientId: "pub" })
    await publisher.publishAsync("many/299", "new", { qos: 1, retain: true })
    await publisher.publishAsync("many/300", "new", { qos: 1, retain: true })
    const again = await connected(kit.port, options)
    const all = await drained(again)
    expect(new Set(all.map(topicOf)).size).toBe(301)
    expect(all).toHaveLength(301)
    const changed = all.filter((message) => ["many/299", "many/300"].includes(topicOf(message)))
    expect(changed.map((message) => [message.subarray(-3).toString(), message[0]! & 1])).toEqual([
      ["new", 0],
      ["new", 0]
    ])
    again.socket.destroy()
  })

  it("do not come to a session that began anew, or to a filter that it has no more", async () => {
    await retain(300, "x")
    const options = { clientId: "sub", flags: 0, properties: [17, 0, 0, 14, 16, 33, 0, 8] }
    const begun = async () => {
      const subscriber = await connected(kit.port, options)
      subscriber.send(subscribePacket(1, [["many/#", 1]]))
      await subscriber.packet()
      await subscriber.packet()
      return subscriber
    }
    const first = await begun()
    first.socket.destroy()
    const anew = await connected(kit.port, { ...options, flags: 2 })
    expect(await drained(anew)).toEqual([])
    anew.socket.destroy()
    const second = await begun()
    second.send(unsubscribePacket(2, "many/#"))
    await drained(second)
    second.socket.destroy()
    const later = await connected(kit.port, options)
    expect((await drained(later)).length).toBeLessThan(150)
    later.socket.destroy()
  })

  it("go on when the client refuses each", async () => {
    await retain(300, "x", 2)
    const subscriber = await connected(kit.port, { clientId: "sub" })
    subscriber.send(subscribePacket(1, [["many/#", 2]]))
    await subscriber.packet()
    for (let i = 0; i < 300; i++) subscriber.send([0x50, 3, ...idOf(await subscriber.packet()), 0x97])
    subscriber.socket.destroy()
  })
})
