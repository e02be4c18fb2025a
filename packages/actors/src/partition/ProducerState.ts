import type { RecordsAppended } from "@logbrook/core/actor/LogEvents"
import type { Producer } from "@logbrook/core/journal/batchRef"
import type { LogTransactions } from "@logbrook/core/transaction/LogTransactions"
import type { Marker } from "@logbrook/core/transaction/Marker"

export interface ProducedBatch {
  readonly baseSequence: number
  readonly lastSequence: number
  readonly baseOffset: number
  /** The time of its append, Unix ms, where that is the time of its records. */
  readonly logAppendTimeMs?: number
}

/** The state of an idempotent producer (KIP-98): its epoch and the last five batches of that, the oldest first. */
export interface ProducerState {
  readonly epoch: number
  /** None yet where a marker has begun the epoch. */
  readonly batches: ReadonlyArray<ProducedBatch>
  /** The epoch of its newest marker's coordinator; undefined: it has no marker here. */
  readonly coordinatorEpoch?: number
  /** The newest time in its newest batch of a transaction, or of its marker, Unix ms; undefined: it has neither here. */
  readonly transactionMs?: number
}

export type SequenceCheck =
  | { readonly _tag: "InOrder" }
  | { readonly _tag: "Duplicate"; readonly baseOffset: number; readonly logAppendTimeMs: number | undefined }
  | { readonly _tag: "Refused"; readonly reason: "OutOfOrderSequenceNumber" | "InvalidProducerEpoch" }

const batchesKept = 5
/** Producers remembered per partition; the least recently used is forgotten, as Kafka forgets idle ones. */
const producersMax = 10_000
/**
 * The memory that a producer with five batches takes: bench/memoryWeights.ts measures 560 bytes, 750 in a transaction and with the time of
 * its append to each batch. Before a restart the latter were seen to take 735 without a transaction, which has a weight of its own.
 */
export const producerBytes = 740
const sequenceMax = 0x7fff_ffff
const noSequence = -1

const inOrder: SequenceCheck = { _tag: "InOrder" }

/** Sequences run to 2^31-1 and begin again at 0. */
const plus = (sequence: number, count: number): number =>
  sequence > sequenceMax - count ? count - (sequenceMax - sequence) - 1 : sequence + count

export const lastSequenceOf = (baseSequence: number, count: number): number => plus(baseSequence, count - 1)

/** A duplicate of a kept batch gets its old offset; a gap and an old epoch are refused; an unknown producer may begin anywhere. */
export const checkSequence = (
  known: ProducerState | undefined,
  epoch: number,
  baseSequence: number,
  count: number
): SequenceCheck => {
  if (known === undefined) return inOrder
  if (epoch < known.epoch) return { _tag: "Refused", reason: "InvalidProducerEpoch" }
  if (epoch > known.epoch) {
    return baseSequence === 0 ? inOrder : { _tag: "Refused", reason: "OutOfOrderSequenceNumber" }
  }
  const lastSequence = lastSequenceOf(baseSequence, count)
  const duplicate = known.batches.find((b) => b.baseSequence === baseSequence && b.lastSequence === lastSequence)
  if (duplicate !== undefined) {
    const { baseOffset, logAppendTimeMs } = duplicate
    return { _tag: "Duplicate", baseOffset, logAppendTimeMs }
  }
  const expected = plus(known.batches.at(-1)?.lastSequence ?? noSequence, 1)
  return baseSequence === expected ? inOrder : { _tag: "Refused", reason: "OutOfOrderSequenceNumber" }
}

/** Changes `producers`, which only its partition's state holds: a copy per batch would cost more than the append. */
export const appended = (
  producers: Map<number, ProducerState>,
  { id, epoch, baseSequence }: Producer,
  { baseOffset, count, isTransactional, maxTimestampMs, isLogAppendTime }: RecordsAppended,
  transactions: LogTransactions | undefined
): Map<number, ProducerState> => {
  const known = producers.get(id)
  const kept = known?.epoch === epoch ? known.batches.slice(1 - batchesKept) : []
  const lastSequence = lastSequenceOf(baseSequence, count)
  const batch: ProducedBatch =
    isLogAppendTime === true
      ? { baseSequence, lastSequence, baseOffset, logAppendTimeMs: maxTimestampMs }
      : { baseSequence, lastSequence, baseOffset }
  const batches = [...kept, batch]
  if (isTransactional === true)
    put(producers, id, { ...known, epoch, batches, transactionMs: maxTimestampMs }, transactions)
  else if (known?.transactionMs !== undefined) put(producers, id, { ...known, epoch, batches }, transactions)
  else put(producers, id, { epoch, batches }, transactions)
  return producers
}

/** Changes `producers` as well: a marker's epoch is its producer's from then on (KIP-890). */
export const ended = (
  producers: Map<number, ProducerState>,
  { producerId, producerEpoch, coordinatorEpoch }: Marker,
  transactionMs: number,
  transactions: LogTransactions | undefined
): Map<number, ProducerState> => {
  const known = producers.get(producerId)
  const batches = known?.epoch === producerEpoch ? known.batches : []
  put(producers, producerId, { epoch: producerEpoch, batches, coordinatorEpoch, transactionMs }, transactions)
  return producers
}

/** As the most recently used. */
const put = (
  producers: Map<number, ProducerState>,
  id: number,
  producer: ProducerState,
  transactions: LogTransactions | undefined
): void => {
  producers.delete(id)
  producers.set(id, producer)
  if (producers.size > producersMax) forgotten(producers, 1, transactions)
}

/** Changes `producers` as well: without the least recently used, of those that have no open transaction. */
export const forgotten = (
  producers: Map<number, ProducerState>,
  count: number,
  transactions: LogTransactions | undefined
): Map<number, ProducerState> => {
  let left = count
  for (const id of producers.keys()) {
    if (left === 0) break
    if (transactions?.openOf(id) !== undefined) continue
    producers.delete(id)
    left--
  }
  return producers
}
