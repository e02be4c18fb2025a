import type { Clock } from "@logbrook/core/Clock"
import type { Random } from "./Random.ts"

interface Entry {
  readonly atUs: number
  readonly order: number
  run: (() => void) | undefined
}

export type Cancel = () => void

const startMs = 1_800_000_000_000

/** The one queue of everything that happens, by time and then by the order in which it was put there. */
export class Scheduler {
  readonly #heap: Array<Entry> = []
  #microtasks: Array<() => void> = []
  #order = 0
  nowUs = 0
  steps = 0
  /** What is wrong with the machine's clock, as after a step by NTP. */
  #wallOffsetMs = 0
  #nowMsBefore = 0

  /** Unix ms, as the machine tells it. */
  get nowMs(): number {
    return startMs + Math.floor(this.nowUs / 1000) + this.#wallOffsetMs
  }

  /** The latest that it has told so far. */
  get nowMsMax(): number {
    return Math.max(this.#nowMsBefore, this.nowMs)
  }

  stepWall(byMs: number): void {
    this.#nowMsBefore = this.nowMsMax
    this.#wallOffsetMs += byMs
  }

  /** Since the beginning of the simulation, whatever the machine's clock says. */
  get elapsedMs(): number {
    return this.nowUs / 1000
  }

  /** In place of `queueMicrotask`. */
  readonly microtask = (task: () => void): void => {
    this.#microtasks.push(task)
  }

  /** In whole microseconds, never early: with fractions, two tasks of the same moment could change places. */
  after(delayUs: number, run: () => void): Cancel {
    const entry: Entry = { atUs: this.nowUs + Math.max(0, Math.ceil(delayUs)), order: this.#order++, run }
    this.#push(entry)
    return () => {
      entry.run = undefined
    }
  }

  /** Runs the next task and what it puts off to its end; false when there is none. */
  step(): boolean {
    let entry = this.#pop()
    while (entry !== undefined && entry.run === undefined) entry = this.#pop()
    if (entry === undefined) return false
    this.nowUs = entry.atUs
    this.steps++
    entry.run!()
    this.drain()
    return true
  }

  drain(): void {
    while (this.#microtasks.length > 0) {
      const tasks = this.#microtasks
      this.#microtasks = []
      for (const task of tasks) task()
    }
  }

  #isBefore(a: Entry, b: Entry): boolean {
    return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#isBefore(entry, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && this.#isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!this.#isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return top
  }
}

/** One life of the server's process: its clock, whose tasks die with it. */
export class Process implements Clock {
  readonly #scheduler: Scheduler
  readonly #random: Random
  #turnUs = 0
  isAlive = true

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler
    this.#random = random
  }

  readonly nowMs = (): number => this.#scheduler.nowMs

  readonly monotonicMs = (): number => this.#scheduler.elapsedMs

  /** Never early, up to a millisecond late. */
  readonly after = (delayMs: number, task: () => void): Cancel =>
    this.#scheduler.after(Math.max(0, delayMs) * 1000 + this.#random.between(0, 1000), () => {
      if (this.isAlive) task()
    })

  /** In order, a few microseconds later; what comes from outside may come first. */
  readonly nextTurn = (task: () => void): void => {
    this.#turnUs = Math.max(this.#turnUs, this.#scheduler.nowUs + this.#random.between(2, 60))
    this.#scheduler.after(this.#turnUs - this.#scheduler.nowUs, () => {
      if (this.isAlive) task()
    })
  }
}
