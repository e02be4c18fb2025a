import * as RecordBatch from "../RecordBatch.ts"
import type { AbortedTransaction } from "../transaction/LogTransactions.ts"

/** An aborted transaction as a compaction sees it. */
export type AbortedRange = Pick<AbortedTransaction, "producerId" | "firstOffset" | "lastOffset">

/**
 * The transactions of one log on their way through a compaction, as Kafka's cleaner sees them: batches and markers come in
 * the order of their offsets, segment by segment.
 *
 * | Batch | Stays |
 * |---|---|
 * | of an aborted transaction | no, and none of its records is the newest of its key |
 * | of another one | as any other batch |
 * | a marker, while a record of its transaction stays | yes |
 * | a marker, when none does | until its delete horizon, which the first compaction that finds it so sets (KIP-534) |
 * | an abort marker whose transaction readers are still told of | yes: they pass over its producer up to there |
 */
export class CleanedTransactions {
  readonly #aborted = new Map<number, Array<AbortedRange>>()
  /** The markers of the aborted ones. */
  readonly #markers: ReadonlySet<number>
  /** The producers of whose transaction at hand a record stays. */
  readonly #withRecords: Set<number>

  /** `withRecords`: what the segment before has left, see `unended`. */
  constructor(aborted: ReadonlyArray<AbortedRange>, withRecords: ReadonlyArray<number>) {
    for (const each of aborted) {
      const known = this.#aborted.get(each.producerId)
      if (known === undefined) this.#aborted.set(each.producerId, [each])
      else known.push(each)
    }
    this.#markers = new Set(aborted.map(({ lastOffset }) => lastOffset))
    this.#withRecords = new Set(withRecords)
  }

  isAborted(batch: Uint8Array): boolean {
    if (this.#aborted.size === 0 || !RecordBatch.isTransactional(batch)) return false
    const offset = RecordBatch.baseOffset(batch)
    const ranges = this.#aborted.get(RecordBatch.producerId(batch))
    return ranges?.some(({ firstOffset, lastOffset }) => firstOffset <= offset && offset < lastOffset) === true
  }

  /** A batch of which records stay. */
  kept(batch: Uint8Array): void {
    if (RecordBatch.isTransactional(batch)) this.#withRecords.add(RecordBatch.producerId(batch))
  }

  /** The end of a transaction: whether its marker is still needed, for records that stay or for readers who are told of it. */
  ended(marker: Uint8Array): "records" | "readers" | undefined {
    const hasRecords = this.#withRecords.delete(RecordBatch.producerId(marker))
    if (hasRecords) return "records"
    return this.#markers.has(RecordBatch.baseOffset(marker)) ? "readers" : undefined
  }

  /** The producers of which a record stays, and no marker has come behind it so far. */
  get unended(): ReadonlyArray<number> {
    return [...this.#withRecords]
  }
}
