import type { ProducedBatch } from "@logbrook/core/RecordBatch"

type Sequenced = Pick<ProducedBatch, "producerId" | "producerEpoch" | "baseSequence">

/** Logs remembered; a producer that is refused at more of them has one refused out of order there, as Kafka does. */
const logsMax = 256
const sequenceMask = 0x7fff_ffff

/**
 * The batches of idempotent producers on one connection that were refused for a while only, the first of each log.
 * The batches that the client has sent behind one are on their way already. A partition that knows the producer sees
 * the gap; one that does not would take the next batch as a beginning, and the refused one, when it comes again,
 * would be out of order for good.
 */
export class RefusedBatches {
  readonly #byLog = new Map<number, Sequenced>()

  /** Keeps the first of those that are refused in a row. */
  add(logId: number, { producerId, producerEpoch, baseSequence }: Sequenced): void {
    const known = this.#byLog.get(logId)
    if (producerId < 0 || (known?.producerId === producerId && known.producerEpoch === producerEpoch)) return
    this.#byLog.set(logId, { producerId, producerEpoch, baseSequence })
    if (this.#byLog.size > logsMax) this.#byLog.delete(this.#byLog.keys().next().value!)
  }

  /** False: it comes behind one that was refused. That one itself is not waited for any more. */
  admits(logId: number, { producerId, producerEpoch, baseSequence }: Sequenced): boolean {
    const known = this.#byLog.get(logId)
    if (known?.producerId !== producerId || known.producerEpoch !== producerEpoch) return true
    // Sequences run to 2^31-1 and begin again at 0: what is up to half of them ahead comes behind.
    const ahead = (baseSequence - known.baseSequence) & sequenceMask
    if (ahead === 0) this.#byLog.delete(logId)
    return ahead === 0 || ahead > sequenceMask / 2
  }
}
