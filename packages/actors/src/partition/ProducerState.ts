import type { Producer } from "@logbrook/core/journal/batchRef"

export interface ProducedBatch {
  readonly baseSequence: number
  readonly lastSequence: number
  readonly baseOffset: number
}

/** The state of an idempotent producer (KIP-98): its epoch and its last five batches, the oldest first. */
export interface ProducerState {
  readonly epoch: number
  readonly batches: ReadonlyArray<ProducedBatch>
}

export type SequenceCheck =
  | { readonly _tag: "InOrder" }
  | { readonly _tag: "Duplicate"; readonly baseOffset: number }
  | { readonly _tag: "Refused"; readonly reason: "OutOfOrderSequenceNumber" | "InvalidProducerEpoch" }

const batchesKept = 5
/** Producers remembered per partition; the least recently used is forgotten, as Kafka forgets idle ones. */
const producersMax = 10_000
/** The memory that a producer with five batches takes, measured by bench/memoryWeights.ts. */
export const producerBytes = 540
const sequenceMax = 0x7fff_ffff

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
  if (duplicate !== undefined) return { _tag: "Duplicate", baseOffset: duplicate.baseOffset }
  const expected = plus(known.batches.at(-1)!.lastSequence, 1)
  return baseSequence === expected ? inOrder : { _tag: "Refused", reason: "OutOfOrderSequenceNumber" }
}

/** Changes `producers`, which only its partition's state holds: a copy per batch would cost more than the append. */
export const appended = (
  producers: Map<number, ProducerState>,
  { id, epoch, baseSequence }: Producer,
  baseOffset: number,
  count: number
): Map<number, ProducerState> => {
  const known = producers.get(id)
  const kept = known?.epoch === epoch ? known.batches.slice(1 - batchesKept) : []
  const batch = { baseSequence, lastSequence: lastSequenceOf(baseSequence, count), baseOffset }
  producers.delete(id)
  producers.set(id, { epoch, batches: [...kept, batch] })
  if (producers.size > producersMax) producers.delete(producers.keys().next().value!)
  return producers
}

/** Changes `producers` as well: without the least recently used. */
export const forgotten = (producers: Map<number, ProducerState>, count: number): Map<number, ProducerState> => {
  for (const id of [...producers.keys()].slice(0, count)) producers.delete(id)
  return producers
}
