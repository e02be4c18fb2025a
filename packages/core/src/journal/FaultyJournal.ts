import type { Clock } from "../Clock.ts"
import type { Extent } from "./Extent.ts"
import type { AppendFailure, Commit, Journal, SegmentInfo, Seq, Snapshot, SnapshotPage } from "./Journal.ts"

export type Fault =
  /** The commit's acknowledgement, and those behind it, come later. */
  | { readonly _tag: "Delay"; readonly ms: number }
  /** The commit is refused and the journal poisoned, as after EIO or ENOSPC. */
  | { readonly _tag: "Refuse"; readonly detail: string }
  /** The process is gone before the commit reached the disk: no write ends any more. */
  | { readonly _tag: "CrashBefore" }
  /** The commit reached the disk, its acknowledgement did not leave the process. */
  | { readonly _tag: "CrashAfter" }
  /** The kill comes inside the commit: a transaction that is not whole is not there. */
  | { readonly _tag: "CrashWithin" }

/** A write whose caller was not told yet; `done` is there once its outcome is known. */
interface Pending {
  done: (() => void) | undefined
}

/** A journal that goes wrong where `faultAt` says, for tests and simulation. */
export class FaultyJournal implements Journal {
  readonly #inner: Journal
  readonly #clock: Clock
  readonly #faultAt: (commitNumber: number) => Fault | undefined
  #commits = 0
  #poison: AppendFailure | undefined
  #quietUntilMs = 0
  #isWaiting = false
  /** In the order of the calls, in which they are told. */
  readonly #pending: Array<Pending> = []
  crashed = false

  /** `faultAt` is asked once per append, which are counted from 1 on. */
  constructor(inner: Journal, clock: Clock, faultAt: (commitNumber: number) => Fault | undefined) {
    this.#inner = inner
    this.#clock = clock
    this.#faultAt = faultAt
  }

  append(commit: Commit, done: (failure: AppendFailure | undefined) => void): void {
    const fault = this.#faultAt(++this.#commits)
    if (fault !== undefined && !this.crashed) this.#arm(fault)
    if (this.crashed) {
      if (fault?._tag === "CrashAfter") this.#inner.append(commit, () => undefined)
      return
    }
    const pending = this.#begin()
    const failure = this.#poison
    if (failure === undefined) this.#inner.append(commit, (failed) => this.#known(pending, () => done(failed)))
    else this.#clock.nextTurn(() => this.#known(pending, () => done(failure)))
  }

  #arm(fault: Fault): void {
    if (fault._tag === "Delay") this.#quietUntilMs = Math.max(this.#quietUntilMs, this.#clock.nowMs() + fault.ms)
    else if (fault._tag === "Refuse") this.#poison ??= { reason: "Unavailable", detail: fault.detail }
    else this.crashed = true
  }

  #begin(): Pending {
    const pending: Pending = { done: undefined }
    this.#pending.push(pending)
    return pending
  }

  #known(pending: Pending, done: () => void): void {
    pending.done = done
    this.#tell()
  }

  #tell(): void {
    while (!this.crashed && !this.#isWaiting && this.#pending[0]?.done !== undefined) {
      const waitMs = this.#quietUntilMs - this.#clock.nowMs()
      if (waitMs <= 0) {
        this.#pending.shift()!.done!()
        continue
      }
      this.#isWaiting = true
      this.#clock.after(waitMs, () => {
        this.#isWaiting = false
        this.#tell()
      })
    }
  }

  get firstSeq(): Seq {
    return this.#inner.firstSeq
  }

  get nextSeq(): Seq {
    return this.#inner.nextSeq
  }

  get writtenSegmentSeq(): Seq {
    return this.#inner.writtenSegmentSeq
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

  run(segmentSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    return this.#inner.run(segmentSeq, logId, lastOffset)
  }

  visitRuns(segmentSeq: Seq, visit: (extent: Extent) => void): void {
    this.#inner.visitRuns(segmentSeq, visit)
  }

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, done: (ok: boolean) => void): void {
    this.#aside(done, (told) => this.#inner.writePage(fromSeq, index, page, told))
  }

  completeSnapshot(fromSeq: Seq, pages: number, done: (ok: boolean) => void): void {
    this.#aside(done, (told) => this.#inner.completeSnapshot(fromSeq, pages, told))
  }

  #aside(done: (ok: boolean) => void, write: (done: (ok: boolean) => void) => void): void {
    if (this.crashed) return
    const pending = this.#begin()
    if (this.#poison === undefined) write((ok) => this.#known(pending, () => done(ok)))
    else this.#clock.nextTurn(() => this.#known(pending, () => done(false)))
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
