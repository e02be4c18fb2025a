import type { TimestampType } from "@logbrook/actors/catalog/StreamConfig"
import { Partition, type PartitionCommand, type PartitionState } from "@logbrook/actors/partition/Partition"
import type { LogEvent } from "@logbrook/core/actor/LogEvents"
import { pack, unpack } from "@logbrook/core/actor/pack"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const id = "partition/7"
const bytes = new Uint8Array(10)
const sequenceMax = 0x7fff_ffff

/** A partition on its own: what was answered and what happened. The epoch is what the shard would stamp. */
class Subject {
  state: PartitionState = Partition.initial(id)
  readonly events: Array<LogEvent> = []
  epoch = 1
  nowMs = 0
  timestampType: TimestampType = "CreateTime"

  /** The reply, or the refusal's reason. */
  send(command: PartitionCommand): unknown {
    const { events, reply } = Partition.decide(this.state, command, this.nowMs)
    for (const event of events) {
      const stamped = event._tag === "RecordsAppended" ? { ...event, epoch: this.epoch } : event
      this.events.push(stamped)
      this.state = Partition.evolve(this.state, stamped)
    }
    return Exit.match(reply!, {
      onSuccess: (value) => value,
      onFailure: (cause) => (Cause.isFailType(cause) ? cause.error.reason : "defect")
    })
  }

  records(count: number, firstTimestampMs: number, maxTimestampMs = firstTimestampMs): unknown {
    return this.send({ _tag: "AppendRecords", count, firstTimestampMs, maxTimestampMs, bytes })
  }

  batch(count: number, producerId: number, producerEpoch: number, baseSequence: number, isBehind = false): unknown {
    const times = { baseTimestampMs: 5, maxTimestampMs: 6 }
    return this.send({
      _tag: "AppendBatch",
      bytes,
      count,
      ...times,
      producerId,
      producerEpoch,
      baseSequence,
      isBehind,
      transaction: undefined,
      timestampType: this.timestampType
    })
  }
}

const at = (baseOffset: number, logStartOffset = 0) => ({ baseOffset, logStartOffset })

describe("a partition", () => {
  it("gives dense offsets to the server's records and producers' batches", () => {
    const subject = new Subject()
    expect([subject.records(3, 100), subject.batch(2, -1, -1, -1), subject.records(1, 100)]).toEqual([
      at(0),
      at(3),
      at(5)
    ])
    expect(subject.state.nextOffset).toBe(6)
    expect(subject.events.map((event) => event._tag === "RecordsAppended" && event.verbatim)).toEqual([
      false,
      true,
      false
    ])
  })

  it("never lets the time of what the server builds go back, and keeps the distances within a command", () => {
    const subject = new Subject()
    subject.records(2, 1000, 1010)
    subject.records(2, 900, 950)
    subject.records(1, 2000)
    expect(subject.events).toMatchObject([
      { firstTimestampMs: 1000, maxTimestampMs: 1010 },
      { firstTimestampMs: 1010, maxTimestampMs: 1060 },
      { firstTimestampMs: 2000, maxTimestampMs: 2000 }
    ])
  })

  it("remembers where each epoch began", () => {
    const subject = new Subject()
    subject.records(3, 1)
    subject.epoch = 2
    subject.epoch = 4
    subject.records(2, 1)
    subject.records(2, 1)
    expect(subject.state.epochs).toEqual([
      { epoch: 1, startOffset: 0 },
      { epoch: 4, startOffset: 3 }
    ])
  })

  it("moves its start forward only, and not past its end", () => {
    const subject = new Subject()
    subject.records(10, 1)
    const move = (offset: number) => subject.send({ _tag: "MoveLogStart", offset, reason: "test" })
    expect(move(4)).toEqual({ logStartOffset: 4 })
    expect(move(3)).toEqual({ logStartOffset: 4 })
    expect([move(11), move(-2)]).toEqual(["OffsetOutOfRange", "OffsetOutOfRange"])
    expect(move(-1)).toEqual({ logStartOffset: 10 })
    expect(subject.events.filter((event) => event._tag === "LogStartMoved")).toHaveLength(2)
    expect(subject.records(1, 1)).toEqual(at(10, 10))
  })

  it("takes nothing once it is deleted, and may be deleted again", () => {
    const subject = new Subject()
    subject.records(1, 1)
    subject.send({ _tag: "DeleteLog" })
    subject.send({ _tag: "DeleteLog" })
    expect(subject.records(1, 1)).toBe("UnknownTopicOrPartition")
    expect(subject.batch(1, -1, -1, -1)).toBe("UnknownTopicOrPartition")
    expect(subject.send({ _tag: "MoveLogStart", offset: 0, reason: "test" })).toBe("UnknownTopicOrPartition")
    expect(subject.events.filter((event) => event._tag === "LogDeleted")).toHaveLength(1)
    expect(Partition.isEmpty(subject.state)).toBe(true)
  })
})

describe("idempotent producers", () => {
  it("get the old offset for a batch that is sent again, of the last five", () => {
    const subject = new Subject()
    for (let i = 0; i < 6; i++) expect(subject.batch(2, 9, 0, i * 2)).toEqual(at(i * 2))
    for (let i = 1; i < 6; i++) expect(subject.batch(2, 9, 0, i * 2)).toEqual(at(i * 2))
    expect(subject.batch(2, 9, 0, 0)).toBe("OutOfOrderSequenceNumber")
    expect(subject.state.nextOffset).toBe(12)
  })

  it("are refused a gap, a part of a batch, and an old epoch", () => {
    const subject = new Subject()
    subject.batch(2, 9, 3, 0)
    expect(subject.batch(2, 9, 3, 3)).toBe("OutOfOrderSequenceNumber")
    expect(subject.batch(1, 9, 3, 0)).toBe("OutOfOrderSequenceNumber")
    expect(subject.batch(2, 9, 2, 2)).toBe("InvalidProducerEpoch")
    expect(subject.batch(2, 9, 4, 2)).toBe("OutOfOrderSequenceNumber")
    expect(subject.batch(2, 9, 4, 0)).toEqual(at(2))
    expect(subject.batch(2, 9, 3, 2)).toBe("InvalidProducerEpoch")
  })

  it("go on at 0 behind the highest sequence", () => {
    const subject = new Subject()
    expect(subject.batch(2, 9, 0, sequenceMax - 2)).toEqual(at(0))
    expect(subject.batch(3, 9, 0, sequenceMax)).toEqual(at(2))
    expect(subject.batch(1, 9, 0, 2)).toEqual(at(5))
    expect(subject.batch(3, 9, 0, sequenceMax)).toEqual(at(2))
  })

  it("do not begin with a batch that was sent behind another one", () => {
    const subject = new Subject()
    expect(subject.batch(1, 7, 0, 1, true)).toBe("OutOfOrderSequenceNumber")
    expect([subject.batch(1, 7, 0, 0), subject.batch(1, 7, 0, 1, true)]).toEqual([at(0), at(1)])
    expect(subject.batch(1, 7, 0, 1, true)).toEqual(at(1))
  })

  it("do not know of each other", () => {
    const subject = new Subject()
    expect([subject.batch(1, 1, 0, 0), subject.batch(1, 2, 0, 0), subject.batch(1, 1, 0, 1)]).toEqual([
      at(0),
      at(1),
      at(2)
    ])
  })
})

const appendingByTheLog = (): Subject => Object.assign(new Subject(), { timestampType: "LogAppendTime", nowMs: 77 })

describe("a producer's batch that gets the time of its append", () => {
  it("is told to have it, whatever times it came with; another keeps its own", () => {
    const subject = appendingByTheLog()
    expect(subject.batch(2, -1, -1, -1)).toEqual({ ...at(0), logAppendTimeMs: 77 })
    subject.timestampType = "CreateTime"
    expect(subject.batch(2, -1, -1, -1)).toEqual(at(2))
    expect(subject.events).toMatchObject([
      { firstTimestampMs: 77, maxTimestampMs: 77, isLogAppendTime: true },
      { firstTimestampMs: 5, maxTimestampMs: 6 }
    ])
    expect(subject.events[1]).not.toHaveProperty("isLogAppendTime")
  })

  it("has the time of the first append when it is sent again, over a restart too", () => {
    const subject = appendingByTheLog()
    subject.batch(2, 9, 0, 0)
    subject.nowMs = 88
    subject.timestampType = "CreateTime"
    expect(subject.batch(2, 9, 0, 0)).toEqual({ ...at(0), logAppendTimeMs: 77 })
    expect(subject.batch(1, 9, 0, 2)).toEqual(at(2))
    subject.state = Partition.load(id, unpack(pack(Partition.save(subject.state))))
    expect(subject.batch(2, 9, 0, 0)).toEqual({ ...at(0), logAppendTimeMs: 77 })
    subject.timestampType = "LogAppendTime"
    expect(subject.batch(1, 9, 0, 2)).toEqual(at(2))
  })
})

const command: fc.Arbitrary<PartitionCommand> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat(1000), fc.nat(10)).map(([count, ms, span]) => ({
      _tag: "AppendRecords" as const,
      count,
      firstTimestampMs: ms,
      maxTimestampMs: ms + span,
      bytes
    }))
  },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("AppendBatch" as const),
      isBehind: fc.boolean(),
      transaction: fc.constant(undefined),
      timestampType: fc.constantFrom("CreateTime" as const, "LogAppendTime" as const),
      bytes: fc.constant(bytes),
      count: fc.integer({ min: 1, max: 3 }),
      baseTimestampMs: fc.nat(1000),
      maxTimestampMs: fc.nat(1000),
      producerId: fc.integer({ min: -1, max: 2 }),
      producerEpoch: fc.nat(2),
      baseSequence: fc.nat(6)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      _tag: fc.constant("MoveLogStart" as const),
      offset: fc.integer({ min: -1, max: 30 }),
      reason: fc.constant("test")
    })
  },
  { weight: 1, arbitrary: fc.constant({ _tag: "DeleteLog" as const }) }
)

describe("a partition's events", () => {
  it("give the same state by replay, from any state that was saved on the way", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(command, fc.nat(3)), { maxLength: 60, size: "max" }), (steps) => {
        const subject = new Subject()
        let loaded: PartitionState | undefined
        for (const [each, luck] of steps) {
          const events = subject.events.length
          const before = subject.state.nextOffset
          subject.send(each)
          for (const event of subject.events.slice(events)) {
            if (event._tag === "RecordsAppended") expect(event.baseOffset).toBe(before)
            if (loaded !== undefined) loaded = Partition.evolve(loaded, event)
          }
          if (luck === 0) {
            subject.epoch++
            loaded = Partition.load(id, unpack(pack(Partition.save(subject.state))))
          }
          if (loaded !== undefined) expect(Partition.save(loaded)).toEqual(Partition.save(subject.state))
        }
        const replayed = subject.events.reduce(Partition.evolve, Partition.initial(id))
        expect(Partition.save(replayed)).toEqual(Partition.save(subject.state))
      }),
      { numRuns: 200 }
    )
  })
})
