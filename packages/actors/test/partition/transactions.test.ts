import {
  type BatchTransaction,
  Partition,
  type PartitionCommand,
  type PartitionState
} from "@logbrook/actors/partition/Partition"
import type { LogEvent, RecordsAppended } from "@logbrook/core/actor/LogEvents"
import type { Holder } from "@logbrook/core/memory/MemoryAccount"
import { pack, unpack } from "@logbrook/core/actor/pack"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { Log } from "@logbrook/core/storage/Log"
import type { AbortedTransaction } from "@logbrook/core/transaction/LogTransactions"
import type { TransactionOutcome } from "@logbrook/core/transaction/Marker"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const id = "partition/7"
const bytes = new Uint8Array(10)
const nowMs = 1000

const v1: BatchTransaction = { version: 1, isAdded: true }
const v2: BatchTransaction = { version: 2, isAdded: true }
/** The caller takes it that the transaction is open here. */
const goingOn: BatchTransaction = { version: 1, isAdded: false }

/** A partition and the log that readers see, both fed with the same events. */
class Subject {
  state: PartitionState = Partition.initial(id)
  log = new Log(7)
  /** What is left of accounts that are short. */
  room: Partial<Record<Holder, number>> = {}
  readonly events: Array<LogEvent> = []
  /** The bytes of the newest records. */
  records: Uint8Array | undefined

  /** The reply, or the refusal's reason. */
  send(command: PartitionCommand): unknown {
    const { events, reply, records } = Partition.decide(
      this.state,
      command,
      nowMs,
      (holder) => this.room[holder] ?? Infinity
    )
    this.records = records?.bytes
    for (const event of events) {
      const stamped = event._tag === "RecordsAppended" ? { ...event, epoch: 1 } : event
      this.events.push(stamped)
      this.state = Partition.evolve(this.state, stamped)
      if (stamped._tag === "RecordsAppended") this.log.append(1, 1, refOf(stamped))
      if (stamped._tag === "LogStartMoved") this.log.moveStart(stamped.offset)
      if (stamped._tag === "AbortedForgotten") this.log.forgetAborted(stamped.offset)
    }
    return Exit.match(reply!, {
      onSuccess: (value) => value,
      onFailure: (cause) => (Cause.isFailType(cause) ? cause.error.reason : "defect")
    })
  }

  /** The base offset, or why it was refused. */
  batch(producerId: number, producerEpoch: number, baseSequence: number, transaction?: BatchTransaction, count = 1) {
    const times = { baseTimestampMs: 5, maxTimestampMs: 6 }
    const producer = { producerId, producerEpoch, baseSequence }
    const command = { bytes, count, ...times, ...producer, isBehind: false, transaction } as const
    const reply = this.send({ _tag: "AppendBatch", ...command, timestampType: "CreateTime" })
    return typeof reply === "string" ? reply : (reply as { readonly baseOffset: number }).baseOffset
  }

  marker(
    producerId: number,
    producerEpoch: number,
    outcome: TransactionOutcome,
    transactionVersion: 1 | 2 = 1,
    coordinatorEpoch = 4
  ) {
    const command = { producerId, producerEpoch, coordinatorEpoch, outcome, transactionVersion }
    return this.send({ _tag: "WriteMarker", ...command })
  }

  moveStart(offset: number): unknown {
    return this.send({ _tag: "MoveLogStart", offset, reason: "test" })
  }

  restart(): void {
    const saved = unpack(pack(Partition.save(this.state)))
    this.state = Partition.load(id, saved)
    this.log = new Log(7)
    this.log.restore(this.state)
  }
}

const refOf = ({ baseOffset, count, producer, isTransactional, marker, verbatim }: RecordsAppended) => ({
  logId: 7,
  baseOffset,
  count,
  firstTimestampMs: 1,
  maxTimestampMs: 1,
  byteLength: 10,
  crc: 0,
  place: "frame" as const,
  chunk: 0,
  position: 0,
  verbatim,
  producer,
  isTransactional,
  marker
})

const written = (offset: number | undefined) => ({ offset })

const brief = (aborted: ReadonlyArray<AbortedTransaction>) =>
  aborted.map(({ producerId, firstOffset, lastOffset }) => [producerId, firstOffset, lastOffset])

describe("a transaction in a partition", () => {
  it("is open from its first batch to its marker, and bounds what is stable", () => {
    const subject = new Subject()
    expect([subject.batch(1, 0, 0, v1, 2), subject.batch(2, 0, 0, v1), subject.batch(3, 0, 0)]).toEqual([0, 2, 3])
    expect([subject.log.lastStableOffset, subject.log.highWatermark]).toEqual([0, 4])
    expect(subject.marker(1, 0, "commit")).toEqual(written(4))
    expect(subject.log.lastStableOffset).toBe(2)
    expect(subject.marker(2, 0, "abort")).toEqual(written(5))
    expect(subject.log.lastStableOffset).toBe(6)
    expect(brief(subject.log.abortedWithin(0, 6))).toEqual([[2, 2, 5]])
  })

  it("ends with a control batch of its producer", () => {
    const subject = new Subject()
    subject.batch(9, 3, 0, v1)
    subject.marker(9, 3, "abort")
    const batch = subject.records!
    expect([RecordBatch.isControl(batch), RecordBatch.isTransactional(batch)]).toEqual([true, true])
    expect([RecordBatch.producerId(batch), RecordBatch.producerEpoch(batch)]).toEqual([9, 3])
    expect([RecordBatch.baseTimestamp(batch), RecordBatch.maxTimestamp(batch)]).toEqual([nowMs, nowMs])
  })

  it("begins only where its coordinator has the partition in it", () => {
    const subject = new Subject()
    expect(subject.batch(1, 0, 0, goingOn)).toBe("InvalidTxnState")
    expect(subject.batch(1, 0, 0, v1)).toBe(0)
    expect(subject.batch(1, 0, 1, goingOn)).toBe(1)
    subject.marker(1, 0, "commit")
    expect(subject.batch(1, 0, 2, goingOn)).toBe("InvalidTxnState")
    // A batch that was stored is answered all the same when it comes again.
    expect(subject.batch(1, 0, 1, goingOn)).toBe(1)
  })

  it("of another epoch is asked for anew", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0, v1)
    expect(subject.batch(1, 1, 0, goingOn)).toBe("InvalidTxnState")
    expect(subject.batch(1, 1, 0, v1)).toBe(1)
    expect(subject.log.isOpen(1, 1)).toBe(true)
    expect(subject.log.isOpen(1, 0)).toBe(false)
    expect(subject.log.lastStableOffset).toBe(0)
  })

  it("takes no batch of none of its producer while it is open", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0, v1)
    expect(subject.batch(1, 0, 1)).toBe("InvalidTxnState")
    subject.marker(1, 0, "commit")
    expect(subject.batch(1, 0, 1)).toBe(2)
  })

  it("of version 2 begins with sequence 0 where its producer is not known, of version 1 anywhere", () => {
    const subject = new Subject()
    expect(subject.batch(1, 0, 5, v2)).toBe("OutOfOrderSequenceNumber")
    expect(subject.batch(1, 0, 5, v1)).toBe(0)
    expect(subject.batch(2, 0, 0, v2)).toBe(1)
  })

  it("stays open when its first records expire, and what is stable begins at the log's start then", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0, v1, 4)
    subject.moveStart(3)
    expect([subject.log.lastStableOffset, subject.log.startOffset]).toEqual([3, 3])
    subject.marker(1, 0, "abort")
    expect(brief(subject.log.abortedWithin(3, 5))).toEqual([[1, 0, 4]])
    subject.moveStart(5)
    expect(subject.log.abortedWithin(0, 9)).toEqual([])
    expect(Partition.save(subject.state)).not.toHaveProperty("transactions")
  })

  it("is refused where there are too many, or no memory for it; its markers and batches never are", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0, v1)
    subject.room = { logTransactions: 0 }
    expect(subject.batch(2, 0, 0, v1)).toBe("TooManyTransactions")
    expect(subject.batch(2, 0, 0)).toBe(1)
    expect(subject.batch(1, 0, 1, v1)).toBe(2)
    expect(subject.marker(1, 0, "abort")).toEqual(written(3))
    subject.room = {}
    for (let producerId = 0; producerId < 1000; producerId++)
      subject.batch(producerId, 0, { 1: 2, 2: 1 }[producerId] ?? 0, v1)
    expect(subject.batch(1000, 0, 0, v1)).toBe("TooManyTransactions")
    expect(subject.marker(0, 0, "abort")).toEqual(written(1004))
    expect(subject.batch(1000, 0, 0, v1)).toBe(1005)
  })

  it("of a new producer takes the place of an idle one where memory for producers is short, and is refused where none is idle", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0)
    subject.batch(2, 0, 0, v1)
    subject.room = { producers: 0 }
    expect(subject.batch(3, 0, 0, v1)).toBe(2)
    expect([...subject.state.producers.keys()]).toEqual([2, 3])
    expect(subject.batch(4, 0, 0, v1)).toBe("TooManyTransactions")
    expect(subject.marker(2, 0, "commit")).toEqual(written(3))
    // A producer that is known takes no memory for itself.
    expect(subject.batch(2, 0, 1, v1)).toBe(4)
    expect([...subject.state.producers.keys()]).toEqual([3, 2])
    expect(subject.marker(3, 0, "abort")).toEqual(written(5))
    expect(subject.batch(4, 0, 0, v1)).toBe(6)
    expect([...subject.state.producers.keys()]).toEqual([2, 4])
    expect(subject.events.filter(({ _tag }) => _tag === "ProducersForgotten")).toHaveLength(2)
  })

  it("is refused where its partition remembers as much of others as it leaves to other partitions", () => {
    const subject = new Subject()
    const weightOf = () => Partition.weights!.map(({ holder, bytesOf }) => [holder, bytesOf(subject.state)] as const)
    for (let sequence = 0; sequence < 3; sequence++) {
      subject.batch(1, 0, sequence, v1)
      subject.marker(1, 0, "abort")
    }
    expect(weightOf()).toEqual([
      ["producers", 60],
      ["logTransactions", 840]
    ])
    subject.room = { logTransactions: 840 + 279 }
    expect(subject.batch(1, 0, 3, v1)).toBe("TooManyTransactions")
    subject.room = { logTransactions: 840 + 280 }
    expect(subject.batch(1, 0, 3, v1)).toBe(6)
    expect(new Map(weightOf()).get("logTransactions")).toBe(1120)
    subject.marker(1, 0, "commit")
    expect(new Map(weightOf()).get("logTransactions")).toBe(840)
    subject.moveStart(8)
    expect(new Map(weightOf()).get("logTransactions")).toBe(0)
  })

  it("keeps its producer known, however short memory is and however many others come", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0, v1)
    subject.batch(2, 0, 0)
    subject.room = { producers: 0 }
    for (let producerId = 3; producerId < 6; producerId++) subject.batch(producerId, 0, 0)
    expect([...subject.state.producers.keys()]).toEqual([1, 5])
    subject.room = {}
    for (let producerId = 6; producerId < 10_100; producerId++) subject.batch(producerId, 0, 0)
    expect(subject.state.producers.size).toBe(10_000)
    expect(subject.state.producers.has(1)).toBe(true)
  })

  it("is shown with its first offset, and its producer with the coordinator's epoch and the newest time", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0)
    subject.batch(2, 0, 0, v1)
    const producer = { producerEpoch: 0, lastSequence: 0, lastTimestamp: -1, coordinatorEpoch: -1 }
    const open = { ...producer, producerId: 2, lastTimestamp: 6, lastBatchOffset: 1, currentTxnStartOffset: 1 }
    const others = { ...producer, producerId: 1, lastBatchOffset: 0, currentTxnStartOffset: -1 }
    expect(subject.send({ _tag: "DescribeProducers" })).toEqual({ producers: [others, open] })
    subject.marker(2, 1, "commit", 2)
    const none = { lastSequence: -1, lastBatchOffset: -1 }
    const ended = { ...open, producerEpoch: 1, ...none, lastTimestamp: nowMs, coordinatorEpoch: 4 }
    expect(subject.send({ _tag: "DescribeProducers" })).toEqual({
      producers: [others, { ...ended, currentTxnStartOffset: -1 }]
    })
  })
})

describe("an aborted transaction", () => {
  it("of which compaction has left nothing is forgotten, once", () => {
    const subject = new Subject()
    for (const producerId of [1, 2]) {
      subject.batch(producerId, 0, 0, v1)
      subject.marker(producerId, 0, "abort")
    }
    subject.send({ _tag: "ForgetAborted", toOffset: 3 })
    subject.send({ _tag: "ForgetAborted", toOffset: 3 })
    expect(brief(subject.log.abortedWithin(0, 9))).toEqual([[2, 2, 3]])
    expect(subject.events.filter(({ _tag }) => _tag === "AbortedForgotten")).toHaveLength(1)
    subject.restart()
    expect(brief(subject.log.abortedWithin(0, 9))).toEqual([[2, 2, 3]])
  })
})

describe("a marker", () => {
  it("that comes again is answered and not written again", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0, v1)
    expect(subject.marker(1, 0, "commit")).toEqual(written(1))
    expect(subject.marker(1, 0, "commit")).toEqual(written(undefined))
    subject.batch(1, 0, 1, v1)
    expect(subject.marker(1, 1, "commit", 2)).toEqual(written(3))
    expect(subject.marker(1, 1, "commit", 2)).toEqual(written(undefined))
    expect(subject.state.nextOffset).toBe(4)
  })

  it("fences older epochs, and its own begins at sequence 0", () => {
    const subject = new Subject()
    subject.batch(1, 0, 0, v2)
    expect(subject.marker(1, 1, "abort", 2)).toEqual(written(1))
    expect(subject.batch(1, 0, 1, v2)).toBe("InvalidProducerEpoch")
    expect(subject.batch(1, 1, 1, v2)).toBe("OutOfOrderSequenceNumber")
    expect(subject.batch(1, 1, 0, v2)).toBe(2)
  })

  it("is written where its transaction has no records, since it fences", () => {
    const subject = new Subject()
    expect(subject.marker(1, 5, "abort")).toEqual(written(0))
    expect(subject.batch(1, 4, 0, v1)).toBe("InvalidProducerEpoch")
    expect(subject.log.abortedWithin(0, 9)).toEqual([])
  })

  it("of an older epoch is refused, with version 2 one of the same epoch as well while the transaction is open", () => {
    const subject = new Subject()
    subject.batch(1, 3, 0, v1)
    expect(subject.marker(1, 2, "commit")).toBe("InvalidProducerEpoch")
    expect(subject.marker(1, 3, "commit", 2)).toBe("InvalidProducerEpoch")
    expect(subject.log.lastStableOffset).toBe(0)
    expect(subject.marker(1, 3, "commit", 1)).toEqual(written(1))
  })

  it("of an older coordinator is refused, once a newer one has ended a transaction of the producer", () => {
    const subject = new Subject()
    subject.batch(1, 3, 0, v1)
    expect(subject.marker(1, 3, "abort", 1, 0), "no coordinator is known").toEqual(written(1))
    subject.batch(1, 3, 1, v1)
    expect(subject.marker(1, 3, "abort", 1, 2)).toEqual(written(3))
    subject.batch(1, 3, 2, v1)
    expect(subject.marker(1, 3, "abort", 1, 1)).toBe("TransactionCoordinatorFenced")
    expect(subject.log.lastStableOffset).toBe(4)
    expect(subject.marker(1, 3, "commit", 1, 2)).toEqual(written(5))
    expect(subject.marker(1, 3, "commit", 1, 1), "a repeated one too").toBe("TransactionCoordinatorFenced")
  })
})

/** A log as a list of what lies at its offsets; everything else is searched for in it. */
interface Item {
  readonly producerId: number
  readonly isTransactional: boolean
  readonly outcome: TransactionOutcome | undefined
}

class Model {
  readonly items: Array<Item> = []
  startOffset = 0

  /** The first offset of the producer's transaction that no marker below `end` has ended. */
  openFrom(producerId: number, end = this.items.length): number | undefined {
    let from: number | undefined
    for (const [offset, item] of this.items.slice(0, end).entries()) {
      if (item.producerId !== producerId) continue
      if (item.outcome !== undefined) from = undefined
      else if (item.isTransactional) from ??= offset
    }
    return from
  }

  get lastStableOffset(): number {
    const open = [0, 1, 2].flatMap((producerId) => this.openFrom(producerId) ?? [])
    return open.length === 0 ? this.items.length : Math.max(this.startOffset, Math.min(...open))
  }

  /** Every aborted transaction that a reader may still meet. */
  get aborted(): ReadonlyArray<readonly [producerId: number, firstOffset: number, lastOffset: number]> {
    return this.items.flatMap(({ producerId, outcome }, offset) => {
      const from = outcome === "abort" && offset >= this.startOffset ? this.openFrom(producerId, offset) : undefined
      return from === undefined ? [] : [[producerId, from, offset] as const]
    })
  }
}

type Step =
  | { readonly _tag: "batch"; readonly producerId: number; readonly epoch: number; readonly isTransactional: boolean }
  | {
      readonly _tag: "marker"
      readonly producerId: number
      readonly epoch: number
      readonly outcome: TransactionOutcome
    }
  | { readonly _tag: "start"; readonly share: number }
  | { readonly _tag: "restart" }

const producerId = fc.nat(2)
const epoch = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      _tag: fc.constant("batch" as const),
      producerId,
      epoch,
      isTransactional: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false))
    })
  },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("marker" as const),
      producerId,
      epoch,
      outcome: fc.constantFrom("commit" as const, "abort" as const)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("start" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) })
  },
  { weight: 1, arbitrary: fc.constant({ _tag: "restart" as const }) }
)

/** The next sequence of the epoch that the partition knows of this producer. */
const nextSequence = ({ producers }: PartitionState, id: number, epochOfBatch: number): number => {
  const known = producers.get(id)
  return known?.epoch === epochOfBatch ? (known.batches.at(-1)?.lastSequence ?? -1) + 1 : 0
}

const take = (subject: Subject, model: Model, each: Step): void => {
  if (each._tag === "restart") return subject.restart()
  if (each._tag === "start") {
    model.startOffset = Math.max(model.startOffset, Math.floor(each.share * model.items.length))
    subject.moveStart(model.startOffset)
    return
  }
  const { producerId: id, epoch: given } = each
  if (each._tag === "marker") {
    const reply = subject.marker(id, given, each.outcome)
    const isWritten = typeof reply === "object" && (reply as { offset: number | undefined }).offset !== undefined
    if (isWritten) model.items.push({ producerId: id, isTransactional: true, outcome: each.outcome })
    return
  }
  const { isTransactional } = each
  const offset = subject.batch(id, given, nextSequence(subject.state, id, given), isTransactional ? v1 : undefined)
  if (typeof offset === "string") return
  expect(offset).toBe(model.items.length)
  model.items.push({ producerId: id, isTransactional, outcome: undefined })
}

const compare = ({ log, state }: Subject, model: Model): void => {
  const end = model.items.length
  expect([log.lastStableOffset, log.highWatermark, state.nextOffset]).toEqual([model.lastStableOffset, end, end])
  const { aborted } = model
  for (let from = model.startOffset; from <= end; from++) {
    for (let to = from + 1; to <= end + 1; to += 5) {
      const wanted = aborted.filter(([, first, last]) => first < to && last >= from).sort(([, a], [, b]) => a - b)
      expect(brief(log.abortedWithin(from, to))).toEqual(wanted)
    }
    const item = model.items[from]
    if (item === undefined || item.outcome !== undefined || !item.isTransactional) continue
    const isAborted = aborted.some(([id, first, last]) => id === item.producerId && first <= from && from < last)
    expect(log.isAborted(item.producerId, from)).toBe(isAborted)
  }
}

describe("the transactions of a log", () => {
  it("are those of a model that searches a list of all records, also behind a restart from what was saved", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
        const subject = new Subject()
        const model = new Model()
        for (const each of steps) {
          take(subject, model, each)
          compare(subject, model)
        }
      }),
      { numRuns: 60 }
    )
  })

  it("fold to the same from any state that was saved on the way", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "max" }), fc.nat(40), (steps, savedAt) => {
        const subject = new Subject()
        const model = new Model()
        let loaded: PartitionState | undefined
        for (const [i, each] of steps.entries()) {
          if (i === savedAt) loaded = Partition.load(id, unpack(pack(Partition.save(subject.state))))
          const before = subject.events.length
          take(subject, model, each)
          const events = subject.events.slice(before)
          if (loaded !== undefined) loaded = events.reduce(Partition.evolve, loaded)
        }
        if (loaded !== undefined) expect(Partition.save(loaded)).toEqual(Partition.save(subject.state))
      }),
      { numRuns: 100 }
    )
  })
})
