import { crc32c } from "@node-rs/crc32"
import type { Extent } from "@logbrook/core/journal/Extent"
import { readFrameHead } from "@logbrook/core/journal/Frame"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { AppendFailure, Commit, Journal, Seq, Snapshot, SnapshotPage } from "@logbrook/core/journal/Journal"
import type { LmdbSegmentInfo, Settling, Takeover } from "@logbrook/core/journal/LmdbJournal"
import { segmentName, type SegmentName } from "@logbrook/core/journal/segmentNames"
import type { DiskPlan } from "./Plan.ts"
import type { Random } from "./Random.ts"
import type { Cancel, Scheduler } from "./Scheduler.ts"
import { firstEventSeqOf } from "@logbrook/core/journal/firstEventSeqOf"
import type { SimDisk } from "./SimDisk.ts"
import { SimSegment } from "./SimSegment.ts"

interface Opened {
  readonly name: SegmentName
  readonly segment: SimSegment
  nextSeq: Seq
  /** Appended to it, though not durable yet; of a settled one, its size. */
  bytes: number
  successor: Successor | undefined
}

interface Successor {
  readonly segment: SimSegment
  /** The logs that are read from it already. */
  readonly logs: Set<number>
}

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
  /** Held back by a roll, in order. */
  readonly #waiting: Array<() => void> = []
  #scratch = noBytes
  #view = noBytes
  readonly #chain: Array<Opened>
  #nextNumber: number
  /** Told when a segment was closed by a roll, and before one is dropped. */
  onChange: (() => void) | undefined
  /** Files that count no more and are not removed yet. */
  readonly #discarded: Array<string> = []
  #removing: Promise<void> = Promise.resolve()
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
    this.#chain = disk.open().map((opened) => ({
      ...opened,
      bytes: opened.segment.bytes,
      successor: undefined
    }))
    this.#nextNumber = (this.#chain.at(-1)?.name.lastNumber ?? 0) + 1
    this.#rolled()
  }

  get firstSeq(): Seq {
    return firstEventSeqOf(this.#chain.map(({ segment, nextSeq }) => ({ source: segment, nextSeq })))
  }

  get nextSeq(): Seq {
    return this.#disk.nextSeq
  }

  get writtenSegmentSeq(): Seq {
    return this.#chain.at(-1)!.segment.firstSeq
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
    const write = (opened: Opened): void => {
      if (fingerprint(commit) !== before)
        this.#watch.violated(`commit ${commit.firstSeq} changed before it was durable`)
      if (commit.firstSeq !== this.#disk.nextSeq) {
        this.#watch.violated(`commit ${commit.firstSeq} was appended where ${this.#disk.nextSeq} was to come`)
      }
      this.#writeCommit(opened, commit)
    }
    this.#inOrder(() => {
      // As in `LmdbJournal`, what is refused rolls nothing: a segment with nothing in it would follow another.
      const opened = failure === undefined ? this.#rolled() : this.#chain.at(-1)!
      if (failure === undefined) opened.bytes += commit.byteLength
      this.#begin(failure === undefined ? () => write(opened) : undefined, () => {
        this.pendingCommits--
        this.pendingBytes -= commit.byteLength
        settle(failure)
      })
    })
  }

  /** As in `LmdbJournal`, a roll drains: nothing goes to the new segment before all of the old one is told to be durable. */
  #inOrder(begin: () => void): void {
    if (this.#waiting.length > 0 || (this.#isFull && this.#writes.length > 0)) this.#waiting.push(begin)
    else begin()
  }

  /** EIO or ENOSPC; sometimes the commit is on the disk all the same. */
  #fail(commit: Commit): void {
    if (this.#poison !== undefined) return
    const isThere =
      this.#random.chance(0.3) && this.#waiting.length === 0 && this.#writes.every(({ write }) => write === undefined)
    this.#watch.trace(`disk fails at ${commit.firstSeq}${isThere ? ", written" : ""}`)
    this.#poison = isThere
      ? { reason: "Indeterminate", detail: "EIO" }
      : { reason: "Unavailable", detail: this.#random.pick(["EIO", "ENOSPC", "EFBIG"]) }
    if (isThere) this.#writeCommit(this.#rolled(), commit)
  }

  #writeCommit(opened: Opened, commit: Commit): void {
    this.#disk.write(opened.segment, commit)
    opened.nextSeq = commit.nextSeq
  }

  /** A snapshot's pages never make it so. */
  get #isFull(): boolean {
    const last = this.#chain.at(-1)
    return last === undefined || last.segment.isSettled || last.bytes >= this.#plan.segmentBytes
  }

  /** The segment to write to: a new one if the last one is full. */
  #rolled(): Opened {
    if (!this.#isFull) return this.#chain.at(-1)!
    const name = segmentName(this.#nextNumber++)
    const segment = new SimSegment(name.name, this.nextSeq, false)
    this.#disk.files.set(name.name, segment)
    const opened: Opened = { name, segment, nextSeq: this.nextSeq, bytes: 0, successor: undefined }
    this.#chain.push(opened)
    this.#changed()
    return opened
  }

  #changed(): void {
    if (this.onChange === undefined || this.#isGone) return
    this.onChange()
    this.#watch.promised()
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
        while (this.#waiting.length > 0 && (this.#writes.length === 0 || !this.#isFull)) this.#waiting.shift()!()
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

  #holding(seq: Seq): Opened | undefined {
    return this.#chain.findLast(({ segment }) => segment.firstSeq <= seq)
  }

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    const wantedSeq = Math.max(fromSeq, this.firstSeq)
    const first = this.#chain.indexOf(this.#holding(wantedSeq) ?? this.#chain[0]!)
    for (const { segment, nextSeq } of this.#chain.slice(first)) {
      const floor = segment.floor(Math.max(wantedSeq, segment.firstEventSeq)) ?? segment.firstEventSeq
      const goesOn = segment.scan(floor, nextSeq, (frame, key) => {
        if (key === floor && readFrameHead(frame).nextSeq <= wantedSeq) return true
        return this.#visit(frame, visit)
      })
      if (!goesOn) return
    }
  }

  #visit(frame: Buffer, visit: (frame: Buffer) => boolean): boolean {
    if (this.#scratch.length < frame.length) this.#scratch = Buffer.alloc(frame.length * 2)
    frame.copy(this.#scratch)
    const view = this.#scratch.subarray(0, frame.length)
    const goesOn = visit(view)
    view.fill(0xdb)
    return goesOn
  }

  frame(firstSeq: Seq): Buffer | undefined {
    return this.#viewOf(this.#holding(firstSeq)?.segment.frame(firstSeq))
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#viewOf(this.#holding(firstSeq)?.segment.chunk(firstSeq, index))
  }

  batch(firstSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    return this.#viewOf(this.#holding(firstSeq)?.segment.batch(logId, lastOffset))
  }

  /** What was read before is overwritten: nobody may use it any more. */
  #viewOf(bytes: Buffer | undefined): Buffer | undefined {
    this.#view.fill(0xdb)
    this.#view = bytes === undefined ? noBytes : Buffer.from(bytes)
    return bytes && this.#view
  }

  run(segmentSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    const opened = this.#holding(segmentSeq)
    if (opened?.successor?.logs.has(logId) === true) {
      return this.#viewOf(opened.successor.segment.batch(logId, lastOffset))
    }
    return opened?.segment.isSettled === true ? this.#viewOf(opened.segment.batch(logId, lastOffset)) : undefined
  }

  visitRuns(segmentSeq: Seq, visit: (extent: Extent) => void): void {
    this.#holding(segmentSeq)?.segment.visitRuns(visit)
  }

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, settle: (ok: boolean) => void): void {
    this.#aside((segment) => void segment.writePage(fromSeq, index, page), settle)
  }

  completeSnapshot(fromSeq: Seq, pages: number, settle: (ok: boolean) => void): void {
    this.#watch.trace(`snapshot ${fromSeq} of ${pages} pages`)
    this.#aside((segment) => void segment.seal(fromSeq, pages), settle)
  }

  #aside(write: (segment: SimSegment) => void, settle: (ok: boolean) => void): void {
    if (this.#isGone) return
    const ok = this.#poison === undefined
    this.#inOrder(() => {
      const { segment } = ok ? this.#rolled() : this.#chain.at(-1)!
      this.#begin(ok ? () => write(segment) : undefined, () => settle(ok))
    })
  }

  snapshot(atSeq: Seq): Snapshot | undefined {
    for (let i = this.#chain.length - 1; i >= 0; i--) {
      for (const { fromSeq, pages } of this.#chain[i]!.segment.sealed()) {
        if (fromSeq > atSeq) continue
        const found = this.#pages(i, fromSeq, pages)
        if (found !== undefined && found.every((page) => page.seq <= atSeq)) return { fromSeq, pages: found }
      }
    }
    return undefined
  }

  #pages(sealedIn: number, fromSeq: Seq, count: number): ReadonlyArray<SnapshotPage> | undefined {
    const pages: Array<SnapshotPage> = []
    for (let index = 0; index < count; index++) {
      const holder = this.#chain.findLast(
        ({ segment }, i) => i <= sealedIn && segment.page(fromSeq, index) !== undefined
      )
      if (holder === undefined) return undefined
      pages.push(holder.segment.page(fromSeq, index)!)
    }
    return pages
  }

  segments(): ReadonlyArray<LmdbSegmentInfo> {
    this.#watch.promised()
    return this.#chain.map(({ name, segment, nextSeq, bytes }) => ({
      name: name.name,
      firstSeq: segment.firstSeq,
      nextSeq,
      bytes,
      firstEventSeq: segment.firstEventSeq,
      historyBytes: segment.historyBytes,
      isSettled: segment.isSettled,
      runBytes: segment.runBytes
    }))
  }

  async dropOldest(): Promise<void> {
    const oldest = this.#chain[0]!
    this.#watch.promised()
    if (this.#discarded.length > 0) await this.#removeDiscarded()
    if (this.#chain.length < 2 || this.#chain[0] !== oldest || oldest.successor !== undefined) return
    this.#chain.shift()
    this.#watch.trace(`segment ${oldest.segment.firstSeq} dropped`)
    this.#changed()
    await this.#discard([oldest])
  }

  #discard(segments: ReadonlyArray<Opened>): Promise<void> {
    for (const { name } of segments) this.#discarded.push(name.name)
    return this.#removeDiscarded()
  }

  /** As in `LmdbJournal`, in order: what covers a file is there for as long as the file. */
  #removeDiscarded(): Promise<void> {
    const remove = async (): Promise<void> => {
      for (let name = this.#discarded[0]; name !== undefined; name = this.#discarded[0]) {
        await this.#pause()
        this.#disk.files.delete(name)
        this.#discarded.shift()
      }
    }
    return (this.#removing = this.#removing.then(remove))
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  // --- Settling, as `LmdbJournal` has it ---

  /** Until a while has passed; for ever if the process ends before. */
  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#scheduler.after(this.#random.tail(100, 300_000), () => {
      if (this.#isGone) return
      resolve()
      this.#watch.promised()
    })
    return promise
  }

  settling(firstSeqs: ReadonlyArray<Seq>): Settling | undefined {
    const sources = this.#closed(firstSeqs)
    if (sources === undefined) return undefined
    return {
      sources: sources.map(({ name, segment: { firstSeq }, nextSeq }) => ({ path: name.name, firstSeq, nextSeq })),
      target: segmentName(sources[0]!.name.number, sources[0]!.name.number, 1).name.replace(/mdb$/, "tmp"),
      mapBytes: 0
    }
  }

  #closed(firstSeqs: ReadonlyArray<Seq>): ReadonlyArray<Opened> | undefined {
    const from = this.#chain.findIndex(({ segment }) => segment.firstSeq === firstSeqs[0])
    const found = this.#chain.slice(0, -1).slice(from, from + firstSeqs.length)
    const isWanted = ({ segment, successor }: Opened, i: number): boolean =>
      segment.firstSeq === firstSeqs[i] && successor === undefined
    return from >= 0 && found.length === firstSeqs.length && found.every(isWanted) ? found : undefined
  }

  adoptSettled({ sources: wanted, target }: Settling): Takeover | undefined {
    const segment = this.#disk.files.get(target)
    const isWhole = segment?.isComplete === true && segment.firstSeq === wanted[0]!.firstSeq
    if (!isWhole || segment.nextSeq !== wanted.at(-1)!.nextSeq) {
      throw new JournalError("Corrupt", `${target} is not complete`)
    }
    const sources = this.#closed(wanted.map(({ firstSeq }) => firstSeq))
    if (sources === undefined) {
      this.#disk.files.delete(target)
      return undefined
    }
    const first = sources[0]!.name
    const name = segmentName(first.number, sources.at(-1)!.name.lastNumber, first.generation + 1)
    this.#watch.trace(`${name.name} adopted`)
    this.#disk.rename(target, name.name)
    const successor: Successor = { segment, logs: new Set() }
    for (const source of sources) source.successor = successor
    return {
      visitRuns: (visit) => segment.visitRuns(visit),
      switchLog: (logId) => void successor.logs.add(logId),
      release: () => this.#release(name, segment, sources),
      giveUp: () => {
        throw new Error("nothing that can fail here is behind the takeover")
      }
    }
  }

  async #release(name: SegmentName, segment: SimSegment, sources: ReadonlyArray<Opened>): Promise<void> {
    const { nextSeq } = sources.at(-1)!
    const opened: Opened = { name, segment, nextSeq, bytes: segment.bytes, successor: undefined }
    this.#chain.splice(this.#chain.indexOf(sources[0]!), sources.length, opened)
    await this.#discard(sources)
  }
}
