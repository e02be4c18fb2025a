import type { Clock } from "@logbrook/core/Clock"

const secondMs = 1000

/** Counts what is new in the second that runs, against how much of it there may be. */
export class NewPerSecond {
  readonly #clock: Clock
  readonly #max: number
  #second = 0
  #count = 0

  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#max = max
  }

  get isUsedUp(): boolean {
    const second = Math.floor(this.#clock.monotonicMs() / secondMs)
    if (second !== this.#second) {
      this.#second = second
      this.#count = 0
    }
    return this.#count >= this.#max
  }

  /** There is one more in the second of which `isUsedUp` was asked. */
  add(): void {
    this.#count++
  }
}
