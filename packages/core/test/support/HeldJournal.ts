import { type Clock, systemClock } from "@logbrook/core/Clock"
import type { AppendFailure, Commit, Seq } from "@logbrook/core/journal/Journal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"

/** A journal in memory on a disk that takes as long as the test wants. */
export class HeldJournal extends MemoryJournal {
  #isHeld = false
  /** One after the last event that is durable. */
  durableSeq: Seq = 1
  readonly #undurable: Array<(refused?: AppendFailure) => void> = []

  constructor(clock: Clock = systemClock) {
    super(clock)
  }

  /** Commits that were handed over, and are not durable. */
  get undurable(): number {
    return this.#undurable.length
  }

  override append(commit: Commit, done: (failure: AppendFailure | undefined) => void): void {
    super.append(commit, (failure) => {
      const end = (refused = failure): void => {
        if (refused === undefined) this.durableSeq = commit.nextSeq
        done(refused)
      }
      if (this.#isHeld) this.#undurable.push(end)
      else end()
    })
  }

  /** From now on nothing becomes durable. */
  hold(): void {
    this.#isHeld = true
  }

  /** So many of those that were handed over are durable now, the oldest first; what comes later is not. */
  makeDurable(commits = Infinity): void {
    for (const end of this.#undurable.splice(0, commits)) end()
  }

  /** The oldest could not be written. */
  refuse(detail: string): void {
    this.#undurable.shift()!({ reason: "Unavailable", detail })
  }

  release(): void {
    this.#isHeld = false
    this.makeDurable()
  }
}
