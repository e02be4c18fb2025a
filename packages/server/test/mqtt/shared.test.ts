import { afterEach, beforeEach, describe, expect, it } from "vitest"
import {
  connected,
  type Kit,
  publishPacket,
  type RawClient,
  type RawConnect,
  startKit,
  subscribePacket,
  temporaryDirectory
} from "./kit.ts"

let kit: Kit

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

const counted = (series: string): number => {
  const line = kit.broker.metrics
    .render()
    .split("\n")
    .find((each) => each.startsWith(`logbrook_mqtt_${series} `))
  return Number(line?.split(" ")[1])
}

const gone = (): number => counted('messages_dropped_total{reason="shared_member_gone"}')
const redelivered = (): number => counted("shared_redelivered_total")

const told = (): ReadonlyArray<unknown> =>
  kit.audit.filter(({ message }) => message.includes("shared subscription")).map(({ fields }) => fields)

type Member = RawClient & { readonly clientId: string }

const member = async (clientId: string, filter = "$share/g/a", options: RawConnect = {}, qos = 1): Promise<Member> => {
  const client = await connected(kit.port, { clientId, ...options })
  client.send(subscribePacket(1, [[filter, qos]]))
  await client.packet()
  return Object.assign(client, { clientId })
}

const publish = async (from: number, to: number, qos: 0 | 1 | 2 = 1): Promise<void> => {
  const publisher = await connected(kit.port, { clientId: "pub" })
  for (let i = from; i <= to; i++) publisher.send(publishPacket("a", String(i), { qos, packetId: i }))
  const answers = qos === 0 ? 0 : to - from + 1
  for (let i = 0; i < answers; i++) await publisher.packet()
  publisher.socket.destroy()
}

interface Delivery {
  readonly qos: number
  readonly dup: boolean
  readonly packetId: number
  readonly payload: string
}

/** The next message on topic `a` of QoS 1 or 2, without properties. */
const next = async (client: RawClient): Promise<Delivery> => {
  const bytes = await client.packet()
  expect(bytes[0]! >>> 4).toBe(3)
  return {
    qos: (bytes[0]! >>> 1) & 3,
    dup: (bytes[0]! & 8) > 0,
    packetId: bytes.readUInt16BE(5),
    payload: bytes.subarray(8).toString()
  }
}

const acknowledge = (client: RawClient, { qos, packetId }: Delivery): void =>
  void client.send([qos === 1 ? 0x40 : 0x50, 2, packetId >>> 8, packetId & 0xff])

/** What it has sent before was read when this resolves. */
const ping = async (client: RawClient): Promise<void> => {
  client.send([0xc0, 0])
  expect((await client.packet())[0]).toBe(0xd0)
}

/** Takes and acknowledges so many messages; their payloads. */
const take = async (client: RawClient, count: number): Promise<Array<string>> => {
  const payloads: Array<string> = []
  while (payloads.length < count) {
    const delivery = await next(client)
    acknowledge(client, delivery)
    payloads.push(delivery.payload)
  }
  return payloads
}

const numbers = (from: number, to: number): Array<string> =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

const numerically = (payloads: ReadonlyArray<string>): Array<string> =>
  payloads.toSorted((a, b) => Number(a) - Number(b))

const sessionsLeft = (...clientIds: ReadonlyArray<string>): Promise<void> =>
  expect.poll(() => Array.from(kit.mqtt.directory.all(), ({ clientId }) => clientId).toSorted()).toEqual(clientIds)

const receiveMaximum1 = [33, 0, 1]
const durable = { flags: 0, properties: [17, 0, 0, 14, 16] }

const expiring = { flags: 0, properties: [17, 0, 0, 0, 1] }

/** Their connections break. */
const offline = async (...members: ReadonlyArray<Member>): Promise<void> => {
  for (const { socket } of members) socket.destroy()
  const gone = new Set(members.map(({ clientId }) => clientId))
  await expect.poll(() => [...kit.mqtt.connections()].filter(({ clientId }) => gone.has(clientId)).length).toBe(0)
}

const queued = (clientId: string): number | undefined => kit.mqtt.directory.get(clientId)?.facts.queued

describe("the choice among members", () => {
  it("goes by what they have not acknowledged, also of a burst and of what waits behind a window", async () => {
    const busy = await member("busy", "$share/g/a", { properties: receiveMaximum1 })
    await publish(1, 4)
    const idle = await member("idle")
    await publish(5, 8)
    expect(await take(idle, 4)).toEqual(numbers(5, 8))
    expect(await take(busy, 4)).toEqual(numbers(1, 4))
    await Promise.all([ping(busy), ping(idle)])
    const other = await member("other", "$share/g/a", durable)
    await publish(9, 14)
    const taken = await Promise.all([take(busy, 2), take(idle, 2), take(other, 2)])
    expect(numerically(taken.flat())).toEqual(numbers(9, 14))
  })

  it("goes by the queues of durable sessions while nobody is connected", async () => {
    await offline(await member("a", "$share/g/a", durable), await member("b", "$share/g/a", durable))
    await publish(1, 6)
    expect([queued("a"), queued("b")]).toEqual([3, 3])
  })
})

describe("a member that ends with its connection", () => {
  it("leaves to the other what it has not acknowledged: ten messages, five of them in its window", async () => {
    const [leaver, stayer] = [await member("leaver"), await member("stayer")]
    await publish(1, 10)
    const five = [await next(stayer), await next(stayer), await next(stayer), await next(stayer), await next(stayer)]
    for (let i = 0; i < 5; i++) await next(leaver)
    leaver.socket.destroy()
    const others = [await next(stayer), await next(stayer), await next(stayer), await next(stayer), await next(stayer)]
    const all = [...five, ...others]
    expect(numerically(all.map(({ payload }) => payload))).toEqual(numbers(1, 10))
    expect(others.map(({ payload }) => payload)).toEqual(numerically(others.map(({ payload }) => payload)))
    expect(all.filter(({ qos, dup }) => qos !== 1 || dup)).toEqual([])
    expect(new Set(all.map(({ packetId }) => packetId)).size).toBe(10)
    expect([redelivered(), gone(), told()]).toEqual([5, 0, []])
  })

  it("leaves them by DISCONNECT, and by another connection of its client, as well", async () => {
    const stayer = await member("stayer")
    for (const [i, leave] of [
      (leaver: Member) => leaver.send([0xe0, 0]),
      () => connected(kit.port, { clientId: "leaver" })
    ].entries()) {
      const leaver = await member("leaver")
      await publish(4 * i + 1, 4 * i + 4)
      await leave(leaver)
      expect(numerically(await take(stayer, 4))).toEqual(numbers(4 * i + 1, 4 * i + 4))
    }
    expect(gone()).toBe(0)
  })

  it("leaves what waits behind its window, of QoS 2 too; a message of QoS 2 that was sent goes to nobody", async () => {
    const leaver = await member("leaver", "$share/g/a", { properties: receiveMaximum1 }, 2)
    await publish(1, 3, 2)
    const sent = await next(leaver)
    expect(sent).toMatchObject({ qos: 2, payload: "1" })
    const stayer = await member("stayer", "$share/g/a", {}, 2)
    leaver.socket.destroy()
    expect([await next(stayer), await next(stayer)]).toMatchObject([
      { qos: 2, payload: "2" },
      { qos: 2, payload: "3" }
    ])
    await expect.poll(gone).toBe(1)
    expect(told()).toEqual([{ client: "leaver", count: 1 }])
  })

  it("leaves nothing of QoS 2 that it has received, nor what it has refused [MQTT-4.8.2-6]", async () => {
    const leaver = await member("leaver", "$share/g/a", {}, 2)
    await publish(1, 1, 2)
    acknowledge(leaver, await next(leaver))
    expect((await leaver.packet())[0]).toBe(0x62)
    await publish(2, 2)
    const refused = await next(leaver)
    leaver.send([0x40, 3, refused.packetId >>> 8, refused.packetId & 0xff, 0x80], [0xc0, 0])
    expect((await leaver.packet())[0]).toBe(0xd0)
    const stayer = await member("stayer")
    leaver.socket.destroy()
    await sessionsLeft("stayer")
    await publish(3, 3)
    expect(await take(stayer, 1)).toEqual(["3"])
    expect([redelivered(), gone()]).toEqual([0, 0])
  })

  it("leaves nothing of its other subscriptions", async () => {
    const leaver = await member("leaver", "a", { properties: receiveMaximum1 })
    await publish(1, 5)
    await next(leaver)
    leaver.socket.destroy()
    await sessionsLeft()
    expect([redelivered(), gone(), told()]).toEqual([0, 0, []])
  })

  it("leaves them to nobody if it is the last: counted and told", async () => {
    const leaver = await member("leaver")
    await publish(1, 5)
    await next(leaver)
    leaver.socket.destroy()
    await expect.poll(gone).toBe(5)
    expect(told()).toEqual([{ client: "leaver", count: 5 }])
  })

  it("leaves to a durable member's queue, connected or not", async () => {
    const stayer = await member("stayer", "$share/g/a", durable)
    const leaver = await member("leaver")
    await offline(stayer)
    await publish(1, 3)
    leaver.socket.destroy()
    await expect.poll(redelivered).toBe(3)
    await expect.poll(() => queued("stayer")).toBe(3)
    const again = await connected(kit.port, { clientId: "stayer", ...durable })
    expect(await take(again, 3)).toEqual(numbers(1, 3))
  })

  it("leaves what was its turn and is not durable yet", async () => {
    const leaver = await member("leaver")
    const stayer = await member("stayer")
    const publisher = await connected(kit.port, { clientId: "pub" })
    kit.shard.hold(true)
    publisher.send(publishPacket("a", "x", { qos: 1 }), [0xc0, 0])
    await publisher.packet()
    leaver.socket.destroy()
    await expect.poll(() => [...kit.mqtt.connections()].length).toBe(2)
    kit.shard.hold(false)
    expect(await take(stayer, 1)).toEqual(["x"])
    publisher.socket.destroy()
  })

  it("gives nothing to a member whose SUBACK is still to come, before that", async () => {
    const leaver = await member("leaver")
    await publish(1, 1)
    const comer = await connected(kit.port, { clientId: "comer" })
    kit.shard.hold(true)
    comer.send(subscribePacket(1, [["$share/g/a", 1]]), [0xc0, 0])
    expect((await comer.packet())[0]).toBe(0xd0)
    leaver.socket.destroy()
    await expect.poll(redelivered).toBe(1)
    kit.shard.hold(false)
    expect((await comer.packet())[0]).toBe(0x90)
    expect(await take(comer, 1)).toEqual(["1"])
  })

  it("keeps what it was sent on the account of memory until it is acknowledged", async () => {
    const { memory } = kit.broker.shards
    const taker = await member("taker")
    const before = memory.bytes("transit")
    const publisher = await connected(kit.port, { clientId: "pub" })
    publisher.send(publishPacket("a", "x".repeat(100_000), { qos: 1 }))
    await publisher.packet()
    const bytes = await taker.packet()
    expect(memory.bytes("transit")).toBeGreaterThan(before + 100_000)
    taker.send([0x40, 2, bytes[7]!, bytes[8]!])
    await expect.poll(() => memory.bytes("transit")).toBe(before)
  })

  it("leaves them to durable members alone when the server stops", async () => {
    const stayer = await member("stayer", "$share/g/a", durable)
    const [a, b] = [await member("a"), await member("b")]
    await offline(stayer)
    await publish(1, 4)
    for (const each of [a, a, b, b]) await next(each)
    const { directory } = kit.mqtt
    await kit.stop()
    expect(directory.get("stayer")?.facts.queued).toBe(4)
    expect(gone()).toBe(0)
    for (const each of [a, b]) expect((await each.packet())[0]).toBe(0xe0)
    kit = await startKit()
  })
})

describe("a member of a durable session", () => {
  it("keeps what it has while the session lives, and leaves it when that ends", async () => {
    const window = { flags: 0, properties: [...durable.properties, ...receiveMaximum1] }
    const leaver = await member("leaver", "$share/g/a", window)
    const other = await connected(kit.port, { clientId: "other", ...durable })
    await publish(1, 3)
    expect(await next(leaver)).toMatchObject({ payload: "1" })
    await offline(leaver)
    await publish(4, 5)
    expect([queued("leaver"), gone()]).toEqual([5, 0])
    other.send(
      subscribePacket(1, [
        ["b/#", 1],
        ["$share/other/a", 1]
      ])
    )
    await other.packet()
    const stayer = await member("stayer", "$share/g/a", durable)
    // What was sent stays; the rest waits for whoever is there.
    expect(await take(stayer, 4)).toEqual(numbers(2, 5))
    kit.mqtt.kick("leaver", "test", true)
    expect(await take(stayer, 1)).toEqual(["1"])
    expect([redelivered(), gone(), told()]).toEqual([5, 0, []])
    expect(other.waitingBytes).toBe(0)
  })

  it.each<[string, (leaver: Member) => unknown]>([
    ["by DISCONNECT with an expiry of none", (leaver) => leaver.send([0xe0, 7, 0, 5, 17, 0, 0, 0, 0])],
    ["by a clean start", () => connected(kit.port, { clientId: "leaver", flags: 2 })],
    ["by an operator", () => kit.mqtt.kick("leaver", "test", true)]
  ])("leaves it %s, to a clean member as well", async (_how, end) => {
    const leaver = await member("leaver", "$share/g/a", durable)
    await publish(1, 3)
    for (let i = 0; i < 3; i++) await next(leaver)
    const stayer = await member("stayer")
    await end(leaver)
    expect(await take(stayer, 3)).toEqual(numbers(1, 3))
    expect([redelivered(), gone()]).toEqual([3, 0])
    expect(kit.events.filter((tag) => tag === "SharedHandedOn").length).toBe(1)
  })

  it("leaves QoS 2 that was not sent, and of what was sent nothing", async () => {
    const window = { flags: 0, properties: [...durable.properties, ...receiveMaximum1] }
    const leaver = await member("leaver", "$share/g/a", window, 2)
    await publish(1, 3, 2)
    expect(await next(leaver)).toMatchObject({ qos: 2, payload: "1" })
    const stayer = await member("stayer", "$share/g/a", {}, 2)
    kit.mqtt.kick("leaver", "test", true)
    expect([await next(stayer), await next(stayer)]).toMatchObject([
      { qos: 2, payload: "2" },
      { qos: 2, payload: "3" }
    ])
    await expect.poll(gone).toBe(1)
    expect(told()).toEqual([{ client: "leaver", count: 1 }])
  })

  it("leaves it to nobody if it is the last: counted and told", async () => {
    const leaver = await member("leaver", "$share/g/a", durable)
    await publish(1, 5)
    await next(leaver)
    kit.mqtt.kick("leaver", "test", true)
    await expect.poll(gone).toBe(5)
    expect(told()).toEqual([{ client: "leaver", count: 5 }])
  })

  it("that ends while its message is on its way leaves that as well", async () => {
    await member("leaver", "$share/g/a", durable)
    const stayer = await member("stayer", "$share/g/a", durable)
    await offline(stayer)
    const publisher = await connected(kit.port, { clientId: "pub" })
    kit.shard.hold(true)
    kit.mqtt.kick("leaver", "test", true)
    publisher.send(publishPacket("a", "x", { qos: 1 }), [0xc0, 0])
    await publisher.packet()
    kit.shard.hold(false)
    await expect.poll(() => queued("stayer")).toBe(1)
    expect((await publisher.packet()).subarray(0, 4)).toEqual(Buffer.from([0x40, 2, 0, 1]))
    expect([redelivered(), gone()]).toEqual([1, 0])
  })

  it("that ends leaves what waits while there is no room elsewhere, until there is", async () => {
    await kit.stop()
    kit = await startKit({ limits: { offlineQueueMessagesMax: 3 } })
    await member("leaver", "$share/g/a", durable)
    const stayer = await member("stayer", "$share/g/a", durable)
    await publish(1, 6)
    kit.mqtt.kick("leaver", "test", true)
    const got = await take(stayer, 6)
    expect(numerically(got)).toEqual(numbers(1, 6))
    expect(counted('messages_dropped_total{reason="queue_full"}')).toBe(0)
  })

  it("that ends leaves as much as there is room for elsewhere, though not for all of it", async () => {
    await kit.stop()
    kit = await startKit({ limits: { offlineQueueBytesMax: 1_000_000 } })
    await offline(await member("leaver", "$share/g/a", durable), await member("stayer", "$share/g/a", durable))
    const publisher = await connected(kit.port, { clientId: "pub" })
    for (let i = 1; i <= 12; i++) {
      publisher.send(publishPacket("a", "x".repeat(95_000), { qos: 1, packetId: i }))
      await publisher.packet()
    }
    expect([queued("leaver"), queued("stayer")]).toEqual([6, 6])
    kit.mqtt.kick("leaver", "test", true)
    await expect.poll(redelivered).toBe(4)
    expect([queued("stayer"), gone(), counted('messages_dropped_total{reason="queue_full"}')]).toEqual([10, 0, 0])
  })

  it("that ends while the server is down leaves it at the next start", async () => {
    await kit.stop()
    const directory = temporaryDirectory()
    kit = await startKit({ directory })
    const [leaver, stayer] = [
      await member("leaver", "$share/g/a", expiring),
      await member("stayer", "$share/g/a", durable)
    ]
    await publish(1, 4)
    await next(leaver)
    await kit.stop()
    kit = await startKit({ directory })
    await expect.poll(() => queued("stayer"), { timeout: 10_000 }).toBe(4)
    stayer.socket.destroy()
    const again = await connected(kit.port, { clientId: "stayer", ...durable })
    expect(numerically(await take(again, 4))).toEqual(numbers(1, 4))
  })
})

const twoWaiting = async (): Promise<void> => {
  const members = [await member("a", "$share/g/a", durable), await member("b", "$share/g/a", durable)]
  await offline(...members)
  await publish(1, 6)
  expect([queued("a"), queued("b")]).toEqual([3, 3])
}

describe("while no member is connected, a group with durable members", () => {
  it("queues for the first that is back, whichever it is", async () => {
    await twoWaiting()
    const again = await connected(kit.port, { clientId: "b", ...durable })
    expect(numerically(await take(again, 6))).toEqual(numbers(1, 6))
    await expect.poll(() => [queued("a"), queued("b")]).toEqual([0, 0])
    expect(redelivered()).toBe(3)
  })

  it("queues for a new member, whose session may be clean", async () => {
    await twoWaiting()
    const comer = await member("comer")
    expect(numerically(await take(comer, 6))).toEqual(numbers(1, 6))
    await expect.poll(() => [queued("a"), queued("b")]).toEqual([0, 0])
  })

  it("queues for the first that is back, over a restart of the server", async () => {
    await kit.stop()
    const directory = temporaryDirectory()
    kit = await startKit({ directory })
    await twoWaiting()
    await kit.stop()
    kit = await startKit({ directory })
    const again = await connected(kit.port, { clientId: "a", ...durable })
    expect(numerically(await take(again, 6))).toEqual(numbers(1, 6))
  })

  it("drops what its queues have no room for, and counts it", async () => {
    await kit.stop()
    kit = await startKit({ limits: { offlineQueueMessagesMax: 3 } })
    await twoWaiting()
    await publish(7, 8)
    expect(counted('messages_dropped_total{reason="queue_full"}')).toBe(2)
  })
})
