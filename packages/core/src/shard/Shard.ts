import * as EffectCause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { ActorId } from "../actor/Definition.ts"
import type { Address, AnyKind, CommandOf, EventOf, NoticeOf, OnAnswer } from "../actor/Kind.ts"
import type { PersistentStates, States } from "../actor/States.ts"
import { partitionId } from "../actor/LogEvents.ts"
import type { Cause } from "../journal/Frame.ts"
import type { AppendFailure, Seq } from "../journal/Journal.ts"
import { MemoryAccount } from "../memory/MemoryAccount.ts"
import { LogStore } from "../storage/LogStore.ts"
import { keptFromSeq, type ExpiredSegments } from "./expiry.ts"
import { ActorTable, ActorUnavailable, type Live } from "./ActorTable.ts"
import type { CommandList } from "./CommandList.ts"
import { BuilderPool, Intake, type AckReceiver, type Ask, type ListAsk, type PartitionBatch } from "./Intake.ts"
import { recoverShard, type Recovery } from "./recover.ts"
import { shardActor, type ShardState } from "./ShardActor.ts"
import type { ShardOptions } from "./ShardOptions.ts"
import { Restarts, type UndurableEvent } from "./Restarts.ts"
import { Snapshots } from "./Snapshots.ts"
import { Timers } from "./Timers.ts"
import { refusals, Turn, type DecidedTurn } from "./Turn.ts"
import type { Follower, View } from "./View.ts"

export type Observer<K extends AnyKind> = (actor: ActorId, event: EventOf<K>, seq: Seq) => void

/** A deadline's command, as it waits: very many may wait for days. */
interface Due {
  readonly to: ActorId
  /** As the actor's signal gave it. */
  readonly key: string
  readonly command: Ask["command"]
  /** The event that it follows from. */
  readonly seq: Seq | undefined
}

const timerKey = ({ to, key }: Pick<Due, "to" | "key">): string => `${to} ${key}`

interface InFlight {
  readonly turn: DecidedTurn
  readonly startedMs: number
  done: boolean
}

const passivateAfterMs = 60_000
const deadlineRetryMs = 1000
const lookedAtPerTurn = 16

/**
 * The unit of ownership, journaling and scheduling: drains its intake once per turn, lets each actor decide,
 * and makes one commit of what they decided. Replies, signals and deliveries follow the commit, in order.
 *
 *     offer / batch + ack -> Intake -> turn -> Journal.append -> durable -> replies, signals, observers, log readers
 *
 * 1. A state moves on only by events that are in the turn's commit.
 * 2. Nobody outside learns of an event before its commit is durable.
 * 3. Turns are completed in the order in which they were decided, those without events too.
 */
export class Shard {
  readonly actors: ActorTable
  readonly logs: LogStore
  /** The memory that clients make the server keep, in actors and in the shell. */
  readonly memory: MemoryAccount
  readonly #options: ShardOptions
  readonly #builders: BuilderPool
  readonly #timers: Timers<Due>
  readonly #snapshots: Snapshots
  readonly #restarts: Restarts
  readonly #observers = new Map<string, Array<Observer<AnyKind>>>()
  readonly #noticed = new Map<string, (notice: NoticeOf<AnyKind>, cause: Cause) => void>()
  readonly #inFlight: Array<InFlight> = []
  #intake = new Intake()
  #inFlightBytes = 0
  #commitsInFlight = 0
  #nextSeq: Seq = 1
  #epoch = 0
  #lastCommitMs = -Infinity
  #armed = false
  #disarmPacing: (() => void) | undefined
  #running = false
  #isHeld = false
  #onFault: ((defect: unknown) => void) | undefined
  #poisoned = false
  readonly #whenCompleted: Array<() => void> = []
  /** Callers of `drained`, who are told if its turn can no longer become durable. */
  readonly #whenPoisoned: Array<() => void> = []
  readonly #waitingForRoom: Array<() => void> = []
  #hand: IterableIterator<Live>
  /** Told of each durable commit: milliseconds from append to acknowledgement, bytes, events. */
  onCommit: ((durationMs: number, bytes: number, events: number) => void) | undefined

  constructor(options: ShardOptions) {
    this.#options = options
    const { journal, limits, clock } = options
    this.memory = options.memory ?? new MemoryAccount(limits.memoryBytesMax)
    this.actors = new ActorTable(options.definitions, this.memory)
    this.logs = new LogStore(journal, limits.tailBytesMax, limits.synthesisedBatchBytesMax, options.buffers)
    this.#builders = new BuilderPool(this.logs.buffers, limits)
    this.#hand = this.actors.live()
    this.#timers = new Timers(clock, (due) => this.#expired(due))
    this.#snapshots = new Snapshots(journal, limits.snapshotPageBytesMax, this.actors, options.onDefect)
    this.#restarts = new Restarts(options)
  }

  get epoch(): number {
    return this.#epoch
  }

  /** The seq after the last event that was decided. */
  get nextSeq(): Seq {
    return this.#nextSeq
  }

  /** All events below it are durable. */
  get durableSeq(): Seq {
    for (const { turn } of this.#inFlight) if (turn.built !== undefined) return turn.built.commit.firstSeq
    return this.#nextSeq
  }

  get isPoisoned(): boolean {
    return this.#poisoned
  }

  get failedActors(): ReadonlyArray<ActorId> {
    return this.#restarts.failed
  }

  /** Whether this actor was given up: its commands are refused. */
  isFailed(id: ActorId): boolean {
    return this.actors.get(id)?.health === "failed"
  }

  /** Commands waiting for the next turn. */
  get waiting(): number {
    return this.#intake.commands
  }

  /** The durable states of a kind: whatever answers a question about states asks here. */
  view<K extends AnyKind, State>(states: PersistentStates<K, State>): View<K, State> {
    return this.actors.view(states)
  }

  /**
   * Tells of each actor of a kind that there is, and then of its events. Nothing is told again after a `rebuild`: what was told
   * is what is durable, and a rebuild comes to the same. Throws while an event of this kind is on its way to the journal, as none
   * is before the first turn.
   */
  follow<K extends AnyKind, State>(states: States<K, State>, { restored, event }: Follower<K, State>): void {
    const { kind } = states
    for (const { turn } of this.#inFlight) {
      if (turn.events.some((each) => each.kind === kind.name)) throw new Error(`"${kind.name}" is ahead of the journal`)
    }
    for (const [actor, state] of this.actors.newest(states)) restored(actor, state)
    // An actor of this kind has an address of this kind.
    this.observe(kind, event as Observer<K>)
  }

  /** Events of this kind's actors, once they are durable, before the replies. */
  observe<K extends AnyKind>({ name }: K, observer: Observer<K>): void {
    const known = this.#observers.get(name)
    if (known === undefined) this.#observers.set(name, [observer])
    else known.push(observer)
  }

  /** `receive` hears of the notices of this kind's actors from now on, and of the decision that each follows from. */
  onNotice<K extends AnyKind>({ name }: K, receive: (notice: NoticeOf<K>, cause: Cause) => void): void {
    this.#noticed.set(name, receive)
  }

  /** Rebuilds every state from the journal and begins a new epoch. Throws `JournalError`. */
  recover(): Recovery {
    const recovered = recoverShard(this.#options, this.logs)
    // The frames may be gone with their segments; the shard's own state is in the snapshot.
    const known = recovered.states.get(shardActor(this.#options.number)) as ShardState | undefined
    this.#epoch = Math.max(recovered.epoch, known?.epoch ?? 0) + 1
    this.#nextSeq = this.#options.journal.nextSeq
    this.#reset(recovered)
    const { number, version } = this.#options
    this.tell(shardActor(number), { _tag: "Start", epoch: this.#epoch, version }, { origin: "start" })
    return recovered
  }

  /** After a fault of a turn, with nothing in flight: states anew from what is durable, in the same epoch. */
  rebuild(): void {
    const exit = Exit.die(new ActorUnavailable("the shard restarts"))
    for (const { parked } of this.actors.live()) {
      for (const reply of parked?.values() ?? []) this.#guarded("reply", () => reply(exit))
    }
    this.#nextSeq = this.#options.journal.nextSeq
    this.#reset(recoverShard(this.#options, undefined))
  }

  #reset(recovered: Recovery): void {
    const nowMs = this.#options.clock.nowMs()
    this.actors.replaceAll(recovered.states, nowMs)
    this.#hand = this.actors.live()
    this.#snapshots.recovered(recovered)
    this.#restarts.clear()
    this.#timers.renew(() => {
      for (const live of this.actors.live()) this.#resume(live.id)
    })
  }

  #resume(id: ActorId): void {
    const live = this.actors.get(id)
    if (live === undefined) return
    const signals = live.definition.resume(live.state, this.#options.clock.nowMs())
    this.#signal(live, signals, {})
  }

  /** Drains until `stop`; `onFault` hears of a turn that threw, after which nothing is drained until the next `start`. */
  start(onFault: (defect: unknown) => void): void {
    this.#running = true
    this.#onFault = onFault
    this.#schedule()
  }

  /** Nothing is drained any more, and no deadline runs: what was offered stays unanswered until a `rebuild` and a `start`. */
  stop(): void {
    this.#running = false
    this.#disarmPacing?.()
    this.#disarmPacing = undefined
    this.#timers.clear()
  }

  /** While held nothing is decided and nothing appended: the intake fills, and its callers wait for room. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld
    this.#schedule()
  }

  /** Asks an actor: `onAnswer` hears once what it answers, when that is durable. False: see `offer`. `Shards.ask` is an Effect. */
  unsafeAsk<K extends AnyKind, const C extends CommandOf<K>>(
    to: Address<K>,
    command: C,
    cause: Cause,
    onAnswer: OnAnswer<K, C>,
    byteLength = 0
  ): boolean {
    return this.offer({ to, command, cause, reply: onAnswer, byteLength })
  }

  /** Asks all actors of a list in one turn: `onAnswer` hears once what each entry is answered, when all of it is durable. */
  askAll(list: CommandList, cause: Cause, onAnswer: ListAsk["onAnswer"] = nobody, byteLength = 0): boolean {
    return this.#offer({ list, cause, onAnswer, byteLength })
  }

  /** A command whose answer nobody waits for. */
  tell<K extends AnyKind>(to: Address<K>, command: CommandOf<K>, cause: Cause): boolean {
    return this.offer({ to, command, cause })
  }

  /** False: the inbox is full from now on. The command is accepted all the same; wait with `whenRoom` before giving more. */
  offer(ask: Ask): boolean {
    return this.#offer(ask)
  }

  #offer(ask: Ask | ListAsk): boolean {
    this.#intake.add(ask)
    this.#schedule()
    return this.hasRoom
  }

  get hasRoom(): boolean {
    const { inboxCommandsMax, commitInFlightBytesMax } = this.#options.limits
    return this.#intake.commands < inboxCommandsMax && this.#intake.bytes < commitInFlightBytesMax
  }

  whenRoom(resume: () => void): void {
    if (this.hasRoom) resume()
    else this.#waitingForRoom.push(resume)
  }

  /** The partition batch that the next turn appends to this log, new if there is none yet; the caller adds a record of `origin`, then tells of it by `recordsAdded`. */
  partitionBatch(logId: number, origin: string): PartitionBatch {
    return this.#intake.partitionBatch(logId, origin, this.#builders)
  }

  /** Counts the bytes that the caller has put into a partition batch since the last call. */
  recordsAdded(bytes: number): boolean {
    this.#intake.bytes += bytes
    this.#schedule()
    return this.hasRoom
  }

  /**
   * Tells `receiver` when record `index` of the batch is durable, or refused; without a batch, when the next turn is durable
   * and all before it. In the order of the calls.
   */
  ack(receiver: AckReceiver, token: number, batch: PartitionBatch | undefined, index: number): void {
    this.#intake.ack(receiver, token, batch, index)
    this.#schedule()
  }

  /** A turn begins at once if the last commit is a while ago or much waits; else it waits for company. */
  #schedule(): void {
    if (this.#armed || this.#isHeld || !this.#running || this.#intake.isEmpty || this.#poisoned) return
    const { commitsInFlightMax, commitInFlightBytesMax, commitPacingBytesMax, commitPacingMs } = this.#options.limits
    if (this.#commitsInFlight >= commitsInFlightMax || this.#inFlightBytes >= commitInFlightBytesMax) return
    const waitMs = this.#lastCommitMs + commitPacingMs - this.#options.clock.monotonicMs()
    if (waitMs > 0 && this.#intake.bytes < commitPacingBytesMax) {
      this.#disarmPacing ??= this.#options.clock.after(waitMs, () => {
        this.#disarmPacing = undefined
        this.#arm()
      })
      return
    }
    this.#disarmPacing?.()
    this.#disarmPacing = undefined
    this.#arm()
  }

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    this.#options.clock.nextTurn(() => {
      this.#armed = false
      if (this.#running && !this.#intake.isEmpty && !this.#poisoned) this.#turn()
    })
  }

  #turn(): void {
    const intake = this.#intake
    this.#intake = new Intake()
    const turn = this.#decide(intake)
    if (turn !== undefined) {
      this.#commit(turn)
      for (const batch of intake.batches) this.#builders.give(batch.records)
      this.#snapshots.turn(this.#nextSeq)
      this.#passivate()
    }
    for (const resume of this.#waitingForRoom.splice(0)) this.#guarded("whenRoom", resume)
    this.#schedule()
  }

  /** Partition batches first, since lists refer to what became of them. Undefined if the turn faulted. */
  #decide(intake: Intake): DecidedTurn | undefined {
    const { clock, onDefect } = this.#options
    try {
      const turn = new Turn(this.#nextSeq, this.#epoch, clock, this.actors, this.memory.room, onDefect)
      const evolveFailed = (live: Live, defect: unknown, isAgain: boolean): void => {
        this.#restarts.restart(live, defect, this.#undurable(turn), isAgain)
        this.actors.weigh(live)
      }
      for (const batch of intake.batches) turn.decideBatch(batch, partitionId(batch.logId), evolveFailed)
      for (const ask of intake.asks) {
        if ("list" in ask) turn.decideList(ask, intake.batches, evolveFailed)
        else turn.decide(ask, evolveFailed)
      }
      if (intake.hashesAll) turn.hashAll()
      return turn.end(intake)
    } catch (defect) {
      this.#fault(intake, defect)
      return undefined
    }
  }

  /** The events that were decided and may not be durable yet. */
  *#undurable(turn: Turn): Iterable<UndurableEvent> {
    for (const { turn: decided } of this.#inFlight) yield* decided.events
    yield* turn.events
  }

  #commit(turn: DecidedTurn): void {
    const entry: InFlight = {
      turn,
      startedMs: this.#options.clock.monotonicMs(),
      done: turn.built === undefined
    }
    this.#inFlight.push(entry)
    if (turn.built === undefined) {
      this.#completeDone()
      return
    }
    const { commit } = turn.built
    this.#nextSeq = commit.nextSeq
    this.#lastCommitMs = entry.startedMs
    this.#commitsInFlight++
    this.#inFlightBytes += commit.byteLength
    try {
      this.#options.journal.append(commit, (failure) => this.#appended(entry, commit.byteLength, failure))
    } catch (error) {
      this.#appended(entry, commit.byteLength, { reason: "Indeterminate", detail: String(error) })
    }
  }

  #appended(entry: InFlight, bytes: number, failure: AppendFailure | undefined): void {
    this.#commitsInFlight--
    this.#inFlightBytes -= bytes
    if (failure !== undefined) {
      if (!this.#poisoned) this.#poison(failure)
      return
    }
    entry.done = true
    const { commit } = entry.turn.built!
    this.onCommit?.(this.#options.clock.monotonicMs() - entry.startedMs, bytes, commit.nextSeq - commit.firstSeq)
    this.#completeDone()
    this.#schedule()
  }

  #poison(failure: AppendFailure): void {
    this.#poisoned = true
    this.#guarded("poison", () => this.#options.onPoison(failure))
    for (const resolve of [...this.#whenCompleted.splice(0), ...this.#whenPoisoned.splice(0)]) resolve()
  }

  #completeDone(): void {
    while (this.#inFlight.length > 0 && this.#inFlight[0]!.done && !this.#poisoned) {
      this.#complete(this.#inFlight.shift()!.turn)
    }
    if (this.#inFlight.length > 0) return
    for (const resolve of this.#whenCompleted.splice(0)) resolve()
  }

  #complete({ built, events, states, emptied, outcomes, intake, unixOffsetMs }: DecidedTurn): void {
    // References first: a log that is deleted in the same commit must not come back.
    if (built !== undefined) this.logs.apply(built.commit, this.#epoch, built.refs)
    for (const [id, state] of states) this.actors.completed(id, state)
    for (const { actor, event, seq, kind } of events) {
      if (event._tag !== "RecordsAppended") this.logs.observe(actor, event)
      const observers = this.#observers.get(kind)
      if (observers === undefined) continue
      for (const observer of observers) this.#guarded(actor, () => observer(actor, event, seq))
    }
    if (built !== undefined) this.#guarded("wake", () => this.logs.wake(built.refs))
    for (const { live, reply, exit, parkAs, signals, cause } of outcomes) {
      if (reply !== undefined && exit !== undefined) this.#guarded("reply", () => reply(exit))
      this.#signal(live, signals, cause, unixOffsetMs)
      if (reply === undefined || exit !== undefined) continue
      live!.parking--
      this.#park(live!, parkAs!, reply)
    }
    this.#acknowledge(intake)
    for (const live of emptied) this.#guarded(live.id, () => this.actors.forgetEmptied(live))
  }

  #acknowledge({ ackReceivers, ackTokens, ackBatches, ackIndexes }: Intake): void {
    for (let i = 0; i < ackReceivers.length; i++) {
      try {
        ackReceivers[i]!.acked(ackTokens[i]!, ackBatches[i], ackIndexes[i]!)
      } catch (defect) {
        this.#options.onDefect("acked", defect)
      }
    }
  }

  /** A reply that nobody can release any more is refused. */
  #park(live: Live, key: string, reply: Reply): void {
    const exit = Exit.die(new ActorUnavailable(`${live.id} no longer waits for this`))
    if (live.health !== "running") {
      this.#guarded("reply", () => reply(exit))
      return
    }
    live.parked ??= new Map()
    const replaced = live.parked.get(key)
    live.parked.set(key, reply)
    if (replaced !== undefined) this.#guarded("reply", () => replaced(exit))
  }

  #guarded(where: string, run: () => void): void {
    try {
      run()
    } catch (defect) {
      this.#options.onDefect(where, defect)
    }
  }

  #signal(live: Live | undefined, signals: ReadonlyArray<Signalled>, cause: Ask["cause"], unixOffsetMs?: number): void {
    for (const signal of signals) {
      if (signal._tag === "Tell") this.#tell({ to: signal.to, command: signal.command, cause })
      else if (live === undefined) continue
      else if (signal._tag === "Notify") {
        this.#guarded("notice", () => this.#noticed.get(live.definition.kind)?.(signal.notice, cause))
      } else this.#softSignal(live, signal, cause, unixOffsetMs)
    }
  }

  #tell(ask: Ask): void {
    if (this.#options.tell === undefined) this.offer(ask)
    else this.#options.tell(ask)
  }

  #softSignal(
    live: Live,
    signal: Exclude<Signalled, { _tag: "Notify" | "Tell" }>,
    cause: Ask["cause"],
    unixOffsetMs: number | undefined
  ): void {
    const { key } = signal
    if (signal._tag === "CancelDeadline") this.#timers.cancel(timerKey({ to: live.id, key }))
    else if (signal._tag === "SetDeadline") {
      const due: Due = { to: live.id, key, command: signal.command, seq: cause.seq }
      this.#timers.set(timerKey(due), signal.atMs, due, unixOffsetMs)
    } else {
      const reply = live.parked?.get(signal.key)
      live.parked?.delete(signal.key)
      if (reply !== undefined) this.#guarded("reply", () => reply(signal.exit))
    }
  }

  #expired(due: Due): void {
    const { to, key, command, seq } = due
    const reply: Reply = (exit) => this.#deadlineDone(due, exit)
    this.offer({ to, command, cause: { seq, origin: `deadline ${key}` }, reply })
  }

  /** A command that the actor throws at is refused; nobody but its deadline sends this one again. */
  #deadlineDone(due: Due, exit: Exit.Exit<unknown, unknown>): void {
    const isRefused = Exit.isFailure(exit) && EffectCause.isDie(exit.cause)
    const key = timerKey(due)
    if (!isRefused || this.isFailed(due.to) || this.#timers.has(key)) return
    this.#timers.set(key, this.#options.clock.nowMs() + deadlineRetryMs, due)
  }

  /** The turn is lost as a whole: nothing of it was committed. Its callers are told behind those of the turns before. */
  #fault(intake: Intake, defect: unknown): void {
    this.#running = false
    const unavailable = new ActorUnavailable("the shard restarts", { cause: defect })
    for (const batch of intake.batches) {
      batch.baseOffset = -1
      batch.refusal ??= "Unavailable"
    }
    const outcomes = refusals(intake.asks, Exit.die(unavailable), this.#nextSeq)
    const turn: DecidedTurn = {
      built: undefined,
      events: [],
      states: [],
      emptied: [],
      outcomes,
      intake,
      unixOffsetMs: 0
    }
    this.#inFlight.push({ turn, startedMs: this.#options.clock.monotonicMs(), done: true })
    this.#completeDone()
    this.#onFault?.(defect)
  }

  /** Looks at some actors each turn, round and round. */
  #passivate(): void {
    if (this.#snapshots.isTaking) return
    const beforeMs = this.#options.clock.nowMs() - passivateAfterMs
    for (let looked = 0; looked < lookedAtPerTurn; looked++) {
      const next = this.#hand.next()
      if (next.done === true) {
        this.#hand = this.actors.live()
        return
      }
      const live = next.value
      if (live.lastUsedMs >= beforeMs || live.health !== "running" || live.parked?.size || live.parking > 0) continue
      this.#guarded(live.id, () => this.actors.passivate(live))
    }
  }

  /** Resolves once nothing is in flight, or the journal is poisoned and nothing will be completed any more. */
  completed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.whenCompleted(resolve)
    return promise
  }

  /** As `completed`, told in the call that learns of it. */
  whenCompleted(told: () => void): void {
    if (this.#inFlight.length === 0 || this.#poisoned) told()
    else this.#whenCompleted.push(told)
  }

  /**
   * Journals that the shard ends in order, with a hash of every actor that has changed since its last one.
   * Resolves once everything offered so far is durable or refused, or the journal is poisoned.
   */
  drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    if (this.#poisoned) resolve()
    this.#whenPoisoned.push(resolve)
    this.#intake.hashesAll = true
    this.unsafeAsk(shardActor(this.#options.number), { _tag: "Stop" }, { origin: "shutdown" }, () => resolve())
    return promise
  }

  /** Where the events begin that are kept: those that a replay needs, and those before that `isHistory` tells of. */
  keptFromSeq(isHistory: (expired: ExpiredSegments) => boolean): Seq {
    const needs = { recordsSeq: this.logs.oldestNeededSeq(), replaySeq: this.#snapshots.sealedFromSeq }
    return keptFromSeq(this.#options.journal, needs, isHistory)
  }

  /**
   * Gives up the oldest segments for as long as no reader can reach their records, the newest complete snapshot begins
   * behind them, and they are not kept for their events' sake; tells how many. Rejects with what the file system says.
   */
  async dropExpiredSegments(isHistory: (expired: ExpiredSegments) => boolean = () => false): Promise<number> {
    const { journal } = this.#options
    for (let dropped = 0; ; dropped++) {
      const [oldest, second] = journal.segments()
      if (this.#poisoned || second === undefined || oldest!.nextSeq > this.logs.oldestNeededSeq()) return dropped
      if (oldest!.nextSeq > this.keptFromSeq(isHistory)) return dropped
      await journal.dropOldest()
      // It is being replaced by another file: the next look finds that one.
      if (journal.segments()[0]!.firstSeq === oldest!.firstSeq) return dropped
    }
  }
}

type Reply = NonNullable<Ask["reply"]>

const nobody = (): void => undefined

type Signalled = DecidedTurn["outcomes"][number]["signals"][number]
