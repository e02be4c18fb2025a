import type { ActorId } from "../actor/Definition.ts"
import type { Seq } from "../journal/Journal.ts"
import type { Live } from "./ActorTable.ts"
import { Replay } from "./Replay.ts"
import type { ShardOptions } from "./Shard.ts"

/** More restarts than this within the window, and the actor is given up. */
const restartsMax = 5
const windowMs = 60_000
const firstDelayMs = 20

/**
 * Restarts of single actors whose `evolve` threw: by replay, with growing delays, given up when too many.
 * The others run on. A replay waits until nothing is in flight, since it can only know what is durable.
 */
export class Restarts {
  readonly #options: ShardOptions
  readonly #resume: (id: ActorId) => void
  readonly #due = new Set<Live>()
  readonly failed: Array<ActorId> = []

  constructor(options: ShardOptions, resume: (id: ActorId) => void) {
    this.#options = options
    this.#resume = resume
  }

  begin(live: Live, defect: unknown): void {
    const { clock, onDefect } = this.#options
    onDefect(live.id, defect)
    const nowMs = clock.nowMs()
    const restartsMs = [...live.restartsMs.filter((at) => at > nowMs - windowMs), nowMs]
    live.restartsMs = restartsMs
    if (restartsMs.length > restartsMax) {
      live.health = "failed"
      this.failed.push(live.id)
      return
    }
    live.health = "restarting"
    clock.after(firstDelayMs * 2 ** (restartsMs.length - 1), () => this.#due.add(live))
  }

  /** Nothing is in flight: the states of those that are due are rebuilt from the journal, which ends at `endSeq`. */
  drained(endSeq: Seq): void {
    for (const live of this.#due) {
      this.#due.delete(live)
      try {
        const { states } = new Replay([live.definition], { endSeq, only: (id) => id === live.id }).run(
          this.#options.journal
        )
        live.state = states.get(live.id) ?? live.definition.initial(live.id)
        live.health = "running"
        this.#resume(live.id)
      } catch (defect) {
        this.begin(live, defect)
      }
    }
  }
}
