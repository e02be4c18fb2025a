import type { Clock } from "../Clock.ts"
import { readFrameHead } from "./Frame.ts"
import type { AppendFailure, Commit, Journal, SegmentInfo, Seq, Snapshot, SnapshotPage } from "./Journal.ts"

interface Sealed {
  readonly fromSeq: Seq
  readonly pages: ReadonlyArray<SnapshotPage>
}

/** The journal in memory: for tests, simulation, and servers that shall forget. Durable one turn of `clock` after the append. */
export class MemoryJournal implements Journal {
  readonly #clock: Clock
  readonly #commits: Array<Commit> = []
  readonly #pages = new Map<Seq, Array<SnapshotPage>>()
  readonly #sealed: Array<Sealed> = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get firstSeq(): Seq {
    return this.#commits[0]?.firstSeq ?? 1
  }

  get nextSeq(): Seq {
    return this.#commits.at(-1)?.nextSeq ?? 1
  }

  append(commit: Commit, settle: (failure: AppendFailure | undefined) => void): void {
    this.#clock.nextTurn(() => {
      this.#commits.push(commit)
      settle(undefined)
    })
  }

  /** The index of the commit that holds `seq`, or of the first one. */
  #floor(seq: Seq): number {
    let low = 0
    let high = this.#commits.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#commits[middle]!.firstSeq <= seq) low = middle
      else high = middle - 1
    }
    return low
  }

  #commit(firstSeq: Seq): Commit | undefined {
    const found = this.#commits[this.#floor(firstSeq)]
    return found?.firstSeq === firstSeq ? found : undefined
  }

  scan(fromSeq: Seq, visit: (frame: Buffer) => boolean): void {
    for (let i = this.#floor(fromSeq); i < this.#commits.length; i++) {
      const { frame } = this.#commits[i]!
      if (readFrameHead(frame).nextSeq > fromSeq && !visit(frame)) return
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

  writePage(fromSeq: Seq, index: number, page: SnapshotPage, settle: (ok: boolean) => void): void {
    this.#clock.nextTurn(() => {
      const pages = this.#pages.get(fromSeq) ?? []
      pages[index] = page
      this.#pages.set(fromSeq, pages)
      settle(true)
    })
  }

  completeSnapshot(fromSeq: Seq, pages: number, settle: (ok: boolean) => void): void {
    this.#clock.nextTurn(() => {
      this.#sealed.push({ fromSeq, pages: (this.#pages.get(fromSeq) ?? []).slice(0, pages) })
      this.#pages.delete(fromSeq)
      settle(true)
    })
  }

  snapshot(atSeq: Seq): Snapshot | undefined {
    return this.#sealed.findLast(({ pages }) => pages.every((page) => page.seq <= atSeq))
  }

  segments(): ReadonlyArray<SegmentInfo> {
    const bytes = this.#commits.reduce((sum, commit) => sum + commit.byteLength, 0)
    return [{ name: "memory", firstSeq: this.firstSeq, nextSeq: this.nextSeq, bytes }]
  }

  dropOldest(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
