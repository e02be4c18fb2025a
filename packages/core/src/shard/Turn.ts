import * as Exit from "effect/Exit"
import { type ActorId, type Decision, type RecordBytes, type Signal } from "../actor/Definition.ts"
import type { AnyKind, Tagged } from "../actor/Kind.ts"
import { logIdOf, type RecordsAppended } from "../actor/LogEvents.ts"
import { hashOf, pack } from "../actor/pack.ts"
import { packState, stateVersionOf } from "../actor/savedState.ts"
import type { Clock } from "../Clock.ts"
import { FrameBuilder, ownValueBytesMin, type BuiltCommit, type Cause } from "../journal/Frame.ts"
import type { Seq } from "../journal/Journal.ts"
import type { Room } from "../memory/MemoryAccount.ts"
import type { RecordsBuilder } from "../Record.ts"
import {
  batchHeaderBytes,
  buildBatch,
  stampBatch,
  stampLogAppendTime,
  writeBatchHeader,
  type BatchFields
} from "../RecordBatch.ts"
import { ActorUnavailable, type ActorTable, type Live } from "./ActorTable.ts"
import {
  type Entry,
  type ListAnswer,
  NotDecided,
  type RecordPlace,
  type RecordRefusal,
  resolved
} from "./CommandList.ts"
import type { Ask, Intake, ListAsk, PartitionBatch } from "./Intake.ts"

export interface Outcome {
  readonly live: Live | undefined
  readonly reply: Ask["reply"] | undefined
  /** Undefined: the reply is parked under `parkAs`, once the signals have run. */
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  readonly parkAs: string | undefined
  readonly signals: ReadonlyArray<Signal<AnyKind>>
  /** The cause of what the signals lead to. */
  readonly cause: Cause
}

export interface Decided {
  readonly actor: ActorId
  readonly kind: string
  readonly event: Tagged
  readonly seq: Seq
}

/** A turn that was decided: all that follows once its commit is durable. */
export interface DecidedTurn {
  /** Undefined for a turn without events. */
  readonly built: BuiltCommit | undefined
  readonly events: ReadonlyArray<Decided>
  /** Where the turn left the actors of persistent kinds that it moved on. */
  readonly states: ReadonlyArray<readonly [id: ActorId, state: unknown]>
  /** Those that weigh on an account, and that an event has left with nothing to remember. */
  readonly emptied: ReadonlyArray<Live>
  readonly outcomes: ReadonlyArray<Outcome>
  readonly intake: Intake
  /** By how much the turn's Unix time was ahead of the monotonic clock's. */
  readonly unixOffsetMs: number
}

/** A partition has many small events, the other kinds few that weigh more. */
const eventsPerHash = (kind: string): number => (kind === "partition" ? 1024 : 32)

/**
 * A large state is hashed less often: 16 MiB of a group's metadata take 40 to 90 ms, 1 MB of a session's 10,000 subscriptions
 * takes 10. So it is 3 µs per event at most.
 */
const stateBytesPerEvent = 256

const noSignals: ReadonlyArray<Signal<AnyKind>> = []

/** Brings the state before the decision back, or gives the actor up. */
type EvolveFailed = (live: Live, defect: unknown, isAgain: boolean) => void

/** An event as it is folded, and its bytes; the reference of record batches is encoded by the frame itself. */
interface Prepared {
  readonly event: Tagged
  readonly payload: Uint8Array | undefined
}

/** Outcomes of a turn that was lost as a whole. */
export const refusals = (
  asks: ReadonlyArray<Ask | ListAsk>,
  exit: Exit.Exit<unknown, unknown>,
  seq: Seq
): ReadonlyArray<Outcome> =>
  asks.map((ask) =>
    "list" in ask ? answered(ask, { exits: ask.list.entries.map(() => exit), seq }) : refusal(ask, exit)
  )

const refusal = ({ reply, cause }: Ask, exit: Exit.Exit<unknown, unknown>): Outcome => ({
  live: undefined,
  reply,
  exit,
  parkAs: undefined,
  signals: noSignals,
  cause
})

const answered = ({ onAnswer, cause }: ListAsk, answer: ListAnswer): Outcome => ({
  live: undefined,
  reply: () => onAnswer(answer),
  exit: Exit.void,
  parkAs: undefined,
  signals: noSignals,
  cause
})

const placeOf = (
  { logId, baseOffset, refusal }: PartitionBatch,
  index: number
): Exit.Exit<RecordPlace, RecordRefusal> =>
  refusal === undefined ? Exit.succeed({ logId, offset: baseOffset + index }) : Exit.fail(refusal)

/** A turn of a shard: folds decisions into states and collects their events for one commit. */
export class Turn {
  readonly #frame: FrameBuilder
  readonly #epoch: number
  readonly #nowMs: number
  readonly #unixOffsetMs: number
  readonly #actors: ActorTable
  readonly #room: Room
  readonly #onDefect: (where: string, defect: unknown) => void
  readonly #events: Array<Decided> = []
  readonly #outcomes: Array<Outcome> = []
  /** The actors of persistent kinds that have moved on. */
  readonly #moved = new Set<Live>()
  readonly #emptied: Array<Live> = []
  /** The partition batch that is being decided, whose bytes may become the record batch's own. */
  #deciding: { readonly logId: number; readonly builder: RecordsBuilder; readonly bytes: Uint8Array } | undefined

  constructor(
    firstSeq: Seq,
    epoch: number,
    clock: Clock,
    actors: ActorTable,
    room: Room,
    onDefect: (where: string, defect: unknown) => void
  ) {
    const nowMs = clock.nowMs()
    this.#frame = new FrameBuilder(firstSeq, epoch, nowMs)
    this.#epoch = epoch
    this.#nowMs = nowMs
    this.#unixOffsetMs = nowMs - clock.monotonicMs()
    this.#actors = actors
    this.#room = room
    this.#onDefect = onDefect
  }

  /** The events that were decided so far in this turn. */
  get events(): ReadonlyArray<Decided> {
    return this.#events
  }

  end(intake: Intake): DecidedTurn {
    const built = this.#frame.isEmpty ? undefined : this.#frame.build()
    const states = Array.from(this.#moved, ({ id, state }) => [id, state] as const)
    return {
      built,
      events: this.#events,
      states,
      emptied: this.#emptied,
      outcomes: this.#outcomes,
      intake,
      unixOffsetMs: this.#unixOffsetMs
    }
  }

  /**
   * A command whose events do not fold is decided once more, on a state that was rebuilt. Returns the reply, which follows
   * the commit; undefined if it is parked.
   */
  decide(ask: Ask, evolveFailed: EvolveFailed, isAgain = false): Outcome["exit"] {
    let live: Live
    let decision: Decision<AnyKind, Tagged, unknown>
    let prepared: ReadonlyArray<Prepared>
    try {
      live = this.#actors.getOrMake(ask.to, this.#nowMs)
      live.lastUsedMs = this.#nowMs
      if (live.health !== "running") {
        return this.#refuse(ask, new ActorUnavailable(`${ask.to} is ${live.health}`))
      }
      decision = live.definition.decide(live.state, ask.command, this.#nowMs, this.#room)
      prepared = decision.events.map((event) => this.#prepare(event, decision.records))
    } catch (defect) {
      this.#onDefect(ask.to, defect)
      return this.#refuse(ask, defect)
    }
    const defect = this.#evolve(live, prepared, decision.next)
    if (defect !== undefined) {
      evolveFailed(live, defect.thrown, isAgain)
      if (!isAgain) return this.decide(ask, evolveFailed, true)
      return this.#refuse(ask, new ActorUnavailable(`${ask.to} cannot take this`, { cause: defect.thrown }))
    }
    const cause = this.#stage(live, prepared, decision.records, ask.cause)
    const { parkAs, signals } = decision
    let exit = decision.reply
    if (exit === undefined && parkAs === undefined) {
      const defect = new Error(`${ask.to} neither answered ${ask.command._tag} nor parked its reply`)
      exit = Exit.die(defect)
      this.#onDefect(ask.to, defect)
    }
    const { reply } = ask
    // A partition batch has neither: nothing follows its commit but the acknowledgements.
    if (reply !== undefined && exit === undefined) live.parking++
    if (reply !== undefined || signals.length > 0) {
      this.#outcomes.push({ live, reply, exit, parkAs, signals, cause })
    }
    // Else whoever asks for names that nobody has would fill the memory with actors.
    if (live.isNew && prepared.length === 0 && signals.length === 0) this.#actors.forgetNew(live)
    return exit
  }

  /** Entry by entry, behind the turn's partition batches: see `CommandList`. */
  decideList(ask: ListAsk, batches: ReadonlyArray<PartitionBatch>, evolveFailed: EvolveFailed): void {
    const exits: Array<Exit.Exit<unknown, unknown>> = []
    const seq = this.#frame.nextSeq
    for (const entry of ask.list.entries) exits.push(this.#decideEntry(entry, exits, batches, ask.cause, evolveFailed))
    this.#outcomes.push(answered(ask, { exits, seq }))
  }

  #decideEntry(
    entry: Entry,
    exits: ReadonlyArray<Exit.Exit<unknown, unknown>>,
    batches: ReadonlyArray<PartitionBatch>,
    cause: Cause,
    evolveFailed: EvolveFailed
  ): Exit.Exit<unknown, unknown> {
    if (entry._tag === "Refused") return Exit.fail(entry.reason)
    if (entry._tag === "Record") return placeOf(batches[entry.batch]!, entry.index)
    const { to } = entry
    const command = resolved(entry, exits)
    if (command instanceof NotDecided) return Exit.fail(command)
    const exit = this.decide({ to, command, cause }, evolveFailed)
    if (exit !== undefined) return exit
    const defect = new Error(`${to} parks its reply to ${command._tag}, which a list cannot wait for`)
    this.#onDefect(to, defect)
    return Exit.die(defect)
  }

  #refuse(ask: Ask, defect: unknown): Outcome["exit"] {
    const exit = Exit.die(defect)
    this.#outcomes.push(refusal(ask, exit))
    return exit
  }

  /** Whatever can throw for an event's content throws here, before any state moves on. */
  #prepare(event: Tagged, records: RecordBytes | undefined): Prepared {
    if (records === undefined || event._tag !== "RecordsAppended") return { event, payload: pack(event) }
    // As a replay will see it: a reference's epoch is its frame's.
    return { event: { ...event, epoch: this.#epoch } as RecordsAppended, payload: undefined }
  }

  /** All events of a decision or none; what was thrown, if anything. `next`: where they lead, if that is known. */
  #evolve(live: Live, prepared: ReadonlyArray<Prepared>, next: unknown): { readonly thrown: unknown } | undefined {
    if (prepared.length === 0) return undefined
    try {
      const before = live.state
      let state = next ?? before
      if (next === undefined) for (const { event } of prepared) state = live.definition.evolve(state, event)
      live.state = state
      if (live.definition.states?.isPersistent === true && !this.#moved.has(live)) {
        this.#moved.add(live)
        this.#actors.moved(live.id, before)
      }
      live.isNew = false
      this.#actors.weigh(live)
      if (live.weighed.length > 0 && live.definition.isEmpty(state)) this.#emptied.push(live)
      return undefined
    } catch (thrown) {
      return { thrown }
    }
  }

  /** The cause of what follows from the decision: its last event, or what caused it if it has none. */
  #stage(live: Live, prepared: ReadonlyArray<Prepared>, records: RecordBytes | undefined, asked: Cause): Cause {
    let cause = asked
    const kind = live.definition.kind
    let first: Seq | undefined
    for (const { event, payload } of prepared) {
      const seq =
        payload === undefined
          ? this.#stageRecords(this.#deciding?.logId ?? logIdOf(live.id), event as RecordsAppended, records!, cause)
          : this.#frame.event(live.id, live.definition.version, payload, cause)
      first ??= seq
      cause = { seq: first }
      this.#events.push({ actor: live.id, kind, event, seq })
      live.unhashed++
    }
    if (first === undefined) return asked
    const last = this.#frame.nextSeq - 1
    if (live.unhashed >= Math.max(eventsPerHash(kind), live.stateBytes / stateBytesPerEvent)) this.#hash(live)
    return { seq: last }
  }

  #stageRecords(logId: number, event: RecordsAppended, records: RecordBytes, cause: Cause): Seq {
    if (records.verbatim) stampBatch(records.bytes, event.baseOffset, this.#epoch)
    const isOwnBatch = !records.verbatim && records.bytes.length + batchHeaderBytes >= ownValueBytesMin
    const bytes = isOwnBatch ? this.#batchOf(event, records.bytes) : records.bytes
    const { baseOffset, count, firstTimestampMs, maxTimestampMs, verbatim } = event
    const { producer, isTransactional, marker, isLogAppendTime } = event
    if (isLogAppendTime === true) stampLogAppendTime(bytes, maxTimestampMs)
    return this.#frame.records(
      {
        logId,
        baseOffset,
        count,
        firstTimestampMs,
        maxTimestampMs,
        bytes,
        verbatim,
        producer,
        isTransactional,
        marker,
        isLogAppendTime
      },
      cause
    )
  }

  #batchOf(event: RecordsAppended, records: Uint8Array): Uint8Array {
    const fields: BatchFields = {
      baseOffset: event.baseOffset,
      partitionLeaderEpoch: this.#epoch,
      count: event.count,
      baseTimestampMs: event.firstTimestampMs,
      maxTimestampMs: event.maxTimestampMs
    }
    if (this.#deciding?.bytes !== records) return buildBatch(fields, records)
    // A copy of every partition batch was a fifth of the main thread's CPU at 1 KB a message.
    const batch = this.#deciding.builder.giveAway()
    writeBatchHeader(batch, 0, fields, records.length)
    return batch
  }

  #hash(live: Live): void {
    live.unhashed = 0
    // A snapshot keeps nothing of it, so a replay from there could only come to another hash.
    if (live.definition.isEmpty(live.state)) return
    try {
      const packed = packState(live.definition, live.state)
      live.stateBytes = packed.length
      this.#frame.hash(live.id, hashOf(packed), stateVersionOf(live.definition))
    } catch (defect) {
      this.#onDefect(live.id, defect)
    }
  }

  /** A partition batch is one command to its partition, whose reply tells the base offset. */
  decideBatch(batch: PartitionBatch, to: ActorId, evolveFailed: EvolveFailed): void {
    const { records } = batch
    if (records.count === 0) return
    const { count, firstTimestampMs, maxTimestampMs, bytes } = records
    const command = { _tag: "AppendRecords", count, firstTimestampMs, maxTimestampMs, bytes }
    this.#deciding = { logId: batch.logId, builder: records, bytes }
    const exit = this.decide({ to, command, cause: { origin: batch.origin } }, evolveFailed)
    this.#deciding = undefined
    if (exit !== undefined && Exit.isSuccess(exit)) batch.baseOffset = (exit.value as { baseOffset: number }).baseOffset
    else batch.refusal = "Unavailable"
  }

  /** Hashes every live actor that has events since its last hash. */
  hashAll(): void {
    for (const live of this.#actors.live()) if (live.unhashed > 0 && live.health === "running") this.#hash(live)
  }
}
