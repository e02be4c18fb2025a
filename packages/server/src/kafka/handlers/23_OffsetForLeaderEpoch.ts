import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetForLeaderEpoch } from "@logbrook/protocols/kafka/messages/23_OffsetForLeaderEpoch"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { checkLeaderEpoch, endOfEpoch } from "../leaderEpochs.ts"
import { Reply } from "../Reply.ts"

// OffsetForLeaderEpoch 2-4 (KIP-320): a consumer asks after a change of the epoch whether what it read is still there.
// Left out: replicas (a replica id >= 0 is refused).

interface Asked {
  readonly partition: number
  readonly currentLeaderEpoch: number
  readonly leaderEpoch: number
}

const needs = { Topic: ["Describe"] } as const

const endOffsetOf = (context: ContextOf<typeof needs>, topic: string, asked: Asked) => {
  const { shards } = context.node.broker
  const { partition } = asked
  const stream = context.topic("Describe", topic)
  if (isFailure(stream)) return { partition, errorCode: stream.code }
  const logId = stream.logIds[partition]
  if (logId === undefined) return { partition, errorCode: KafkaError.UNKNOWN_TOPIC_OR_PARTITION }
  const shard = shards.ofLog(logId)
  const errorCode = checkLeaderEpoch(shard, asked.currentLeaderEpoch)
  if (errorCode !== KafkaError.NONE) return { partition, errorCode }
  const { epoch, endOffset } = endOfEpoch(shard, shard.logs.log(logId), asked.leaderEpoch)
  return { partition, errorCode, leaderEpoch: epoch, endOffset }
}

export const offsetForLeaderEpochHandler = handler(OffsetForLeaderEpoch, {
  serves: [2, 4],
  needs,
  handle: (context, { replicaId, topics: asked }) => {
    const isReplica = replicaId >= 0
    const topics = asked.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map((each) =>
        isReplica
          ? { partition: each.partition, errorCode: KafkaError.TOPIC_AUTHORIZATION_FAILED }
          : endOffsetOf(context, topic, each)
      )
    }))
    return isReplica ? new Reply({ topics }, { violation: `OffsetForLeaderEpoch as replica ${replicaId}` }) : { topics }
  }
})
