import { systemClock } from "@logbrook/core/Clock"
import type { AppendFailure, Commit } from "@logbrook/core/journal/Journal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"

/** A journal in memory on a disk that takes as long as the test wants. */
export class HeldJournal extends MemoryJournal {
  #isHeld = false
  #undurable: Array<() => void> = []

  constructor() {
    super(systemClock)
  }

  /** Commits that were handed over, and are not durable. */
  get undurable(): number {
    return this.#undurable.length
  }

  override append(commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    super.append(commit, (failure) => {
      if (this.#isHeld) this.#undurable.push(() => settle(failure))
      else settle(failure)
    })
  }

  /** From now on nothing becomes durable. */
  hold(): void {
    this.#isHeld = true
  }

  /** What was handed over is durable now; what comes later is not. */
  settle(): void {
    for (const settle of this.#undurable.splice(0)) settle()
  }

  release(): void {
    this.#isHeld = false
    this.settle()
  }
}
