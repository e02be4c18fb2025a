import { describe, expect, it } from "vitest"
import type { HandOn, SessionCommand, SessionSettings } from "../../src/session/SessionProtocol.ts"
import {
  cleanEnd,
  connectOf,
  hourMs,
  messageOf,
  type Outcome,
  SessionHarness,
  subscriptionOf,
  willOf
} from "./SessionHarness.ts"

const share = "$share/g/a"

const connected = (settings: Partial<SessionSettings> = {}, sessionExpiryMs = hourMs): SessionHarness => {
  const session = new SessionHarness(settings)
  session.send(connectOf("1", { sessionExpiryMs }))
  session.send({ _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf(share, { qos: 2 })] })
  return session
}

const sharedOf = (offset: number, qos: 1 | 2 = 1) => messageOf(offset, { share, qos })
const enqueueOf = (...messages: ReadonlyArray<ReturnType<typeof messageOf>>) => ({ _tag: "Enqueue", messages }) as const
const markOf = (...entryIds: ReadonlyArray<number>): SessionCommand => ({
  _tag: "MarkSent",
  connectionId: "1",
  entries: entryIds.map((entryId) => ({ entryId, packetId: entryId + 1 }))
})
const confirmOf = (releaseIds: ReadonlyArray<number>, to: string | null = "other"): SessionCommand => ({
  _tag: "ConfirmHandedOn",
  releaseIds,
  to
})
const leave: SessionCommand = {
  _tag: "Disconnect",
  connectionId: "1",
  publishWill: true,
  sessionExpiryMs: null,
  end: cleanEnd
}

const handOns = ({ notices }: Outcome): ReadonlyArray<HandOn> =>
  notices.filter((notice): notice is HandOn => notice._tag === "HandOn")

const offered = (outcome: Outcome): ReadonlyArray<readonly [number, number]> =>
  handOns(outcome).flatMap(({ messages }) => messages.map(({ releaseId, offset }) => [releaseId, offset] as const))

const releasedOffsets = ({ state }: SessionHarness): ReadonlyArray<number> => state.released.map(({ offset }) => offset)

describe("a session that ends", () => {
  it("releases what is by shared subscriptions, sent or not, and loses QoS 2 that was sent and not received", () => {
    const session = connected()
    session.send(
      enqueueOf(
        sharedOf(1),
        messageOf(2),
        sharedOf(3, 2),
        sharedOf(4, 2),
        sharedOf(5, 2),
        messageOf(6, { isShared: true })
      )
    )
    session.send(enqueueOf(sharedOf(7)))
    session.send(markOf(0, 2, 3))
    session.send({ _tag: "Received", connectionId: "1", packetIds: [3] })
    const ended = session.send({ _tag: "Kick", endSession: true })
    expect(ended.tags).toEqual(["SessionDisconnected", "SharedReleased", "SessionEnded"])
    expect(ended.events[1]).toEqual({ _tag: "SharedReleased", firstReleaseId: 1, entryIds: [0, 4, 6], messages: [] })
    expect(offered(ended)).toEqual([
      [1, 1],
      [2, 5],
      [3, 7]
    ])
    expect(ended.notices).toContainEqual({ _tag: "SharedLost", clientId: "a/b", count: 2 })
    expect(session.state).toMatchObject({ name: "Absent", queuedBytes: 0 })
    expect(session.definition.isEmpty(session.state)).toBe(false)
  })

  it.each<[string, number, (session: SessionHarness) => Outcome | undefined]>([
    ["by its expiry", 1000, (session) => (session.send(leave), session.until(session.nowMs + 1000).at(-1))],
    ["with its connection", 0, (session) => session.send(leave)],
    ["by a clean start", hourMs, (session) => session.send(connectOf("2", { cleanStart: true }))],
    ["by an operator", hourMs, (session) => session.send({ _tag: "Kick", endSession: true })]
  ])("%s releases once, and not what it has been sent an acknowledgement for", (_how, expiryMs, end) => {
    const session = connected({}, expiryMs)
    session.send(enqueueOf(sharedOf(1), sharedOf(2)))
    session.send(markOf(0))
    session.send({ _tag: "Acked", connectionId: "1", packetIds: [1] })
    expect(offered(end(session)!)).toEqual([[1, 2]])
    expect(releasedOffsets(session)).toEqual([2])
  })

  it("releases a stream's record with what its reader said of it", () => {
    const session = connected()
    const stream = { isFullTopic: true, gap: 3 } as const
    session.send(enqueueOf({ ...sharedOf(1), stream }))
    session.send({ _tag: "Kick", endSession: true })
    expect(session.state.released).toMatchObject([{ offset: 1, stream }])
  })

  it("releases nothing if it has nothing by shared subscriptions", () => {
    const session = connected()
    session.send(enqueueOf(messageOf(1)))
    expect(session.send({ _tag: "Kick", endSession: true }).tags).toEqual(["SessionDisconnected", "SessionEnded"])
    expect(session.definition.isEmpty(session.state)).toBe(true)
  })
})

describe("what is released", () => {
  it("is asked for again, later each time and at a start, until it is confirmed", () => {
    const session = connected()
    session.send(enqueueOf(sharedOf(1), sharedOf(2)))
    session.send({ _tag: "Kick", endSession: true })
    const startMs = session.nowMs
    const times: Array<number> = []
    while (times.length < 3) {
      const { atMs } = session.deadlines.get("outbox")!
      times.push(atMs - startMs)
      expect(session.until(atMs).map(offered)).toEqual([
        [
          [1, 1],
          [2, 2]
        ]
      ])
    }
    expect(times).toEqual([1000, 3000, 7000])
    expect(session.send(confirmOf([1])).events).toEqual([{ _tag: "SharedHandedOn", releaseIds: [1], to: "other" }])
    session.reload()
    session.restart()
    expect(session.until(session.nowMs).map(offered)).toEqual([[[2, 2]]])
    expect(session.send(confirmOf([1, 2], null)).events).toEqual([
      { _tag: "SharedHandedOn", releaseIds: [2], to: null }
    ])
    expect(session.send(confirmOf([1, 2])).tags).toEqual([])
    expect(session.deadlines.has("outbox")).toBe(false)
    expect(session.definition.isEmpty(session.state)).toBe(true)
    expect(session.saved()).toEqual(session.saved(session.definition.initial(session.id)))
  })

  it("and wills wait for the same deadline, each until it is confirmed itself", () => {
    const session = new SessionHarness()
    session.send(connectOf("1", { sessionExpiryMs: hourMs, will: willOf(0) }))
    session.send({ _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf(share)] })
    session.send(enqueueOf(sharedOf(1)))
    const ended = session.send({ _tag: "Kick", endSession: true })
    expect(ended.notices.map(({ _tag }) => _tag)).toEqual(["CloseConnection", "PublishWill", "HandOn"])
    session.send({ _tag: "ConfirmWill", willId: 1, refused: null })
    expect(session.deadlines.has("outbox")).toBe(true)
    session.send(confirmOf([1]))
    expect(session.deadlines.has("outbox")).toBe(false)
  })

  it("has ids of its own beside those of the session's next lives", () => {
    const session = connected()
    session.send(enqueueOf(sharedOf(1)))
    session.send(connectOf("1", { cleanStart: true }))
    session.send({ _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf(share)] })
    session.send(enqueueOf(sharedOf(2)))
    expect(offered(session.send({ _tag: "Kick", endSession: true }))).toEqual([[2, 2]])
    session.send(confirmOf([1]))
    expect(releasedOffsets(session)).toEqual([2])
  })
})

const unsubscribe = (session: SessionHarness) =>
  session.send({ _tag: "Unsubscribe", connectionId: "1", filters: [share] })

describe("a message that comes by a shared subscription that is not there", () => {
  it.each<[string, (session: SessionHarness) => void]>([
    ["since the session has ended", (session) => session.send({ _tag: "Kick", endSession: true })],
    ["since it was unsubscribed", (session) => unsubscribe(session)],
    [
      "since it was unsubscribed, beside others",
      (session) => {
        session.send({ _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf("b")] })
        unsubscribe(session)
      }
    ]
  ])("%s, is for another member", (_why, change) => {
    const session = connected()
    change(session)
    const came = session.send({ ...enqueueOf(sharedOf(1), messageOf(2)), baseOffset: 100 })
    expect(came.events.find(({ _tag }) => _tag === "SharedReleased")).toMatchObject({
      firstReleaseId: 1,
      entryIds: [],
      messages: [{ offset: 101, share }]
    })
    expect(offered(came)).toEqual([[1, 101]])
    expect(session.deadlines.has("outbox")).toBe(true)
  })

  it("is dropped when as many wait as a queue may hold", () => {
    const session = new SessionHarness({ offlineQueueMessagesMax: 2 })
    const came = session.send(enqueueOf(sharedOf(1), sharedOf(2), sharedOf(3)))
    expect(releasedOffsets(session)).toEqual([1, 2])
    expect(came.notices).toContainEqual({
      _tag: "QueueFull",
      clientId: "a/b",
      startedAtMs: 0,
      messages: [{ logId: 7, offset: 3, limit: "offlineQueueMessagesMax" }]
    })
  })
})

describe("ReleaseShared", () => {
  it("gives up what a session without a connection has not sent", () => {
    const session = connected()
    session.send({ _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf("$share/g/b")] })
    session.send(enqueueOf(sharedOf(1), messageOf(2), sharedOf(3), messageOf(4, { share: "$share/g/b" })))
    session.send(markOf(0))
    const command = { _tag: "ReleaseShared", share } as const
    expect(session.send(command).tags).toEqual([])
    session.send(leave)
    const given = session.send(command)
    expect(given.events).toEqual([{ _tag: "SharedReleased", firstReleaseId: 1, entryIds: [2], messages: [] }])
    expect(offered(given)).toEqual([[1, 3]])
    expect(session.send(command).tags).toEqual([])
    expect([...session.state.queue.keys()]).toEqual([0, 1, 3])
    expect(session.state.queuedBytes).toBe(30)
    expect(session.send(connectOf("2")).reply).toMatchObject({
      queue: [
        { offset: 1, packetId: 1 },
        { offset: 2, packetId: null },
        { offset: 4, packetId: null }
      ]
    })
  })
})

describe("a stream's record that a group has dealt out to a session", () => {
  const shareOfStream = "$share/g/$stream/orders"
  const recordOf = (offset: number, qos: 1 | 2 = 1) => messageOf(offset, { share: shareOfStream, qos, stream: {} })

  const member = (): SessionHarness => {
    const session = connected()
    session.send({ _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf(shareOfStream, { qos: 2 })] })
    session.send(enqueueOf(recordOf(1), recordOf(2, 2), recordOf(3), sharedOf(4), messageOf(5), recordOf(6, 2)))
    session.send(markOf(0, 1))
    return session
  }

  it.each<[string, SessionCommand]>([
    ["its client", leave],
    ["an operator", { _tag: "Kick", endSession: false }],
    ["a restart", { _tag: "LoseConnection", connectionId: "1" }]
  ])("is released when the connection is ended by %s before it was sent, also once it was unsubscribed", (_by, end) => {
    const session = member()
    session.send({ _tag: "Unsubscribe", connectionId: "1", filters: [shareOfStream] })
    expect(session.state.queue.size).toBe(6)
    const ended = session.send(end)
    expect(ended.tags).toEqual(["SessionDisconnected", "SharedReleased"])
    expect(offered(ended)).toEqual([
      [1, 3],
      [2, 6]
    ])
    expect([...session.state.queue.values()].map(({ offset }) => offset)).toEqual([1, 2, 4, 5])
    expect(session.deadlines.has("outbox")).toBe(true)
  })

  it("is released once by a session that ends with its connection, and not by one that another connection takes over", () => {
    const session = connected({}, 0)
    session.send({ _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf(shareOfStream)] })
    session.send(enqueueOf(recordOf(1)))
    expect(session.send(leave).tags).toEqual(["SessionDisconnected", "SharedReleased", "SessionEnded"])
    expect(offered(member().send(connectOf("2")))).toEqual([])
  })

  it("is released at once if it comes when the connection has gone", () => {
    const session = member()
    session.send({ _tag: "Kick", endSession: false })
    const came = session.send(enqueueOf(recordOf(7), sharedOf(8)))
    expect(offered(came)).toEqual([[3, 7]])
    expect([...session.state.queue.values()].at(-1)).toMatchObject({ offset: 8 })
  })
})

describe("Enqueue of all or nothing", () => {
  it("is refused when one of them has no room", () => {
    const session = connected({ offlineQueueMessagesMax: 3 })
    session.send(enqueueOf(sharedOf(1), sharedOf(2)))
    const whole = { ...enqueueOf(sharedOf(3), sharedOf(4)), isWhole: true } as const
    expect(session.send(whole)).toMatchObject({ tags: [], notices: [], refused: "QuotaExceeded" })
    expect(session.send({ ...whole, messages: [sharedOf(3)] }).tags).toEqual(["MessagesQueued"])
  })

  it("is taken into an empty queue whatever its bytes are, and refused behind that", () => {
    const session = connected({ offlineQueueBytesMax: 15 })
    const whole = { ...enqueueOf(sharedOf(1), sharedOf(2)), isWhole: true } as const
    expect(session.send(whole)).toMatchObject({ tags: ["MessagesQueued"], refused: undefined })
    expect(session.state.queuedBytes).toBe(20)
    expect(session.send({ ...whole, messages: [sharedOf(3)] }).refused).toBe("QuotaExceeded")
    session.send(markOf(0, 1))
    session.send({ _tag: "Acked", connectionId: "1", packetIds: [1, 2] })
    expect(session.send({ ...whole, messages: [sharedOf(3), sharedOf(4)] }).tags).toEqual(["MessagesQueued"])
  })

  it("without room for as many messages is refused by an empty queue too", () => {
    const session = connected({ offlineQueueMessagesMax: 1 })
    const whole = { ...enqueueOf(sharedOf(1), sharedOf(2)), isWhole: true } as const
    expect(session.send(whole)).toMatchObject({ tags: [], refused: "QuotaExceeded" })
  })
})
