import type { Clock } from "../Clock.ts"

interface Deadline<T> {
  /** As it was given: Unix ms. */
  readonly unixMs: number
  /** By the monotonic clock, as all times in here. */
  readonly atMs: number
  /** The time of its one entry in the heap, at or before `atMs`; entries with another time are stale. */
  readonly queuedAtMs: number
  readonly value: T
}

interface Entry {
  readonly key: string
  readonly atMs: number
}

const staleEntriesMax = 1024
/** Node fires a timer of 2^31 ms or more at once; a deadline further away is looked at again then. */
const delayMsMax = 2 ** 31 - 1

/**
 * Deadlines by key, given as Unix times, since that is what the journal keeps, and turned into durations when they are armed:
 * a machine's clock that is set forth or back moves none of them. Moving one (a heartbeat does it each time) touches a map
 * only: its old heap entry is dropped, or put back for the later time, when it comes up.
 */
export class Timers<T> {
  readonly #clock: Clock
  readonly #expire: (value: T) => void
  #deadlines = new Map<string, Deadline<T>>()
  /** Those of before, while `renew` runs. */
  #before: ReadonlyMap<string, Deadline<T>> = new Map()
  readonly #heap: Array<Entry> = []
  #armedForMs = Infinity
  #disarm: (() => void) | undefined

  constructor(clock: Clock, expire: (value: T) => void) {
    this.#clock = clock
    this.#expire = expire
  }

  get size(): number {
    return this.#deadlines.size
  }

  /**
   * A deadline that has passed expires before the call returns: after a restart that is before anybody can ask.
   * `unixOffsetMs`: by how much Unix time was ahead of the monotonic clock when the deadline was made.
   */
  set(key: string, unixMs: number, value: T, unixOffsetMs = this.#clock.nowMs() - this.#clock.monotonicMs()): void {
    const known = this.#deadlines.get(key)
    // The same deadline once more, as after an actor's replay, stays where it is though the clock was set meanwhile.
    const before = known ?? this.#before.get(key)
    const atMs = before?.unixMs === unixMs ? before.atMs : unixMs - unixOffsetMs
    if (atMs <= this.#clock.monotonicMs()) {
      this.#deadlines.delete(key)
      this.#expire(value)
      return
    }
    // A later time leaves the entry that is there: it comes up, finds the new time, and goes back.
    const queuedAtMs = known !== undefined && known.queuedAtMs <= atMs ? known.queuedAtMs : atMs
    this.#deadlines.set(key, { unixMs, atMs, queuedAtMs, value })
    if (queuedAtMs === known?.queuedAtMs) return
    if (this.#heap.length > staleEntriesMax + 2 * this.#deadlines.size) this.#rebuild()
    else this.#push({ key, atMs })
    this.#arm()
  }

  has(key: string): boolean {
    return this.#deadlines.has(key)
  }

  cancel(key: string): void {
    this.#deadlines.delete(key)
  }

  /** Forgets all but what `setAgain` sets: of these the same deadlines stay where they were. */
  renew(setAgain: () => void): void {
    const before = this.#deadlines
    this.clear()
    this.#before = before
    setAgain()
    this.#before = new Map()
  }

  clear(): void {
    this.#deadlines = new Map()
    this.#heap.length = 0
    this.#disarm?.()
    this.#armedForMs = Infinity
  }

  #arm(): void {
    const first = this.#heap[0]
    if (first === undefined || first.atMs >= this.#armedForMs) return
    this.#disarm?.()
    this.#armedForMs = first.atMs
    const delayMs = Math.max(0, first.atMs - this.#clock.monotonicMs())
    this.#disarm = this.#clock.after(Math.min(delayMs, delayMsMax), () => this.#due())
  }

  #due(): void {
    this.#armedForMs = Infinity
    this.#disarm = undefined
    const nowMs = this.#clock.monotonicMs()
    while (this.#heap.length > 0 && this.#heap[0]!.atMs <= nowMs) {
      const { key, atMs } = this.#pop()
      const deadline = this.#deadlines.get(key)
      if (deadline?.queuedAtMs !== atMs) continue
      if (deadline.atMs > nowMs) {
        this.#deadlines.set(key, { ...deadline, queuedAtMs: deadline.atMs })
        this.#push({ key, atMs: deadline.atMs })
      } else {
        this.#deadlines.delete(key)
        this.#expire(deadline.value)
      }
    }
    this.#arm()
  }

  /** Cancelled deadlines leave entries until their time comes; too many of them are swept out. */
  #rebuild(): void {
    this.#heap.length = 0
    for (const [key, deadline] of this.#deadlines) {
      this.#deadlines.set(key, { ...deadline, queuedAtMs: deadline.atMs })
      this.#push({ key, atMs: deadline.atMs })
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.atMs <= entry.atMs) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #pop(): Entry {
    const heap = this.#heap
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++
      if (heap[child]!.atMs >= last.atMs) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return top
  }
}
