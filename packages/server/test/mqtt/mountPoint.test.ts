import { sessionActor } from "@logbrook/actors/session/SessionProtocol"
import * as Effect from "effect/Effect"
import mqtt from "mqtt"
import type { IClientOptions, MqttClient } from "mqtt"
import type * as mqttPacket from "mqtt-packet"
import { listenMqtt } from "../../src/mqtt/MqttListener.ts"
import { mountedFilter, mountedTopic, unmountedTopic } from "../../src/mqtt/MountPoint.ts"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { localListener } from "../support/listener.ts"
import { acquired } from "../support/parts.ts"
import { connected, type Kit, parsed, publishPacket, startKit, subscribePacket } from "./kit.ts"

// Listeners with mount points: the clients of each are below a prefix of topics. `port` is one without.

let kit: Kit
let a: number
let b: number
let stops: Array<() => Promise<unknown>>

beforeEach(async () => {
  kit = await startKit({ limits: { topicBytesMax: 64, topicLevelsMax: 8 } })
  const at = async (name: string, mountPoint: string): Promise<number> => {
    const { made, close } = await acquired(listenMqtt(kit.mqtt, { ...localListener(name), mountPoint }))
    stops.push(close)
    return made.port
  }
  stops = []
  a = await at("a", "tenants/a/")
  b = await at("b", "tenants/b/")
})

afterEach(async () => {
  for (const stop of stops.reverse()) await stop()
  await kit.stop()
})

interface Client {
  readonly client: MqttClient
  /** What has come: `topic payload`. */
  readonly got: Array<string>
  readonly responseTopics: Array<string | undefined>
}

const connect = async (port: number, options: IClientOptions = {}): Promise<Client> => {
  const client = mqtt.connect({ host: "127.0.0.1", port, protocolVersion: 5, reconnectPeriod: 0, ...options })
  stops.push(async () => void client.end(true))
  const got: Array<string> = []
  const responseTopics: Array<string | undefined> = []
  client.on("message", (topic, payload, { properties }) => {
    got.push(`${topic} ${String(payload)}`)
    responseTopics.push(properties?.responseTopic)
  })
  await new Promise<void>((resolve, reject) => {
    client.once("connect", () => resolve())
    client.once("error", reject)
  })
  return { client, got, responseTopics }
}

/** Everything that was published before has reached whoever is to have it. */
const settled = async (...clients: ReadonlyArray<Client>): Promise<void> => {
  for (const { client, got } of clients) {
    const before = got.length
    await client.subscribeAsync("settled")
    await client.publishAsync("settled", "now", { qos: 1 })
    await expect.poll(() => got.includes("settled now", before)).toBe(true)
    got.splice(got.indexOf("settled now", before), 1)
  }
}

/** Whether a client that comes there with Clean Start 0 finds its session. */
const presentAt = async (port: number): Promise<boolean> => {
  const bytes = [0x11, 0, 0, 3, 0xe8]
  const { accepted, socket } = await connected(port, { clientId: "c", flags: 0, properties: bytes })
  const isClosed = new Promise((resolve) => socket.once("close", resolve))
  socket.destroy()
  await isClosed
  return accepted[2] === 1
}

describe("a mount point", () => {
  it("is before all that its clients publish and subscribe, and in nothing that they are sent", async () => {
    await kit.bind("all", ["tenants/#"])
    const outside = await connect(kit.port)
    const below = await connect(a)
    const elsewhere = await connect(b)
    await outside.client.subscribeAsync("tenants/#")
    const filters = ["#", "+/x", "s/x"]
    for (const filter of filters) await below.client.subscribeAsync(filter)
    await elsewhere.client.subscribeAsync("#")
    for (const qos of [0, 1, 2] as const) await below.client.publishAsync("s/x", String(qos), { qos })
    await outside.client.publishAsync("tenants/a/t", "from outside", { qos: 1 })
    await outside.client.publishAsync("tenants/c/t", "of nobody", { qos: 1 })
    await settled(outside, below, elsewhere)
    expect(outside.got.filter((each) => !each.includes("settled"))).toEqual([
      "tenants/a/s/x 0",
      "tenants/a/s/x 1",
      "tenants/a/s/x 2",
      "tenants/a/t from outside",
      "tenants/c/t of nobody"
    ])
    expect(below.got).toEqual(["s/x 0", "s/x 1", "s/x 2", "t from outside"])
    expect(elsewhere.got).toEqual([])
    const topics = kit.records("all").map(({ headers }) => headers.find(([name]) => name === "mqtt.topic")![1])
    expect(topics.slice(0, 3)).toEqual(["tenants/a/s/x", "tenants/a/s/x", "tenants/a/s/x"])
    for (const filter of filters) await below.client.unsubscribeAsync(filter)
    await outside.client.publishAsync("tenants/a/t", "too late", { qos: 1 })
    await settled(below)
    expect(below.got).toHaveLength(4)
  })

  it("is before retained messages, wills, shared subscriptions and the topics of responses", async () => {
    const will = { topic: "will", payload: Buffer.from("gone"), qos: 1, properties: { responseTopic: "r" } } as const
    const leaving = await connect(a, { will })
    await leaving.client.publishAsync("kept", "retained", { retain: true, qos: 1 })
    const below = await connect(a)
    const elsewhere = await connect(b)
    const outside = await connect(kit.port)
    await below.client.subscribeAsync(["kept", "will", "$share/group/asked"])
    await elsewhere.client.subscribeAsync(["kept", "will", "$share/group/asked"])
    await outside.client.subscribeAsync(["tenants/a/will", "tenants/a/asked"])
    leaving.client.stream.destroy()
    await expect.poll(() => below.got).toEqual(["kept retained", "will gone"])
    await below.client.publishAsync("asked", "by a", { qos: 1, properties: { responseTopic: "answers" } })
    const properties = { responseTopic: "tenants/a/answers" }
    await outside.client.publishAsync("tenants/a/asked", "inside", { qos: 1, properties })
    await outside.client.publishAsync("tenants/a/asked", "not", { qos: 1, properties: { responseTopic: "answers" } })
    await settled(below, elsewhere, outside)
    expect(below.got.slice(2)).toEqual(["asked by a", "asked inside", "asked not"])
    // One that its client could not reach is not told.
    expect(below.responseTopics.slice(1, 5)).toEqual(["r", "answers", "answers", undefined])
    expect(outside.got.slice(0, 2)).toEqual(["tenants/a/will gone", "tenants/a/asked by a"])
    expect(outside.responseTopics.slice(0, 2)).toEqual(["tenants/a/r", "tenants/a/answers"])
    expect(elsewhere.got).toEqual([])
  })

  it("leaves topics that begin with $ outside: they are refused", async () => {
    const below = await connect(a)
    const subscriber = await connected(a)
    const filters = ["$SYS/#", "$other/a", "$share/g/$SYS/#"]
    subscriber.send(
      subscribePacket(
        1,
        filters.map((filter) => [filter, 0] as const)
      )
    )
    const { granted } = parsed<mqttPacket.ISubackPacket>(await subscriber.packet())
    expect(granted).toEqual([0x87, 0x87, 0x87])
    const publish = (topic: string) => below.client.publishAsync(topic, "x", { qos: 1 })
    for (const topic of ["$SYS/broker/connection/x/state", "$other/a"]) {
      await expect(publish(topic)).rejects.toMatchObject({ code: 0x87 })
    }
    await expect(connect(a, { will: { topic: "$other/a", payload: Buffer.from("x") } })).rejects.toMatchObject({
      code: 0x87
    })
    // Without a mount point they are like any other.
    const outside = await connect(kit.port)
    await outside.client.publishAsync("$other/a", "x", { qos: 1 })
  })

  it("is told as the reason only for topics that nothing else is against, read or written", async () => {
    const client = await connected(a)
    const readReason = async (filter: string) => {
      client.send(subscribePacket(1, [[filter, 0]]))
      return parsed<mqttPacket.ISubackPacket>(await client.packet()).properties?.reasonString
    }
    const writeReason = async (topic: string) => {
      client.send(publishPacket(topic, "x", { qos: 1 }))
      return parsed<mqttPacket.IPubackPacket>(await client.packet()).properties?.reasonString
    }
    const outside = "topics that begin with $ are outside of the listener's mount point"
    expect([await readReason("$other/a"), await writeReason("$other/a")]).toEqual([outside, outside])
    expect([await readReason("$SYS/a"), await writeReason("$SYS/a")]).toEqual([
      outside,
      "topics under $SYS are the server's own"
    ])
    expect([await readReason("$queue/a"), await writeReason("$queue/a")]).toEqual([
      "topics under $stream, $share and $queue have no messages",
      "nobody publishes to topics under $stream, $share and $queue"
    ])
  })

  it("narrows streams to what is below it", async () => {
    await kit.bind("all", ["tenants/#"])
    const outside = await connect(kit.port)
    for (const topic of ["tenants/a/x", "tenants/b/x", "tenants/a/y"])
      await outside.client.publishAsync(topic, topic, { qos: 1 })
    const userProperties = { "stream-offset": "earliest" }
    const reads = async (filter: string, more: Record<string, string> = {}) => {
      const reader = await connect(a)
      await reader.client.subscribeAsync(filter, {
        qos: 1,
        properties: { userProperties: { ...userProperties, ...more } }
      })
      await settled(reader)
      return reader.got.filter((each) => !each.includes("settled")).map((each) => each.split(" ")[0])
    }
    expect(await reads("$stream/all")).toEqual(["x", "y"])
    expect(await reads("$stream/all/y")).toEqual(["y"])
    expect(await reads("$stream/all/+", { "stream-topic": "full" })).toEqual(["$stream/all/x", "$stream/all/y"])
    const old = await connect(a, { protocolVersion: 4 })
    await old.client.subscribeAsync("$stream/all?from=earliest/x")
    await expect.poll(() => old.got).toEqual(["x tenants/a/x"])
    await old.client.unsubscribeAsync("$stream/all/x")
    await outside.client.publishAsync("tenants/a/x", "later", { qos: 1 })
    await settled(old)
    expect(old.got).toEqual(["x tenants/a/x"])
  })

  it("has none of the topic above it, which MQTT matches with # otherwise, nor of a stream that its name would make", async () => {
    await kit.bind("all", ["tenants/#"])
    await kit.bind("tenants", ["other/#"])
    const outside = await connect(kit.port)
    const durable = { clientId: "c", clean: false, properties: { sessionExpiryInterval: 1000 } }
    const away = await connect(a, durable)
    await away.client.subscribeAsync("#", { qos: 1 })
    await away.client.endAsync()
    const below = await connect(a)
    const sharing = await connect(a)
    const others = await connect(kit.port)
    await others.client.subscribeAsync("$share/g/tenants/a/#", { qos: 1 })
    await sharing.client.subscribeAsync("$share/g/#", { qos: 1 })
    await below.client.subscribeAsync("#", { qos: 1 })
    const topics = ["tenants/a", "tenants/a/", "tenants/a/$SYS/x", "tenants/a/x", "tenants/a/x/y"]
    for (const topic of topics) {
      await outside.client.publishAsync(topic, topic, { qos: 1, retain: true })
    }
    await outside.client.publishAsync("other/x", "other", { qos: 1 })
    const reads = await connect(a)
    const userProperties = { "stream-offset": "earliest" }
    for (const filter of ["$stream/all", "$stream/all/#"]) {
      await reads.client.subscribeAsync(filter, { qos: 1, properties: { userProperties } })
      await reads.client.unsubscribeAsync(filter)
    }
    const again = await connect(a, durable)
    const late = await connect(a)
    await late.client.subscribeAsync("#", { qos: 1 })
    const own = ["x tenants/a/x", "x/y tenants/a/x/y"]
    // What they may not have was published first.
    for (const { got } of [below, sharing, again, late]) await expect.poll(() => got).toEqual(own)
    await expect.poll(() => reads.got).toEqual([...own, ...own])
    await expect.poll(() => others.got.map((each) => each.split(" ")[1])).toEqual(topics)
    const subscriber = await connected(a)
    const names = ["$stream", "$stream/", "$stream//x", "$share/a/$share/"]
    subscriber.send(
      subscribePacket(
        1,
        names.map((filter) => [filter, 0] as const)
      )
    )
    expect(parsed<mqttPacket.ISubackPacket>(await subscriber.packet()).granted).toEqual([0x8f, 0x8f, 0x8f, 0x8f])
  })

  it("has none of what is above it, whatever its session has subscribed to before", async () => {
    const session = await connect(a, { clientId: "c", clean: false, properties: { sessionExpiryInterval: 1000 } })
    const outside = await connect(kit.port)
    const { id: connectionId } = [...kit.mqtt.connections()].find(({ clientId }) => clientId === "c")!
    const rest = { noLocal: false, retainAsPublished: false, retainHandling: 0, subscriptionId: null } as const
    const subscriptions = ([0, 1] as const).map((qos) => ({ filter: ["tenants/#", "tenants/a/#"][qos]!, qos, ...rest }))
    const command = { _tag: "Subscribe", connectionId, subscriptions } as const
    await Effect.runPromise(kit.broker.shards.ask(sessionActor("c"), command, { origin: "test" }))
    await outside.client.publishAsync("tenants/a", "of QoS 0")
    await outside.client.publishAsync("tenants/a", "of QoS 1", { qos: 1 })
    await outside.client.publishAsync("tenants/a/x", "below", { qos: 1 })
    await expect.poll(() => session.got).toEqual(["x below"])
    expect(kit.broker.metrics.render()).toContain('messages_dropped_total{reason="outside_mount_point"} 2')
    // What was dropped leaves the queue.
    await expect.poll(() => kit.mqtt.directory.get("c")!.facts.queued).toBe(0)
  })

  it("has sessions of its own: below another one a client begins anew", async () => {
    const durable = { clientId: "c", clean: false, properties: { sessionExpiryInterval: 1000 } }
    const first = await connect(a, durable)
    await first.client.subscribeAsync("#", { qos: 1 })
    await first.client.endAsync()
    const outside = await connect(kit.port)
    await outside.client.publishAsync("tenants/a/x", "waits", { qos: 1 })
    expect(await presentAt(a)).toBe(true)
    const again = await connect(a, durable)
    await expect.poll(() => again.got).toEqual(["x waits"])
    await again.client.endAsync()
    expect(await presentAt(b)).toBe(false)
    expect(await presentAt(b)).toBe(true)
    expect(await presentAt(kit.port)).toBe(false)
    expect(await presentAt(a)).toBe(false)
  })

  it("counts for the limits of topics, so that the server's are within them", async () => {
    const longest = "x".repeat(64 - "tenants/a/".length)
    const fits = await connected(a)
    fits.send(publishPacket(longest, "x", { qos: 1 }))
    expect((await fits.packet())[0]).toBe(0x40)
    for (const topic of [`${longest}x`, "1/2/3/4/5/6/7"]) {
      const client = await connected(a)
      client.send(publishPacket(topic, "x", { qos: 1 }))
      const end = await client.rest()
      expect([end[0], end[2]]).toEqual([0xe0, 0x90])
    }
  })
})

describe("names below a mount point", () => {
  const mountPoint = "m/"

  it.each([
    ["a", "m/a"],
    ["#", "m/+/#"],
    ["+/#", "m/+/#"],
    ["a/#", "m/a/#"],
    ["$share/g/#", "$share/g/m/+/#"],
    ["$share/g/$share/", "$share/g/$share/"],
    ["$share/g/a/+", "$share/g/m/a/+"],
    ["$SYS/#", "$SYS/#"],
    ["$share/g/$SYS/#", "$share/g/$SYS/#"],
    ["$stream", "$stream"],
    ["$stream/", "$stream/"],
    ["$stream//a", "$stream//a"],
    ["$stream/s", "$stream/s/m/+/#"],
    ["$stream/s/#", "$stream/s/m/+/#"],
    ["$stream/s/", "$stream/s/"],
    ["$stream/s?from=earliest", "$stream/s?from=earliest/m/+/#"],
    ["$stream/s?from=earliest/a/#", "$stream/s?from=earliest/m/a/#"],
    ["$share/g/$stream/s/a", "$share/g/$stream/s/m/a"]
  ])("%s is %s for the server", (filter, mounted) => {
    expect(mountedFilter(mountPoint, filter)).toBe(mounted)
    expect(mountedFilter("", filter)).toBe(filter)
  })

  it.each([
    ["m/a", "a"],
    ["m/m/a", "m/a"],
    ["m", undefined],
    ["m/", undefined],
    ["m/$SYS/a", undefined],
    ["other/a", undefined],
    ["$stream/s/m/a", "$stream/s/a"],
    ["$stream/s", "$stream/s"],
    ["$stream/s/other", undefined],
    ["$stream/s/m/$a", undefined]
  ])("%s is %s for the client", (topic, own) => {
    expect(unmountedTopic(mountPoint, topic)).toBe(own)
    if (own !== undefined && !own.startsWith("$")) expect(mountedTopic(mountPoint, own)).toBe(topic)
  })
})
