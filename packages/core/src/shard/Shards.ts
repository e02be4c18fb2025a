import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ActorId } from "../actor/Definition.ts"
import type { PersistentStates, States } from "../actor/States.ts"
import type { Address, AnyKind, CommandOf, FailureOf, NoticeOf, OnAnswer, ReplyOf } from "../actor/Kind.ts"
import { partitionId } from "../actor/LogEvents.ts"
import type { BufferPool } from "../BufferPool.ts"
import type { Cause } from "../journal/Frame.ts"
import type { Journal } from "../journal/Journal.ts"
import type { MemoryAccount } from "../memory/MemoryAccount.ts"
import type { LogStore } from "../storage/LogStore.ts"
import { ActorUnavailable } from "./ActorTable.ts"
import { CommandList, type ListAnswer } from "./CommandList.ts"
import type { AckReceiver, Ask, PartitionBatch } from "./Intake.ts"
import type { Recovery } from "./recover.ts"
import { Shard, type Observer } from "./Shard.ts"
import { shardActor } from "./ShardActor.ts"
import type { ShardOptions } from "./ShardOptions.ts"
import type { Follower, View } from "./View.ts"

/** The number of the shard that owns this actor, among so many. It must not change while a journal lives. */
export type Placement = (actor: ActorId, shards: number) => number

export interface ShardsOptions extends Omit<ShardOptions, "journal" | "number" | "memory" | "buffers" | "tell"> {
  /** There is one for each shard, in the order of their numbers. */
  readonly journals: ReadonlyArray<Journal>
  /** Everything is the first shard's without it. */
  readonly placement?: Placement
}

/**
 * The id of the log that a shard has for itself. The catalog gives ids from 2 on, over all shards; those of further shards' own logs
 * are counted down from the end of 32 bits, so that an id names one log.
 */
export const ownLogId = (shard: number): number => (shard === 0 ? 1 : 2 ** 32 - shard)

/**
 * All shards of a server, by the addresses of their actors. Whatever is asked or told goes to the shard that owns the actor.
 *
 * 1. Order, and one commit of several actors, is there within one shard only.
 * 2. An event is told with its shard's `seq`: those of two shards are not comparable.
 * 3. Memory and buffers are one account and one pool for all of them.
 */
export class Shards {
  readonly all: ReadonlyArray<Shard>
  readonly memory: MemoryAccount
  readonly buffers: BufferPool
  /** While there is one shard, nothing is looked up. */
  readonly #only: Shard | undefined
  readonly #first: Shard
  /** Actors that belong to a shard by its number, whatever the placement says. */
  readonly #own = new Map<ActorId, Shard>()
  readonly #placement: Placement

  constructor({ journals, placement = () => 0, ...options }: ShardsOptions) {
    this.#placement = placement
    const all: Array<Shard> = []
    const tell = journals.length === 1 ? undefined : (ask: Ask): void => void this.of(ask.to).offer(ask)
    for (const [number, journal] of journals.entries()) {
      const shared = all[0] && { memory: all[0].memory, buffers: all[0].logs.buffers }
      all.push(new Shard({ ...options, ...shared, ...(tell && { tell }), journal, number }))
    }
    this.all = all
    this.#first = all[0]!
    this.#only = all.length === 1 ? this.#first : undefined
    this.memory = this.#first.memory
    this.buffers = this.#first.logs.buffers
    for (const [number, shard] of all.entries()) {
      this.#own.set(partitionId(ownLogId(number)), shard)
      this.#own.set(shardActor(number), shard)
    }
  }

  /** Rebuilds every shard from its journal; see `Shard.recover`. Throws `JournalError`. */
  recover(): Recovery {
    const recoveries = this.all.map((shard) => shard.recover())
    return recoveries.slice(1).reduce(
      (sum, next) => ({
        ...sum,
        states: new Map([...sum.states, ...next.states]),
        events: sum.events + next.events,
        durationMs: sum.durationMs + next.durationMs
      }),
      recoveries[0]!
    )
  }

  of(actor: ActorId): Shard {
    if (this.#only !== undefined) return this.#only
    return this.#own.get(actor) ?? this.all[this.#placement(actor, this.all.length)]!
  }

  ofLog(logId: number): Shard {
    return this.#only ?? this.of(partitionId(logId))
  }

  logsOf(logId: number): LogStore {
    return this.ofLog(logId).logs
  }

  /** The id of the log that the owner of this actor has for itself. */
  ownLogOf(actor: ActorId): number {
    return this.#only === undefined ? ownLogId(this.all.indexOf(this.of(actor))) : ownLogId(0)
  }

  /** Whether the log is no stream's, but a shard's own. */
  isOwnLog(logId: number): boolean {
    return this.#own.has(partitionId(logId))
  }

  /** The leader epoch of a partition, which Kafka clients see. */
  leaderEpoch(logId: number): number {
    return this.ofLog(logId).epoch
  }

  /** Raised at every start of the server. */
  get epoch(): number {
    return this.#first.epoch
  }

  get isPoisoned(): boolean {
    return this.#only === undefined ? this.all.some(({ isPoisoned }) => isPoisoned) : this.#only.isPoisoned
  }

  get failedActors(): ReadonlyArray<ActorId> {
    return this.#only === undefined ? this.all.flatMap(({ failedActors }) => failedActors) : this.#only.failedActors
  }

  isFailed(actor: ActorId): boolean {
    return this.of(actor).isFailed(actor)
  }

  /**
   * Asks an actor: succeeds with the command's reply, or fails with its failure, once what was decided is durable. Dies with
   * `ActorUnavailable` if the actor cannot answer, and with what its `decide` throws. A full inbox is waited for. If the Effect is
   * interrupted before that, the command is not given; later, it is decided all the same, and its answer is passed over. A
   * journal that fails meanwhile answers nobody: it ends the server.
   */
  ask<K extends AnyKind, const C extends CommandOf<K>>(
    to: Address<K>,
    command: C,
    cause: Cause
  ): Effect.Effect<ReplyOf<K, C>, FailureOf<K>> {
    return Effect.async((resume) => {
      const shard = this.of(to)
      let isInterrupted = false
      const give = (): void => {
        if (isInterrupted) return
        if (shard.hasRoom) shard.unsafeAsk(to, command, cause, resume)
        else shard.whenRoom(give)
      }
      if (shard.isPoisoned) resume(Effect.die(new ActorUnavailable("the journal has failed")))
      else give()
      return Effect.sync(() => {
        isInterrupted = true
      })
    })
  }

  /** `ask` as a plain call, for hot paths. False: see `Shard.offer`. */
  unsafeAsk<K extends AnyKind, const C extends CommandOf<K>>(
    to: Address<K>,
    command: C,
    cause: Cause,
    onAnswer: OnAnswer<K, C>,
    byteLength = 0
  ): boolean {
    return this.of(to).unsafeAsk(to, command, cause, onAnswer, byteLength)
  }

  tell<K extends AnyKind>(to: Address<K>, command: CommandOf<K>, cause: Cause): boolean {
    return this.of(to).tell(to, command, cause)
  }

  /** Lists for one publication: one for each shard that owns an actor of it. */
  lists(): ShardLists {
    return new ShardLists(this)
  }

  /** As `Shard.ack`; without a batch once every shard's next turn is durable. */
  ack(receiver: AckReceiver, token: number, batch: PartitionBatch | undefined, index: number): void {
    if (this.#only !== undefined) this.#only.ack(receiver, token, batch, index)
    else if (batch !== undefined) this.ofLog(batch.logId).ack(receiver, token, batch, index)
    else {
      const barrier = new Barrier(receiver, token, this.all.length)
      for (const shard of this.all) shard.ack(barrier, 0, undefined, 0)
    }
  }

  /** Whether every shard takes more: a client's next command may be for any of them. */
  get hasRoom(): boolean {
    return this.#only === undefined ? this.all.every(({ hasRoom }) => hasRoom) : this.#only.hasRoom
  }

  whenRoom(resume: () => void): void {
    if (this.#only !== undefined) {
      this.#only.whenRoom(resume)
      return
    }
    const full = this.all.find(({ hasRoom }) => !hasRoom)
    if (full === undefined) resume()
    else full.whenRoom(() => this.whenRoom(resume))
  }

  view<K extends AnyKind, State>(states: PersistentStates<K, State>): View<K, State> {
    if (this.#only !== undefined) return this.#only.view(states)
    const views = new Map<Shard, View<K, State>>(this.all.map((shard) => [shard, shard.view<K, State>(states)]))
    return {
      get: (actor) => views.get(this.of(actor))!.get(actor),
      *all() {
        for (const view of views.values()) yield* view.all()
      }
    }
  }

  follow<K extends AnyKind, State>(states: States<K, State>, follower: Follower<K, State>): void {
    for (const shard of this.all) shard.follow(states, follower)
  }

  observe<K extends AnyKind>(kind: K, observer: Observer<K>): void {
    for (const shard of this.all) shard.observe(kind, observer)
  }

  onNotice<K extends AnyKind>(kind: K, receive: (notice: NoticeOf<K>, cause: Cause) => void): void {
    for (const shard of this.all) shard.onNotice(kind, receive)
  }
}

class Barrier implements AckReceiver {
  readonly #receiver: AckReceiver
  readonly #token: number
  #left: number

  constructor(receiver: AckReceiver, token: number, shards: number) {
    this.#receiver = receiver
    this.#token = token
    this.#left = shards
  }

  acked(): void {
    if (--this.#left === 0) this.#receiver.acked(this.#token, undefined, 0)
  }
}

const none: ReadonlyArray<never> = []

/** Commands that concern each other as far as their actors are of one shard: each shard decides its list as a whole, on its own. */
export class ShardLists {
  readonly #shards: Shards
  readonly #first = new CommandList()
  /** Once an actor of another shard is asked for. */
  #others: Map<Shard, CommandList> | undefined

  constructor(shards: Shards) {
    this.#shards = shards
  }

  of(to: ActorId): CommandList {
    const shard = this.#shards.of(to)
    if (shard === this.#shards.all[0]) return this.#first
    this.#others ??= new Map()
    const known = this.#others.get(shard) ?? new CommandList()
    this.#others.set(shard, known)
    return known
  }

  /** `onAnswer` hears of each list once it is durable. */
  askAll(cause: Cause, onAnswer?: (answer: ListAnswer) => void, byteLength = 0): void {
    for (const [shard, list] of this.#asked()) shard.askAll(list, cause, onAnswer, byteLength)
  }

  /**
   * Asks the list of this actor's shard once the other shards have taken all of theirs; `complete` adds to it before. It is not asked
   * if they have not. `onEnd` hears once of all that was asked, when that is durable.
   */
  askLast(
    to: ActorId,
    cause: Cause,
    complete: (list: CommandList) => void,
    onEnd: (answers: ReadonlyMap<CommandList, ListAnswer>) => void = () => undefined
  ): void {
    const last = this.of(to)
    const others = this.#asked().filter(([, list]) => list !== last)
    const answers = new Map<CommandList, ListAnswer>()
    const ask = (): void => {
      complete(last)
      this.#shards.of(to).askAll(last, cause, (answer) => onEnd(answers.set(last, answer)))
    }
    if (others.length === 0) ask()
    for (const [shard, list] of others) {
      shard.askAll(list, cause, (answer) => {
        answers.set(list, answer)
        if (answers.size < others.length) return
        if ([...answers.values()].every(({ exits }) => exits.every(Exit.isSuccess))) ask()
        else onEnd(answers)
      })
    }
  }

  #asked(): ReadonlyArray<readonly [Shard, CommandList]> {
    const first = [this.#shards.all[0]!, this.#first] as const
    if (this.#others === undefined) return this.#first.entries.length > 0 ? [first] : none
    return [first, ...this.#others].filter(([, { entries }]) => entries.length > 0)
  }
}
