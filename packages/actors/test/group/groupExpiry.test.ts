import { describe, expect, it } from "vitest"
import type { SavedGroup } from "../../src/group/groupState.ts"
import { bytes, GroupHarness } from "./GroupHarness.ts"

const dayMs = 86_400_000
const weekMs = 7 * dayMs

/** As consumers send it: version, topics, user data. */
const subscription = (...topics: ReadonlyArray<string>): Uint8Array =>
  Buffer.concat([
    Buffer.from([0, 1, 0, 0, 0, topics.length]),
    ...topics.map((topic) => Buffer.concat([Buffer.from([0, topic.length]), bytes(topic)])),
    Buffer.from([255, 255, 255, 255])
  ])

const consumer = (...topics: ReadonlyArray<string>) => ({
  protocols: [{ name: "range", metadata: subscription(...topics) }],
  sessionTimeoutMs: 300_000
})

/** Lets time pass in which the members send heartbeats. */
const live = (group: GroupHarness, ms: number, ...ids: ReadonlyArray<string>): void => {
  for (let at = 0; at < ms; at += 200_000) {
    group.advance(Math.min(200_000, ms - at))
    for (const id of ids) group.heartbeat(id, group.context.generation)
  }
}

describe("offsets expire (KIP-211)", () => {
  it("of a group without members for a week since the last one left, whenever they were committed", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1, () => ({ sessionTimeoutMs: 300_000 }))
    group.commit(a, 1, { partition: 0, offset: 5 }, { partition: 1, offset: 6 })
    live(group, 10 * dayMs, a)
    expect(group.offsetOf(0)).toBe(5)
    group.leave({ memberId: a })
    group.advance(weekMs - 1)
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([5, 6])
    group.newEvents()
    group.advance(1)
    const gone = { topicId: "t1", stream: "orders" }
    expect(group.newEvents()).toEqual([
      {
        _tag: "OffsetsExpired",
        retentionMs: weekMs,
        reason: "no members",
        offsets: [
          { ...gone, partition: 0, offset: 5 },
          { ...gone, partition: 1, offset: 6 }
        ]
      }
    ])
    expect(group.definition.isEmpty(group.state)).toBe(true)
    expect(group.deadlines.size).toBe(0)
  })

  it("of simple consumers each by its own commit", () => {
    const group = new GroupHarness()
    group.commit("", -1, { partition: 0, offset: 1 }, { topicId: "t2", partition: 0, offset: 2 })
    group.advance(dayMs)
    group.commit("", -1, { partition: 1, offset: 3 })
    group.advance(dayMs)
    group.commit("", -1, { topicId: "t2", partition: 0, offset: 4 })
    group.advance(5 * dayMs)
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([-1, 3])
    group.advance(dayMs)
    expect([group.offsetOf(1), group.state.offsets.count]).toEqual([-1, 1])
    group.advance(dayMs)
    expect(group.definition.isEmpty(group.state)).toBe(true)
  })

  it("that somebody committed after the group became empty, a week later", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    group.commit(a, 1, { partition: 0, offset: 5 }, { partition: 1, offset: 6 })
    group.leave({ memberId: a })
    group.advance(6 * dayMs)
    group.commit("", -1, { partition: 0, offset: 1 })
    group.advance(dayMs)
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([1, -1])
  })

  it("of topics that no member subscribes to any more, and no others", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1, () => consumer("orders", "bills"))
    const other = { topicId: "t2", stream: "returns", offset: 7 }
    group.commit(a, 1, { offset: 5 }, other)
    live(group, weekMs - 300_000, a)
    expect(group.state.offsets.count).toBe(2)
    group.newEvents()
    live(group, 300_000 + dayMs, a)
    expect(group.newEvents()).toEqual([
      {
        _tag: "OffsetsExpired",
        retentionMs: weekMs,
        reason: "not subscribed",
        offsets: [{ topicId: "t2", stream: "returns", partition: 0, offset: 7 }]
      }
    ])
    expect(group.offsetOf(0)).toBe(5)
    expect(group.context.members.has(a)).toBe(true)
    // Once it is not subscribed to either, its turn has come: the deadline looks every ten minutes.
    group.join(a, consumer("bills"))
    group.sync(a, 2)
    live(group, 800_000, a)
    expect(group.offsetOf(0)).toBe(-1)
  })

  it("of no topic while the members do not say what they subscribe to", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1, () => ({ protocolType: "connect", sessionTimeoutMs: 300_000 }))
    group.commit(a, 1, { offset: 5 })
    live(group, 2 * weekMs, a)
    expect(group.offsetOf(0)).toBe(5)
  })

  it("across restarts: not sooner, and at once what became due meanwhile", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    group.commit(a, 1, { partition: 0, offset: 5 })
    group.leave({ memberId: a })
    group.advance(6 * dayMs)
    group.commit("", -1, { partition: 1, offset: 6 })
    group.restart()
    group.advance(dayMs - 1)
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([5, 6])
    group.nowMs += 10 * dayMs
    group.restart()
    expect(group.definition.isEmpty(group.state)).toBe(true)
    group.restart()
    expect(group.offsetOf(0)).toBe(-1)
  })

  it("of a group whose members the restart has interrupted, a week after these are given up", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    group.commit(a, 1, { offset: 5 })
    group.nowMs += 30 * dayMs
    group.restart()
    group.advance(weekMs)
    expect(group.offsetOf(0)).toBe(5)
    group.advance(60_000)
    expect(group.offsetOf(0)).toBe(-1)
  })

  it("not by a clock that was set forth: a deadline counts by its own time", () => {
    const group = new GroupHarness()
    group.commit("", -1, { partition: 0, offset: 5 })
    group.advance(dayMs)
    group.commit("", -1, { partition: 1, offset: 6 })
    const dueMs = group.nowMs + 6 * dayMs
    group.nowMs += 1000 * dayMs
    group.send({ _tag: "ExpireOffsets", dueMs })
    expect([group.offsetOf(0), group.offsetOf(1)]).toEqual([-1, 6])
    expect(group.deadlines.get("offsets")).toMatchObject({
      atMs: group.nowMs + dayMs,
      command: { _tag: "ExpireOffsets", dueMs: dueMs + dayMs }
    })
  })

  it("in a group of before there was an expiry by the commits, since nothing tells when its members left", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1)
    group.commit(a, 1, { offset: 5 })
    group.leave({ memberId: a })
    const saved = group.definition.save(group.state) as SavedGroup
    const { emptySinceMs, ...protocol } = saved.protocol!
    expect(emptySinceMs).toBe(group.nowMs)
    const former = { ...saved, protocol }
    group.state = group.definition.load(group.id, former)
    expect(group.definition.save(group.state)).toEqual(former)
    group.advance(weekMs)
    expect(group.offsetOf(0)).toBe(-1)
  })
})

describe("deleting offsets", () => {
  const partitions = [
    { topicId: "t1", stream: "orders", partition: 0 },
    { topicId: "t2", stream: "returns", partition: 0 },
    { topicId: "t2", stream: "returns", partition: 9 }
  ]
  const remove = (group: GroupHarness) => group.send({ _tag: "DeleteOffsets", partitions })

  it("of a group that is not there is refused", () => {
    expect(remove(new GroupHarness()).refused?.reason).toBe("GroupIdNotFound")
  })

  it("of a group without members: all that are there, once", () => {
    const group = new GroupHarness()
    group.commit("", -1, { offset: 5 }, { topicId: "t2", stream: "returns", offset: 6 }, { topicId: "t3", offset: 7 })
    group.newEvents()
    const { reply } = remove(group)
    expect(reply).toMatchObject({ partitions: [{ refused: null }, { refused: null }, { refused: null }] })
    expect(group.newEvents()).toEqual([
      {
        _tag: "OffsetsDeleted",
        offsets: [
          { topicId: "t1", stream: "orders", partition: 0, offset: 5 },
          { topicId: "t2", stream: "returns", partition: 0, offset: 6 }
        ]
      }
    ])
    remove(group)
    expect(group.newEvents()).toEqual([])
    expect(group.state.offsets.count).toBe(1)
  })

  it("of a group with members: of what they do not subscribe to", () => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1, () => consumer("orders"))
    group.commit(a, 1, { offset: 5 }, { topicId: "t2", stream: "returns", offset: 6 })
    const { reply } = remove(group)
    expect(reply).toMatchObject({
      partitions: [{ refused: "GroupSubscribedToTopic" }, { refused: null }, { refused: null }]
    })
    expect([group.offsetOf(0), group.state.offsets.count]).toEqual([5, 1])
  })

  it.each([
    ["consumers that do not say what they subscribe to", "consumer", undefined],
    ["others than consumers", "connect", "NonEmptyGroup"]
  ])("of a group of %s: none", (_, protocolType, refusal) => {
    const group = new GroupHarness()
    const [a = ""] = group.stable(1, () => ({ protocolType }))
    group.commit(a, 1, { offset: 5 })
    const { reply, refused } = remove(group)
    expect(refused?.reason).toBe(refusal)
    if (reply !== undefined)
      expect(reply).toMatchObject({ partitions: [{ refused: "GroupSubscribedToTopic" }, {}, {}] })
    expect(group.offsetOf(0)).toBe(5)
  })
})
