import type { Clock } from "../Clock.ts"

/** Lets a worker rest, so that it takes a bounded share of the processor and of the disk from those whose disk it is. */
export class Pace {
  readonly #clock: Clock
  readonly #sliceMs: number
  /** For each millisecond of work, as many of rest; may change at any time. */
  restShare: number
  #sinceMs: number

  /** Works for `sliceMs` at a time. */
  constructor(clock: Clock, sliceMs: number, restShare: number) {
    this.#clock = clock
    this.#sliceMs = sliceMs
    this.restShare = restShare
    this.#sinceMs = clock.monotonicMs()
  }

  /** Between two small pieces of work. */
  async step(): Promise<void> {
    const workedMs = this.#clock.monotonicMs() - this.#sinceMs
    if (workedMs < this.#sliceMs) return
    const { promise, resolve } = Promise.withResolvers<void>()
    if (this.restShare === 0) this.#clock.nextTurn(resolve)
    else this.#clock.after(Math.ceil(workedMs * this.restShare), resolve)
    await promise
    this.#sinceMs = this.#clock.monotonicMs()
  }
}
