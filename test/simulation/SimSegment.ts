import { readExtents, type Extent } from "@logbrook/core/journal/Extent"
import type { Commit, Seq, SnapshotPage } from "@logbrook/core/journal/Journal"
import type { SettledRange } from "@logbrook/core/journal/LmdbSegment"
import type { SettleSource } from "@logbrook/core/settle/LogSource"
import type { SettleTarget } from "@logbrook/core/settle/writeSettled"

const done = Promise.resolve(true)

/** A segment's file on the simulated disk: what `LmdbSegment` is on a real one, to its writer, its readers and its settler. */
export class SimSegment implements SettleSource, SettleTarget {
  readonly path: string
  readonly firstSeq: Seq
  readonly isSettled: boolean
  /** Of a settled one that is complete. */
  #range: SettledRange | undefined
  readonly #seqs: Array<Seq> = []
  readonly #frames = new Map<Seq, Buffer>()
  #view: Buffer | undefined
  readonly #chunks = new Map<string, Buffer>()
  readonly #batches = new Map<string, Buffer>()
  readonly #extents: Array<Buffer> = []
  /** By from seq and index. */
  readonly #pages = new Map<Seq, Map<number, SnapshotPage>>()
  readonly #seals = new Map<Seq, number>()
  /** Commits, or runs, frames and pages. */
  bytes = 0
  historyBytes = 0

  constructor(path: string, firstSeq: Seq, isSettled: boolean) {
    this.path = path
    this.firstSeq = firstSeq
    this.isSettled = isSettled
  }

  get isComplete(): boolean {
    return !this.isSettled || this.#range !== undefined
  }

  get nextSeq(): Seq | undefined {
    return this.#range?.nextSeq
  }

  get firstEventSeq(): Seq {
    return this.#range?.firstEventSeq ?? this.firstSeq
  }

  get runBytes(): number {
    return this.#range?.runBytes ?? 0
  }

  // --- Written by the journal ---

  write({ firstSeq, frame, chunks, batches, byteLength }: Commit): void {
    chunks.forEach((chunk, index) => this.#chunks.set(`${firstSeq}/${index}`, chunk))
    for (const { logId, lastOffset, bytes } of batches) this.#batches.set(`${logId}/${lastOffset}`, Buffer.from(bytes))
    this.#frame(firstSeq, frame)
    this.bytes += byteLength
  }

  #frame(seq: Seq, frame: Buffer): void {
    this.#seqs.push(seq)
    this.#frames.set(seq, frame)
  }

  // --- Written by a settling ---

  putRun(logId: number, lastOffset: number, bytes: Uint8Array): Promise<boolean> {
    this.#batches.set(`${logId}/${lastOffset}`, Buffer.from(bytes))
    this.bytes += bytes.length
    return done
  }

  putExtents(_page: number, bytes: Buffer): Promise<boolean> {
    this.#extents.push(Buffer.from(bytes))
    this.bytes += bytes.length
    return done
  }

  putFrame(seq: Seq, frame: Buffer): Promise<boolean> {
    this.#frame(seq, Buffer.from(frame))
    this.bytes += frame.length
    this.historyBytes += frame.length
    return done
  }

  writePage(fromSeq: Seq, index: number, { seq, bytes }: SnapshotPage): Promise<boolean> {
    const pages = this.#pages.get(fromSeq) ?? new Map<number, SnapshotPage>()
    this.#pages.set(fromSeq, pages.set(index, { seq, bytes: Buffer.from(bytes) }))
    if (this.isSettled) {
      this.bytes += bytes.length
      this.historyBytes += bytes.length
    }
    return done
  }

  seal(fromSeq: Seq, pages: number): Promise<boolean> {
    this.#seals.set(fromSeq, pages)
    return done
  }

  complete(range: SettledRange): Promise<void> {
    this.#range = range
    return Promise.resolve()
  }

  // --- Read ---

  /** Its place among the seqs: the last frame that begins at or before `seq`; -1 if there is none. */
  #floorAt(seq: Seq): number {
    let low = -1
    let high = this.#seqs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#seqs[middle]! <= seq) low = middle
      else high = middle - 1
    }
    return low
  }

  floor(seq: Seq): Seq | undefined {
    return this.#seqs[this.#floorAt(seq)]
  }

  scan(from: Seq, end: Seq, visit: (frame: Buffer, key: Seq) => boolean): boolean {
    const at = this.#floorAt(from)
    for (let i = this.#seqs[at] === from ? at : at + 1; i < this.#seqs.length; i++) {
      const seq = this.#seqs[i]!
      if (seq >= end) return true
      if (!visit(this.#frames.get(seq)!, seq)) return false
    }
    return true
  }

  frame(seq: Seq): Buffer | undefined {
    return this.#frames.get(seq)
  }

  chunk(seq: Seq, index: number): Buffer | undefined {
    return this.#chunks.get(`${seq}/${index}`)
  }

  batch(logId: number, lastOffset: number): Buffer | undefined {
    return this.#batches.get(`${logId}/${lastOffset}`)
  }

  /** The one before is gone. */
  batchView(logId: number, lastOffset: number): Buffer | undefined {
    this.#view?.fill(0xaa)
    const bytes = this.batch(logId, lastOffset)
    return (this.#view = bytes && Buffer.from(bytes))
  }

  visitRuns(visit: (extent: Extent) => void): void {
    for (const page of this.#extents) readExtents(page, this.path, visit)
  }

  /** Newest first. */
  sealed(): ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }> {
    return Array.from(this.#seals, ([fromSeq, pages]) => ({ fromSeq, pages })).sort((a, b) => b.fromSeq - a.fromSeq)
  }

  page(fromSeq: Seq, index: number): SnapshotPage | undefined {
    return this.#pages.get(fromSeq)?.get(index)
  }

  snapshotPages(): ReadonlyArray<{ readonly fromSeq: Seq; readonly index: number }> {
    return Array.from(this.#pages, ([fromSeq, pages]) =>
      Array.from(pages.keys(), (index) => ({ fromSeq, index }))
    ).flat()
  }

  close(): void {}
}
