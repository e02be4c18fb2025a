import type { CommittedOffset, OffsetToCommit, TopicPartition } from "./GroupProtocol.ts"

/**
 * Committed offsets by topic id, then partition: a commit copies the maps of the streams it names, not the whole table.
 * Maps keep the order of the first commits, which a replay repeats.
 */
export type OffsetTable = ReadonlyMap<string, ReadonlyMap<number, CommittedOffset>>

export const noOffsets: OffsetTable = new Map()

export const countOffsets = (table: OffsetTable): number => {
  let count = 0
  for (const partitions of table.values()) count += partitions.size
  return count
}

export const committed = (table: OffsetTable, offsets: ReadonlyArray<OffsetToCommit>, atMs: number): OffsetTable => {
  const next = new Map(table)
  const copied = new Map<string, Map<number, CommittedOffset>>()
  for (const { topicId, stream, partition, offset, leaderEpoch, metadata } of offsets) {
    let partitions = copied.get(topicId)
    if (partitions === undefined) {
      partitions = new Map(table.get(topicId))
      copied.set(topicId, partitions)
      next.set(topicId, partitions)
    }
    partitions.set(partition, { topicId, stream, partition, offset, leaderEpoch, metadata, committedAtMs: atMs })
  }
  return next
}

export const forgotten = (table: OffsetTable, topicIds: ReadonlyArray<string>): OffsetTable => {
  const next = new Map(table)
  for (const topicId of topicIds) next.delete(topicId)
  return next
}

export const fetched = (
  table: OffsetTable,
  partitions: ReadonlyArray<TopicPartition> | null
): ReadonlyArray<CommittedOffset> =>
  partitions === null
    ? listOffsets(table)
    : partitions.map(({ topicId, partition }) => table.get(topicId)?.get(partition) ?? never(topicId, partition))

/** All, in the order of the first commits. */
export const listOffsets = (table: OffsetTable): ReadonlyArray<CommittedOffset> =>
  [...table.values()].flatMap((partitions) => [...partitions.values()])

/** Back from `listOffsets`. */
export const offsetTable = (offsets: ReadonlyArray<CommittedOffset>): OffsetTable => {
  const table = new Map<string, Map<number, CommittedOffset>>()
  for (const offset of offsets) {
    const partitions = table.get(offset.topicId)
    if (partitions === undefined) table.set(offset.topicId, new Map([[offset.partition, offset]]))
    else partitions.set(offset.partition, offset)
  }
  return table
}

const never = (topicId: string, partition: number): CommittedOffset => ({
  topicId,
  stream: "",
  partition,
  offset: -1,
  leaderEpoch: -1,
  metadata: "",
  committedAtMs: -1
})
