import type { Clock } from "../Clock.ts"
import type { Extent } from "../journal/Extent.ts"
import type { SegmentInfo, Seq } from "../journal/Journal.ts"
import type { LmdbJournal, Settling } from "../journal/LmdbJournal.ts"
import { removeEnvironment } from "../journal/segmentFiles.ts"
import type { LogStore } from "../storage/LogStore.ts"
import type { SettleOutcome, SettleWork } from "./childProcess.ts"
import type { Settled, SettleJob } from "./settleSegment.ts"

/** Where the journal's side of a settling can be interrupted; for tests that crash it there. */
export type SettlerStep = "written" | "adopted" | "switched" | "released"

export interface SettlerOptions {
  readonly journal: Pick<
    LmdbJournal,
    "segments" | "settling" | "adoptSettled" | "releaseOriginal" | "visitRuns" | "onChange"
  >
  readonly logs: LogStore
  readonly clock: Clock
  readonly work: (job: SettleJob) => SettleWork
  /** True: as many closed segments wait as may; appends shall wait too. */
  readonly onHold: (isHeld: boolean) => void
  readonly onSettled: (segment: string, settled: Settled, durationMs: number) => void
  /** Tried again later, unless it was refused or failed too often: then it stays as it is until the next start. */
  readonly onFailed: (segment: string, detail: string, isGivenUp: boolean) => void
  readonly at?: (step: SettlerStep) => void
}

/** Closed segments that wait, the one under way included, at which appends wait. */
const unsettledMax = 2
const triesMax = 3
const retryMs = 1000
/** References that one turn may replace. */
const replacedPerTurn = 50_000

/**
 * Has the closed segments settled, the oldest first, one at a time.
 *
 *     closed -> a worker writes .runs.tmp -> adopted as .runs.mdb -> readers switch, some logs per turn -> original given up
 *
 * 1. The original stays until no index refers to it; a start takes the settled file where there is one.
 * 2. Only the journal's process renames, so that a worker that outlived its parent cannot do harm.
 * 3. A segment that cannot be settled is passed over: it never holds appends back.
 */
export class Settler {
  readonly #options: SettlerOptions
  readonly #tries = new Map<Seq, number>()
  readonly #givenUp = new Set<Seq>()
  /** `unsettledMax`, or one more than what a start found as long as that is more: it shrinks, and never grows. */
  #allowed = unsettledMax
  #isRunning = false
  #isHolding = false
  #work: SettleWork | undefined
  #workSeq: Seq = 0
  #loop: Promise<void> = Promise.resolve()
  #wake: () => void = () => undefined

  constructor(options: SettlerOptions) {
    this.#options = options
  }

  /** Closed segments that are not settled. */
  get unsettled(): number {
    return this.#unsettled().length
  }

  get isHolding(): boolean {
    return this.#isHolding
  }

  start(): void {
    this.#isRunning = true
    this.#allowed = Math.max(unsettledMax, this.unsettled + 1)
    this.#options.journal.onChange = () => this.#changed()
    this.#loop = this.#run()
  }

  /** Ends the worker, lets go of appends, and resolves once nothing is under way. */
  async stop(): Promise<void> {
    this.#isRunning = false
    this.#options.journal.onChange = undefined
    this.#work?.cancel()
    this.#wake()
    await this.#loop
    this.#hold(false)
  }

  #unsettled(): ReadonlyArray<SegmentInfo> {
    return this.#options.journal
      .segments()
      .slice(0, -1)
      .filter(({ isSettled }) => !isSettled)
  }

  #waiting(): ReadonlyArray<SegmentInfo> {
    return this.#unsettled().filter(({ firstSeq }) => !this.#givenUp.has(firstSeq))
  }

  #changed(): void {
    const waiting = this.#waiting()
    if (this.#work !== undefined && !waiting.some(({ firstSeq }) => firstSeq === this.#workSeq)) this.#work.cancel()
    this.#hold(waiting.length >= this.#allowed)
    this.#wake()
  }

  #hold(isHeld: boolean): void {
    if (isHeld === this.#isHolding) return
    this.#isHolding = isHeld
    this.#work?.hurry(isHeld)
    this.#options.onHold(isHeld)
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      const next = this.#waiting()[0]
      if (next === undefined) await this.#sleep(undefined)
      else await this.#settle(next)
    }
  }

  /** Until `ms` have passed or something changes. */
  async #sleep(ms: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const cancel = ms === undefined ? undefined : this.#options.clock.after(ms, resolve)
    await promise
    cancel?.()
  }

  async #settle(segment: SegmentInfo): Promise<void> {
    const { journal, clock, onSettled } = this.#options
    const startedMs = clock.nowMs()
    const files = journal.settling(segment.firstSeq)
    if (files === undefined) return
    const outcome = await this.#written(segment, files)
    if (!this.#isRunning) return
    if (outcome._tag === "Settled") {
      try {
        if (!(await this.#takeOver(segment, files.target))) return
        onSettled(segment.name, outcome, clock.nowMs() - startedMs)
        this.#allowed = Math.max(unsettledMax, Math.min(this.#allowed, this.#waiting().length + 1))
        this.#changed()
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error)
        // Once it is adopted both files are there, and a start takes the settled one.
        if (journal.settling(segment.firstSeq) === undefined) this.#options.onFailed(segment.name, detail, true)
        else await this.#failed(segment, detail, false)
      }
    } else await this.#failed(segment, outcome.detail, outcome._tag === "Refused")
  }

  async #written({ firstSeq, nextSeq }: SegmentInfo, files: Settling): Promise<SettleOutcome> {
    const { logs, work } = this.#options
    this.#work = work({ ...files, startOffsets: logs.startOffsets(firstSeq, nextSeq), keptFromSeq: 0 })
    this.#workSeq = firstSeq
    if (this.#isHolding) this.#work.hurry(true)
    const outcome = await this.#work.done
    this.#work = undefined
    if (outcome._tag !== "Settled") removeEnvironment(files.target)
    this.#options.at?.("written")
    return outcome
  }

  /** False if the segment was dropped meanwhile. */
  async #takeOver({ firstSeq, nextSeq }: SegmentInfo, target: string): Promise<boolean> {
    const { journal, at } = this.#options
    if (!(await journal.adoptSettled(firstSeq, target))) return false
    at?.("adopted")
    await this.#switchReaders(firstSeq, nextSeq)
    at?.("switched")
    await journal.releaseOriginal(firstSeq)
    at?.("released")
    return true
  }

  async #switchReaders(firstSeq: Seq, nextSeq: Seq): Promise<void> {
    const { journal, logs } = this.#options
    const byLog = new Map<number, Array<Extent>>()
    journal.visitRuns(firstSeq, (extent) => {
      const known = byLog.get(extent.logId)
      if (known === undefined) byLog.set(extent.logId, [extent])
      else known.push(extent)
    })
    let replaced = 0
    for (const [logId] of logs.startOffsets(firstSeq, nextSeq)) {
      replaced += logs.settle(logId, firstSeq, nextSeq, byLog.get(logId) ?? [])
      if (replaced < replacedPerTurn) continue
      replaced = 0
      await this.#nextTurn()
    }
  }

  #nextTurn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#options.clock.nextTurn(resolve)
    return promise
  }

  async #failed({ firstSeq, name }: SegmentInfo, detail: string, isRefused: boolean): Promise<void> {
    const isGone = !this.#unsettled().some((segment) => segment.firstSeq === firstSeq)
    if (isGone) return
    const tries = (this.#tries.get(firstSeq) ?? 0) + 1
    this.#tries.set(firstSeq, tries)
    const isGivenUp = isRefused || tries >= triesMax
    if (isGivenUp) this.#givenUp.add(firstSeq)
    this.#options.onFailed(name, detail, isGivenUp)
    this.#changed()
    if (!isGivenUp) await this.#sleep(retryMs * tries)
  }
}
