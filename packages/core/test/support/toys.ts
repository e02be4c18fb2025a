import type { Producer } from "@logbrook/core/journal/batchRef"
import { LogTransactions, type SavedTransactions, transactionsBehind } from "@logbrook/core/transaction/LogTransactions"
import type { Marker } from "@logbrook/core/transaction/Marker"
import type { ActorId, Definition, Decision, Signal } from "@logbrook/core/actor/Definition"
import { type Address, address, kind, tell } from "@logbrook/core/actor/Kind"
import { withEpoch, type LogEvent, type LogState } from "@logbrook/core/actor/LogEvents"
import { persistentStates } from "@logbrook/core/actor/States"
import * as Exit from "effect/Exit"

/** An actor with one of everything that the shard knows of. */
export interface CounterState {
  readonly total: number
  readonly notes: ReadonlyArray<Uint8Array>
  readonly deadlines: ReadonlyArray<readonly [key: string, atMs: number, n: number]>
}

export type CounterCommand =
  | { readonly _tag: "Add"; readonly n: number }
  | { readonly _tag: "Get" }
  | { readonly _tag: "Note"; readonly bytes: Uint8Array }
  /** Back to the initial state, which is not kept. */
  | { readonly _tag: "Reset" }
  | { readonly _tag: "Refuse" }
  | { readonly _tag: "ThrowInDecide" }
  | { readonly _tag: "ThrowInEvolve" }
  | { readonly _tag: "PackNothing" }
  /** Parks the reply until a `Free` with the same key. */
  | { readonly _tag: "Wait"; readonly key: string }
  | { readonly _tag: "Free"; readonly key: string; readonly value: number }
  /** Releases the reply under the key, and parks its own there. */
  | { readonly _tag: "Replace"; readonly key: string }
  | { readonly _tag: "Silent" }
  | { readonly _tag: "AddLater"; readonly key: string; readonly inMs: number; readonly n: number }
  | { readonly _tag: "Cancel"; readonly key: string }
  | { readonly _tag: "Expire"; readonly key: string }
  | { readonly _tag: "Pass"; readonly to: ActorId; readonly n: number }
  | { readonly _tag: "Shout"; readonly text: string }

type CounterEvent =
  | { readonly _tag: "Added"; readonly n: number }
  | { readonly _tag: "Noted"; readonly bytes: Uint8Array }
  | { readonly _tag: "Wiped" }
  | { readonly _tag: "Broken" }
  | { readonly _tag: "Odd"; readonly value: unknown }
  | { readonly _tag: "DeadlineSet"; readonly key: string; readonly atMs: number; readonly n: number }
  | { readonly _tag: "DeadlineGone"; readonly key: string }

export interface CounterSwitches {
  /** `evolve` of any event throws. */
  breaksEvolve: boolean
  /** The next one only. */
  breaksEvolveOnce?: boolean
  /** Of a deadline's end, so many times. */
  breaksDeadlineTimes?: number
  breaksSave: boolean
}

export const Counter = kind<{
  command: CounterCommand
  replies: Readonly<Record<CounterCommand["_tag"], number>>
  failure: string
  event: CounterEvent
  notice: { readonly _tag: "Shouted"; readonly text: string }
}>()("counter")

export const CounterStates = persistentStates<CounterState>()(Counter)

export const counter = (name: string | number): Address<typeof Counter> => address(Counter, name)

type CounterDecision = Decision<typeof Counter>
type CounterSignal = Signal<typeof Counter>

const decided = (
  events: ReadonlyArray<CounterEvent>,
  reply: number,
  signals: ReadonlyArray<CounterSignal> = []
): CounterDecision => ({ events, reply: Exit.succeed(reply), signals })

const decideDeadline = (state: CounterState, command: CounterCommand, nowMs: number): CounterDecision | undefined => {
  if (command._tag === "AddLater") {
    const { key, n } = command
    const atMs = nowMs + command.inMs
    const expire: CounterCommand = { _tag: "Expire", key }
    return decided([{ _tag: "DeadlineSet", key, atMs, n }], state.total, [
      { _tag: "SetDeadline", key, atMs, command: expire }
    ])
  }
  if (command._tag === "Cancel") {
    const { key } = command
    return decided([{ _tag: "DeadlineGone", key }], state.total, [{ _tag: "CancelDeadline", key }])
  }
  if (command._tag === "Expire") {
    const due = state.deadlines.find(([key, atMs]) => key === command.key && atMs <= nowMs)
    if (due === undefined) return decided([], state.total)
    return decided(
      [
        { _tag: "DeadlineGone", key: command.key },
        { _tag: "Added", n: due[2] }
      ],
      state.total + due[2]
    )
  }
  return undefined
}

const decideParked = (state: CounterState, command: CounterCommand): CounterDecision | undefined => {
  switch (command._tag) {
    case "Wait":
      return { events: [{ _tag: "Added", n: 1 }], reply: undefined, parkAs: command.key, signals: [] }
    case "Free":
      return decided([{ _tag: "Added", n: 1 }], state.total + 1, [
        { _tag: "Release", key: command.key, exit: Exit.succeed(command.value) }
      ])
    case "Replace":
      return {
        events: [{ _tag: "Added", n: 1 }],
        reply: undefined,
        parkAs: command.key,
        signals: [{ _tag: "Release", key: command.key, exit: Exit.fail("replaced") }]
      }
    case "Silent":
      return { events: [{ _tag: "Added", n: 1 }], reply: undefined, signals: [] }
    default:
      return undefined
  }
}

const decide = (state: CounterState, command: CounterCommand, nowMs: number): CounterDecision => {
  const special = decideDeadline(state, command, nowMs) ?? decideParked(state, command)
  if (special !== undefined) return special
  switch (command._tag) {
    case "Add":
      return decided([{ _tag: "Added", n: command.n }], state.total + command.n)
    case "Get":
      return decided([], state.total)
    case "Note":
      return decided([{ _tag: "Noted", bytes: command.bytes }], state.total)
    case "Reset":
      return decided([{ _tag: "Wiped" }], 0)
    case "Refuse":
      return { events: [], reply: Exit.fail("refused"), signals: [] }
    case "ThrowInEvolve":
      return decided([{ _tag: "Added", n: 1000 }, { _tag: "Broken" }], state.total)
    case "PackNothing":
      return decided(
        [
          { _tag: "Added", n: 1000 },
          { _tag: "Odd", value: Symbol("no journal has this") }
        ],
        state.total
      )
    case "Pass":
      return decided([{ _tag: "Added", n: 1 }], state.total + 1, [
        tell(command.to as Address<typeof Counter>, { _tag: "Add", n: command.n })
      ])
    case "Shout": {
      const notice = { _tag: "Shouted", text: command.text } as const
      return decided([{ _tag: "Added", n: 1 }], state.total + 1, [{ _tag: "Notify", notice }])
    }
    default:
      throw new Error("decide is broken")
  }
}

const notesKept = 3

const evolve = (state: CounterState, event: CounterEvent): CounterState => {
  switch (event._tag) {
    case "Added":
      return { ...state, total: state.total + event.n }
    case "Noted":
      return { ...state, notes: [...state.notes.slice(1 - notesKept), event.bytes] }
    case "Wiped":
      return initial()
    case "DeadlineSet":
      return {
        ...state,
        deadlines: [...state.deadlines.filter(([key]) => key !== event.key), [event.key, event.atMs, event.n]]
      }
    case "DeadlineGone":
      return { ...state, deadlines: state.deadlines.filter(([key]) => key !== event.key) }
    default:
      throw new Error("evolve is broken")
  }
}

const initial = (): CounterState => ({ total: 0, notes: [], deadlines: [] })

export const makeCounter = (
  switches: CounterSwitches = { breaksEvolve: false, breaksSave: false }
): Definition<typeof Counter, CounterState> => ({
  kind: "counter",
  version: 1,
  states: CounterStates,
  initial,
  decide,
  evolve: (state, event) => {
    const breaks = switches.breaksEvolve || switches.breaksEvolveOnce === true
    switches.breaksEvolveOnce = false
    if (breaks) throw new Error("evolve is switched off")
    if (event._tag === "DeadlineGone" && (switches.breaksDeadlineTimes ?? 0) > 0) {
      switches.breaksDeadlineTimes!--
      throw new Error("no deadline ends")
    }
    return evolve(state, event)
  },
  resume: ({ deadlines }) =>
    deadlines.map(([key, atMs]) => ({ _tag: "SetDeadline", key, atMs, command: { _tag: "Expire", key } })),
  save: (state) => {
    if (switches.breaksSave) throw new Error("save is switched off")
    return state
  },
  load: (_id, saved) => saved as CounterState,
  isEmpty: ({ total, notes, deadlines }) => total === 0 && notes.length === 0 && deadlines.length === 0
})

/** The least that storage needs of a partition. */
type ToyPartitionState = LogState

type SavedToyPartition = Omit<LogState, "epochs" | "transactions"> & {
  readonly epochs: ReadonlyArray<readonly [epoch: number, startOffset: number]>
  readonly transactions?: SavedTransactions
}

export type ToyPartitionCommand =
  | {
      readonly _tag: "AppendRecords"
      readonly count: number
      readonly firstTimestampMs: number
      readonly maxTimestampMs: number
      readonly bytes: Uint8Array
    }
  | {
      readonly _tag: "AppendBatch"
      readonly count: number
      readonly firstTimestampMs: number
      readonly maxTimestampMs: number
      readonly bytes: Uint8Array
      /** It belongs to a transaction of this producer. */
      readonly transactional?: Producer
      readonly marker?: Marker
    }
  | { readonly _tag: "MoveLogStart"; readonly offset: number }
  | { readonly _tag: "ForgetAborted"; readonly offset: number }
  | { readonly _tag: "DeleteLog" }

type PartitionReply = { readonly baseOffset: number }

export const ToyPartitionKind = kind<{
  command: ToyPartitionCommand
  replies: Readonly<Record<ToyPartitionCommand["_tag"], PartitionReply>>
  failure: string
  event: LogEvent
  notice: never
}>()("partition")

const decidePartition = (state: ToyPartitionState, command: ToyPartitionCommand): Decision<typeof ToyPartitionKind> => {
  const reply = Exit.succeed({ baseOffset: state.nextOffset })
  if (command._tag === "DeleteLog") return { events: [{ _tag: "LogDeleted" }], reply, signals: [] }
  if (state.isDeleted) return { events: [], reply: Exit.fail("deleted"), signals: [] }
  if (command._tag === "MoveLogStart") {
    const offset = Math.min(command.offset, state.nextOffset)
    return { events: [{ _tag: "LogStartMoved", offset, reason: "test" }], reply, signals: [] }
  }
  if (command._tag === "ForgetAborted") {
    return { events: [{ _tag: "AbortedForgotten", offset: command.offset }], reply, signals: [] }
  }
  const { count, firstTimestampMs, maxTimestampMs, bytes } = command
  const verbatim = command._tag === "AppendBatch"
  const { transactional, marker } = verbatim ? command : {}
  const baseOffset = state.nextOffset
  return {
    events: [
      {
        _tag: "RecordsAppended",
        baseOffset,
        count,
        firstTimestampMs,
        maxTimestampMs,
        epoch: 0,
        verbatim,
        producer: transactional,
        ...(transactional && { isTransactional: true }),
        ...(marker && { marker })
      }
    ],
    reply,
    signals: [],
    records: { bytes, verbatim }
  }
}

const evolvePartition = (state: ToyPartitionState, event: LogEvent): ToyPartitionState => {
  if (event._tag === "LogDeleted") return { ...state, isDeleted: true }
  if (event._tag === "LogStartMoved") {
    state.transactions?.forgetBelow(event.offset)
    return { ...state, logStartOffset: Math.max(state.logStartOffset, event.offset) }
  }
  if (event._tag === "ProducersForgotten") return state
  if (event._tag === "AbortedForgotten") {
    state.transactions?.forgetBelow(event.offset)
    return state
  }
  const { epoch, baseOffset, count } = event
  return {
    ...state,
    nextOffset: baseOffset + count,
    epochs: withEpoch(state.epochs, epoch, baseOffset),
    transactions: transactionsBehind(state.transactions, event)
  }
}

export const ToyPartition: Definition<typeof ToyPartitionKind, ToyPartitionState> = {
  kind: "partition",
  version: 1,
  initial: () => ({ logStartOffset: 0, nextOffset: 0, isDeleted: false, epochs: [] }),
  decide: decidePartition,
  evolve: evolvePartition,
  resume: () => [],
  // The golden directories have states in this shape, and their hashes.
  save: ({ epochs, transactions, ...state }) => ({
    ...state,
    epochs: epochs.map(({ epoch, startOffset }) => [epoch, startOffset]),
    ...(transactions?.isEmpty === false && { transactions: transactions.save() })
  }),
  load: (_id, saved) => {
    const { epochs, transactions, ...state } = saved as SavedToyPartition
    return {
      ...state,
      epochs: epochs.map(([epoch, startOffset]) => ({ epoch, startOffset })),
      transactions: transactions && LogTransactions.load(transactions)
    }
  },
  isEmpty: (state) => state.nextOffset === 0 && state.logStartOffset === 0 && !state.isDeleted
}
