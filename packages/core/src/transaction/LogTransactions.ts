import type { BatchRef, Producer } from "../journal/batchRef.ts"
import type { Marker } from "./Marker.ts"

/** A transaction that has records in a log and no marker behind them yet. */
export interface OpenTransaction {
  readonly producerId: number
  /** The epoch of its newest batch. */
  readonly producerEpoch: number
  readonly firstOffset: number
}

/** A transaction whose records no reader of committed ones may see. */
export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** The offset of its marker. */
  readonly lastOffset: number
  /** The log's last stable offset behind the marker: no transaction that ended later begins before it. */
  readonly stableOffset: number
}

export interface SavedTransactions {
  readonly open: ReadonlyArray<OpenTransaction>
  readonly aborted: ReadonlyArray<AbortedTransaction>
}

/**
 * The transactions of one log: the open ones, by their first offsets, and the aborted ones, by the offsets of their markers
 * (KIP-98). It follows from the log's references alone and is changed in place by them.
 *
 *     offset      0     1     2     3     4          5     6
 *     producer    7     9     7     9     7          7     9
 *                 a     b     a     b     aborted    c     committed
 *     stable at                           1          1     5
 *
 * 1. Offsets only grow: a transaction that opens later begins behind all that are open.
 * 2. The first open one bounds what is stable. All that ended is below it, or behind it and known here.
 */
export class LogTransactions {
  readonly #open = new Map<number, OpenTransaction>()
  #aborted: Array<AbortedTransaction> = []
  #firstOpenOffset: number | undefined

  static load({ open, aborted }: SavedTransactions): LogTransactions {
    const loaded = new LogTransactions()
    for (const transaction of open) loaded.#open.set(transaction.producerId, transaction)
    loaded.#aborted = [...aborted]
    loaded.#findFirst()
    return loaded
  }

  save(): SavedTransactions {
    return { open: [...this.#open.values()], aborted: [...this.#aborted] }
  }

  get isEmpty(): boolean {
    return this.#open.size === 0 && this.#aborted.length === 0
  }

  get openCount(): number {
    return this.#open.size
  }

  get abortedCount(): number {
    return this.#aborted.length
  }

  /** The first offset of the earliest open transaction; undefined: none is open. */
  get firstOpenOffset(): number | undefined {
    return this.#firstOpenOffset
  }

  openOf(producerId: number): OpenTransaction | undefined {
    return this.#open.get(producerId)
  }

  /** A transactional batch of this producer lies at `baseOffset`. */
  appended({ id, epoch }: Producer, baseOffset: number): void {
    const open = this.#open.get(id)
    if (open?.producerEpoch === epoch) return
    this.#open.set(id, { producerId: id, producerEpoch: epoch, firstOffset: open?.firstOffset ?? baseOffset })
    this.#firstOpenOffset ??= baseOffset
  }

  /** The marker lies at `offset`. */
  ended({ producerId, outcome }: Marker, offset: number): void {
    const open = this.#open.get(producerId)
    if (open === undefined) return
    this.#open.delete(producerId)
    if (open.firstOffset === this.#firstOpenOffset) this.#findFirst()
    if (outcome === "commit") return
    const stableOffset = this.#firstOpenOffset ?? offset + 1
    this.#aborted.push({ producerId, firstOffset: open.firstOffset, lastOffset: offset, stableOffset })
  }

  #findFirst(): void {
    this.#firstOpenOffset = this.#open.values().next().value?.firstOffset
  }

  /** Forgets the aborted transactions whose markers lie below `offset`: no reader meets any of it any more. */
  forgetBelow(offset: number): void {
    const kept = this.#firstFrom(offset)
    if (kept > 0) this.#aborted = this.#aborted.slice(kept)
  }

  /** Whether any was aborted by a marker below `offset`. */
  hasAbortedBelow(offset: number): boolean {
    return this.#firstFrom(offset) > 0
  }

  /** The aborted transactions of which anything lies between the offsets, the end exclusive; by their first offsets. */
  abortedWithin(fromOffset: number, endOffset: number): ReadonlyArray<AbortedTransaction> {
    const found: Array<AbortedTransaction> = []
    for (let i = this.#firstFrom(fromOffset); i < this.#aborted.length; i++) {
      const aborted = this.#aborted[i]!
      if (aborted.firstOffset < endOffset) found.push(aborted)
      if (aborted.stableOffset >= endOffset) break
    }
    return found.sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** Whether a transactional batch of this producer at this offset was aborted. */
  isAborted(producerId: number, offset: number): boolean {
    for (let i = this.#firstFrom(offset); i < this.#aborted.length; i++) {
      const aborted = this.#aborted[i]!
      if (aborted.producerId === producerId && aborted.firstOffset <= offset) return true
      if (aborted.stableOffset > offset) break
    }
    return false
  }

  /** The first aborted transaction whose marker lies at or behind `offset`. */
  #firstFrom(offset: number): number {
    let low = 0
    let high = this.#aborted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#aborted[middle]!.lastOffset >= offset) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** As much of an event, or of a reference, as concerns transactions. */
type Told = Pick<BatchRef, "baseOffset" | "producer" | "isTransactional" | "marker">

/** The transactions of a log behind these records; `transactions` is changed in place. Mostly there are none, and it stays so. */
export const transactionsBehind = (
  transactions: LogTransactions | undefined,
  { baseOffset, producer, isTransactional, marker }: Told
): LogTransactions | undefined => {
  if (isTransactional !== true) {
    if (marker !== undefined) transactions?.ended(marker, baseOffset)
    return transactions
  }
  const behind = transactions ?? new LogTransactions()
  behind.appended(producer!, baseOffset)
  return behind
}
