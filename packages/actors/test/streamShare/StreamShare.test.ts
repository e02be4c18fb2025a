import { pack, unpack } from "@logbrook/core/actor/pack"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { StreamReading } from "../../src/session/SessionProtocol.ts"
import { makeStreamShare, type StreamShareState, streamShareWeight } from "../../src/streamShare/StreamShare.ts"
import {
  type ShareRecord,
  streamShareActor,
  type StreamShareCommand,
  type StreamShareEvent
} from "../../src/streamShare/StreamShareProtocol.ts"

const id = streamShareActor("$share/g/$stream/orders")
const nowMs = 1_000_000
const sessionExpiryMsMax = 60_000
const definition = makeStreamShare({ sessionExpiryMsMax })

const readingOf = (changes: Partial<StreamReading> = {}): StreamReading => ({
  topicId: "t",
  positions: [0, 0],
  ends: null,
  untilMs: null,
  isFullTopic: false,
  ...changes
})

const open = (changes: Partial<StreamReading> = {}, resets = false): StreamShareCommand => ({
  _tag: "Open",
  reading: readingOf(changes),
  resets
})

const recordsOf = (partition: number, ...offsets: ReadonlyArray<number>): ReadonlyArray<ShareRecord> =>
  offsets.map((offset) => ({ partition, offset }))

const readOn = (from: number, to: number, ...offsets: ReadonlyArray<number>): StreamShareCommand => ({
  _tag: "ReadOn",
  life: 1,
  positions: [[0, from, to]],
  records: recordsOf(0, ...offsets)
})

const handOut = (...offsets: ReadonlyArray<number>): StreamShareCommand => ({
  _tag: "HandOut",
  records: offsets.map((offset) => [0, offset]),
  to: "a"
})

const takeBack = (...offsets: ReadonlyArray<number>): StreamShareCommand => ({
  _tag: "TakeBack",
  topicId: "t",
  records: recordsOf(0, ...offsets)
})

const expire = (sinceMs: number): StreamShareCommand => ({ _tag: "Expire", sinceMs })

class Group {
  state = definition.initial(id)

  /** The tags of what happened, or why it was refused. */
  send(command: StreamShareCommand, room = Infinity): ReadonlyArray<StreamShareEvent["_tag"]> | string {
    const { events, reply } = definition.decide(this.state, command, nowMs, () => room)
    for (const event of events) this.state = definition.evolve(this.state, event)
    if (reply !== undefined && Exit.isFailure(reply)) {
      return (Exit.causeOption(reply) as unknown as { value: { error: { reason: string } } }).value.error.reason
    }
    return events.map(({ _tag }) => _tag)
  }

  get waiting(): ReadonlyArray<number> {
    return [...this.state.waiting].map(({ offset }) => offset)
  }
}

const opened = (...commands: ReadonlyArray<StreamShareCommand>): Group => {
  const group = new Group()
  for (const command of [open(), ...commands]) expect(group.send(command)).toBeInstanceOf(Array)
  return group
}

describe("the position of those who share a subscription of a stream", () => {
  it("is the first member's, and goes on for those that come later", () => {
    const group = opened(readOn(0, 3))
    expect(group.send(open({ positions: [9, 9], ends: [1, 1], untilMs: 5, isFullTopic: true }))).toEqual([])
    expect(group.state.reading).toEqual(readingOf({ positions: [3, 0] }))
  })

  it("begins anew when that is asked for, and for another stream; what waited is forgotten", () => {
    const group = opened(readOn(0, 3, 1, 2))
    expect(group.send(open({ positions: [2, 0] }, true))).toEqual(["ShareStarted"])
    expect(group.state).toMatchObject({ life: 2, reading: readingOf({ positions: [2, 0] }), waiting: { size: 0 } })
    expect(group.send(open({ topicId: "other" }))).toEqual(["ShareStarted"])
    expect(group.send(open({ topicId: null }))).toEqual([])
    expect(group.state.reading?.topicId).toBe("other")
  })

  it("of a stream that was waited for is its beginning", () => {
    const group = new Group()
    group.send(open({ topicId: null, positions: [] }))
    expect(group.send(open({ positions: [7, 7] }))).toEqual(["ShareStarted"])
    expect(group.state.reading).toEqual(readingOf({ positions: [] }))
    expect(group.send({ ...readOn(0, 1), life: 2 } as StreamShareCommand)).toEqual(["SharePositionMoved"])
  })

  it("moves only from where it is, and in the life that its reader knows", () => {
    const group = opened(readOn(0, 3))
    expect(group.send(readOn(0, 4))).toBe("Changed")
    expect(group.send(readOn(3, 4))).toEqual(["SharePositionMoved"])
    group.send(open({}, true))
    expect(group.send(readOn(0, 4))).toBe("Changed")
    expect(new Group().send(readOn(0, 1))).toBe("Changed")
  })

  it("moves in a partition that came later", () => {
    const group = opened({ _tag: "ReadOn", life: 1, positions: [[3, 0, 5]], records: [] })
    expect(group.state.reading?.positions).toEqual([0, 0, 0, 5])
  })
})

describe("a record behind the position", () => {
  it("waits until it is in a member's queue", () => {
    const group = opened(readOn(0, 3, 0, 1, 2))
    expect(group.send(handOut(1))).toEqual(["ShareHandedOut"])
    expect(group.waiting).toEqual([0, 2])
    expect(group.send(handOut(1))).toEqual([])
  })

  it("waits again when it comes back, once, with what its reader said of it", () => {
    const group = opened(readOn(0, 3, 0, 1, 2), handOut(0, 1, 2))
    const record: ShareRecord = { partition: 0, offset: 1, gap: 4, isCaughtUp: true }
    expect(group.send({ _tag: "TakeBack", topicId: "t", records: [record] })).toEqual(["ShareTakenBack"])
    expect([...group.state.waiting]).toEqual([record])
    expect(group.send(takeBack(1))).toEqual([])
  })

  it("does not come back where it is read again, or is another stream's, or nobody's", () => {
    const group = opened(readOn(0, 3, 0, 1, 2), handOut(0, 1, 2), open({ positions: [1, 0] }, true))
    expect(group.send(takeBack(0, 1, 2))).toEqual(["ShareTakenBack"])
    expect(group.waiting).toEqual([0])
    expect(group.send({ _tag: "TakeBack", topicId: "other", records: recordsOf(0, 0) })).toEqual([])
    expect(new Group().send(takeBack(0))).toEqual([])
  })

  it("comes back once, though a session had it twice", () => {
    const group = opened(readOn(0, 3, 0, 1, 2), handOut(0, 1, 2))
    group.send(takeBack(1, 0, 1))
    expect(group.waiting).toEqual([1, 0])
  })

  it("is not read while as many wait as may, and comes back beyond that; positions alone move", () => {
    const group = opened(readOn(0, 2000), takeBack(...Array.from({ length: 1000 }, (_, offset) => offset)))
    expect(group.send(readOn(2000, 2025, ...Array.from({ length: 25 }, (_, i) => 2000 + i)))).toBe("QuotaExceeded")
    expect(group.send(readOn(2000, 2001))).toEqual(["SharePositionMoved"])
    expect(group.send(readOn(2001, 2025, ...Array.from({ length: 24 }, (_, i) => 2001 + i)))).toBeInstanceOf(Array)
    expect(group.send(takeBack(1500))).toEqual(["ShareTakenBack"])
    expect(group.waiting).toHaveLength(1025)
    expect(group.send(readOn(2025, 2026))).toEqual(["SharePositionMoved"])
  })

  it("is dealt out at the price of those dealt out, however many wait, to one member after another", () => {
    let looks = 0
    const looked = (offset: number): ShareRecord => ({
      get partition() {
        looks++
        return 0
      },
      offset
    })
    const group = opened(readOn(0, 20_000))
    for (let from = 0; from < 20_000; from += 100) {
      const records = Array.from({ length: 100 }, (_, i) => looked(from + i))
      group.state = definition.evolve(group.state, { _tag: "ShareTakenBack", records })
    }
    looks = 0
    // A step that deals 200 records out to as many members: each is looked for, and taken, among the first 256.
    for (let offset = 0; offset < 200; offset++) expect(group.send(handOut(199 - offset))).toEqual(["ShareHandedOut"])
    expect(looks).toBeLessThan(200 * 2 * 256)
    expect([group.waiting.length, group.waiting[0]]).toEqual([19_800, 200])
  })

  it("comes back also without memory, and is not read without it", () => {
    const group = opened(readOn(0, 3, 0), handOut(0))
    expect(group.send(takeBack(0), 0)).toEqual(["ShareTakenBack"])
    expect(group.send(readOn(3, 4, 3), 100)).toBe("QuotaExceeded")
    expect(group.send(readOn(3, 4), 100)).toEqual(["SharePositionMoved"])
    expect(new Group().send(open(), streamShareWeight("$share/g/$stream/orders") - 1)).toBe("QuotaExceeded")
    expect(group.send(open({}, true), 0)).toEqual(["ShareStarted"])
  })
})

describe("a group without members", () => {
  const deadline = { _tag: "SetDeadline", key: "expire", atMs: nowMs + sessionExpiryMsMax, command: expire(nowMs) }

  it("keeps its position as long as a session is kept", () => {
    const group = opened(readOn(0, 3))
    expect(definition.decide(group.state, { _tag: "Leave" }, nowMs).signals).toEqual([deadline])
    group.send({ _tag: "Leave" })
    expect(group.send({ _tag: "Leave" })).toEqual([])
    expect(definition.resume(group.state, nowMs + 5)).toEqual([deadline])
    expect(group.send(expire(nowMs - 1))).toEqual([])
    expect(group.send(expire(nowMs))).toEqual(["ShareExpired"])
    expect(definition.isEmpty(group.state)).toBe(true)
    expect(group.state).toEqual(definition.initial(id))
  })

  it("keeps it for good once there is a member again", () => {
    const group = opened({ _tag: "Leave" })
    const { events, signals } = definition.decide(group.state, open(), nowMs)
    expect([events, signals]).toEqual([[{ _tag: "ShareResumed" }], [{ _tag: "CancelDeadline", key: "expire" }]])
    group.send(open())
    expect(definition.resume(group.state, nowMs)).toEqual([])
    expect(group.send(expire(nowMs))).toEqual([])
    expect(opened().send({ _tag: "Leave" })).toEqual(["ShareIdle"])
  })
})

/** Where each record of one partition is, as a model: read in order, given out, come back. */
it("after any history each record is ahead of the position, waits, or is with a member, and a replay comes to the same", () => {
  const step = fc.oneof(
    fc.record({ tag: fc.constant("read" as const), count: fc.nat({ max: 4 }) }),
    fc.record({ tag: fc.constant("give" as const), offset: fc.nat({ max: 30 }) }),
    fc.record({ tag: fc.constant("back" as const), offset: fc.nat({ max: 30 }) })
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const group = opened()
      let replayed: StreamShareState = group.state
      const given = new Set<number>()
      let next = 0
      for (const each of steps) {
        const before = group.state
        if (each.tag === "read") {
          const offsets = Array.from({ length: each.count }, (_, i) => next + i)
          expect(group.send(readOn(next, next + each.count, ...offsets))).toBeInstanceOf(Array)
          next += each.count
        } else if (each.tag === "give" && group.waiting.includes(each.offset)) {
          given.add(each.offset)
          group.send(handOut(each.offset))
        } else if (each.tag === "back" && given.delete(each.offset)) group.send(takeBack(each.offset))
        if (group.state !== before) replayed = definition.load(id, unpack(pack(definition.save(group.state))))
        expect([...group.waiting, ...given].sort((a, b) => a - b)).toEqual(Array.from({ length: next }, (_, i) => i))
        expect(group.state.reading?.positions[0]).toBe(next)
        expect(replayed).toEqual(group.state)
      }
    })
  )
})
