import { type EventFrom, transition } from "xstate"
import { describe, expect, it } from "vitest"
import {
  absentLife,
  can,
  foldLife,
  type Lifecycle,
  nextLifecycle,
  sessionMachine,
  type SessionStateName
} from "../../src/session/sessionMachine.ts"
import type { LifecycleEvent } from "../../src/session/SessionProtocol.ts"
import { willOf } from "./SessionHarness.ts"

const settings = {
  connectionId: "1",
  sessionExpiryMs: 500,
  will: willOf(20),
  keepAliveMs: 0,
  protocolVersion: 5
} as const
const started: LifecycleEvent = { _tag: "SessionStarted", ...settings, atMs: 100 }
const resumed: LifecycleEvent = { _tag: "SessionResumed", ...settings, connectionId: "2", atMs: 300 }
const takenOver: LifecycleEvent = { _tag: "SessionTakenOver", by: "2", atMs: 200 }
const disconnected: LifecycleEvent = {
  _tag: "SessionDisconnected",
  connectionId: "1",
  cause: "Closed",
  sessionExpiryMs: 500,
  keepsWill: true,
  atMs: 200
}
const triggered: LifecycleEvent = { _tag: "WillTriggered", willId: 1, topic: "house/gone" }
const published: LifecycleEvent = { _tag: "WillPublished", topic: "house/gone" }
const ended: LifecycleEvent = { _tag: "SessionEnded", cause: "Expired" }

const after = (...events: ReadonlyArray<LifecycleEvent>): Lifecycle =>
  events.reduce(nextLifecycle, { name: "Absent", life: absentLife } as Lifecycle)

const given: Record<SessionStateName, Lifecycle> = {
  Absent: after(),
  Connected: after(started),
  Disconnected: after(started, disconnected)
}

const events = [started, resumed, takenOver, disconnected, triggered, published, ended]

/** Where each event leads, in the order above; undefined: the state does not take it. */
const table: Record<SessionStateName, ReadonlyArray<SessionStateName | undefined>> = {
  Absent: ["Connected", undefined, undefined, undefined, undefined, undefined, undefined],
  Connected: [undefined, undefined, "Disconnected", "Disconnected", undefined, undefined, undefined],
  Disconnected: [undefined, "Connected", undefined, undefined, "Disconnected", "Disconnected", "Absent"]
}

const typed = (event: LifecycleEvent) => ({ ...event, type: event._tag }) as EventFrom<typeof sessionMachine>

describe("the table of states", () => {
  for (const [state, row] of Object.entries(table)) {
    events.forEach((event, i) => {
      const target = row[i]
      it(`${state} + ${event._tag} = ${target ?? "refused"}`, () => {
        const before = given[state as SessionStateName]
        expect(before.name).toBe(state)
        expect(can(before, event._tag)).toBe(target !== undefined)
        if (target === undefined) {
          expect(() => nextLifecycle(before, event)).toThrow(`the journal holds ${event._tag} in a state`)
        } else {
          const after = nextLifecycle(before, event)
          expect(after).toEqual({ name: target, life: foldLife(before.life, event) })
          const snapshot = sessionMachine.resolveState({ value: before.name, context: before.life })
          const [{ value, context }] = transition(sessionMachine, snapshot, typed(event))
          expect(after).toEqual({ name: value, life: context })
        }
      })
    })
  }
})

describe("what a life remembers", () => {
  it("its connection and will", () => {
    expect(given.Connected.life).toEqual({ ...absentLife, ...settings, startedAtMs: 100, sinceMs: 100 })
  })

  it("when it expires and when its will is due", () => {
    expect(given.Disconnected.life).toMatchObject({ connectionId: null, expiresAtMs: 700, willAtMs: 220 })
    expect(after(started, { ...disconnected, keepsWill: false }).life).toMatchObject({ will: null, willAtMs: null })
  })

  it("since when it is, over its connections", () => {
    const { life } = after(started, disconnected, resumed)
    expect(life).toMatchObject({ connectionId: "2", startedAtMs: 100, sinceMs: 300, expiresAtMs: null, willAtMs: null })
  })

  it("nothing once it has ended", () => expect(after(started, disconnected, ended)).toEqual(after()))
})
