import { kindOf, type ActorId, type AnyDefinition } from "../actor/Definition.ts"
import { partitionId, recordsAppended } from "../actor/LogEvents.ts"
import { pack, unpack, unpackViews } from "../actor/pack.ts"
import { firstStateVersion, hashOfState, stateVersionOf, unpackState } from "../actor/savedState.ts"
import type { BatchRef } from "../journal/batchRef.ts"
import { readFrame, readFrameHead, type Cause, type FrameHead, type FrameVisitor } from "../journal/Frame.ts"
import type { Journal, Seq, Snapshot, SnapshotPage } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"

/** An actor as `ActorTable.saved` gave it, or null for an initial state; the state's version where it is not the first one. */
export type SavedActor = readonly [id: ActorId, saved: Uint8Array | null, stateVersion?: number]

/** A page of a snapshot. */
export type SavedActors = ReadonlyArray<SavedActor>

export const savedActor = (id: ActorId, saved: Uint8Array | null, stateVersion: number): SavedActor =>
  saved === null || stateVersion === firstStateVersion ? [id, saved] : [id, saved, stateVersion]

export const encodePage = (seq: Seq, actors: SavedActors): SnapshotPage => ({ seq, bytes: pack(actors) })

/** A replayed state differs from the one that was live. */
export interface Mismatch {
  readonly seq: Seq
  readonly actor: ActorId
  readonly journaled: string
  readonly replayed: string
}

export interface JournaledEvent {
  readonly seq: Seq
  readonly actor: ActorId
  readonly timeMs: number
  readonly epoch: number
  /** The version of the definition that journaled it; 0 for a partition's records. */
  readonly version: number
  readonly cause: Cause
  /** As it was journaled. */
  readonly event: { readonly _tag: string }
}

/** The part of a journal that a replay reads. */
export type History = Pick<Journal, "firstSeq" | "nextSeq" | "scan" | "snapshot">

export interface ReplayOptions {
  /** Events from here on are not folded. */
  readonly endSeq?: Seq
  /** Only these actors. */
  readonly only?: (id: ActorId) => boolean
  readonly onEvent?: (event: JournaledEvent) => void
  readonly onRecords?: (head: FrameHead, ref: BatchRef) => void
  /** References before this are not wanted; all that there are by default. */
  readonly recordsFrom?: Seq
  readonly onMismatch?: (mismatch: Mismatch) => void
  /**
   * From the oldest event, without snapshots; where that has expired, from the oldest snapshot behind which all events are kept. It
   * folds all that there is to check.
   */
  readonly fromStart?: boolean
}

export interface Replayed {
  readonly states: Map<ActorId, unknown>
  readonly events: number
  /** Journaled hashes that were compared with the states here. */
  readonly hashes: number
  /** Journaled hashes of states in another version than their definition's: there is nothing to compare them with. */
  readonly uncomparedHashes: number
  /** Those that lie before a compared hash of their actor: what is behind the last one is folded, and not checked. */
  readonly comparedEvents: number
  /** The epoch of the last frame; 0 in an empty journal. */
  readonly epoch: number
  readonly lastTimeMs: number
  readonly snapshotFromSeq: Seq | undefined
  /** Kinds that no definition knows; their events were passed over. */
  readonly unknownKinds: ReadonlySet<string>
}

/** The version of a partition's references: their events are not journaled but made here. */
const noVersion = 0

/** Folds the journal into actor states: the newest snapshot before the end, then every event behind it. */
export class Replay {
  readonly #definitions: ReadonlyMap<string, AnyDefinition>
  readonly #options: ReplayOptions
  readonly #states = new Map<ActorId, unknown>()
  /** The seq of each actor in the snapshot: events before it are in the actor's state already. */
  readonly #knownUpTo = new Map<ActorId, Seq>()
  readonly #unknownKinds = new Set<string>()
  /** The events of each actor since its last hash, when hashes are compared. */
  readonly #uncompared = new Map<ActorId, number>()
  /** Hashes of states that the snapshot holds: nothing has happened to their actors in between. */
  readonly #ofSnapshot = new Map<ActorId, JournaledHash>()
  #events = 0
  #hashes = 0
  #uncomparedHashes = 0
  #comparedEvents = 0
  #head: FrameHead | undefined

  constructor(definitions: Iterable<AnyDefinition>, options: ReplayOptions = {}) {
    this.#definitions = new Map(Array.from(definitions, (definition) => [definition.kind, definition]))
    this.#options = options
  }

  /**
   * Throws `JournalError`: "Gap" where events are missing that the states need, "Corrupt" for a damaged frame,
   * "UnknownFormat" for an event, or a state in a snapshot, of a newer version than its definition's.
   */
  run(journal: History): Replayed {
    const endSeq = this.#options.endSeq ?? journal.nextSeq
    const snapshot = this.#options.fromStart ? oldestSnapshot(journal, endSeq) : journal.snapshot(endSeq)
    const foldFrom = snapshot?.fromSeq ?? 1
    if (foldFrom < journal.firstSeq) {
      throw new JournalError("Gap", `no snapshot before seq ${endSeq}, and the journal begins at ${journal.firstSeq}`)
    }
    for (const page of snapshot?.pages ?? []) this.#load(page)
    // References may be wanted from frames that the snapshot already covers.
    const recordsFrom = this.#options.recordsFrom ?? journal.firstSeq
    const fromSeq = this.#options.onRecords === undefined ? foldFrom : Math.min(foldFrom, recordsFrom)
    let expectedSeq: Seq | undefined
    journal.scan(fromSeq, (frame) => {
      const head = readFrameHead(frame)
      if (expectedSeq === undefined ? head.firstSeq > fromSeq : head.firstSeq !== expectedSeq) {
        throw new JournalError("Gap", `a frame begins at seq ${head.firstSeq}, expected ${expectedSeq ?? fromSeq}`)
      }
      expectedSeq = head.nextSeq
      if (head.firstSeq >= endSeq) return false
      this.#frame(frame, head, foldFrom, endSeq)
      return true
    })
    for (const actor of this.#ofSnapshot.keys()) this.#compareSnapshot(actor)
    const wantedSeq = Math.min(endSeq, journal.nextSeq)
    if ((expectedSeq ?? fromSeq) < wantedSeq) {
      throw new JournalError(
        "Gap",
        `no frame holds seq ${expectedSeq ?? fromSeq}, and the journal ends at ${wantedSeq}`
      )
    }
    return {
      states: this.#states,
      events: this.#events,
      hashes: this.#hashes,
      uncomparedHashes: this.#uncomparedHashes,
      comparedEvents: this.#comparedEvents,
      epoch: this.#head?.epoch ?? 0,
      lastTimeMs: this.#head?.timeMs ?? 0,
      snapshotFromSeq: snapshot?.fromSeq,
      unknownKinds: this.#unknownKinds
    }
  }

  #load(page: SnapshotPage): void {
    for (const [id, saved, stateVersion = firstStateVersion] of unpackViews(page.bytes) as SavedActors) {
      this.#knownUpTo.set(id, page.seq)
      const definition = this.#definition(id)
      if (definition === undefined || saved === null) continue
      this.#states.set(id, unpackState(definition, id, saved, stateVersion))
    }
  }

  #definition(id: ActorId): AnyDefinition | undefined {
    if (this.#options.only !== undefined && !this.#options.only(id)) return undefined
    const definition = this.#definitions.get(kindOf(id))
    if (definition === undefined) this.#unknownKinds.add(kindOf(id))
    return definition
  }

  #frame(frame: Buffer, head: FrameHead, foldFrom: Seq, endSeq: Seq): void {
    this.#head = head
    const visitRecords = this.#options.onRecords
    const visitor: FrameVisitor = {
      records: (seq, ref, cause) => {
        if (seq >= endSeq) return
        visitRecords?.(head, ref)
        if (seq < foldFrom) return
        const id = partitionId(ref.logId)
        const definition = this.#definition(id)
        if (definition === undefined) return
        this.#apply(seq, id, definition, head, noVersion, cause, recordsAppended(ref, head.epoch))
      },
      event: (seq, id, version, payload, cause) => {
        if (seq >= endSeq || seq < foldFrom) return
        const definition = this.#definition(id)
        if (definition === undefined) return
        this.#apply(seq, id, definition, head, version, cause, unpack(payload) as { _tag: string })
      },
      hash: (seq, id, hash, stateVersion) => {
        if (seq < endSeq && seq >= foldFrom) this.#hash(id, { seq, hash, stateVersion })
      }
    }
    readFrame(frame, visitor, head)
  }

  #apply(
    seq: Seq,
    actor: ActorId,
    definition: AnyDefinition,
    head: FrameHead,
    version: number,
    cause: Cause,
    event: { readonly _tag: string }
  ): void {
    this.#events++
    this.#options.onEvent?.({ seq, actor, timeMs: head.timeMs, epoch: head.epoch, version, cause, event })
    if (seq < (this.#knownUpTo.get(actor) ?? 0)) {
      this.#ofSnapshot.delete(actor)
      return
    }
    this.#compareSnapshot(actor)
    if (this.#options.onMismatch !== undefined) this.#uncompared.set(actor, (this.#uncompared.get(actor) ?? 0) + 1)
    const current = version === noVersion ? event : upcast(definition, seq, version, event)
    this.#states.set(actor, definition.evolve(this.#states.get(actor) ?? definition.initial(actor), current))
  }

  #hash(actor: ActorId, journaled: JournaledHash): void {
    if (this.#options.onMismatch === undefined) return
    if (journaled.seq < (this.#knownUpTo.get(actor) ?? 0)) {
      // The frame's bytes are the journal's, which writes others over them.
      this.#ofSnapshot.set(actor, { ...journaled, hash: Buffer.from(journaled.hash) })
    } else {
      this.#compareSnapshot(actor)
      this.#compare(actor, journaled)
    }
  }

  /** The state is as the snapshot has it still. */
  #compareSnapshot(actor: ActorId): void {
    const journaled = this.#ofSnapshot.get(actor)
    if (journaled === undefined) return
    this.#ofSnapshot.delete(actor)
    this.#compare(actor, journaled)
  }

  #compare(actor: ActorId, { seq, hash, stateVersion }: JournaledHash): void {
    const definition = this.#definition(actor)
    if (definition === undefined) return
    if (stateVersion !== stateVersionOf(definition)) {
      this.#uncomparedHashes++
      return
    }
    this.#hashes++
    this.#comparedEvents += this.#uncompared.get(actor) ?? 0
    this.#uncompared.delete(actor)
    const replayed = hashOfState(definition, this.#states.get(actor) ?? definition.initial(actor))
    if (replayed.equals(hash)) return
    this.#options.onMismatch?.({ seq, actor, journaled: hash.toString("hex"), replayed: replayed.toString("hex") })
  }
}

/** Of an actor's state, as it was just before `seq`. */
interface JournaledHash {
  readonly seq: Seq
  readonly hash: Buffer
  readonly stateVersion: number
}

/** Undefined for a journal that is kept from its beginning. */
const oldestSnapshot = (journal: History, endSeq: Seq): Snapshot | undefined => {
  if (journal.firstSeq === 1) return undefined
  let oldest = journal.snapshot(endSeq)
  while (oldest !== undefined) {
    const before = journal.snapshot(oldest.fromSeq - 1)
    if (before === undefined || before.fromSeq < journal.firstSeq) break
    oldest = before
  }
  return oldest
}

const upcast = (definition: AnyDefinition, seq: Seq, version: number, event: { readonly _tag: string }) => {
  const { kind, version: newest } = definition
  if (version > newest) {
    throw new JournalError("UnknownFormat", `seq ${seq}: a ${kind} event of version ${version}, known up to ${newest}`)
  }
  return version < newest && definition.upcast !== undefined ? definition.upcast(event, version) : event
}
