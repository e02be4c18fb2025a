import { seedGlobals } from "../../simulation/seededGlobals.ts"
import { Random } from "../../simulation/Random.ts"

/** What the platform does at the end of each callback, and the ids that it gives: here they follow from a seed. */
export class Turns {
  #microtasks: Array<() => void> = []
  #random = new Random(0, "ids")
  readonly restore: () => void

  constructor() {
    const ids = { bytes: (length: number) => this.#random.bytes(length) }
    this.restore = seedGlobals(ids, (task) => void this.#microtasks.push(task))
  }

  /** The ids from now on are those of this seed. */
  seed(seed: number): void {
    this.#random = new Random(seed, "ids")
  }

  /** A callback of the platform with all that it puts off to its end. */
  whole(task: () => void): () => void {
    return () => {
      task()
      this.drain()
    }
  }

  drain(): void {
    while (this.#microtasks.length > 0) {
      const tasks = this.#microtasks
      this.#microtasks = []
      for (const task of tasks) task()
    }
  }
}
