import type { ActorId, AnyDefinition } from "@logbrook/core/actor/Definition"
import type { NoticeOf } from "@logbrook/core/actor/Kind"
import { FaultyJournal, type Fault } from "@logbrook/core/journal/FaultyJournal"
import type { AppendFailure, Journal, Seq } from "@logbrook/core/journal/Journal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import type { Limits } from "@logbrook/core/Limits"
import type { AckReceiver, PartitionBatch } from "@logbrook/core/shard/Intake"
import { Replay, type Mismatch } from "@logbrook/core/shard/Replay"
import type { Shard } from "@logbrook/core/shard/Shard"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { expect } from "vitest"
import { oneShard } from "./oneShard.ts"
import { TestClock } from "./TestClock.ts"
import {
  Counter,
  makeCounter,
  ToyPartition,
  type CounterCommand,
  type CounterSwitches,
  type ToyPartitionCommand
} from "./toys.ts"
import { newestState } from "./newestState.ts"

export interface HarnessOptions {
  readonly clock?: TestClock
  readonly journal?: Journal
  readonly segmentBytes?: number
  readonly faultAt?: (commit: number) => Fault | undefined
  readonly limits?: Partial<Limits>
  readonly switches?: CounterSwitches
  /** Of each counter, on the account of sessions. */
  readonly counterBytes?: number
}

/** A shard with toy actors over a journal in memory and a clock that stands; what it says is kept as text. */
export class ShardHarness implements AckReceiver {
  readonly clock: TestClock
  readonly journal: Journal
  readonly definitions: ReadonlyArray<AnyDefinition>
  readonly shard: Shard
  /** Replies and acknowledgements in the order in which they came. */
  readonly told: Array<string> = []
  readonly notices: Array<NoticeOf<typeof Counter>> = []
  readonly defects: Array<string> = []
  readonly poisons: Array<AppendFailure> = []
  readonly faults: Array<unknown> = []

  constructor(options: HarnessOptions = {}) {
    this.clock = options.clock ?? new TestClock()
    const inner = options.journal ?? new MemoryJournal(this.clock, options.segmentBytes ?? 1e9)
    this.journal = new FaultyJournal(inner, this.clock, options.faultAt ?? (() => undefined))
    const counters: AnyDefinition = makeCounter(options.switches)
    const perActor = options.counterBytes
    const weights = perActor === undefined ? undefined : [{ holder: "sessions", perActor, bytesOf: () => 0 } as const]
    this.definitions = [ShardActor, weights === undefined ? counters : { ...counters, weights }, ToyPartition]
    this.shard = oneShard({
      journal: this.journal,
      clock: this.clock,
      limits: options.limits ?? {},
      definitions: this.definitions,
      onPoison: (failure) => this.poisons.push(failure),
      onTrouble: (where, defect) => this.defects.push(`${where}: ${String(defect)}`)
    })
    this.shard.onNotice(Counter, (notice) => this.notices.push(notice))
  }

  /** Recovers, starts, and lets the start become durable. */
  start(): this {
    this.shard.recover()
    this.shard.start((defect) => this.faults.push(defect))
    this.clock.runTurns()
    return this
  }

  /** A command whose reply is told under `name`. */
  ask(name: string, to: ActorId, command: CounterCommand | ToyPartitionCommand): void {
    this.shard.offer({
      to,
      command,
      cause: { origin: name },
      reply: (exit) => this.told.push(`${name} ${shown(exit)}`)
    })
  }

  tell(to: ActorId, command: CounterCommand | ToyPartitionCommand): void {
    this.shard.offer({ to, command, cause: {} })
  }

  acked(token: number, batch: PartitionBatch | undefined, index: number): void {
    if (batch === undefined) this.told.push(`ack ${token}`)
    else if (batch.refusal !== undefined) this.told.push(`ack ${token} refused`)
    else this.told.push(`ack ${token} at ${batch.logId}:${batch.baseOffset + index}`)
  }

  /** What was told since the last time. */
  heard(): Array<string> {
    return this.told.splice(0)
  }

  run(): Array<string> {
    this.clock.runTurns()
    return this.heard()
  }

  advance(ms: number): Array<string> {
    this.clock.advance(ms)
    return this.heard()
  }

  /** Every state that is not empty, as it would be saved. */
  states(): Map<ActorId, unknown> {
    const { actors } = this.shard
    return this.#saved(actors.ids().map((id) => [id, newestState(actors, id)] as const))
  }

  replayed(
    endSeq: Seq,
    fromStart = false
  ): { states: Map<ActorId, unknown>; mismatches: Array<Mismatch>; hashes: number } {
    const mismatches: Array<Mismatch> = []
    const onMismatch = (mismatch: Mismatch) => mismatches.push(mismatch)
    const { states, hashes } = new Replay(this.definitions, { endSeq, onMismatch, fromStart }).run(this.journal)
    return { states: this.#saved(states), mismatches, hashes }
  }

  #saved(states: Iterable<readonly [ActorId, unknown]>): Map<ActorId, unknown> {
    const saved = new Map<ActorId, unknown>()
    for (const [id, state] of [...states].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const definition = this.shard.actors.definition(id)
      if (!definition.isEmpty(state)) saved.set(id, structuredClone(definition.save(state)))
    }
    return saved
  }

  /** What is durable, replayed, is what is live. */
  expectReplayIsLive(): void {
    const { states, mismatches } = this.replayed(this.journal.nextSeq)
    expect(states).toEqual(this.states())
    expect(mismatches).toEqual([])
  }
}

export const shown = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.match(exit, {
    onSuccess: (value) => `ok ${JSON.stringify(value)}`,
    onFailure: (cause) => {
      if (Cause.isFailType(cause)) return `failed ${String(cause.error)}`
      return Cause.isDieType(cause) ? `died ${(cause.defect as Error).name} ${(cause.defect as Error).message}` : "odd"
    }
  })
