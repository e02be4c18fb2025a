/** Where time comes from; the simulation replaces it. Milliseconds since the Unix epoch. */
export interface Clock {
  readonly nowMs: () => number
  /** Runs `task` once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, task: () => void) => () => void
  /** Runs `task` once, on the next turn of the event loop. */
  readonly nextTurn: (task: () => void) => void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs)
    return () => clearTimeout(timer)
  },
  nextTurn: (task) => {
    setImmediate(task)
  }
}
