import { type Clock, systemClock } from "@logbrook/core/Clock"
import { afterEach, describe, expect, it } from "vitest"
import { sysTopics } from "../../src/mqtt/sysValues.ts"
import { connected, type Kit, publishPacket, type RawClient, startKit, subscribePacket } from "./kit.ts"

const sysIntervalS = 3

/** The system's clock, but for the interval, which a test lets pass. */
const makeClock = () => {
  let aheadMs = 0
  let waiting: (() => void) | undefined
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    after: (delayMs, task) => {
      if (delayMs !== sysIntervalS * 1000) return systemClock.after(delayMs, task)
      waiting = task
      return () => (waiting = undefined)
    }
  }
  const pass = (): void => {
    aheadMs += sysIntervalS * 1000
    waiting!()
  }
  return { clock, pass, isWaiting: () => waiting !== undefined }
}

let kit: Kit
let pass: () => void
let isWaiting: () => boolean

const start = async (intervalS = sysIntervalS): Promise<void> => {
  const made = makeClock()
  pass = made.pass
  isWaiting = made.isWaiting
  kit = await startKit({ mqtt: { sysIntervalS: intervalS }, clock: made.clock })
}

afterEach(() => kit.stop())

interface Got {
  readonly topic: string
  readonly text: string
  readonly retain: boolean
}

/** A PUBLISH of QoS 0 of MQTT 5 without properties. */
const read = (bytes: Buffer): Got => {
  expect(bytes[0]! & 0xf6).toBe(0x30)
  const end = 4 + bytes.readUInt16BE(2)
  return { topic: bytes.toString("utf8", 4, end), text: bytes.toString("utf8", end + 1), retain: (bytes[0]! & 1) === 1 }
}

/** What came before the answer to a PINGREQ that is sent now, the commits before it done. */
const came = async (client: RawClient): Promise<ReadonlyArray<Got>> => {
  await kit.seq()
  client.send([0xc0, 0])
  const got: Array<Got> = []
  for (let next = await client.packet(); next[0] !== 0xd0; next = await client.packet()) got.push(read(next))
  return got
}

const subscribed = async (clientId: string, filter: string, options = 0): Promise<RawClient> => {
  const client = await connected(kit.port, { clientId })
  client.send(subscribePacket(1, [[filter, options]]))
  expect((await client.packet()).at(-1)).toBeLessThan(0x80)
  return client
}

const textOf = (got: ReadonlyArray<Got>, name: string): string | undefined =>
  got.find(({ topic }) => topic === `$SYS/broker/${name}`)?.text

/** Of a client that is subscribed to nothing but the uptime. */
const seconds = async (client: RawClient): Promise<number> => Number.parseInt((await came(client))[0]!.text)

const metric = (name: string): string | undefined =>
  kit.broker.metrics
    .render()
    .split("\n")
    .find((line) => line.startsWith(name))

describe("topics under $SYS", () => {
  it("come at once as if they were retained, and then when they have changed", async () => {
    await start()
    const client = await subscribed("watcher", "$SYS/#")
    const first = await came(client)
    expect(first.map(({ topic }) => topic).sort()).toEqual([...sysTopics].sort())
    expect(first.every(({ retain }) => retain)).toBe(true)
    expect(textOf(first, "clients/connected")).toBe("1")
    const other = await connected(kit.port, { clientId: "other" })
    expect(await came(client)).toEqual([])
    pass()
    const second = await came(client)
    expect(second.some(({ retain }) => retain)).toBe(false)
    expect(
      ["clients/connected", "clients/maximum", "version", "clients/expired"].map((name) => textOf(second, name))
    ).toEqual(["2", "2", undefined, undefined])
    other.send([0xe0, 0])
    await other.rest()
    pass()
    const third = await came(client)
    expect(["clients/connected", "clients/maximum"].map((name) => textOf(third, name))).toEqual(["1", undefined])
    client.socket.destroy()
  })

  it("tell what the server has and has done", async () => {
    await start()
    await kit.bind("plant", ["plant/#"], 2)
    const watcher = await subscribed("watcher", "$SYS/broker/#")
    const before = await came(watcher)
    const publisher = await connected(kit.port, { clientId: "publisher" })
    for (let i = 1; i <= 3; i++) {
      publisher.send(publishPacket("plant/a", "x".repeat(i), { qos: 1, packetId: i, retain: i === 3 }))
      expect((await publisher.packet())[0]).toBe(0x40)
    }
    const shared = await subscribed("shared", "$share/group/else")
    pass()
    const got = [...(await came(watcher)), ...before]
    const { logIds } = kit.broker.directory.byName("plant")!
    const bytes = logIds.reduce((sum, logId) => sum + (kit.shard.logs.find(logId)?.byteLength ?? 0), 0)
    expect(bytes).toBeGreaterThan(0)
    const expected = {
      "clients/total": "3",
      "clients/disconnected": "0",
      "retained messages/count": "1",
      "subscriptions/count": "2",
      "shared_subscriptions/count": "1",
      "publish/messages/received": "3",
      // What the watcher got of the figures.
      "publish/messages/sent": String(before.length),
      // Three CONNECTs, two SUBSCRIBEs, three PUBLISHes and a PINGREQ, and what was answered to them.
      "messages/received": "9",
      "messages/sent": String(before.length + 9),
      "streams/count": "1",
      "streams/records": "3",
      "streams/bytes": String(bytes)
    }
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, textOf(got, name)]))).toEqual(expected)
    for (const each of [publisher, shared, watcher]) each.socket.destroy()
  })

  it("are matched by no wildcard at the beginning, and stored only where a stream says so", async () => {
    await start()
    await kit.bind("all", ["#", "+/#"])
    await kit.bind("system", ["$SYS/broker/clients/+"])
    const client = await subscribed("all", "#")
    pass()
    expect(await came(client)).toEqual([])
    expect(kit.records("all")).toEqual([])
    const records = kit.records("system")
    expect(records).toHaveLength(5)
    expect(records[0]).toEqual({
      key: "$SYS",
      value: "1",
      headers: [
        ["mqtt.topic", "$SYS/broker/clients/total"],
        ["mqtt.clientid", "$SYS"],
        ["mqtt.qos", "0"],
        ["mqtt.retain", "0"]
      ]
    })
    pass()
    await kit.seq()
    expect(kit.records("system")).toHaveLength(5)
    client.socket.destroy()
  })

  it("cost nothing and count nowhere while nobody is there for them", async () => {
    await start()
    const away = await connected(kit.port, { clientId: "away", properties: [0x11, 0, 0, 1, 0] })
    away.send(subscribePacket(1, [["$SYS/#", 2]]))
    await away.packet()
    away.send([0xe0, 0])
    await away.rest()
    const before = await kit.seq()
    pass()
    pass()
    expect(await kit.seq()).toBe(before)
    expect(metric('logbrook_mqtt_messages_dropped_total{reason="no_match"}')).toMatch(/ 0$/)
    expect(kit.mqtt.unmatched.top(10)).toEqual([])
  })

  it("come with what bridges tell of themselves", async () => {
    await start()
    const state = "$SYS/broker/connection/plant/state"
    const bridge = await connected(kit.port, { clientId: "bridge" })
    bridge.send(publishPacket(state, "1", { qos: 1, retain: true }))
    await bridge.packet()
    const got = await came(await subscribed("watcher", "$SYS/#"))
    expect(got).toHaveLength(sysTopics.length + 1)
    expect(got).toContainEqual({ topic: state, text: "1", retain: true })
    bridge.socket.destroy()
  })

  it("come again with a subscription that is made again, unless its Retain Handling says no", async () => {
    await start()
    const client = await subscribed("watcher", "$SYS/broker/version")
    const version = { topic: "$SYS/broker/version", text: expect.stringMatching(/^logbrook version \d/), retain: true }
    expect(await came(client)).toEqual([version])
    const again = async (options: number): Promise<ReadonlyArray<Got>> => {
      client.send(subscribePacket(2, [["$SYS/broker/version", options]]))
      await client.packet()
      return came(client)
    }
    expect(await again(0)).toEqual([version])
    expect(await again(0x10)).toEqual([])
    expect(await again(0x20)).toEqual([])
    client.socket.destroy()
  })

  it("are read anew for a subscriber who comes when nobody was there for long", async () => {
    await start()
    const first = await subscribed("first", "$SYS/broker/uptime")
    const before = await seconds(first)
    first.send([0xe0, 0])
    await first.rest()
    for (let i = 0; i < 5; i++) pass()
    const second = await subscribed("second", "$SYS/broker/uptime")
    expect(await seconds(second)).toBeGreaterThanOrEqual(before + 5 * sysIntervalS)
    second.socket.destroy()
  })

  it("are not there with sysIntervalS 0", async () => {
    await start(0)
    await kit.bind("system", ["$SYS/#"])
    expect(isWaiting()).toBe(false)
    const client = await subscribed("watcher", "$SYS/#")
    expect(await came(client)).toEqual([])
    client.socket.destroy()
  })

  it("are published no more when the server has stopped", async () => {
    await start()
    expect(isWaiting()).toBe(true)
    await kit.stop()
    expect(isWaiting()).toBe(false)
    await start()
  })
})
