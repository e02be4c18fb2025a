import type { Clock } from "../Clock.ts"
import { readFrameHead } from "./Frame.ts"
import type { AppendFailure, Commit, Journal, SegmentInfo, Seq, Snapshot, SnapshotPage } from "./Journal.ts"

interface Segment {
  readonly firstSeq: Seq
  readonly commits: Array<Commit>
  bytes: number
  /** By from seq: its pages by index, and how many its seal says that there are. */
  readonly pages: Map<Seq, Map<number, SnapshotPage>>
  readonly seals: Map<Seq, number>
}

const emptySegment = (firstSeq: Seq): Segment => ({
  firstSeq,
  commits: [],
  bytes: 0,
  pages: new Map(),
  seals: new Map()
})

/** The journal in memory: for tests, simulation, and servers that shall forget. Durable one turn of `clock` after the append. */
export class MemoryJournal implements Journal {
  readonly #clock: Clock
  readonly #segmentBytes: number
  readonly #segments: Array<Segment> = [emptySegment(1)]

  /** A segment is rolled once it holds `segmentBytes`. */
  constructor(clock: Clock, segmentBytes = 64 * 1024 * 1024) {
    this.#clock = clock
    this.#segmentBytes = segmentBytes
  }

  get firstSeq(): Seq {
    return this.#segments[0]!.firstSeq
  }

  get nextSeq(): Seq {
    return nextSeqOf(this.#written)
  }

  get writtenSegmentSeq(): Seq {
    return this.#written.firstSeq
  }

  get #written(): Segment {
    return this.#segments.at(-1)!
  }

  /** As on disk, a snapshot's pages never begin in a segment that ends where the snapshot begins. */
  #rolled(): Segment {
    if (this.#written.bytes >= this.#segmentBytes) this.#segments.push(emptySegment(this.nextSeq))
    return this.#written
  }

  append(commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    this.#clock.nextTurn(() => {
      const segment = this.#rolled()
      // As from a disk: what was appended may be used again once it is durable.
      const batches = commit.batches.map((batch) => ({ ...batch, bytes: new Uint8Array(batch.bytes) }))
      segment.commits.push({ ...commit, batches })
      segment.bytes += commit.byteLength
      settle(undefined)
    })
  }

  #commit(firstSeq: Seq): Commit | undefined {
    const segment = this.#segments[floor(this.#segments, firstSeq)]!
    const found = segment.commits[floor(segment.commits, firstSeq)]
    return found?.firstSeq === firstSeq ? found : undefined
  }

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    for (const { commits } of this.#segments.slice(floor(this.#segments, fromSeq))) {
      for (let i = floor(commits, fromSeq); i < commits.length; i++) {
        const { frame } = commits[i]!
        if (readFrameHead(frame).nextSeq > fromSeq && !visit(frame)) return
      }
    }
  }

  frame(firstSeq: Seq): Buffer | undefined {
    return this.#commit(firstSeq)?.frame
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#commit(firstSeq)?.chunks[index]
  }

  batch(firstSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    const found = this.#commit(firstSeq)?.batches.find((b) => b.logId === logId && b.lastOffset === lastOffset)
    return found && Buffer.from(found.bytes)
  }

  /** Nothing is settled in memory. */
  run(): undefined {
    return undefined
  }

  visitRuns(): void {}

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, settle: (ok: boolean) => void): void {
    this.#clock.nextTurn(() => {
      const { pages } = this.#rolled()
      const known = pages.get(fromSeq) ?? new Map<number, SnapshotPage>()
      pages.set(fromSeq, known.set(index, page))
      settle(true)
    })
  }

  completeSnapshot(fromSeq: Seq, pages: number, settle: (ok: boolean) => void): void {
    this.#clock.nextTurn(() => {
      this.#rolled().seals.set(fromSeq, pages)
      settle(true)
    })
  }

  snapshot(atSeq: Seq): Snapshot | undefined {
    const sealed = this.#segments.flatMap(({ seals }) => [...seals])
    sealed.sort(([a], [b]) => b - a)
    for (const [fromSeq, count] of sealed) {
      const pages = this.#pages(fromSeq, count)
      if (fromSeq <= atSeq && pages.length === count && pages.every((page) => page.seq <= atSeq)) {
        return { fromSeq, pages }
      }
    }
    return undefined
  }

  #pages(fromSeq: Seq, count: number): ReadonlyArray<SnapshotPage> {
    const found: Array<SnapshotPage> = []
    for (let index = 0; index < count; index++) {
      const holder = this.#segments.findLast(({ pages }) => pages.get(fromSeq)?.has(index))
      if (holder !== undefined) found.push(holder.pages.get(fromSeq)!.get(index)!)
    }
    return found
  }

  segments(): ReadonlyArray<SegmentInfo> {
    return this.#segments.map((segment) => ({
      name: `memory-${segment.firstSeq}`,
      firstSeq: segment.firstSeq,
      nextSeq: nextSeqOf(segment),
      bytes: segment.bytes,
      firstEventSeq: segment.firstSeq,
      historyBytes: 0,
      isSettled: false
    }))
  }

  dropOldest(): Promise<void> {
    if (this.#segments.length > 1) this.#segments.shift()
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

const nextSeqOf = ({ firstSeq, commits }: Segment): Seq => commits.at(-1)?.nextSeq ?? firstSeq

/** The last of the ascending pieces that begins at or before `seq`, or the first one. */
const floor = (pieces: ReadonlyArray<{ readonly firstSeq: Seq }>, seq: Seq): number => {
  let low = 0
  let high = pieces.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (pieces[middle]!.firstSeq <= seq) low = middle
    else high = middle - 1
  }
  return Math.max(0, low)
}
