import * as fs from "node:fs"
import mqtt, { type IClientOptions, type MqttClient } from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connectPacket, type Kit, type KitOptions, packet, RawClient, startKit, temporaryDirectory } from "../kit.ts"

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

interface Delivered {
  readonly value: string
  readonly packetId: number | undefined
  readonly dup: boolean
  readonly gap: string | undefined
}

type Reader = MqttClient & { readonly got: Array<Delivered> }

/** `takes`: so many deliveries are acknowledged. */
const connect = async (clientId: string, takes = Infinity, options: IClientOptions = {}): Promise<Reader> => {
  const client = mqtt.connect(`mqtt://127.0.0.1:${kit.port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    clean: false,
    properties: { sessionExpiryInterval: 3600, receiveMaximum: 10 },
    clientId,
    ...options
  })
  clients.push(client)
  const got: Array<Delivered> = []
  client.handleMessage = ({ payload, messageId, dup, properties }, done) => {
    const gap = properties?.userProperties?.["stream-gap"]
    got.push({ value: payload.toString(), packetId: messageId, dup, gap: gap === undefined ? undefined : String(gap) })
    if (got.length <= takes) done()
  }
  await new Promise<void>((resolve, reject) => client.once("connect", () => resolve()).once("error", reject))
  return Object.assign(client, { got })
}

const leave = async (client: MqttClient): Promise<void> => {
  clients.splice(clients.indexOf(client), 1)
  await client.endAsync(true)
}

const publish = async (count: number, from = 0): Promise<void> => {
  const client = await connect("publisher", Infinity, { clean: true, properties: {} })
  await Promise.all(
    Array.from({ length: count }, (_, i) => client.publishAsync("devices/p/up", String(from + i), { qos: 1 }))
  )
  await leave(client)
}

const subscribe = (client: MqttClient, qos: 0 | 1 | 2, properties: Record<string, string> = {}) =>
  client.subscribeAsync("$stream/orders", {
    qos,
    properties: { userProperties: { "stream-offset": "earliest", ...properties } }
  })

const values = ({ got }: Reader): ReadonlyArray<number> => got.map(({ value }) => Number(value))

const upTo = (count: number, from = 0): ReadonlyArray<number> =>
  Array.from({ length: count - from }, (_, i) => from + i)

/** Once the client's acknowledgements are durable. */
const settled = async (): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 200))
  await kit.seq()
}

/** A reader that has taken all of a stream, into which so many records were published before. */
const readAll = async (count: number, qos: 0 | 1 | 2): Promise<Reader> => {
  await publish(count)
  const reader = await connect("r")
  await subscribe(reader, qos)
  await expect.poll(() => reader.got.length).toBe(count)
  return reader
}

describe("a durable session that reads a stream", () => {
  it.each([1, 2] as const)("goes on behind what it has acknowledged, without being asked: QoS %i", async (qos) => {
    await publish(50)
    // The client's half of a session: what it has received and not released yet.
    const incomingStore = new mqtt.Store({ clean: false })
    const reader = await connect("r", 25, { incomingStore })
    await subscribe(reader, qos)
    await expect.poll(() => reader.got.length).toBeGreaterThanOrEqual(26)
    await settled()
    await leave(reader)
    await restart()
    await publish(10, 50)
    const again = await connect("r", Infinity, { incomingStore })
    await expect.poll(() => values(again).at(-1)).toBe(59)
    expect(values(again)).toEqual(upTo(60, 25))
    // Those that were sent before come under their packet ids.
    expect(again.got[0]!.packetId).toBe(reader.got[25]!.packetId)
    expect(again.got.at(-1)!.dup).toBe(false)
  })

  it("of QoS 0 goes on behind what was written to it", async () => {
    const reader = await readAll(20, 0)
    await leave(reader)
    await publish(5, 20)
    const again = await connect("r")
    await expect.poll(() => values(again)).toEqual([20, 21, 22, 23, 24])
    await leave(again)
    await restart()
    await publish(1, 25)
    const third = await connect("r")
    await expect.poll(() => values(third)).toEqual([25])
  })

  it("goes on behind what was written to it when an operator ends its connection", async () => {
    const reader = await readAll(20, 0)
    kit.mqtt.kick("r", "test")
    await expect.poll(() => reader.connected).toBe(false)
    await publish(5, 20)
    const again = await connect("r")
    await expect.poll(() => values(again).at(-1)).toBe(24)
    expect(values(again)).toEqual([20, 21, 22, 23, 24])
  })

  it("goes on also if it subscribes again with its start, unless that begins anew", async () => {
    const reader = await readAll(10, 1)
    await settled()
    await leave(reader)
    const again = await connect("r")
    await subscribe(again, 1)
    await publish(2, 10)
    await expect.poll(() => values(again)).toEqual([10, 11])
    await subscribe(again, 1, { "stream-reset": "1" })
    await expect.poll(() => values(again)).toEqual([10, 11, ...upTo(12)])
  })

  it("begins anew when its session has ended", async () => {
    const reader = await readAll(5, 1)
    await leave(reader)
    const again = await connect("r", Infinity, { clean: true })
    await subscribe(again, 1)
    await expect.poll(() => values(again)).toEqual(upTo(5))
  })

  it("keeps the end that it was given", async () => {
    await publish(30)
    const reader = await connect("r", 10)
    await subscribe(reader, 1, { "stream-until": "now" })
    await expect.poll(() => reader.got.length).toBeGreaterThanOrEqual(11)
    await settled()
    await leave(reader)
    await publish(10, 30)
    const again = await connect("r")
    await subscribe(again, 1, { "stream-until": "now" })
    await expect.poll(() => values(again).at(-1)).toBe(29)
    await settled()
    expect(values(again)).toEqual(upTo(30, 10))
  })

  it("goes on at the oldest record where retention was faster, and says so in its journal as well", async () => {
    const reader = await readAll(10, 1)
    await settled()
    await leave(reader)
    await publish(30, 10)
    const { logIds } = kit.broker.directory.byName("orders")!
    for (const logId of logIds) {
      const log = kit.shard.logs.log(logId)
      if (log.highWatermark > 0) log.moveStart(25)
    }
    const again = await connect("r")
    await expect.poll(() => values(again).at(-1)).toBe(39)
    expect(values(again)).toEqual(upTo(40, 25))
    expect(again.got.map(({ gap }) => gap).filter(Boolean)).toEqual(["15"])
    expect(kit.events).toContain("StreamPositionMoved")
  })

  it("loses nothing while its queue is full", async () => {
    await restart({ limits: { offlineQueueMessagesMax: 3, inflightPerSessionMax: 2 } })
    await publish(40)
    const reader = await connect("r")
    await subscribe(reader, 2)
    await expect.poll(() => reader.got.length).toBe(40)
    expect(values(reader)).toEqual(upTo(40))
  })

  it("takes a record that is larger than its queue", async () => {
    await restart({ limits: { offlineQueueBytesMax: 10 } })
    await publish(20)
    const reader = await connect("r")
    await subscribe(reader, 1)
    await expect.poll(() => values(reader)).toEqual(upTo(20))
  })

  it("takes over without a record twice or missing", async () => {
    await publish(200)
    const first = await connect("r", 40)
    await subscribe(first, 1)
    await expect.poll(() => first.got.length).toBeGreaterThan(40)
    await settled()
    const second = await connect("r", Infinity)
    await expect.poll(() => values(second).at(-1)).toBe(199)
    expect(values(second)).toEqual(upTo(200, 40))
  })

  it("of QoS 0 takes over behind what was written to the connection before", async () => {
    await publish(20)
    const first = await connect("r")
    await subscribe(first, 0)
    await expect.poll(() => first.got.length).toBe(20)
    // At once: the position that is told from time to time has not moved yet.
    const second = await connect("r")
    await publish(5, 20)
    await expect.poll(() => values(second).at(-1)).toBe(24)
    expect(values(second)).toEqual(upTo(25, 20))
  })

  it("does not begin to read again when it has unsubscribed", async () => {
    const reader = await readAll(10, 1)
    await reader.unsubscribeAsync("$stream/orders")
    await leave(reader)
    const again = await connect("r")
    await publish(3, 10)
    await settled()
    expect(again.got).toEqual([])
  })

  it.each(["$stream/orders", "$share/g/$stream/orders"])(
    "leaves no reader of %s behind when its client comes back and goes in one breath",
    async (filter) => {
      const reader = await connect("r")
      await reader.subscribeAsync(filter, { qos: 1 })
      await leave(reader)
      const { logs, memory } = kit.shard
      let watchers = 0
      let watched = 0
      for (const logId of kit.broker.directory.byName("orders")!.logIds) {
        const log = logs.log(logId)
        const own = log.onAppend.bind(log)
        log.onAppend = (wake) => {
          const unwatch = own(wake)
          watchers++
          watched++
          return () => {
            watchers--
            unwatch()
          }
        }
      }
      await settled()
      const before = memory.bytes("transit")
      const properties = [0x11, 0, 0, 0x0e, 0x10]
      const inOne = new RawClient(kit.port).send(connectPacket({ clientId: "r", flags: 0, properties }), packet(0xe0))
      await inOne.rest()
      await settled()
      expect(memory.bytes("transit")).toBe(before)
      expect(watchers).toBe(0)
      // One that stays does read.
      await connect("r")
      await expect.poll(() => watchers).toBe(2)
      expect(watched).toBe(2)
    }
  )
})
