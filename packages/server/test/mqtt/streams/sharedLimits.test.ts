import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import { type ReadOn, streamShareActor } from "@logbrook/actors/streamShare/StreamShareProtocol"
import { type Clock, systemClock } from "@logbrook/core/Clock"
import mqtt, { type IClientOptions, type MqttClient } from "mqtt"
import { afterEach, describe, expect, it, vi } from "vitest"
import { askAgainMs } from "../../../src/mqtt/streams/feeding.ts"
import { noProperties, PublishRoutes } from "../../../src/streams/PublishRoutes.ts"
import { connected, type Kit, type KitOptions, startKit, subscribePacket } from "../kit.ts"

const shared = "$share/g/$stream/orders"

let kit: Kit
const clients: Array<MqttClient> = []
/** What runs once a group may ask again; the test says when. */
const laters = new Set<() => void>()

const clock: Clock = {
  ...systemClock,
  after: (delayMs, task) => {
    if (delayMs !== askAgainMs) return systemClock.after(delayMs, task)
    laters.add(task)
    return () => void laters.delete(task)
  }
}

const start = async (options: KitOptions = {}): Promise<void> => {
  kit = await startKit({ clock, ...options })
  await kit.bind("orders", ["devices/#"], 1)
}

afterEach(async () => {
  vi.restoreAllMocks()
  laters.clear()
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await kit.stop()
})

type Member = MqttClient & { readonly got: Array<string> }

/** `takes`: so many deliveries are acknowledged. */
const connect = async (clientId: string, takes = Infinity, options: IClientOptions = {}): Promise<Member> => {
  const url = `mqtt://127.0.0.1:${kit.port}`
  const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0, clean: true, clientId, ...options })
  clients.push(client)
  const got: Array<string> = []
  client.handleMessage = ({ payload }, done) => {
    got.push(payload.toString("utf8", 0, 8).trim())
    if (got.length <= takes) done()
  }
  await new Promise<void>((resolve, reject) => client.once("connect", () => resolve()).once("error", reject))
  return Object.assign(client, { got })
}

const publish = async (count: number, from = 0, bytes = 8): Promise<void> => {
  const client = await connect("publisher")
  await Promise.all(
    Array.from({ length: count }, (_, i) =>
      client.publishAsync("devices/x", String(from + i).padEnd(bytes), { qos: 1 })
    )
  )
  await leave(client)
}

const subscribe = (client: MqttClient, qos: 0 | 1 | 2, properties: Record<string, string> = {}) =>
  client.subscribeAsync(shared, {
    qos,
    properties: { userProperties: { "stream-offset": "earliest", ...properties } }
  })

const upTo = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => String(i))

const sorted = (...members: ReadonlyArray<Member>): ReadonlyArray<string> =>
  members.flatMap(({ got }) => got).sort((a, b) => Number(a) - Number(b))

/** The messages in a session's queue. */
const queued = (clientId: string): number => kit.mqtt.directory.get(clientId)!.facts.queued

/** Nobody has room for messages that wait. Returns what gives it back. */
const fillQueues = (): (() => void) => {
  const { memory } = kit.broker.shards
  const bytes = memory.room("queues")
  memory.add("queues", bytes)
  return () => memory.add("queues", -bytes)
}

const takesRecords = (entry: object): boolean => {
  const { _tag, records } = ("command" in entry ? entry.command : {}) as Partial<ReadOn>
  return _tag === "ReadOn" && records!.length > 0
}

/** The lists so far that asked a group to take records. */
const asked = (): (() => number) => {
  const askAll = vi.spyOn(kit.shard, "askAll")
  return () => askAll.mock.calls.filter(([{ entries }]) => entries.some(takesRecords)).length
}

const leave = async (client: MqttClient): Promise<void> => {
  clients.splice(clients.indexOf(client), 1)
  await client.endAsync(true)
}

const remove = (name: string): Promise<unknown> =>
  new Promise((resolve) => {
    const cause = { origin: "test" }
    kit.shard.offer({ to: catalogActor, command: { _tag: "DeleteStream", name }, cause, reply: resolve })
  })

const gapsOf = (client: MqttClient): Array<unknown> => {
  const gaps: Array<unknown> = []
  client.on("message", (_topic, _payload, { properties }) => gaps.push(properties?.userProperties?.["stream-gap"]))
  return gaps
}

const logOfOrders = () => kit.shard.logs.log(kit.broker.directory.byName("orders")!.logIds[0]!)

const askAgain = (): void => {
  const due = [...laters]
  laters.clear()
  for (const task of due) task()
}

const turns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100))

describe("a group whose step is refused", () => {
  it("tries it again when its time has come, whatever happens before", async () => {
    await start()
    await publish(3)
    const giveBack = fillQueues()
    const steps = asked()
    const a = await connect("a")
    await subscribe(a, 1)
    await expect.poll(steps).toBe(1)
    await publish(3, 3)
    const b = await connect("b")
    await subscribe(b, 1)
    await turns()
    expect(steps()).toBe(1)
    askAgain()
    await expect.poll(steps).toBe(2)
    await turns()
    expect(steps()).toBe(2)
    expect(sorted(a, b)).toEqual([])
    giveBack()
    askAgain()
    await expect.poll(() => sorted(a, b)).toEqual(upTo(6))
  })

  it("writes of QoS 0 nothing that it would have to write again", async () => {
    await start()
    await publish(20)
    const giveBack = fillQueues()
    const steps = asked()
    const a = await connect("a")
    const b = await connect("b")
    // Both are members before anything is read.
    await Promise.all([subscribe(b, 1), subscribe(a, 0)])
    for (let times = 1; times <= 3; times++) {
      await expect.poll(steps).toBe(times)
      await turns()
      if (times < 3) askAgain()
    }
    giveBack()
    askAgain()
    await expect.poll(() => new Set(sorted(a, b)).size).toBe(20)
    await turns()
    expect(sorted(a, b)).toEqual(upTo(20))
    expect(a.got.length).toBeGreaterThan(0)
  })
})

describe("a group that was given up", () => {
  it("reads nothing", async () => {
    await start()
    await publish(3)
    const isFailed = vi.spyOn(kit.broker.shards, "isFailed").mockImplementation((id) => id === streamShareActor(shared))
    const a = await connect("a")
    await subscribe(a, 0)
    await turns()
    expect(a.got).toEqual([])
    isFailed.mockRestore()
    await publish(1, 3)
    await expect.poll(() => sorted(a)).toEqual(upTo(4))
  })
})

describe("a member of a group", () => {
  it("gets all records that fit into its queue one after the other, and one that is larger than its queue may be", async () => {
    await start({ limits: { offlineQueueBytesMax: 100_000 } })
    await publish(5, 0, 60_000)
    await publish(1, 5, 150_000)
    await publish(2, 6, 60_000)
    const a = await connect("a")
    await subscribe(a, 1)
    // No step was refused: none is tried again here.
    await expect.poll(() => sorted(a)).toEqual(upTo(8))
  })

  it("is passed over for a record that its queue has no room for, if another one has room", async () => {
    await start({ limits: { offlineQueueBytesMax: 100_000 } })
    const a = await connect("a", 0)
    const b = await connect("b")
    await subscribe(a, 1)
    await subscribe(b, 1)
    await publish(4, 0, 60_000)
    await expect.poll(() => sorted(a, b)).toEqual(upTo(4))
    expect(a.got).toHaveLength(1)
  })

  it("leaves to others what its queue had no room for", async () => {
    await start({ limits: { offlineQueueBytesMax: 100_000 } })
    await publish(1, 0, 60_000)
    const a = await connect("a", 0)
    await subscribe(a, 1)
    await expect.poll(() => sorted(a)).toEqual(["0"])
    await publish(2, 1, 60_000)
    await turns()
    await leave(a)
    const b = await connect("b")
    await subscribe(b, 1)
    await expect.poll(() => sorted(b)).toEqual(upTo(3))
  })

  it("gets nothing before its SUBACK", async () => {
    await start()
    const a = await connect("a")
    await subscribe(a, 1)
    const askAll = kit.shard.askAll.bind(kit.shard)
    let subscribes: (() => void) | undefined
    const held = vi.spyOn(kit.shard, "askAll").mockImplementation((list, cause, ...rest) => {
      const isHeld = cause.origin!.includes("SUBSCRIBE")
      if (isHeld) subscribes = () => void askAll(list, cause, ...rest)
      return isHeld || askAll(list, cause, ...rest)
    })
    const b = await connected(kit.port, { clientId: "b" })
    b.send(subscribePacket(1, [[shared, 0]]))
    await expect.poll(() => subscribes).toBeDefined()
    await publish(20)
    await expect.poll(() => sorted(a)).toEqual(upTo(20))
    expect(b.waitingBytes).toBe(0)
    held.mockRestore()
    subscribes!()
    expect((await b.packet())[0]).toBe(0x90)
    await publish(10, 20)
    expect((await b.packet())[0]).toBe(0x30)
    b.socket.destroy()
  })

  it("has a little more than its window in its queue", async () => {
    await start()
    await publish(300)
    const a = await connect("a", 0, { properties: { receiveMaximum: 5 } })
    await subscribe(a, 1)
    await expect.poll(() => queued("a")).toBe(37)
    await turns()
    expect(queued("a")).toBe(37)
  })

  it("has the less in its queue, the less memory others leave, and one record always", async () => {
    await start()
    await publish(300)
    const { memory } = kit.broker.shards
    const taken = memory.room("queues")
    const take = (bytes: number): void => memory.add("queues", bytes)
    take(taken - memory.budget("queues") / 4)
    const a = await connect("a", 0, { properties: { receiveMaximum: 8 } })
    await subscribe(a, 1)
    await expect.poll(() => queued("a")).toBe(20)
    await turns()
    // What is in its queue is on the account as well.
    expect(queued("a")).toBe(20)
    take(memory.budget("queues") / 4 - memory.bytes("queues"))
    askAgain()
    await expect.poll(() => queued("a")).toBe(40)
    take(memory.room("queues") - 2000)
    const b = await connect("b", 0)
    await subscribe(b, 1)
    await expect.poll(() => queued("b")).toBe(1)
    await turns()
    expect(queued("b")).toBe(1)
  })
})

describe("records that wait for a member", () => {
  it("are read batch by batch, and not each for itself", async () => {
    await start({ limits: { inflightPerSessionMax: 90 } })
    const routes = new PublishRoutes(kit.broker.shards, kit.broker.directory, "p")
    for (let i = 0; i < 200; i++) {
      const payload = Buffer.from(String(i))
      routes.append({ topic: "devices/x", payload, qos: 1, retain: false, ...noProperties }, Date.now())
    }
    await kit.seq()
    const a = await connect("a", 0, { properties: { receiveMaximum: 90 } })
    await subscribe(a, 1)
    await expect.poll(() => queued("a")).toBe(122)
    await leave(a)
    await expect.poll(() => kit.mqtt.directory.get("a")).toBeUndefined()
    const read = vi.spyOn(kit.shard.logs, "read")
    const b = await connect("b")
    await subscribe(b, 1)
    await expect.poll(() => sorted(b)).toEqual(upTo(200))
    // 122 have come back, all of one batch.
    expect(read.mock.calls.length).toBeLessThan(10)
  })

  it("leave their marks to the next record, if retention takes them", async () => {
    await start()
    await publish(1)
    const first = await connect("first")
    await subscribe(first, 1)
    await expect.poll(() => sorted(first)).toEqual(upTo(1))
    await leave(first)
    await publish(19, 1)
    logOfOrders().moveStart(10)
    const a = await connect("a", 0)
    const gaps = gapsOf(a)
    await subscribe(a, 1)
    await expect.poll(() => queued("a")).toBe(10)
    await expect.poll(() => gaps).toEqual(["9"])
    await leave(a)
    await expect.poll(() => kit.mqtt.directory.get("a")).toBeUndefined()
    logOfOrders().moveStart(12)
    const b = await connect("b")
    const later = gapsOf(b)
    await subscribe(b, 1)
    await expect.poll(() => sorted(b)).toEqual(upTo(20).slice(12))
    expect(later.filter(Boolean)).toEqual(["11"])
  })

  it("leave the account once their stream was deleted", async () => {
    await start()
    await publish(20)
    const a = await connect("a", 0)
    await subscribe(a, 1)
    await expect.poll(() => queued("a")).toBe(20)
    await leave(a)
    await expect.poll(() => kit.mqtt.directory.get("a")).toBeUndefined()
    const { memory } = kit.broker.shards
    await expect.poll(() => memory.bytes("queues")).toBe(20 * 160)
    await remove("orders")
    expect(memory.bytes("queues")).toBe(20 * 160)
    const b = await connect("b")
    await subscribe(b, 1, { "stream-wait": "1" })
    await expect.poll(() => memory.bytes("queues")).toBe(0)
  })
})
