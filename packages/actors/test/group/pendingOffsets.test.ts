import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isEmptyGroup, weightBytesOf } from "../../src/group/groupState.ts"
import {
  hasPendingTopic,
  isPending,
  loadPending,
  nothingPending,
  pendingAdded,
  pendingCompleted,
  pendingForgotten,
  pendingOf,
  pendingOutdated,
  pendingRemoved,
  type PendingTable,
  savePending
} from "../../src/group/offsets/pendingOffsets.ts"
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

  it("are in the journal once, however often one request names their partition, as committed ones are", () => {
    const group = new GroupHarness()
    const offsets = [5, 6, 7].map((offset) => offsetOf(0, offset))
    expect(add(group, 1, 0, { offsets }).reply).toMatchObject({ partitions: { length: 3 } })
    expect(group.events.at(-1)).toMatchObject({ _tag: "PendingOffsetsAdded", offsets: [{ offset: 7 }] })
    group.send({ _tag: "CommitOffsets", ...nobody, offsets })
    expect(group.events.at(-1)).toMatchObject({ _tag: "OffsetsCommitted", offsets: [{ offset: 7 }] })
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

const walked = (): never => {
  throw new Error("all producers are walked over")
}

const nameOf = (producerId: number, { topicId, partition }: { readonly topicId: string; readonly partition: number }) =>
  `${producerId}/${partition}/${topicId}`

describe("the table of pending offsets", () => {
  it("is asked about a partition or a topic without a walk over its producers", () => {
    let table = nothingPending
    for (let producer = 1; producer <= 20; producer++) table = pendingAdded(table, producer, [offsetOf(producer, 5)])
    const producers = Object.assign(new Map(table.producers), {
      [Symbol.iterator]: walked,
      entries: walked,
      keys: walked,
      values: walked,
      forEach: walked
    })
    const unwalked: PendingTable = { ...table, producers }
    expect([3, 0].map((partition) => isPending(unwalked, { topicId: "t1", partition }))).toEqual([true, false])
    expect(["t1", "t2"].map((topicId) => hasPendingTopic(unwalked, topicId))).toEqual([true, false])
    expect(pendingOutdated(unwalked, [{ topicId: "t1", partition: 0 }])).toBe(unwalked)
    expect(pendingRemoved(unwalked, [{ topicId: "t2", partition: 3 }])).toBe(unwalked)
    expect(pendingForgotten(unwalked, ["t2"])).toBe(unwalked)
  })

  const places = [0, 1, 2].flatMap((partition) => ["t1", "t2"].map((topicId) => ({ topicId, partition })))
  const some = fc.uniqueArray(fc.constantFrom(...places), { maxLength: 3 })
  const producer = fc.integer({ min: 1, max: 3 })

  it("knows by partition and topic what its producers have, whatever was added, outdated, and went", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("add" as const), producer, some }),
      fc.record({ do: fc.constant("complete" as const), producer, some }),
      fc.record({ do: fc.constantFrom("outdate" as const, "remove" as const, "forget" as const), producer, some })
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let table = nothingPending
        /** By producer and place: whether it is outdated. */
        const model = new Map<string, boolean>()
        const forEach = (named: typeof places, act: (name: string) => void): void => {
          for (const place of named)
            for (const of of [1, 2, 3]) if (model.has(nameOf(of, place))) act(nameOf(of, place))
        }
        for (const { do: what, producer: own, some: named } of steps) {
          const topicIds = named.slice(0, 1).map(({ topicId }) => topicId)
          if (what === "add" && named.length > 0) {
            table = pendingAdded(
              table,
              own,
              named.map((place) => ({ ...offsetOf(0, 5), ...place }))
            )
            for (const place of named) model.set(nameOf(own, place), false)
          } else if (what === "complete") {
            table = pendingCompleted(table, own)
            for (const place of places) model.delete(nameOf(own, place))
          } else if (what === "outdate") {
            table = pendingOutdated(table, named)
            forEach(named, (name) => model.set(name, true))
          } else if (what === "remove") {
            table = pendingRemoved(table, named)
            forEach(named, (name) => model.delete(name))
          } else if (what === "forget") {
            table = pendingForgotten(table, topicIds)
            forEach(
              places.filter(({ topicId }) => topicIds.includes(topicId)),
              (name) => model.delete(name)
            )
          }
          const has = (place: (typeof places)[number]): boolean => [1, 2, 3].some((of) => model.has(nameOf(of, place)))
          expect(places.map((place) => isPending(table, place))).toEqual(places.map(has))
          for (const topicId of ["t1", "t2"]) {
            const hasTopic = places.some((place) => place.topicId === topicId && has(place))
            expect(hasPendingTopic(table, topicId)).toBe(hasTopic)
          }
          const listed = [1, 2, 3].flatMap((of) =>
            pendingOf(table, of).map((each): [string, boolean] => [nameOf(of, each), each.isOutdated])
          )
          expect(new Map(listed)).toEqual(model)
          expect(table.count).toBe(model.size)
          const loaded = loadPending(savePending(table))
          expect(loaded.weightBytes).toBe(table.weightBytes)
          expect(new Set(loaded.topics.keys())).toEqual(new Set(table.topics.keys()))
          expect(savePending(pendingAdded(loaded, 4, [offsetOf(0, 1)]))).toEqual(
            savePending(pendingAdded(table, 4, [offsetOf(0, 1)]))
          )
        }
      })
    )
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
