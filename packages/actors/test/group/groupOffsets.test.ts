import { describe, expect, it } from "vitest"
import { GroupHarness } from "./GroupHarness.ts"

describe("offsets", () => {
  it("are kept per topic id and partition, by members and by simple consumers of an Empty group", () => {
    const group = new GroupHarness()
    expect(group.offsetOf(0)).toBe(-1)
    group.commit("", -1, { offset: 5, metadata: "mine" }, { partition: 1, offset: 6 })
    group.commit("", -1, { partition: 1, offset: 8 })
    expect(group.value).toBe("Empty")
    expect(group.send({ _tag: "FetchOffsets", requireStable: false, partitions: null }).reply).toEqual({
      _tag: "OffsetsFetched",
      offsets: [
        {
          topicId: "t1",
          stream: "orders",
          partition: 0,
          offset: 5,
          leaderEpoch: 3,
          metadata: "mine",
          committedAtMs: 1_000_000
        },
        {
          topicId: "t1",
          stream: "orders",
          partition: 1,
          offset: 8,
          leaderEpoch: 3,
          metadata: "",
          committedAtMs: 1_000_000
        }
      ]
    })
    const [a = ""] = group.stable(1)
    expect(group.commit("", -1, { offset: 9 }).refused?.reason).toBe("UnknownMemberId")
    expect(group.commit(a, 0, { offset: 9 }).refused?.reason).toBe("IllegalGeneration")
    expect(group.commit("x", 1, { offset: 9 }).refused?.reason).toBe("UnknownMemberId")
    expect(group.commit(a, 1, { offset: 9 }).reply?._tag).toBe("OffsetsStored")
    expect(group.offsetOf(0)).toBe(9)
  })

  it("of an old generation of a forgotten group are refused", () => {
    expect(new GroupHarness().commit("m1", 3, { offset: 1 }).refused?.reason).toBe("GroupIdNotFound")
  })

  it("of simple consumers may have a group without a name", () => {
    const group = new GroupHarness()
    group.state = group.definition.initial("group/")
    expect(group.commit("", -1, { offset: 7 }).reply?._tag).toBe("OffsetsStored")
    expect(group.offsetOf(0)).toBe(7)
  })

  it("are refused one by one", () => {
    const group = new GroupHarness()
    const call = group.commit("", -1, { metadata: "x".repeat(4_097) }, { partition: 1, offset: -2 })
    expect(call.reply).toMatchObject({
      partitions: [{ refused: "OffsetMetadataTooLarge" }, { refused: null }]
    })
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([-1, -2])
  })

  it("are bounded in number", () => {
    const group = new GroupHarness({ offsetsMax: 2 })
    group.commit("", -1, { partition: 0 }, { partition: 1 })
    expect(group.commit("", -1, { partition: 2 }).refused?.reason).toBe("InvalidCommitOffsetSize")
    expect(group.commit("", -1, { partition: 1, offset: 3 }).reply?._tag).toBe("OffsetsStored")
    expect(group.commit("", -1, { partition: 2 }, { partition: 2 }).refused?.reason).toBe("InvalidCommitOffsetSize")
    expect([group.offsetOf(1), group.offsetOf(2)]).toEqual([3, -1])
  })

  it("are bounded with the group's bytes: what does not grow is always taken", () => {
    const group = new GroupHarness({ bytesMax: 5_000 })
    group.commit("", -1, { partition: 0, metadata: "x".repeat(1_000) })
    const more = { partition: 1, metadata: "x".repeat(1_000) }
    expect(group.commit("", -1, more).refused?.reason).toBe("InvalidCommitOffsetSize")
    expect(group.commit("", -1, { partition: 0, metadata: "x".repeat(1_000), offset: 4 }).refused).toBeUndefined()
    expect(group.commit("", -1, { partition: 1 }).refused).toBeUndefined()
    expect(group.join("", { protocols: [{ name: "range", metadata: new Uint8Array(5_000) }] }).refused?.reason).toBe(
      "GroupMaxSizeReached"
    )
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([4, 0])
  })

  it("go with their stream", () => {
    const group = new GroupHarness()
    group.commit("", -1, { offset: 5 }, { topicId: "t2", offset: 6 })
    group.newEvents()
    group.send({ _tag: "ForgetStreams", topicIds: ["t1", "unknown"] })
    expect(group.newEvents()).toEqual([{ _tag: "OffsetsForgotten", topicIds: ["t1"] }])
    expect(group.offsetOf(0)).toBe(-1)
    group.send({ _tag: "ForgetStreams", topicIds: ["t2"] })
    expect(group.definition.isEmpty(group.state)).toBe(true)
  })

  it("of a simple consumer are all that its group has: no protocol, also after somebody who asked for an id never came", () => {
    const group = new GroupHarness()
    group.commit("", -1, { offset: 7 })
    expect(group.state.protocol).toBeUndefined()
    group.join("", { requireKnownMemberId: true })
    expect(group.state.protocol?._tag).toBe("Classic")
    group.advance(60_000)
    expect(group.state.protocol).toBeUndefined()
    expect(group.definition.save(group.state)).toMatchObject({ offsets: [{ offset: 7 }], protocol: null })
    const [a = ""] = group.stable(1)
    group.leave({ memberId: a })
    // The next generation is counted from this one.
    expect([group.state.protocol?._tag, group.value, group.context.generation]).toEqual(["Classic", "Empty", 2])
  })

  it("keep the session alive and pass through every state of the machine but one", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    group.join("")
    for (let i = 0; i < 5; i++) {
      group.advance(9_999)
      expect(group.commit(a, 1, { offset: i }).reply?._tag).toBe("OffsetsStored")
    }
    expect(group.context.members.has(a)).toBe(true)
  })
})
