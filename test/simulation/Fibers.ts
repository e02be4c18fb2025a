import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scheduler from "effect/Scheduler"

/**
 * Runs the server's fibers in the simulation's order: a fiber that wakes goes on in the same step, as a microtask of the simulation.
 * What is started by `runNow` goes on in the call itself.
 */
export class Fibers {
  #now: Array<() => void> | undefined
  readonly #scheduler = Scheduler.make((task) => {
    if (this.#now === undefined) queueMicrotask(task)
    else this.#now.push(task)
  })

  /** What the effect ends with, at once, or what it fails with, thrown; fibers that it has forked live on. */
  runNow<A, E>(effect: Effect.Effect<A, E>): A {
    this.#now = []
    const fiber = Effect.runFork(effect, { scheduler: this.#scheduler })
    for (let task = this.#now.shift(); task !== undefined; task = this.#now.shift()) task()
    this.#now = undefined
    const exit = fiber.unsafePoll()
    if (exit === null) throw new Error("it waits for something")
    if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
    return exit.value
  }

  async run<A, E>(effect: Effect.Effect<A, E>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    Effect.runFork(effect, { scheduler: this.#scheduler }).addObserver(() => resolve())
    await promise
  }
}
