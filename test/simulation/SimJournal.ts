import type { AppendFailure, Commit, Seq, SnapshotPage } from "@logbrook/core/journal/Journal"
import { SegmentChain, type ChainSegmentInfo } from "@logbrook/core/journal/SegmentChain"
import type { DiskPlan } from "./Plan.ts"
import type { Random } from "./Random.ts"
import type { Scheduler } from "./Scheduler.ts"
import type { SimDisk } from "./SimDisk.ts"
import { SimStorage, type OpenSimSegment } from "./SimStorage.ts"
import { SimWrites, type JournalWatch } from "./SimWrites.ts"

/** The server's own chain of segments, over a simulated disk, as one process has it. */
export class SimJournal extends SegmentChain<OpenSimSegment> {
  readonly #writes: SimWrites
  readonly #watch: JournalWatch
  pendingCommits = 0
  pendingBytes = 0

  constructor(disk: SimDisk, scheduler: Scheduler, random: Random, plan: DiskPlan, watch: JournalWatch) {
    const writes = new SimWrites(disk, scheduler, random, plan, watch)
    const storage = new SimStorage(disk, writes, watch)
    super(storage, { segmentBytes: plan.segmentBytes, segmentRefsMax: Infinity }, storage.open())
    this.#writes = writes
    this.#watch = watch
  }

  /** The n-th commit from now on is refused, and all behind it. */
  failsIn(appends: number): void {
    this.#writes.failsIn(appends)
  }

  /** The process is gone: of what was under way the first writes may be on the disk, and nobody is told. */
  kill(): void {
    this.#writes.kill()
  }

  override append(commit: Commit, done: (failure: AppendFailure | undefined) => void): void {
    if (this.#writes.isGone) return
    this.pendingCommits++
    this.pendingBytes += commit.byteLength
    super.append(commit, (failure) => {
      this.pendingCommits--
      this.pendingBytes -= commit.byteLength
      done(failure)
    })
    this.#watch.appended()
  }

  override writePage(fromSeq: Seq, index: number, page: SnapshotPage, done: (ok: boolean) => void): void {
    if (!this.#writes.isGone) super.writePage(fromSeq, index, page, done)
  }

  override completeSnapshot(fromSeq: Seq, pages: number, done: (ok: boolean) => void): void {
    if (this.#writes.isGone) return
    this.#watch.trace(`snapshot ${fromSeq} of ${pages} pages`)
    super.completeSnapshot(fromSeq, pages, done)
  }

  override segments(): ReadonlyArray<ChainSegmentInfo> {
    this.#watch.promised()
    return super.segments()
  }

  override dropOldest(): Promise<void> {
    this.#watch.promised()
    return super.dropOldest()
  }
}
