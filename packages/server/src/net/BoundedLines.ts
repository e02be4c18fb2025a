import type { Clock } from "@logbrook/core/Clock"
import type { Fields, Log } from "../Log.ts"

const secondMs = 1000

/**
 * Log lines that clients cause: so many a second at most, and at its end how many there were beyond them. A flood of clients
 * must not become one of lines.
 */
export class BoundedLines {
  readonly #log: Log
  readonly #clock: Clock
  readonly #level: "info" | "warn"
  readonly #linesPerSecondMax: number
  /** Says that there were more, with their count as `count`. */
  readonly #moreMessage: string
  #second = 0
  #lines = 0
  /** The lines of this second that were not written. */
  #more = 0
  #cancel: (() => void) | undefined

  constructor(log: Log, clock: Clock, level: "info" | "warn", linesPerSecondMax: number, moreMessage: string) {
    this.#log = log
    this.#clock = clock
    this.#level = level
    this.#linesPerSecondMax = linesPerSecondMax
    this.#moreMessage = moreMessage
  }

  write(message: string, fields: Fields): void {
    const nowMs = this.#clock.monotonicMs()
    const second = Math.floor(nowMs / secondMs)
    if (second !== this.#second) {
      this.flush()
      this.#second = second
      this.#lines = 0
    }
    this.#lines++
    if (this.#lines <= this.#linesPerSecondMax) {
      this.#log[this.#level](message, fields)
      return
    }
    this.#more++
    this.#cancel ??= this.#clock.after((second + 1) * secondMs - nowMs, () => this.flush())
  }

  /** Tells of what was not written, before the second is over: the server stops. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#more > 0) this.#log[this.#level](this.#moreMessage, { count: this.#more })
    this.#more = 0
  }
}
