import type { Clock } from "@logbrook/core/Clock"
import type { Commit, Seq, SnapshotPage } from "@logbrook/core/journal/Journal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"

const atOnce: Clock = {
  nowMs: () => 0,
  monotonicMs: () => 0,
  after: (_delayMs, task) => {
    task()
    return () => undefined
  },
  nextTurn: (task) => task()
}

/** With bytes of its own, as a disk has. */
const copyOf = (commit: Commit): Commit => ({
  ...commit,
  frame: Buffer.from(commit.frame),
  chunks: commit.chunks.map((chunk) => Buffer.from(chunk)),
  batches: commit.batches.map((batch) => ({ ...batch, bytes: Buffer.from(batch.bytes) }))
})

/** What survives a crash: whole commits and snapshot pages, in the order in which they were written. */
export class SimDisk {
  readonly #memory: MemoryJournal
  readonly #onDurable: (commit: Commit) => void
  /** Every frame that ever became durable, those of dropped segments too: what a failure leaves for its reader. */
  readonly frames: Array<Buffer> = []

  constructor(segmentBytes: number, onDurable: (commit: Commit) => void) {
    this.#memory = new MemoryJournal(atOnce, segmentBytes)
    this.#onDurable = onDurable
  }

  get content(): MemoryJournal {
    return this.#memory
  }

  /** One after the last durable event. */
  get nextSeq(): Seq {
    return this.#memory.nextSeq
  }

  write(commit: Commit): void {
    const own = copyOf(commit)
    this.#memory.append(own, () => undefined)
    this.frames.push(own.frame)
    this.#onDurable(own)
  }

  writePage(fromSeq: Seq, index: number, page: SnapshotPage): void {
    this.#memory.writePage(fromSeq, index, { ...page, bytes: Buffer.from(page.bytes) }, () => undefined)
  }

  completeSnapshot(fromSeq: Seq, pages: number): void {
    this.#memory.completeSnapshot(fromSeq, pages, () => undefined)
  }
}
