/** Where time comes from; the simulation replaces it. */
export interface Clock {
  /** Milliseconds since the Unix epoch, for people, records and the journal. May jump: somebody sets the machine's clock. */
  readonly nowMs: () => number
  /** Milliseconds since some moment, for durations and timeouts. Never goes back and never jumps; a process's own. */
  readonly monotonicMs: () => number
  /** Runs `task` once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, task: () => void) => () => void
  /** Runs `task` once, on the next turn of the event loop. */
  readonly nextTurn: (task: () => void) => void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs)
    return () => clearTimeout(timer)
  },
  nextTurn: (task) => {
    setImmediate(task)
  }
}
