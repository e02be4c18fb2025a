import type { Extent } from "./Extent.ts"
import { firstEventSeqOf } from "./firstEventSeqOf.ts"
import { readFrameHead } from "./Frame.ts"
import type { AppendFailure, Commit, Journal, SegmentInfo, Seq, Snapshot, SnapshotPage } from "./Journal.ts"
import { segmentName, type SegmentName } from "./segmentNames.ts"

/**
 * The outcome of a write. True: it and all before it are durable. False: it was refused, and what was written with it
 * may be there. An error: nothing can be written.
 */
export type Written = boolean | Error

/** Called once, never before the write's call returns. */
export type TellWritten = (written: Written) => void

/** A piece of the journal, as its chain reads it. Views are valid until the next read of any segment. */
export interface Segment {
  /** Where it lies. */
  readonly path: string
  readonly firstSeq: Seq
  /** The oldest event whose frame is there. */
  readonly firstEventSeq: Seq
  readonly isSettled: boolean
  /** The bytes that frames and snapshots take of a settled segment, and those that its runs take. */
  readonly historyBytes: number
  readonly runBytes: number
  readonly frame: (firstSeq: Seq) => Buffer | undefined
  readonly chunk: (firstSeq: Seq, index: number) => Buffer | undefined
  /** The run of a settled segment that ends with `lastOffset`. */
  readonly batch: (logId: number, lastOffset: number) => Buffer | undefined
  /** The key of the last frame that begins at or before `seq`. */
  readonly floor: (seq: Seq) => Seq | undefined
  /** Visits the frames with keys from `from` below `end`, until `visit` says false; so does the answer then. */
  readonly scan: (from: Seq, end: Seq, visit: (frame: Buffer, key: Seq) => boolean) => boolean
  /** The complete snapshots whose seals are here, the newest first. */
  readonly sealed: () => ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }>
  readonly page: (fromSeq: Seq, index: number) => SnapshotPage | undefined
  /** Visits the runs of a settled segment in the order of logs and offsets. Throws `JournalError` "Corrupt". */
  readonly visitRuns: (visit: (extent: Extent) => void) => void
  readonly close: () => Promise<void>
}

/** Adjacent segments, and where a worker writes the one that replaces them. */
export interface Replacement {
  /** The oldest first; each with one after its last event. */
  readonly sources: ReadonlyArray<{ readonly path: string; readonly firstSeq: Seq; readonly nextSeq: Seq }>
  readonly target: string
  readonly mapBytes: number
}

/** The place of segments: a directory, memory, a simulated disk. */
export interface SegmentStorage<S extends Segment> {
  /** An empty segment. Its name is durable when this returns: a power cut may forget no segment that a commit is in. */
  readonly create: (name: SegmentName, firstSeq: Seq) => S
  readonly write: (segment: S, commit: Commit, tell: TellWritten) => void
  readonly writePage: (segment: S, fromSeq: Seq, index: number, page: SnapshotPage, tell: TellWritten) => void
  readonly seal: (segment: S, fromSeq: Seq, pages: number, tell: TellWritten) => void
  /** Where a worker writes what replaces segments from this one on, and what the writer needs to know of it. */
  readonly target: (first: SegmentName) => Pick<Replacement, "target" | "mapBytes">
  /**
   * Gives the complete file its name: a start finds it in the place of its sources from now on. Throws `JournalError` or
   * what the file system says.
   */
  readonly adopt: (replacement: Replacement, name: SegmentName) => { readonly segment: S; readonly bytes: number }
  /** Throws `JournalError` "Corrupt" unless the target is whole and covers exactly its sources. */
  readonly throwIfIncomplete: (replacement: Replacement) => void
  /** A target that nobody takes over. */
  readonly discardTarget: (target: string) => void
  /** Removes a closed segment's file. Rejects with what the file system says: it is tried again. */
  readonly remove: (path: string) => Promise<void>
  /** Makes durable what was removed. */
  readonly removed: () => void
}

/** A segment of the chain. */
export interface Link<S extends Segment> {
  readonly segment: S
  readonly name: SegmentName
  nextSeq: Seq
  /** Appended to it, though not durable yet; of a closed one, its size. */
  bytes: number
  /** References to record batches that were appended to it. */
  refs: number
  /** The segment that takes its place, while readers go over to it. */
  successor: Successor<S> | undefined
}

/** A complete file that holds what adjacent segments hold. */
export interface Successor<S extends Segment> {
  readonly segment: S
  readonly name: SegmentName
  readonly sources: ReadonlyArray<Link<S>>
  readonly bytes: number
  /** The logs that are read from it already. */
  readonly logs: Set<number>
  /** Some logs are read from it and others from its sources for as long as this process lives. */
  isGivenUp: boolean
}

export interface ChainSegmentInfo extends SegmentInfo {
  /** The bytes that a settled segment's runs take, with those that nobody can read any more; 0 if it is not settled. */
  readonly runBytes: number
}

/** The way from a segment to the file that replaces it, log by log. */
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

/** A chain as those see it who settle its segments, rewrite and merge them. */
export type RewritableChain = Pick<SegmentChain<Segment>, "segments" | "replacement" | "adopt" | "onChange">

export interface RollOptions {
  /** A segment is rolled once it holds this many bytes, or ten times the newest snapshot's, up to four times as many. */
  readonly segmentBytes: number
  /** A segment is rolled once it refers to this many record batches. */
  readonly segmentRefsMax: number
}

const snapshotsPerSegment = 10
export const rollShareMax = 4

/**
 * The journal as a chain of segments, each the piece behind the one before: rolls, replacements, and what is dropped.
 *
 *     append -> newest segment        full -> wait until all of it is durable -> a new segment
 *     closed segments -> worker writes a file -> adopted -> readers go over, log by log -> sources removed
 *     oldest segment that nobody needs -> removed
 */
export class SegmentChain<S extends Segment> implements Journal {
  readonly #storage: SegmentStorage<S>
  readonly #options: RollOptions
  readonly #chain: Array<Link<S>>
  #nextNumber: number
  /** Appended, not yet told; a roll waits for zero, since two segments reach the disk independently. */
  #inFlight = 0
  /** Writes held back by a roll, in order. */
  readonly #waiting: Array<() => void> = []
  #poison: AppendFailure | undefined
  readonly #idle: Array<() => void> = []
  /** Files that count no more and are not removed yet, the oldest first, and when they are closed. */
  readonly #discarded = new Map<string, Promise<unknown>>()
  #removing: Promise<void> = Promise.resolve()
  /** The bytes of the newest snapshot that this process has completed, and of the one that it writes. */
  #snapshotBytes = 0
  #pageBytes = 0
  /** The bytes of all commits that were appended since the journal was opened. */
  appendedBytes = 0
  /** Told when a segment was closed by a roll, and before one is dropped. */
  onChange: (() => void) | undefined

  /** `chain`: what is there, the oldest first; a first segment is made if there is none. */
  constructor(storage: SegmentStorage<S>, options: RollOptions, chain: Array<Link<S>>) {
    this.#storage = storage
    this.#options = options
    this.#chain = chain
    this.#nextNumber = (chain.at(-1)?.name.lastNumber ?? 0) + 1
    if (chain.length === 0) this.#addSegment(1)
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

  append(commit: Commit, done: (failure: AppendFailure | undefined) => void): void {
    this.#inOrder(() => this.#write(commit, done))
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

  #write(commit: Commit, done: (failure: AppendFailure | undefined) => void): void {
    if (this.#poison !== undefined) {
      const { detail } = this.#poison
      queueMicrotask(() => done({ reason: "Unavailable", detail }))
      return
    }
    this.#begin(
      commit.firstSeq,
      (link, tell) => {
        link.bytes += commit.byteLength
        link.refs += commit.refCount
        this.appendedBytes += commit.byteLength
        this.#storage.write(link.segment, commit, (written) => {
          // A frame behind one that failed may be on disk: it would leave a gap, which a replay refuses.
          if (written === true && this.#poison === undefined) link.nextSeq = commit.nextSeq
          tell(written)
        })
      },
      (written) => {
        if (written === false) this.#fail("Indeterminate", `the frame at seq ${commit.firstSeq} was refused`)
        const isNowhere = written instanceof Error
        done(this.#poison && (isNowhere ? this.#poison : { ...this.#poison, reason: "Indeterminate" }))
      }
    )
  }

  /** Into the newest segment, or a new one if a roll is due. Whatever throws is told as a write that failed. */
  #begin(firstSeq: Seq, write: (link: Link<S>, tell: TellWritten) => void, done: TellWritten): void {
    this.#inFlight++
    const tell = (written: Written): void => {
      if (written instanceof Error) this.#fail("Unavailable", written.message)
      this.#ended(() => done(written))
    }
    try {
      if (this.#rollDue()) this.#addSegment(firstSeq)
      write(this.#chain.at(-1)!, tell)
    } catch (error) {
      queueMicrotask(() => tell(error instanceof Error ? error : new Error(String(error))))
    }
  }

  #fail(reason: AppendFailure["reason"], detail: string): void {
    this.#poison ??= { reason, detail }
    this.#wakeIdle()
  }

  #wakeIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #ended(done: () => void): void {
    this.#inFlight--
    done()
    while (this.#waiting.length > 0 && (this.#inFlight === 0 || !this.#rollDue())) {
      this.#waiting.shift()!()
    }
    if (this.#inFlight === 0) this.#wakeIdle()
  }

  #addSegment(firstSeq: Seq): void {
    const name = segmentName(this.#nextNumber++)
    const segment = this.#storage.create(name, firstSeq)
    this.#chain.push({ segment, name, nextSeq: firstSeq, bytes: 0, refs: 0, successor: undefined })
    this.onChange?.()
  }

  #holding(seq: Seq): Link<S> | undefined {
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

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, done: (ok: boolean) => void): void {
    this.#pageBytes = page.bytes.length + (index === 0 ? 0 : this.#pageBytes)
    this.#inOrder(() =>
      this.#writeAside((segment, tell) => this.#storage.writePage(segment, fromSeq, index, page, tell), done)
    )
  }

  completeSnapshot(fromSeq: Seq, pages: number, done: (ok: boolean) => void): void {
    this.#snapshotBytes = this.#pageBytes
    this.#inOrder(() => this.#writeAside((segment, tell) => this.#storage.seal(segment, fromSeq, pages, tell), done))
  }

  #writeAside(write: (segment: S, tell: TellWritten) => void, done: (ok: boolean) => void): void {
    if (this.#poison !== undefined) {
      queueMicrotask(() => done(false))
      return
    }
    // A snapshot that begins where a segment ends has no page in it, so that the segment may be dropped. For the same
    // reason pages do not count as the segment's bytes: else one of them could make the roll due.
    this.#begin(
      this.nextSeq,
      ({ segment }, tell) => write(segment, tell),
      (written) => done(written === true)
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

  segments(): ReadonlyArray<ChainSegmentInfo> {
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
  replacement(firstSeqs: ReadonlyArray<Seq>): Replacement | undefined {
    const sources = this.#closed(firstSeqs)
    if (sources === undefined) return undefined
    return {
      sources: sources.map(({ segment: { path, firstSeq }, nextSeq }) => ({ path, firstSeq, nextSeq })),
      ...this.#storage.target(sources[0]!.name)
    }
  }

  /** The closed segments that begin at these seqs, if they lie side by side. */
  #closed(firstSeqs: ReadonlyArray<Seq>): ReadonlyArray<Link<S>> | undefined {
    const from = this.#chain.findIndex(({ segment }) => segment.firstSeq === firstSeqs[0])
    const found = this.#chain.slice(0, -1).slice(from, from + firstSeqs.length)
    const isWanted = ({ segment, successor }: Link<S>, i: number) =>
      segment.firstSeq === firstSeqs[i] && successor === undefined
    return from >= 0 && found.length === firstSeqs.length && found.every(isWanted) ? found : undefined
  }

  /**
   * Takes over the complete file that a worker has written: from now on a start finds it in the place of its sources,
   * and removes them. Undefined if a source has been dropped meanwhile. Throws `JournalError` or what the file system says.
   */
  adopt(replacement: Replacement): Takeover | undefined {
    this.#storage.throwIfIncomplete(replacement)
    const sources = this.#closed(replacement.sources.map(({ firstSeq }) => firstSeq))
    if (sources === undefined) {
      this.#storage.discardTarget(replacement.target)
      return undefined
    }
    const first = sources[0]!.name
    const name = segmentName(first.number, sources.at(-1)!.name.lastNumber, first.revision + 1)
    const { segment, bytes } = this.#storage.adopt(replacement, name)
    const successor: Successor<S> = { segment, name, sources, bytes, logs: new Set(), isGivenUp: false }
    for (const source of sources) source.successor = successor
    return {
      visitRuns: (visit) => segment.visitRuns(visit),
      switchLog: (logId) => void successor.logs.add(logId),
      release: () => this.#release(successor),
      giveUp: () => void (successor.isGivenUp = true)
    }
  }

  #release({ segment, name, sources, bytes }: Successor<S>): Promise<void> {
    const from = this.#chain.indexOf(sources[0]!)
    const { nextSeq } = sources.at(-1)!
    this.#chain.splice(from, sources.length, { segment, name, nextSeq, bytes, refs: 0, successor: undefined })
    return this.#discard(sources)
  }

  #discard(segments: ReadonlyArray<Pick<Link<S>, "segment">>): Promise<void> {
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
        await this.#storage.remove(file)
        this.#discarded.delete(file)
      }
      // Else a power cut could bring some of them back when what replaced them is gone.
      this.#storage.removed()
    }
    this.#removing = this.#removing.then(remove, remove)
    return this.#removing
  }

  async close(): Promise<void> {
    // A poisoned journal may never finish its writes: its owner exits at once, and nothing waits for it.
    if ((this.#inFlight > 0 || this.#waiting.length > 0) && this.#poison === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#idle.push(resolve)
      await promise
    }
    if (this.#poison === undefined) await closeAll(this.#chain)
  }
}

/** Lets go of every segment, and of those that are taking their places. */
export const closeAll = async (chain: ReadonlyArray<Link<Segment>>): Promise<void> => {
  const successors = new Set(chain.flatMap(({ successor }) => successor ?? []))
  for (const { segment } of [...chain, ...successors]) await segment.close()
}
