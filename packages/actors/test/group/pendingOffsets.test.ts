import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isEmptyGroup, weightBytesOf } from "../../src/group/groupState.ts"
import { GroupHarness } from "./GroupHarness.ts"

const offsetOf = (partition: number, offset: number) => ({
  topicId: "t1",
  stream: "orders",
  partition,
  offset,
  leaderEpoch: 3,
  metadata: ""
})

const nobody = { generation: -1, memberId: "", groupInstanceId: null }

const add = (group: GroupHarness, producerId: number, offset: number, own: object = {}) =>
  group.send({
    _tag: "AddPendingOffsets",
    producerId,
    producerEpoch: 0,
    ...nobody,
    offsets: [offsetOf(0, offset)],
    ...own
  })

const complete = (group: GroupHarness, producerId: number, outcome: "commit" | "abort") =>
  group.send({ _tag: "CompletePending", producerId, outcome })

/** `undefined`: not told, as it may change. */
const stableOffset = (group: GroupHarness) => {
  const { reply } = group.send({
    _tag: "FetchOffsets",
    requireStable: true,
    partitions: [{ topicId: "t1", partition: 0 }]
  })
  const [offset] = reply?._tag === "OffsetsFetched" ? reply.offsets : []
  return offset?.isUnstable === true ? undefined : offset?.offset
}

describe("offsets of a transaction", () => {
  it("are committed with it, or dropped, once", () => {
    const group = new GroupHarness()
    add(group, 1, 5)
    expect([group.offsetOf(0), stableOffset(group)]).toEqual([-1, undefined])
    complete(group, 1, "commit")
    expect(stableOffset(group)).toBe(5)
    add(group, 1, 9)
    complete(group, 1, "abort")
    expect(stableOffset(group)).toBe(5)
    const { length } = group.events
    complete(group, 1, "commit")
    expect(group.events).toHaveLength(length)
  })

  it("of a partition are the last that its transaction brought", () => {
    const group = new GroupHarness()
    add(group, 1, 5)
    add(group, 1, 6)
    complete(group, 1, "commit")
    expect(group.offsetOf(0)).toBe(6)
  })

  it("give way to what was committed behind them, whichever ends first", () => {
    const group = new GroupHarness()
    add(group, 1, 5)
    group.commit("", -1, { offset: 7 })
    expect(stableOffset(group), "still open").toBe(undefined)
    complete(group, 1, "commit")
    expect(group.offsetOf(0)).toBe(7)
    add(group, 1, 8)
    add(group, 2, 9)
    complete(group, 2, "commit")
    complete(group, 1, "commit")
    expect(group.offsetOf(0)).toBe(9)
    add(group, 1, 10)
    add(group, 2, 11)
    complete(group, 1, "commit")
    complete(group, 2, "commit")
    expect(group.offsetOf(0)).toBe(11)
  })

  it("keep the group, weigh, count among its offsets, and survive a restart", () => {
    const group = new GroupHarness({ offsetsMax: 2 })
    add(group, 1, 5)
    expect(isEmptyGroup(group.state)).toBe(false)
    expect(weightBytesOf(group.state)).toBeGreaterThan(0)
    add(group, 2, 6, { offsets: [offsetOf(1, 6)] })
    expect(add(group, 3, 7).refused?.reason).toBe("InvalidCommitOffsetSize")
    group.restart()
    complete(group, 1, "commit")
    complete(group, 2, "abort")
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([5, -1])
  })

  it("of members need their generation; a client that tells none is taken", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    expect(add(group, 1, 5, { memberId: a, generation: 0 }).refused?.reason).toBe("IllegalGeneration")
    expect(add(group, 1, 5, { memberId: "x", generation: 1 }).refused?.reason).toBe("UnknownMemberId")
    expect(add(group, 1, 5, { memberId: a, generation: 1 }).reply?._tag).toBe("OffsetsStored")
    expect(add(group, 2, 5).reply?._tag).toBe("OffsetsStored")
    expect(
      new GroupHarness().send({
        _tag: "AddPendingOffsets",
        producerId: 1,
        producerEpoch: 0,
        generation: 3,
        memberId: "m",
        groupInstanceId: null,
        offsets: [offsetOf(0, 1)]
      }).refused?.reason
    ).toBe("GroupIdNotFound")
  })

  it("go with their stream, with their deletion and with their group", () => {
    const group = new GroupHarness()
    add(group, 1, 5)
    group.send({ _tag: "ForgetStreams", topicIds: ["t1"] })
    expect(isEmptyGroup(group.state)).toBe(true)
    group.commit("", -1, { offset: 7 })
    add(group, 1, 5)
    group.send({ _tag: "DeleteOffsets", partitions: [{ topicId: "t1", stream: "orders", partition: 0 }] })
    complete(group, 1, "commit")
    expect(group.offsetOf(0)).toBe(-1)
    add(group, 1, 5)
    expect(group.send({ _tag: "DeleteGroup" }).reply?._tag).toBe("GroupGone")
    complete(group, 1, "commit")
    expect(group.offsetOf(0)).toBe(-1)
  })

  it("keep what is committed of their partition from expiring", () => {
    const group = new GroupHarness({ offsetsRetentionMs: 10_000 })
    group.commit("", -1, { offset: 7 }, { partition: 1, offset: 8 })
    add(group, 1, 9)
    group.advance(20_000)
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([7, -1])
    complete(group, 1, "abort")
    group.advance(700_000)
    expect(group.offsetOf(0)).toBe(-1)
  })
})

it("the committed offset is the last in the order of commits, of those that were not aborted", () => {
  const producers = fc.integer({ min: 1, max: 3 })
  const step = fc.oneof(
    fc.record({ do: fc.constant("add" as const), producer: producers }),
    fc.record({ do: fc.constantFrom("commit" as const, "abort" as const), producer: producers }),
    fc.record({ do: fc.constant("plain" as const), producer: fc.constant(0) })
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const group = new GroupHarness()
      /** By offset, which counts the commits: a transaction's may be undecided yet. */
      let committed = -1
      const pending = new Map<number, number>()
      steps.forEach(({ do: what, producer }, offset) => {
        if (what === "plain") {
          group.commit("", -1, { offset })
          committed = Math.max(committed, offset)
        } else if (what === "add") {
          add(group, producer, offset)
          pending.set(producer, offset)
        } else {
          complete(group, producer, what)
          if (what === "commit") committed = Math.max(committed, pending.get(producer) ?? -1)
          pending.delete(producer)
        }
        expect(group.offsetOf(0)).toBe(committed)
        expect(stableOffset(group)).toBe(pending.size > 0 ? undefined : committed)
      })
      const before = group.state
      group.restart()
      expect(group.definition.save(group.state)).toEqual(group.definition.save(before))
    })
  )
})
