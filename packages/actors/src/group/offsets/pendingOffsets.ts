import type { OffsetToCommit, TopicPartition } from "../GroupProtocol.ts"
import { weightOfPendingOffset } from "../groupWeight.ts"

/** An offset that a transaction commits when it does. */
export interface PendingOffset extends OffsetToCommit {
  /** Counts what was pending in the group, so that of two for one partition the later one wins, whichever transaction ends first. */
  readonly order: number
  /** A newer one is committed by now, which stays when the transaction commits. */
  readonly isOutdated: boolean
}

type OffsetsOfProducer = ReadonlyMap<string, PendingOffset>

/** The offsets of transactions that are not over, by producer id. */
export interface PendingTable {
  readonly producers: ReadonlyMap<number, OffsetsOfProducer>
  /** Offsets of all producers. */
  readonly count: number
  /** See `groupWeight.ts`. */
  readonly weightBytes: number
}

export const nothingPending: PendingTable = { producers: new Map(), count: 0, weightBytes: 0 }

const keyOf = ({ topicId, partition }: TopicPartition): string => `${partition}/${topicId}`

/** With one producer's offsets, none of them if that is empty. */
const withOffsets = (table: PendingTable, producerId: number, offsets: OffsetsOfProducer): PendingTable => {
  const producers = new Map(table.producers)
  const before = producers.get(producerId)
  if (offsets.size === 0) producers.delete(producerId)
  else producers.set(producerId, offsets)
  const count = table.count + offsets.size - (before?.size ?? 0)
  const weightBytes = table.weightBytes + weightOfAll(offsets) - (before === undefined ? 0 : weightOfAll(before))
  return { producers, count, weightBytes }
}

const weightOfAll = (offsets: OffsetsOfProducer): number => {
  let bytes = 0
  for (const offset of offsets.values()) bytes += weightOfPendingOffset(offset)
  return bytes
}

/** Every producer's offsets as `change` gives them; undefined: without it. */
const changed = (table: PendingTable, change: (offset: PendingOffset) => PendingOffset | undefined): PendingTable => {
  let next = table
  for (const [producerId, offsets] of table.producers) {
    const kept = new Map<string, PendingOffset>()
    let isSame = true
    for (const [key, offset] of offsets) {
      const after = change(offset)
      if (after !== undefined) kept.set(key, after)
      isSame &&= after === offset
    }
    if (!isSame) next = withOffsets(next, producerId, kept)
  }
  return next
}

const nextOrder = ({ producers }: PendingTable): number => {
  let last = 0
  for (const offsets of producers.values()) for (const { order } of offsets.values()) last = Math.max(last, order)
  return last + 1
}

export const pendingAdded = (
  table: PendingTable,
  producerId: number,
  offsets: ReadonlyArray<OffsetToCommit>
): PendingTable => {
  const order = nextOrder(table)
  const own = new Map(table.producers.get(producerId))
  for (const { topicId, stream, partition, offset, leaderEpoch, metadata } of offsets) {
    const pending = { topicId, stream, partition, offset, leaderEpoch, metadata, order, isOutdated: false }
    own.set(keyOf(pending), pending)
  }
  return withOffsets(table, producerId, own)
}

/** These are committed by now: what was pending before them is outdated. `order`: of a transaction's own. */
export const pendingOutdated = (
  table: PendingTable,
  committed: ReadonlyArray<TopicPartition & { readonly order?: number }>
): PendingTable => {
  if (table.count === 0) return table
  const orders = new Map(committed.map((each) => [keyOf(each), each.order ?? Infinity]))
  return changed(table, (offset) => {
    const order = orders.get(keyOf(offset)) ?? -1
    return offset.order < order && !offset.isOutdated ? { ...offset, isOutdated: true } : offset
  })
}

export const pendingOf = ({ producers }: PendingTable, producerId: number): ReadonlyArray<PendingOffset> => [
  ...(producers.get(producerId)?.values() ?? [])
]

/** The producer's transaction is over. */
export const pendingCompleted = (table: PendingTable, producerId: number): PendingTable =>
  withOffsets(table, producerId, new Map())

export const pendingForgotten = (table: PendingTable, topicIds: ReadonlyArray<string>): PendingTable =>
  changed(table, (offset) => (topicIds.includes(offset.topicId) ? undefined : offset))

export const pendingRemoved = (table: PendingTable, removed: ReadonlyArray<TopicPartition>): PendingTable => {
  if (table.count === 0) return table
  const keys = new Set(removed.map(keyOf))
  return changed(table, (offset) => (keys.has(keyOf(offset)) ? undefined : offset))
}

/** Whether a transaction that is not over may change what is committed of the partition. */
export const isPending = ({ producers }: PendingTable, partition: TopicPartition): boolean => {
  if (producers.size === 0) return false
  const key = keyOf(partition)
  for (const offsets of producers.values()) if (offsets.has(key)) return true
  return false
}

export const hasPendingTopic = ({ producers }: PendingTable, topicId: string): boolean => {
  for (const offsets of producers.values()) {
    for (const offset of offsets.values()) if (offset.topicId === topicId) return true
  }
  return false
}

export interface SavedPending {
  readonly producerId: number
  readonly offsets: ReadonlyArray<PendingOffset>
}

export const savePending = ({ producers }: PendingTable): ReadonlyArray<SavedPending> =>
  Array.from(producers, ([producerId, offsets]) => ({ producerId, offsets: [...offsets.values()] }))

export const loadPending = (saved: ReadonlyArray<SavedPending>): PendingTable =>
  saved.reduce(
    (table, { producerId, offsets }) =>
      withOffsets(table, producerId, new Map(offsets.map((offset) => [keyOf(offset), offset]))),
    nothingPending
  )
