import * as Exit from "effect/Exit"
import type { ActorId } from "../actor/Definition.ts"
import type { Seq } from "../journal/Journal.ts"
import { ActorUnavailable, type Live } from "./ActorTable.ts"
import { Replay } from "./Replay.ts"
import type { ShardOptions } from "./ShardOptions.ts"

/** More restarts than this within the window, and the actor is given up. */
const restartsMax = 5
const windowMs = 60_000
const firstDelayMs = 20

export interface RestartHooks {
  /** An actor may be rebuilt as soon as nothing is in flight. */
  readonly due: () => void
  /** An actor runs again, from what is durable. */
  readonly resumed: (id: ActorId) => void
}

/**
 * Restarts of single actors whose `evolve` threw: by replay, with growing delays, given up when too many.
 * The others run on. A replay waits until nothing is in flight, since it can only know what is durable.
 */
export class Restarts {
  readonly #options: ShardOptions
  readonly #hooks: RestartHooks
  readonly #due = new Set<Live>()
  readonly #cancels = new Map<Live, () => void>()
  #failed: Array<ActorId> = []

  constructor(options: ShardOptions, hooks: RestartHooks) {
    this.#options = options
    this.#hooks = hooks
  }

  /** The actors that were given up. */
  get failed(): ReadonlyArray<ActorId> {
    return this.#failed
  }

  /** Its callers are told: a restart forgets parked replies. */
  begin(live: Live, defect: unknown): void {
    const { clock, onDefect } = this.#options
    onDefect(live.id, defect)
    const nowMs = clock.monotonicMs()
    const restartsMs = [...live.restartsMs.filter((at) => at > nowMs - windowMs), nowMs]
    live.restartsMs = restartsMs
    const isGivenUp = restartsMs.length > restartsMax
    live.health = isGivenUp ? "failed" : "restarting"
    if (isGivenUp) this.#failed.push(live.id)
    else {
      this.#options.onRestart?.(live.id)
      const cancel = clock.after(firstDelayMs * 2 ** (restartsMs.length - 1), () => {
        this.#cancels.delete(live)
        this.#due.add(live)
        this.#hooks.due()
      })
      this.#cancels.set(live, cancel)
    }
    const exit = Exit.die(new ActorUnavailable(`${live.id} is ${live.health}`, { cause: defect }))
    const parked = live.parked
    live.parked = undefined
    for (const reply of parked?.values() ?? []) reply(exit)
  }

  /** Nothing is in flight: the states of those that are due are rebuilt from the journal, which ends at `endSeq`. */
  drained(endSeq: Seq): void {
    if (this.#due.size === 0) return
    const due = [...this.#due]
    this.#due.clear()
    for (const live of due) {
      try {
        const { states } = new Replay([live.definition], { endSeq, only: (id) => id === live.id }).run(
          this.#options.journal
        )
        live.state = states.get(live.id) ?? live.definition.initial(live.id)
        live.health = "running"
        this.#hooks.resumed(live.id)
      } catch (defect) {
        this.begin(live, defect)
      }
    }
  }

  /** All states are rebuilt, or nobody is left to run. */
  clear(): void {
    for (const cancel of this.#cancels.values()) cancel()
    this.#cancels.clear()
    this.#due.clear()
    this.#failed = []
  }
}
