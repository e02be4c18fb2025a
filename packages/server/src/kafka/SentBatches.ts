import type { ProducedBatch } from "@logbrook/core/RecordBatch"

type Sequenced = Pick<ProducedBatch, "producerId" | "producerEpoch" | "baseSequence">

/** Logs of refused batches that are remembered; a producer that is refused at more of them has one refused out of order there, as Kafka does. */
const logsMax = 256
const sequenceMask = 0x7fff_ffff

const isOfSame = (a: Sequenced, b: Sequenced): boolean =>
  a.producerId === b.producerId && a.producerEpoch === b.producerEpoch

/** How far a batch is ahead of another one of its producer. Sequences run to 2^31-1 and begin again at 0: up to half of them count as ahead. */
const distance = (from: Sequenced, to: Sequenced): number => (to.baseSequence - from.baseSequence) & sequenceMask

const isAhead = (distance: number): boolean => distance > 0 && distance <= sequenceMask / 2

/**
 * The batches of idempotent producers on one connection that the client cannot take as stored: those that were not answered yet,
 * and of each log the first that was refused for a while only. The batches that the client has sent behind one are on their
 * way already. A partition that knows the producer sees the gap; one that does not would take the next batch as a beginning, and
 * the refused one, when it comes again, would be out of order for good.
 */
export class SentBatches {
  readonly #unanswered = new Map<number, Array<Sequenced>>()
  readonly #refused = new Map<number, Sequenced>()

  /** The batch goes to its partition, and `answered` follows. True: it is behind one of its producer that is not answered yet. */
  asks(logId: number, batch: Sequenced): boolean {
    if (batch.producerId < 0) return false
    const unanswered = this.#unanswered.get(logId)
    if (unanswered === undefined) {
      this.#unanswered.set(logId, [batch])
      return false
    }
    let isBehind = false
    for (const before of unanswered) if (isOfSame(before, batch) && isAhead(distance(before, batch))) isBehind = true
    unanswered.push(batch)
    return isBehind
  }

  answered(logId: number, batch: Sequenced): void {
    const unanswered = this.#unanswered.get(logId)
    if (unanswered === undefined) return
    const at = unanswered.indexOf(batch)
    if (at !== -1) unanswered.splice(at, 1)
    if (unanswered.length === 0) this.#unanswered.delete(logId)
  }

  /** It was refused for a while only. Keeps the first of those that are refused in a row. */
  refused(logId: number, batch: Sequenced): void {
    const { producerId, producerEpoch, baseSequence } = batch
    const known = this.#refused.get(logId)
    if (producerId < 0 || (known !== undefined && isOfSame(known, batch))) return
    this.#refused.set(logId, { producerId, producerEpoch, baseSequence })
    if (this.#refused.size > logsMax) this.#refused.delete(this.#refused.keys().next().value!)
  }

  /** False: it comes behind one that was refused. That one itself is not waited for any more. */
  admits(logId: number, batch: Sequenced): boolean {
    const known = this.#refused.get(logId)
    if (known === undefined || !isOfSame(known, batch)) return true
    const ahead = distance(known, batch)
    if (ahead === 0) this.#refused.delete(logId)
    return !isAhead(ahead)
  }
}
