import type { Clock } from "@logbrook/core/Clock"

interface Waiting {
  readonly atMs: number
  readonly order: number
  readonly task: () => void
}

const turnsMax = 1_000_000

/** A clock that stands until it is moved: the same calls give the same order of tasks, always. */
export class TestClock implements Clock {
  #nowMs: number
  /** How far the machine's clock was set forth; negative: back. */
  setForthMs = 0
  #order = 0
  #turn: Array<() => void> = []
  readonly #waiting = new Set<Waiting>()

  constructor(nowMs = 1_800_000_000_000) {
    this.#nowMs = nowMs
  }

  readonly nowMs = (): number => this.#nowMs + this.setForthMs

  readonly monotonicMs = (): number => this.#nowMs

  readonly after = (delayMs: number, task: () => void): (() => void) => {
    const waiting: Waiting = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, task }
    this.#waiting.add(waiting)
    return () => void this.#waiting.delete(waiting)
  }

  readonly nextTurn = (task: () => void): void => {
    this.#turn.push(task)
  }

  /** Tasks that wait for the time to move. */
  get timers(): number {
    return this.#waiting.size
  }

  /** One turn of the event loop: what was put off to it before, not what comes meanwhile. False if there was nothing. */
  runTurn(): boolean {
    const tasks = this.#turn
    this.#turn = []
    for (const task of tasks) task()
    return tasks.length > 0
  }

  /** Turns until nothing is put off any more, with the time standing. */
  runTurns(): void {
    for (let turn = 0; this.runTurn(); turn++) if (turn > turnsMax) throw new Error("the turns do not end")
  }

  /** Moves the time on, running what becomes due in its order, and the turns that follow from it. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms
    this.runTurns()
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.#waiting.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.task()
      this.runTurns()
    }
    this.#nowMs = endMs
  }

  #next(endMs: number): Waiting | undefined {
    let next: Waiting | undefined
    for (const waiting of this.#waiting) {
      if (waiting.atMs > endMs) continue
      const isEarlier = next === undefined || waiting.atMs < next.atMs
      if (isEarlier || (waiting.atMs === next!.atMs && waiting.order < next!.order)) next = waiting
    }
    return next
  }
}
