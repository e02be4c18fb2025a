import { describe, expect, it } from "vitest"
import type { SessionCommand, SessionSettings, Subscription } from "../../src/session/SessionProtocol.ts"
import { cleanEnd, connectOf, messageOf, SessionHarness, subscriptionOf } from "./SessionHarness.ts"
import { turn } from "../../../core/test/support/turn.ts"

const connected = (settings: Partial<SessionSettings> = {}): SessionHarness => {
  const session = new SessionHarness(settings)
  session.send(connectOf("1"))
  return session
}

const subscribeOf = (...subscriptions: ReadonlyArray<Subscription>) =>
  ({ _tag: "Subscribe", connectionId: "1", subscriptions }) as const
const subscribed = (settings: Partial<SessionSettings> = {}): SessionHarness => {
  const session = connected(settings)
  session.send(subscribeOf(subscriptionOf("any")))
  return session
}
const markOf = (...entries: ReadonlyArray<readonly [number, number | null]>) =>
  ({
    _tag: "MarkSent",
    connectionId: "1",
    entries: entries.map(([entryId, packetId]) => ({ entryId, packetId }))
  }) as const
const ackOf = (...packetIds: ReadonlyArray<number>) => ({ _tag: "Acked", connectionId: "1", packetIds }) as const
const receivedOf = (...packetIds: ReadonlyArray<number>) =>
  ({ _tag: "Received", connectionId: "1", packetIds }) as const
const receive = (packetId: number) => ({ _tag: "ReceiveQos2", connectionId: "1", packetId }) as const
const release = (packetId: number) => ({ _tag: "ReleaseQos2", connectionId: "1", packetId }) as const
const offsets = (session: SessionHarness) => [...session.state.queue.values()].map(({ offset }) => offset)
const enqueueOf = (...messages: ReadonlyArray<ReturnType<typeof messageOf>>) => ({ _tag: "Enqueue", messages }) as const
const leave: SessionCommand = {
  _tag: "Disconnect",
  connectionId: "1",
  publishWill: false,
  sessionExpiryMs: null,
  end: cleanEnd
}

describe("every command of a connection", () => {
  it.each<SessionCommand>([
    subscribeOf(subscriptionOf("a")),
    { _tag: "Unsubscribe", connectionId: "1", filters: ["a"] },
    { _tag: "ReceiveQos2", connectionId: "1", packetId: 1 },
    { _tag: "ReleaseQos2", connectionId: "1", packetId: 1 },
    markOf([0, 1]),
    ackOf(1),
    receivedOf(1)
  ])("is refused after a takeover: $_tag", (command) => {
    const session = connected()
    session.send(connectOf("2"))
    expect(session.send(command)).toMatchObject({ tags: [], refused: "SessionTakenOver" })
  })
})

describe("subscriptions", () => {
  it("are new, changed, or the same", () => {
    const session = connected()
    const first = session.send(subscribeOf(subscriptionOf("a"), subscriptionOf("a", { qos: 2 })))
    expect(first.events).toEqual([{ _tag: "Subscribed", subscriptions: [subscriptionOf("a", { qos: 2 })] }])
    expect(first.reply).toEqual({
      _tag: "SubscriptionsMade",
      results: [
        { filter: "a", grantedQos: 1, isNew: true },
        { filter: "a", grantedQos: 2, isNew: false }
      ]
    })
    const same = session.send(subscribeOf(subscriptionOf("a", { qos: 2 })))
    expect(same).toMatchObject({ tags: [], reply: { results: [{ grantedQos: 2, isNew: false }] } })
    expect(session.send(subscribeOf(subscriptionOf("a", { qos: 2, subscriptionId: 3 }))).tags).toEqual(["Subscribed"])
    expect([...session.state.subscriptions.values()]).toEqual([subscriptionOf("a", { qos: 2, subscriptionId: 3 })])
  })

  it("are as a packet's last repeat says, when it goes back to what was", () => {
    const session = connected()
    session.send(subscribeOf(subscriptionOf("a")))
    session.send(subscribeOf(subscriptionOf("a", { qos: 0 }), subscriptionOf("a")))
    expect(session.state.subscriptions.get("a")).toEqual(subscriptionOf("a"))
  })

  it("are limited; those there may still change", () => {
    const session = connected({ subscriptionsPerSessionMax: 2 })
    const made = session.send(subscribeOf(...["a", "b", "c", "a"].map((filter) => subscriptionOf(filter))))
    expect(made.reply).toMatchObject({
      results: [
        { filter: "a", grantedQos: 1, isNew: true },
        { filter: "b", grantedQos: 1, isNew: true },
        { filter: "c", grantedQos: null, isNew: false },
        { filter: "a", grantedQos: 1, isNew: false }
      ]
    })
    expect([...session.state.subscriptions.filters()]).toEqual(["a", "b"])
    expect(session.send(subscribeOf(subscriptionOf("a", { qos: 0 }))).tags).toEqual(["Subscribed"])
    session.send({ _tag: "Unsubscribe", connectionId: "1", filters: ["b"] })
    expect(session.send(subscribeOf(subscriptionOf("c"))).reply).toMatchObject({ results: [{ isNew: true }] })
  })

  it("end", () => {
    const session = connected()
    session.send(subscribeOf(subscriptionOf("a"), subscriptionOf("__proto__")))
    const filters = ["a", "x", "a", "__proto__", "constructor"]
    const { events, reply } = session.send({ _tag: "Unsubscribe", connectionId: "1", filters })
    expect(events).toEqual([{ _tag: "Unsubscribed", filters: ["a", "__proto__"] }])
    const existed = [true, false, false, true, false]
    expect(reply).toEqual({
      _tag: "SubscriptionsEnded",
      results: filters.map((filter, i) => ({ filter, existed: existed[i] }))
    })
    expect(session.send({ _tag: "Unsubscribe", connectionId: "1", filters }).tags).toEqual([])
  })
})

describe("QoS 2 from the client", () => {
  it("is stored once until PUBREL", () => {
    const session = connected()
    expect(session.send(receive(5))).toMatchObject({ tags: ["Qos2Received"], reply: { duplicate: false } })
    expect(session.send(receive(5))).toMatchObject({ tags: [], reply: { duplicate: true } })
    expect(session.send(release(5))).toMatchObject({ tags: ["Qos2Released"], reply: { known: true } })
    expect(session.send(release(5))).toMatchObject({ tags: [], reply: { known: false } })
    expect(session.send(receive(5))).toMatchObject({ reply: { duplicate: false } })
  })

  it("is known after a restart", () => {
    const session = connected()
    session.send(receive(5))
    session.restart()
    session.until(session.nowMs)
    session.send(connectOf("2"))
    expect(session.send({ ...receive(5), connectionId: "2" })).toMatchObject({ reply: { duplicate: true } })
  })

  it("has room for every packet id there is, over a restart too", async () => {
    const session = connected()
    for (let packetId = 1; packetId <= 65_535; packetId++) {
      if (packetId % 1000 === 0) await turn()
      expect(session.sendUnwatched(receive(packetId)).tags).toEqual(["Qos2Received"])
    }
    session.restart()
    session.until(session.nowMs)
    session.send(connectOf("2"))
    for (const packetId of [1, 1024, 65_535]) {
      expect(session.send({ ...receive(packetId), connectionId: "2" }).reply).toMatchObject({ duplicate: true })
      expect(session.send({ ...release(packetId), connectionId: "2" }).tags).toEqual(["Qos2Released"])
      expect(session.send({ ...receive(packetId), connectionId: "2" }).tags).toEqual(["Qos2Received"])
    }
  })
})

describe("the queue", () => {
  it("tells a connection what came, by reference", () => {
    const message = messageOf(3, { qos: 2, retain: true, subscriptionIds: [1, 2] })
    const { events, notices, reply } = subscribed().send(enqueueOf(message))
    expect(events).toEqual([{ _tag: "MessagesQueued", firstEntryId: 0, messages: [message] }])
    const entry = { entryId: 0, ...message, packetId: null, phase: "queued" }
    expect(notices).toEqual([{ _tag: "Deliver", clientId: "a/b", connectionId: "1", entries: [entry] }])
    expect(reply).toEqual({ _tag: "Enqueued", entryIds: [0] })
  })

  it("waits quietly without a connection", () => {
    const session = subscribed()
    session.send(leave)
    expect(session.send(enqueueOf(messageOf(3)))).toMatchObject({ tags: ["MessagesQueued"], notices: [] })
  })

  it("is also of a session that ends with its connection since a moment ago", () => {
    const session = subscribed()
    session.send(leave)
    session.send(connectOf("2", { sessionExpiryMs: 0 }))
    expect(session.send(enqueueOf(messageOf(3)))).toMatchObject({
      tags: ["MessagesQueued"],
      notices: [{ _tag: "Deliver", connectionId: "2", entries: [{ offset: 3 }] }]
    })
  })

  it("takes nothing that was on its way to the session before a clean start", () => {
    const session = subscribed()
    session.send(connectOf("2", { cleanStart: true }))
    expect(session.send(enqueueOf(messageOf(3)))).toMatchObject({ tags: [], notices: [], reply: { entryIds: [null] } })
  })

  it("drops the newest over its number, and counts", () => {
    const session = subscribed({ offlineQueueMessagesMax: 2 })
    const { tags, reply, notices } = session.send(enqueueOf(messageOf(1), messageOf(2), messageOf(3)))
    expect(tags).toEqual(["MessagesQueued"])
    expect(reply).toMatchObject({ entryIds: [0, 1, null] })
    const { startedAtMs } = session.state.life
    const missed = (offset: number) => ({
      _tag: "QueueFull",
      clientId: "a/b",
      startedAtMs,
      messages: [{ logId: 7, offset, limit: "offlineQueueMessagesMax" }]
    })
    expect(notices).toMatchObject([{ entries: [{ offset: 1 }, { offset: 2 }] }, missed(3)])
    expect(session.send(enqueueOf(messageOf(4)))).toMatchObject({ tags: [], notices: [missed(4)] })
    session.send(markOf([0, 1]))
    expect(session.send(enqueueOf(messageOf(5)))).toMatchObject({ tags: [], notices: [missed(5)] })
    session.send(ackOf(1))
    expect(session.send(enqueueOf(messageOf(6))).reply).toMatchObject({ entryIds: [2] })
    expect(offsets(session)).toEqual([2, 6])
  })

  it("drops the newest over its bytes", () => {
    const session = subscribed({ offlineQueueBytesMax: 100 })
    const messages = [messageOf(1, { bytes: 60 }), messageOf(2, { bytes: 41 }), messageOf(3, { bytes: 40 })]
    const { reply, notices } = session.send(enqueueOf(...messages))
    expect(reply).toMatchObject({ entryIds: [0, null, 1] })
    expect(notices.at(-1)).toMatchObject({ messages: [{ offset: 2, limit: "offlineQueueBytesMax" }] })
    session.send(markOf([0, 1]))
    session.send(ackOf(1))
    expect(session.state.queuedBytes).toBe(40)
    expect(session.send(enqueueOf(messageOf(4, { bytes: 60 }))).tags).toEqual(["MessagesQueued"])
  })

  it("counts what was dropped by one event, of its own life only", () => {
    const session = subscribed()
    const { startedAtMs } = session.state.life
    const dropped = { count: 5, limits: ["offlineQueueMessagesMax"], logId: 7, ranges: [[3, 9]] } as const
    const count = { _tag: "CountDropped", startedAtMs, ...dropped } as const
    expect(session.send(count).events).toEqual([{ _tag: "MessagesDropped", reason: "QueueFull", ...dropped }])
    session.send(leave)
    session.send(count)
    expect(session.state.droppedMessages).toBe(10)
    session.nowMs++
    session.send(connectOf("2", { cleanStart: true }))
    expect(session.send(count).tags).toEqual([])
    session.send({ _tag: "Kick", endSession: true })
    expect(session.send(count).tags).toEqual([])
  })

  it("counts an event of a journal of an older version, which has its count only", () => {
    const session = subscribed()
    expect(session.definition.evolve(session.state, { _tag: "MessagesDropped", count: 2 }).droppedMessages).toBe(2)
  })

  it("gives packet ids, several at once, and keeps its order", () => {
    const session = subscribed()
    session.send(enqueueOf(messageOf(1), messageOf(2, { qos: 0 }), messageOf(3, { qos: 2 })))
    expect(session.send(markOf([0, 1], [1, null], [2, 65_535])).tags).toEqual(["MessagesSent"])
    expect([...session.state.queue.values()]).toMatchObject([
      { offset: 1, packetId: 1, phase: "sent" },
      { offset: 3, packetId: 65_535, phase: "sent" }
    ])
    expect(session.state.queuedBytes).toBe(20)
    expect(session.send(markOf()).tags).toEqual([])
  })

  it("refuses marks as a whole", () => {
    const session = subscribed()
    session.send(enqueueOf(messageOf(1), messageOf(2), messageOf(3, { qos: 0 })))
    session.send(markOf([0, 1]))
    const refusals: ReadonlyArray<readonly [ReturnType<typeof markOf>, string]> = [
      [markOf([1, 1]), "PacketIdentifierInUse"],
      [markOf([1, 0]), "PacketIdentifierNotFound"],
      [markOf([1, 65_536]), "PacketIdentifierNotFound"],
      [markOf([1, 1.5]), "PacketIdentifierNotFound"],
      [markOf([1, null]), "PacketIdentifierNotFound"],
      [markOf([2, 7]), "PacketIdentifierNotFound"],
      [markOf([0, 2]), "PacketIdentifierNotFound"],
      [markOf([9, 2]), "PacketIdentifierNotFound"],
      [markOf([1, 2], [1, 3]), "PacketIdentifierNotFound"]
    ]
    for (const [command, refused] of refusals) expect(session.send(command)).toMatchObject({ tags: [], refused })
    session.send(enqueueOf(messageOf(4)))
    expect(session.send(markOf([1, 2], [3, 2])).refused).toBe("PacketIdentifierInUse")
    expect(session.state.inflight).toEqual(new Map([[1, 0]]))
  })

  it("forgets what was acknowledged, once", () => {
    const session = subscribed()
    session.send(enqueueOf(messageOf(1), messageOf(2), messageOf(3)))
    session.send(markOf([0, 1], [1, 2]))
    const { events, reply } = session.send(ackOf(2, 2, 8, 1))
    expect(events).toEqual([{ _tag: "MessagesAcked", packetIds: [2, 1] }])
    expect(reply).toEqual({ _tag: "PacketsKnown", known: [true, false, false, true] })
    expect(session.send(ackOf(1)).tags).toEqual([])
    expect(offsets(session)).toEqual([3])
    expect(session.send(markOf([2, 1])).tags).toEqual(["MessagesSent"])
  })

  it("remembers PUBREC of QoS 2 over a restart, in place", () => {
    const session = subscribed()
    session.send(enqueueOf(messageOf(1, { qos: 2 }), messageOf(2)))
    session.send(markOf([0, 1], [1, 2]))
    expect(session.send(receivedOf(1, 2, 3))).toMatchObject({
      tags: ["MessagesReceived"],
      events: [{ packetIds: [1] }],
      reply: { known: [true, false, false] }
    })
    expect(session.send(receivedOf(1))).toMatchObject({ tags: [], reply: { known: [true] } })
    session.restart()
    session.until(session.nowMs)
    expect(session.send(connectOf("2")).reply).toMatchObject({
      queue: [
        { offset: 1, packetId: 1, phase: "received" },
        { offset: 2, packetId: 2, phase: "sent" }
      ]
    })
    expect(session.send({ ...ackOf(1), connectionId: "2" }).tags).toEqual(["MessagesAcked"])
  })

  it("throws at a journal that acknowledges what was not sent", () => {
    const session = subscribed()
    session.send(enqueueOf(messageOf(1)))
    const acked = { _tag: "MessagesAcked", packetIds: [1] } as const
    expect(() => session.definition.evolve(session.state, acked)).toThrow("does not hold")
  })
})
