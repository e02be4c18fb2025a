import type { Decision, Definition, Signal } from "@logbrook/core/actor/Definition"
import { type ActorId, nameOf } from "@logbrook/core/actor/Definition"
import { persistentStates } from "@logbrook/core/actor/States"
import { type Room, textBytes, unbounded } from "@logbrook/core/memory/MemoryAccount"
import * as Exit from "effect/Exit"
import type { StreamReading } from "../session/SessionProtocol.ts"
import { readingBytes } from "../session/sessionWeight.ts"
import {
  defaultStreamShareSettings,
  type HandOut,
  type Open,
  type ReadOn,
  type RecordPlace,
  type ShareRecord,
  type StreamShareCommand,
  type StreamShareDone,
  type StreamShareEvent,
  StreamShareKind,
  StreamShareRefused,
  type StreamShareSettings,
  type TakeBack
} from "./StreamShareProtocol.ts"
import { WaitingRecords } from "./WaitingRecords.ts"

/**
 * The one position that the members of `$share/GROUP/$stream/NAME[/FILTER]` have in the stream.
 *
 *     stream ─ position ─► waiting ─ HandOut, with Enqueue ─► a member's session ─► acknowledged
 *                             ▲                                   │
 *                             └── TakeBack, with ConfirmHandedOn ─┘ it ended, or its client went before it was sent
 *
 * 1. A record before the position was acknowledged, is in one session's queue, or waits: each step between them is one commit.
 * 2. So the position never passes a record that nobody has, and no two members have one.
 */
export interface StreamShareState {
  readonly filter: string
  /** Counts how often reading has begun. */
  readonly life: number
  /** With the position; null: there is none. */
  readonly reading: StreamReading | null
  /** Records before the position that no member has. */
  readonly waiting: WaitingRecords
  /** Unix ms; null: there is a member. */
  readonly idleSinceMs: number | null
}

export const StreamShareStates = persistentStates<StreamShareState>()(StreamShareKind)

type ShareDecision = Decision<typeof StreamShareKind>

const absent = (filter: string): StreamShareState => ({
  filter,
  life: 0,
  reading: null,
  waiting: WaitingRecords.none,
  idleSinceMs: null
})

const done = Exit.succeed<StreamShareDone>({ _tag: "Done" })

const decided = (
  events: ReadonlyArray<StreamShareEvent> = [],
  signals: ReadonlyArray<Signal<typeof StreamShareKind>> = []
): ShareDecision => ({ events, reply: done, signals })

const refuse = (reason: StreamShareRefused["reason"]): ShareDecision => ({
  events: [],
  reply: Exit.fail(new StreamShareRefused({ reason })),
  signals: []
})

// Bytes of memory, estimated as those of a session's subscription and of a queue's entry are (sessionWeight.ts).
const perActor = 600
const recordBytes = 160

/** The memory of a shared subscription of a stream, with its position. */
export const streamShareWeight = (filter: string): number => perActor + readingBytes + textBytes(filter)

/** Reading waits while more would wait. More may come back: as many as the queues of the members had. */
const waitingRecordsMax = 1024

/** The reading that is to begin; undefined: the one that there is goes on. */
const begun = (known: StreamReading | null, { reading, resets }: Open): StreamReading | undefined => {
  if (known === null || resets) return reading
  if (reading.topicId === null || reading.topicId === known.topicId) return undefined
  // A stream that was waited for is wanted from its beginning.
  return known.topicId === null ? { ...known, topicId: reading.topicId } : reading
}

const cancel: Signal<typeof StreamShareKind> = { _tag: "CancelDeadline", key: "expire" }

const open = ({ filter, reading, idleSinceMs }: StreamShareState, command: Open, room: Room): ShareDecision => {
  const next = begun(reading, command)
  const signals = idleSinceMs === null ? [] : [cancel]
  if (next === undefined) return decided(idleSinceMs === null ? [] : [{ _tag: "ShareResumed" }], signals)
  if (reading === null && streamShareWeight(filter) > room("sessions")) return refuse("QuotaExceeded")
  return decided([{ _tag: "ShareStarted", reading: next }], signals)
}

const hasRoomFor = (count: number, { waiting }: StreamShareState, room: Room): boolean =>
  waiting.size + count <= waitingRecordsMax && count * recordBytes <= room("queues")

const readOn = (state: StreamShareState, { life, positions, records }: ReadOn, room: Room): ShareDecision => {
  const { reading } = state
  if (reading === null || life !== state.life) return refuse("Changed")
  if (positions.some(([partition, from]) => from !== (reading.positions[partition] ?? 0))) return refuse("Changed")
  if (records.length > 0 && !hasRoomFor(records.length, state, room)) return refuse("QuotaExceeded")
  if (positions.length === 0 && records.length === 0) return decided()
  const moved = positions.map(([partition, , to]): RecordPlace => [partition, to])
  return decided([{ _tag: "SharePositionMoved", positions: moved, records }])
}

const handOut = ({ waiting }: StreamShareState, { records, to }: HandOut): ShareDecision => {
  const those = waiting.placesAmong(records)
  return decided(those.length === 0 ? [] : [{ _tag: "ShareHandedOut", records: those, to }])
}

/**
 * It asks for no room: a record weighs less here than in the session that had it, which gives it up in the same commit. A refusal
 * would keep the account full.
 */
const takeBack = ({ reading, waiting }: StreamShareState, command: TakeBack): ShareDecision => {
  if (reading === null || reading.topicId !== command.topicId) return decided()
  // A reading that was begun anew may come to them again, or has come to them.
  const passed = command.records.filter(({ partition, offset }) => offset < (reading.positions[partition] ?? 0))
  const records = waiting.newAmong(passed)
  return decided(records.length === 0 ? [] : [{ _tag: "ShareTakenBack", records }])
}

const expiryOf = (
  sinceMs: number | null,
  { sessionExpiryMsMax }: StreamShareSettings
): ReadonlyArray<Signal<typeof StreamShareKind>> =>
  sinceMs === null
    ? []
    : [
        {
          _tag: "SetDeadline",
          key: "expire",
          atMs: sinceMs + sessionExpiryMsMax,
          command: { _tag: "Expire", sinceMs }
        }
      ]

const leave = (
  { reading, idleSinceMs }: StreamShareState,
  nowMs: number,
  settings: StreamShareSettings
): ShareDecision => {
  if (reading === null || idleSinceMs !== null) return decided()
  return decided([{ _tag: "ShareIdle", sinceMs: nowMs }], expiryOf(nowMs, settings))
}

const decide = (
  settings: StreamShareSettings,
  state: StreamShareState,
  command: StreamShareCommand,
  nowMs: number,
  room: Room
): ShareDecision => {
  switch (command._tag) {
    case "Open":
      return open(state, command, room)
    case "ReadOn":
      return readOn(state, command, room)
    case "HandOut":
      return handOut(state, command)
    case "TakeBack":
      return takeBack(state, command)
    case "Leave":
      return leave(state, nowMs, settings)
    case "Expire":
      return state.idleSinceMs === command.sinceMs ? decided([{ _tag: "ShareExpired" }], [cancel]) : decided()
  }
}

/** A partition that has none yet is read from its beginning. */
const movedTo = (reading: StreamReading, moved: ReadonlyArray<RecordPlace>): StreamReading => {
  const positions = [...reading.positions]
  for (const [partition, offset] of moved) {
    while (positions.length < partition) positions.push(0)
    positions[partition] = offset
  }
  return { ...reading, positions }
}

const evolve = (state: StreamShareState, event: StreamShareEvent): StreamShareState => {
  const { reading, waiting } = state
  if (event._tag === "ShareStarted") {
    return { ...state, life: state.life + 1, reading: event.reading, waiting: WaitingRecords.none, idleSinceMs: null }
  }
  if (reading === null) throw new Error(`the journal holds ${event._tag} of a shared subscription that is absent`)
  switch (event._tag) {
    case "SharePositionMoved":
      return { ...state, reading: movedTo(reading, event.positions), waiting: waiting.with(event.records) }
    case "ShareHandedOut":
      return { ...state, waiting: waiting.without(event.records) }
    case "ShareTakenBack":
      return { ...state, waiting: waiting.with(event.records) }
    case "ShareIdle":
      return { ...state, idleSinceMs: event.sinceMs }
    case "ShareResumed":
      return { ...state, idleSinceMs: null }
    case "ShareExpired":
      return absent(state.filter)
  }
}

/** `waiting`: in order. */
interface Saved extends Pick<StreamShareState, "life" | "reading" | "idleSinceMs"> {
  readonly waiting: ReadonlyArray<ShareRecord>
}

const save = ({ life, reading, waiting, idleSinceMs }: StreamShareState): Saved => ({
  life,
  reading,
  waiting: [...waiting],
  idleSinceMs
})

const load = (id: ActorId, saved: unknown): StreamShareState => {
  const { waiting, ...rest } = saved as Saved
  return { filter: nameOf(id), ...rest, waiting: WaitingRecords.of(waiting) }
}

/** The position of a shared subscription of a stream, `streamShare/<filter>`. */
export const makeStreamShare = (
  settings: StreamShareSettings = defaultStreamShareSettings
): Definition<typeof StreamShareKind, StreamShareState> => ({
  kind: StreamShareKind.name,
  version: 1,
  states: StreamShareStates,
  initial: (id: ActorId) => absent(nameOf(id)),
  decide: (state, command, nowMs, room = unbounded) => decide(settings, state, command, nowMs, room),
  evolve,
  resume: ({ idleSinceMs }) => expiryOf(idleSinceMs, settings),
  save,
  load,
  weights: [
    {
      holder: "sessions",
      perActor,
      bytesOf: ({ filter, reading }) => (reading === null ? 0 : streamShareWeight(filter) - perActor)
    },
    { holder: "queues", perActor: 0, bytesOf: ({ waiting }) => recordBytes * waiting.size }
  ],
  isEmpty: ({ reading }) => reading === null
})
