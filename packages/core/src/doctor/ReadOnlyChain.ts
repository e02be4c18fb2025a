import { readFrameHead } from "../journal/Frame.ts"
import {
  JournalError,
  type AppendFailure,
  type Commit,
  type Journal,
  type SegmentInfo,
  type Seq,
  type Snapshot,
  type SnapshotPage
} from "../journal/Journal.ts"
import type { Extent } from "../journal/Extent.ts"
import { PageDamage } from "./LmdbFile.ts"
import { SegmentFile } from "./SegmentFile.ts"
import { listSegments, settledInstead, type SegmentName } from "./segments.ts"
import type { SegmentSource } from "./SegmentSource.ts"

export interface ChainLink {
  readonly name: string
  source: SegmentSource
  /** One after the last event that counts. */
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
    return this.#links[0]!.source.firstSeq
  }

  get nextSeq(): Seq {
    return this.#links.at(-1)!.nextSeq
  }

  get writtenSegmentSeq(): Seq {
    return this.#links.at(-1)!.source.firstSeq
  }

  #holding(seq: Seq): ChainLink | undefined {
    return this.#links.findLast(({ source }) => source.firstSeq <= seq)
  }

  /** A server that settles a segment cuts its file, also under those who read it: the settled one has the same events. */
  #from<A>(link: ChainLink, read: (source: SegmentSource) => A): A {
    try {
      return read(link.source)
    } catch (error) {
      const { source, name, bytes } = link
      const settled = error instanceof PageDamage ? settledInstead({ name, file: source.path, bytes }) : undefined
      if (settled === undefined) throw error
      link.source = SegmentFile.open(settled.file)
      void source.close()
      return read(link.source)
    }
  }

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    for (const link of this.#links) {
      if (link.nextSeq <= fromSeq) continue
      let next = link.source.firstSeq
      const look = (frame: Buffer, key: Seq): boolean => {
        next = key + 1
        return readFrameHead(frame).nextSeq <= fromSeq || visit(frame)
      }
      if (!this.#from(link, (source) => source.scan(next, link.nextSeq, look))) return
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

  append(_commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    queueMicrotask(() => settle({ reason: "Unavailable", detail: "the journal is only read" }))
  }

  writePage(_fromSeq: Seq, _index: number, _page: SnapshotPage, settle: (ok: boolean) => void): void {
    queueMicrotask(() => settle(false))
  }

  completeSnapshot(_fromSeq: Seq, _pages: number, settle: (ok: boolean) => void): void {
    queueMicrotask(() => settle(false))
  }

  dropOldest(): Promise<void> {
    return Promise.resolve()
  }

  async close(): Promise<void> {
    for (const { source } of this.#links) await source.close()
  }

  segments(): ReadonlyArray<SegmentInfo> {
    return this.#links.map(({ name, source: { firstSeq, isSettled }, nextSeq, bytes }) => {
      return { name, firstSeq, nextSeq, bytes, isSettled }
    })
  }
}

/**
 * A data directory's journal as it is now, beside a running server or without one: what comes later is not seen.
 * Throws `JournalError`: "Io" where there is none, "Gap", "Corrupt", "UnknownFormat".
 */
export const openReadOnly = (directory: string): ReadOnlyChain => {
  const links: Array<ChainLink> = []
  try {
    const { segments } = listSegments(directory)
    for (const [i, segment] of segments.entries()) {
      const { name, bytes } = segment
      // A server may start at any time.
      const source = openNow(segment, i === segments.length - 1)
      const before = links.at(-1)
      links.push({ name, source, nextSeq: source.nextSeq, bytes })
      if (before !== undefined && before.nextSeq !== source.firstSeq) {
        throw new JournalError("Gap", `${name} begins at seq ${source.firstSeq}, expected ${before.nextSeq}`)
      }
    }
    if (links.length === 0) throw new JournalError("Io", `${directory} holds no journal`)
    return new ReadOnlyChain(links)
  } catch (error) {
    for (const { source } of links) void source.close()
    throw error
  }
}

/** Settled since the directory was listed, perhaps. */
const openNow = (segment: SegmentName, isWritten: boolean): SegmentFile => {
  try {
    return SegmentFile.open(segment.file, isWritten)
  } catch (error) {
    const settled = settledInstead(segment)
    if (settled === undefined) throw error
    return SegmentFile.open(settled.file)
  }
}
