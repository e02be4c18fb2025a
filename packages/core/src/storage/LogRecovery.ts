import type { BatchRef } from "../journal/batchRef.ts"
import type { FrameHead } from "../journal/Frame.ts"
import type { Journal, SegmentInfo, Seq } from "../journal/Journal.ts"
import type { LogStore } from "./LogStore.ts"

/** Fills a store's indexes in the order of the journal: settled segments from their runs, the others from their frames. */
export class LogRecovery {
  readonly #journal: Journal
  readonly #logs: LogStore
  /** Settled, and not indexed yet; the oldest last. */
  readonly #settled: Array<SegmentInfo>
  /** Where the newest indexed segment ends. */
  #indexedTo: Seq = 0
  /** References before this are not needed. */
  readonly recordsFrom: Seq

  constructor(journal: Journal, logs: LogStore) {
    this.#journal = journal
    this.#logs = logs
    const segments = journal.segments()
    this.#settled = segments.filter(({ isSettled }) => isSettled).reverse()
    this.recordsFrom = segments.find(({ isSettled }) => !isSettled)?.firstSeq ?? journal.nextSeq
  }

  /** A reference of a frame, ascending. Throws `JournalError` "Corrupt". */
  records(head: FrameHead, ref: BatchRef): void {
    this.#indexBefore(head.firstSeq)
    if (head.firstSeq >= this.#indexedTo) this.#logs.recover(head.firstSeq, head.epoch, ref)
  }

  end(): void {
    this.#indexBefore(Infinity)
  }

  #indexBefore(seq: Seq): void {
    for (let next = this.#settled.at(-1); next !== undefined && next.firstSeq <= seq; next = this.#settled.at(-1)) {
      this.#settled.pop()
      const { firstSeq, nextSeq } = next
      this.#journal.visitRuns(firstSeq, (extent) => this.#logs.recoverRun(firstSeq, extent))
      this.#indexedTo = nextSeq
    }
  }
}
