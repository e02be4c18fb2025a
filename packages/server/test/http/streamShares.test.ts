import mqtt, { type IClientOptions, type MqttClient } from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { newestEvents } from "../support/newestEvents.ts"
import { type MqttHttp, startMqttHttp } from "./mqttKit.ts"

const shared = "$share/g/$stream/orders"
const pathOf = (filter: string): string => `/api/v1/stream-shares/${encodeURIComponent(filter)}`

let http: MqttHttp
const clients: Array<MqttClient> = []

beforeEach(async () => {
  http = await startMqttHttp()
  await http.kit.bind("orders", ["devices/#"], 2)
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await http.stop()
})

/** Has 42 records at most: a window of 10, and 32 more in its queue. */
const connect = async (clientId: string, options: IClientOptions = {}): Promise<MqttClient> => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${http.kit.port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    properties: { receiveMaximum: 10, sessionExpiryInterval: 0 },
    clientId,
    ...options
  })
  clients.push(client)
  return client
}

const held = 42

/** Acknowledges nothing. */
const silent = (client: MqttClient): MqttClient => {
  client.handleMessage = () => undefined
  return client
}

const subscribe = (client: MqttClient, filter = shared, properties: Record<string, string> = {}) =>
  client.subscribeAsync(filter, {
    qos: 1,
    properties: { userProperties: { "stream-offset": "earliest", ...properties } }
  })

const leave = async (client: MqttClient): Promise<void> => {
  clients.splice(clients.indexOf(client), 1)
  await client.endAsync(true)
}

/** All of one topic, so of one partition. */
const publish = async (count: number): Promise<void> => {
  const client = await connect("publisher")
  await Promise.all(Array.from({ length: count }, (_, i) => client.publishAsync("devices/a", String(i), { qos: 1 })))
  await leave(client)
}

const shown = async (filter = shared) => (await http.call(pathOf(filter))).body

const ahead = 60 - held
const whole = { lag: ahead, knownLag: ahead, lost: 0, unknownPartitions: 0 }

describe("groups that read streams over HTTP", () => {
  it("tell members, position, lag and what waits, in each partition", async () => {
    await publish(60)
    await subscribe(
      silent(await connect("durable", { clean: false, properties: { sessionExpiryInterval: 60, receiveMaximum: 10 } }))
    )
    await expect.poll(async () => (await shown()).memberDetails[0].unacknowledged).toBe(10)
    const { partitions, ...rest } = await shown()
    expect(rest).toEqual({
      filter: shared,
      group: "g",
      stream: "orders",
      topicFilter: null,
      members: 1,
      connected: 1,
      emptySince: null,
      waiting: 0,
      ...whole,
      untilAt: null,
      memberDetails: [
        { clientId: "durable", state: "connected", address: "127.0.0.1", qos: 1, queued: held, unacknowledged: 10 }
      ]
    })
    const [empty, full] = partitions.toSorted((a: { offset: number }, b: { offset: number }) => a.offset - b.offset)
    const ofLog = { end: null, logStartOffset: 0, lost: 0, waiting: 0 }
    expect(empty).toEqual({ ...ofLog, partition: 1 - full.partition, offset: 0, highWatermark: 0, lag: 0 })
    expect(full).toEqual({ ...ofLog, partition: full.partition, offset: held, highWatermark: 60, lag: ahead })
    // A durable member is one also while it is away; nobody reads on then.
    await leave(clients[0]!)
    await expect.poll(async () => (await shown()).connected).toBe(0)
    await publish(5)
    expect(await shown()).toMatchObject({
      members: 1,
      connected: 0,
      emptySince: null,
      lag: ahead + 5,
      knownLag: ahead + 5
    })
    expect((await shown()).memberDetails).toMatchObject([{ state: "disconnected", address: null }])
  })

  it("have nothing to read behind their end, and tell it", async () => {
    await publish(8)
    const member = await connect("a")
    const narrower = "$share/g/$stream/orders/devices/+"
    await subscribe(member, narrower, { "stream-until": "offset:0:3,offset:1:3" })
    await expect.poll(async () => (await shown(narrower)).lag).toBe(0)
    expect(await shown(narrower)).toMatchObject({ topicFilter: "devices/+", stream: "orders", untilAt: null })
    expect((await shown(narrower)).partitions).toMatchObject([{ end: 3 }, { end: 3 }])
  })

  it("are listed in pages, with and without members", async () => {
    for (const group of ["b", "a", "c"]) await subscribe(await connect(group), `$share/${group}/$stream/orders`)
    await leave(clients[1]!)
    await expect.poll(async () => (await shown("$share/a/$stream/orders")).emptySince).not.toBe(null)
    for (const limit of [1, 2, 100]) {
      const pages = (await http.pages("/api/v1/stream-shares", limit)) as ReadonlyArray<object>
      expect(pages).toMatchObject(
        ["a", "b", "c"].map((group) => ({
          group,
          members: group === "a" ? 0 : 1,
          emptySince: group === "a" ? expect.any(String) : null
        }))
      )
    }
  })

  it("are deleted once they have no members; the journal says by whom, and the next member begins anew", async () => {
    await publish(60)
    await subscribe(silent(await connect("a")))
    await expect.poll(async () => (await shown()).lag).toBe(ahead)
    expect(await http.call(pathOf(shared), "DELETE")).toMatchObject({
      status: 409,
      body: { code: "GROUP_HAS_MEMBERS" }
    })
    await leave(clients[0]!)
    await expect.poll(async () => (await shown()).emptySince).not.toBe(null)
    // What the member had comes back.
    const { waiting, partitions } = await shown()
    expect([waiting, ...partitions.map((each: { waiting: number }) => each.waiting).toSorted()]).toEqual([
      held,
      0,
      held
    ])
    expect(await http.call(pathOf(shared), "DELETE")).toEqual({ status: 200, body: { waiting: held } })
    expect(await http.call(pathOf(shared), "DELETE")).toMatchObject({ status: 404, body: { code: "UNKNOWN_GROUP" } })
    expect((await http.call("/api/v1/stream-shares")).body.data).toEqual([])
    expect(newestEvents(http.kit, { actor: `streamShare/${shared}` }).at(-1)).toMatchObject({
      type: "ShareExpired",
      cause: { origin: "http DELETE /stream-shares by anonymous@127.0.0.1" }
    })
    let got = 0
    const again = await connect("b")
    again.on("message", () => void got++)
    await subscribe(again)
    await expect.poll(() => got).toBe(60)
  })
})

describe("logbrook stream-shares", () => {
  it("list, describe and delete groups by their filters", async () => {
    await publish(3)
    await subscribe(await connect("device"))
    await expect.poll(async () => (await shown()).lag).toBe(0)
    const listed = await http.cli(["stream-shares", "list"])
    expect(listed.out.map((line) => line.split("\t"))).toEqual([
      ["FILTER", "MEMBERS", "CONNECTED", "EMPTY SINCE", "WAITING", "LAG", "LOST"],
      [shared, "1", "1", "-", "0", "0", "0"]
    ])
    const described = (await http.cli(["stream-shares", "describe", shared])).out.join("\n")
    expect(described).toContain("stream   orders")
    expect(described).toContain("device\tconnected\t127.0.0.1\t1\t")
    expect(JSON.parse((await http.cli(["stream-shares", "describe", shared, "--json"])).out[0]!)).toMatchObject({
      filter: shared,
      members: 1
    })
    const refused = await http.cli(["stream-shares", "delete", shared, "--yes"])
    expect(refused).toMatchObject({ out: [], err: [expect.stringContaining("E_GROUP_HAS_MEMBERS")] })
    await leave(clients[0]!)
    await expect.poll(async () => (await shown()).emptySince).not.toBe(null)
    const unsure = await http.cli(["stream-shares", "delete", shared])
    expect(unsure).toMatchObject({ code: 2, err: [expect.stringContaining("E_CONFIRM"), expect.any(String)] })
    expect((await http.cli(["stream-shares", "delete", shared, "--yes"])).out).toEqual([
      `deleted ${shared} (0 records waited)`
    ])
    expect(await http.cli(["stream-shares", "describe", shared])).toMatchObject({ code: 3 })
  })
})
