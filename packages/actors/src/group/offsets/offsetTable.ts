import type { CommittedOffset, OffsetToCommit, TopicPartition } from "../GroupProtocol.ts"
import { weightOfOffset, weightOfTopic } from "../groupWeight.ts"

type Partitions = ReadonlyMap<number, CommittedOffset>

/**
 * Committed offsets by topic id, then partition: a commit copies the maps of the streams it names, not the whole table.
 * Maps keep the order of the first commits, which a replay repeats.
 */
export interface OffsetTable {
  readonly topics: ReadonlyMap<string, Partitions>
  /** Offsets of all topics. */
  readonly count: number
  /** See `groupWeight.ts`. */
  readonly weightBytes: number
}

/** For maps and sets of partitions, of whichever topics. */
export const keyOf = ({ topicId, partition }: TopicPartition): string => `${partition}/${topicId}`

export const noOffsets: OffsetTable = { topics: new Map(), count: 0, weightBytes: 0 }

export const committedOffset = (
  table: OffsetTable,
  { topicId, partition }: TopicPartition
): CommittedOffset | undefined => table.topics.get(topicId)?.get(partition)

export const committed = (table: OffsetTable, offsets: ReadonlyArray<OffsetToCommit>, atMs: number): OffsetTable => {
  const topics = new Map(table.topics)
  const copied = new Map<string, Map<number, CommittedOffset>>()
  let { count, weightBytes } = table
  for (const { topicId, stream, partition, offset, leaderEpoch, metadata } of offsets) {
    let partitions = copied.get(topicId)
    if (partitions === undefined) {
      const before = table.topics.get(topicId)
      if (before === undefined) weightBytes += weightOfTopic(topicId)
      partitions = new Map(before)
      copied.set(topicId, partitions)
      topics.set(topicId, partitions)
    }
    const former = partitions.get(partition)
    if (former === undefined) count++
    else weightBytes -= weightOfOffset(former)
    const next = { topicId, stream, partition, offset, leaderEpoch, metadata, committedAtMs: atMs }
    weightBytes += weightOfOffset(next)
    partitions.set(partition, next)
  }
  return { topics, count, weightBytes }
}

export const forgotten = (table: OffsetTable, topicIds: ReadonlyArray<string>): OffsetTable => {
  const topics = new Map(table.topics)
  let { count, weightBytes } = table
  for (const topicId of topicIds) {
    const partitions = topics.get(topicId)
    if (partitions === undefined) continue
    topics.delete(topicId)
    count -= partitions.size
    weightBytes -= weightOfPartitions(topicId, partitions)
  }
  return { topics, count, weightBytes }
}

/** Single ones; a topic goes with the last of its partitions. */
export const removed = (table: OffsetTable, offsets: ReadonlyArray<TopicPartition>): OffsetTable => {
  const topics = new Map(table.topics)
  const copied = new Map<string, Map<number, CommittedOffset>>()
  let { count, weightBytes } = table
  for (const { topicId, partition } of offsets) {
    const partitions = copied.get(topicId) ?? new Map(table.topics.get(topicId))
    const offset = partitions.get(partition)
    if (offset === undefined) continue
    copied.set(topicId, partitions)
    topics.set(topicId, partitions)
    partitions.delete(partition)
    count--
    weightBytes -= weightOfOffset(offset)
    if (partitions.size > 0) continue
    topics.delete(topicId)
    weightBytes -= weightOfTopic(topicId)
  }
  return { topics, count, weightBytes }
}

const weightOfPartitions = (topicId: string, partitions: Partitions): number => {
  let bytes = weightOfTopic(topicId)
  for (const offset of partitions.values()) bytes += weightOfOffset(offset)
  return bytes
}

export const fetched = (
  table: OffsetTable,
  partitions: ReadonlyArray<TopicPartition> | null
): ReadonlyArray<CommittedOffset> =>
  partitions === null
    ? listOffsets(table)
    : partitions.map((each) => committedOffset(table, each) ?? neverCommitted(each))

/** All, in the order of the first commits. */
export const listOffsets = ({ topics }: OffsetTable): ReadonlyArray<CommittedOffset> =>
  [...topics.values()].flatMap((partitions) => [...partitions.values()])

/** Back from `listOffsets`. */
export const offsetTable = (offsets: ReadonlyArray<CommittedOffset>): OffsetTable => {
  const topics = new Map<string, Map<number, CommittedOffset>>()
  for (const offset of offsets) {
    const partitions = topics.get(offset.topicId)
    if (partitions === undefined) topics.set(offset.topicId, new Map([[offset.partition, offset]]))
    else partitions.set(offset.partition, offset)
  }
  let weightBytes = 0
  for (const [topicId, partitions] of topics) weightBytes += weightOfPartitions(topicId, partitions)
  return { topics, count: offsets.length, weightBytes }
}

export const neverCommitted = ({ topicId, partition }: TopicPartition): CommittedOffset => ({
  topicId,
  stream: "",
  partition,
  offset: -1,
  leaderEpoch: -1,
  metadata: "",
  committedAtMs: -1
})
