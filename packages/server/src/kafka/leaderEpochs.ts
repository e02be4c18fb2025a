import type { Shard } from "@logbrook/core/shard/Shard"
import type { Log } from "@logbrook/core/storage/Log"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"

/** A client's idea of the leader epoch against the shard's (KIP-320); -1: the client has none. */
export const checkLeaderEpoch = (shard: Shard, currentLeaderEpoch: number): KafkaErrorCode => {
  if (currentLeaderEpoch === -1 || currentLeaderEpoch === shard.epoch) return KafkaError.NONE
  return currentLeaderEpoch < shard.epoch ? KafkaError.FENCED_LEADER_EPOCH : KafkaError.UNKNOWN_LEADER_EPOCH
}

export interface EpochEnd {
  /** -1: no such epoch was ever. */
  readonly epoch: number
  readonly endOffset: number
}

const undefinedEpoch: EpochEnd = { epoch: -1, endOffset: -1 }

/**
 * The last epoch at or below `leaderEpoch` and where it ended (KIP-320): where the next one began, or the high watermark
 * for the shard's own epoch. Below the oldest epoch known: the asked one, ending where the oldest began.
 */
export const endOfEpoch = (shard: Shard, log: Log, leaderEpoch: number): EpochEnd => {
  if (leaderEpoch < 0 || leaderEpoch > shard.epoch) return undefinedEpoch
  if (leaderEpoch === shard.epoch) return { epoch: leaderEpoch, endOffset: log.highWatermark }
  const { epochs } = log
  const next = epochs.findIndex(({ epoch }) => epoch > leaderEpoch)
  const last = next === -1 ? epochs.at(-1) : epochs[next - 1]
  return { epoch: last?.epoch ?? leaderEpoch, endOffset: epochs[next]?.startOffset ?? log.highWatermark }
}

/** The epoch in which the record at `offset`, or the next one, was written; the shard's own at the end of the log. */
export const epochAt = (shard: Shard, log: Log, offset: number): number => {
  const at = log.index.find(offset)
  return at < log.index.count ? log.index.at(at).epoch : shard.epoch
}
