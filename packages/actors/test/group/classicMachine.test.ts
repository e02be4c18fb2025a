import { describe, expect, it } from "vitest"
import type { GroupStateName } from "../../src/group/GroupProtocol.ts"
import { foldContext, type ClassicEvent } from "../../src/group/classic/classicContext.ts"
import { type ClassicSnapshot, initialSnapshot, nextSnapshot } from "../../src/group/classic/classicMachine.ts"
import { assign, bytes } from "./GroupHarness.ts"

const details = {
  clientId: "client",
  clientHost: "/127.0.0.1",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 60_000,
  protocols: [{ name: "range", metadata: bytes("topics") }],
  reason: null
}
const joins = {
  _tag: "MemberJoined",
  memberId: "a",
  groupInstanceId: "i",
  protocolType: "consumer",
  ticket: 1,
  ...details
} as const
const started = { _tag: "RebalanceStarted", memberId: "a", reason: "new member a", initial: true } as const
const completed = { _tag: "RebalanceCompleted", generation: 1, protocolName: "range", leader: "a" } as const
const stored = { _tag: "AssignmentStored", generation: 1, assignments: assign(["a"]) } as const

const after = (...events: ReadonlyArray<ClassicEvent>): ClassicSnapshot => events.reduce(nextSnapshot, initialSnapshot)

const given: Record<GroupStateName, ClassicSnapshot> = {
  Empty: after(joins),
  PreparingRebalance: after(joins, started),
  CompletingRebalance: after(joins, started, completed),
  Stable: after(joins, started, completed, stored)
}

const events: ReadonlyArray<ClassicEvent> = [
  { _tag: "MemberIdAssigned", memberId: "p", clientId: "c", clientHost: "h", sessionTimeoutMs: 10_000 },
  { _tag: "PendingMemberLeft", memberId: "p", reason: "left" },
  { ...joins, memberId: "b", ticket: 2 },
  { _tag: "MemberUpdated", memberId: "a", ticket: 3, ...details },
  { _tag: "MemberReplaced", memberId: "a2", groupInstanceId: "i", fencedMemberId: "a", ticket: 4, ...details },
  { _tag: "MemberLeft", memberId: "a", groupInstanceId: "i", reason: "left", detail: null },
  { ...started, initial: false },
  { ...completed, generation: 2 },
  { _tag: "MemberSynced", memberId: "a", ticket: 5 },
  stored,
  { _tag: "ParkedRepliesForgotten", ticketsUpTo: 9 }
]

/** Where each event leads, in the order above; undefined: the state does not take it. */
const table: Record<GroupStateName, ReadonlyArray<GroupStateName | undefined>> = (() => {
  const [E, P, C, S] = ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable"] as const
  const no = undefined
  return {
    Empty: [E, E, E, no, no, no, P, no, no, no, no],
    PreparingRebalance: [P, P, P, P, P, P, no, C, no, no, P],
    CompletingRebalance: [C, C, C, C, C, C, P, no, C, S, C],
    Stable: [S, S, S, S, S, S, P, no, S, no, no]
  }
})()

describe("the table of states", () => {
  for (const [state, row] of Object.entries(table)) {
    events.forEach((event, i) => {
      const target = row[i]
      it(`${state} + ${event._tag} = ${target ?? "refused"}`, () => {
        const snapshot = given[state as GroupStateName]
        expect(snapshot.value).toBe(state)
        if (target === undefined) {
          expect(() => nextSnapshot(snapshot, event)).toThrow(`the journal holds ${event._tag} in a state`)
        } else {
          const next = nextSnapshot(snapshot, event)
          expect(next.value).toBe(target)
          expect(next.context).toEqual(foldContext(snapshot.context, event))
        }
      })
    })
  }

  it("PreparingRebalance without members ends Empty", () => {
    const left: ClassicEvent = {
      _tag: "MemberLeft",
      memberId: "a",
      groupInstanceId: "i",
      reason: "left",
      detail: null
    }
    const ended: ClassicEvent = { ...completed, protocolName: null, leader: null }
    expect(after(joins, started, left, ended).value).toBe("Empty")
  })
})

describe("the context", () => {
  it("is never changed in place", () => {
    for (const snapshot of Object.values(given)) {
      for (const event of events) {
        const members = structuredClone(snapshot.context)
        try {
          nextSnapshot(snapshot, event)
        } catch {
          // A refusal must change nothing either.
        }
        expect(snapshot.context).toEqual(members)
      }
    }
  })

  it("of a replaced leader: its place, its assignment, its leadership", () => {
    const both = after(joins, { ...joins, memberId: "b", groupInstanceId: null, ticket: 2 }, started, completed, stored)
    const replaced = events.find((event) => event._tag === "MemberReplaced")
    if (replaced === undefined) throw new Error("no such event")
    const { context } = nextSnapshot(both, replaced)
    expect([...context.members.keys()]).toEqual(["a2", "b"])
    expect(context.leader).toBe("a2")
    expect(context.members.get("a2")?.assignment).toEqual(bytes("a-a"))
  })

  it("throws for a member that is not there", () => {
    const event: ClassicEvent = { _tag: "MemberSynced", memberId: "stranger", ticket: 1 }
    expect(() => nextSnapshot(given.Stable, event)).toThrow("stranger")
  })
})
