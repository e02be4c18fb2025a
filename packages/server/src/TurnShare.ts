import type { Clock } from "@logbrook/core/Clock"

/**
 * How much of one kind of work is done in one turn of the event loop, by all connections together. Whoever comes when it is
 * used up waits for the next turn of the event loop, in the order of coming: what many clients ask for at the same moment then
 * stands in nobody's way for longer than such a turn takes.
 */
export class TurnShare {
  readonly #clock: Clock
  readonly #max: number
  #left: number
  #isArmed = false
  #waiting: Array<() => void> = []

  /** `max`: so much is begun in a turn of the event loop; what is begun may end above it. */
  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#max = max
    this.#left = max
  }

  /** Another one has to wait. */
  get isUsedUp(): boolean {
    return this.#left <= 0
  }

  use(amount: number): void {
    this.#left -= amount
    this.#arm()
  }

  /** Runs `task` in a later turn of the event loop, behind those that wait already. */
  wait(task: () => void): void {
    this.#waiting.push(task)
    this.#arm()
  }

  #arm(): void {
    if (this.#isArmed) return
    this.#isArmed = true
    this.#clock.nextTurn(() => this.#turn())
  }

  #turn(): void {
    this.#isArmed = false
    this.#left = this.#max
    const waiting = this.#waiting
    this.#waiting = []
    let next = 0
    try {
      while (next < waiting.length && this.#left > 0) waiting[next++]!()
    } finally {
      this.#waiting = [...waiting.slice(next), ...this.#waiting]
      if (this.#waiting.length > 0) this.#arm()
    }
  }
}
