import type { OffsetToCommit, TopicPartition } from "../GroupProtocol.ts"
import { weightOfPendingOffset } from "../groupWeight.ts"
import { keyOf } from "./offsetTable.ts"

/** An offset that a transaction commits when it does. */
export interface PendingOffset extends OffsetToCommit {
  /** Counts what was pending in the group, so that of two for one partition the later one wins, whichever transaction ends first. */
  readonly order: number
  /** A newer one is committed by now, which stays when the transaction commits. */
  readonly isOutdated: boolean
}

type Offsets = ReadonlyMap<string, PendingOffset>

interface OfProducer {
  /** By partition and topic id. */
  readonly offsets: Offsets
  /** The greatest of theirs. */
  readonly lastOrder: number
}

/** By topic id, then partition: the ids of the producers that have a pending offset of it. */
type ProducersByPartition = ReadonlyMap<string, ReadonlyMap<number, ReadonlyArray<number>>>

/** The offsets of transactions that are not over, by producer id. */
export interface PendingTable {
  readonly producers: ReadonlyMap<number, OfProducer>
  /** The same the other way round, so that a fetch and a commit look at nothing but the partitions that they name. */
  readonly topics: ProducersByPartition
  /** Offsets of all producers. */
  readonly count: number
  /** See `groupWeight.ts`. */
  readonly weightBytes: number
}

export const nothingPending: PendingTable = { producers: new Map(), topics: new Map(), count: 0, weightBytes: 0 }

/** `ProducersByPartition` in the making: copies each topic's map that it changes, once. */
class Index {
  readonly topics: Map<string, ReadonlyMap<number, ReadonlyArray<number>>>
  readonly #copied = new Map<string, Map<number, ReadonlyArray<number>>>()

  constructor(topics: ProducersByPartition) {
    this.topics = new Map(topics)
  }

  #partitionsOf(topicId: string): Map<number, ReadonlyArray<number>> {
    const copied = this.#copied.get(topicId)
    if (copied !== undefined) return copied
    const partitions = new Map(this.topics.get(topicId))
    this.#copied.set(topicId, partitions)
    this.topics.set(topicId, partitions)
    return partitions
  }

  add({ topicId, partition }: TopicPartition, producerId: number): void {
    const partitions = this.#partitionsOf(topicId)
    partitions.set(partition, [...(partitions.get(partition) ?? []), producerId])
  }

  remove({ topicId, partition }: TopicPartition, producerId: number): void {
    const partitions = this.#partitionsOf(topicId)
    const left = partitions.get(partition)!.filter((each) => each !== producerId)
    if (left.length > 0) partitions.set(partition, left)
    else partitions.delete(partition)
    if (partitions.size > 0) return
    this.topics.delete(topicId)
    this.#copied.delete(topicId)
  }
}

const nothing: Offsets = new Map()

const lastOrderOf = (offsets: Offsets): number => {
  let last = 0
  for (const { order } of offsets.values()) last = Math.max(last, order)
  return last
}

/** With all offsets of these producers, none of theirs if that is empty. */
const withOffsets = (table: PendingTable, changed: ReadonlyMap<number, Offsets>): PendingTable => {
  if (changed.size === 0) return table
  const producers = new Map(table.producers)
  const index = new Index(table.topics)
  let { count, weightBytes } = table
  for (const [producerId, offsets] of changed) {
    const before = producers.get(producerId)?.offsets ?? nothing
    for (const [key, offset] of before) if (!offsets.has(key)) index.remove(offset, producerId)
    for (const [key, offset] of offsets) if (!before.has(key)) index.add(offset, producerId)
    if (offsets.size === 0) producers.delete(producerId)
    else producers.set(producerId, { offsets, lastOrder: lastOrderOf(offsets) })
    count += offsets.size - before.size
    weightBytes += weightOfAll(offsets) - weightOfAll(before)
  }
  return { producers, topics: index.topics, count, weightBytes }
}

const weightOfAll = (offsets: Offsets): number => {
  let bytes = 0
  for (const offset of offsets.values()) bytes += weightOfPendingOffset(offset)
  return bytes
}

/** The pending offsets of one partition as `change` gives them, those of all its producers; undefined: without it. */
type Change = (offset: PendingOffset) => PendingOffset | undefined

/** `changes`: each partition once. */
const changed = (
  table: PendingTable,
  changes: Iterable<readonly [partition: TopicPartition, change: Change]>
): PendingTable => {
  const copied = new Map<number, Map<string, PendingOffset>>()
  for (const [partition, change] of changes) {
    const key = keyOf(partition)
    for (const producerId of producersOf(table, partition)) {
      const before = table.producers.get(producerId)!.offsets
      const offset = before.get(key)!
      const after = change(offset)
      if (after === offset) continue
      const own = copied.get(producerId) ?? new Map(before)
      copied.set(producerId, own)
      if (after === undefined) own.delete(key)
      else own.set(key, after)
    }
  }
  return withOffsets(table, copied)
}

const nobody: ReadonlyArray<number> = []

const producersOf = ({ topics }: PendingTable, { topicId, partition }: TopicPartition): ReadonlyArray<number> =>
  topics.get(topicId)?.get(partition) ?? nobody

const nextOrder = ({ producers }: PendingTable): number => {
  let last = 0
  for (const { lastOrder } of producers.values()) last = Math.max(last, lastOrder)
  return last + 1
}

export const pendingAdded = (
  table: PendingTable,
  producerId: number,
  offsets: ReadonlyArray<OffsetToCommit>
): PendingTable => {
  const order = nextOrder(table)
  const own = new Map(table.producers.get(producerId)?.offsets)
  for (const { topicId, stream, partition, offset, leaderEpoch, metadata } of offsets) {
    const pending = { topicId, stream, partition, offset, leaderEpoch, metadata, order, isOutdated: false }
    own.set(keyOf(pending), pending)
  }
  return withOffsets(table, new Map([[producerId, own]]))
}

/** These are committed by now: what was pending before them is outdated. `order`: of a transaction's own. */
export const pendingOutdated = (
  table: PendingTable,
  committed: ReadonlyArray<TopicPartition & { readonly order?: number }>
): PendingTable => {
  if (table.count === 0) return table
  const last = new Map(committed.map((each) => [keyOf(each), each]))
  const changes = Array.from(last.values(), (each): readonly [TopicPartition, Change] => {
    const order = each.order ?? Infinity
    return [each, (offset) => (offset.order < order && !offset.isOutdated ? { ...offset, isOutdated: true } : offset)]
  })
  return changed(table, changes)
}

export const pendingOf = ({ producers }: PendingTable, producerId: number): ReadonlyArray<PendingOffset> => [
  ...(producers.get(producerId)?.offsets.values() ?? [])
]

/** The producer's transaction is over. */
export const pendingCompleted = (table: PendingTable, producerId: number): PendingTable =>
  withOffsets(table, new Map([[producerId, nothing]]))

const without: Change = () => undefined

export const pendingForgotten = (table: PendingTable, topicIds: ReadonlyArray<string>): PendingTable =>
  pendingRemoved(
    table,
    [...new Set(topicIds)].flatMap((topicId) =>
      Array.from(table.topics.get(topicId)?.keys() ?? [], (partition) => ({ topicId, partition }))
    )
  )

export const pendingRemoved = (table: PendingTable, removed: ReadonlyArray<TopicPartition>): PendingTable =>
  changed(
    table,
    removed.map((each) => [each, without] as const)
  )

/** Whether a transaction that is not over may change what is committed of the partition. */
export const isPending = (table: PendingTable, partition: TopicPartition): boolean =>
  producersOf(table, partition).length > 0

export const hasPendingTopic = ({ topics }: PendingTable, topicId: string): boolean => topics.has(topicId)

export interface SavedPending {
  readonly producerId: number
  readonly offsets: ReadonlyArray<PendingOffset>
}

export const savePending = ({ producers }: PendingTable): ReadonlyArray<SavedPending> =>
  Array.from(producers, ([producerId, { offsets }]) => ({ producerId, offsets: [...offsets.values()] }))

export const loadPending = (saved: ReadonlyArray<SavedPending>): PendingTable =>
  withOffsets(
    nothingPending,
    new Map(
      saved.map(({ producerId, offsets }) => [producerId, new Map(offsets.map((offset) => [keyOf(offset), offset]))])
    )
  )
