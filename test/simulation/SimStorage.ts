import type { Extent } from "@logbrook/core/journal/Extent"
import type { Commit, Seq, SnapshotPage } from "@logbrook/core/journal/Journal"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { Link, Replacement, Segment, SegmentStorage, TellWritten } from "@logbrook/core/journal/SegmentChain"
import { segmentName, type SegmentName } from "@logbrook/core/journal/segmentNames"
import type { SimDisk } from "./SimDisk.ts"
import { SimSegment } from "./SimSegment.ts"
import type { JournalWatch, SimWrites } from "./SimWrites.ts"

/** The simulated disk as `SegmentChain` uses a directory. */
export class SimStorage implements SegmentStorage<OpenSimSegment> {
  readonly #disk: SimDisk
  readonly #writes: SimWrites
  readonly #watch: JournalWatch

  constructor(disk: SimDisk, writes: SimWrites, watch: JournalWatch) {
    this.#disk = disk
    this.#writes = writes
    this.#watch = watch
  }

  open(): Array<Link<OpenSimSegment>> {
    return this.#disk.open().map(({ name, segment, nextSeq }) => ({
      name,
      segment: this.#opened(name, segment),
      nextSeq,
      bytes: segment.bytes,
      refs: 0,
      successor: undefined
    }))
  }

  #opened({ name }: SegmentName, file: SimSegment): OpenSimSegment {
    return new OpenSimSegment(name, file, this.#writes)
  }

  create(name: SegmentName, firstSeq: Seq): OpenSimSegment {
    const file = new SimSegment(name.name, firstSeq, false)
    this.#disk.files.set(name.name, file)
    this.#watch.promised()
    return this.#opened(name, file)
  }

  write({ file }: OpenSimSegment, commit: Commit, tell: TellWritten): void {
    this.#writes.commit(file, commit, tell)
  }

  writePage({ file }: OpenSimSegment, fromSeq: Seq, index: number, page: SnapshotPage, tell: TellWritten): void {
    this.#writes.aside(() => void file.writePage(fromSeq, index, page), tell)
  }

  seal({ file }: OpenSimSegment, fromSeq: Seq, pages: number, tell: TellWritten): void {
    this.#writes.aside(() => void file.seal(fromSeq, pages), tell)
  }

  target({ number }: SegmentName): Pick<Replacement, "target" | "mapBytes"> {
    return { target: segmentName(number, number, 1).name.replace(/mdb$/, "tmp"), mapBytes: 0 }
  }

  throwIfIncomplete({ target, sources }: Replacement): void {
    const file = this.#disk.files.get(target)
    const isWhole = file?.isComplete === true && file.firstSeq === sources[0]!.firstSeq
    if (!isWhole || file.nextSeq !== sources.at(-1)!.nextSeq) {
      throw new JournalError("Corrupt", `${target} is not complete`)
    }
  }

  adopt({ target }: Replacement, name: SegmentName): { readonly segment: OpenSimSegment; readonly bytes: number } {
    const file = this.#disk.files.get(target)!
    this.#watch.trace(`${name.name} adopted`)
    this.#disk.rename(target, name.name)
    return { segment: this.#opened(name, file), bytes: file.bytes }
  }

  discardTarget(target: string): void {
    this.#disk.files.delete(target)
  }

  async remove(name: string): Promise<void> {
    await this.#writes.pause()
    this.#watch.trace(`${name} removed`)
    this.#disk.files.delete(name)
  }

  removed(): void {}
}

/** A file of the simulated disk as one process has it open. */
export class OpenSimSegment implements Segment {
  readonly path: string
  readonly file: SimSegment
  readonly #writes: SimWrites
  #scratch = Buffer.alloc(0)

  constructor(path: string, file: SimSegment, writes: SimWrites) {
    this.path = path
    this.file = file
    this.#writes = writes
  }

  get firstSeq(): Seq {
    return this.file.firstSeq
  }

  get firstEventSeq(): Seq {
    return this.file.firstEventSeq
  }

  get isSettled(): boolean {
    return this.file.isSettled
  }

  get historyBytes(): number {
    return this.file.historyBytes
  }

  get runBytes(): number {
    return this.file.runBytes
  }

  frame(firstSeq: Seq): Buffer | undefined {
    return this.#writes.view(this.file.frame(firstSeq))
  }

  chunk(firstSeq: Seq, index: number): Buffer | undefined {
    return this.#writes.view(this.file.chunk(firstSeq, index))
  }

  batch(logId: number, lastOffset: number): Buffer | undefined {
    return this.#writes.view(this.file.batch(logId, lastOffset))
  }

  floor(seq: Seq): Seq | undefined {
    return this.file.floor(seq)
  }

  scan(from: Seq, end: Seq, visit: (frame: Buffer, key: Seq) => boolean): boolean {
    return this.file.scan(from, end, (frame, key) => this.#visit(frame, (view) => visit(view, key)))
  }

  #visit(frame: Buffer, visit: (view: Buffer) => boolean): boolean {
    if (this.#scratch.length < frame.length) this.#scratch = Buffer.alloc(frame.length * 2)
    frame.copy(this.#scratch)
    const view = this.#scratch.subarray(0, frame.length)
    const goesOn = visit(view)
    view.fill(0xdb)
    return goesOn
  }

  sealed(): ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }> {
    return this.file.sealed()
  }

  page(fromSeq: Seq, index: number): SnapshotPage | undefined {
    return this.file.page(fromSeq, index)
  }

  visitRuns(visit: (extent: Extent) => void): void {
    this.file.visitRuns(visit)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
