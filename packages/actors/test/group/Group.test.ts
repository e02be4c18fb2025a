import { pack } from "@logbrook/core/actor/pack"
import { describe, expect, it } from "vitest"
import { assign, assignmentOf, bytes, type Call, GroupHarness, isParked, joined, protocols } from "./GroupHarness.ts"

const completing = (count: number) => {
  const group = new GroupHarness()
  const calls = Array.from({ length: count }, () => group.join(""))
  group.advance(1_000)
  group.newEvents()
  return { group, ids: calls.map((call) => joined(call).memberId) }
}

const stableStatics = () => {
  const group = new GroupHarness()
  const ids = group.stable(2, (i) => ({ groupInstanceId: `i${i}` }))
  return { group, a: ids[0] ?? "", b: ids[1] ?? "" }
}

describe("Empty", () => {
  it("waits for more members before the first generation, again for each that comes", () => {
    const group = new GroupHarness()
    const a = group.join("")
    expect(group.newTags()).toEqual(["MemberJoined", "RebalanceStarted"])
    expect(group.value).toBe("PreparingRebalance")
    group.advance(400)
    const b = group.join("")
    group.advance(400)
    const c = group.join("")
    expect(group.newTags()).toEqual(["MemberJoined", "MemberJoined"])
    expect([a, b, c].every(isParked)).toBe(true)
    group.advance(700)
    expect(group.newEvents()).toEqual([
      { _tag: "RebalanceCompleted", generation: 1, protocolName: "range", leader: "m1" }
    ])
    expect(joined(a).members.map((member) => member.memberId)).toEqual(["m1", "m2", "m3"])
    expect(joined(b)).toMatchObject({ generation: 1, leader: "m1", memberId: "m2", members: [], protocolName: "range" })
    expect(joined(c).generation).toBe(1)
  })

  it("extends the wait no further than the rebalance timeout", () => {
    const group = new GroupHarness()
    const first = group.join("", { rebalanceTimeoutMs: 1_200 })
    for (let i = 0; i < 4; i++) {
      group.advance(300)
      if (isParked(first)) group.join("", { rebalanceTimeoutMs: 1_200 })
    }
    expect(joined(first).generation).toBe(1)
    expect(group.nowMs).toBe(1_001_200)
  })

  it("completes at once without a delay", () => {
    const group = new GroupHarness({ initialRebalanceDelayMs: 0 })
    expect(joined(group.join("")).leader).toBe("m1")
    expect(group.newTags()).toEqual(["MemberJoined", "RebalanceStarted", "RebalanceCompleted"])
  })

  it("knows no members", () => {
    const group = new GroupHarness()
    expect(group.heartbeat("x", 0).refused?.reason).toBe("UnknownMemberId")
    expect(group.sync("x", 0).refused?.reason).toBe("UnknownMemberId")
    expect(group.join("x").refused?.reason).toBe("UnknownMemberId")
    expect(group.leave({ memberId: "x" }).reply).toMatchObject({ members: [{ refused: "UnknownMemberId" }] })
    expect(group.send({ _tag: "Describe" }).refused?.reason).toBe("GroupIdNotFound")
    expect(group.events).toEqual([])
  })

  it("gives a dynamic member its id first, and lets it expire (KIP-394)", () => {
    const group = new GroupHarness()
    const first = group.join("", { requireKnownMemberId: true })
    expect(first.refused).toMatchObject({ reason: "MemberIdRequired", memberId: "m1" })
    expect(group.value).toBe("Empty")
    expect(isParked(group.join("m1", { requireKnownMemberId: true }))).toBe(true)
    expect(group.context.pending.size).toBe(0)
    group.join("", { requireKnownMemberId: true })
    expect(group.context.pending.size).toBe(1)
    group.newEvents()
    group.advance(10_000)
    expect(group.newEvents()).toContainEqual({
      _tag: "PendingMemberLeft",
      memberId: "m3",
      reason: "session expired"
    })
  })

  it("is not deleted by a journal while it has members", () => {
    const group = new GroupHarness()
    group.stable(1)
    expect(() => group.definition.evolve(group.state, { _tag: "GroupDeleted" })).toThrow("has members")
  })

  it("is deleted with its offsets, and begins anew", () => {
    const group = new GroupHarness()
    expect(group.send({ _tag: "DeleteGroup" }).refused?.reason).toBe("GroupIdNotFound")
    group.commit("", -1, { offset: 7 })
    const pending = group.join("", { requireKnownMemberId: true }).refused?.memberId ?? ""
    expect(group.send({ _tag: "DeleteGroup" }).reply?._tag).toBe("GroupGone")
    expect(group.state).toEqual(group.definition.initial(group.id))
    expect(group.deadlines.size).toBe(0)
    expect(group.definition.isEmpty(group.state)).toBe(true)
    expect(group.offsetOf(0)).toBe(-1)
    expect(group.join(pending).refused?.reason).toBe("UnknownMemberId")
    expect(isParked(group.join(""))).toBe(true)
    expect(group.send({ _tag: "DeleteGroup" }).refused?.reason).toBe("NonEmptyGroup")
  })
})

describe("what a join may not be", () => {
  const cases = [
    ["InvalidSessionTimeout", { sessionTimeoutMs: 5_999 }],
    ["InvalidSessionTimeout", { sessionTimeoutMs: 300_001 }],
    ["InvalidSessionTimeout", { sessionTimeoutMs: Number.NaN }],
    ["InconsistentGroupProtocol", { protocols: [] }],
    ["InconsistentGroupProtocol", { protocolType: "" }],
    ["InconsistentGroupProtocol", { protocolType: "connect" }],
    ["InconsistentGroupProtocol", { protocols: protocols("sticky") }],
    ["GroupMaxSizeReached", { protocols: [{ name: "range", metadata: new Uint8Array(1_048_589) }] }],
    ["InvalidRequest", { protocols: Array.from({ length: 65 }, () => ({ name: "range", metadata: bytes("") })) }],
    ["InvalidRequest", { clientId: "x".repeat(513) }],
    ["InvalidRequest", { protocols: protocols("x".repeat(513)) }],
    ["UnknownMemberId", { memberId: "unknown" }],
    ["UnknownMemberId", { memberId: "unknown", protocols: [{ name: "range", metadata: new Uint8Array(1_048_589) }] }],
    ["UnknownMemberId", { memberId: "unknown", sessionTimeoutMs: 5_999 }],
    ["UnknownMemberId", { memberId: "unknown", protocols: protocols("sticky") }],
    ["UnknownMemberId", { memberId: "m1", groupInstanceId: "nobody" }]
  ] as const
  it.each(cases)("%s %#", (reason, options) => {
    const group = new GroupHarness()
    group.join("")
    group.newEvents()
    expect(group.join("", options).refused?.reason).toBe(reason)
    expect(group.newEvents()).toEqual([])
  })

  it("InvalidGroupId", () => {
    const group = new GroupHarness()
    group.state = group.definition.initial("group/")
    expect(group.join("").refused?.reason).toBe("InvalidGroupId")
    group.state = group.definition.initial(`group/${"x".repeat(513)}`)
    expect(group.join("").refused?.reason).toBe("InvalidGroupId")
    expect(group.commit("", -1, {}).refused?.reason).toBe("InvalidGroupId")
  })

  it("GroupMaxSizeReached, counting those that only have an id", () => {
    const group = new GroupHarness({ membersMax: 2 })
    group.join("")
    const { memberId } = group.join("", { requireKnownMemberId: true }).refused ?? { memberId: "" }
    expect(group.join("").refused?.reason).toBe("GroupMaxSizeReached")
    expect(isParked(group.join(memberId))).toBe(true)
    expect(group.join("").refused?.reason).toBe("GroupMaxSizeReached")
  })

  it("a member id named __proto__ is a name", () => {
    const group = new GroupHarness({ initialRebalanceDelayMs: 0 })
    expect(group.heartbeat("__proto__", 0).refused?.reason).toBe("UnknownMemberId")
    expect(joined(group.join("", { proposedMemberId: "__proto__" })).leader).toBe("__proto__")
    expect(group.heartbeat("__proto__", 1).reply?._tag).toBe("HeartbeatAccepted")
  })
})

describe("PreparingRebalance", () => {
  it("tells heartbeats and syncs of the rebalance, keeps the parked, drops who does not come", () => {
    const group = new GroupHarness()
    const [a = "", b = "", c = ""] = group.stable(3)
    const d = group.join("", { reason: "scaled out" })
    expect(group.newEvents().slice(1)).toEqual([
      { _tag: "RebalanceStarted", memberId: "m4", reason: "new member m4: scaled out", initial: false }
    ])
    expect(group.heartbeat(a, 1).refused?.reason).toBe("RebalanceInProgress")
    expect(group.heartbeat(a, 0).refused?.reason).toBe("IllegalGeneration")
    expect(group.sync(a, 1).refused?.reason).toBe("RebalanceInProgress")
    const again = group.join(a)
    for (let i = 0; i < 6; i++) {
      group.advance(9_999)
      group.heartbeat(b, 1)
      group.heartbeat(c, 1)
    }
    expect([d, again].every(isParked)).toBe(true)
    group.newEvents()
    group.advance(10)
    expect(group.newEvents()).toEqual([
      { _tag: "MemberLeft", memberId: b, groupInstanceId: null, reason: "rebalance timeout", detail: null },
      { _tag: "MemberLeft", memberId: c, groupInstanceId: null, reason: "rebalance timeout", detail: null },
      { _tag: "RebalanceCompleted", generation: 2, protocolName: "range", leader: a }
    ])
    expect(joined(again).members).toHaveLength(2)
    expect(joined(d).generation).toBe(2)
  })

  it("completes when the last member has joined again, who is answered directly", () => {
    const group = new GroupHarness()
    const [a = "", b = ""] = group.stable(2)
    const c = group.join("")
    group.join(a)
    const last = group.join(b)
    expect(joined(last)).toMatchObject({ generation: 2, leader: a, members: [] })
    expect(joined(c).generation).toBe(2)
    expect(group.parked.size).toBe(0)
  })

  it("waits for a member that was given its id", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    group.join("", { requireKnownMemberId: true })
    const again = group.join(a)
    expect(isParked(again)).toBe(true)
    group.advance(10_000)
    expect(joined(again).generation).toBe(2)
  })

  it("waits no longer for one that leaves before it has joined", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    const memberId = group.join("", { requireKnownMemberId: true }).refused?.memberId ?? ""
    const again = group.join(a)
    expect(group.leave({ memberId }).reply).toMatchObject({ members: [{ refused: null }] })
    expect(joined(again).generation).toBe(2)
  })

  it("elects another leader if the old one does not come", () => {
    const group = new GroupHarness()
    const [a = "", b = ""] = group.stable(2)
    const again = group.join(b, { protocols: protocols("range", "new") })
    group.advance(10_000)
    expect(group.newEvents()).toContainEqual({
      _tag: "MemberLeft",
      memberId: a,
      groupInstanceId: null,
      reason: "session expired",
      detail: null
    })
    expect(joined(again)).toMatchObject({ generation: 2, leader: b })
  })

  it("answers a join that its client has given up with RebalanceInProgress", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(2)
    const first = group.join(a)
    const second = group.join(a)
    expect(first.refused?.reason).toBe("RebalanceInProgress")
    expect(isParked(second)).toBe(true)
  })

  it("keeps a new member's parked join five minutes and no longer", () => {
    const group = new GroupHarness()
    group.stable(1)
    const [a = ""] = group.context.members.keys()
    const late = group.join("", { rebalanceTimeoutMs: 600_000 })
    for (let i = 0; i < 30; i++) {
      group.advance(9_999)
      group.heartbeat(a, 1)
    }
    expect(isParked(late)).toBe(true)
    group.advance(100)
    expect(late.refused?.reason).toBe("UnknownMemberId")
  })

  it("ends Empty when all have left", () => {
    const group = new GroupHarness()
    const [a = "", b = ""] = group.stable(2)
    group.commit(a, 1, { offset: 5 })
    group.newEvents()
    group.leave({ memberId: a, reason: "closed" }, { memberId: b })
    expect(group.newEvents()).toEqual([
      { _tag: "MemberLeft", memberId: a, groupInstanceId: null, reason: "left", detail: "closed" },
      { _tag: "MemberLeft", memberId: b, groupInstanceId: null, reason: "left", detail: null },
      { _tag: "RebalanceStarted", memberId: a, reason: `${a}, ${b} left`, initial: false },
      { _tag: "RebalanceCompleted", generation: 2, protocolName: null, leader: null, emptySinceMs: group.nowMs }
    ])
    expect(group.send({ _tag: "Describe" }).reply).toMatchObject({ state: "Empty", members: [], generation: 2 })
    expect([...group.deadlines.keys()]).toEqual(["offsets"])
    expect(group.definition.isEmpty(group.state)).toBe(false)
  })
})

describe("a parked request is a sign of life", () => {
  it("a join: no session until the generation is complete, and an expiry that comes late says nothing", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(2)
    const again = group.join(a)
    expect(group.deadlines.has(`session/${a}`)).toBe(false)
    group.heartbeat(a, 1)
    expect(group.deadlines.has(`session/${a}`)).toBe(false)
    group.send({ _tag: "ExpireMember", memberId: a })
    expect(isParked(again)).toBe(true)
  })

  it("a follower's sync: no session until the assignment, and an expiry that comes late says nothing", () => {
    const { group, ids } = completing(2)
    const [, b = ""] = ids
    const waiting = group.sync(b, 1)
    expect(group.deadlines.has(`session/${b}`)).toBe(false)
    group.send({ _tag: "ExpireMember", memberId: b })
    expect(isParked(waiting)).toBe(true)
  })

  it("the rebalance timeout is bounded, and in JoinGroup v0 the session timeout", () => {
    const group = new GroupHarness()
    group.join("", { rebalanceTimeoutMs: 2_147_483_647 })
    group.join("", { rebalanceTimeoutMs: -1, sessionTimeoutMs: 7_000 })
    expect([...group.context.members.values()].map((member) => member.rebalanceTimeoutMs)).toEqual([3_600_000, 7_000])
  })
})

describe("CompletingRebalance", () => {
  it("parks followers until the leader's assignment", () => {
    const { group, ids } = completing(3)
    const [a = "", b = "", c = ""] = ids
    const follower = group.sync(b, 1)
    expect(isParked(follower)).toBe(true)
    expect(group.heartbeat(b, 1).reply?._tag).toBe("HeartbeatAccepted")
    expect(group.commit(b, 1, {}).refused?.reason).toBe("RebalanceInProgress")
    const leader = group.sync(a, 1, [...assign([a, b]), { memberId: "stranger", assignment: bytes("?") }])
    expect(assignmentOf(leader)).toBe(`a-${a}`)
    expect(assignmentOf(follower)).toBe(`a-${b}`)
    expect(group.newTags()).toEqual(["MemberSynced", "MemberSynced", "AssignmentStored"])
    expect(assignmentOf(group.sync(c, 1))).toBe("")
    expect(group.newTags()).toEqual(["MemberSynced"])
    expect(group.deadlines.has("sync")).toBe(false)
    expect(group.value).toBe("Stable")
  })

  it("repeats the generation to a member that lost the answer", () => {
    const { group, ids } = completing(2)
    const [a = "", b = ""] = ids
    expect(joined(group.join(a)).members).toHaveLength(2)
    expect(joined(group.join(b))).toMatchObject({ generation: 1, members: [] })
    expect(group.newEvents()).toEqual([])
  })

  it("starts over when a member changes its protocols, telling those that wait", () => {
    const { group, ids } = completing(2)
    const [a = "", b = ""] = ids
    const waiting = group.sync(b, 1)
    group.join(a, { protocols: protocols("range", "sticky") })
    expect(waiting.refused?.reason).toBe("RebalanceInProgress")
    expect(group.value).toBe("PreparingRebalance")
    expect(group.newEvents().at(-1)).toMatchObject({ memberId: a, reason: `${a} changed its protocols` })
  })

  it("survives the leader's crash: the followers start over without it", () => {
    const { group, ids } = completing(3)
    const [a = "", b = "", c = ""] = ids
    const waiting = group.sync(b, 1)
    group.advance(9_999)
    group.heartbeat(c, 1)
    expect(isParked(waiting)).toBe(true)
    group.advance(1)
    expect(waiting.refused?.reason).toBe("RebalanceInProgress")
    expect(group.newEvents().slice(-2)).toMatchObject([
      { _tag: "MemberLeft", memberId: a, reason: "session expired" },
      { _tag: "RebalanceStarted", memberId: a, reason: `session of ${a} expired` }
    ])
    const again = group.join(b)
    group.join(c)
    expect(joined(again)).toMatchObject({ generation: 2, leader: b })
  })

  it("drops who never syncs, at the rebalance timeout", () => {
    const { group, ids } = completing(2)
    const [a = "", b = ""] = ids
    group.sync(a, 1, assign(ids))
    group.newEvents()
    for (let i = 0; i < 7; i++) {
      group.advance(8_500)
      group.heartbeat(a, 1)
      group.heartbeat(b, 1)
    }
    group.advance(1_000)
    expect(group.newEvents()).toMatchObject([
      { _tag: "MemberLeft", memberId: b, reason: "sync timeout" },
      { _tag: "RebalanceStarted", memberId: b, reason: `no SyncGroup in time from ${b}` }
    ])
  })

  it("refuses what is not of this generation or protocol", () => {
    const { group, ids } = completing(1)
    const [a = ""] = ids
    const sync = { _tag: "SyncMember", memberId: a, groupInstanceId: null, assignments: [] } as const
    const of = (generation: number, protocolType: string | null, protocolName: string | null) =>
      group.send({ ...sync, generation, protocolType, protocolName }).refused?.reason
    expect(of(0, null, null)).toBe("IllegalGeneration")
    expect(of(1, "connect", null)).toBe("InconsistentGroupProtocol")
    expect(of(1, null, "sticky")).toBe("InconsistentGroupProtocol")
    expect(of(1, "consumer", "range")).toBeUndefined()
  })
})

describe("Stable", () => {
  it("answers a follower that says nothing new, rebalances for the leader", () => {
    const group = new GroupHarness()
    const [a = "", b = ""] = group.stable(2)
    expect(joined(group.join(b))).toMatchObject({ generation: 1, leader: a, members: [] })
    expect(group.newEvents()).toEqual([])
    const leader = group.join(a, { reason: "more partitions" })
    expect(isParked(leader)).toBe(true)
    expect(group.newEvents().at(-1)).toMatchObject({
      _tag: "RebalanceStarted",
      reason: `leader ${a} joined again: more partitions`
    })
  })

  it("chooses the protocol by vote among those that all know", () => {
    const group = new GroupHarness()
    const lists = [protocols("range", "sticky"), protocols("sticky", "range", "own"), protocols("sticky", "range")]
    group.stable(3, (i) => ({ protocols: lists[i] ?? [] }))
    expect(group.context.protocolName).toBe("sticky")
  })

  it("lives as long as heartbeats come", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    for (let i = 0; i < 5; i++) {
      group.advance(9_999)
      expect(group.heartbeat(a, 1).reply?._tag).toBe("HeartbeatAccepted")
    }
    expect(group.newEvents()).toEqual([])
    group.advance(10_000)
    expect(group.newTags()).toEqual(["MemberLeft", "RebalanceStarted", "RebalanceCompleted"])
    expect(group.heartbeat(a, 1).refused?.reason).toBe("UnknownMemberId")
  })

  it("three join, one leaves, one crashes", () => {
    const group = new GroupHarness()
    const [a = "", b = "", c = ""] = group.stable(3)
    group.leave({ memberId: b })
    group.join(a)
    expect(joined(group.join(c)).generation).toBe(2)
    group.syncAll([a, c])
    for (let i = 0; i < 3; i++) {
      group.advance(5_000)
      group.heartbeat(c, group.context.generation)
    }
    expect([...group.context.members.keys()]).toEqual([c])
    const alone = joined(group.join(c))
    expect(alone).toMatchObject({ generation: 3, leader: c })
    expect(assignmentOf(group.sync(c, 3, assign([c])))).toBe(`a-${c}`)
  })

  it("a rebalance during a rebalance ends in one generation", () => {
    const group = new GroupHarness()
    const [a = "", b = ""] = group.stable(2)
    const c = group.join("")
    group.leave({ memberId: b })
    const d = group.join("")
    expect(group.newTags()).toEqual(["MemberJoined", "RebalanceStarted", "MemberLeft", "MemberJoined"])
    const again = group.join(a)
    expect([again, c, d].map((call) => joined(call).generation)).toEqual([2, 2, 2])
    expect(joined(again).members).toHaveLength(3)
  })

  it("describes itself", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    group.commit(a, 1, { offset: 4 })
    expect(group.send({ _tag: "Describe" }).reply).toEqual({
      _tag: "GroupDescription",
      groupId: "orders",
      state: "Stable",
      generation: 1,
      protocolType: "consumer",
      protocolName: "range",
      leader: a,
      members: [
        {
          memberId: a,
          groupInstanceId: null,
          clientId: "client",
          clientHost: "/127.0.0.1",
          metadata: bytes("topics"),
          assignment: bytes(`a-${a}`)
        }
      ],
      pendingMembers: 0,
      committedOffsets: 1
    })
  })
})

describe("static members (KIP-345)", () => {
  it("a follower that restarts keeps its assignment without a rebalance; the old one is fenced", () => {
    const { group, a, b } = stableStatics()
    const back = joined(group.join("", { groupInstanceId: "i1" }))
    expect(back).toMatchObject({ generation: 1, leader: a, skipAssignment: false, members: [] })
    expect(group.newTags()).toEqual(["MemberReplaced"])
    expect(group.value).toBe("Stable")
    expect(assignmentOf(group.sync(back.memberId, 1, [], "i1"))).toBe(`a-${b}`)
    expect(group.heartbeat(b, 1, "i1").refused?.reason).toBe("FencedInstanceId")
    expect(group.heartbeat(b, 1).refused?.reason).toBe("UnknownMemberId")
    expect(group.join(b, { groupInstanceId: "i1" }).refused?.reason).toBe("FencedInstanceId")
    expect(group.sync(b, 1, [], "i1").refused?.reason).toBe("FencedInstanceId")
    expect(group.leave({ memberId: b, groupInstanceId: "i1" }).reply).toMatchObject({
      members: [{ refused: "FencedInstanceId" }]
    })
    group.newEvents()
    group.advance(9_999)
    group.heartbeat(a, 1)
    expect(group.newEvents()).toEqual([])
    group.advance(1)
    expect(group.newEvents()[0]).toMatchObject({ _tag: "MemberLeft", memberId: back.memberId })
  })

  it("a leader that restarts learns of the members and skips the assignment (KIP-814)", () => {
    const { group } = stableStatics()
    const back = joined(group.join("", { groupInstanceId: "i0" }))
    expect(back).toMatchObject({ leader: back.memberId, skipAssignment: true })
    expect(back.members).toHaveLength(2)
  })

  it("one that has come back and falls silent expires", () => {
    const { group, a } = stableStatics()
    const { memberId } = joined(group.join("", { groupInstanceId: "i1", sessionTimeoutMs: 6_000 }))
    group.advance(5_999)
    group.heartbeat(a, 1, "i0")
    expect(group.context.members.has(memberId)).toBe(true)
    group.advance(1)
    expect(group.context.members.has(memberId)).toBe(false)
  })

  it("a restart right after all have synced starts no wait for syncs", () => {
    const { group } = stableStatics()
    expect(group.deadlines.has("sync")).toBe(false)
    const { memberId } = joined(group.join("", { groupInstanceId: "i1" }))
    expect(group.context.members.get(memberId)?.syncTicket).toBeGreaterThan(0)
    group.restart()
    expect(group.deadlines.has("sync")).toBe(false)
  })

  it("an old client's leader takes itself for a follower", () => {
    const { group, a } = stableStatics()
    const back = joined(group.join("", { groupInstanceId: "i0", skipAssignmentSupported: false }))
    expect(back).toMatchObject({ leader: a, skipAssignment: false, members: [] })
    expect(group.context.leader).toBe(back.memberId)
  })

  it("rebalances if the chosen protocol changes", () => {
    const group = new GroupHarness()
    group.stable(1, () => ({ groupInstanceId: "i0", protocols: protocols("range", "sticky") }))
    const back = group.join("", { groupInstanceId: "i0", protocols: protocols("sticky") })
    expect(joined(back)).toMatchObject({ generation: 2, protocolName: "sticky" })
    expect(group.newTags()).toEqual(["MemberReplaced", "RebalanceStarted", "RebalanceCompleted"])
  })

  it("rebalances while the assignment is under way, and fences what is parked", () => {
    const group = new GroupHarness()
    group.join("", { groupInstanceId: "i0" })
    group.join("", { groupInstanceId: "i1" })
    group.advance(1_000)
    const parkedSync = group.sync("m2", 1, [], "i1")
    const back = group.join("", { groupInstanceId: "i1" })
    expect(parkedSync.refused?.reason).toBe("FencedInstanceId")
    expect(isParked(back)).toBe(true)
    const newer = group.join("", { groupInstanceId: "i1" })
    expect(back.refused?.reason).toBe("FencedInstanceId")
    group.join("m1", { groupInstanceId: "i0" })
    expect(joined(newer)).toMatchObject({ generation: 2, leader: "m1" })
  })

  it("outlives a rebalance that it misses, as long as its session", () => {
    const { group, a, b } = stableStatics()
    const c = group.join("", { rebalanceTimeoutMs: 1_000 })
    group.join(a, { groupInstanceId: "i0", rebalanceTimeoutMs: 1_000 })
    group.advance(9_000)
    group.heartbeat(b, 1, "i1")
    for (let i = 0; i < 6; i++) {
      group.advance(9_000)
      group.heartbeat(b, 1, "i1")
    }
    expect(joined(c).generation).toBe(2)
    expect(group.context.members.has(b)).toBe(true)
  })

  it("is removed by its instance id alone", () => {
    const { group, a } = stableStatics()
    const { reply } = group.leave({ groupInstanceId: "i0" }, { groupInstanceId: "nobody" })
    expect(reply).toMatchObject({ members: [{ refused: null }, { refused: "UnknownMemberId" }] })
    expect(group.context.members.has(a)).toBe(false)
  })

  it("takes no id that was given to a dynamic member", () => {
    const group = new GroupHarness()
    const id = group.join("", { requireKnownMemberId: true }).refused?.memberId ?? ""
    expect(group.join(id, { groupInstanceId: "i0" }).refused?.reason).toBe("InvalidRequest")
  })
})

describe("a restart", () => {
  it("in Stable: members go on with their heartbeats", () => {
    const group = new GroupHarness()
    const [a = "", b = ""] = group.stable(2)
    group.advance(9_000)
    group.restart()
    group.advance(9_000)
    expect(group.heartbeat(a, 1).reply?._tag).toBe("HeartbeatAccepted")
    expect(group.newEvents()).toEqual([])
    group.advance(1_000)
    expect(group.newEvents()[0]).toMatchObject({ _tag: "MemberLeft", memberId: b, reason: "session expired" })
  })

  it("in PreparingRebalance: parked joins are forgotten, and who does not come again is dropped", () => {
    const group = new GroupHarness()
    const [a = "", b = ""] = group.stable(2)
    group.join(a, { protocols: protocols("range", "new") })
    group.newEvents()
    group.restart()
    expect(group.newEvents()).toEqual([{ _tag: "ParkedRepliesForgotten", ticketsUpTo: expect.any(Number) }])
    const again = group.join(b)
    expect(isParked(again)).toBe(true)
    group.advance(10_000)
    expect(group.newEvents()).toContainEqual(expect.objectContaining({ _tag: "MemberLeft", memberId: a }))
    expect(joined(again)).toMatchObject({ generation: 2, leader: b })
  })

  it("in an initial rebalance: completes when all are back, without waiting for the deadline", () => {
    const group = new GroupHarness()
    group.join("")
    group.join("")
    group.restart()
    group.join("m1")
    expect(joined(group.join("m2")).generation).toBe(1)
  })

  it("forgets no join that came before the news of the restart", () => {
    const group = new GroupHarness()
    group.join("")
    group.join("")
    const ticketsUpTo = group.context.tickets
    const fresh = group.join("m1")
    group.send({ _tag: "ForgetParkedReplies", ticketsUpTo })
    expect(isParked(fresh)).toBe(true)
    group.join("m2")
    expect(joined(fresh).generation).toBe(1)
  })

  it("completes when the news comes after all are back", () => {
    const group = new GroupHarness()
    group.join("")
    const ticketsUpTo = group.context.tickets
    const fresh = group.join("m1")
    group.send({ _tag: "ForgetParkedReplies", ticketsUpTo })
    expect(joined(fresh).generation).toBe(1)
  })

  it("in CompletingRebalance: who had synced must sync again by the deadline", () => {
    const group = new GroupHarness()
    group.join("")
    group.join("")
    group.advance(1_000)
    group.sync("m2", 1)
    group.restart()
    for (let i = 0; i < 6; i++) {
      group.advance(9_900)
      group.heartbeat("m2", 1)
      group.heartbeat("m1", 1)
    }
    group.newEvents()
    group.advance(1_000)
    expect(group.newEvents().filter((event) => event._tag === "MemberLeft")).toMatchObject([
      { memberId: "m1", reason: "sync timeout" },
      { memberId: "m2", reason: "sync timeout" }
    ])
  })

  it("with a pending member: its id expires", () => {
    const group = new GroupHarness()
    group.join("", { requireKnownMemberId: true })
    group.restart()
    group.advance(10_000)
    expect(group.context.pending.size).toBe(0)
    expect(group.definition.isEmpty(group.state)).toBe(true)
  })
})

describe("stale deadlines", () => {
  it("change nothing", () => {
    const group = new GroupHarness()
    group.stable(2)
    group.send({ _tag: "CompleteJoin", generation: 0, ticketsSeen: 0, remainingMs: 0 })
    group.send({ _tag: "CompleteJoin", generation: 1, ticketsSeen: 0, remainingMs: 0 })
    group.send({ _tag: "ExpireSync", generation: 0 })
    group.send({ _tag: "ExpireSync", generation: 1 })
    group.send({ _tag: "ExpireMember", memberId: "gone" })
    group.send({ _tag: "ExpirePendingMember", memberId: "gone" })
    group.send({ _tag: "ForgetParkedReplies", ticketsUpTo: 100 })
    expect(group.newEvents()).toEqual([])
    expect(group.value).toBe("Stable")
  })
})

/** Of the processor, which others may keep busy. */
const usedMs = (run: () => void): number => {
  const since = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1000
}

describe("a thousand members", () => {
  it("join, sync and leave, each in less than it takes to save the group once", () => {
    const group = new GroupHarness()
    group.checksNext = false
    const members = 1_000
    const calls: Array<Call> = []
    const joinMs = usedMs(() => {
      for (let i = 0; i < members; i++) calls.push(group.join(""))
      group.advance(1_000)
    })
    const ids = calls.map((call) => joined(call).memberId)
    expect(joined(calls[0]!).members).toHaveLength(members)
    const syncMs = usedMs(() => group.syncAll(ids))
    expect(group.value).toBe("Stable")
    const saves = 100
    const savesMs = usedMs(() => {
      for (let i = 0; i < saves; i++) expect(pack(group.definition.save(group.state)).length).toBeGreaterThan(100_000)
    })
    const leaveMs = usedMs(() => {
      for (const memberId of ids) group.leave({ memberId })
    })
    expect(group.value).toBe("Empty")
    expect(Math.max(joinMs, syncMs, leaveMs) / members).toBeLessThan(savesMs / saves)
  })
})
