import { JournalError } from "@logbrook/core/journal/JournalError"
import type { Commit, Seq } from "@logbrook/core/journal/Journal"
import { readFrameHead } from "@logbrook/core/journal/Frame"
import { chainOf, type SegmentName } from "@logbrook/core/journal/segmentNames"
import type { SimSegment } from "./SimSegment.ts"

/** One segment of the chain, as `openChain` tells of it. */
export interface OpenedSegment {
  readonly name: SegmentName
  readonly segment: SimSegment
  readonly nextSeq: Seq
}

/** With bytes of its own, as a disk has. */
const copyOf = (commit: Commit): Commit => ({
  ...commit,
  frame: Buffer.from(commit.frame),
  chunks: commit.chunks.map((chunk) => Buffer.from(chunk)),
  batches: commit.batches.map((batch) => ({ ...batch, bytes: Buffer.from(batch.bytes) }))
})

/** What survives a crash: files, and in them whole commits and snapshot pages, in the order in which they were written. */
export class SimDisk {
  readonly files = new Map<string, SimSegment>()
  readonly #onDurable: (commit: Commit) => void
  /** Every frame that ever became durable, those of dropped segments too: what a failure leaves for its reader. */
  readonly frames: Array<Buffer> = []
  /** One after the last durable event. */
  nextSeq: Seq = 1

  constructor(onDurable: (commit: Commit) => void) {
    this.#onDurable = onDurable
  }

  /** Clears away what crashes left of settlings, and tells what counts, as a start does. Throws `JournalError` "Gap". */
  open(): Array<OpenedSegment> {
    for (const name of this.files.keys()) if (name.endsWith(".tmp")) this.files.delete(name)
    const { live, superseded } = chainOf(this.files.keys())
    for (const { name } of superseded) this.files.delete(name)
    const opened: Array<OpenedSegment> = []
    for (const name of live) {
      const segment = this.files.get(name.name)!
      const expected = opened.at(-1)?.nextSeq ?? segment.firstSeq
      if (segment.firstSeq !== expected) {
        throw new JournalError("Gap", `${name.name} begins at seq ${segment.firstSeq}, expected ${expected}`)
      }
      opened.push({ name, segment, nextSeq: segment.nextSeq ?? endOf(segment) })
    }
    return opened
  }

  rename(from: string, to: string): void {
    this.files.set(to, this.files.get(from)!)
    this.files.delete(from)
  }

  write(segment: SimSegment, commit: Commit): void {
    const own = copyOf(commit)
    segment.write(own)
    this.nextSeq = own.nextSeq
    this.frames.push(own.frame)
    this.#onDurable(own)
  }
}

const endOf = (segment: SimSegment): Seq => {
  const last = segment.floor(Infinity)
  return last === undefined ? segment.firstSeq : readFrameHead(segment.frame(last)!).nextSeq
}
