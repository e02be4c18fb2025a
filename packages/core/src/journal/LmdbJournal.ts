import * as fs from "node:fs"
import * as path from "node:path"
import { SegmentFile } from "../doctor/SegmentFile.ts"
import { makeDirectory } from "../makeDirectory.ts"
import type { Extent } from "./Extent.ts"
import { firstEventSeqOf } from "./firstEventSeqOf.ts"
import { readFrameHead } from "./Frame.ts"
import type { AppendFailure, Commit, Journal, SegmentInfo, Seq, Snapshot, SnapshotPage } from "./Journal.ts"
import { JournalError } from "./JournalError.ts"
import { LmdbSegment } from "./LmdbSegment.ts"
import { acquireLock, leaveSuspect, releaseLock, throwIfHeld, type LastEnd } from "./lock.ts"
import { Occupancy } from "./Occupancy.ts"
import { openChain, type Opened, type Successor } from "./openChain.ts"
import { lockOf, removeEnvironment, syncDirectory, temporaryFile, unlinkInSteps } from "./segmentFiles.ts"
import { segmentName } from "./segmentNames.ts"
import { SpareFiles } from "./SpareFiles.ts"

export interface LmdbJournalOptions {
  readonly directory: string
  /** A segment is rolled once it holds this many bytes, or ten times the newest snapshot's, up to four times as many. */
  readonly segmentBytes: number
  /** A segment is rolled once it refers to this many record batches. */
  readonly segmentRefsMax: number
}

/** What a worker needs to settle segments. */
export interface Settling {
  /** Adjacent, the oldest first; each with one after its last event. */
  readonly sources: ReadonlyArray<{ readonly path: string; readonly firstSeq: Seq; readonly nextSeq: Seq }>
  readonly target: string
  readonly mapBytes: number
}

/** A complete file, to whose runs readers go over. */
export interface Takeover {
  /** Visits its runs, in the order of logs and offsets. Throws `JournalError` "Corrupt". */
  readonly visitRuns: (visit: (extent: Extent) => void) => void
  /** This log's runs are read from it: before the turn ends, the log's index must refer to them. */
  readonly switchLog: (logId: number) => void
  /** Gives up the sources, to which nothing refers any more. Rejects with what the file system says: they are removed later. */
  readonly release: () => Promise<void>
  /** Readers cannot go over: all files stay until nobody needs what is in them, or a start takes the new one. */
  readonly giveUp: () => void
}

export interface LmdbSegmentInfo extends SegmentInfo {
  /** Of a settled segment: what its runs take, also those that nobody can read any more. */
  readonly runBytes: number
}

/** The journal as a chain of LMDB environments in one directory, each a segment of the one before. */
export class LmdbJournal implements Journal {
  readonly #options: LmdbJournalOptions
  readonly #chain: Array<Opened>
  readonly #occupancy: Occupancy
  #nextNumber: number
  /** Appended, not yet settled; a roll waits for zero, since two environments reach the disk independently. */
  #inFlight = 0
  /** Writes held back by a roll, in order. */
  readonly #waiting: Array<() => void> = []
  #poison: AppendFailure | undefined
  readonly #idle: Array<() => void> = []
  /** Files that count no more and are not removed yet, the oldest first, and when they are closed. */
  readonly #discarded = new Map<string, Promise<unknown>>()
  #removing: Promise<void> = Promise.resolve()
  readonly #spares: SpareFiles
  /** Of the newest snapshot that this process has completed, and of the one that it writes. */
  #snapshotBytes = 0
  #pageBytes = 0
  /** Of all commits that were appended since the journal was opened. */
  appendedBytes = 0
  /** Told when a segment was closed by a roll, and before one is dropped. */
  onChange: (() => void) | undefined
  /** Whether the disk has room for files that hold nothing. */
  hasRoomForSpares = (): boolean => true

  private constructor(options: LmdbJournalOptions, chain: Array<Opened>, occupancy: Occupancy) {
    this.#options = options
    this.#chain = chain
    this.#occupancy = occupancy
    this.#nextNumber = (chain.at(-1)?.name.lastNumber ?? 0) + 1
    this.#spares = new SpareFiles(options.directory, options.segmentBytes)
  }

  /** Throws `JournalError`: an unknown format, a gap in seq, a torn frame at the end of a chain, or a directory in use. */
  static open(options: LmdbJournalOptions): LmdbJournal {
    makeDirectory(options.directory)
    const { occupancy, lastEnd } = takeDirectory(options.directory)
    const chain: Array<Opened> = []
    try {
      openChain({ directory: options.directory, mapBytes: mapBytes(options), lastEnd }, chain)
      const journal = new LmdbJournal(options, chain, occupancy)
      if (chain.length === 0) journal.#addSegment(1)
      return journal
    } catch (error) {
      void closeAll(chain)
      if (lastEnd === "clean") releaseLock(options.directory)
      else leaveSuspect(options.directory)
      void occupancy.release()
      throw error
    }
  }

  get firstSeq(): Seq {
    return firstEventSeqOf(this.#chain.map(({ segment, nextSeq }) => ({ source: segment, nextSeq })))
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
    const { bytes, refs, segment } = this.#chain.at(-1)!
    // A settled one is the last if the file after it was lost.
    return segment.isSettled || bytes >= this.#rollBytes || refs >= this.#options.segmentRefsMax
  }

  /** Each segment begins with a snapshot: a large one should not be most of what is written. */
  get #rollBytes(): number {
    const { segmentBytes } = this.#options
    const wanted = snapshotsPerSegment * this.#snapshotBytes
    return Math.max(segmentBytes, Math.min(wanted, rollShareMax * segmentBytes))
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
    this.appendedBytes += commit.byteLength
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
    const name = segmentName(this.#nextNumber++)
    const file = path.join(this.#options.directory, name.name)
    const segment = LmdbSegment.create(file, mapBytes(this.#options), firstSeq, this.#spares.take())
    syncDirectory(this.#options.directory)
    this.#chain.push({ segment, name, nextSeq: firstSeq, bytes: 0, refs: 0, successor: undefined })
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
    const wantedSeq = Math.max(fromSeq, this.firstSeq)
    const first = this.#chain.indexOf(this.#holding(wantedSeq) ?? this.#chain[0]!)
    for (const { segment, nextSeq } of this.#chain.slice(first)) {
      const floor = segment.floor(Math.max(wantedSeq, segment.firstEventSeq)) ?? segment.firstEventSeq
      // Where no frame holds `wantedSeq`, the floor is one that ends before it.
      const isWanted = (frame: Buffer, key: Seq) => key !== floor || readFrameHead(frame).nextSeq > wantedSeq
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
    const opened = this.#holding(segmentSeq)
    if (opened?.successor?.logs.has(logId) === true) return opened.successor.segment.batch(logId, lastOffset)
    return opened?.segment.isSettled === true ? opened.segment.batch(logId, lastOffset) : undefined
  }

  visitRuns(segmentSeq: Seq, visit: (extent: Extent) => void): void {
    this.#holding(segmentSeq)?.segment.visitRuns(visit)
  }

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, settle: (ok: boolean) => void): void {
    this.#pageBytes = page.bytes.length + (index === 0 ? 0 : this.#pageBytes)
    this.#inOrder(() => this.#writeAside((segment) => segment.writePage(fromSeq, index, page), settle))
  }

  completeSnapshot(fromSeq: Seq, pages: number, settle: (ok: boolean) => void): void {
    this.#snapshotBytes = this.#pageBytes
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

  segments(): ReadonlyArray<LmdbSegmentInfo> {
    return this.#chain.map(({ segment, name, nextSeq, bytes }) => ({
      name: name.name,
      firstSeq: segment.firstSeq,
      nextSeq,
      bytes,
      firstEventSeq: segment.firstEventSeq,
      historyBytes: segment.isSettled ? segment.historyBytes : 0,
      isSettled: segment.isSettled,
      runBytes: segment.isSettled ? segment.runBytes : 0
    }))
  }

  async dropOldest(): Promise<void> {
    const oldest = this.#chain[0]!
    if (this.#discarded.size > 0) await this.#removeDiscarded()
    const { successor } = oldest
    const isTakenOver = successor !== undefined && !successor.isGivenUp
    if (this.#chain.length < 2 || this.#chain[0] !== oldest || isTakenOver) return
    this.#chain.shift()
    this.onChange?.()
    const isLastSource = successor !== undefined && oldest === successor.sources.at(-1)
    await this.#discard(isLastSource ? [oldest, successor] : [oldest])
  }

  /** Where adjacent closed segments lie, and where what replaces them is written. Undefined if one is gone, or replaced already. */
  settling(firstSeqs: ReadonlyArray<Seq>): Settling | undefined {
    const sources = this.#closed(firstSeqs)
    if (sources === undefined) return undefined
    return {
      sources: sources.map(({ segment: { path, firstSeq }, nextSeq }) => ({ path, firstSeq, nextSeq })),
      target: temporaryFile(this.#options.directory, sources[0]!.name.number),
      mapBytes: mapBytes(this.#options)
    }
  }

  /** The closed segments that begin at these seqs, if they lie side by side. */
  #closed(firstSeqs: ReadonlyArray<Seq>): ReadonlyArray<Opened> | undefined {
    const from = this.#chain.findIndex(({ segment }) => segment.firstSeq === firstSeqs[0])
    const found = this.#chain.slice(0, -1).slice(from, from + firstSeqs.length)
    const isWanted = ({ segment, successor }: Opened, i: number) =>
      segment.firstSeq === firstSeqs[i] && successor === undefined
    return from >= 0 && found.length === firstSeqs.length && found.every(isWanted) ? found : undefined
  }

  /**
   * Takes over the complete file that a worker has written: from now on a start finds it in the place of its sources,
   * and removes them. Undefined if a source has been dropped meanwhile. Throws `JournalError` or what the file system says.
   */
  adoptSettled({ sources: wanted, target }: Settling): Takeover | undefined {
    throwIfIncomplete(target, wanted)
    const sources = this.#closed(wanted.map(({ firstSeq }) => firstSeq))
    if (sources === undefined) {
      removeEnvironment(target)
      return undefined
    }
    const first = sources[0]!.name
    const name = segmentName(first.number, sources.at(-1)!.name.lastNumber, first.generation + 1)
    const file = path.join(this.#options.directory, name.name)
    fs.renameSync(target, file)
    fs.rmSync(lockOf(target), { force: true })
    const segment = this.#opened(file)
    const { size: bytes } = fs.statSync(file)
    const successor: Successor = { segment, name, sources, bytes, logs: new Set(), isGivenUp: false }
    for (const source of sources) source.successor = successor
    return {
      visitRuns: (visit) => segment.visitRuns(visit),
      switchLog: (logId) => void successor.logs.add(logId),
      release: () => this.#release(successor),
      giveUp: () => void (successor.isGivenUp = true)
    }
  }

  /** A file that has just got its name. If it cannot be used it is removed: a later start would find it in the place of newer ones. */
  #opened(file: string): LmdbSegment {
    try {
      syncDirectory(this.#options.directory)
      return LmdbSegment.open(file, mapBytes(this.#options))
    } catch (error) {
      removeEnvironment(file)
      throw error
    }
  }

  #release({ segment, name, sources, bytes }: Successor): Promise<void> {
    const from = this.#chain.indexOf(sources[0]!)
    const { nextSeq } = sources.at(-1)!
    this.#chain.splice(from, sources.length, { segment, name, nextSeq, bytes, refs: 0, successor: undefined })
    return this.#discard(sources)
  }

  #discard(segments: ReadonlyArray<Pick<Opened, "segment">>): Promise<void> {
    const closed = Promise.all(segments.map(({ segment }) => segment.close()))
    for (const { segment } of segments) this.#discarded.set(segment.path, closed)
    return this.#removeDiscarded()
  }

  /**
   * In order, and what cannot be removed is tried again before anything is dropped: a start would find it again once what
   * covers it is gone, and refuse the gap if what lies behind it is.
   */
  #removeDiscarded(): Promise<void> {
    const remove = async (): Promise<void> => {
      for (const [file, closed] of this.#discarded) {
        await closed
        await this.#giveUp(file)
        this.#discarded.delete(file)
      }
      // Else a power cut could bring some of them back when what replaced them is gone.
      syncDirectory(this.#options.directory)
    }
    this.#removing = this.#removing.then(remove, remove)
    return this.#removing
  }

  async #giveUp(file: string): Promise<void> {
    // What was cut short may have renamed or unlinked it.
    const isThere = fs.existsSync(file)
    if (isThere && !(this.hasRoomForSpares() && this.#spares.keep(file))) await unlinkInSteps(file)
    await fs.promises.rm(lockOf(file), { force: true })
  }

  /** The disk has no room for them. Throws what the file system says. */
  dropSpares(): void {
    this.#spares.drop()
  }

  async close(): Promise<void> {
    // A poisoned environment may never finish its writes: its owner exits at once, and nothing waits for it.
    if ((this.#inFlight > 0 || this.#waiting.length > 0) && this.#poison === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#idle.push(resolve)
      await promise
    }
    if (this.#poison === undefined) await closeAll(this.#chain)
    releaseLock(this.#options.directory)
    await this.#occupancy.release()
  }
}

/** For one writer. Throws `JournalError` "Locked" while there is another, whether or not its process can be seen from here. */
const takeDirectory = (directory: string): { readonly occupancy: Occupancy; readonly lastEnd: LastEnd } => {
  throwIfHeld(directory)
  const occupancy = Occupancy.take(directory)
  try {
    return { occupancy, lastEnd: acquireLock(directory) }
  } catch (error) {
    void occupancy.release()
    throw error
  }
}

const snapshotsPerSegment = 10
const rollShareMax = 4

/**
 * The map is preset, so that it never grows: room for the segment, whose pages may be half empty, its last commits, and
 * LMDB's copies of pages.
 */
const mapBytes = (options: LmdbJournalOptions): number => options.segmentBytes * 2 * rollShareMax + 1024 * 1024 * 1024

const closeAll = async (chain: ReadonlyArray<Opened>): Promise<void> => {
  const successors = new Set(chain.flatMap(({ successor }) => successor ?? []))
  for (const { segment } of [...chain, ...successors]) await segment.close()
}

/**
 * Throws `JournalError` "Corrupt" unless the file is whole, covers exactly these segments, and tells of its runs: once it
 * has its name a start takes it, and removes the sources.
 */
const throwIfIncomplete = (file: string, sources: Settling["sources"]): void => {
  const written = SegmentFile.open(file)
  try {
    const { isSettled, firstSeq, nextSeq } = written
    const isWhole = isSettled && firstSeq === sources[0]!.firstSeq && nextSeq === sources.at(-1)!.nextSeq
    if (!isWhole) throw new JournalError("Corrupt", `${file} is not complete`)
    written.visitRuns(() => undefined)
  } finally {
    written.close()
  }
}

const describeError = (error: unknown): string => (error instanceof Error ? error.message : String(error))
