import { setImmediate } from "node:timers/promises"
import type { Metrics } from "../Metrics.ts"

/** The metrics as a page, made in slices between which the event loop turns: one page at a time, however many ask. */
export class MetricsPage {
  readonly #metrics: Metrics
  readonly #rowsMax: number
  #last: Promise<unknown> = Promise.resolve()

  constructor(metrics: Metrics, rowsMax: number) {
    this.#metrics = metrics
    this.#rowsMax = rowsMax
  }

  /** In the order of the calls. `isAll`: every row of every table has series, not only the largest. */
  render(isAll: boolean): Promise<ReadonlyArray<Buffer>> {
    const page = this.#last.then(() => this.#render(isAll ? Infinity : this.#rowsMax))
    // A page that was sent is not kept.
    this.#last = page.then(
      () => undefined,
      () => undefined
    )
    return page
  }

  async #render(rowsMax: number): Promise<ReadonlyArray<Buffer>> {
    const parts: Array<Buffer> = []
    for (const text of this.#metrics.slices(rowsMax)) {
      if (text !== "") parts.push(Buffer.from(text))
      await setImmediate()
    }
    return parts
  }
}
