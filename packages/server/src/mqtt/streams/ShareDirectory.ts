import type { StreamShareState } from "@logbrook/actors/streamShare/StreamShare"
import type { StreamShareEvent } from "@logbrook/actors/streamShare/StreamShareProtocol"

/** A group without members, since `sinceMs` (Unix ms). */
export interface IdleShare {
  readonly filter: string
  readonly sinceMs: number
}

/** The groups that read streams, as the journal holds them, by their filters. */
export class ShareDirectory {
  readonly #withMembers = new Set<string>()
  /** Since when they have no member: first the one that has none for longest. */
  readonly #idle = new Map<string, number>()
  /** Idle ones that are about to be forgotten. */
  readonly #taken = new Set<string>()

  constructor(restored: ReadonlyArray<Pick<StreamShareState, "filter" | "idleSinceMs">>) {
    const idle: Array<readonly [filter: string, sinceMs: number]> = []
    for (const { filter, idleSinceMs } of restored) {
      if (idleSinceMs === null) this.#withMembers.add(filter)
      else idle.push([filter, idleSinceMs])
    }
    idle.sort(([, a], [, b]) => a - b)
    for (const [filter, sinceMs] of idle) this.#idle.set(filter, sinceMs)
  }

  get withMembers(): number {
    return this.#withMembers.size
  }

  get idle(): number {
    return this.#idle.size
  }

  *filters(): IterableIterator<string> {
    yield* this.#withMembers
    yield* this.#idle.keys()
  }

  /** True: the group is forgotten, since it was taken. */
  fold(filter: string, event: StreamShareEvent): boolean {
    switch (event._tag) {
      case "ShareStarted":
      case "ShareResumed":
        this.#forget(filter)
        this.#withMembers.add(filter)
        return false
      case "ShareIdle":
        this.#forget(filter)
        this.#idle.set(filter, event.sinceMs)
        return false
      case "ShareExpired":
        return this.#forget(filter)
      default:
        return false
    }
  }

  #forget(filter: string): boolean {
    this.#withMembers.delete(filter)
    this.#idle.delete(filter)
    return this.#taken.delete(filter)
  }

  /** Takes those above so many that have no member for longest, to be forgotten unless a member comes first. */
  takeOver(idleMax: number): ReadonlyArray<IdleShare> {
    const taken: Array<IdleShare> = []
    for (const [filter, sinceMs] of this.#idle) {
      if (this.#idle.size - this.#taken.size <= idleMax) break
      if (this.#taken.has(filter)) continue
      this.#taken.add(filter)
      taken.push({ filter, sinceMs })
    }
    return taken
  }
}
