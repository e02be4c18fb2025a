import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { OffsetToCommit } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { isFailure } from "./Access.ts"
import type { Failure } from "./errors.ts"

/** A partition of OffsetCommit or TxnOffsetCommit. */
interface AskedOffset {
  readonly partitionIndex: number
  readonly committedOffset: number
  readonly committedLeaderEpoch: number
  readonly committedMetadata: string | null
}

/** The offset that a request commits, or why it cannot. */
export const offsetToCommit = (
  stream: Stream | Failure,
  { partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata }: AskedOffset
): OffsetToCommit | KafkaErrorCode => {
  if (isFailure(stream)) return stream.code
  if (stream.logIds[partitionIndex] === undefined) return KafkaError.UNKNOWN_TOPIC_OR_PARTITION
  // Read as a bound: the offset that was meant would not come back.
  if (Math.abs(committedOffset) === Number.MAX_SAFE_INTEGER) return KafkaError.OFFSET_OUT_OF_RANGE
  return {
    topicId: stream.topicId,
    stream: stream.name,
    partition: partitionIndex,
    offset: committedOffset,
    leaderEpoch: committedLeaderEpoch,
    metadata: committedMetadata ?? ""
  }
}
