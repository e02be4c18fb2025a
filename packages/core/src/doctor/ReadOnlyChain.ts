import type { Extent } from "../journal/Extent.ts"
import { firstEventSeqOf } from "../journal/firstEventSeqOf.ts"
import { readFrameHead } from "../journal/Frame.ts"
import type { AppendFailure, Commit, Journal, SegmentInfo, Seq, Snapshot, SnapshotPage } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { PageDamage } from "../journal/LmdbFile.ts"
import { SegmentFile } from "../journal/SegmentFile.ts"
import { listSegments, heldInstead, type ListedSegment } from "./segments.ts"
import type { SegmentSource } from "../journal/SegmentSource.ts"

export interface ChainLink {
  readonly name: string
  /** As it was opened, or what has taken its place since, which may begin earlier and end later. */
  source: SegmentSource
  readonly firstSeq: Seq
  /** The seq after the last event that counts. */
  readonly nextSeq: Seq
  readonly bytes: number
}

/** Segments as a journal that takes nothing. Its readers throw `JournalError` "Corrupt" where pages are damaged. */
export class ReadOnlyChain implements Journal {
  readonly #links: ReadonlyArray<ChainLink>

  /** Throws `JournalError` "Io" if there are none. */
  constructor(links: ReadonlyArray<ChainLink>) {
    if (links.length === 0) throw new JournalError("Io", "there is no segment")
    this.#links = links
  }

  get firstSeq(): Seq {
    return firstEventSeqOf(this.#links)
  }

  get nextSeq(): Seq {
    return this.#links.at(-1)!.nextSeq
  }

  get writtenSegmentSeq(): Seq {
    return this.#links.at(-1)!.firstSeq
  }

  #holding(seq: Seq): ChainLink | undefined {
    return this.#links.findLast(({ firstSeq }) => firstSeq <= seq)
  }

  /**
   * A server that settles, rewrites or merges a segment cuts its file, also under those who read it: what took its place
   * has the same events. Throws `JournalError` "Gap" if those from `fromSeq` on are no longer kept there.
   */
  #from<A>(link: ChainLink, read: (source: SegmentSource) => A, fromSeq: () => Seq = () => link.nextSeq): A {
    try {
      return read(link.source)
    } catch (error) {
      const { source, name, bytes } = link
      const holder = error instanceof PageDamage ? heldInstead({ name, file: source.path, bytes }) : undefined
      if (holder === undefined) throw error
      const { firstEventSeq } = source
      link.source = SegmentFile.open(holder.file)
      void source.close()
      const wantedSeq = Math.max(fromSeq(), firstEventSeq)
      const goneTo = Math.min(link.source.firstEventSeq, link.nextSeq)
      if (wantedSeq < goneTo) {
        throw new JournalError("Gap", `events ${wantedSeq} to ${goneTo - 1} have expired while they were read`)
      }
      return read(link.source)
    }
  }

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    const wantedSeq = Math.max(fromSeq, this.firstSeq)
    for (const link of this.#links) {
      if (link.nextSeq <= wantedSeq) continue
      let next = link.firstSeq
      const look = (frame: Buffer): boolean => {
        const head = readFrameHead(frame)
        next = head.nextSeq
        return head.nextSeq <= wantedSeq || visit(frame)
      }
      const from = (): Seq => Math.max(next, wantedSeq)
      if (!this.#from(link, (source) => source.scan(next, link.nextSeq, look), from)) return
    }
  }

  frame(firstSeq: Seq): Buffer | undefined {
    const link = this.#holding(firstSeq)
    return link && this.#from(link, (source) => source.frame(firstSeq))
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#holding(firstSeq)?.source.chunk(firstSeq, index)
  }

  batch(firstSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    return this.#holding(firstSeq)?.source.batch(logId, lastOffset)
  }

  snapshot(atSeq: Seq): Snapshot | undefined {
    for (let i = this.#links.length - 1; i >= 0; i--) {
      for (const { fromSeq, pages } of this.#from(this.#links[i]!, (source) => source.sealed())) {
        if (fromSeq > atSeq) continue
        const found = this.#pages(i, fromSeq, pages)
        if (found?.every((page) => page.seq <= atSeq) === true) return { fromSeq, pages: found }
      }
    }
    return undefined
  }

  /** A snapshot's pages may have begun in the segment before a roll. */
  #pages(sealedIn: number, fromSeq: Seq, count: number): ReadonlyArray<SnapshotPage> | undefined {
    const pages: Array<SnapshotPage> = []
    for (let index = 0; index < count; index++) {
      let page: SnapshotPage | undefined
      for (let i = sealedIn; i >= 0 && page === undefined; i--) {
        page = this.#from(this.#links[i]!, (source) => source.page(fromSeq, index))
      }
      if (page === undefined) return undefined
      pages.push(page)
    }
    return pages
  }

  run(segmentSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    const source = this.#holding(segmentSeq)?.source
    return source?.isSettled === true ? source.batch(logId, lastOffset) : undefined
  }

  visitRuns(segmentSeq: Seq, visit: (extent: Extent) => void): void {
    this.#holding(segmentSeq)?.source.visitRuns(visit)
  }

  append(_commit: Commit, done: (failure: AppendFailure | undefined) => void): void {
    queueMicrotask(() => done({ reason: "Unavailable", detail: "the journal is only read" }))
  }

  writePage(_fromSeq: Seq, _index: number, _page: SnapshotPage, done: (ok: boolean) => void): void {
    queueMicrotask(() => done(false))
  }

  completeSnapshot(_fromSeq: Seq, _pages: number, done: (ok: boolean) => void): void {
    queueMicrotask(() => done(false))
  }

  dropOldest(): Promise<void> {
    return Promise.resolve()
  }

  async close(): Promise<void> {
    for (const { source } of this.#links) await source.close()
  }

  segments(): ReadonlyArray<SegmentInfo> {
    return this.#links.map(({ name, source, firstSeq, nextSeq, bytes }) => {
      const { isSettled } = source
      const firstEventSeq = Math.min(Math.max(source.firstEventSeq, firstSeq), nextSeq)
      const historyBytes = isSettled ? source.historyBytes : 0
      return { name, firstSeq, nextSeq, bytes, firstEventSeq, historyBytes, isSettled }
    })
  }
}

/**
 * A data directory's journal as it is now, beside a running server or without one: what comes later is not seen.
 * Throws `JournalError`: "Io" where there is none, "Gap", "Corrupt", "UnknownFormat".
 */
export const openReadOnly = (directory: string): ReadOnlyChain => {
  for (let attempt = 1; ; attempt++) {
    const links: Array<ChainLink> = []
    const { segments } = listSegments(directory)
    try {
      openLinks(segments, links)
      if (links.length === 0) throw new JournalError("Io", `${directory} holds no journal`)
      return new ReadOnlyChain(links)
    } catch (error) {
      for (const { source } of links) void source.close()
      // A server may have settled or merged some since the directory was listed.
      const isReplaced = segments.some((segment) => heldInstead(segment) !== undefined)
      if (!isReplaced || attempt === attemptsMax) throw error
    }
  }
}

const attemptsMax = 5

const openLinks = (segments: ReadonlyArray<ListedSegment>, links: Array<ChainLink>): void => {
  for (const [i, { name, file, bytes }] of segments.entries()) {
    // A server may start at any time.
    const source = SegmentFile.open(file, i === segments.length - 1)
    const before = links.at(-1)
    links.push({ name, source, firstSeq: source.firstSeq, nextSeq: source.nextSeq, bytes })
    if (before !== undefined && before.nextSeq !== source.firstSeq) {
      throw new JournalError("Gap", `${name} begins at seq ${source.firstSeq}, expected ${before.nextSeq}`)
    }
  }
}
