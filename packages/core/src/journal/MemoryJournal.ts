import type { Clock } from "../Clock.ts"
import type { Commit, Seq, SnapshotPage } from "./Journal.ts"
import { JournalError } from "./JournalError.ts"
import { SegmentChain, type Segment, type SegmentStorage, type TellWritten } from "./SegmentChain.ts"
import type { SegmentName } from "./segmentNames.ts"

/** The journal in memory: for tests, and servers that shall forget. Durable one turn of the event loop, as `clock` has it, after the append. */
export class MemoryJournal extends SegmentChain<MemorySegment> {
  /** A segment is rolled once it holds `segmentBytes`, see `RollOptions`. */
  constructor(clock: Clock, segmentBytes = 64 * 1024 * 1024) {
    super(new MemoryStorage(clock), { segmentBytes, segmentRefsMax: Infinity }, [])
  }
}

/** Nothing in memory is worth a worker that rewrites it. */
class MemoryStorage implements SegmentStorage<MemorySegment> {
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  create({ name }: SegmentName, firstSeq: Seq): MemorySegment {
    return new MemorySegment(name, firstSeq)
  }

  #put(write: () => void, tell: TellWritten): void {
    this.#clock.nextTurn(() => {
      write()
      tell(true)
    })
  }

  write(segment: MemorySegment, commit: Commit, tell: TellWritten): void {
    this.#put(() => segment.add(commit), tell)
  }

  writePage(segment: MemorySegment, fromSeq: Seq, index: number, page: SnapshotPage, tell: TellWritten): void {
    this.#put(() => segment.addPage(fromSeq, index, page), tell)
  }

  seal(segment: MemorySegment, fromSeq: Seq, pages: number, tell: TellWritten): void {
    this.#put(() => segment.addSeal(fromSeq, pages), tell)
  }

  target({ name }: SegmentName): { readonly target: string; readonly mapBytes: number } {
    return { target: `${name}.tmp`, mapBytes: 0 }
  }

  throwIfIncomplete({ target }: { readonly target: string }): never {
    throw new JournalError("Corrupt", `${target} is not there: a journal in memory is not settled`)
  }

  adopt(replacement: { readonly target: string }): never {
    return this.throwIfIncomplete(replacement)
  }

  discardTarget(): void {}

  remove(): Promise<void> {
    return Promise.resolve()
  }

  removed(): void {}
}

class MemorySegment implements Segment {
  readonly path: string
  readonly firstSeq: Seq
  readonly isSettled = false
  readonly historyBytes = 0
  readonly runBytes = 0
  readonly #commits: Array<Commit> = []
  /** By log id and last offset. */
  readonly #batches = new Map<string, Buffer>()
  /** By from seq: its pages by index, and how many its seal says that there are. */
  readonly #pages = new Map<Seq, Map<number, SnapshotPage>>()
  readonly #seals = new Map<Seq, number>()

  constructor(path: string, firstSeq: Seq) {
    this.path = path
    this.firstSeq = firstSeq
  }

  get firstEventSeq(): Seq {
    return this.firstSeq
  }

  add(commit: Commit): void {
    // As from a disk: what was appended may be used again once it is durable.
    for (const { logId, lastOffset, bytes } of commit.batches) {
      this.#batches.set(`${logId}/${lastOffset}`, Buffer.from(bytes))
    }
    this.#commits.push({ ...commit, batches: [] })
  }

  addPage(fromSeq: Seq, index: number, page: SnapshotPage): void {
    const known = this.#pages.get(fromSeq) ?? new Map<number, SnapshotPage>()
    this.#pages.set(fromSeq, known.set(index, page))
  }

  addSeal(fromSeq: Seq, pages: number): void {
    this.#seals.set(fromSeq, pages)
  }

  /** The last commit that begins at or before `seq`; -1: there is none. */
  #floorAt(seq: Seq): number {
    let low = -1
    let high = this.#commits.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#commits[middle]!.firstSeq <= seq) low = middle
      else high = middle - 1
    }
    return low
  }

  #commit(firstSeq: Seq): Commit | undefined {
    const found = this.#commits[this.#floorAt(firstSeq)]
    return found?.firstSeq === firstSeq ? found : undefined
  }

  frame(firstSeq: Seq): Buffer | undefined {
    return this.#commit(firstSeq)?.frame
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#commit(firstSeq)?.chunks[index]
  }

  batch(logId: number, lastOffset: number): Buffer | undefined {
    return this.#batches.get(`${logId}/${lastOffset}`)
  }

  floor(seq: Seq): Seq | undefined {
    return this.#commits[this.#floorAt(seq)]?.firstSeq
  }

  scan(from: Seq, end: Seq, visit: (frame: Buffer, key: Seq) => boolean): boolean {
    const at = this.#floorAt(from)
    for (let i = this.#commits[at]?.firstSeq === from ? at : at + 1; i < this.#commits.length; i++) {
      const { firstSeq, frame } = this.#commits[i]!
      if (firstSeq >= end) return true
      if (!visit(frame, firstSeq)) return false
    }
    return true
  }

  sealed(): ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }> {
    return Array.from(this.#seals, ([fromSeq, pages]) => ({ fromSeq, pages })).sort((a, b) => b.fromSeq - a.fromSeq)
  }

  page(fromSeq: Seq, index: number): SnapshotPage | undefined {
    return this.#pages.get(fromSeq)?.get(index)
  }

  visitRuns(): void {}

  close(): Promise<void> {
    return Promise.resolve()
  }
}
