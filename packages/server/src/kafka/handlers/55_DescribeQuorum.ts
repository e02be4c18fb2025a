import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeQuorum } from "@logbrook/protocols/kafka/messages/55_DescribeQuorum"
import { handler, type ContextOf } from "../Handler.ts"

// DescribeQuorum 0-2: a quorum of this node alone. Kafka's metadata log is the journal here: its offsets are the journal's sequence
// numbers, its leader epoch that of the catalog's shard. Other topics than that log are not known to a quorum.

const needs = { Cluster: ["Describe"] } as const

const metadataTopic = "__cluster_metadata"
const unknown = { leaderId: -1, leaderEpoch: -1, highWatermark: -1, currentVoters: [], observers: [] }

const describePartition = ({ node }: ContextOf<typeof needs>, topicName: string, partitionIndex: number) => {
  const { nodeId, shards, clock } = node.broker
  if (topicName !== metadataTopic || partitionIndex !== 0) {
    return { partitionIndex, errorCode: KafkaError.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: null, ...unknown }
  }
  const nowMs = clock.nowMs()
  const shard = shards.of(catalogActor)
  const { durableSeq } = shard
  const voter = { replicaId: nodeId, logEndOffset: durableSeq, lastFetchTimestamp: nowMs, lastCaughtUpTimestamp: nowMs }
  return {
    partitionIndex,
    errorCode: KafkaError.NONE,
    errorMessage: null,
    leaderId: nodeId,
    leaderEpoch: shard.epoch,
    highWatermark: durableSeq,
    currentVoters: [voter],
    observers: []
  }
}

export const describeQuorumHandler = handler(DescribeQuorum, {
  serves: [0, 2],
  needs,
  handle: (context, request) => {
    const denied = context.deniedCluster("Describe")
    if (denied !== undefined) return { errorCode: denied.code, errorMessage: denied.message, topics: [] }
    const topics = request.topics.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map(({ partitionIndex }) => describePartition(context, topicName, partitionIndex))
    }))
    const listeners = [{ name: context.securityProtocol, ...context.advertised }]
    const nodes = [{ nodeId: context.node.broker.nodeId, listeners }]
    return { errorCode: KafkaError.NONE, errorMessage: null, topics, nodes }
  }
})
