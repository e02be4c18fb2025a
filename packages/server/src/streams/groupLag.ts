import type { CommittedOffset } from "@logbrook/actors/group/GroupProtocol"
import { listOffsets } from "@logbrook/actors/group/offsets/offsetTable"
import type { GroupState } from "@logbrook/actors/group/groupState"
import type { Broker } from "../Broker.ts"

/** How far a group has come in one partition; null: not known. */
export interface PartitionLag {
  readonly stream: string
  readonly partition: number
  /**
   * The offset as it was committed. A client says with a negative one that it has none. An offset behind the end of
   * the log was never one of this log: a client commits so, by the topic's name, what it had read of a topic that was
   * deleted and made again.
   */
  readonly offset: number
  readonly logStartOffset: number | null
  readonly highWatermark: number | null
  /** Records that are there and that the group has not read. */
  readonly lag: number | null
  /** Records that were gone before the group had read them. */
  readonly lost: number | null
}

/** Over all partitions of a group with an offset. */
export interface GroupLag {
  /** null while it is not known of one of them: `knownLag` is that of the others. */
  readonly lag: number | null
  readonly knownLag: number
  readonly lost: number
  readonly unknownPartitions: number
}

/** A log that never had a record. */
const emptyLog = { startOffset: 0, highWatermark: 0 }

export const lagOf = (
  { directory, shards }: Pick<Broker, "directory" | "shards">,
  { topicId, stream, partition, offset }: Pick<CommittedOffset, "topicId" | "stream" | "partition" | "offset">
): PartitionLag => {
  const logId = directory.byTopicId(topicId)?.logIds[partition]
  const place = { stream, partition, offset }
  if (logId === undefined) return { ...place, logStartOffset: null, highWatermark: null, lag: null, lost: null }
  const { startOffset: logStartOffset, highWatermark } = shards.logsOf(logId).find(logId) ?? emptyLog
  const known = { ...place, logStartOffset, highWatermark }
  if (offset < 0 || offset > highWatermark) return { ...known, lag: null, lost: null }
  return {
    ...known,
    lag: Math.max(0, highWatermark - Math.max(offset, logStartOffset)),
    lost: Math.max(0, logStartOffset - offset)
  }
}

export const lagsOf = (
  broker: Pick<Broker, "directory" | "shards">,
  { offsets }: GroupState
): ReadonlyArray<PartitionLag> =>
  listOffsets(offsets)
    .map((each) => lagOf(broker, each))
    .sort((a, b) => (a.stream === b.stream ? a.partition - b.partition : a.stream < b.stream ? -1 : 1))

export const totalLag = (lags: ReadonlyArray<PartitionLag>): GroupLag => {
  let knownLag = 0
  let lost = 0
  let unknownPartitions = 0
  for (const each of lags) {
    knownLag += each.lag ?? 0
    lost += each.lost ?? 0
    if (each.lag === null) unknownPartitions++
  }
  return { lag: unknownPartitions > 0 ? null : knownLag, knownLag, lost, unknownPartitions }
}
