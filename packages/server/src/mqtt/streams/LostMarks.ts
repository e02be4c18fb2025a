import type { ShareRecord } from "@logbrook/actors/streamShare/StreamShareProtocol"

/** The marks of a group's records that retention took while they waited, and those records themselves: the next one tells of them. */
export class LostMarks {
  /** Records that nobody got, by partition. */
  readonly #gaps: Map<number, number>
  #isCaughtUp: boolean

  constructor(gaps: ReadonlyMap<number, number> = new Map(), isCaughtUp = false) {
    this.#gaps = new Map(gaps)
    this.#isCaughtUp = isCaughtUp
  }

  copy(): LostMarks {
    return new LostMarks(this.#gaps, this.#isCaughtUp)
  }

  /** Retention took the record, with the marks that it has by now. */
  keep({ partition, gap = 0, isCaughtUp }: ShareRecord): void {
    this.#gaps.set(partition, gap + 1)
    if (isCaughtUp) this.#isCaughtUp = true
  }

  addedTo(record: ShareRecord): ShareRecord {
    const gap = this.#gaps.get(record.partition)
    if (gap === undefined && !this.#isCaughtUp) return record
    return {
      ...record,
      ...(gap !== undefined && { gap: (record.gap ?? 0) + gap }),
      ...(this.#isCaughtUp && { isCaughtUp: true })
    }
  }

  /** A record goes out, or waits, with the marks that were added to it. */
  told({ partition }: ShareRecord): void {
    this.#gaps.delete(partition)
    this.#isCaughtUp = false
  }
}
