import * as fs from "node:fs"
import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import { StreamShareStates } from "@logbrook/actors/streamShare/StreamShare"
import mqtt, { type IClientOptions, type MqttClient } from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Kit, type KitOptions, startKit, temporaryDirectory } from "../kit.ts"

let kit: Kit
let directory: string
const clients: Array<MqttClient> = []

beforeEach(async () => {
  directory = temporaryDirectory()
  kit = await startKit({ directory })
  await kit.bind("orders", ["devices/#"], 2)
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await kit.stop()
  fs.rmSync(directory, { recursive: true })
})

const restart = async (options: KitOptions = {}): Promise<void> => {
  await kit.stop()
  kit = await startKit({ directory, ...options })
}

const shared = "$share/g/$stream/orders"
const durable: IClientOptions = { clean: false, properties: { sessionExpiryInterval: 3600, receiveMaximum: 10 } }

type Member = MqttClient & { readonly got: Array<number>; readonly acknowledged: Array<number> }

/** `takes`: so many deliveries are acknowledged. */
const connect = async (
  clientId: string,
  takes = Infinity,
  options: IClientOptions = {},
  taken: (value: number) => void = () => undefined
): Promise<Member> => {
  const client = mqtt.connect(`mqtt://127.0.0.1:${kit.port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    clean: true,
    properties: { receiveMaximum: 10 },
    clientId,
    ...options
  })
  clients.push(client)
  const got: Array<number> = []
  const acknowledged: Array<number> = []
  client.handleMessage = ({ payload }, done) => {
    got.push(Number(payload))
    if (acknowledged.length >= takes) return
    acknowledged.push(Number(payload))
    taken(Number(payload))
    done()
  }
  await new Promise<void>((resolve, reject) => client.once("connect", () => resolve()).once("error", reject))
  return Object.assign(client, { got, acknowledged })
}

const leave = async (client: MqttClient): Promise<void> => {
  clients.splice(clients.indexOf(client), 1)
  await client.endAsync(true)
}

const publish = async (count: number, from = 0): Promise<void> => {
  const client = await connect("publisher")
  await Promise.all(
    Array.from({ length: count }, (_, i) => client.publishAsync("devices/p/up", String(from + i), { qos: 1 }))
  )
  await leave(client)
}

const subscribe = (client: MqttClient, qos: 0 | 1 | 2, properties: Record<string, string> = {}, filter = shared) =>
  client.subscribeAsync(filter, {
    qos,
    properties: { userProperties: { "stream-offset": "earliest", ...properties } }
  })

const remove = (name: string): Promise<unknown> =>
  new Promise((resolve) => {
    const cause = { origin: "test" }
    kit.shard.offer({ to: catalogActor, command: { _tag: "DeleteStream", name }, cause, reply: resolve })
  })

const upTo = (count: number, from = 0): ReadonlyArray<number> =>
  Array.from({ length: count - from }, (_, i) => from + i)

const sorted = (...members: ReadonlyArray<Member>): ReadonlyArray<number> =>
  members.flatMap(({ got }) => got).sort((a, b) => a - b)

const acknowledged = (...members: ReadonlyArray<Member>): ReadonlyArray<number> =>
  members.flatMap((member) => member.acknowledged).sort((a, b) => a - b)

/** Once the clients' acknowledgements are durable. */
const settled = async (): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 200))
  await kit.seq()
}

describe("those who share a subscription of a stream", () => {
  it.each([0, 1, 2] as const)("get each record between them once, and what comes later: QoS %i", async (qos) => {
    await publish(30)
    const a = await connect("a")
    const b = await connect("b", Infinity, durable)
    await subscribe(a, qos, { "stream-offset": "latest" })
    await subscribe(b, qos)
    await publish(30, 30)
    await expect.poll(() => sorted(a, b).length).toBe(30)
    expect(sorted(a, b)).toEqual(upTo(60, 30))
    expect(a.got.length).toBeGreaterThan(5)
    expect(b.got.length).toBeGreaterThan(5)
  })

  it.each([1, 2] as const)("go on where the group was, also over a restart of the server: QoS %i", async (qos) => {
    await publish(20)
    const a = await connect("a")
    await subscribe(a, qos)
    await expect.poll(() => a.acknowledged.length).toBe(20)
    await settled()
    await leave(a)
    await restart()
    await publish(5, 20)
    const b = await connect("b")
    await subscribe(b, qos)
    await expect.poll(() => b.got.length).toBe(5)
    await settled()
    expect(sorted(b)).toEqual(upTo(25, 20))
  })

  it("get what a member with a clean session leaves behind, and nothing that it has acknowledged", async () => {
    await publish(20)
    const a = await connect("a", 5)
    await subscribe(a, 1)
    await expect.poll(() => a.got.length).toBe(6)
    const b = await connect("b")
    await subscribe(b, 1)
    await settled()
    expect(b.got.length).toBeLessThan(15)
    await leave(a)
    await expect.poll(() => acknowledged(a, b)).toEqual(upTo(20))
  })

  it("get at once what a durable session was not sent, and the rest once it ends, of QoS 1", async () => {
    await publish(30)
    const a = await connect("a", 0, durable)
    await subscribe(a, 1)
    await expect.poll(() => a.got.length).toBe(1)
    await settled()
    await leave(a)
    const b = await connect("b")
    await subscribe(b, 1)
    // Its window is full: ten were sent, and they are its own.
    await expect.poll(() => b.got.length).toBe(20)
    await settled()
    expect(sorted(b)).toEqual(upTo(30, 10))
    await leave(await connect("a"))
    await expect.poll(() => sorted(b)).toEqual(upTo(30))
  })

  it("get what a durable session was not sent also if it has unsubscribed before its connection ended", async () => {
    await publish(30)
    const a = await connect("a", 0, durable)
    await subscribe(a, 1)
    await expect.poll(() => a.got.length).toBe(1)
    await settled()
    // It reads nothing any more, no UNSUBACK either.
    a.unsubscribe(shared)
    await expect.poll(() => kit.mqtt.directory.get("a")!.subscriptions.size).toBe(0)
    await leave(a)
    const b = await connect("b")
    await subscribe(b, 1)
    await expect.poll(() => sorted(b)).toEqual(upTo(30, 10))
  })

  it("get nothing of what a durable session was sent with QoS 2, which is its own when it is back", async () => {
    await publish(30)
    // The client's half of a session: what it has received and not released yet.
    const incomingStore = new mqtt.Store({ clean: false })
    const a = await connect("a", 0, { ...durable, incomingStore })
    await subscribe(a, 2)
    await expect.poll(() => a.got.length).toBe(1)
    await settled()
    await leave(a)
    const b = await connect("b")
    await subscribe(b, 2)
    await expect.poll(() => b.got.length).toBe(20)
    const again = await connect("a", Infinity, { ...durable, incomingStore })
    await expect.poll(() => sorted(again)).toEqual(upTo(10))
    expect(sorted(b)).toEqual(upTo(30, 10))
  })

  it("get what the members had when the server died", async () => {
    await publish(20)
    const a = await connect("a", 5)
    await subscribe(a, 1)
    await expect.poll(() => a.got.length).toBe(6)
    await settled()
    await restart()
    const b = await connect("b")
    await subscribe(b, 1)
    await expect.poll(() => acknowledged(a, b)).toEqual(upTo(20))
  })

  it.each([1, 2] as const)("come and go, three of them: each record is acknowledged once, QoS %i", async (qos) => {
    const count = 600
    const got = new Map<number, number>()
    const names = ["a", "b", "c"]
    const stores = new Map(names.map((name) => [name, new mqtt.Store({ clean: false })]))
    const taken = (value: number): void => void got.set(value, (got.get(value) ?? 0) + 1)
    const come = (name: string): Promise<Member> =>
      connect(name, Infinity, { ...durable, incomingStore: stores.get(name)! }, taken)
    const members = await Promise.all(names.map(come))
    for (const member of members) await subscribe(member, qos)
    for (let round = 0; round < 12; round++) {
      const at = round % names.length
      await publish(count / 12, (round * count) / 12)
      // Whatever is on its way is not acknowledged.
      await leave(members[at]!)
      if (round === 6) await restart()
      for (const [i, name] of names.entries()) {
        if (i === at || !members[i]!.connected) members[i] = await come(name)
      }
    }
    await expect.poll(() => got.size).toBe(count)
    await settled()
    expect([...got.keys()].sort((a, b) => a - b)).toEqual(upTo(count))
    // An acknowledgement of QoS 1 may be lost with its connection; of QoS 2 none is.
    if (qos === 2) expect([...got.values()].filter((times) => times !== 1)).toEqual([])
  })
})

/** The groups whose position is known. */
const kept = (): ReadonlyArray<string> =>
  Array.from(kit.broker.shards.view(StreamShareStates).all(), ([, { filter }]) => filter).sort()

const metricsOfGroups = (): ReadonlyArray<string> => {
  const lines = kit.broker.metrics.render().split("\n")
  return lines.filter((line) => line.startsWith("logbrook_mqtt_stream_shares")).sort()
}

describe("a group that reads a stream", () => {
  it("begins as its first member asks, and anew only with stream-reset", async () => {
    await publish(10)
    const a = await connect("a")
    await subscribe(a, 1, { "stream-offset": "last:4" })
    await expect.poll(() => sorted(a)).toEqual(upTo(10, 6))
    const b = await connect("b")
    await subscribe(b, 1)
    await settled()
    expect(b.got).toEqual([])
    await subscribe(b, 1, { "stream-reset": "1" })
    await expect.poll(() => sorted(a, b)).toEqual([...upTo(6), 6, 6, 7, 7, 8, 8, 9, 9])
  })

  it("is another one of another name, and of another filter", async () => {
    await publish(3)
    const a = await connect("a")
    const filters = [shared, "$share/h/$stream/orders", "$share/g/$stream/orders/devices/+/up"]
    for (const filter of filters) await subscribe(a, 1, {}, filter)
    await expect.poll(() => sorted(a)).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2])
  })

  it("ends where it was to end, its last record says so, and its members hear of the stream's deletion", async () => {
    await publish(5)
    const a = await connect("a")
    const marks: Array<string | undefined> = []
    a.on("message", (_topic, _payload, { properties }) => {
      const { "stream-caught-up": isLast, "stream-deleted": isGone } = properties?.userProperties ?? {}
      marks.push(isGone === undefined ? (isLast as string | undefined) : "deleted")
    })
    await subscribe(a, 1, { "stream-until": "now" })
    await expect.poll(() => a.got.length).toBe(5)
    await publish(5, 5)
    await settled()
    expect(sorted(a)).toEqual(upTo(5))
    expect(marks).toEqual([undefined, undefined, undefined, undefined, "1"])
    await remove("orders")
    await expect.poll(() => marks.at(-1)).toBe("deleted")
  })

  it("waits for a stream that is not there yet, and goes on with another one of its name", async () => {
    const a = await connect("a")
    await subscribe(a, 1, { "stream-wait": "1" }, "$share/g/$stream/later")
    await kit.bind("later", ["later/#"])
    const publisher = await connect("publisher")
    await publisher.publishAsync("later/x", "1", { qos: 1 })
    await expect.poll(() => sorted(a)).toEqual([1])
    await remove("later")
    await kit.bind("later", ["later/#"], 1, { topicId: Buffer.from("another one 1234").toString("base64url") })
    await publisher.publishAsync("later/x", "2", { qos: 1 })
    await expect.poll(() => a.got).toContain(2)
  })

  it("counts what retention took before it was read, and marks the first record behind it", async () => {
    await publish(10)
    const a = await connect("a")
    await subscribe(a, 1)
    await expect.poll(() => a.got.length).toBe(10)
    await settled()
    await leave(a)
    await publish(20, 10)
    for (const logId of kit.broker.directory.byName("orders")!.logIds) {
      const log = kit.shard.logs.log(logId)
      if (log.highWatermark > 0) log.moveStart(25)
    }
    const b = await connect("b")
    const gaps: Array<unknown> = []
    b.on("message", (_topic, _payload, { properties }) => gaps.push(properties?.userProperties?.["stream-gap"]))
    await subscribe(b, 1)
    await expect.poll(() => sorted(b)).toEqual(upTo(30, 25))
    expect(gaps.filter(Boolean)).toEqual(["15"])
  })

  it("is read by MQTT 3.1.1, with its options in the filter, and ended by the filter with or without them", async () => {
    await publish(4)
    const a = await connect("a", Infinity, { protocolVersion: 4 })
    const topics: Array<string> = []
    a.on("message", (topic) => topics.push(topic))
    await a.subscribeAsync("$share/g/$stream/orders?from=earliest&topic=full", { qos: 1 })
    await expect.poll(() => sorted(a)).toEqual(upTo(4))
    expect(new Set(topics)).toEqual(new Set(["$stream/orders/devices/p/up"]))
    await a.unsubscribeAsync("$share/g/$stream/orders?from=earliest")
    await publish(2, 4)
    await settled()
    expect(sorted(a)).toEqual(upTo(4))
  })

  it("gives way without members to those that had one later, when there are too many, also of before a start", async () => {
    await restart({ limits: { streamSharesIdleMax: 3 } })
    await publish(2)
    const groups = Array.from({ length: 6 }, (_, i) => `$share/g${i}/$stream/orders`)
    const a = await connect("a")
    for (const group of groups) {
      const { length } = a.got
      await subscribe(a, 1, {}, group)
      await expect.poll(() => a.got.length).toBe(length + 2)
      await settled()
      if (group !== groups[1]) await a.unsubscribeAsync(group)
    }
    // The second one has a member.
    await expect.poll(kept).toEqual([groups[1], groups[3], groups[4], groups[5]])
    expect(metricsOfGroups()).toEqual([
      "logbrook_mqtt_stream_shares_given_up_total 2",
      'logbrook_mqtt_stream_shares{state="idle"} 3',
      'logbrook_mqtt_stream_shares{state="with_members"} 1'
    ])
    await subscribe(a, 1, {}, groups[3])
    await settled()
    expect(a.got.length).toBe(12)
    await a.unsubscribeAsync(groups[3]!)
    await leave(a)
    await restart({ limits: { streamSharesIdleMax: 1 } })
    await expect.poll(() => kept().length).toBe(1)
  })

  it("loses nothing while a member's queue is full", async () => {
    await restart({ limits: { offlineQueueMessagesMax: 3, inflightPerSessionMax: 2 } })
    await publish(40)
    const a = await connect("a")
    const b = await connect("b", Infinity, durable)
    await subscribe(a, 1)
    await subscribe(b, 1)
    await expect.poll(() => sorted(a, b)).toEqual(upTo(40))
  })
})
