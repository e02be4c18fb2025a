import { describe, expect, it } from "vitest"
import { GroupHarness, isParked, joined, protocols } from "./GroupHarness.ts"

const sized = (length: number) => ({ protocols: [{ name: "range", metadata: new Uint8Array(length) }] })

describe("metadata that is too large", () => {
  it("of a member's own: its place is lost before anybody else gets its partitions, and it learns of that", () => {
    const group = new GroupHarness({ memberMetadataBytesMax: 100 })
    const [a = "", b = ""] = group.stable(2)
    expect(group.join(a, sized(101)).refused).toMatchObject({ reason: "UnknownMemberId", memberId: a })
    expect(group.newEvents()).toMatchObject([
      { _tag: "MemberLeft", memberId: a, reason: "metadata too large", detail: expect.stringContaining("101 bytes") },
      { _tag: "RebalanceStarted", memberId: a, reason: `the metadata of ${a} is too large` }
    ])
    expect(group.heartbeat(a, 1).refused?.reason).toBe("UnknownMemberId")
    expect(group.commit(a, 1, { offset: 1 }).refused?.reason).toBe("UnknownMemberId")
    expect(group.join(a, sized(101)).refused?.reason).toBe("UnknownMemberId")
    expect(group.join("", sized(101)).refused?.reason).toBe("GroupMaxSizeReached")
    const again = group.join("", sized(100))
    group.join(b)
    expect(joined(again).generation).toBe(2)
    expect([...group.context.members.keys()]).toEqual([b, joined(again).memberId])
  })

  it("of a rebalance under way: the others go on without the member", () => {
    const group = new GroupHarness({ memberMetadataBytesMax: 100 })
    const [a = "", b = ""] = group.stable(2)
    const parked = group.join(a)
    expect(isParked(parked)).toBe(true)
    expect(group.join(b, sized(101)).refused?.reason).toBe("UnknownMemberId")
    expect(joined(parked)).toMatchObject({ generation: 2, leader: a })
  })

  it("of a static member alike, that it replaces too", () => {
    const group = new GroupHarness({ memberMetadataBytesMax: 100 })
    const [a = ""] = group.stable(1, () => ({ groupInstanceId: "i" }))
    expect(group.join("", { groupInstanceId: "i", ...sized(101) }).refused?.reason).toBe("GroupMaxSizeReached")
    expect(group.newEvents()).toEqual([])
    expect(group.join(a, { groupInstanceId: "i", ...sized(101) }).refused?.reason).toBe("UnknownMemberId")
    expect(group.context.members.size).toBe(0)
  })

  it("of one with a new id: nobody waits for it any longer", () => {
    const group = new GroupHarness({ memberMetadataBytesMax: 100 })
    const [a = ""] = group.stable(1)
    const pending = group.join("", { requireKnownMemberId: true }).refused?.memberId ?? ""
    const parked = group.join(a, { protocols: protocols("range", "new") })
    expect(isParked(parked)).toBe(true)
    expect(group.join(pending, sized(101)).refused?.reason).toBe("GroupMaxSizeReached")
    expect(group.newTags()).toEqual(expect.arrayContaining(["PendingMemberLeft", "RebalanceCompleted"]))
    expect(joined(parked).generation).toBe(2)
  })

  it("of all together: who joins last is refused, and nobody for what he has already", () => {
    const group = new GroupHarness({ bytesMax: 12_000 })
    const [a = ""] = group.stable(2, () => sized(3_000))
    expect(group.join("", sized(3_000)).refused?.reason).toBe("GroupMaxSizeReached")
    expect(isParked(group.join(a, sized(3_000)))).toBe(true)
    expect(group.join(a, sized(9_000)).refused?.reason).toBe("UnknownMemberId")
    expect(isParked(group.join("", sized(3_000)))).toBe(true)
  })

  it.each([
    ["a member", { memberMetadataBytesMax: 100 }],
    ["the group", { bytesMax: 3_900 }]
  ])("in an assignment, for %s: the leader goes, and another one leads", (_, settings) => {
    const group = new GroupHarness(settings)
    const [a = "", b = ""] = group.stable(2)
    group.join(a)
    group.join(b)
    const follower = group.sync(b, 2)
    expect(isParked(follower)).toBe(true)
    group.newEvents()
    const call = group.sync(a, 2, [{ memberId: b, assignment: new Uint8Array(101) }])
    expect(call.refused?.reason).toBe("GroupMaxSizeReached")
    expect(follower.refused?.reason).toBe("RebalanceInProgress")
    expect(group.newEvents()).toMatchObject([
      { _tag: "MemberLeft", memberId: a, reason: "assignment too large" },
      { _tag: "RebalanceStarted", memberId: a, reason: `the assignment by ${a} is too large` }
    ])
    expect(group.heartbeat(a, 2).refused?.reason).toBe("UnknownMemberId")
    expect(joined(group.join(b)).leader).toBe(b)
  })
})
