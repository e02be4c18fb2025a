import { withEpoch, type EpochStart, type LogState } from "../actor/LogEvents.ts"
import type { BatchRef } from "../journal/batchRef.ts"
import type { Extent } from "../journal/Extent.ts"
import type { Seq } from "../journal/Journal.ts"
import { type AbortedTransaction, LogTransactions, transactionsBehind } from "../transaction/LogTransactions.ts"
import { LogIndex } from "./LogIndex.ts"

const none: ReadonlyArray<never> = []

/** A partition as readers see it: durable records only. */
export class Log {
  readonly id: number
  readonly index = new LogIndex()
  /** The first offset that may be read. */
  startOffset = 0
  /** The offset after the last durable record. */
  highWatermark = 0
  /** The leader epochs in which durable records were written, the oldest first. */
  epochs: ReadonlyArray<EpochStart> = []
  /** As the durable references tell; undefined: there were none that matter still. */
  #transactions: LogTransactions | undefined
  readonly #waiting = new Set<() => void>()

  constructor(id: number) {
    this.id = id
  }

  append(frameSeq: Seq, epoch: number, ref: BatchRef): void {
    this.index.add(frameSeq, epoch, ref)
    this.epochs = withEpoch(this.epochs, epoch, ref.baseOffset)
    this.highWatermark = ref.baseOffset + ref.count
    this.#transactions = transactionsBehind(this.#transactions, ref)
  }

  /** A run of the settled segment that begins at `segmentSeq`. */
  appendRun(segmentSeq: Seq, extent: Extent): void {
    this.index.addRun(segmentSeq, extent)
    this.highWatermark = extent.baseOffset + extent.count
  }

  /** From now on the records of the segment from `fromSeq` to `endSeq` are read from these runs. */
  settle(fromSeq: Seq, endSeq: Seq, extents: ReadonlyArray<Extent>): number {
    // Records that expired since the runs were written have no references any more.
    const isReachable = ({ baseOffset, count }: Extent) => baseOffset + count > this.startOffset
    return this.index.replace(fromSeq, endSeq, extents.filter(isReachable))
  }

  moveStart(offset: number): void {
    this.startOffset = Math.max(this.startOffset, offset)
    this.index.dropBelow(this.startOffset)
    this.#transactions?.forgetBelow(this.startOffset)
    // A log whose last segment was dropped is empty, and goes on where it was.
    this.highWatermark = Math.max(this.highWatermark, offset)
  }

  /** Below it every record is committed or aborted (KIP-98): up to the first record of the earliest open transaction. */
  get lastStableOffset(): number {
    const firstOpenOffset = this.#transactions?.firstOpenOffset
    return firstOpenOffset === undefined ? this.highWatermark : Math.max(firstOpenOffset, this.startOffset)
  }

  /** Whether a transaction of this producer is open here in this epoch. */
  isOpen(producerId: number, producerEpoch: number): boolean {
    return this.#transactions?.openOf(producerId)?.producerEpoch === producerEpoch
  }

  /** See `LogTransactions.abortedWithin`. */
  abortedWithin(fromOffset: number, endOffset: number): ReadonlyArray<AbortedTransaction> {
    return this.#transactions?.abortedWithin(fromOffset, endOffset) ?? none
  }

  /** Whether a transactional batch of this producer at this offset was aborted. */
  isAborted(producerId: number, offset: number): boolean {
    return this.#transactions?.isAborted(producerId, offset) === true
  }

  /** Whether a transaction was aborted by a marker below `offset`. */
  hasAbortedBelow(offset: number): boolean {
    return this.#transactions?.hasAbortedBelow(offset) === true
  }

  /** Nothing is left of what was aborted by markers below `offset`. */
  forgetAborted(offset: number): void {
    this.#transactions?.forgetBelow(offset)
  }

  /** Takes over the state of a log whose segments may be gone. */
  restore({ logStartOffset, nextOffset, epochs, transactions }: Omit<LogState, "isDeleted">): void {
    this.#transactions = transactions && LogTransactions.load(transactions.save())
    this.moveStart(logStartOffset)
    this.highWatermark = Math.max(this.highWatermark, nextOffset)
    this.epochs = epochs
  }

  /** Runs `wake` after every append until the returned function is called. */
  onAppend(wake: () => void): () => void {
    this.#waiting.add(wake)
    return () => this.#waiting.delete(wake)
  }

  wake(): void {
    for (const wake of this.#waiting) wake()
  }

  /** See `LogStore.expiredBefore`. */
  expiredBefore(timestampMs: number, writtenMs: (frameSeq: Seq) => number): number {
    return this.#startAt(this.index.findUnexpired(timestampMs, writtenMs))
  }

  /** Where the log begins once its oldest batches have expired, for as long as `bytes` remain. */
  expiredAbove(bytes: number): number {
    return this.index.byteLength <= bytes ? this.startOffset : this.#startAt(this.index.findByBytesFromEnd(bytes))
  }

  #startAt(i: number): number {
    return i < this.index.count ? this.index.at(i).baseOffset : this.highWatermark
  }

  /** Bytes that readers can still reach, but for those below the start in its first batch. */
  get byteLength(): number {
    return this.index.byteLength
  }
}
