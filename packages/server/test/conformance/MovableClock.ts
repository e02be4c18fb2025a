import { type Clock, systemClock } from "@logbrook/core/Clock"

interface Task {
  readonly dueMs: number
  readonly run: () => void
  readonly cancel: () => void
}

/** The system's clock, which a test sets forth past the time that it would have to wait for. */
export class MovableClock implements Clock {
  #aheadMs = 0
  readonly #tasks = new Set<Task>()
  readonly nextTurn = systemClock.nextTurn
  readonly nowMs = () => systemClock.nowMs() + this.#aheadMs
  readonly monotonicMs = () => systemClock.monotonicMs() + this.#aheadMs

  readonly after = (delayMs: number, run: () => void): (() => void) => {
    const cancel = systemClock.after(delayMs, () => this.#run(task))
    const task = { dueMs: this.monotonicMs() + delayMs, run, cancel }
    this.#tasks.add(task)
    return () => {
      cancel()
      this.#tasks.delete(task)
    }
  }

  #run(task: Task): void {
    task.cancel()
    if (this.#tasks.delete(task)) task.run()
  }

  /** Runs at once what is due then, in its order. */
  advance(ms: number): void {
    this.#aheadMs += ms
    const due = [...this.#tasks].filter(({ dueMs }) => dueMs <= this.monotonicMs())
    for (const task of due.sort((a, b) => a.dueMs - b.dueMs)) this.#run(task)
  }
}
