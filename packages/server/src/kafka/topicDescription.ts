import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import type { RequestContext } from "./Handler.ts"

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
