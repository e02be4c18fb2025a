import * as fs from "node:fs"
import * as path from "node:path"
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
import { throwIfDamaged } from "./lmdbHeader.ts"
import { LmdbSegment } from "./LmdbSegment.ts"
import { acquireLock, releaseLock } from "./lock.ts"

export interface LmdbJournalOptions {
  readonly directory: string
  /** A segment is rolled once it holds this many bytes. */
  readonly segmentBytes: number
  /** A segment is rolled once it refers to this many record batches. */
  readonly segmentRefsMax: number
}

interface Opened {
  readonly segment: LmdbSegment
  readonly name: string
  nextSeq: Seq
  bytes: number
  refs: number
}

const segmentPattern = /^seg-(\d{8})\.mdb$/
const segmentName = (index: number): string => `seg-${String(index).padStart(8, "0")}.mdb`

/** An unlink of a large file stalls appends (p99 from 3 to 11-15 ms): it is cut in steps of 8 MB every 10 ms. */
const truncateStepBytes = 8 * 1024 * 1024
const truncateStepMs = 10

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

  private constructor(options: LmdbJournalOptions, chain: Array<Opened>, nextIndex: number) {
    this.#options = options
    this.#chain = chain
    this.#nextIndex = nextIndex
  }

  /** Throws `JournalError`: an unknown format, a gap in seq, a torn frame at the end of a chain, or a directory in use. */
  static open(options: LmdbJournalOptions): LmdbJournal {
    fs.mkdirSync(options.directory, { recursive: true })
    const wasClosed = acquireLock(options.directory)
    const chain: Array<Opened> = []
    try {
      // A damaged page may have ended the process before: the next start looks at all of them, and names it.
      openChain(options, chain, !wasClosed)
      const last = chain.at(-1)?.name
      const nextIndex = last === undefined ? 1 : Number(segmentPattern.exec(last)![1]) + 1
      const journal = new LmdbJournal(options, chain, nextIndex)
      if (chain.length === 0) journal.#addSegment(1)
      return journal
    } catch (error) {
      for (const { segment } of chain) void segment.close()
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
    const { bytes, refs } = this.#chain.at(-1)!
    return bytes >= this.#options.segmentBytes || refs >= this.#options.segmentRefsMax
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
    const name = segmentName(this.#nextIndex++)
    const file = path.join(this.#options.directory, name)
    const segment = LmdbSegment.create(file, mapBytes(this.#options), firstSeq)
    syncDirectory(this.#options.directory)
    this.#chain.push({ segment, name, nextSeq: firstSeq, bytes: 0, refs: 0 })
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
    return this.#chain.map(({ segment, name, nextSeq, bytes }) => ({
      name,
      firstSeq: segment.firstSeq,
      nextSeq,
      bytes
    }))
  }

  async dropOldest(): Promise<void> {
    if (this.#chain.length < 2) return
    const { segment } = this.#chain.shift()!
    await segment.close()
    await unlinkInSteps(segment.path)
    await fs.promises.rm(`${segment.path}-lock`, { force: true })
  }

  async close(): Promise<void> {
    // A poisoned environment may never finish its writes: its owner exits at once, and nothing waits for it.
    if ((this.#inFlight > 0 || this.#waiting.length > 0) && this.#poison === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#idle.push(resolve)
      await promise
    }
    if (this.#poison === undefined) for (const { segment } of this.#chain) await segment.close()
    releaseLock(this.#options.directory)
  }
}

/** The map is preset, so that it never grows: room for the segment, its last commits, and LMDB's copies of pages. */
const mapBytes = (options: LmdbJournalOptions): number => options.segmentBytes * 4 + 1024 * 1024 * 1024

/** Opens every segment in order. Throws `JournalError`; what was opened before is in `chain`. */
const openChain = (options: LmdbJournalOptions, chain: Array<Opened>, everyPage: boolean): void => {
  const names = readDirectory(options.directory).filter((name) => segmentPattern.test(name))
  names.sort()
  for (const name of names) {
    const opened = openSegment(options, name, everyPage)
    const before = chain.at(-1)
    chain.push(opened)
    if (before !== undefined && opened.segment.firstSeq !== before.nextSeq) {
      throw new JournalError("Gap", `${name} begins at seq ${opened.segment.firstSeq}, expected ${before.nextSeq}`)
    }
  }
}

const readDirectory = (directory: string): Array<string> => {
  try {
    return fs.readdirSync(directory)
  } catch (error) {
    throw new JournalError("Io", `cannot read ${directory}: ${describeError(error)}`)
  }
}

/** A power cut may forget a file whose directory was not synced, whatever was synced in the file. */
const syncDirectory = (directory: string): void => {
  // Windows has no such call.
  if (process.platform === "win32") return
  const descriptor = fs.openSync(directory, "r")
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

const openSegment = (options: LmdbJournalOptions, name: string, everyPage: boolean): Opened => {
  const file = path.join(options.directory, name)
  throwIfDamaged(file, everyPage)
  const segment = LmdbSegment.open(file, mapBytes(options))
  const last = segment.floor(Number.MAX_SAFE_INTEGER)
  if (last !== undefined && segment.frame(segment.firstSeq) === undefined) {
    void segment.close()
    throw new JournalError("Corrupt", `${name} has no frame at seq ${segment.firstSeq}, where it says that it begins`)
  }
  const nextSeq = last === undefined ? segment.firstSeq : readFrameHead(segment.frame(last)!).nextSeq
  // One without a commit is not full, whatever its file takes: else a segment with nothing in it would follow another.
  return { segment, name, nextSeq, bytes: last === undefined ? 0 : fs.statSync(file).size, refs: 0 }
}

const describeError = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const unlinkInSteps = async (file: string): Promise<void> => {
  const handle = await fs.promises.open(file, "r+")
  try {
    await fs.promises.unlink(file)
    for (let size = (await handle.stat()).size; size > 0; size -= truncateStepBytes) {
      await handle.truncate(Math.max(0, size - truncateStepBytes))
      await new Promise((resolve) => setTimeout(resolve, truncateStepMs))
    }
  } finally {
    await handle.close()
  }
}
