import * as Effect from "effect/Effect"
import { nameOf, kindOf, type ActorId } from "@logbrook/core/actor/Definition"
import { stateVersionOf } from "@logbrook/core/actor/savedState"
import { readFrame } from "@logbrook/core/journal/Frame"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { readingJournal } from "@logbrook/core/journal/readingJournal"
import type { Seq } from "@logbrook/core/journal/Journal"
import { Replay, type Mismatch } from "@logbrook/core/shard/Replay"
import { eventsPage, type EventView, type Past } from "./journalTools.ts"
import { displayName } from "./StreamNames.ts"

/** Told now and then of the events folded so far. */
export type OnProgress = (events: number) => void

const eventsPerProgress = 100_000

export interface VerifyFailure {
  readonly actor: string
  readonly seq: Seq
  readonly message: string
  /** The actor's events since its state was last known to agree, the first ones: one of them folds differently now. */
  readonly suspects: ReadonlyArray<EventView>
}

export interface Verified {
  /** Everything folds, every hash agrees, and there was one at least. */
  readonly ok: boolean
  readonly firstSeq: Seq
  readonly lastSeq: Seq
  readonly events: number
  /** State hashes that were compared. */
  readonly hashes: number
  /** Those of states in another version than today's, with which nothing can be compared. */
  readonly uncomparedHashes: number
  /** Events of which one of them tells: those behind an actor's last hash fold, and no more is known of them. */
  readonly comparedEvents: number
  readonly failure: VerifyFailure | null
}

const suspectsMax = 20

/** The last hash of this actor before `seq`, which agreed. */
const agreedBefore = ({ journal, definitions }: Past, actor: ActorId, seq: Seq): Seq => {
  let agreed = journal.firstSeq
  const definition = definitions.find(({ kind }) => kind === kindOf(actor))
  const stateVersion = definition && stateVersionOf(definition)
  journal.scan(journal.firstSeq, (frame) => {
    const head = readFrame(frame, {
      hash: (at, id, _hash, version) => {
        if (id === actor && at < seq && version === stateVersion) agreed = at
      }
    })
    return head.nextSeq <= seq
  })
  return agreed
}

/** The events that an actor had from a seq on, the first ones; it is one that is there. */
const suspectsOf = (past: Past, actor: ActorId, fromSeq: Seq, count: number) =>
  Effect.map(
    Effect.catchTag(eventsPage(past, fromSeq, count, { actor }), "JournalQueryRefused", (refused) =>
      Effect.die(refused)
    ),
    ({ events }) => events
  )

const hashFailure = (past: Past, { actor, seq, journaled, replayed }: Mismatch) =>
  Effect.gen(function* () {
    const agreedSeq = yield* readingJournal(() => agreedBefore(past, actor, seq))
    const suspects = yield* suspectsOf(past, actor, agreedSeq, suspectsMax)
    const message = `the state replayed up to here differs from the one that was live (hash ${replayed}, journaled ${journaled})`
    return {
      actor: displayName(actor, past.names()),
      seq,
      message,
      suspects: suspects.filter((event) => event.seq < seq)
    }
  })

/** A frame that is not whole, or an event that its actor does not take. */
const thrown = (past: Past, { seq, actor }: Pick<Folded, "seq" | "actor">, error: unknown) =>
  Effect.gen(function* () {
    const message = error instanceof Error ? error.message : String(error)
    if (error instanceof JournalError) {
      return { actor: "", seq, message: `after event ${seq}: ${message}`, suspects: [] }
    }
    const suspects = yield* suspectsOf(past, `${kindOf(actor)}/${nameOf(actor)}`, seq, 1)
    return { actor: displayName(actor, past.names()), seq, message: `cannot be folded: ${message}`, suspects }
  })

/** How far a journal could be folded. */
interface Folded extends Pick<Verified, "events" | "hashes" | "uncomparedHashes" | "comparedEvents"> {
  /** The last event that was read. */
  readonly seq: Seq
  readonly actor: ActorId
  /** The first state that is not as it was. */
  readonly mismatch: Mismatch | undefined
  /** Ended it. */
  readonly error: unknown
}

const fold = ({ journal, definitions }: Past, onProgress: OnProgress): Folded => {
  let mismatch: Mismatch | undefined
  let at: { readonly seq: Seq; readonly actor: ActorId } = { seq: journal.firstSeq, actor: "shard/0" }
  let events = 0
  let counts = { hashes: 0, uncomparedHashes: 0, comparedEvents: 0 }
  let error: unknown
  try {
    const replay = new Replay(definitions, {
      fromStart: true,
      onEvent: (event) => {
        at = event
        if (++events % eventsPerProgress === 0) onProgress(events)
      },
      onMismatch: (each) => {
        mismatch ??= each
      }
    })
    counts = replay.run(journal)
  } catch (caught) {
    error = caught
  }
  const { hashes, uncomparedHashes, comparedEvents } = counts
  return { events, hashes, uncomparedHashes, comparedEvents, seq: at.seq, actor: at.actor, mismatch, error }
}

const failureOf = (past: Past, folded: Folded): Effect.Effect<VerifyFailure | null, JournalError> => {
  if (folded.error !== undefined) return thrown(past, folded, folded.error)
  if (folded.mismatch === undefined) return Effect.succeed(null)
  return Effect.catchTag(hashFailure(past, folded.mismatch), "JournalError", (error) => thrown(past, folded, error))
}

/** Folds all that is kept of the journal (`ReplayOptions.fromStart`), and compares every state hash. */
export const verifyJournal = (past: Past, onProgress: OnProgress): Effect.Effect<Verified, JournalError> =>
  Effect.gen(function* () {
    const folded = fold(past, onProgress)
    const failure = yield* failureOf(past, folded)
    const { events, hashes, uncomparedHashes, comparedEvents } = folded
    return {
      ok: failure === null && hashes > 0,
      firstSeq: past.journal.firstSeq,
      lastSeq: past.journal.nextSeq - 1,
      events,
      hashes,
      uncomparedHashes,
      comparedEvents,
      failure
    }
  })

export interface ReplayCounts {
  readonly firstSeq: Seq
  readonly lastSeq: Seq
  readonly events: number
  /** By kind: actors with a state at the end, and events. */
  readonly kinds: ReadonlyArray<{ readonly kind: string; readonly actors: number; readonly events: number }>
  readonly types: ReadonlyArray<{ readonly kind: string; readonly type: string; readonly events: number }>
  readonly epochs: number
}

const count = (counts: Map<string, number>, name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1)

const countAll = (past: Past, onProgress: OnProgress): ReplayCounts => {
  const { journal } = past
  const kinds = new Map<string, number>()
  const types = new Map<string, number>()
  const epochs = new Set<number>()
  let seen = 0
  const { states } = new Replay(past.definitions, {
    fromStart: true,
    onEvent: ({ actor, event, epoch }) => {
      count(kinds, kindOf(actor))
      count(types, `${kindOf(actor)}/${event._tag}`)
      epochs.add(epoch)
      if (++seen % eventsPerProgress === 0) onProgress(seen)
    }
  }).run(journal)
  const actors = new Map<string, number>()
  for (const id of states.keys()) count(actors, kindOf(id))
  return {
    firstSeq: journal.firstSeq,
    lastSeq: journal.nextSeq - 1,
    events: seen,
    kinds: [...new Set([...kinds.keys(), ...actors.keys()])].sort().map((kind) => ({
      kind,
      actors: actors.get(kind) ?? 0,
      events: kinds.get(kind) ?? 0
    })),
    types: Array.from(types, ([name, events]) => ({ kind: kindOf(name), type: nameOf(name), events })).sort(
      (a, b) => b.events - a.events
    ),
    epochs: epochs.size
  }
}

/** Folds everything that is kept, and counts it. */
export const replayAll = (past: Past, onProgress: OnProgress): Effect.Effect<ReplayCounts, JournalError> =>
  readingJournal(() => countAll(past, onProgress))
