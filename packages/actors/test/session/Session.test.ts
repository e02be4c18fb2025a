import { textBytes } from "@logbrook/core/memory/MemoryAccount"
import { describe, expect, it } from "vitest"
import type { SessionCommand } from "../../src/session/SessionProtocol.ts"
import { cleanEnd, connectOf, hourMs, messageOf, SessionHarness, subscriptionOf, willOf } from "./SessionHarness.ts"

const disconnectOf = (connectionId: string, publishWill = true, sessionExpiryMs: number | null = null) =>
  ({ _tag: "Disconnect", connectionId, publishWill, sessionExpiryMs, end: cleanEnd }) as const

const given = (...commands: ReadonlyArray<SessionCommand>): SessionHarness => {
  const session = new SessionHarness()
  for (const command of commands) session.send(command)
  return session
}

const closeOld = { _tag: "CloseConnection", clientId: "a/b", connectionId: "1", reason: "SessionTakenOver" }
const publish = (delayMs: number) => ({ _tag: "PublishWill", clientId: "a/b", willId: 1, will: willOf(delayMs) })
const confirm = { _tag: "ConfirmWill", willId: 1, refused: null } as const
const subscribe = { _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf("a")] } as const
const enqueueOf = (...offsets: ReadonlyArray<number>) =>
  ({ _tag: "Enqueue", messages: offsets.map((offset) => messageOf(offset)) }) as const

const below = (mountPoint: string | undefined) => (mountPoint === undefined ? {} : { mountPoint })

/** Of a session's life, and once more when it was saved and loaded. */
const weightsBelow = (mountPoint: string | undefined): ReadonlyArray<number> => {
  const { definition, state, id } = given(connectOf("1", below(mountPoint)))
  const loaded = definition.load(id, definition.save(state))
  return [state, loaded].map(({ lifeBytes }) => lifeBytes)
}

describe("Absent", () => {
  it("starts on Connect", () => {
    const session = new SessionHarness()
    expect(session.definition.isEmpty(session.state)).toBe(true)
    const { tags, reply, notices } = session.send(connectOf("1"))
    expect(tags).toEqual(["SessionStarted"])
    expect(reply).toEqual({
      _tag: "SessionOpened",
      sessionPresent: false,
      subscriptions: [],
      unreleasedQos2: [],
      queue: []
    })
    expect(notices).toEqual([])
    expect(session.deadlines.size).toBe(0)
    expect(session.definition.isEmpty(session.state)).toBe(false)
  })

  it.each<SessionCommand>([
    disconnectOf("1"),
    { _tag: "Kick", endSession: true },
    { _tag: "Expire", atMs: Infinity },
    { _tag: "WillDue", atMs: Infinity },
    { _tag: "RepeatIntents", delayMs: 1000 },
    confirm,
    { _tag: "LoseConnection", connectionId: "1" }
  ])("ignores $_tag", (command) => {
    expect(new SessionHarness().send(command)).toMatchObject({ tags: [], reply: { _tag: "Done" }, notices: [] })
  })

  it("queues nothing and takes no traffic", () => {
    const session = new SessionHarness()
    expect(session.send(enqueueOf(1, 2))).toMatchObject({ tags: [], reply: { entryIds: [null, null] } })
    expect(session.send(subscribe)).toMatchObject({ tags: [], refused: "SessionTakenOver" })
    const queued = { _tag: "MessagesQueued", firstEntryId: 0, messages: [messageOf(1)] } as const
    expect(() => session.definition.evolve(session.state, queued)).toThrow("absent")
  })
})

describe("Disconnect", () => {
  it("keeps a durable session until it expires", () => {
    const session = given(connectOf("1"))
    expect(session.send(disconnectOf("1")).tags).toEqual(["SessionDisconnected"])
    expect(session.until(session.nowMs + hourMs - 1)).toEqual([])
    expect(session.until(session.nowMs + 1).flatMap(({ events }) => events)).toEqual([
      { _tag: "SessionEnded", cause: "Expired" }
    ])
    expect(session.definition.isEmpty(session.state)).toBe(true)
    expect(session.state).toEqual(session.definition.initial(session.id))
  })

  it("ends a clean session with all it had", () => {
    const session = given(connectOf("1", { sessionExpiryMs: 0 }), {
      _tag: "Subscribe",
      connectionId: "1",
      subscriptions: [subscriptionOf("a")]
    })
    const { events } = session.send(disconnectOf("1"))
    expect(events.map(({ _tag }) => _tag)).toEqual(["SessionDisconnected", "SessionEnded"])
    expect(events[0]).toMatchObject({ cause: "Closed", end: cleanEnd })
    expect(events[1]).toEqual({ _tag: "SessionEnded", cause: "ConnectionClosed" })
    expect(session.state).toEqual(session.definition.initial(session.id))
    expect(session.deadlines.size).toBe(0)
  })

  it("takes a new expiry, but none for a clean session", () => {
    const session = given(connectOf("1"))
    session.send(disconnectOf("1", true, 50))
    expect(session.deadlines.get("expire")?.atMs).toBe(session.nowMs + 50)
    expect(given(connectOf("1")).send(disconnectOf("1", true, 0)).tags).toContain("SessionEnded")
    const clean = given(connectOf("1", { sessionExpiryMs: 0 }))
    expect(clean.send(disconnectOf("1", true, 50)).tags).toContain("SessionEnded")
  })

  it("is ignored from a connection that was taken over", () => {
    const session = given(connectOf("1"), connectOf("2", { will: willOf(0) }))
    expect(session.send(disconnectOf("1"))).toMatchObject({ tags: [], notices: [], reply: { _tag: "Done" } })
    expect(session.state.life.connectionId).toBe("2")
  })

  it("is not ended by a deadline of before", () => {
    const session = given(connectOf("1"), disconnectOf("1"))
    const { atMs, command } = session.deadlines.get("expire")!
    session.nowMs += 10
    session.send(connectOf("2"))
    session.send(disconnectOf("2"))
    session.nowMs += 2 * hourMs
    expect(session.send(command).tags).toEqual([])
    expect(session.deadlines.get("expire")?.atMs).toBe(atMs + 10)
  })

  it("keeps a session until its deadline has come, though the clock was set forth", () => {
    const session = given(connectOf("1"), disconnectOf("1"))
    session.nowMs += 2 * hourMs
    expect(session.send(connectOf("2"))).toMatchObject({ tags: ["SessionResumed"], reply: { sessionPresent: true } })
  })

  it("ends a session by its deadline, though the clock was set back", () => {
    const session = given(connectOf("1"), disconnectOf("1"))
    const { command } = session.deadlines.get("expire")!
    session.nowMs -= hourMs
    expect(session.send(command).tags).toEqual(["SessionEnded"])
  })
})

describe("the will", () => {
  it("is published when the connection breaks", () => {
    const { tags, notices } = given(connectOf("1", { will: willOf(0) })).send(disconnectOf("1"))
    expect(tags).toEqual(["SessionDisconnected", "WillTriggered"])
    expect(notices).toEqual([publish(0)])
  })

  it("is published before a clean session ends, whatever its delay", () => {
    const session = given(connectOf("1", { will: willOf(1000), sessionExpiryMs: 0 }))
    const { tags, notices } = session.send(disconnectOf("1"))
    expect(tags).toEqual(["SessionDisconnected", "WillTriggered", "SessionEnded"])
    expect(notices).toEqual([publish(1000)])
  })

  it("is discarded by a normal DISCONNECT", () => {
    const session = given(connectOf("1", { will: willOf(1000) }))
    expect(session.send(disconnectOf("1", false))).toMatchObject({ tags: ["SessionDisconnected"], notices: [] })
    expect(session.until(session.nowMs + 2 * hourMs).flatMap(({ notices }) => notices)).toEqual([])
  })

  it("waits for its delay, once", () => {
    const session = given(connectOf("1", { will: willOf(1000) }), disconnectOf("1"))
    expect(session.until(session.nowMs + 999)).toEqual([])
    expect(session.until(session.nowMs + 1)).toMatchObject([{ tags: ["WillTriggered"], notices: [publish(1000)] }])
    session.send(confirm)
    expect(session.until(session.nowMs + hourMs)).toMatchObject([{ tags: ["SessionEnded"], notices: [] }])
  })

  it("does not outwait the session", () => {
    const session = given(connectOf("1", { will: willOf(2 * hourMs) }), disconnectOf("1"))
    const outcomes = session.until(session.nowMs + hourMs)
    expect(outcomes).toMatchObject([{ tags: ["WillTriggered", "SessionEnded"], notices: [publish(2 * hourMs)] }])
    expect([...session.deadlines.keys()]).toEqual(["outbox"])
  })

  it("is cancelled by a reconnect within its delay", () => {
    const session = given(connectOf("1", { will: willOf(1000) }), disconnectOf("1"))
    session.until(session.nowMs + 999)
    expect(session.send(connectOf("2"))).toMatchObject({ tags: ["SessionResumed"], notices: [] })
    expect(session.deadlines.size).toBe(0)
    expect(session.state.life).toMatchObject({ will: null, willAtMs: null })
  })

  it("is discarded by a reconnect that comes before its deadline, whatever the clock says", () => {
    const session = given(connectOf("1", { will: willOf(1000) }), disconnectOf("1"))
    session.nowMs += 1000
    expect(session.send(connectOf("2"))).toMatchObject({ tags: ["SessionResumed"], notices: [] })
  })

  it("is kept until its message is durable, also by a session that has ended, and over a restart", () => {
    const session = given(connectOf("1", { will: willOf(0), sessionExpiryMs: 0 }), disconnectOf("1"))
    expect(session.state).toMatchObject({ name: "Absent", pendingWills: [{ willId: 1 }] })
    expect(session.definition.isEmpty(session.state)).toBe(false)
    session.reload()
    session.restart()
    expect(session.until(session.nowMs)).toMatchObject([{ tags: [], notices: [publish(0)] }])
    expect(session.send(confirm)).toMatchObject({ tags: ["WillPublished"], notices: [] })
    expect(session.state).toEqual(session.definition.initial(session.id))
    expect(session.deadlines.size).toBe(0)
    expect(session.send(confirm).tags).toEqual([])
  })

  it("is told to be in its streams, once, if something else has refused it, and over a restart", () => {
    const session = given(connectOf("1", { will: willOf(0), sessionExpiryMs: 0 }), disconnectOf("1"))
    const note = { _tag: "NoteWillStored", willId: 1 } as const
    expect(session.send(note).events).toEqual([{ _tag: "WillStored", willId: 1 }])
    expect(session.send(note).tags).toEqual([])
    session.reload()
    session.restart()
    expect(session.until(session.nowMs)).toMatchObject([{ tags: [], notices: [{ ...publish(0), isStored: true }] }])
    expect(session.send(confirm).tags).toEqual(["WillPublished"])
    expect(session.send(note).tags).toEqual([])
    expect(session.state).toEqual(session.definition.initial(session.id))
  })

  it("is asked for again while it is refused, less and less often", () => {
    const session = given(connectOf("1", { will: willOf(0) }), disconnectOf("1"))
    const refused = { ...confirm, refused: { reason: "the disk is almost full", isFinal: false } }
    const startMs = session.nowMs
    const asked: Array<number> = []
    while (asked.length < 9) {
      expect(session.send(refused).tags).toEqual([])
      for (const { notices } of session.until(session.deadlines.get("outbox")!.atMs)) {
        expect(notices).toEqual([publish(0)])
        asked.push((session.nowMs - startMs) / 1000)
      }
    }
    expect(asked).toEqual([1, 3, 7, 15, 31, 63, 123, 183, 243])
  })

  it("is given up if it can never be stored", () => {
    const session = given(connectOf("1", { will: willOf(0) }), disconnectOf("1"))
    const { events } = session.send({ ...confirm, refused: { reason: "too large", isFinal: true } })
    expect(events).toEqual([{ _tag: "WillDropped", willId: 1, reason: "too large" }])
    expect(session.state.pendingWills).toEqual([])
    expect(session.deadlines.has("outbox")).toBe(false)
  })

  it("is one of a few that wait at most: then the client may not come with another", () => {
    const session = new SessionHarness()
    for (let i = 1; i <= 16; i++) expect(session.send(connectOf(`${i}`, { will: willOf(0) })).refused).toBeUndefined()
    session.send(disconnectOf("16"))
    expect(session.state.pendingWills.map(({ willId }) => willId)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1))
    expect(session.send(connectOf("17"))).toMatchObject({ refused: "TooManyWills", tags: [] })
    session.send(confirm)
    expect(session.send(connectOf("17", { will: willOf(0) })).tags).toEqual(["SessionResumed"])
  })

  it("of a journal of an older version was gone with its event", () => {
    const session = given(connectOf("1", { will: willOf(0) }))
    const { evolve } = session.definition
    const disconnected = session.definition.decide(session.state, disconnectOf("1"), session.nowMs).events[0]!
    const state = evolve(evolve(session.state, disconnected), { _tag: "WillPublished", topic: "house/gone" })
    expect(state).toMatchObject({ life: { will: null }, pendingWills: [] })
    expect(session.definition.save(state)).not.toHaveProperty("pendingWills")
  })

  it("is published by a clean start within its delay", () => {
    const session = given(connectOf("1", { will: willOf(1000) }), disconnectOf("1"))
    const { tags, notices } = session.send(connectOf("2", { cleanStart: true }))
    expect(tags).toEqual(["WillTriggered", "SessionEnded", "SessionStarted"])
    expect(notices).toEqual([publish(1000)])
    expect([...session.deadlines.keys()]).toEqual(["outbox"])
  })

  it("keeps bytes of its own", () => {
    const session = new SessionHarness()
    const payload = new Uint8Array([1, 2, 3])
    session.send(connectOf("1", { will: willOf(0, { payload }) }))
    payload.fill(0)
    expect(session.send(disconnectOf("1")).notices).toEqual([publish(0)])
  })
})

describe("a takeover", () => {
  const takenOver = ["SessionTakenOver", "SessionResumed"]

  it("resumes the session and closes the old connection", () => {
    const session = given(connectOf("1"), subscribe, enqueueOf(1))
    const { tags, notices, reply } = session.send(connectOf("2"))
    expect(tags).toEqual(takenOver)
    expect(notices).toEqual([closeOld])
    expect(reply).toMatchObject({ sessionPresent: true, queue: [{ offset: 1, packetId: null, phase: "queued" }] })
    expect(session.deadlines.size).toBe(0)
  })

  it("publishes a will without delay, the old connection told first", () => {
    const { tags, notices } = given(connectOf("1", { will: willOf(0) })).send(connectOf("2"))
    expect(tags).toEqual(["SessionTakenOver", "WillTriggered", "SessionResumed"])
    expect(notices).toEqual([closeOld, publish(0)])
  })

  it("discards a will with delay, since the session goes on", () => {
    const session = given(connectOf("1", { will: willOf(1000) }))
    expect(session.send(connectOf("2"))).toMatchObject({ tags: takenOver, notices: [closeOld] })
    expect(session.until(session.nowMs + hourMs)).toEqual([])
  })

  it("by a clean start ends the session and publishes any will", () => {
    const session = given(connectOf("1", { will: willOf(1000) }), subscribe, enqueueOf(1))
    const { events, tags, notices, reply } = session.send(connectOf("2", { cleanStart: true }))
    expect(tags).toEqual(["SessionTakenOver", "WillTriggered", "SessionEnded", "SessionStarted"])
    expect(events[2]).toEqual({ _tag: "SessionEnded", cause: "CleanStart" })
    expect(notices).toEqual([closeOld, publish(1000)])
    expect(reply).toMatchObject({ sessionPresent: false, queue: [] })
    expect(session.state.queue.size).toBe(0)
  })

  it("of a clean session finds none, even without clean start", () => {
    const session = given(connectOf("1", { sessionExpiryMs: 0, will: willOf(1000) }))
    const { events, notices, reply } = session.send(connectOf("2"))
    expect(events[2]).toEqual({ _tag: "SessionEnded", cause: "ConnectionClosed" })
    expect(events.map(({ _tag }) => _tag).at(-1)).toBe("SessionStarted")
    expect(notices).toEqual([closeOld, publish(1000)])
    expect(reply).toMatchObject({ sessionPresent: false })
  })
})

describe("a reconnect", () => {
  it("finds subscriptions, unreleased ids, and the queue with the packet ids given", () => {
    const session = given(
      connectOf("1"),
      { _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf("a"), subscriptionOf("b/#")] },
      { _tag: "ReceiveQos2", connectionId: "1", packetId: 5 },
      enqueueOf(10, 11),
      { _tag: "MarkSent", connectionId: "1", entries: [{ entryId: 0, packetId: 9 }] },
      disconnectOf("1"),
      enqueueOf(12)
    )
    expect(session.send(connectOf("2")).reply).toMatchObject({
      sessionPresent: true,
      subscriptions: [{ filter: "a" }, { filter: "b/#" }],
      unreleasedQos2: [5],
      queue: [
        { entryId: 0, offset: 10, packetId: 9, phase: "sent" },
        { entryId: 1, offset: 11, packetId: null, phase: "queued" },
        { entryId: 2, offset: 12, packetId: null, phase: "queued" }
      ]
    })
  })

  it("comes too late once the expiry has passed", () => {
    const session = given(connectOf("1"), subscribe, enqueueOf(1), disconnectOf("1"))
    session.until(session.nowMs + hourMs)
    const { tags, reply } = session.send(connectOf("2"))
    expect(tags).toEqual(["SessionStarted"])
    expect(reply).toMatchObject({ sessionPresent: false, queue: [] })
    expect(session.deadlines.size).toBe(0)
  })

  it("with clean start discards the past", () => {
    const session = given(connectOf("1"), subscribe, enqueueOf(1), disconnectOf("1"))
    expect(session.send(connectOf("2", { cleanStart: true }))).toMatchObject({
      tags: ["SessionEnded", "SessionStarted"],
      reply: { sessionPresent: false, queue: [] }
    })
  })

  it.each([
    ["a/", "b/"],
    ["a/", undefined],
    [undefined, "a/"]
  ])("begins anew below another mount point than its own: %s, %s", (own, other) => {
    const session = given(connectOf("1", below(own)), subscribe, enqueueOf(1), disconnectOf("1"))
    expect(session.send(connectOf("2", below(own)))).toMatchObject({ tags: ["SessionResumed"], reply: { queue: [{}] } })
    session.send(disconnectOf("2"))
    expect(session.send(connectOf("3", below(other)))).toMatchObject({
      tags: ["SessionEnded", "SessionStarted"],
      reply: { sessionPresent: false, queue: [] }
    })
  })
})

it("counts its mount point for the account of memory, also once it was saved and loaded", () => {
  const more = textBytes("a/".repeat(100))
  expect(weightsBelow("a/".repeat(100))).toEqual(weightsBelow(undefined).map((bytes) => bytes + more))
})

describe("a kick", () => {
  const closed = { ...closeOld, reason: "AdministrativeAction" }

  it("closes the connection with its will and keeps the session", () => {
    const session = given(connectOf("1", { will: willOf(0) }))
    const { tags, events, notices } = session.send({ _tag: "Kick", endSession: false })
    expect(tags).toEqual(["SessionDisconnected", "WillTriggered"])
    expect(events[0]).toMatchObject({ cause: "Kicked", end: { by: "kick" } })
    expect(notices).toEqual([closed, publish(0)])
    expect(session.send({ _tag: "Kick", endSession: false }).tags).toEqual([])
    expect(session.deadlines.get("expire")?.atMs).toBe(session.nowMs + hourMs)
  })

  it("ends the session when asked to, connected or not", () => {
    const connected = given(connectOf("1", { will: willOf(1000) })).send({ _tag: "Kick", endSession: true })
    expect(connected.tags).toEqual(["SessionDisconnected", "WillTriggered", "SessionEnded"])
    const session = given(connectOf("1"), disconnectOf("1"))
    expect(session.send({ _tag: "Kick", endSession: true })).toMatchObject({ tags: ["SessionEnded"], notices: [] })
    expect(session.deadlines.size).toBe(0)
  })
})

describe("a restart of the server", () => {
  it("disconnects, publishes a will without delay, and counts the expiry from then", () => {
    const session = given(connectOf("1", { will: willOf(0) }), subscribe, enqueueOf(1))
    session.nowMs += 5000
    session.restart()
    const [outcome] = session.until(session.nowMs)
    expect(outcome?.tags).toEqual(["SessionDisconnected", "WillTriggered"])
    expect(outcome?.events[0]).toMatchObject({ cause: "Lost", end: { by: "restart" }, atMs: session.nowMs })
    expect(outcome?.notices).toEqual([{ ...closeOld, reason: "UnspecifiedError" }, publish(0)])
    expect(session.deadlines.get("expire")?.atMs).toBe(session.nowMs + hourMs)
    expect(session.send(connectOf("2")).reply).toMatchObject({ sessionPresent: true, queue: [{ offset: 1 }] })
  })

  it("honours a will's delay", () => {
    const session = given(connectOf("1", { will: willOf(1000) }))
    session.restart()
    expect(session.until(session.nowMs)).toMatchObject([{ tags: ["SessionDisconnected"] }])
    expect(session.until(session.nowMs + 1000)).toMatchObject([{ tags: ["WillTriggered"], notices: [publish(1000)] }])
  })

  it("ends clean sessions", () => {
    const session = given(connectOf("1", { sessionExpiryMs: 0 }))
    session.restart()
    expect(session.until(session.nowMs)).toMatchObject([{ tags: ["SessionDisconnected", "SessionEnded"] }])
  })

  it("arms the deadlines of a session that waits", () => {
    const session = given(connectOf("1", { will: willOf(1000) }), disconnectOf("1"))
    const before = new Map(session.deadlines)
    session.restart()
    expect([...session.deadlines.keys()].sort()).toEqual(["expire", "will"])
    for (const [key, { atMs }] of session.deadlines) expect(atMs).toBe(before.get(key)?.atMs)
  })

  it("spares a client that is back before its old connection is found lost", () => {
    const session = given(connectOf("1"))
    session.restart()
    session.send(connectOf("2"))
    expect(session.until(session.nowMs)).toMatchObject([{ tags: [], notices: [] }])
    expect(session.state.life.connectionId).toBe("2")
  })
})
