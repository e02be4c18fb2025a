import type { Clock } from "@logbrook/core/Clock"
import type { Fields, Log } from "../Log.ts"

/** Log lines that clients cause: so many a second at most, then how many there were. A flood of clients must not become one of lines. */
export class BoundedLines {
  readonly #log: Log
  readonly #clock: Clock
  readonly #level: "info" | "warn"
  readonly #linesPerSecondMax: number
  /** Says that there were more, with their count as `count`. */
  readonly #moreMessage: string
  #second = 0
  #lines = 0

  constructor(log: Log, clock: Clock, level: "info" | "warn", linesPerSecondMax: number, moreMessage: string) {
    this.#log = log
    this.#clock = clock
    this.#level = level
    this.#linesPerSecondMax = linesPerSecondMax
    this.#moreMessage = moreMessage
  }

  write(message: string, fields: Fields): void {
    const second = Math.floor(this.#clock.monotonicMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      const count = this.#lines - this.#linesPerSecondMax
      if (count > 0) this.#log[this.#level](this.#moreMessage, { count })
      this.#lines = 0
    }
    this.#lines++
    if (this.#lines <= this.#linesPerSecondMax) this.#log[this.#level](message, fields)
  }
}
