import type { SessionEvent } from "@logbrook/actors/session/SessionProtocol"
import { weightOfSubscription } from "@logbrook/actors/session/sessionWeight"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { HeldJournal } from "../../../core/test/support/HeldJournal.ts"
import {
  connected,
  connectPacket,
  type Kit,
  type KitOptions,
  packet,
  publishPacket,
  RawClient,
  startKit,
  subscribePacket
} from "./kit.ts"

let kit: Kit

const start = async (options: KitOptions): Promise<void> => {
  await kit.stop()
  kit = await startKit(options)
}

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

type Client = Awaited<ReturnType<typeof connected>>

const durable = { flags: 0, properties: [17, 0, 0, 14, 16] }
const pingreq = [0xc0, 0]
const suback = 0x90
const unsuback = 0xb0
const pingresp = 0xd0

const unsubscribePacket = (packetId: number, filter: string, version = 5): Buffer =>
  packet(0xa2, [0, packetId], version === 5 ? [0] : [], [0, filter.length], Buffer.from(filter))

/** What was read is answered, and what that led to as well. */
const quiet = async (): Promise<void> => {
  for (let turn = 0; turn < 6; turn++) {
    await new Promise<void>((resolve) => kit.shard.ack({ acked: () => resolve() }, 0, undefined, 0))
  }
}

/** What has come once everything that was read is answered: kinds of packets, and messages. */
const answers = async (client: Client, version = 5): Promise<Array<number | string>> => {
  const got: Array<number | string> = []
  for (let round = 0; round < 2; round++) {
    client.send(pingreq)
    for (let next = await client.packet(); next[0] !== pingresp; next = await client.packet()) {
      got.push(next[0]! >>> 4 === 3 ? messageOf(next, version) : next[0]!)
    }
    await quiet()
  }
  return got
}

/** The payload, with "R " before it if RETAIN is set. */
const messageOf = (bytes: Buffer, version = 5): string => {
  const at = 4 + bytes[3]! + ((bytes[0]! & 6) > 0 ? 2 : 0)
  return `${(bytes[0]! & 1) === 1 ? "R " : ""}${bytes.subarray(at + (version === 5 ? 1 + bytes[at]! : 0)).toString()}`
}

const receivedBytes = (): number =>
  Number(/logbrook_mqtt_received_bytes_total (\d+)/.exec(kit.broker.metrics.render())![1])

/** The server has read so much, while nothing can be decided. */
const read = async (send: () => void): Promise<void> => {
  const before = receivedBytes()
  send()
  await expect.poll(receivedBytes, { interval: 5 }).toBeGreaterThan(before)
}

const matched = (): number => kit.mqtt.directory.subscriptions.size

describe("SUBSCRIBE and what is read behind it", () => {
  const sessions = [
    ["clean", {}],
    ["durable", durable]
  ] as const
  const cases = sessions.flatMap(([life, options]) =>
    ([0, 1, 2] as const).flatMap((qos) => ([4, 5] as const).map((version) => ({ life, options, qos, version })))
  )
  it.each(cases)("come in one write: MQTT $version, QoS $qos, $life", async ({ options, qos, version }) => {
    const { flags = 2, properties = [] } = options as Partial<typeof durable>
    const client = await connected(kit.port, { version, flags, ...(version === 5 && { properties }) })
    client.send(
      subscribePacket(1, [["a", 2]], version),
      publishPacket("a", "x", { version, qos, packetId: 2 }),
      publishPacket("a", "y", { version, qos, packetId: 3 })
    )
    expect((await client.packet())[0]).toBe(suback)
    const messages: Array<string> = []
    while (messages.length < 2) {
      const next = await client.packet()
      if (next[0]! >>> 4 === 3) messages.push(messageOf(next, version))
    }
    expect(messages).toEqual(["x", "y"])
    client.socket.destroy()
  })

  it("come from another connection: whatever is read behind it, behind SUBACK", async () => {
    const subscriber = await connected(kit.port, { clientId: "sub" })
    const publisher = await connected(kit.port, { clientId: "pub" })
    kit.shard.hold(true)
    await read(() => subscriber.send(subscribePacket(1, [["a/#", 1]])))
    await read(() => publisher.send(publishPacket("a/0", "x"), publishPacket("a/1", "y", { qos: 1 })))
    expect(subscriber.waitingBytes).toBe(0)
    kit.shard.hold(false)
    expect(await answers(subscriber)).toEqual([suback, "x", "y"])
    for (const each of [subscriber, publisher]) each.socket.destroy()
  })

  it("are in the journal in this order, for a durable session", async () => {
    const client = await connected(kit.port, durable)
    client.send(subscribePacket(1, [["a", 1]]), publishPacket("a", "x", { qos: 1 }), [0xe0, 0])
    await client.rest()
    await quiet()
    const traffic = kit.events.filter((tag) => tag === "Subscribed" || tag === "MessagesQueued")
    expect(traffic).toEqual(["Subscribed", "MessagesQueued"])
    const back = await connected(kit.port, durable)
    expect(messageOf(await back.packet())).toBe("x")
    back.socket.destroy()
  })

  it("are not for a subscription over the limit, in no session's queue either", async () => {
    await start({ limits: { subscriptionsPerSessionMax: 2 } })
    for (const options of [{}, durable]) {
      const client = await connected(kit.port, options)
      client.send(
        subscribePacket(1, [
          ["a", 1],
          ["b", 1],
          ["c", 1]
        ]),
        publishPacket("c", "refused", { qos: 1 }),
        publishPacket("b", "granted", { qos: 1, packetId: 2 })
      )
      const got = await answers(client)
      expect(got.filter((each) => typeof each === "string")).toEqual(["granted"])
      expect(matched()).toBe(2)
      client.send(unsubscribePacket(2, "a"), subscribePacket(3, [["c", 1]]), publishPacket("c", "room"))
      expect(await answers(client)).toEqual([unsuback, suback, "room"])
      client.socket.destroy()
      await expect.poll(() => [...kit.mqtt.connections()].length).toBe(0)
    }
  })

  it("count once a SUBSCRIBE that the journal did not take is known: for nobody", async () => {
    await start({ onDefect: () => undefined })
    const client = await connected(kit.port, durable)
    client.send(subscribePacket(1, [["kept", 0]]))
    expect((await client.packet())[0]).toBe(suback)
    const live = kit.shard.actors.get("session/raw")!
    const evolve = (state: SessionState, event: SessionEvent): unknown => {
      const isBroken = event._tag === "Subscribed" && event.subscriptions.some(({ filter }) => filter === "lost")
      if (isBroken || event._tag === "Unsubscribed") throw new Error("broken")
      return definition.evolve(state, event)
    }
    const { definition } = live
    Object.assign(live, { definition: { ...definition, evolve } })
    client.send(unsubscribePacket(2, "kept"), subscribePacket(3, [["lost", 0]]))
    const rest = await client.rest()
    expect(rest[0]).toBe(0xe0)
    await quiet()
    expect(matched()).toBe(1)
    expect(kit.mqtt.directory.subscriptions.plan("kept").isEmpty).toBe(false)
    expect(kit.mqtt.directory.subscriptions.plan("lost").isEmpty).toBe(true)
  })

  it("leave nothing behind when the session ends meanwhile", async () => {
    const client = await connected(kit.port)
    kit.shard.hold(true)
    await read(() => client.send(subscribePacket(1, [["a", 0]]), subscribePacket(2, [["b", 0]])))
    expect(matched()).toBe(2)
    client.socket.resetAndDestroy()
    await expect.poll(() => [...kit.mqtt.connections()].length).toBe(0)
    kit.shard.hold(false)
    await expect.poll(() => kit.mqtt.directory.size).toBe(0)
    expect(matched()).toBe(0)
  })
})

describe("UNSUBSCRIBE", () => {
  it.each([4, 5] as const)("ends with itself, not with its commit: MQTT %i", async (version) => {
    const client = await connected(kit.port, { version })
    client.send(subscribePacket(1, [["a", 0]], version))
    await client.packet()
    client.send(unsubscribePacket(2, "a", version), publishPacket("a", "x", { version }))
    expect(await answers(client, version)).toEqual([unsuback])
    client.socket.destroy()
  })

  it("and SUBSCRIBE to the same filter in one write: the last one counts", async () => {
    for (const options of [{}, durable]) {
      const client = await connected(kit.port, options)
      const [on, off] = [subscribePacket(1, [["a", 0]]), unsubscribePacket(2, "a")]
      client.send(on, off, on, publishPacket("a", "1"), off, publishPacket("a", "2"))
      expect(await answers(client)).toEqual([suback, unsuback, suback, unsuback, "1"])
      expect(matched()).toBe(0)
      client.send(off, on, publishPacket("a", "3"))
      expect(await answers(client)).toEqual([unsuback, suback, "3"])
      expect(matched()).toBe(1)
      client.send(off)
      await answers(client)
      client.socket.destroy()
      await expect.poll(() => [...kit.mqtt.connections()].length).toBe(0)
    }
  })
})

const retain = async (publisher: Client, topic: string, payload: string): Promise<void> => {
  publisher.send(publishPacket(topic, payload, { qos: 1, retain: true }))
  await publisher.packet()
}

describe("what is retained", () => {
  it.each([0, 1] as const)(
    "is that of the moment of SUBSCRIBE, and what comes behind it comes once: QoS %i",
    async (qos) => {
      const publisher = await connected(kit.port, { clientId: "pub" })
      const before = await connected(kit.port, { clientId: "before" })
      before.send(subscribePacket(1, [["a", qos]]))
      await before.packet()
      await retain(publisher, "a", "old")
      expect(await answers(before)).toEqual(["old"])
      const subscriber = await connected(kit.port, { clientId: "sub" })
      kit.shard.hold(true)
      await read(() => publisher.send(publishPacket("b", "just before", { retain: true })))
      await read(() => subscriber.send(subscribePacket(1, [["+", qos]])))
      for (const [packetId, topic] of ["a", "b", "c"].entries()) {
        await read(() =>
          publisher.send(publishPacket(topic, `new ${topic}`, { qos: 1, packetId: packetId + 1, retain: true }))
        )
      }
      kit.shard.hold(false)
      const [first, ...rest] = await answers(subscriber)
      expect(first).toBe(suback)
      // "b" is older by so little that it has no place in the index yet.
      expect(rest).toEqual(["R old", "new a", "new b", "new c"])
      expect(await answers(before)).toEqual(["new a"])
      for (const each of [publisher, before, subscriber]) each.socket.destroy()
    }
  )

  it("and was set just before SUBSCRIBE comes as retained", async () => {
    for (const [clientId, options] of [
      ["clean", {}],
      ["durable", durable]
    ] as const) {
      for (const qos of [0, 1] as const) {
        const topic = `${clientId}/${qos}`
        const client = await connected(kit.port, { clientId, ...options })
        client.send(publishPacket(topic, "x", { qos, packetId: 2, retain: true }), subscribePacket(1, [[topic, 1]]))
        const got: Array<number | string> = []
        while (!got.includes("R x")) got.push(...(await answers(client)))
        await kit.seq()
        got.push(...(await answers(client)))
        expect(got.filter((each) => typeof each === "string")).toEqual(["R x"])
        client.socket.destroy()
      }
    }
  })

  it("and was replaced just before SUBSCRIBE comes as it was set last", async () => {
    const publisher = await connected(kit.port, { clientId: "pub" })
    await retain(publisher, "a", "old")
    const subscriber = await connected(kit.port, { clientId: "sub" })
    kit.shard.hold(true)
    await read(() => publisher.send(publishPacket("a", "new", { qos: 1, retain: true })))
    await read(() => subscriber.send(subscribePacket(1, [["+", 0]])))
    kit.shard.hold(false)
    expect([...(await answers(subscriber)), ...(await answers(subscriber))]).toEqual([suback, "R new"])
    for (const each of [publisher, subscriber]) each.socket.destroy()
  })

  it("comes to a durable session once, as any subscriber gets it, when it is set behind SUBSCRIBE", async () => {
    const publisher = await connected(kit.port, { clientId: "pub" })
    await retain(publisher, "a", "old")
    const subscriber = await connected(kit.port, { clientId: "sub", ...durable })
    kit.shard.hold(true)
    await read(() => subscriber.send(subscribePacket(1, [["+", 1]])))
    await read(() => publisher.send(publishPacket("a", "new a", { qos: 1, retain: true })))
    await read(() => publisher.send(publishPacket("b", "new b", { qos: 1, packetId: 2, retain: true })))
    kit.shard.hold(false)
    const got = [...(await answers(subscriber)), ...(await answers(subscriber)), ...(await answers(subscriber))]
    expect(got).toEqual([suback, "new a", "new b"])
    for (const each of [publisher, subscriber]) each.socket.destroy()
  })
})

describe("what a SUBACK grants", () => {
  const long = "x".repeat(120)

  it("is matched, though it was above the limit until another filter of its packet was refused for memory", async () => {
    await start({ limits: { subscriptionsPerSessionMax: 1 } })
    const client = await connected(kit.port, { clientId: "c", ...durable })
    const { memory } = kit.broker.shards
    memory.add("sessions", memory.room("sessions") - weightOfSubscription({ filter: long }) + 1)
    client.send(
      subscribePacket(9, [
        [long, 1],
        ["c", 1]
      ])
    )
    expect([...(await client.packet()).subarray(-2)]).toEqual([0x97, 1])
    expect(kit.mqtt.directory.subscriptions.plan("c").isEmpty).toBe(false)
    client.socket.destroy()
  })

  it("is the session's: who takes it over between SUBSCRIBE and SUBACK gets what is retained", async () => {
    const journal = new HeldJournal()
    await start({ journal, limits: { commitPacingMs: 0 } })
    const session = { clientId: "s", ...durable }
    const publisher = await connected(kit.port, { clientId: "p" })
    publisher.send(publishPacket("a", "kept", { qos: 1, packetId: 1, retain: true }))
    await publisher.packet()
    const first = await connected(kit.port, session)
    journal.hold()
    first.send(subscribePacket(9, [["a", 1]]))
    await expect.poll(() => journal.undurable).toBe(1)
    const second = new RawClient(kit.port)
    second.send(connectPacket(session))
    await expect.poll(() => journal.undurable).toBe(2)
    journal.release()
    expect((await second.packet())[0]).toBe(0x20)
    expect(messageOf(await second.packet())).toBe("R kept")
    for (const client of [publisher, first, second]) client.socket.destroy()
  })
})
