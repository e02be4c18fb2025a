import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { kindOf, type ActorId, type AnyDefinition } from "@logbrook/core/actor/Definition"
import { partitionId, recordsAppended } from "@logbrook/core/actor/LogEvents"
import { unpack } from "@logbrook/core/actor/pack"
import { firstStateVersion } from "@logbrook/core/actor/savedState"
import { readFrame, readFrameHead, type Cause, type FrameHead } from "@logbrook/core/journal/Frame"
import type { Journal, Seq } from "@logbrook/core/journal/Journal"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { Replay } from "@logbrook/core/shard/Replay"
import { suggest } from "../config/suggest.ts"
import { eventTypes } from "./eventTypes.ts"
import { isoTime, type Plain } from "./plain.ts"
import type { At } from "./point.ts"
import { presentEvent, presentState } from "./present.ts"
import { publishersOf, type Publisher } from "./publishers.ts"
import { displayName, isActorName, resolveActor, streamNamesAt, type StreamNames } from "./StreamNames.ts"
import { structuralDiff, type Change } from "./structuralDiff.ts"

/** The past cannot be shown as asked. */
export class JournalQueryRefused extends Data.TaggedError("JournalQueryRefused")<{
  /** `Expired`: that far back the journal does not go any more. */
  readonly reason: "UnknownEvent" | "UnknownActor" | "InvalidActor" | "InvalidType" | "Expired"
  readonly message: string
}> {}

/** An event as it is shown. `type` is the event's tag, or `StateHash` for a check of its actor's state. */
export interface EventView {
  readonly seq: Seq
  readonly time: string
  readonly epoch: number
  /** `partition/sensors/3` where the stream is known. */
  readonly actor: string
  readonly type: string
  readonly version: number
  readonly cause: { readonly seq?: Seq; readonly origin?: string }
  readonly event: Plain
}

export interface EventFilter {
  readonly kind?: string | undefined
  readonly actor?: string | undefined
  readonly type?: string | undefined
}

export interface EventPage {
  readonly events: ReadonlyArray<EventView>
  /** Where the next page begins. */
  readonly nextSeq: Seq
  /** There may be more behind this page: it is full, or the scan has looked at enough. */
  readonly hasNext: boolean
}

/** A live server answers between turns: one page looks at no more events than these. */
const eventsLookedAtMax = 100_000
const causesMax = 100

/** The past on which every tool works: a journal, the definitions that fold it, and the names of its streams. */
export interface Past {
  readonly journal: Journal
  readonly definitions: ReadonlyArray<AnyDefinition>
  /** The names of now. */
  readonly names: () => StreamNames
  /** Those of now. */
  readonly actors: () => ReadonlyArray<ActorId>
}

/** Makes the past of a journal that nobody else has folded. */
export const pastOf = (journal: Journal, definitions: ReadonlyArray<AnyDefinition>): Past => {
  let known: StreamNames | undefined
  let actors: ReadonlyArray<ActorId> | undefined
  return {
    journal,
    definitions,
    names: () => (known ??= streamNamesAt(journal, journal.nextSeq)),
    actors: () => (actors ??= [...new Replay(definitions, { endSeq: journal.nextSeq }).run(journal).states.keys()])
  }
}

type Visit = (seq: Seq, head: FrameHead, actor: ActorId, version: number, cause: Cause, event: () => object) => void

const visitFrame = (frame: Buffer, visit: Visit): void => {
  const head = readFrameHead(frame)
  readFrame(frame, {
    event: (seq, actor, version, payload, cause) =>
      visit(seq, head, actor, version, cause, () => unpack(payload) as object),
    records: (seq, ref, cause) =>
      visit(seq, head, partitionId(ref.logId), 0, cause, () => recordsAppended(ref, head.epoch)),
    hash: (seq, actor, hash, stateVersion) => {
      const shape = stateVersion === firstStateVersion ? {} : { stateVersion }
      visit(seq, head, actor, 0, {}, () => ({ _tag: stateHash, hash: Buffer.from(hash).toString("hex"), ...shape }))
    }
  })
}

const stateHash = "StateHash"

const view = (
  names: StreamNames,
  seq: Seq,
  head: FrameHead,
  actor: ActorId,
  version: number,
  { seq: causeSeq, origin }: Cause,
  event: object
): EventView => ({
  seq,
  time: isoTime(head.timeMs),
  epoch: head.epoch,
  actor: displayName(actor, names),
  type: "_tag" in event ? String(event._tag) : "",
  version,
  cause: { ...(causeSeq === undefined ? {} : { seq: causeSeq }), ...(origin === undefined ? {} : { origin }) },
  event: presentEvent(actor, event, names)
})

const meantText = (given: string, names: Iterable<string>): string => {
  const meant = suggest(given, names)
  return meant === undefined ? "" : `; did you mean ${meant}?`
}

const throwIfUnknownKind = ({ definitions }: Past, kind: string): void => {
  const kinds = definitions.map((definition) => definition.kind)
  if (kinds.includes(kind)) return
  const message = `no actor is of the kind "${kind}": ${kinds.join(", ")}${meantText(kind, kinds)}`
  throw new JournalQueryRefused({ reason: "InvalidActor", message })
}

/** The actor's id, if the filter names one. */
const checkFilter = (past: Past, { kind, actor, type }: EventFilter): ActorId | undefined => {
  if (kind !== undefined) throwIfUnknownKind(past, kind)
  const id = actor === undefined ? undefined : resolveOrThrow(past, actor, past.names())
  if (id !== undefined) throwIfUnknownKind(past, kindOf(id))
  const kinds = new Set([kind, id && kindOf(id)].filter((each) => each !== undefined))
  if (kinds.size > 1) {
    throw new JournalQueryRefused({ reason: "InvalidActor", message: `${actor} is not of the kind ${kind}` })
  }
  if (type === undefined || type === stateHash) return id
  const [only] = kinds
  const types = only === undefined ? Object.values(eventTypes).flat() : eventTypes[only]!
  if (types.includes(type)) return id
  const whose = only === undefined ? "no event" : `no event of a ${only}`
  const message = `${whose} is of the type "${type}"${meantText(type, types) || `: ${types.join(", ")}`}`
  throw new JournalQueryRefused({ reason: "InvalidType", message })
}

const readPage = (
  past: Past,
  fromSeq: Seq,
  limit: number,
  filter: EventFilter,
  lookedAtMax = eventsLookedAtMax
): EventPage => {
  const { journal } = past
  const names = past.names()
  const actor = checkFilter(past, filter)
  const events: Array<EventView> = []
  const lookedAtEnd = Math.max(fromSeq, journal.firstSeq) + lookedAtMax
  let nextSeq = Math.max(fromSeq, journal.firstSeq)
  const visit: Visit = (seq, head, id, version, cause, event) => {
    if (seq < nextSeq || events.length >= limit) return
    nextSeq = seq + 1
    if (filter.kind !== undefined && kindOf(id) !== filter.kind) return
    if (actor !== undefined && id !== actor) return
    const decoded = event()
    const type = "_tag" in decoded ? decoded._tag : undefined
    if (filter.type === undefined ? type === stateHash : type !== filter.type) return
    events.push(view(names, seq, head, id, version, cause, decoded))
  }
  if (nextSeq < journal.nextSeq) {
    journal.scan(nextSeq, (frame) => {
      visitFrame(frame, visit)
      return events.length < limit && nextSeq < lookedAtEnd
    })
  }
  return { events, nextSeq, hasNext: nextSeq < journal.nextSeq }
}

/** An actor that is not there, and has no event on a page that came to the end. */
const throwIfUnheardOf = (past: Past, { actor }: EventFilter, { events, hasNext }: EventPage, fromSeq: Seq): void => {
  if (actor === undefined || events.length > 0 || hasNext) return
  const id = resolveOrThrow(past, actor, past.names())
  // An actor that has nothing to remember any more is not there, and may have events of other types all the same.
  if (past.actors().includes(id) || readPage(past, fromSeq, 1, { actor }).events.length > 0) return
  const range = `no event from #${fromSeq} to #${past.journal.nextSeq - 1} is of ${actor}`
  throw new JournalQueryRefused({ reason: "UnknownActor", message: `${range}${similarTo(past, actor)}` })
}

const similarTo = (past: Past, actor: string): string => {
  const names = past.names()
  const alike = past.actors().filter((id) => kindOf(id) === kindOf(actor))
  return meantText(
    actor,
    alike.map((id) => displayName(id, names))
  )
}

const readFrom = (past: Past, fromSeq: Seq, limit: number, filter: EventFilter): EventPage => {
  throwIfFuture(past, fromSeq)
  const page = readPage(past, fromSeq, limit, filter)
  if (fromSeq <= past.journal.firstSeq) throwIfUnheardOf(past, filter, page, past.journal.firstSeq)
  return page
}

/** The seq of the next event is none of the future: whoever has read everything goes on there. */
const throwIfFuture = (past: Past, fromSeq: Seq): void => {
  if (fromSeq > past.journal.nextSeq) throw unknownEvent(past, fromSeq)
}

const readLast = (past: Past, count: number, filter: EventFilter): EventPage => {
  const { firstSeq, nextSeq } = past.journal
  let window = count
  for (;;) {
    const fromSeq = Math.max(firstSeq, nextSeq - window)
    const page = readPage(past, fromSeq, window, filter)
    const isAll = fromSeq === firstSeq || window >= eventsLookedAtMax
    if (isAll) throwIfUnheardOf(past, filter, page, fromSeq)
    if (page.events.length >= count || isAll) return { ...page, events: page.events.slice(-count) }
    window = Math.min(window * 8, eventsLookedAtMax)
  }
}

const eventAt = ({ journal }: Past, names: StreamNames, seq: Seq): EventView | undefined => {
  if (seq < journal.firstSeq || seq >= journal.nextSeq) return undefined
  let found: EventView | undefined
  journal.scan(seq, (frame) => {
    visitFrame(frame, (at, head, id, version, cause, event) => {
      if (at === seq) found = view(names, at, head, id, version, cause, event())
    })
    return false
  })
  return found
}

export interface ShownEvent {
  readonly event: EventView
  /** The events that led to it, the nearest first. */
  readonly causes: ReadonlyArray<EventView>
  /** Outside the journal: the client's request, the deadline. Null if the chain leads to what has expired. */
  readonly origin: string | null
  /** The publishers of the records, if the event is `RecordsAppended` of MQTT messages. */
  readonly publishers?: ReadonlyArray<Publisher>
}

const readEvent = (past: Past, seq: Seq): ShownEvent => {
  const names = past.names()
  const event = eventAt(past, names, seq)
  if (event === undefined) throw unknownEvent(past, seq)
  const publishers = event.type === "RecordsAppended" ? publishersOf(past.journal, seq) : undefined
  const causes: Array<EventView> = []
  let last = event
  while (last.cause.seq !== undefined && causes.length < causesMax) {
    const cause = eventAt(past, names, last.cause.seq)
    if (cause === undefined) return { event, causes, origin: null }
    causes.push(cause)
    last = cause
  }
  return { event, causes, origin: last.cause.origin ?? null, ...(publishers !== undefined && { publishers }) }
}

const unknownEvent = ({ journal: { firstSeq, nextSeq } }: Past, seq: Seq): JournalQueryRefused =>
  new JournalQueryRefused({
    reason: seq < firstSeq ? "Expired" : "UnknownEvent",
    message: `there is no event #${seq}: the journal holds #${firstSeq} to #${nextSeq - 1}`
  })

const readEndSeq = (past: Past, at: At): Seq => {
  const { journal } = past
  const { firstSeq, nextSeq } = journal
  if ("seq" in at) {
    if (at.seq < firstSeq || at.seq >= nextSeq) throw unknownEvent(past, at.seq)
    return at.seq + 1
  }
  let low = firstSeq
  let high = nextSeq
  while (low < high) {
    const head = headAt(journal, Math.floor((low + high) / 2))
    if (head.timeMs > at.timeMs) high = head.firstSeq
    else low = head.nextSeq
  }
  if (low === firstSeq) {
    throw new JournalQueryRefused({
      reason: firstSeq === 1 ? "UnknownEvent" : "Expired",
      message: `the journal begins after ${isoTime(at.timeMs)}`
    })
  }
  return low
}

const headAt = (journal: Journal, seq: Seq): FrameHead => {
  let found: FrameHead | undefined
  journal.scan(seq, (frame) => {
    found = readFrameHead(frame)
    return false
  })
  return found!
}

export interface StateView {
  readonly actor: string
  /** The last event of the journal that is in the state. */
  readonly seq: Seq
  readonly state: Plain
}

const resolveOrThrow = (past: Past, name: string, names: StreamNames): ActorId => {
  if (!isActorName(name)) {
    throw new JournalQueryRefused({
      reason: "InvalidActor",
      message: `"${name}" is no actor: expected kind/name, such as group/orders or partition/sensors/3`
    })
  }
  const id = resolveActor(name, names)
  if (id !== undefined) return id
  const message = `no stream has the partition ${name}${similarTo(past, name)}`
  throw new JournalQueryRefused({ reason: "UnknownActor", message })
}

/** A stream may have been deleted since, or made later: its names at the point count first. */
const resolveAt = (past: Past, name: string, endSeq: Seq): { readonly id: ActorId; readonly names: StreamNames } => {
  const names = endSeq === past.journal.nextSeq ? past.names() : streamNamesAt(past.journal, endSeq)
  if (isActorName(name) && resolveActor(name, names) === undefined)
    return { id: resolveOrThrow(past, name, past.names()), names }
  return { id: resolveOrThrow(past, name, names), names }
}

const throwIfExpired = ({ journal }: Past, endSeq: Seq): void => {
  if (journal.firstSeq === 1 || journal.snapshot(endSeq) !== undefined) return
  throw new JournalQueryRefused({
    reason: "Expired",
    message: `what came before event ${journal.firstSeq} has expired, and no snapshot is as old as event ${endSeq - 1}`
  })
}

/** There are kinds whose events are all that there is of them. */
const throwIfStateless = (name: string, definition: AnyDefinition, state: unknown): void => {
  if (definition.save(state) !== null) return
  throw new JournalQueryRefused({
    reason: "UnknownActor",
    message: `${name} has no state: its events are all that there is of a ${definition.kind}`
  })
}

/** The actor as it was at that point; undefined if it never had an event until then. */
const foldAt = (past: Past, name: string, endSeq: Seq): StateView | undefined => {
  throwIfExpired(past, endSeq)
  const { id, names } = resolveAt(past, name, endSeq)
  throwIfUnknownKind(past, kindOf(id))
  const definition = past.definitions.find(({ kind }) => kind === kindOf(id))!
  const { states } = new Replay([definition], { endSeq, only: (each) => each === id }).run(past.journal)
  if (!states.has(id)) return undefined
  throwIfStateless(name, definition, states.get(id))
  return { actor: displayName(id, names), seq: endSeq - 1, state: presentState(id, definition, states.get(id), names) }
}

const neverHeardOf = (past: Past, name: string, endSeq: Seq): JournalQueryRefused => {
  const message = `${name} has no event up to #${endSeq - 1}${similarTo(past, name)}`
  return new JournalQueryRefused({ reason: "UnknownActor", message })
}

const readState = (past: Past, name: string, at: At): StateView => {
  const endSeq = readEndSeq(past, at)
  const found = foldAt(past, name, endSeq)
  if (found !== undefined) return found
  throw neverHeardOf(past, name, endSeq)
}

export interface StateDiff {
  readonly actor: string
  readonly fromSeq: Seq
  readonly toSeq: Seq
  /** The first point was behind the second: changes always go forward in time. */
  readonly isSwapped: boolean
  readonly changes: ReadonlyArray<Change>
  /** The first events of the actor in between. */
  readonly events: ReadonlyArray<EventView>
  readonly hasMoreEvents: boolean
}

const diffEventsMax = 100

const readDiff = (past: Past, name: string, from: At, to: At): StateDiff => {
  const ends = [readEndSeq(past, from), readEndSeq(past, to)] as const
  const [a, b] = [Math.min(...ends), Math.max(...ends)]
  const [before, after] = [foldAt(past, name, a), foldAt(past, name, b)]
  if (before === undefined && after === undefined) throw neverHeardOf(past, name, b)
  const { id, names } = resolveAt(past, name, b)
  const page = readPage({ ...past, names: () => names }, a, diffEventsMax + 1, { actor: id })
  const events = page.events.filter(({ seq }) => seq < b)
  return {
    actor: displayName(id, names),
    fromSeq: a - 1,
    toSeq: b - 1,
    isSwapped: ends[0] > ends[1],
    changes: structuralDiff(before?.state ?? {}, after?.state ?? {}),
    events: events.slice(0, diffEventsMax),
    hasMoreEvents: events.length > diffEventsMax || (page.hasNext && page.nextSeq < b)
  }
}

// --- Questions from outside. Until here plain code reads, and throws what ends it ---

/** The answer to a question about the past, or why there is none: it cannot be asked so, or the journal is damaged. */
export type Answered<A> = Effect.Effect<A, JournalQueryRefused | JournalError>

const asking =
  <Args extends ReadonlyArray<unknown>, A>(read: (...args: Args) => A) =>
  (...args: Args): Answered<A> =>
    Effect.suspend(() => {
      try {
        return Effect.succeed(read(...args))
      } catch (error) {
        const isFailure = error instanceof JournalQueryRefused || error instanceof JournalError
        return isFailure ? Effect.fail(error) : Effect.die(error)
      }
    })

/**
 * Events from `fromSeq` on that pass the filter, `limit` at most, among the first `lookedAtMax`. Hashes only if `type` asks
 * for them. A filter that nothing could ever pass is refused.
 */
export const eventsPage = asking(readPage)

/** `eventsPage` for somebody who asks: refused is also a seq of the future, and an actor of whom the whole journal knows nothing. */
export const eventsFrom = asking(readFrom)

/** The newest `count` events that pass the filter, as far back as one page may look. Refused is what `eventsFrom` refuses. */
export const lastEvents = asking(readLast)

/** Refused is what nothing can ever come of: a seq of the future, or a filter that no event passes. */
export const followable = asking((past: Past, fromSeq: Seq, filter: EventFilter): void => {
  throwIfFuture(past, fromSeq)
  checkFilter(past, filter)
})

/** An event and all that led to it. */
export const showEvent = asking(readEvent)

/** The seq after the last event at that point. */
export const endSeqAt = asking(readEndSeq)

/** Refused is also an actor without any event until then. */
export const stateAt = asking(readState)

/** What changed from just after one point to just after another. */
export const diffStates = asking(readDiff)
