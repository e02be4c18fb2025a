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
  type LogState
} from "@logbrook/core/actor/LogEvents"
import { type Room, unbounded } from "@logbrook/core/memory/MemoryAccount"
import { appended, checkSequence, forgotten, type ProducerState, producerBytes } from "./ProducerState.ts"

export interface PartitionState extends LogState {
  readonly logId: number
  /** The newest record's time; the times of server-built records never go back. */
  readonly maxTimestampMs: number
  /** By producer id, the least recently used first. */
  readonly producers: Map<number, ProducerState>
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
    }
  /** Retention and DeleteRecords. -1: to the end. */
  | { readonly _tag: "MoveLogStart"; readonly offset: number; readonly reason: string }
  | { readonly _tag: "DescribeProducers" }
  | { readonly _tag: "DeleteLog" }

export interface Appended {
  readonly baseOffset: number
  readonly logStartOffset: number
}

export type PartitionRefusal =
  | "OutOfOrderSequenceNumber"
  | "InvalidProducerEpoch"
  | "OffsetOutOfRange"
  | "UnknownTopicOrPartition"

export class PartitionRefused extends Data.TaggedError("PartitionRefused")<{ readonly reason: PartitionRefusal }> {}

export interface ProducerDescription {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1: none is known. */
  readonly lastSequence: number
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
  readonly MoveLogStart: LogStart
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

/** Where memory is short, the producer that was idle for longest makes room for a new one. The first is the stream's to account for. */
const makeRoom = (state: PartitionState, producerId: number, room: Room): ReadonlyArray<LogEvent> =>
  state.producers.size > 0 && !state.producers.has(producerId) && isShort(room)
    ? [{ _tag: "ProducersForgotten", count: 1 }]
    : []

const appendBatch = (
  state: PartitionState,
  command: Command<"AppendBatch">,
  room: Room
): PartitionDecision<"AppendBatch"> => {
  const { producerId, producerEpoch, baseSequence, count } = command
  const isIdempotent = producerId >= 0
  if (isIdempotent) {
    const known = state.producers.get(producerId)
    // Where memory is short, it may have been forgotten since.
    if (known === undefined && command.isBehind && !isShort(room)) return refuse("OutOfOrderSequenceNumber")
    const checked = checkSequence(known, producerEpoch, baseSequence, count)
    if (checked._tag === "Refused") return refuse(checked.reason)
    if (checked._tag === "Duplicate") {
      return reply({ baseOffset: checked.baseOffset, logStartOffset: state.logStartOffset })
    }
  }
  const event: LogEvent = {
    _tag: "RecordsAppended",
    baseOffset: state.nextOffset,
    count,
    firstTimestampMs: command.baseTimestampMs,
    maxTimestampMs: command.maxTimestampMs,
    epoch: 0,
    verbatim: true,
    producer: isIdempotent ? { id: producerId, epoch: producerEpoch, baseSequence } : undefined
  }
  return {
    events: isIdempotent ? [...makeRoom(state, producerId, room), event] : [event],
    reply: Exit.succeed({ baseOffset: state.nextOffset, logStartOffset: state.logStartOffset }),
    signals: [],
    records: { bytes: command.bytes, verbatim: true }
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

const describeProducers = ({ producers }: PartitionState): PartitionDecision<"DescribeProducers"> =>
  reply({
    producers: Array.from(producers, ([producerId, { epoch, batches }]) => ({
      producerId,
      producerEpoch: epoch,
      lastSequence: batches.at(-1)?.lastSequence ?? -1
    }))
  })

const decide = (state: PartitionState, command: PartitionCommand, room: Room): PartitionDecision => {
  if (command._tag === "DeleteLog") {
    const events: ReadonlyArray<LogEvent> = state.isDeleted ? [] : [{ _tag: "LogDeleted" }]
    return { events, reply: Exit.succeed({ logStartOffset: state.logStartOffset }), signals: [] }
  }
  if (state.isDeleted) return refuse("UnknownTopicOrPartition")
  switch (command._tag) {
    case "AppendRecords":
      return appendRecords(state, command)
    case "AppendBatch":
      return appendBatch(state, command, room)
    case "MoveLogStart":
      return moveLogStart(state, command)
    case "DescribeProducers":
      return describeProducers(state)
  }
}

const evolve = (state: PartitionState, event: LogEvent): PartitionState => {
  switch (event._tag) {
    case "RecordsAppended":
      return {
        ...state,
        nextOffset: event.baseOffset + event.count,
        epochs: withEpoch(state.epochs, event.epoch, event.baseOffset),
        maxTimestampMs: Math.max(state.maxTimestampMs, event.maxTimestampMs),
        producers:
          event.producer === undefined
            ? state.producers
            : appended(state.producers, event.producer, event.baseOffset, event.count)
      }
    case "ProducersForgotten":
      return { ...state, producers: forgotten(state.producers, event.count) }
    case "LogStartMoved":
      return { ...state, logStartOffset: event.offset }
    case "LogDeleted":
      return { ...state, isDeleted: true, producers: new Map(), epochs: [] }
  }
}

type Saved = Omit<PartitionState, "producers"> & { readonly producers: ReadonlyArray<readonly [number, ProducerState]> }

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
    producers: new Map()
  }),
  decide: (state, command, _nowMs, room = unbounded) => decide(state, command, room),
  evolve,
  resume: () => [],
  save: (state): Saved => ({ ...state, producers: [...state.producers] }),
  load: (_id, saved) => ({ ...(saved as Saved), producers: new Map((saved as Saved).producers) }),
  weights: [
    {
      holder: "producers",
      perActor: 0,
      bytesOf: ({ producers, epochs }) => producerBytes * Math.max(0, producers.size - 1) + epochBytes * epochs.length
    }
  ],
  isEmpty: (state) => state.isDeleted || (state.nextOffset === 0 && state.logStartOffset === 0)
}
