import type { Clock } from "../Clock.ts"
import type { Extent } from "../journal/Extent.ts"
import type { Seq } from "../journal/Journal.ts"
import type { ChainSegmentInfo, Replacement, RewritableChain, Takeover } from "../journal/SegmentChain.ts"
import { removeEnvironment } from "../journal/segmentFiles.ts"
import type { LogStore } from "../storage/LogStore.ts"
import type { SettleWork } from "./childProcess.ts"
import { choose, type Candidate, type ChoiceLimits, type Work } from "./choose.ts"
import { Compactions, type CompactionOptions, type CompactWork } from "./Compactions.ts"
import type { Settled, SettleJob } from "./SettleJob.ts"
import type { SettleOutcome } from "./workerMessages.ts"

/** Where the journal's side of a settling can be interrupted; for tests that crash it there. */
export type SettlerStep = "written" | "adopted" | "switched" | "released"

/** When settled segments are written anew. */
export interface Rewriting extends ChoiceLimits {
  /** How often to look for one that is worth it, while nothing happens. */
  readonly lookEveryMs: number
  /** Events before this are needed by no replay, and not kept for their own sake. */
  readonly keptFromSeq: () => Seq
}

/** The bytes of the settled segments, as they were when they were last looked at. */
export interface SettledBytes {
  readonly liveBytes: number
  /** The bytes that rewriting all of them would free. */
  readonly deadBytes: number
}

/**
 * - `retried`: later.
 * - `givenUp`: it was refused or failed too often, and stays as it is until the next start.
 * - `notRemoved`: it is settled, and its former file is removed before anything else is dropped.
 */
export type SettleFailure = "retried" | "givenUp" | "notRemoved"

export interface SettlerOptions {
  readonly journal: RewritableChain
  readonly logs: LogStore
  readonly clock: Clock
  readonly work: (job: SettleJob) => SettleWork
  /** Without it segments are settled once, and stay as they are then. */
  readonly rewriting?: Rewriting
  /** Without it no log is compacted; nothing but a start and `Rewriting.lookEveryMs` begins a compaction. */
  readonly compaction?: CompactionOptions
  /** True: as many closed segments wait as may; appends shall wait too. */
  readonly onHold: (isHeld: boolean) => void
  readonly onSettled: (segment: string, settled: Settled, durationMs: number, kind: Work["kind"]) => void
  readonly onFailed: (segment: string, detail: string, failure: SettleFailure) => void
  readonly at?: (step: SettlerStep) => void
}

/** Closed segments that wait, the one under way included, at which appends wait. */
const unsettledMax = 2
const triesMax = 3
const retryMs = 1000
/** References that one turn of the event loop may look at or replace. */
const referencesPerTurn = 50_000

/**
 * Has closed segments settled, the oldest first, and those that are settled compacted, rewritten or merged while none waits;
 * one at a time (see `Compactions` and `choose`).
 *
 *     closed -> a worker writes .runs.tmp -> adopted -> readers switch, some logs per turn -> the sources are given up
 *
 * 1. The sources stay until no index refers to them; a start takes what replaces them where it is there.
 * 2. Only the journal's process renames, so that a worker that outlived its parent cannot do harm.
 * 3. A segment that cannot be settled is passed over: it never holds appends back. Nor does a rewrite: it hurries
 *    as soon as a segment waits to be settled, and is given up for now when appends would wait.
 */
export class Settler {
  readonly #options: SettlerOptions
  readonly #tries = new Map<Seq, number>()
  readonly #givenUp = new Set<Seq>()
  /** `unsettledMax`, or one more than what a start found as long as that is more: it shrinks, and never grows. */
  #allowed = unsettledMax
  #isRunning = false
  #isHolding = false
  #worker: SettleWork | undefined
  /** The work that the worker does. */
  #work: Work | CompactWork | undefined
  #isAbandoned = false
  #loop: Promise<void> = Promise.resolve()
  #wake: () => void = () => undefined
  readonly #compactions: Compactions | undefined
  settledBytes: SettledBytes = { liveBytes: 0, deadBytes: 0 }

  constructor(options: SettlerOptions) {
    this.#options = options
    const { compaction, journal, logs, clock } = options
    if (compaction !== undefined) this.#compactions = new Compactions(compaction, journal, logs, clock)
  }

  /** Closed segments that are not settled. */
  get unsettled(): number {
    return this.#closed().filter(({ isSettled }) => !isSettled).length
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
    this.#worker?.cancel()
    this.#wake()
    await this.#loop
    this.#hold(false)
  }

  #closed(): ReadonlyArray<ChainSegmentInfo> {
    return this.#options.journal.segments().slice(0, -1)
  }

  #waiting(): ReadonlyArray<ChainSegmentInfo> {
    return this.#closed().filter(({ isSettled, firstSeq }) => !isSettled && !this.#givenUp.has(firstSeq))
  }

  #changed(): void {
    const waiting = this.#waiting().length
    if (this.#work !== undefined && this.#isGone(this.#work)) this.#abandon()
    this.#hold(waiting >= this.#allowed)
    if (this.#work !== undefined && this.#work.kind !== "settle") {
      if (this.#isHolding) this.#abandon()
      else if (waiting > 0) this.#worker?.hurry(true)
    }
    this.#wake()
  }

  /** Whether a segment that it reads was dropped. */
  #isGone(work: Work | CompactWork): boolean {
    const { journal } = this.#options
    const isDropped = (firstSeqs: ReadonlyArray<Seq>): boolean => journal.replacement(firstSeqs) === undefined
    return isDropped(work.firstSeqs) || ("readSeqs" in work && work.readSeqs.some((seq) => isDropped([seq])))
  }

  #abandon(): void {
    this.#isAbandoned = true
    this.#worker?.cancel()
  }

  #hold(isHeld: boolean): void {
    if (isHeld === this.#isHolding) return
    this.#isHolding = isHeld
    this.#worker?.hurry(isHeld)
    this.#options.onHold(isHeld)
  }

  async #run(): Promise<void> {
    while (this.#isRunning) {
      const work = await this.#next()
      if (!this.#isRunning) return
      const isOvertaken = work?.kind !== "settle" && this.#waiting().length > 0
      if (isOvertaken) continue
      if (work === undefined) await this.#sleep(this.#options.rewriting?.lookEveryMs)
      else await this.#settle(work)
    }
  }

  async #next(): Promise<Work | CompactWork | undefined> {
    const [waiting] = this.#waiting()
    if (waiting !== undefined) return { kind: "settle", firstSeqs: [waiting.firstSeq] }
    const compact = this.#compactions?.goOn()
    if (compact !== undefined) return compact
    return (await this.#worthRewriting()) ?? this.#compactions?.begin((firstSeq) => this.#givenUp.has(firstSeq))
  }

  async #worthRewriting(): Promise<Work | undefined> {
    const { rewriting } = this.#options
    if (rewriting === undefined) return undefined
    const runs = await this.#reachableRuns()
    const keptFromSeq = this.#keptFromSeq()
    const candidates = this.#closed().map((segment): Candidate => {
      const { firstSeq, nextSeq, bytes, historyBytes, runBytes, isSettled } = segment
      const deadHistoryBytes = nextSeq <= keptFromSeq ? historyBytes : 0
      const deadBytes = isSettled ? runBytes - (runs.get(firstSeq) ?? 0) + deadHistoryBytes : 0
      return { firstSeq, bytes, liveBytes: bytes - deadBytes, isSettled, isGivenUp: this.#givenUp.has(firstSeq) }
    })
    const settled = candidates.filter(({ isSettled }) => isSettled)
    const liveBytes = settled.reduce((sum, each) => sum + each.liveBytes, 0)
    const deadBytes = settled.reduce((sum, each) => sum + each.bytes - each.liveBytes, 0)
    this.settledBytes = { liveBytes, deadBytes }
    return choose(candidates, rewriting)
  }

  /** A start reads every frame from the first segment on that is not settled: events must not be missing behind it. */
  #keptFromSeq(): Seq {
    const unsettled = this.#options.journal.segments().find(({ isSettled }) => !isSettled)
    return Math.min(this.#options.rewriting?.keptFromSeq() ?? 0, unsettled?.firstSeq ?? Infinity)
  }

  /** By the first seq of their segments: stored bytes of the runs that readers can reach. Some references per turn. */
  async #reachableRuns(): Promise<ReadonlyMap<Seq, number>> {
    const sums = new Map<Seq, number>()
    let looks = 0
    for (const { index } of this.#options.logs.logs()) {
      let offset: number | undefined = 0
      while (offset !== undefined) {
        offset = index.sumRuns(offset, referencesPerTurn, sums)
        looks += Math.min(index.count, referencesPerTurn)
        if (looks < referencesPerTurn) continue
        looks = 0
        await this.#nextTurn()
      }
    }
    return sums
  }

  /** Until `ms` have passed or something changes. */
  async #sleep(ms: number | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const cancel = ms === undefined ? undefined : this.#options.clock.after(ms, resolve)
    await promise
    cancel?.()
  }

  async #settle(work: Work | CompactWork): Promise<void> {
    const { journal, clock, onSettled } = this.#options
    const startedMs = clock.nowMs()
    const replacement = journal.replacement(work.firstSeqs)
    if (replacement === undefined) return this.#nextTurn()
    const name = this.#closed().find(({ firstSeq }) => firstSeq === work.firstSeqs[0])!.name
    const outcome = await this.#written(work, replacement)
    if (!this.#isRunning || this.#isAbandoned) return
    if (outcome._tag !== "Settled") return this.#failed(work, name, outcome.detail, outcome._tag === "Refused")
    let takeover: Takeover | undefined
    try {
      takeover = journal.adopt(replacement)
      if (takeover === undefined) return
      this.#options.at?.("adopted")
      await this.#switchReaders(replacement, takeover)
      await this.#release(name, takeover)
      onSettled(name, outcome, clock.nowMs() - startedMs, work.kind)
      if (work.kind === "compact") this.#compactions?.done(work, outcome.cleaned)
      this.#tries.delete(work.firstSeqs[0]!)
      this.#allowed = Math.max(unsettledMax, Math.min(this.#allowed, this.#waiting().length + 1))
      this.#changed()
    } catch (error) {
      const detail = describe(error)
      if (takeover === undefined) await this.#failed(work, name, detail, false)
      else this.#failedAdopted(work, takeover, name, detail)
    }
  }

  async #release(name: string, takeover: Takeover): Promise<void> {
    try {
      await takeover.release()
    } catch (error) {
      this.#options.onFailed(name, describe(error), "notRemoved")
    }
    this.#options.at?.("released")
  }

  async #written(work: Work | CompactWork, replacement: Replacement): Promise<SettleOutcome> {
    const startOffsets = this.#options.logs.startOffsets(...rangeOf(replacement))
    const keptFromSeq = work.kind === "settle" ? 0 : this.#keptFromSeq()
    this.#isAbandoned = false
    const compaction = "compaction" in work ? { compaction: work.compaction } : {}
    this.#worker = this.#options.work({ ...replacement, startOffsets, keptFromSeq, ...compaction })
    this.#work = work
    if (this.#isHolding) this.#worker.hurry(true)
    const outcome = await this.#worker.done
    this.#worker = undefined
    this.#work = undefined
    if (outcome._tag !== "Settled" || this.#isAbandoned) removeLeftover(replacement.target)
    this.#options.at?.("written")
    return outcome
  }

  async #switchReaders(replacement: Replacement, takeover: Takeover): Promise<void> {
    const { logs, at } = this.#options
    const [fromSeq, endSeq] = rangeOf(replacement)
    const byLog = new Map<number, Array<Extent>>()
    takeover.visitRuns((extent) => {
      const known = byLog.get(extent.logId)
      if (known === undefined) byLog.set(extent.logId, [extent])
      else known.push(extent)
    })
    let replaced = 0
    for (const [logId] of logs.startOffsets(fromSeq, endSeq)) {
      takeover.switchLog(logId)
      replaced += logs.settle(logId, fromSeq, endSeq, byLog.get(logId) ?? [])
      if (replaced < referencesPerTurn) continue
      replaced = 0
      await this.#nextTurn()
    }
    at?.("switched")
  }

  #nextTurn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#options.clock.nextTurn(resolve)
    return promise
  }

  #failedAdopted({ kind, firstSeqs }: Work, takeover: Takeover, name: string, detail: string): void {
    takeover.giveUp()
    if (kind === "compact") this.#compactions?.failed()
    for (const firstSeq of firstSeqs) this.#givenUp.add(firstSeq)
    this.#options.onFailed(name, detail, "givenUp")
    this.#changed()
  }

  async #failed({ kind, firstSeqs }: Work, name: string, detail: string, isRefused: boolean): Promise<void> {
    if (kind === "compact") this.#compactions?.failed()
    if (this.#options.journal.replacement(firstSeqs) === undefined) return
    const tries = (this.#tries.get(firstSeqs[0]!) ?? 0) + 1
    this.#tries.set(firstSeqs[0]!, tries)
    // Nobody knows which one of several sources is to blame.
    const isGivenUp = isRefused || tries >= triesMax
    if (isGivenUp) for (const firstSeq of firstSeqs) this.#givenUp.add(firstSeq)
    this.#options.onFailed(name, detail, isGivenUp ? "givenUp" : "retried")
    this.#changed()
    if (!isGivenUp) await this.#sleep(kind === "settle" ? retryMs * tries : rewriteRetryMs * tries)
  }
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** A disk that is full may have room again. */
const rewriteRetryMs = 60_000

/** A disk that has failed removes nothing either: the next try does, or the next start. */
const removeLeftover = (file: string): void => {
  try {
    removeEnvironment(file)
  } catch {
    return
  }
}

const rangeOf = ({ sources }: Replacement): readonly [fromSeq: Seq, endSeq: Seq] => [
  sources[0]!.firstSeq,
  sources.at(-1)!.nextSeq
]
