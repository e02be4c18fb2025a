import { nameOf, kindOf, type ActorId } from "@logbrook/core/actor/Definition"
import { stateVersionOf } from "@logbrook/core/actor/savedState"
import { readFrame } from "@logbrook/core/journal/Frame"
import { JournalError } from "@logbrook/core/journal/JournalError"
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

const hashFailure = (past: Past, { actor, seq, journaled, replayed }: Mismatch): VerifyFailure => {
  const names = past.names()
  const page = eventsPage(past, agreedBefore(past, actor, seq), suspectsMax, { actor })
  return {
    actor: displayName(actor, names),
    seq,
    message: `the state replayed up to here differs from the one that was live (hash ${replayed}, journaled ${journaled})`,
    suspects: page.events.filter((event) => event.seq < seq)
  }
}

/** Folds the whole journal, from its oldest event if it has never lost one, and compares every state hash. */
export const verifyJournal = (past: Past, onProgress: OnProgress): Verified => {
  const { journal } = past
  let first: Mismatch | undefined
  let failure: VerifyFailure | null = null
  let at: { readonly seq: Seq; readonly actor: ActorId } = { seq: journal.firstSeq, actor: "shard/0" }
  let seen = 0
  let hashes = 0
  let uncomparedHashes = 0
  let comparedEvents = 0
  try {
    const replay = new Replay(past.definitions, {
      fromStart: true,
      onEvent: (event) => {
        at = event
        if (++seen % eventsPerProgress === 0) onProgress(seen)
      },
      onMismatch: (mismatch) => {
        first ??= mismatch
      }
    })
    ;({ hashes, uncomparedHashes, comparedEvents } = replay.run(journal))
    if (first !== undefined) failure = hashFailure(past, first)
  } catch (error) {
    failure = thrown(past, at, error)
  }
  return {
    ok: failure === null && hashes > 0,
    firstSeq: journal.firstSeq,
    lastSeq: journal.nextSeq - 1,
    events: seen,
    hashes,
    uncomparedHashes,
    comparedEvents,
    failure
  }
}

/** A frame that is not whole, or an event that its actor does not take. */
const thrown = (past: Past, at: { readonly seq: Seq; readonly actor: ActorId }, error: unknown): VerifyFailure => {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof JournalError)
    return { actor: "", seq: at.seq, message: `after event ${at.seq}: ${message}`, suspects: [] }
  const { events } = eventsPage(past, at.seq, 1, { actor: `${kindOf(at.actor)}/${nameOf(at.actor)}` })
  return {
    actor: displayName(at.actor, past.names()),
    seq: at.seq,
    message: `cannot be folded: ${message}`,
    suspects: events
  }
}

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

/** Folds everything that is kept, and counts it. */
export const replayAll = (past: Past, onProgress: OnProgress): ReplayCounts => {
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
