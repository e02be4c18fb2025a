import mqtt, { type IClientOptions, type IClientSubscribeOptions, type ISubscriptionGrant, type MqttClient } from "mqtt"
import { partitionActor, type PartitionKind } from "@logbrook/actors/partition/Partition"
import type { CommandOf } from "@logbrook/core/actor/Kind"
import { encodeHeaders } from "@logbrook/core/Record"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import * as Effect from "effect/Effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { batchOf, startMs } from "../../kafka/kit.ts"
import { type Kit, type KitOptions, connected, startKit, subscribePacket } from "../kit.ts"

let kit: Kit
const clients: Array<MqttClient> = []

beforeEach(async () => {
  kit = await startKit()
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await kit.stop()
})

const restart = async (options: KitOptions): Promise<void> => {
  await kit.stop()
  kit = await startKit(options)
}

interface Delivered {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly subscriptionIdentifier: number | ReadonlyArray<number> | undefined
  readonly properties: ReadonlyMap<string, string | ReadonlyArray<string>>
}

type Reader = MqttClient & { readonly got: Array<Delivered> }

const connect = async (options: IClientOptions = {}): Promise<Reader> => {
  const client = mqtt.connect(`mqtt://127.0.0.1:${kit.port}`, { protocolVersion: 5, reconnectPeriod: 0, ...options })
  clients.push(client)
  const got: Array<Delivered> = []
  client.on("message", (topic, payload, { qos, retain, properties }) => {
    got.push({
      topic,
      payload: payload.toString(),
      qos,
      retain,
      subscriptionIdentifier: properties?.subscriptionIdentifier,
      properties: new Map(Object.entries(properties?.userProperties ?? {}))
    })
  })
  await new Promise<void>((resolve, reject) => client.once("connect", () => resolve()).once("error", reject))
  return Object.assign(client, { got })
}

/** `count` messages 0, 1, 2 … of this client, to `devices/CLIENT/up` unless another topic is given. */
const publish = async (clientId: string, count: number, topic = `devices/${clientId}/up`, from = 0): Promise<void> => {
  const client = await connect({ clientId })
  await Promise.all(
    Array.from({ length: count }, (_, i) => client.publishAsync(topic, `${clientId} ${from + i}`, { qos: 1 }))
  )
  clients.splice(clients.indexOf(client), 1)
  await client.endAsync()
}

/** mqtt.js sends no SUBSCRIBE at all with user properties of which there are none. */
const subscribe = async (
  client: Reader,
  filter: string,
  userProperties: Readonly<Record<string, string>> = {},
  qos: 0 | 1 | 2 = 0,
  options: IClientSubscribeOptions = { qos }
): Promise<ReadonlyArray<ISubscriptionGrant>> =>
  client.subscribeAsync(filter, {
    ...options,
    qos,
    ...(Object.keys(userProperties).length > 0 && { properties: { userProperties: { ...userProperties } } })
  })

/** The reason codes and reason string of a SUBACK for one filter. */
const suback = async (filter: string, version: 4 | 5 = 5) => {
  const client = await connected(kit.port, { clientId: "raw", version })
  client.send(subscribePacket(1, [[filter, 1]], version))
  const answer = await client.packet()
  client.socket.destroy()
  return { code: answer.at(-1)!, text: answer.toString() }
}

const numbers = (got: ReadonlyArray<Delivered>, clientId: string): ReadonlyArray<number> =>
  got.flatMap(({ payload }) => (payload.startsWith(`${clientId} `) ? [Number(payload.split(" ")[1])] : []))

const upTo = (count: number, from = 0): ReadonlyArray<number> =>
  Array.from({ length: count - from }, (_, i) => from + i)

describe("a subscription of a stream", () => {
  beforeEach(() => kit.bind("orders", ["devices/#"], 4))

  it.each([0, 1, 2] as const)(
    "gives the history in the order of each partition, then what comes: QoS %i",
    async (qos) => {
      for (const client of ["a", "b", "c"]) await publish(client, 300)
      const reader = await connect({ clientId: "reader" })
      const [grant] = await subscribe(reader, "$stream/orders", { "stream-offset": "earliest" }, qos)
      expect(grant!.qos).toBe(qos)
      await expect.poll(() => reader.got.length, { timeout: 20_000 }).toBe(900)
      expect(reader.got.findIndex(({ properties }) => properties.get("stream-caught-up") === "1")).toBe(899)
      await publish("a", 50, undefined, 300)
      await expect.poll(() => reader.got.length, { timeout: 20_000 }).toBe(950)
      expect(numbers(reader.got, "a")).toEqual(upTo(350))
      for (const client of ["b", "c"]) expect(numbers(reader.got, client)).toEqual(upTo(300))
      expect(new Set(reader.got.map((each) => each.qos))).toEqual(new Set([qos]))
    }
  )

  it("returns the place, the time and the Subscription Identifier", async () => {
    const beforeMs = Date.now()
    const publisher = await connect({ clientId: "p" })
    await publisher.publishAsync("devices/p/up", "x", { qos: 1, properties: { userProperties: { unit: ["C", "K"] } } })
    const reader = await connect()
    await reader.subscribeAsync("$stream/orders/#", {
      qos: 1,
      properties: { subscriptionIdentifier: 7, userProperties: { "stream-offset": "earliest" } }
    })
    await expect.poll(() => reader.got.length).toBe(1)
    const { topic, properties, subscriptionIdentifier } = reader.got[0]!
    expect(topic).toBe("devices/p/up")
    expect(subscriptionIdentifier).toBe(7)
    expect([...properties.keys()]).toEqual(["unit", "stream", "partition", "offset", "ts", "key", "stream-caught-up"])
    expect(properties.get("unit")).toEqual(["C", "K"])
    expect(properties.get("key")).toBe("p")
    expect(Number(properties.get("ts")) / 1000).toBeGreaterThanOrEqual(beforeMs)
  })

  it("begins with what comes next, unless it says otherwise", async () => {
    await publish("a", 5)
    const reader = await connect()
    await subscribe(reader, "$stream/orders")
    await publish("a", 3, undefined, 5)
    await expect.poll(() => numbers(reader.got, "a")).toEqual([5, 6, 7])
    expect(reader.got.some(({ properties }) => properties.has("stream-caught-up"))).toBe(false)
  })

  it.each([
    ["last:7", 7],
    ["-1h", 20],
    ["0", 20],
    ["2020-01-01", 20],
    ["latest", 0]
  ])("begins at %s and ends at now", async (start, count) => {
    for (const client of ["a", "b"]) await publish(client, 10)
    const reader = await connect()
    await subscribe(reader, "$stream/orders", { "stream-offset": start, "stream-until": "now" })
    await publish("a", 1, undefined, 10)
    await subscribe(reader, "$stream/orders/#", { "stream-offset": "earliest" })
    // The second one has all of it, so the first one has had its time.
    await expect.poll(() => reader.got.length).toBe(count + 21)
    await kit.seq()
    expect(reader.got).toHaveLength(count + 21)
  })

  it("can begin at the time of a delivery, and at its partition and offset", async () => {
    await publish("a", 5)
    await new Promise((resolve) => setTimeout(resolve, 5))
    await publish("a", 5, undefined, 5)
    const reader = await connect()
    await subscribe(reader, "$stream/orders", { "stream-offset": "earliest" })
    await expect.poll(() => reader.got.length).toBe(10)
    const { properties } = reader.got[5]!
    const partition = String(properties.get("partition"))
    const again = await connect()
    await subscribe(again, "$stream/orders", { "stream-offset": String(properties.get("ts")) })
    await subscribe(again, "$stream/orders/#", { "stream-offset": `offset:${partition}:8` })
    await expect.poll(() => numbers(again.got, "a").toSorted((a, b) => a - b)).toEqual([5, 6, 7, 8, 8, 9, 9])
  })

  it("may have a narrower filter, and the stream before its topics", async () => {
    for (const client of ["a", "b"]) await publish(client, 3)
    await publish("a", 1, "devices/a/down")
    const reader = await connect()
    await subscribe(reader, "$stream/orders/devices/+/down", { "stream-offset": "earliest", "stream-topic": "full" })
    await expect.poll(() => reader.got.map(({ topic }) => topic)).toEqual(["$stream/orders/devices/a/down"])
    expect(reader.got[0]!.properties.get("stream-caught-up")).toBe("1")
  })

  it.each([3, 4] as const)("is there for MQTT 3.1.1 and 3.1, by its filter: level %i", async (version) => {
    await publish("a", 40)
    const options = { protocolVersion: version, ...(version === 3 && { protocolId: "MQIsdp" as const }) }
    const reader = await connect({ ...options, clientId: "old" })
    await reader.subscribeAsync("$stream/orders?from=last:5&topic=full/devices/#", { qos: 1 })
    await publish("a", 1, undefined, 40)
    await expect.poll(() => numbers(reader.got, "a")).toEqual(upTo(41, 35))
    expect(new Set(reader.got.map(({ topic }) => topic))).toEqual(new Set(["$stream/orders/devices/a/up"]))
    await reader.unsubscribeAsync("$stream/orders/devices/#")
    await publish("a", 1, undefined, 41)
    await kit.seq()
    expect(reader.got).toHaveLength(6)
  })

  it("ends with UNSUBSCRIBE, and goes on with a second SUBSCRIBE unless that begins anew", async () => {
    await publish("a", 3)
    const reader = await connect()
    await subscribe(reader, "$stream/orders", { "stream-offset": "earliest" })
    await expect.poll(() => reader.got.length).toBe(3)
    await subscribe(reader, "$stream/orders", { "stream-offset": "earliest" })
    await publish("a", 1, undefined, 3)
    await expect.poll(() => numbers(reader.got, "a")).toEqual([0, 1, 2, 3])
    await subscribe(reader, "$stream/orders", { "stream-offset": "earliest", "stream-reset": "1" })
    await expect.poll(() => numbers(reader.got, "a")).toEqual([0, 1, 2, 3, 0, 1, 2, 3])
    await reader.unsubscribeAsync("$stream/orders")
    await publish("a", 1, undefined, 4)
    await kit.seq()
    expect(reader.got).toHaveLength(8)
  })

  it("gives a client not what it has published, with No Local", async () => {
    const reader = await connect({ clientId: "me" })
    await reader.publishAsync("devices/me/up", "mine", { qos: 1 })
    await publish("a", 1)
    await subscribe(reader, "$stream/orders", { "stream-offset": "earliest" }, 0, { qos: 0, nl: true })
    await expect.poll(() => reader.got.map(({ payload }) => payload)).toEqual(["a 0"])
  })

  it("tells the retain flag with Retain As Published alone", async () => {
    const publisher = await connect()
    await publisher.publishAsync("devices/p/up", "x", { qos: 1, retain: true })
    const reader = await connect()
    await subscribe(reader, "$stream/orders", { "stream-offset": "earliest" }, 0, { qos: 0, rap: true })
    await subscribe(reader, "$stream/orders/#", { "stream-offset": "earliest" })
    await expect.poll(() => reader.got.map(({ retain }) => retain)).toEqual([true, false])
  })

  it("goes on at the oldest record that retention has left, which says how many are missing", async () => {
    await restart({ limits: { inflightPerSessionMax: 1 } })
    await kit.bind("orders", ["devices/#"], 1)
    await publish("a", 20)
    const reader = await connect({ manualConnect: false })
    let acknowledge: (() => void) | undefined
    reader.handleMessage = (_packet, done) => {
      acknowledge = () => done()
    }
    await subscribe(reader, "$stream/orders", { "stream-offset": "earliest" }, 1)
    await expect.poll(() => reader.got.length).toBe(1)
    const logId = kit.broker.directory.byName("orders")!.logIds[0]!
    kit.shard.logs.log(logId).moveStart(15)
    // What was read ahead comes as it was; a reader that has to read again finds the gap.
    reader.handleMessage = (_packet, done) => done()
    acknowledge?.()
    await expect.poll(() => numbers(reader.got, "a").at(-1)).toBe(19)
    const again = await connect()
    await subscribe(again, "$stream/orders", { "stream-offset": "offset:0:2" })
    await expect.poll(() => numbers(again.got, "a")).toEqual([15, 16, 17, 18, 19])
    expect(again.got[0]!.properties.get("stream-gap")).toBe("13")
  })

  it("does not hold up what is live, and drops nothing, for a client that is slow", async () => {
    await publish("a", 200)
    // More than the system's buffers take, and the 1 MiB beyond which a message of QoS 0 is dropped.
    const big = "x".repeat(40_000)
    const publisher = await connect({ clientId: "big" })
    await Promise.all(upTo(400).map((i) => publisher.publishAsync("devices/big/up", `big ${i} ${big}`, { qos: 1 })))
    const reader = await connect()
    await subscribe(reader, "live")
    reader.stream.pause()
    const subscribed = subscribe(reader, "$stream/orders", { "stream-offset": "earliest" })
    await new Promise((resolve) => setTimeout(resolve, 300))
    await publisher.publishAsync("live", "now", { qos: 1 })
    reader.stream.resume()
    await subscribed
    await expect.poll(() => reader.got.length, { timeout: 20_000 }).toBe(601)
    expect(numbers(reader.got, "big")).toEqual(upTo(400))
    expect(reader.got.map(({ topic }) => topic)).toContain("live")
  })
})

const ask = (logId: number, command: CommandOf<typeof PartitionKind>): Promise<unknown> =>
  Effect.runPromise(kit.broker.shards.ask(partitionActor(logId), command, { origin: "test" }))

describe("a stream that Kafka writes", () => {
  it("arrives on $stream/NAME", async () => {
    await kit.bind("free", [], 1)
    const { shard, broker } = kit
    const batch = shard.partitionBatch(broker.directory.byName("free")!.logIds[0]!, "test")
    const headers = encodeHeaders([[Buffer.from("h"), Buffer.from("1")]])
    batch.records.append(Buffer.from("k"), Buffer.from("v"), headers, Date.now())
    shard.recordsAdded(100)
    await kit.seq()
    const reader = await connect()
    await subscribe(reader, "$stream/free", { "stream-offset": "earliest" }, 1)
    await expect.poll(() => reader.got.length).toBe(1)
    const { topic, payload, properties } = reader.got[0]!
    expect([topic, payload, properties.get("h"), properties.get("key")]).toEqual(["$stream/free", "v", "1", "k"])
    expect((await suback("$stream/free/a")).code).toBe(0x8f)
  })

  it("is read by the times of its appends, where its records have those", async () => {
    await kit.bind("free", [], 1)
    const logId = kit.broker.directory.byName("free")!.logIds[0]!
    const times = { baseTimestampMs: startMs, maxTimestampMs: startMs }
    const batch = { count: 1, ...times, producerId: -1, producerEpoch: -1, baseSequence: -1, isBehind: false }
    const append = async (
      value: string,
      timestampType: "CreateTime" | "LogAppendTime"
    ): Promise<number | undefined> => {
      const bytes = batchOf([value])
      const command = { _tag: "AppendBatch", bytes, ...batch, transaction: undefined, timestampType } as const
      return ((await ask(logId, command)) as { readonly logAppendTimeMs?: number }).logAppendTimeMs
    }
    await append("by its producer", "CreateTime")
    const appendedMs = (await append("by the log", "LogAppendTime"))!
    const reader = await connect()
    await subscribe(reader, "$stream/free", { "stream-offset": String(appendedMs * 1000) }, 1)
    await expect.poll(() => reader.got.length).toBe(1)
    const { payload, properties } = reader.got[0]!
    expect([payload, properties.get("ts")]).toEqual(["by the log", String(appendedMs * 1000)])
  })
})

/** A batch of a transaction, as a partition gets it. */
const transactional = async (logId: number, sequence: number, value: string): Promise<void> => {
  const bytes = batchOf([value], { producerId: 7, producerEpoch: 0, baseSequence: sequence, isTransactional: true })
  const times = { baseTimestampMs: startMs, maxTimestampMs: startMs }
  const producer = { producerId: 7, producerEpoch: 0, baseSequence: sequence }
  const transaction = { version: 1, isAdded: true } as const
  const batch = { bytes, count: 1, ...times, ...producer, isBehind: false, transaction } as const
  await ask(logId, { _tag: "AppendBatch", ...batch, timestampType: "CreateTime" })
}

const end = (logId: number, outcome: "commit" | "abort"): Promise<unknown> => {
  const marker = { producerId: 7, producerEpoch: 0, coordinatorEpoch: 0, outcome, transactionVersion: 1 } as const
  return ask(logId, { _tag: "WriteMarker", ...marker })
}

describe("a stream that Kafka writes in transactions", () => {
  it.each([
    [0, true],
    [1, false],
    [1, true]
  ] as const)("is delivered when they commit, never when they abort: QoS %i, clean %s", async (qos, clean) => {
    await kit.bind("payments", [], 1)
    const logId = kit.broker.directory.byName("payments")!.logIds[0]!
    const reader = await connect({ clientId: "reader", clean, properties: { sessionExpiryInterval: 60 } })
    await transactional(logId, 0, "aborted before")
    await end(logId, "abort")
    await transactional(logId, 1, "committed before")
    await end(logId, "commit")
    await subscribe(reader, "$stream/payments", { "stream-offset": "earliest" }, qos)
    await expect.poll(() => reader.got.map(({ payload }) => payload)).toEqual(["committed before"])
    expect(reader.got[0]!.properties.get("stream-caught-up")).toBe("1")
    await transactional(logId, 2, "aborted")
    await transactional(logId, 3, "aborted too")
    await end(logId, "abort")
    await transactional(logId, 4, "committed")
    await transactional(logId, 5, "committed too")
    expect(reader.got).toHaveLength(1)
    await end(logId, "commit")
    await transactional(logId, 6, "open")
    await expect
      .poll(() => reader.got.map(({ payload }) => payload))
      .toEqual(["committed before", "committed", "committed too"])
    expect(reader.got.map(({ properties }) => properties.get("offset"))).toEqual(["2", "7", "8"])
  })
})

describe("a stream that is not there", () => {
  it("is waited for by who wants it, and is read from its beginning", async () => {
    const reader = await connect()
    const [grant] = await subscribe(reader, "$stream/later", { "stream-wait": "1" }, 1)
    expect(grant!.qos).toBe(1)
    await kit.bind("later", ["devices/#"], 2)
    await publish("a", 3)
    await expect.poll(() => numbers(reader.got, "a")).toEqual([0, 1, 2])
  })

  it("has its readers told when it is deleted, and read on when there is another one of its name", async () => {
    await kit.bind("orders", ["devices/#"], 2)
    await publish("a", 3)
    const reader = await connect()
    await subscribe(reader, "$stream/orders", { "stream-offset": "earliest" })
    await expect.poll(() => reader.got.length).toBe(3)
    await new Promise<void>((resolve) => {
      const command = { _tag: "DeleteStream", name: "orders" } as const
      kit.shard.offer({ to: catalogActor, command, cause: { origin: "test" }, reply: () => resolve() })
    })
    await expect.poll(() => reader.got.at(-1)!.properties.get("stream-deleted")).toBe("1")
    expect(reader.got.at(-1)!.topic).toBe("$stream/orders")
    await kit.bind("orders", ["devices/#"], 1, { topicId: Buffer.from("another one 4567").toString("base64url") })
    await publish("a", 2, undefined, 3)
    await expect.poll(() => numbers(reader.got, "a")).toEqual([0, 1, 2, 3, 4])
  })
})

describe("SUBACK", () => {
  beforeEach(() => kit.bind("orders", ["devices/#"], 2))

  it.each([
    ["$stream/unknown", "there is no stream unknown"],
    ["$stream/orders?from=yesterday", "it has to be earliest"],
    ["$stream/orders?from=%00", 'stream-offset is "\ufffd"'],
    ["$stream/orders?from=%1b%5B2J%C2%85", 'stream-offset is "\ufffd[2J\ufffd"'],
    ["$stream/orders/other/#", "the filter matches no topic of the stream"],
    ["$stream/orders?from=offset:2:0", "there is no partition 2; there are 2"],
    ["$stream/orders?from=offset:0:1", "partition 0 ends at 0"],
    ["$stream/#", "is no stream's name"],
    ["$share/g/$stream", "is no stream's name"],
    ["$share/g/$stream/unknown", "there is no stream unknown"],
    ["$share/g/$stream/orders?from=yesterday", "it has to be earliest"],
    ["$share/g/$stream/orders/other/#", "the filter matches no topic of the stream"]
  ])("is 0x8F with a reason for %s", async (filter, reason) => {
    const { code, text } = await suback(filter)
    expect(code).toBe(0x8f)
    expect(text).toContain(reason)
    expect((await suback(filter, 4)).code).toBe(0x80)
    const told = kit.lines.filter(({ message }) => message === "mqtt: a subscription was refused")
    expect(told.map(({ fields }) => [fields["filter"], fields["code"]])).toEqual([
      [filter, "0x8f"],
      [filter, "0x8f"]
    ])
    expect(told[1]!.fields["reason"]).toContain(reason)
    // And it is no ordinary subscription.
    expect(kit.mqtt.directory.subscriptions.size).toBe(0)
  })

  it("is 0x87 for what the client may not read, whether or not it is there", async () => {
    const asked: Array<string> = []
    const rule: ConstructorParameters<typeof Authorizer>[0] = [
      (_principal, operation, resource) => {
        asked.push(`${operation} ${resource.type} ${"name" in resource ? resource.name : ""}`)
        return resource.type === "Topic" ? { reason: "BoundStream", text: "not yours" } : undefined
      }
    ]
    await restart({ authorizer: new Authorizer(rule) })
    await kit.bind("orders", ["devices/#"], 2)
    for (const filter of ["$stream/orders", "$stream/unknown", "$share/g/$stream/orders"]) {
      const { code, text } = await suback(filter)
      expect([code, text.includes("not yours")]).toEqual([0x87, true])
    }
    expect(asked).toEqual(["Read Topic orders", "Read Topic unknown", "Read Topic orders"])
  })

  it("is 0x97 for more streams than a packet may name", async () => {
    const client = await connected(kit.port, { clientId: "many" })
    const filters = Array.from({ length: 65 }, (_, i) => [`$stream/orders/devices/${i}`, 0] as const)
    client.send(subscribePacket(1, filters))
    const codes = [...(await client.packet()).subarray(-65)]
    expect(codes).toEqual([...Array.from({ length: 64 }, () => 0), 0x97])
    client.socket.destroy()
  })
})
