import type { Clock } from "@logbrook/core/Clock"

const everyMs = 1000

/**
 * Counts by key and tells of each key once a second: an event or a line for each occurrence would be as many as there
 * are messages. A crash loses what was counted in the last second.
 */
export class Tallies<T> {
  readonly #clock: Clock
  readonly #toldPerSecondMax: number
  readonly #tell: (key: string, tally: T) => void
  readonly #tallies = new Map<string, T>()
  #cancel: (() => void) | undefined

  /** If there are more keys than `toldPerSecondMax`, the rest is told of in the seconds after, with what comes until then. */
  constructor(clock: Clock, toldPerSecondMax: number, tell: (key: string, tally: T) => void) {
    this.#clock = clock
    this.#toldPerSecondMax = toldPerSecondMax
    this.#tell = tell
  }

  get size(): number {
    return this.#tallies.size
  }

  get(key: string): T | undefined {
    return this.#tallies.get(key)
  }

  set(key: string, tally: T): T {
    this.#tallies.set(key, tally)
    this.#cancel ??= this.#clock.after(everyMs, () => this.#due())
    return tally
  }

  #due(): void {
    this.#cancel = undefined
    this.#tellSome(this.#toldPerSecondMax)
    if (this.#tallies.size > 0) this.#cancel = this.#clock.after(everyMs, () => this.#due())
  }

  /** Tells all that is there: the server stops. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#tellSome(Infinity)
  }

  #tellSome(keysMax: number): void {
    let told = 0
    for (const [key, tally] of this.#tallies) {
      if (told++ >= keysMax) return
      this.#tallies.delete(key)
      this.#tell(key, tally)
    }
  }
}
