import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { isStreamName } from "@logbrook/core/StreamName"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import type { RequestContext } from "./Handler.ts"

/** Names that Kafka itself would not take; its internal topics do not exist here, which is no fault of the name. */
export const errorOfName = (name: string): KafkaErrorCode =>
  isStreamName(name) || name.startsWith("__")
    ? KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    : KafkaError.INVALID_TOPIC_EXCEPTION

/** The partitions of a stream, all on this node. */
export const partitionsOf = ({ node }: RequestContext, { logIds }: Stream) => {
  const { nodeId, shards } = node.broker
  const nodes = [nodeId]
  return logIds.map((logId, partitionIndex) => ({
    errorCode: KafkaError.NONE,
    partitionIndex,
    leaderId: nodeId,
    leaderEpoch: shards.leaderEpoch(logId),
    replicaNodes: nodes,
    isrNodes: nodes
  }))
}
