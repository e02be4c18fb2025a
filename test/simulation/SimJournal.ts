import { crc32c } from "@node-rs/crc32"
import type {
  AppendFailure,
  Commit,
  Journal,
  SegmentInfo,
  Seq,
  Snapshot,
  SnapshotPage
} from "@logbrook/core/journal/Journal"
import type { DiskPlan } from "./Plan.ts"
import type { Random } from "./Random.ts"
import type { Cancel, Scheduler } from "./Scheduler.ts"
import type { SimDisk } from "./SimDisk.ts"

interface Write {
  /** Undefined once it is done. */
  write: (() => void) | undefined
  readonly cancels: Array<Cancel>
}

const noBytes = Buffer.alloc(0)

const fingerprint = (commit: Commit): number => {
  let crc = crc32c(commit.frame)
  for (const chunk of commit.chunks) crc = crc32c(chunk, crc)
  for (const { bytes } of commit.batches) crc = crc32c(bytes, crc)
  return crc
}

/** What the journal's user does against its contract. */
export interface JournalWatch {
  readonly violated: (message: string) => void
  readonly trace: (line: string) => void
  /** A native promise is on its way: the simulation waits for it before it goes on. */
  readonly promised: () => void
}

/**
 * The journal as one process has it: writes take time, may fail, and reach the disk in their order. A crash leaves any
 * first part of what was under way. What is read comes in a buffer that is overwritten afterwards, as LMDB's does.
 */
export class SimJournal implements Journal {
  readonly #disk: SimDisk
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #plan: DiskPlan
  readonly #watch: JournalWatch
  readonly #writes: Array<Write> = []
  #scratch = noBytes
  #view = noBytes
  #durableUs = 0
  #toldUs = 0
  #appends = 0
  #poison: AppendFailure | undefined
  #isGone = false
  pendingCommits = 0
  pendingBytes = 0
  #failsAtAppend = Infinity

  constructor(disk: SimDisk, scheduler: Scheduler, random: Random, plan: DiskPlan, watch: JournalWatch) {
    this.#disk = disk
    this.#scheduler = scheduler
    this.#random = random
    this.#plan = plan
    this.#watch = watch
  }

  get firstSeq(): Seq {
    return this.#disk.content.firstSeq
  }

  get nextSeq(): Seq {
    return this.#disk.nextSeq
  }

  get writtenSegmentSeq(): Seq {
    return this.#disk.content.writtenSegmentSeq
  }

  /** The n-th commit from now on is refused, and all behind it. */
  failsIn(appends: number): void {
    this.#failsAtAppend = this.#appends + appends
  }

  append(commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    if (this.#isGone) return
    this.#appends++
    if (this.#appends >= this.#failsAtAppend) this.#fail(commit)
    const failure = this.#poison
    const before = fingerprint(commit)
    this.pendingCommits++
    this.pendingBytes += commit.byteLength
    const write = (): void => {
      if (fingerprint(commit) !== before)
        this.#watch.violated(`commit ${commit.firstSeq} changed before it was durable`)
      if (commit.firstSeq !== this.#disk.nextSeq) {
        this.#watch.violated(`commit ${commit.firstSeq} was appended where ${this.#disk.nextSeq} was to come`)
      }
      this.#disk.write(commit)
    }
    this.#begin(failure === undefined ? write : undefined, () => {
      this.pendingCommits--
      this.pendingBytes -= commit.byteLength
      settle(failure)
    })
  }

  /** EIO or ENOSPC; sometimes the commit is on the disk all the same. */
  #fail(commit: Commit): void {
    if (this.#poison !== undefined) return
    const isThere = this.#random.chance(0.3) && this.#writes.every(({ write }) => write === undefined)
    this.#watch.trace(`disk fails at ${commit.firstSeq}${isThere ? ", written" : ""}`)
    this.#poison = isThere
      ? { reason: "Indeterminate", detail: "EIO" }
      : { reason: "Unavailable", detail: this.#random.pick(["EIO", "ENOSPC", "EFBIG"]) }
    if (isThere) this.#disk.write(commit)
  }

  #latencyUs(): number {
    const { latencyUsMin, latencyUsMax, stallChance, stallMsMax } = this.#plan
    if (this.#random.chance(stallChance)) return this.#random.between(1, stallMsMax) * 1000
    return this.#random.tail(latencyUsMin, latencyUsMax)
  }

  #begin(write: (() => void) | undefined, tell: () => void): void {
    const { nowUs } = this.#scheduler
    const entry: Write = { write, cancels: [] }
    this.#writes.push(entry)
    this.#durableUs = Math.max(this.#durableUs, nowUs + this.#latencyUs())
    this.#toldUs = Math.max(this.#toldUs, this.#durableUs + this.#random.tail(1, 400))
    entry.cancels.push(this.#scheduler.after(this.#durableUs - nowUs, () => this.#write(entry)))
    entry.cancels.push(
      this.#scheduler.after(this.#toldUs - nowUs, () => {
        this.#writes.splice(this.#writes.indexOf(entry), 1)
        tell()
      })
    )
  }

  #write(entry: Write): void {
    const { write } = entry
    entry.write = undefined
    write?.()
  }

  /** The process is gone: of what was under way the first writes may be on the disk, and nobody is told. */
  kill(): void {
    this.#isGone = true
    const open = this.#writes.filter(({ write }) => write !== undefined)
    let survive = this.#random.chance(0.4) ? this.#random.between(0, open.length) : 0
    for (const { cancels } of this.#writes) for (const cancel of cancels) cancel()
    this.#watch.trace(`crash with ${open.length} writes open, ${survive} survive`)
    for (const entry of open) if (survive-- > 0) this.#write(entry)
  }

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    this.#disk.content.scan(fromSeq, (frame) => {
      if (this.#scratch.length < frame.length) this.#scratch = Buffer.alloc(frame.length * 2)
      frame.copy(this.#scratch)
      const view = this.#scratch.subarray(0, frame.length)
      const goesOn = visit(view)
      view.fill(0xdb)
      return goesOn
    })
  }

  frame(firstSeq: Seq): Buffer | undefined {
    return this.#viewOf(this.#disk.content.frame(firstSeq))
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#viewOf(this.#disk.content.chunk(firstSeq, index))
  }

  batch(firstSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    return this.#viewOf(this.#disk.content.batch(firstSeq, logId, lastOffset))
  }

  /** What was read before is overwritten: nobody may use it any more. */
  #viewOf(bytes: Buffer | undefined): Buffer | undefined {
    this.#view.fill(0xdb)
    this.#view = bytes === undefined ? noBytes : Buffer.from(bytes)
    return bytes && this.#view
  }

  /** Nothing is settled in a simulation. */
  run(): undefined {
    return undefined
  }

  visitRuns(): void {}

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, settle: (ok: boolean) => void): void {
    this.#aside(() => this.#disk.writePage(fromSeq, index, page), settle)
  }

  completeSnapshot(fromSeq: Seq, pages: number, settle: (ok: boolean) => void): void {
    this.#watch.trace(`snapshot ${fromSeq} of ${pages} pages`)
    this.#aside(() => this.#disk.completeSnapshot(fromSeq, pages), settle)
  }

  #aside(write: () => void, settle: (ok: boolean) => void): void {
    if (this.#isGone) return
    const ok = this.#poison === undefined
    this.#begin(ok ? write : undefined, () => settle(ok))
  }

  snapshot(atSeq: Seq): Snapshot | undefined {
    return this.#disk.content.snapshot(atSeq)
  }

  segments(): ReadonlyArray<SegmentInfo> {
    this.#watch.promised()
    return this.#disk.content.segments()
  }

  dropOldest(): Promise<void> {
    this.#watch.trace(`segment ${this.firstSeq} dropped`)
    return this.#disk.content.dropOldest()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
