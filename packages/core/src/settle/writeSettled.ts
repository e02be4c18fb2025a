import { ByteWriter } from "../journal/Bytes.ts"
import { ExtentPages, follows, type Extent } from "../journal/Extent.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import type { LmdbSegment } from "../journal/LmdbSegment.ts"
import { stripFrame } from "../journal/stripFrame.ts"
import type { Located } from "../storage/LogIndex.ts"
import type { Compactor, LogCompactor } from "./Compactor.ts"
import { gap } from "./frames.ts"
import type { LogSource, SettleSource } from "./LogSource.ts"
import { RunBuilder } from "./RunBuilder.ts"
import type { SettleJob, SettleStep, SettleTools, Settled } from "./SettleJob.ts"

/** The writer of a settled segment: `LmdbSegment`; the simulation has its own. */
export type SettleTarget = Pick<LmdbSegment, "putRun" | "putExtents" | "putFrame" | "writePage" | "seal" | "complete">

export type Written = Pick<Settled, "records" | "runs"> & { readonly runBytes: number }

/** The most bytes of one transaction, with which the disk is kept busy at a time. */
const writeBytesMax = 1024 * 1024

const throwUnlessTaken = (isTaken: boolean): void => {
  if (!isTaken) throw new JournalError("Io", "LMDB refused a write")
}

/** Puts into a segment, about `writeBytesMax` per transaction. */
class Writes {
  readonly #tools: SettleTools
  #last: Promise<boolean> | undefined
  #bytes = 0

  constructor(tools: SettleTools) {
    this.#tools = tools
  }

  put(written: Promise<boolean>, bytes: number): void {
    // The last put of a transaction tells for all; the others must only not go unhandled.
    written.then(undefined, () => undefined)
    this.#last = written
    this.#bytes += bytes
  }

  get isFull(): boolean {
    return this.#bytes >= writeBytesMax
  }

  async flush(name: SettleStep): Promise<void> {
    const last = this.#last
    if (last === undefined) return
    this.#last = undefined
    this.#bytes = 0
    throwUnlessTaken(await last)
    this.#tools.at?.(name)
    await this.#tools.pace.step()
  }
}

/** Fills the target with what the sources, collected already, still have to say; the mark that it is complete comes last. */
export const writeSettled = async (
  sources: ReadonlyArray<LogSource>,
  job: Pick<SettleJob, "sources" | "startOffsets" | "keptFromSeq">,
  target: SettleTarget,
  tools: SettleTools,
  compactor?: Compactor
): Promise<Written> => {
  const nextSeq = job.sources.at(-1)!.nextSeq
  const firstEventSeq = sources.find(({ frameSeqs }) => frameSeqs.length > 0)?.frameSeqs[0] ?? nextSeq
  const counted = await writeRuns(sources, job, compactor, target, tools)
  await writeFrames(sources, target, tools)
  for (const { segment } of sources) await copySnapshots(segment, target, job.keptFromSeq, tools)
  await target.complete({ nextSeq, firstEventSeq, runBytes: counted.runBytes })
  tools.at?.("completed")
  return counted
}

/** Runs on their way into a segment, and their extents behind them. */
class RunWrites {
  readonly #target: SettleTarget
  readonly #writes: Writes
  readonly #extents = new ExtentPages()
  readonly #pages: Array<Buffer> = []
  readonly builder: RunBuilder
  runs = 0
  runBytes = 0

  /** `onRun` is told of each. */
  constructor(target: SettleTarget, tools: SettleTools, onRun: (extent: Extent) => void) {
    this.#target = target
    this.#writes = new Writes(tools)
    this.builder = new RunBuilder((extent, bytes) => {
      onRun(extent)
      this.#put(extent, bytes)
    })
  }

  #put(extent: Extent, bytes: Uint8Array): void {
    const page = this.#extents.add(extent)
    if (page !== undefined) this.#pages.push(page)
    this.runs++
    this.runBytes += bytes.length
    this.#writes.put(this.#target.putRun(extent.logId, extent.baseOffset + extent.count - 1, bytes), bytes.length)
  }

  async step(): Promise<void> {
    if (this.#writes.isFull) await this.#writes.flush("runs")
  }

  async end(): Promise<void> {
    this.builder.end()
    const last = this.#extents.take()
    if (last !== undefined) this.#pages.push(last)
    this.#pages.forEach((page, i) => this.#writes.put(this.#target.putExtents(i, page), page.length))
    await this.#writes.flush("runs")
  }
}

const writeRuns = async (
  sources: ReadonlyArray<LogSource>,
  { startOffsets }: Pick<SettleJob, "startOffsets">,
  compactor: Compactor | undefined,
  target: SettleTarget,
  tools: SettleTools
): Promise<Written> => {
  let records = 0
  // Offsets that were read, also those of records that compaction leaves out.
  let offsets = 0
  const out = new RunWrites(target, tools, ({ logId, count }) => {
    records += count
    if (compactor?.has(logId) !== true) offsets += count
  })
  for (const [logId] of [...startOffsets].sort(([a], [b]) => a - b)) {
    let before: Located | undefined
    let compacted: LogCompactor | undefined
    for (const source of sources) {
      for await (const pieces of source.piecesOf(logId, tools)) {
        for (const { ref, bytes } of pieces) {
          throwUnlessNext(logId, ref, before)
          before = ref
          if (compactor?.has(logId) === true) {
            compacted ??= await compactor.log(logId, ref.baseOffset, out.builder)
            compacted.add(ref, bytes)
            offsets += ref.count
          } else out.builder.add(logId, ref, bytes)
          await out.step()
        }
      }
    }
    compacted?.end()
  }
  await out.end()
  const expected = sources.reduce((sum, source) => sum + source.records, 0)
  if (offsets !== expected) throw gap(`${offsets} records in runs, ${expected} referred to`)
  return { records, runs: out.runs, runBytes: out.runBytes }
}

const throwUnlessNext = (logId: number, ref: Located, before: Located | undefined): void => {
  if (before === undefined || follows(before, ref)) return
  const expected = before.baseOffset + before.count
  throw gap(`log ${logId} goes on at offset ${ref.baseOffset} (seq ${ref.frameSeq}), expected ${expected}`)
}

const writeFrames = async (
  sources: ReadonlyArray<LogSource>,
  target: SettleTarget,
  tools: SettleTools
): Promise<void> => {
  const writes = new Writes(tools)
  const scratch = new ByteWriter()
  for (const { segment, frameSeqs } of sources) {
    for (const seq of frameSeqs) {
      const frame = stripFrame(segment.frame(seq)!, scratch)
      writes.put(target.putFrame(seq, frame), frame.length)
      if (writes.isFull) await writes.flush("frames")
    }
  }
  await writes.flush("frames")
}

/** Replay debugging begins at them, where the events behind them are kept. A page that fails its checksum makes its snapshot none, here as there. */
const copySnapshots = async (
  source: SettleSource,
  target: SettleTarget,
  keptFromSeq: Seq,
  { at, pace }: SettleTools
): Promise<void> => {
  for (const { fromSeq, index } of source.snapshotPages()) {
    const page = fromSeq < keptFromSeq ? undefined : source.page(fromSeq, index)
    if (page !== undefined) throwUnlessTaken(await target.writePage(fromSeq, index, page))
    at?.("snapshots")
    await pace.step()
  }
  for (const { fromSeq, pages } of source.sealed()) {
    if (fromSeq >= keptFromSeq) throwUnlessTaken(await target.seal(fromSeq, pages))
  }
}
