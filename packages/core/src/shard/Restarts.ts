import * as Exit from "effect/Exit"
import type { ActorId } from "../actor/Definition.ts"
import type { Tagged } from "../actor/Kind.ts"
import type { Seq } from "../journal/Journal.ts"
import { ActorUnavailable, type Live } from "./ActorTable.ts"
import { Replay } from "./Replay.ts"
import type { ShardOptions } from "./ShardOptions.ts"

/** More restarts than this within the window, and the actor is given up. */
const restartsMax = 5
const windowMs = 60_000

/** An event that was decided and is not durable, or was not when the replay began. */
export interface UndurableEvent {
  readonly actor: ActorId
  readonly event: Tagged
  readonly seq: Seq
}

/**
 * Restarts of single actors whose `evolve` threw, each within the turn: the state is that before the decision again, from
 * what is durable and what is on its way there. So nobody else finds the actor missing, and what it has outside of its state
 * (deadlines, parked replies, connections) still fits. An actor that needs it too often is given up.
 */
export class Restarts {
  readonly #options: ShardOptions
  #failed: Array<ActorId> = []

  constructor(options: ShardOptions) {
    this.#options = options
  }

  /** The actors that were given up. */
  get failed(): ReadonlyArray<ActorId> {
    return this.#failed
  }

  /** `undurable`: of all actors, in order. `isAgain`: the same command has thrown just before. */
  restart(live: Live, defect: unknown, undurable: Iterable<UndurableEvent>, isAgain: boolean): void {
    const { clock, onDefect, onRestart } = this.#options
    onDefect(live.id, defect)
    const nowMs = clock.monotonicMs()
    if (!isAgain) live.restartsMs = [...live.restartsMs.filter((atMs) => atMs > nowMs - windowMs), nowMs]
    try {
      live.state = this.#replayed(live, undurable)
      onRestart?.(live.id)
      if (live.restartsMs.length > restartsMax) this.#giveUp(live, defect)
    } catch (error) {
      // Without a state it is in no snapshot, and so its events stay.
      live.state = undefined
      onDefect(live.id, error)
      this.#giveUp(live, error)
    }
  }

  #replayed({ id, definition }: Live, undurable: Iterable<UndurableEvent>): unknown {
    const { journal } = this.#options
    const endSeq = journal.nextSeq
    const { states } = new Replay([definition], { endSeq, only: (each) => each === id }).run(journal)
    let state = states.get(id) ?? definition.initial(id)
    for (const { actor, event, seq } of undurable) {
      if (actor === id && seq >= endSeq) state = definition.evolve(state, event)
    }
    return state
  }

  /** Its callers are told, those with parked replies too. */
  #giveUp(live: Live, defect: unknown): void {
    live.health = "failed"
    this.#failed.push(live.id)
    const exit = Exit.die(new ActorUnavailable(`${live.id} is failed`, { cause: defect }))
    const parked = live.parked
    live.parked = undefined
    for (const reply of parked?.values() ?? []) reply(exit)
  }

  /** All states are rebuilt. */
  clear(): void {
    this.#failed = []
  }
}
