import * as fs from "node:fs"
import * as path from "node:path"
import type { Extent } from "./Extent.ts"
import { readFrameHead } from "./Frame.ts"
import {
  JournalError,
  type AppendFailure,
  type Commit,
  type Journal,
  type SegmentInfo,
  type Seq,
  type Snapshot,
  type SnapshotPage
} from "./Journal.ts"
import { LmdbSegment } from "./LmdbSegment.ts"
import { makeDirectory } from "../makeDirectory.ts"
import { acquireLock, releaseLock } from "./lock.ts"
import { openChain, type Opened } from "./openChain.ts"
import { lockOf, removeEnvironment, segmentFiles, segmentName, syncDirectory, unlinkInSteps } from "./segmentFiles.ts"

export interface LmdbJournalOptions {
  readonly directory: string
  /** A segment is rolled once it holds this many bytes. */
  readonly segmentBytes: number
  /** A segment is rolled once it refers to this many record batches. */
  readonly segmentRefsMax: number
}

/** What a worker needs to settle segments. */
export interface Settling {
  /** Adjacent, the oldest first; each with one after its last event. */
  readonly sources: ReadonlyArray<{ readonly path: string; readonly nextSeq: Seq }>
  readonly target: string
  readonly mapBytes: number
}

/** The journal as a chain of LMDB environments in one directory, each a segment of the one before. */
export class LmdbJournal implements Journal {
  readonly #options: LmdbJournalOptions
  readonly #chain: Array<Opened>
  #nextIndex: number
  /** Appended, not yet settled; a roll waits for zero, since two environments reach the disk independently. */
  #inFlight = 0
  /** Writes held back by a roll, in order. */
  readonly #waiting: Array<() => void> = []
  #poison: AppendFailure | undefined
  readonly #idle: Array<() => void> = []
  /** Told when a segment was closed by a roll, and before one is dropped. */
  onChange: (() => void) | undefined

  private constructor(options: LmdbJournalOptions, chain: Array<Opened>, nextIndex: number) {
    this.#options = options
    this.#chain = chain
    this.#nextIndex = nextIndex
  }

  /** Throws `JournalError`: an unknown format, a gap in seq, a torn frame at the end of a chain, or a directory in use. */
  static open(options: LmdbJournalOptions): LmdbJournal {
    makeDirectory(options.directory)
    const wasClosed = acquireLock(options.directory)
    const chain: Array<Opened> = []
    try {
      // A damaged page may have ended the process before: the next start looks at all of them, and names it.
      openChain({ directory: options.directory, mapBytes: mapBytes(options), everyPage: !wasClosed }, chain)
      const journal = new LmdbJournal(options, chain, (chain.at(-1)?.index ?? 0) + 1)
      if (chain.length === 0) journal.#addSegment(1)
      return journal
    } catch (error) {
      for (const opened of chain) void closeBoth(opened)
      releaseLock(options.directory)
      throw error
    }
  }

  get firstSeq(): Seq {
    return this.#chain[0]!.segment.firstSeq
  }

  get nextSeq(): Seq {
    return this.#chain.at(-1)!.nextSeq
  }

  get writtenSegmentSeq(): Seq {
    return this.#chain.at(-1)!.segment.firstSeq
  }

  append(commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    this.#inOrder(() => this.#write(commit, settle))
  }

  /** A roll drains: nothing goes to the new segment before all of the old one is durable. */
  #inOrder(write: () => void): void {
    if (this.#waiting.length > 0 || (this.#rollDue() && this.#inFlight > 0)) this.#waiting.push(write)
    else write()
  }

  #rollDue(): boolean {
    const { bytes, refs, runs } = this.#chain.at(-1)!
    // A settled one is the last if the file after it was lost.
    return runs !== undefined || bytes >= this.#options.segmentBytes || refs >= this.#options.segmentRefsMax
  }

  #write(commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    if (this.#poison !== undefined) {
      const { detail } = this.#poison
      queueMicrotask(() => settle({ reason: "Unavailable", detail }))
      return
    }
    this.#inFlight++
    let put: Promise<boolean>
    try {
      if (this.#rollDue()) this.#addSegment(commit.firstSeq)
      put = this.#chain.at(-1)!.segment.write(commit)
    } catch (error) {
      put = Promise.reject(error)
    }
    const opened = this.#chain.at(-1)!
    opened.bytes += commit.byteLength
    opened.refs += commit.refCount
    put.then(
      (isAccepted) => this.#written(commit, opened, isAccepted, settle),
      (error: unknown) => {
        this.#fail("Unavailable", describeError(error))
        this.#settled(() => settle(this.#poison))
      }
    )
  }

  /** A frame behind one that failed may be on disk: it would leave a gap, which a replay refuses. */
  #written(
    commit: Commit,
    opened: Opened,
    isAccepted: boolean,
    settle: (failure: AppendFailure | undefined) => void
  ): void {
    if (!isAccepted) this.#fail("Indeterminate", `LMDB refused the frame at seq ${commit.firstSeq}`)
    else if (this.#poison === undefined) opened.nextSeq = commit.nextSeq
    this.#settled(() => settle(this.#poison && { ...this.#poison, reason: "Indeterminate" }))
  }

  #fail(reason: AppendFailure["reason"], detail: string): void {
    this.#poison ??= { reason, detail }
    this.#wakeIdle()
  }

  #wakeIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #settled(settle: () => void): void {
    this.#inFlight--
    settle()
    while (this.#waiting.length > 0 && (this.#inFlight === 0 || !this.#rollDue())) {
      this.#waiting.shift()!()
    }
    if (this.#inFlight === 0) this.#wakeIdle()
  }

  #addSegment(firstSeq: Seq): void {
    const index = this.#nextIndex++
    const file = path.join(this.#options.directory, segmentName(index))
    const segment = LmdbSegment.create(file, mapBytes(this.#options), firstSeq)
    syncDirectory(this.#options.directory)
    this.#chain.push({ segment, runs: undefined, index, nextSeq: firstSeq, bytes: 0, refs: 0 })
    this.onChange?.()
  }

  #holding(seq: Seq): Opened | undefined {
    let low = 0
    let high = this.#chain.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#chain[middle]!.segment.firstSeq <= seq) low = middle
      else high = middle - 1
    }
    const found = this.#chain[low]!
    return found.segment.firstSeq <= seq ? found : undefined
  }

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    const first = this.#chain.indexOf(this.#holding(fromSeq) ?? this.#chain[0]!)
    for (const { segment, nextSeq } of this.#chain.slice(first)) {
      const floor = segment.floor(Math.max(fromSeq, segment.firstSeq)) ?? segment.firstSeq
      // Where no frame holds `fromSeq`, the floor is one that ends before it.
      const isWanted = (frame: Buffer, key: Seq) => key !== floor || readFrameHead(frame).nextSeq > fromSeq
      if (!segment.scan(floor, nextSeq, (frame, key) => !isWanted(frame, key) || visit(frame))) return
    }
  }

  frame(firstSeq: Seq): Buffer | undefined {
    return this.#holding(firstSeq)?.segment.frame(firstSeq)
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#holding(firstSeq)?.segment.chunk(firstSeq, index)
  }

  batch(firstSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    return this.#holding(firstSeq)?.segment.batch(logId, lastOffset)
  }

  run(segmentSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    return this.#holding(segmentSeq)?.runs?.batch(logId, lastOffset)
  }

  visitRuns(segmentSeq: Seq, visit: (extent: Extent) => void): void {
    this.#holding(segmentSeq)?.runs?.visitRuns(visit)
  }

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, settle: (ok: boolean) => void): void {
    this.#inOrder(() => this.#writeAside((segment) => segment.writePage(fromSeq, index, page), settle))
  }

  completeSnapshot(fromSeq: Seq, pages: number, settle: (ok: boolean) => void): void {
    this.#inOrder(() => this.#writeAside((segment) => segment.seal(fromSeq, pages), settle))
  }

  #writeAside(put: (segment: LmdbSegment) => Promise<boolean>, settle: (ok: boolean) => void): void {
    if (this.#poison !== undefined) {
      queueMicrotask(() => settle(false))
      return
    }
    this.#inFlight++
    let written: Promise<boolean>
    try {
      // A snapshot that begins where a segment ends has no page in it, so that the segment may be dropped. For the same
      // reason pages do not count as the segment's bytes: else one of them could make the roll due.
      if (this.#rollDue()) this.#addSegment(this.nextSeq)
      written = put(this.#chain.at(-1)!.segment)
    } catch (error) {
      written = Promise.reject(error)
    }
    written.then(
      (ok) => this.#settled(() => settle(ok)),
      (error: unknown) => {
        this.#fail("Unavailable", describeError(error))
        this.#settled(() => settle(false))
      }
    )
  }

  snapshot(atSeq: Seq): Snapshot | undefined {
    for (let i = this.#chain.length - 1; i >= 0; i--) {
      for (const { fromSeq, pages } of this.#chain[i]!.segment.sealed()) {
        if (fromSeq > atSeq) continue
        const found = this.#pages(i, fromSeq, pages)
        // Pages are taken one after the other: a later one may know more than the wanted seq.
        if (found !== undefined && found.every((page) => page.seq <= atSeq)) return { fromSeq, pages: found }
      }
    }
    return undefined
  }

  /** A snapshot's pages may have begun in the segment before a roll. */
  #pages(sealedIn: number, fromSeq: Seq, count: number): ReadonlyArray<SnapshotPage> | undefined {
    const pages: Array<SnapshotPage> = []
    for (let index = 0; index < count; index++) {
      let page: SnapshotPage | undefined
      for (let i = sealedIn; i >= 0 && page === undefined; i--) page = this.#chain[i]!.segment.page(fromSeq, index)
      if (page === undefined) return undefined
      pages.push(page)
    }
    return pages
  }

  segments(): ReadonlyArray<SegmentInfo> {
    return this.#chain.map(({ segment, runs, nextSeq, bytes }) => ({
      name: path.basename(segment.path),
      firstSeq: segment.firstSeq,
      nextSeq,
      bytes,
      isSettled: runs !== undefined
    }))
  }

  async dropOldest(): Promise<void> {
    if (this.#chain.length < 2) return
    const { segment, runs } = this.#chain.shift()!
    this.onChange?.()
    // The settled file last: where it is, the original is not needed.
    await discard(segment)
    if (runs !== undefined && runs !== segment) await discard(runs)
  }

  /** Where a closed segment lies, and where what settles it is written. Undefined if it is settled, written, or gone. */
  settling(firstSeq: Seq): Settling | undefined {
    const opened = this.#closed(firstSeq)
    if (opened === undefined || opened.runs !== undefined) return undefined
    return {
      sources: [{ path: opened.segment.path, nextSeq: opened.nextSeq }],
      target: segmentFiles(this.#options.directory, opened.index).temporary,
      mapBytes: mapBytes(this.#options)
    }
  }

  #closed(firstSeq: Seq): Opened | undefined {
    return this.#chain.slice(0, -1).find(({ segment }) => segment.firstSeq === firstSeq)
  }

  /**
   * Takes over the complete settled file that a worker has written: from now on its runs are read, and a start finds it. The original stays until
   * `releaseOriginal`. False if the segment has been dropped meanwhile. Rejects with `JournalError` or what the file system says.
   */
  async adoptSettled(firstSeq: Seq, temporary: string): Promise<boolean> {
    const runs = LmdbSegment.open(temporary, mapBytes(this.#options))
    const isComplete = runs.isSettled && runs.firstSeq === firstSeq
    await runs.close()
    if (!isComplete) throw new JournalError("Corrupt", `${temporary} is not complete`)
    const opened = this.#closed(firstSeq)
    if (opened === undefined || opened.runs !== undefined) {
      removeEnvironment(temporary)
      return false
    }
    const { settled } = segmentFiles(this.#options.directory, opened.index)
    fs.renameSync(temporary, settled)
    fs.rmSync(lockOf(temporary), { force: true })
    syncDirectory(this.#options.directory)
    opened.runs = LmdbSegment.open(settled, mapBytes(this.#options))
    return true
  }

  /** Gives up the original of a settled segment, to which nothing refers any more. */
  async releaseOriginal(firstSeq: Seq): Promise<void> {
    const opened = this.#closed(firstSeq)
    if (opened?.runs === undefined || opened.runs === opened.segment) return
    const original = opened.segment
    opened.segment = opened.runs
    opened.bytes = fs.statSync(opened.runs.path).size
    await discard(original)
  }

  async close(): Promise<void> {
    // A poisoned environment may never finish its writes: its owner exits at once, and nothing waits for it.
    if ((this.#inFlight > 0 || this.#waiting.length > 0) && this.#poison === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#idle.push(resolve)
      await promise
    }
    if (this.#poison === undefined) for (const opened of this.#chain) await closeBoth(opened)
    releaseLock(this.#options.directory)
  }
}

/** The map is preset, so that it never grows: room for the segment, its last commits, and LMDB's copies of pages. */
const mapBytes = (options: LmdbJournalOptions): number => options.segmentBytes * 4 + 1024 * 1024 * 1024

const closeBoth = async ({ segment, runs }: Opened): Promise<void> => {
  await segment.close()
  if (runs !== undefined && runs !== segment) await runs.close()
}

/** Closes a segment and takes its file away, in steps. */
const discard = async (segment: LmdbSegment): Promise<void> => {
  await segment.close()
  await unlinkInSteps(segment.path)
  await fs.promises.rm(lockOf(segment.path), { force: true })
}

const describeError = (error: unknown): string => (error instanceof Error ? error.message : String(error))
