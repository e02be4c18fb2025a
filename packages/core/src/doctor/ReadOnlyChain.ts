import { readFrameHead } from "../journal/Frame.ts"
import {
  JournalError,
  type Journal,
  type SegmentInfo,
  type Seq,
  type Snapshot,
  type SnapshotPage
} from "../journal/Journal.ts"
import type { SegmentSource } from "./SegmentSource.ts"

export interface ChainLink {
  readonly name: string
  readonly source: SegmentSource
  /** One after the last event that counts. */
  readonly nextSeq: Seq
  readonly bytes: number
}

/** Segments that were checked, as a journal that can be replayed. Its readers throw `PageDamage` where pages are damaged. */
export class ReadOnlyChain implements Pick<
  Journal,
  "firstSeq" | "nextSeq" | "writtenSegmentSeq" | "scan" | "frame" | "chunk" | "batch" | "snapshot" | "segments"
> {
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

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    for (const { source, nextSeq } of this.#links) {
      if (nextSeq <= fromSeq) continue
      if (!source.scan(source.firstSeq, nextSeq, (frame) => readFrameHead(frame).nextSeq <= fromSeq || visit(frame))) {
        return
      }
    }
  }

  frame(firstSeq: Seq): Buffer | undefined {
    return this.#holding(firstSeq)?.source.frame(firstSeq)
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#holding(firstSeq)?.source.chunk(firstSeq, index)
  }

  batch(firstSeq: Seq, logId: number, lastOffset: number): Buffer | undefined {
    return this.#holding(firstSeq)?.source.batch(logId, lastOffset)
  }

  snapshot(atSeq: Seq): Snapshot | undefined {
    for (let i = this.#links.length - 1; i >= 0; i--) {
      for (const { fromSeq, pages } of this.#links[i]!.source.sealed()) {
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
      for (let i = sealedIn; i >= 0 && page === undefined; i--) page = this.#links[i]!.source.page(fromSeq, index)
      if (page === undefined) return undefined
      pages.push(page)
    }
    return pages
  }

  segments(): ReadonlyArray<SegmentInfo> {
    return this.#links.map(({ name, source: { firstSeq, isSettled }, nextSeq, bytes }) => {
      return { name, firstSeq, nextSeq, bytes, isSettled }
    })
  }
}
