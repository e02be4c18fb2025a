import * as Data from "effect/Data"
import * as Exit from "effect/Exit"
import type { Decision, Definition } from "@logbrook/core/actor/Definition"
import { type Address, kind } from "@logbrook/core/actor/Kind"
import {
  logIdOf,
  partitionId,
  partitionKind,
  withEpoch,
  type LogEvent,
  type LogState,
  type RecordsAppended
} from "@logbrook/core/actor/LogEvents"
import { type Room, unbounded } from "@logbrook/core/memory/MemoryAccount"
import { controlBatch } from "@logbrook/core/transaction/controlBatch"
import { LogTransactions, type SavedTransactions, transactionsBehind } from "@logbrook/core/transaction/LogTransactions"
import type { Marker } from "@logbrook/core/transaction/Marker"
import type { TimestampType } from "../catalog/StreamConfig.ts"
import type { TransactionVersion } from "../transaction/TransactionProtocol.ts"
import { appended, checkSequence, ended, forgotten, type ProducerState, producerBytes } from "./ProducerState.ts"

export interface PartitionState extends LogState {
  readonly logId: number
  /** The newest record's time; the times of server-built records never go back. */
  readonly maxTimestampMs: number
  /** By producer id, the least recently used first. */
  readonly producers: Map<number, ProducerState>
}

/** The transaction that a producer's batch belongs to. */
export interface BatchTransaction {
  /** The producer's protocol (KIP-890). With 2 the first sequence of a producer that the partition does not know is 0. */
  readonly version: TransactionVersion
  /** The coordinator has the partition in the transaction: the batch may be its first one here. */
  readonly isAdded: boolean
}

/**
 * The coordinator ends a producer's transaction, and fences its older epochs: whether it has records here or not. With
 * version 2 the epoch is a newer one than its batches have. A marker may come again.
 */
export interface WriteMarker extends Marker {
  readonly _tag: "WriteMarker"
  readonly transactionVersion: TransactionVersion
}

export interface MarkerWritten {
  /** Undefined: it has been written before, and is not written again. */
  readonly offset: number | undefined
}

export type PartitionCommand =
  /** Records that the server encoded, offset deltas from 0. */
  | {
      readonly _tag: "AppendRecords"
      readonly count: number
      readonly firstTimestampMs: number
      readonly maxTimestampMs: number
      readonly bytes: Uint8Array
    }
  /** A validated RecordBatch of a producer; `producerId` -1: not idempotent. Its bytes belong to the partition from now on. */
  | {
      readonly _tag: "AppendBatch"
      readonly bytes: Uint8Array
      readonly count: number
      readonly baseTimestampMs: number
      readonly maxTimestampMs: number
      readonly producerId: number
      readonly producerEpoch: number
      readonly baseSequence: number
      /**
       * The producer has sent a batch before this one, and the caller has not been told yet what became of it. A partition that
       * does not know the producer by now has refused that one.
       */
      readonly isBehind: boolean
      /** Undefined: it belongs to none. */
      readonly transaction: BatchTransaction | undefined
      /** LogAppendTime: its records get the time at which they are appended (KIP-32). */
      readonly timestampType: TimestampType
    }
  | WriteMarker
  /** Retention and DeleteRecords. -1: to the end. */
  | { readonly _tag: "MoveLogStart"; readonly offset: number; readonly reason: string }
  /** Compaction has left nothing of the transactions that were aborted by markers below `toOffset`. */
  | { readonly _tag: "ForgetAborted"; readonly toOffset: number }
  | { readonly _tag: "DescribeProducers" }
  | { readonly _tag: "DeleteLog" }

export interface Appended {
  readonly baseOffset: number
  readonly logStartOffset: number
  /** The time that all records of a producer's batch got, Unix ms; undefined: they have their own. */
  readonly logAppendTimeMs?: number | undefined
}

export type PartitionRefusal =
  | "OutOfOrderSequenceNumber"
  | "InvalidProducerEpoch"
  | "OffsetOutOfRange"
  | "UnknownTopicOrPartition"
  /** A newer coordinator has ended a transaction of this producer here. */
  | "TransactionCoordinatorFenced"
  /** A batch of a transaction that is not open here, or of none while one is. */
  | "InvalidTxnState"
  /** A transaction more is one too many here, or there is no memory for it or for its producer. */
  | "TooManyTransactions"

export class PartitionRefused extends Data.TaggedError("PartitionRefused")<{ readonly reason: PartitionRefusal }> {}

export interface ProducerDescription {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1: none is known. */
  readonly lastSequence: number
  /** The newest time in its newest batch of a transaction, or of its marker, Unix ms; -1: it has neither here. */
  readonly lastTimestamp: number
  /** Where its newest batch begins; -1: none is known. */
  readonly lastBatchOffset: number
  /** The epoch of its newest marker's coordinator; -1: it has no marker here. */
  readonly coordinatorEpoch: number
  /** The first offset of its open transaction; -1: none is open. */
  readonly currentTxnStartOffset: number
}

export interface ProducersDescribed {
  /** The least recently used first. */
  readonly producers: ReadonlyArray<ProducerDescription>
}

export interface LogStart {
  readonly logStartOffset: number
}

/** The reply to each command. */
export interface PartitionReplies {
  readonly AppendRecords: Appended
  readonly AppendBatch: Appended
  readonly WriteMarker: MarkerWritten
  readonly MoveLogStart: LogStart
  readonly ForgetAborted: LogStart
  readonly DescribeProducers: ProducersDescribed
  readonly DeleteLog: LogStart
}

export const PartitionKind = kind<{
  command: PartitionCommand
  replies: PartitionReplies
  failure: PartitionRefused
  event: LogEvent
  notice: never
}>()(partitionKind)

export const partitionActor = (logId: number): Address<typeof PartitionKind> =>
  partitionId(logId) as Address<typeof PartitionKind>

type PartitionDecision<Tag extends PartitionCommand["_tag"] = PartitionCommand["_tag"]> = Decision<
  typeof PartitionKind,
  Command<Tag>
>

/** The most open transactions of a partition: their producers are not forgotten, and these are a part of those that it remembers. */
const openTransactionsMax = 1000

/** The memory that a transaction takes in a partition and in its log together, while it is open and once it was aborted: 265 bytes were measured. */
const transactionBytes = 280

const bytesOfTransactions = (transactions: LogTransactions | undefined): number =>
  transactions === undefined ? 0 : transactionBytes * (transactions.openCount + transactions.abortedCount)

/** The memory that each leader epoch takes. */
const epochBytes = 60

const refuse = (reason: PartitionRefusal): PartitionDecision<never> => ({
  events: [],
  reply: Exit.fail(new PartitionRefused({ reason })),
  signals: []
})

const reply = <Value>(value: Value) => ({ events: [], reply: Exit.succeed(value), signals: [] })

type Command<Tag> = Extract<PartitionCommand, { readonly _tag: Tag }>

const appendRecords = (
  state: PartitionState,
  command: Command<"AppendRecords">
): PartitionDecision<"AppendRecords"> => {
  // The clock may step back, the log's time may not: the records move as a whole, their inner distances stay.
  const firstTimestampMs = Math.max(command.firstTimestampMs, state.maxTimestampMs)
  const event: LogEvent = {
    _tag: "RecordsAppended",
    baseOffset: state.nextOffset,
    count: command.count,
    firstTimestampMs,
    maxTimestampMs: firstTimestampMs + command.maxTimestampMs - command.firstTimestampMs,
    epoch: 0,
    verbatim: false,
    producer: undefined
  }
  return {
    events: [event],
    reply: Exit.succeed({ baseOffset: state.nextOffset, logStartOffset: state.logStartOffset }),
    signals: [],
    records: { bytes: command.bytes, verbatim: false }
  }
}

/** There is no memory for a producer more. */
const isShort = (room: Room): boolean => room("producers") < producerBytes

/** Whether it takes memory to remember this producer: it is not known, and the first of a partition is the stream's to account for. */
const isFurther = ({ producers }: PartitionState, producerId: number): boolean =>
  producers.size > 0 && !producers.has(producerId)

/** Whether a producer could make room for another one: all with an open transaction are known, and stay so. */
const hasIdleProducer = ({ producers, transactions }: PartitionState): boolean =>
  producers.size > (transactions?.openCount ?? 0)

/**
 * Whether a partition may have a transaction more. An aborted one is remembered for as long as its records may be read, so a partition
 * takes no more than it leaves to the others; and the producer of an open one makes room for nobody.
 */
const hasRoomForTransaction = (state: PartitionState, producerId: number, room: Room): boolean => {
  const { transactions } = state
  if ((transactions?.openCount ?? 0) >= openTransactionsMax) return false
  if (room("logTransactions") < transactionBytes + bytesOfTransactions(transactions)) return false
  return !isFurther(state, producerId) || !isShort(room) || hasIdleProducer(state)
}

/** Why a batch cannot belong to the transaction that it says, or to none; its sequence is right. */
const refuseTransaction = (
  state: PartitionState,
  { producerId, producerEpoch, transaction }: Command<"AppendBatch">,
  room: Room
): PartitionRefusal | undefined => {
  const open = state.transactions?.openOf(producerId)
  if (transaction === undefined) return open === undefined ? undefined : "InvalidTxnState"
  if (open?.producerEpoch === producerEpoch) return undefined
  if (!transaction.isAdded) return "InvalidTxnState"
  return open !== undefined || hasRoomForTransaction(state, producerId, room) ? undefined : "TooManyTransactions"
}

/** Where memory is short, the producer that was idle for longest makes room for a new one. */
const makeRoom = (state: PartitionState, producerId: number, room: Room): ReadonlyArray<LogEvent> =>
  isFurther(state, producerId) && isShort(room) && hasIdleProducer(state)
    ? [{ _tag: "ProducersForgotten", count: 1 }]
    : []

const appendBatch = (
  state: PartitionState,
  command: Command<"AppendBatch">,
  nowMs: number,
  room: Room
): PartitionDecision<"AppendBatch"> => {
  const { producerId, producerEpoch, baseSequence, count, transaction } = command
  const isIdempotent = producerId >= 0
  if (isIdempotent) {
    const known = state.producers.get(producerId)
    // Where memory is short, it may have been forgotten since.
    if (known === undefined && command.isBehind && !isShort(room)) return refuse("OutOfOrderSequenceNumber")
    const checked = checkSequence(known, producerEpoch, baseSequence, count)
    if (checked._tag === "Refused") return refuse(checked.reason)
    if (checked._tag === "Duplicate") {
      const { baseOffset, logAppendTimeMs } = checked
      return reply({ baseOffset, logStartOffset: state.logStartOffset, logAppendTimeMs })
    }
    if (known === undefined && transaction?.version === 2 && baseSequence !== 0)
      return refuse("OutOfOrderSequenceNumber")
    const refusal = refuseTransaction(state, command, room)
    if (refusal !== undefined) return refuse(refusal)
  }
  const logAppendTimeMs = command.timestampType === "LogAppendTime" ? nowMs : undefined
  const event: LogEvent = {
    _tag: "RecordsAppended",
    baseOffset: state.nextOffset,
    count,
    firstTimestampMs: logAppendTimeMs ?? command.baseTimestampMs,
    maxTimestampMs: logAppendTimeMs ?? command.maxTimestampMs,
    epoch: 0,
    verbatim: true,
    producer: isIdempotent ? { id: producerId, epoch: producerEpoch, baseSequence } : undefined,
    ...(transaction !== undefined && { isTransactional: true }),
    ...(logAppendTimeMs !== undefined && { isLogAppendTime: true })
  }
  return {
    events: isIdempotent ? [...makeRoom(state, producerId, room), event] : [event],
    reply: Exit.succeed({ baseOffset: state.nextOffset, logStartOffset: state.logStartOffset, logAppendTimeMs }),
    signals: [],
    records: { bytes: command.bytes, verbatim: true }
  }
}

/**
 * | The marker's epoch is | and its transaction is open | and it is not |
 * |---|---|---|
 * | an older one than is known | refused | refused |
 * | the one that is known | ends it; with version 2 refused, as a marker's epoch is newer then | has been written before |
 * | a newer one, or none is known | ends it | written: it fences older epochs |
 */
const writeMarker = (
  state: PartitionState,
  command: WriteMarker,
  nowMs: number,
  room: Room
): PartitionDecision<"WriteMarker"> => {
  const { producerId, producerEpoch, coordinatorEpoch, outcome, transactionVersion } = command
  const known = state.producers.get(producerId)
  const knownEpoch = known?.epoch ?? -1
  if (producerEpoch < knownEpoch) return refuse("InvalidProducerEpoch")
  const isOpen = state.transactions?.openOf(producerId) !== undefined
  if (producerEpoch === knownEpoch && isOpen && transactionVersion === 2) return refuse("InvalidProducerEpoch")
  if (coordinatorEpoch < (known?.coordinatorEpoch ?? -1)) return refuse("TransactionCoordinatorFenced")
  if (producerEpoch === knownEpoch && !isOpen) return reply({ offset: undefined })
  const marker: Marker = { producerId, producerEpoch, coordinatorEpoch, outcome }
  const event: LogEvent = {
    _tag: "RecordsAppended",
    baseOffset: state.nextOffset,
    count: 1,
    firstTimestampMs: nowMs,
    maxTimestampMs: nowMs,
    epoch: 0,
    verbatim: true,
    producer: undefined,
    marker
  }
  return {
    events: [...makeRoom(state, producerId, room), event],
    reply: Exit.succeed({ offset: state.nextOffset }),
    signals: [],
    records: { bytes: controlBatch(marker, nowMs), verbatim: true }
  }
}

const moveLogStart = (state: PartitionState, command: Command<"MoveLogStart">): PartitionDecision<"MoveLogStart"> => {
  const offset = command.offset === -1 ? state.nextOffset : command.offset
  if (offset < 0 || offset > state.nextOffset) return refuse("OffsetOutOfRange")
  if (offset <= state.logStartOffset) return reply({ logStartOffset: state.logStartOffset })
  return {
    events: [{ _tag: "LogStartMoved", offset, reason: command.reason }],
    reply: Exit.succeed({ logStartOffset: offset }),
    signals: []
  }
}

const forgetAborted = (
  { transactions, logStartOffset }: PartitionState,
  { toOffset: offset }: Command<"ForgetAborted">
): PartitionDecision<"ForgetAborted"> => {
  const isNews = transactions?.hasAbortedBelow(offset) === true
  const events: ReadonlyArray<LogEvent> = isNews ? [{ _tag: "AbortedForgotten", offset }] : []
  return { events, reply: Exit.succeed({ logStartOffset }), signals: [] }
}

const describeProducers = ({ producers, transactions }: PartitionState): PartitionDecision<"DescribeProducers"> =>
  reply({
    producers: Array.from(producers, ([producerId, { epoch, batches, coordinatorEpoch, transactionMs }]) => ({
      producerId,
      producerEpoch: epoch,
      lastSequence: batches.at(-1)?.lastSequence ?? -1,
      lastTimestamp: transactionMs ?? -1,
      lastBatchOffset: batches.at(-1)?.baseOffset ?? -1,
      coordinatorEpoch: coordinatorEpoch ?? -1,
      currentTxnStartOffset: transactions?.openOf(producerId)?.firstOffset ?? -1
    }))
  })

const decide = (state: PartitionState, command: PartitionCommand, nowMs: number, room: Room): PartitionDecision => {
  if (command._tag === "DeleteLog") {
    const events: ReadonlyArray<LogEvent> = state.isDeleted ? [] : [{ _tag: "LogDeleted" }]
    return { events, reply: Exit.succeed({ logStartOffset: state.logStartOffset }), signals: [] }
  }
  if (state.isDeleted) return refuse("UnknownTopicOrPartition")
  switch (command._tag) {
    case "AppendRecords":
      return appendRecords(state, command)
    case "AppendBatch":
      return appendBatch(state, command, nowMs, room)
    case "WriteMarker":
      return writeMarker(state, command, nowMs, room)
    case "MoveLogStart":
      return moveLogStart(state, command)
    case "ForgetAborted":
      return forgetAborted(state, command)
    case "DescribeProducers":
      return describeProducers(state)
  }
}

/** The producers behind what was appended. */
const producersBehind = (state: PartitionState, event: RecordsAppended): Map<number, ProducerState> => {
  const { producers, transactions } = state
  const { producer, marker } = event
  if (producer !== undefined) return appended(producers, producer, event, transactions)
  return marker === undefined ? producers : ended(producers, marker, event.maxTimestampMs, transactions)
}

const evolve = (state: PartitionState, event: LogEvent): PartitionState => {
  switch (event._tag) {
    case "RecordsAppended":
      return {
        ...state,
        nextOffset: event.baseOffset + event.count,
        epochs: withEpoch(state.epochs, event.epoch, event.baseOffset),
        maxTimestampMs: Math.max(state.maxTimestampMs, event.maxTimestampMs),
        transactions: transactionsBehind(state.transactions, event),
        producers: producersBehind(state, event)
      }
    case "ProducersForgotten":
      return { ...state, producers: forgotten(state.producers, event.count, state.transactions) }
    case "AbortedForgotten":
      state.transactions?.forgetBelow(event.offset)
      return state
    case "LogStartMoved":
      state.transactions?.forgetBelow(event.offset)
      return { ...state, logStartOffset: event.offset }
    case "LogDeleted":
      return { ...state, isDeleted: true, producers: new Map(), epochs: [], transactions: undefined }
  }
}

type Saved = Omit<PartitionState, "producers" | "transactions"> & {
  readonly producers: ReadonlyArray<readonly [number, ProducerState]>
  readonly transactions?: SavedTransactions
}

const save = ({ transactions, producers, ...state }: PartitionState): Saved => {
  const saved = { ...state, producers: [...producers] }
  return transactions === undefined || transactions.isEmpty ? saved : { ...saved, transactions: transactions.save() }
}

const load = ({ transactions, producers, ...state }: Saved): PartitionState => ({
  ...state,
  producers: new Map(producers),
  transactions: transactions && LogTransactions.load(transactions)
})

/** A partition of a stream, `partition/<log id>`: its offsets, epochs and idempotent producers; its records lie in storage. */
export const Partition: Definition<typeof PartitionKind, PartitionState> = {
  kind: partitionKind,
  version: 1,
  initial: (id) => ({
    logId: logIdOf(id),
    logStartOffset: 0,
    nextOffset: 0,
    isDeleted: false,
    epochs: [],
    maxTimestampMs: 0,
    producers: new Map(),
    transactions: undefined
  }),
  decide: (state, command, nowMs, room = unbounded) => decide(state, command, nowMs, room),
  evolve,
  resume: () => [],
  save,
  load: (_id, saved) => load(saved as Saved),
  weights: [
    {
      holder: "producers",
      perActor: 0,
      bytesOf: ({ producers, epochs }) => producerBytes * Math.max(0, producers.size - 1) + epochBytes * epochs.length
    },
    { holder: "logTransactions", perActor: 0, bytesOf: ({ transactions }) => bytesOfTransactions(transactions) }
  ],
  isEmpty: (state) => state.isDeleted || (state.nextOffset === 0 && state.logStartOffset === 0)
}
