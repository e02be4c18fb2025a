import type { Clock } from "../Clock.ts"
import type { AppendFailure, Commit, Journal, SegmentInfo, Seq, Snapshot, SnapshotPage } from "./Journal.ts"

export type Fault =
  /** The commit's acknowledgement, and those behind it, come later. */
  | { readonly _tag: "Delay"; readonly ms: number }
  /** The commit is refused and the journal poisoned, as after EIO or ENOSPC. */
  | { readonly _tag: "Refuse"; readonly detail: string }
  /** The process is gone before the commit reached the disk: nothing settles any more. */
  | { readonly _tag: "CrashBefore" }
  /** The commit reached the disk, its acknowledgement did not leave the process. */
  | { readonly _tag: "CrashAfter" }
  /** The kill comes inside the commit: a transaction that is not whole is not there. */
  | { readonly _tag: "CrashWithin" }

/** A journal that goes wrong where `faultAt` says, for tests and simulation. */
export class FaultyJournal implements Journal {
  readonly #inner: Journal
  readonly #clock: Clock
  readonly #faultAt: (commitNumber: number) => Fault | undefined
  #commits = 0
  #poison: AppendFailure | undefined
  #quietUntilMs = 0
  readonly #held: Array<() => void> = []
  crashed = false

  constructor(inner: Journal, clock: Clock, faultAt: (commitNumber: number) => Fault | undefined) {
    this.#inner = inner
    this.#clock = clock
    this.#faultAt = faultAt
  }

  append(commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    const fault = this.#faultAt(++this.#commits)
    if (fault !== undefined) this.#arm(fault)
    if (this.crashed) {
      if (fault?._tag === "CrashAfter") this.#inner.append(commit, () => undefined)
      return
    }
    if (this.#poison !== undefined) {
      const failure = this.#poison
      this.#clock.nextTurn(() => settle(failure))
      return
    }
    this.#inner.append(commit, (failure) => this.#later(() => settle(failure)))
  }

  #arm(fault: Fault): void {
    if (fault._tag === "Delay") this.#quietUntilMs = Math.max(this.#quietUntilMs, this.#clock.nowMs() + fault.ms)
    else if (fault._tag === "Refuse") this.#poison = { reason: "Unavailable", detail: fault.detail }
    else this.crashed = true
  }

  /** Acknowledgements keep their order: one that waits holds those behind it back. */
  #later(settle: () => void): void {
    if (this.crashed) return
    const waitMs = this.#quietUntilMs - this.#clock.nowMs()
    if (waitMs <= 0 && this.#held.length === 0) {
      settle()
      return
    }
    this.#held.push(settle)
    if (this.#held.length === 1) this.#clock.after(waitMs, () => this.#release())
  }

  #release(): void {
    const waitMs = this.#quietUntilMs - this.#clock.nowMs()
    if (waitMs > 0) {
      this.#clock.after(waitMs, () => this.#release())
      return
    }
    for (const settle of this.#held.splice(0)) if (!this.crashed) settle()
  }

  get firstSeq(): Seq {
    return this.#inner.firstSeq
  }

  get nextSeq(): Seq {
    return this.#inner.nextSeq
  }

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    this.#inner.scan(fromSeq, visit)
  }

  frame(firstSeq: Seq): Buffer | undefined {
    return this.#inner.frame(firstSeq)
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#inner.chunk(firstSeq, index)
  }

  batch(firstSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    return this.#inner.batch(firstSeq, logId, lastOffset)
  }

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, settle: (ok: boolean) => void): void {
    if (!this.crashed) this.#inner.writePage(fromSeq, index, page, (ok) => this.#later(() => settle(ok)))
  }

  completeSnapshot(fromSeq: Seq, pages: number, settle: (ok: boolean) => void): void {
    if (!this.crashed) this.#inner.completeSnapshot(fromSeq, pages, (ok) => this.#later(() => settle(ok)))
  }

  snapshot(atSeq: Seq): Snapshot | undefined {
    return this.#inner.snapshot(atSeq)
  }

  segments(): ReadonlyArray<SegmentInfo> {
    return this.#inner.segments()
  }

  dropOldest(): Promise<void> {
    return this.#inner.dropOldest()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}
