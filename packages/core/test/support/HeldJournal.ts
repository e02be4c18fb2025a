import { systemClock } from "@logbrook/core/Clock"
import type { AppendFailure, Commit } from "@logbrook/core/journal/Journal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"

/** A journal in memory on a disk that takes as long as the test wants. */
export class HeldJournal extends MemoryJournal {
  #isHeld = false
  readonly #undurable: Array<(refused?: AppendFailure) => void> = []

  constructor() {
    super(systemClock)
  }

  /** Commits that were handed over, and are not durable. */
  get undurable(): number {
    return this.#undurable.length
  }

  override append(commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    super.append(commit, (failure) => {
      if (this.#isHeld) this.#undurable.push((refused) => settle(refused ?? failure))
      else settle(failure)
    })
  }

  /** From now on nothing becomes durable. */
  hold(): void {
    this.#isHeld = true
  }

  /** So many of those that were handed over are durable now, the oldest first; what comes later is not. */
  settle(commits = Infinity): void {
    for (const settle of this.#undurable.splice(0, commits)) settle()
  }

  /** The oldest could not be written. */
  refuse(detail: string): void {
    this.#undurable.shift()!({ reason: "Unavailable", detail })
  }

  release(): void {
    this.#isHeld = false
    this.settle()
  }
}
