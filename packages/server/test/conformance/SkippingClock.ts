import { type Clock, systemClock } from "@logbrook/core/Clock"

interface Task {
  readonly dueMs: number
  readonly run: () => void
  readonly cancel: () => void
}

/** The system's clock, with which a test passes over the time that it would have to wait for. */
export class SkippingClock implements Clock {
  #skippedMs = 0
  readonly #tasks = new Set<Task>()
  readonly nextTurn = systemClock.nextTurn
  readonly nowMs = () => systemClock.nowMs() + this.#skippedMs
  readonly monotonicMs = () => systemClock.monotonicMs() + this.#skippedMs

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

  /** Runs what is due then at once. */
  skip(ms: number): void {
    this.#skippedMs += ms
    const due = [...this.#tasks].filter(({ dueMs }) => dueMs <= this.monotonicMs())
    for (const task of due.sort((a, b) => a.dueMs - b.dueMs)) this.#run(task)
  }
}
