import { type ReadOn, streamShareActor } from "@logbrook/actors/streamShare/StreamShareProtocol"
import { type Clock, systemClock } from "@logbrook/core/Clock"
import mqtt, { type IClientOptions, type MqttClient } from "mqtt"
import { afterEach, describe, expect, it, vi } from "vitest"
import { type Kit, type KitOptions, startKit } from "../kit.ts"

const shared = "$share/g/$stream/orders"
/** How long a group waits after a refusal. */
const askAgainMs = 250

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
  clients.splice(clients.indexOf(client), 1)
  await client.endAsync(true)
}

const subscribe = (client: MqttClient, qos: 0 | 1 | 2) =>
  client.subscribeAsync(shared, { qos, properties: { userProperties: { "stream-offset": "earliest" } } })

const upTo = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => String(i))

const sorted = (...members: ReadonlyArray<Member>): ReadonlyArray<string> =>
  members.flatMap(({ got }) => got).sort((a, b) => Number(a) - Number(b))

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
