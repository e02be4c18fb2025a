import type { BatchRef, Producer } from "../journal/batchRef.ts"
import type { LogTransactions } from "../transaction/LogTransactions.ts"
import type { Marker } from "../transaction/Marker.ts"

/**
 * The events of a partition that storage itself understands. `RecordsAppended` is journaled as a reference
 * in the frame, never as an encoded event; `epoch` is the frame's.
 */
export interface RecordsAppended {
  readonly _tag: "RecordsAppended"
  readonly baseOffset: number
  readonly count: number
  readonly firstTimestampMs: number
  readonly maxTimestampMs: number
  readonly epoch: number
  readonly verbatim: boolean
  readonly producer: Producer | undefined
  /** The batch belongs to a transaction of its producer. */
  readonly isTransactional?: true | undefined
  /** The end of a transaction was appended, no records. */
  readonly marker?: Marker | undefined
  /** All records of the batch have the time of its append, `maxTimestampMs`, whatever their own are (KIP-32). */
  readonly isLogAppendTime?: true | undefined
}

/** Records below `offset` are gone for every reader, at once. */
export interface LogStartMoved {
  readonly _tag: "LogStartMoved"
  readonly offset: number
  readonly reason: string
}

/** The partition's stream was deleted; its log id is never used again. */
export interface LogDeleted {
  readonly _tag: "LogDeleted"
}

/** So many idempotent producers, those that were idle for longest: there was no memory for a further one beside them. */
export interface ProducersForgotten {
  readonly _tag: "ProducersForgotten"
  readonly count: number
}

/** Nothing is left of the transactions that were aborted by markers below `offset`: compaction has taken it away. */
export interface AbortedForgotten {
  readonly _tag: "AbortedForgotten"
  readonly offset: number
}

export type LogEvent = RecordsAppended | LogStartMoved | LogDeleted | ProducersForgotten | AbortedForgotten

/** A leader epoch and the first offset that was written in it (KIP-101). */
export interface EpochStart {
  readonly epoch: number
  readonly startOffset: number
}

/** Old epochs beyond this many are answered as the oldest that is kept. */
const epochsMax = 1000

/** With the epoch of a record at `startOffset`; the same list if that is the newest known. */
export const withEpoch = (
  epochs: ReadonlyArray<EpochStart>,
  epoch: number,
  startOffset: number
): ReadonlyArray<EpochStart> =>
  epochs.at(-1)?.epoch === epoch ? epochs : [...epochs.slice(1 - epochsMax), { epoch, startOffset }]

/** The part of every partition's state that storage must know: the actor's own state has at least this. */
export interface LogState {
  readonly logStartOffset: number
  /** The offset of the next record. */
  readonly nextOffset: number
  readonly isDeleted: boolean
  readonly epochs: ReadonlyArray<EpochStart>
  /** Undefined: there were none that matter still. */
  readonly transactions?: LogTransactions | undefined
}

export const partitionKind = "partition"

const idsKept = 4096
const ids = new Map<number, string>()

/** Remembered, as it is asked for with every partition batch: a new string is hashed anew by every map that it is looked up in. */
export const partitionId = (logId: number): string => {
  const known = ids.get(logId)
  if (known !== undefined) return known
  if (ids.size >= idsKept) ids.clear()
  const id = `${partitionKind}/${logId}`
  ids.set(logId, id)
  return id
}

export const logIdOf = (partition: string): number => Number(partition.slice(partitionKind.length + 1))

export const recordsAppended = (ref: BatchRef, epoch: number): RecordsAppended => ({
  _tag: "RecordsAppended",
  baseOffset: ref.baseOffset,
  count: ref.count,
  firstTimestampMs: ref.firstTimestampMs,
  maxTimestampMs: ref.maxTimestampMs,
  epoch,
  verbatim: ref.verbatim,
  producer: ref.producer,
  ...(ref.isTransactional === true && { isTransactional: true }),
  ...(ref.marker !== undefined && { marker: ref.marker }),
  ...(ref.isLogAppendTime === true && { isLogAppendTime: true })
})
