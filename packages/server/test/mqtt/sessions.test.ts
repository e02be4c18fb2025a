import * as fs from "node:fs"
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { MessagesDropped } from "@logbrook/actors/session/SessionProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import {
  type Kit,
  type KitOptions,
  connected,
  publishPacket,
  startKit,
  subscribePacket,
  temporaryDirectory
} from "./kit.ts"
import { newestState } from "../../../core/test/support/newestState.ts"
import { newestEvents } from "../support/newestEvents.ts"

let kit: Kit
const clients: Array<MqttClient> = []
const directories: Array<string> = []

const start = async (options: KitOptions = {}): Promise<void> => {
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

const connect = async (version: 4 | 5, options: IClientOptions = {}, url?: string): Promise<MqttClient> => {
  const client = await mqtt.connectAsync(url ?? `mqtt://127.0.0.1:${kit.port}`, {
    protocolVersion: version,
    reconnectPeriod: 0,
    ...options
  })
  clients.push(client)
  return client
}

/** Connects and hears what comes with the CONNACK as well. */
const connectHearing = async (
  version: 4 | 5,
  options: IClientOptions
): Promise<{ client: MqttClient; got: Array<IPublishPacket>; sessionPresent: boolean }> => {
  const client = mqtt.connect(`mqtt://127.0.0.1:${kit.port}`, {
    protocolVersion: version,
    reconnectPeriod: 0,
    ...options
  })
  clients.push(client)
  const got = inbox(client)
  const sessionPresent = await new Promise<boolean>((resolve, reject) => {
    client.on("connect", (connack) => resolve(connack.sessionPresent))
    client.on("error", reject)
  })
  return { client, got, sessionPresent }
}

const inbox = (client: MqttClient): Array<IPublishPacket> => {
  const packets: Array<IPublishPacket> = []
  client.on("message", (_topic, _payload, packet) => packets.push(packet))
  return packets
}

const texts = (packets: ReadonlyArray<IPublishPacket>): Array<string> => packets.map(({ payload }) => String(payload))

const durable = (version: 4 | 5, clientId: string): IClientOptions => ({
  clientId,
  clean: false,
  ...(version === 5 && { properties: { sessionExpiryInterval: 3600 } })
})

for (const version of [4, 5] as const) {
  describe(`MQTT ${version === 4 ? "3.1.1" : "5"}`, () => {
    it("publishes the will of a client that breaks off, into its stream too, and none after DISCONNECT", async () => {
      await kit.bind("wills", ["wills/#"])
      const watcher = await connect(version)
      const got = inbox(watcher)
      await watcher.subscribeAsync("wills/#", { qos: 1 })
      const will = { topic: "wills/a", payload: Buffer.from("gone"), qos: 1 as const, retain: true }
      const broken = await connect(version, { clientId: "broken", will })
      broken.stream.destroy()
      await expect.poll(() => texts(got)).toEqual(["gone"])
      expect(kit.records("wills").map(({ key, value }) => [key, value])).toEqual([["broken", "gone"]])
      const polite = await connect(version, { clientId: "polite", will })
      await polite.endAsync()
      await expect.poll(() => kit.mqtt.directory.get("polite")).toBe(undefined)
      await kit.seq()
      expect(texts(got)).toEqual(["gone"])
    })

    it("closes the old connection of a client that connects again, and publishes its will", async () => {
      const watcher = await connect(version)
      const got = inbox(watcher)
      await watcher.subscribeAsync("wills/#", { qos: 0 })
      const will = { topic: "wills/a", payload: Buffer.from("taken"), qos: 0 as const, retain: false }
      const old = await connect(version, { clientId: "twin", will })
      const ended = new Promise<number | undefined>((resolve) => {
        old.on("disconnect", (packet) => resolve(packet.reasonCode))
        if (version === 4) old.on("close", () => resolve(undefined))
      })
      const next = await connect(version, { clientId: "twin" })
      expect(await ended).toBe(version === 5 ? 0x8e : undefined)
      await expect.poll(() => texts(got)).toEqual(["taken"])
      await next.publishAsync("x", "still there", { qos: 1 })
      expect([...kit.mqtt.connections()].filter(({ clientId }) => clientId === "twin")).toHaveLength(1)
    })

    if (version === 5) {
      it("publishes a will after willDelayMsMax at most, whatever delay was asked for", async () => {
        await start({ limits: { willDelayMsMax: 200 } })
        await kit.bind("wills", ["wills/#"])
        const properties = { willDelayInterval: 3600 }
        const will = { topic: "wills/a", payload: Buffer.from("late"), qos: 1 as const, retain: false, properties }
        const broken = await connect(5, { clientId: "broken", will, properties: { sessionExpiryInterval: 7200 } })
        const brokeMs = performance.now()
        broken.stream.destroy()
        await expect.poll(() => kit.records("wills").map(({ value }) => value)).toEqual(["late"])
        expect(performance.now() - brokeMs).toBeGreaterThan(150)
      })
    }

    for (const qos of [1, 2] as const) {
      it(`queues QoS ${qos} for a durable session that is away, in order`, async () => {
        const away = await connect(version, durable(version, "away"))
        await away.subscribeAsync("q/#", { qos })
        await away.endAsync()
        const publisher = await connect(version)
        const sent = Array.from({ length: 200 }, (_, i) => `m${i}`)
        // QoS 2 has a hundred packet ids that wait for PUBREL.
        for (let i = 0; i < 200; i += 50) {
          await Promise.all(sent.slice(i, i + 50).map((payload) => publisher.publishAsync("q/a", payload, { qos })))
        }
        const back = await connectHearing(version, durable(version, "away"))
        expect(back.sessionPresent).toBe(true)
        await expect.poll(() => back.got.length).toBe(200)
        expect(texts(back.got)).toEqual(sent)
        await publisher.publishAsync("q/a", "live", { qos })
        await expect.poll(() => texts(back.got).at(-1)).toBe("live")
        await back.client.endAsync()
        const again = await connectHearing(version, durable(version, "away"))
        await kit.seq()
        expect(again.got).toEqual([])
      })
    }

    it("counts what a durable session's full queue has no room for", async () => {
      await start({ limits: { offlineQueueMessagesMax: 3 } })
      const away = await connect(version, durable(version, "away"))
      await away.subscribeAsync("q/#", { qos: 1 })
      await away.endAsync()
      const publisher = await connect(version)
      for (const payload of ["a", "b", "c", "d", "e"]) await publisher.publishAsync("q/a", payload, { qos: 1 })
      const counted = `logbrook_mqtt_messages_dropped_total{reason="queue_full"} 2`
      await expect.poll(() => kit.broker.metrics.render()).toContain(counted)
      const back = await connectHearing(version, durable(version, "away"))
      await expect.poll(() => texts(back.got)).toEqual(["a", "b", "c"])
    })

    it("journals what a full queue drops once a second, not once a message", async () => {
      const offlineQueueMessagesMax = 3
      await start({ limits: { offlineQueueMessagesMax } })
      const away = await connect(version, durable(version, "away"))
      await away.subscribeAsync("q/#", { qos: 1 })
      await away.endAsync()
      const publisher = await connect(version)
      const beganMs = performance.now()
      const sent = 400
      await Promise.all(Array.from({ length: sent }, (_, i) => publisher.publishAsync("q/a", String(i), { qos: 1 })))
      const dropped = () => {
        const events = newestEvents(kit, { actor: "session/away", type: "MessagesDropped" }, 1000)
        return events.map(({ event }) => event as unknown as MessagesDropped)
      }
      const count = () => dropped().reduce((sum, event) => sum + event.count, 0)
      await expect.poll(count).toBe(sent - offlineQueueMessagesMax)
      const seconds = (performance.now() - beganMs) / 1000
      expect(dropped().length).toBeLessThanOrEqual(1 + seconds)
      const limits = ["offlineQueueMessagesMax"]
      for (const event of dropped()) expect(event).toMatchObject({ reason: "QueueFull", limits, logId: 1 })
      const ranges = dropped().flatMap((event) => event.ranges!)
      expect([ranges[0]![0], ranges.at(-1)![1]]).toEqual([offlineQueueMessagesMax, sent - 1])
      const { droppedMessages } = newestState<SessionState>(kit.shard.actors, "session/away")!
      expect(droppedMessages).toBe(sent - offlineQueueMessagesMax)
    })

    it("journals what a full queue has dropped before the server stops", async () => {
      await start({ limits: { offlineQueueMessagesMax: 1 } })
      const stopped = kit
      const away = await connect(version, durable(version, "away"))
      await away.subscribeAsync("q/#", { qos: 1 })
      await away.endAsync()
      const publisher = await connect(version)
      for (const payload of ["a", "b", "c"]) await publisher.publishAsync("q/a", payload, { qos: 1 })
      await start()
      const events = newestEvents(stopped, { type: "MessagesDropped" })
      expect(events.map(({ event }) => (event as unknown as MessagesDropped).count)).toEqual([2])
    })

    it("keeps session, queue and retained messages across a restart", async () => {
      const directory = temporaryDirectory()
      directories.push(directory)
      await start({ directory })
      const away = await connect(version, durable(version, "away"))
      await away.subscribeAsync("q/#", { qos: 2 })
      await away.endAsync()
      const publisher = await connect(version)
      await publisher.publishAsync("q/a", "one", { qos: 1 })
      await publisher.publishAsync("q/a", "two", { qos: 2 })
      await publisher.publishAsync("kept", "retained", { qos: 1, retain: true })
      await start({ directory })
      const late = await connect(version)
      await late.publishAsync("q/b", "three", { qos: 1 })
      const back = await connectHearing(version, durable(version, "away"))
      expect(back.sessionPresent).toBe(true)
      // This client hands on QoS 2 at its PUBREL.
      await expect.poll(() => texts(back.got).sort()).toEqual(["one", "three", "two"])
      const got = inbox(late)
      await late.subscribeAsync("kept", { qos: 0 })
      await expect.poll(() => texts(got)).toEqual(["retained"])
    })

    it("gives each message of a shared subscription to one member, in turns", async () => {
      const members = await Promise.all([connect(version), connect(version), connect(version)])
      const got = members.map(inbox)
      await Promise.all(members.map((member) => member.subscribeAsync("$share/group/s/+", { qos: 1 })))
      const publisher = await connect(version)
      for (let i = 0; i < 30; i++) await publisher.publishAsync("s/a", `m${i}`, { qos: 1 })
      await expect.poll(() => got.flat().length).toBe(30)
      expect(got.map((packets) => packets.length)).toEqual([10, 10, 10])
    })

    it("speaks over WebSocket", async () => {
      const client = await connect(version, {}, `ws://127.0.0.1:${kit.webSocketPort}/mqtt`)
      const got = inbox(client)
      await client.subscribeAsync("ws/#", { qos: 2 })
      const large = "x".repeat(300_000)
      await client.publishAsync("ws/a", large, { qos: 2 })
      await expect.poll(() => texts(got)).toEqual([large])
    })

    it("delivers overlapping subscriptions once, with the highest QoS", async () => {
      const client = await connect(version)
      const got = inbox(client)
      await client.subscribeAsync({ "o/#": { qos: 0 }, "o/+": { qos: 1 }, "o/a": { qos: 0 } })
      await client.publishAsync("o/a", "once", { qos: 2 })
      await expect.poll(() => got.length).toBe(1)
      expect(got[0]).toMatchObject({ qos: 1 })
    })

    it("does not match $ topics by wildcards", async () => {
      const client = await connect(version)
      const got = inbox(client)
      await client.subscribeAsync(["#", "+/x"])
      await client.publishAsync("$other/x", "no", { qos: 1 })
      await client.publishAsync("a/x", "yes", { qos: 1 })
      await expect.poll(() => texts(got)).toEqual(["yes"])
    })
  })
}

it("closes a client that is silent for one and a half keep alive times", async () => {
  const client = await connected(kit.port, { keepAliveSeconds: 1 })
  const from = performance.now()
  expect(await client.rest()).toSatisfy((rest: Buffer) => rest[0] === 0xe0 && rest[2] === 0x8d)
  expect(performance.now() - from).toBeGreaterThan(1300)
})

it("does not count the time in which the server itself reads nothing", async () => {
  await start({ limits: { inboxCommandsMax: 1 } })
  const client = await connected(kit.port, { keepAliveSeconds: 1 })
  kit.shard.hold(true)
  client.send(subscribePacket(1, [["a", 0]]))
  await expect.poll(() => kit.shard.hasRoom).toBe(false)
  client.send([0xc0, 0])
  await new Promise((resolve) => setTimeout(resolve, 2300))
  kit.shard.hold(false)
  const answers = [await client.packet(), await client.packet()]
  expect(answers.map((answer) => answer[0]).toSorted()).toEqual([0x90, 0xd0])
  client.socket.destroy()
})

it("repeats what was sent and not acknowledged, with DUP and the same packet id", async () => {
  const options = { clientId: "again", flags: 0, properties: [17, 0, 0, 14, 16] }
  const first = await connected(kit.port, options)
  first.send(subscribePacket(1, [["d/#", 1]]))
  await first.packet()
  const publisher = await connect(5)
  await publisher.publishAsync("d/a", "again", { qos: 1 })
  const sent = await first.packet()
  expect(sent[0]).toBe(0x32)
  await kit.seq()
  first.socket.destroy()
  const second = await connected(kit.port, options)
  expect(second.accepted[2]).toBe(1)
  const repeated = await second.packet()
  expect(repeated[0]).toBe(0x3a)
  expect(repeated.subarray(1)).toEqual(sent.subarray(1))
  second.socket.destroy()
})

it("goes on with QoS 2 where the connection broke, and sends nothing twice", async () => {
  const options = { clientId: "twice", flags: 0, properties: [17, 0, 0, 14, 16] }
  const first = await connected(kit.port, options)
  first.send(subscribePacket(1, [["d/#", 2]]))
  await first.packet()
  const publisher = await connect(5)
  await publisher.publishAsync("d/a", "once", { qos: 2 })
  const sent = await first.packet()
  const packetId = [sent[7]!, sent[8]!]
  first.send([0x50, 2, ...packetId])
  expect([...(await first.packet())]).toEqual([0x62, 2, ...packetId])
  first.socket.destroy()
  const second = await connected(kit.port, options)
  expect([...(await second.packet())]).toEqual([0x62, 2, ...packetId])
  second.send([0x70, 2, ...packetId])
  await expect
    .poll(() => newestState<{ queue: Map<number, unknown> }>(kit.shard.actors, "session/twice")?.queue.size)
    .toBe(0)
  second.socket.destroy()
})

it("sends the queue of a session in its order, whatever the QoS", async () => {
  const options = { clientId: "order", flags: 0, properties: [17, 0, 0, 14, 16] }
  const first = await connected(kit.port, options)
  first.send(subscribePacket(1, [["d/#", 2]]), [0xe0, 0])
  await first.rest()
  const publisher = await connect(5)
  const sent = ["1a", "2b", "1c", "2d", "2e", "1f"]
  for (const payload of sent) await publisher.publishAsync("d/a", payload, { qos: Number(payload[0]) as 1 | 2 })
  const second = await connected(kit.port, options)
  const got: Array<string> = []
  while (got.length < sent.length) got.push((await second.packet()).subarray(-2).toString())
  expect(got).toEqual(sent)
  second.socket.destroy()
})

it("stores a QoS 2 message once however often it is sent, across connections too", async () => {
  await kit.bind("once", ["once"])
  const options = { clientId: "sender", flags: 0, properties: [17, 0, 0, 14, 16] }
  const message = publishPacket("once", "x", { qos: 2, packetId: 7 })
  const first = await connected(kit.port, options)
  first.send(message, message)
  expect([...(await first.packet())]).toEqual([0x50, 2, 0, 7])
  expect([...(await first.packet())]).toEqual([0x50, 2, 0, 7])
  first.socket.destroy()
  const second = await connected(kit.port, options)
  second.send(publishPacket("once", "x", { qos: 2, packetId: 7, dup: true }))
  expect([...(await second.packet())]).toEqual([0x50, 2, 0, 7])
  second.send([0x62, 2, 0, 7])
  expect([...(await second.packet())]).toEqual([0x70, 2, 0, 7])
  second.send([0x62, 2, 0, 7])
  expect([...(await second.packet())]).toEqual([0x70, 3, 0, 7, 0x92])
  expect(kit.records("once")).toHaveLength(1)
  second.send(publishPacket("once", "y", { qos: 2, packetId: 7 }))
  await second.packet()
  expect(kit.records("once")).toHaveLength(2)
  second.socket.destroy()
})

it("tells MQTT 5 clients that the server stops, and MQTT 3.1.1 clients by the close", async () => {
  const client5 = await connected(kit.port, { clientId: "five" })
  const client4 = await connected(kit.port, { clientId: "four", version: 4 })
  const stopped = kit.stop()
  expect((await client5.rest()).subarray(0, 3)).toSatisfy((rest: Buffer) => rest[0] === 0xe0 && rest[2] === 0x8b)
  expect(await client4.rest()).toHaveLength(0)
  await stopped
  kit = await startKit()
})

it("shows sessions and connections, and kicks", async () => {
  const client = await connected(kit.port, { clientId: "kicked", keepAliveSeconds: 60 })
  client.send(subscribePacket(1, [["a/#", 1]]))
  await client.packet()
  const [session] = [...kit.mqtt.sessions()]
  expect(session).toMatchObject({ clientId: "kicked", isDurable: false, subscriptions: ["a/#"] })
  expect(session!.connection).toMatchObject({ clientId: "kicked", protocolVersion: 5, keepAliveMs: 60_000 })
  expect(kit.mqtt.kick("nobody", "test")).toBe(false)
  expect(kit.mqtt.kick("kicked", "test")).toBe(true)
  expect((await client.rest())[2]).toBe(0x98)
  await expect.poll(() => [...kit.mqtt.sessions()]).toEqual([])
})

describe("raised limits", () => {
  it("let filters be as deep as they say, of sessions and of streams, across a restart", async () => {
    const directory = temporaryDirectory()
    directories.push(directory)
    const options = { directory, limits: { topicLevelsMax: 64 } }
    await start(options)
    const filter = `${"a/".repeat(50)}#`
    await kit.bind("deep", [filter])
    await (await connect(5, durable(5, "deep"))).subscribeAsync(filter, { qos: 1 })
    await start(options)
    const { got } = await connectHearing(5, durable(5, "deep"))
    const publisher = await connect(5)
    await publisher.publishAsync(`${"a/".repeat(50)}b`, "x", { qos: 1 })
    await expect.poll(() => texts(got)).toEqual(["x"])
    expect(kit.records("deep")).toHaveLength(1)
  })
})
