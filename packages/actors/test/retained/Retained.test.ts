import { pack, unpack } from "@logbrook/core/actor/pack"
import * as Exit from "effect/Exit"
import { describe, expect, it } from "vitest"
import {
  Retained,
  retainedBytesOf,
  type RetainedCommand,
  type RetainedMessage,
  type RetainedState,
  retainedActor
} from "../../src/retained/Retained.ts"

const id = retainedActor("house/kitchen/temperature")
const nowMs = 1_000_000
const dayMs = 86_400_000

const messageOf = (changes: Partial<RetainedMessage> = {}): RetainedMessage => ({
  payload: new Uint8Array([2, 1]),
  qos: 1,
  userProperties: [["unit", "°C"]],
  contentType: "text/plain",
  responseTopic: null,
  correlationData: new Uint8Array([7]),
  payloadFormat: 1,
  expiryAtMs: null,
  clientId: "sensor",
  timestampMs: nowMs,
  ...changes
})

const set = (message: RetainedMessage | null): RetainedCommand => ({ _tag: "SetRetained", message })

const given = (...messages: ReadonlyArray<RetainedMessage>): RetainedState =>
  messages.reduce((state, message) => Retained.evolve(state, { _tag: "RetainedSet", message }), Retained.initial(id))

const deadlineAt = (atMs: number) => ({ _tag: "SetDeadline", key: "expire", atMs, command: { _tag: "Expire" } })
const cancelled = { _tag: "CancelDeadline", key: "expire" }

describe("a retained message", () => {
  it("is set and replaced", () => {
    const first = Retained.decide(given(), set(messageOf()), nowMs)
    expect(first.events).toEqual([{ _tag: "RetainedSet", message: messageOf() }])
    expect(first.reply).toEqual(Exit.succeed({ _tag: "Done" }))
    expect(first.signals).toEqual([])
    const state = given(messageOf(), messageOf({ qos: 0 }))
    expect(state).toMatchObject({ topic: "house/kitchen/temperature", message: messageOf({ qos: 0 }) })
    expect(Retained.isEmpty(state)).toBe(false)
  })

  it.each([null, messageOf({ payload: new Uint8Array() })])("is removed by an empty one", (message) => {
    const { events } = Retained.decide(given(messageOf()), set(message), nowMs)
    expect(events).toEqual([{ _tag: "RetainedCleared", cause: "Removed" }])
    expect(Retained.evolve(given(messageOf()), events[0]!)).toEqual(Retained.initial(id))
    expect(Retained.isEmpty(given())).toBe(true)
    expect(Retained.decide(given(), set(message), nowMs)).toMatchObject({ events: [], signals: [] })
  })

  it("expires", () => {
    const message = messageOf({ expiryAtMs: nowMs + 500 })
    expect(Retained.decide(given(), set(message), nowMs).signals).toEqual([deadlineAt(nowMs + 500)])
    const early = Retained.decide(given(message), { _tag: "Expire" }, nowMs + 499)
    expect(early).toMatchObject({ events: [], signals: [deadlineAt(nowMs + 500)] })
    const due = Retained.decide(given(message), { _tag: "Expire" }, nowMs + 500)
    expect(due).toMatchObject({ events: [{ _tag: "RetainedCleared", cause: "Expired" }], signals: [cancelled] })
  })

  it("without expiry cancels the deadline of the one before", () => {
    const state = given(messageOf({ expiryAtMs: nowMs + 500 }))
    expect(Retained.decide(state, set(messageOf()), nowMs).signals).toEqual([cancelled])
    expect(Retained.decide(state, set(null), nowMs).signals).toEqual([cancelled])
    expect(Retained.decide(given(messageOf()), { _tag: "Expire" }, nowMs)).toMatchObject({ events: [], signals: [] })
    expect(Retained.decide(given(), { _tag: "Expire" }, nowMs)).toMatchObject({ events: [], signals: [] })
  })

  it("that lives long is looked at daily", () => {
    const message = messageOf({ expiryAtMs: nowMs + 3 * dayMs })
    expect(Retained.decide(given(), set(message), nowMs).signals).toEqual([deadlineAt(nowMs + dayMs)])
    expect(Retained.decide(given(message), { _tag: "Expire" }, nowMs + dayMs)).toMatchObject({
      events: [],
      signals: [deadlineAt(nowMs + 2 * dayMs)]
    })
  })

  it("has its deadline again after a restart", () => {
    expect(Retained.resume(given(messageOf({ expiryAtMs: nowMs - 1 })), nowMs)).toEqual([deadlineAt(nowMs - 1)])
    expect(Retained.resume(given(messageOf()), nowMs)).toEqual([])
    expect(Retained.resume(given(), nowMs)).toEqual([])
  })

  it("is saved, loaded and replayed with bytes of its own", () => {
    const state = given(messageOf())
    const saved = Uint8Array.from(pack(Retained.save(state)))
    const loaded = Retained.load(id, unpack(saved))
    const event = Uint8Array.from(pack({ _tag: "RetainedSet", message: messageOf() }))
    const replayed = Retained.evolve(Retained.initial(id), unpack(event) as { _tag: "RetainedSet"; message: never })
    saved.fill(0xff)
    event.fill(0xff)
    expect(loaded).toEqual(state)
    expect(replayed).toEqual(state)
    expect(Retained.load(id, unpack(pack(Retained.save(given()))))).toEqual(Retained.initial(id))
  })

  it("counts all its bytes", () => {
    expect(retainedBytesOf(messageOf({ responseTopic: "é" }))).toBe(2 + 4 + 3 + 10 + 2 + 1)
  })
})
