import type { Marker, TransactionOutcome } from "@logbrook/core/transaction/Marker"

interface Item {
  readonly producerId: number
  readonly isMarker: boolean
  outcome: TransactionOutcome | undefined
}

export interface Aborted {
  readonly producerId: number
  readonly firstOffset: number
  readonly lastOffset: number
}

/** The transactions of a log: a list of what lies at each offset, in which everything is searched for. */
export class TransactionLog {
  /** By offset, ascending; without what belongs to no transaction. */
  readonly #items = new Map<number, Item>()
  readonly #aborted: Array<Aborted> = []

  records(producerId: number, baseOffset: number, count: number): void {
    for (let i = 0; i < count; i++) {
      this.#items.set(baseOffset + i, { producerId, isMarker: false, outcome: undefined })
    }
  }

  marker({ producerId, outcome }: Marker, offset: number): void {
    let firstOffset: number | undefined
    for (const [at, item] of this.#items) {
      if (item.producerId !== producerId || item.outcome !== undefined) continue
      item.outcome = outcome
      firstOffset ??= at
    }
    if (firstOffset !== undefined && outcome === "abort") {
      this.#aborted.push({ producerId, firstOffset, lastOffset: offset })
    }
    this.#items.set(offset, { producerId, isMarker: true, outcome })
  }

  /** The first offset of what is neither committed nor aborted; `nextOffset` if everything is. */
  lastStableOffset(startOffset: number, nextOffset: number): number {
    for (const [offset, { outcome }] of this.#items) {
      if (outcome === undefined) return Math.max(startOffset, offset)
    }
    return nextOffset
  }

  /** Those of which readers from `startOffset` on may meet something, by their first offsets. */
  abortedFrom(startOffset: number): ReadonlyArray<Aborted> {
    return this.#aborted
      .filter(({ lastOffset }) => lastOffset >= startOffset)
      .sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** Undefined: nothing has ended it yet. "none": the record belongs to no transaction. */
  outcomeAt(offset: number): TransactionOutcome | "none" | undefined {
    const item = this.#items.get(offset)
    return item === undefined ? "none" : item.outcome
  }

  /** Whether a reader of committed records gets what is there. */
  isVisible(offset: number): boolean {
    const item = this.#items.get(offset)
    return item === undefined || (!item.isMarker && item.outcome === "commit")
  }
}
