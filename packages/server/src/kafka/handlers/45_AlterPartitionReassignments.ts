import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { AlterPartitionReassignments } from "@logbrook/protocols/kafka/messages/45_AlterPartitionReassignments"
import { handler, type ContextOf } from "../Handler.ts"
import { partitionFailure } from "../partitionFailure.ts"

// AlterPartitionReassignments 0-1: every partition is on this node and stays there. To put it there is done at once; another
// placement is INVALID_REPLICA_ASSIGNMENT; nothing is under way that could be cancelled (null).

const needs = { Cluster: ["Alter"], Topic: ["Describe"] } as const

type Context = ContextOf<typeof needs>

interface Outcome {
  readonly errorCode: KafkaErrorCode
  readonly errorMessage: string | null
}

const reassign = (
  context: Context,
  topic: string,
  partition: number,
  replicas: ReadonlyArray<number> | null
): Outcome => {
  const { nodeId } = context.node.broker
  const failure = partitionFailure(context, topic, partition)
  if (failure !== undefined) return { errorCode: failure.code, errorMessage: failure.message }
  if (replicas === null) return { errorCode: KafkaError.NO_REASSIGNMENT_IN_PROGRESS, errorMessage: null }
  if (replicas.length === 1 && replicas[0] === nodeId) return { errorCode: KafkaError.NONE, errorMessage: null }
  const errorMessage = `There is one node: every partition is on node ${nodeId} alone.`
  return { errorCode: KafkaError.INVALID_REPLICA_ASSIGNMENT, errorMessage }
}

export const alterPartitionReassignmentsHandler = handler(AlterPartitionReassignments, {
  serves: [0, 1],
  needs,
  handle: (context, { topics, allowReplicationFactorChange }) => {
    const denied = context.deniedCluster("Alter")
    if (denied !== undefined) return { errorCode: denied.code, errorMessage: denied.message, responses: [] }
    const responses = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, replicas }) => ({
        partitionIndex,
        ...reassign(context, name, partitionIndex, replicas)
      }))
    }))
    return { allowReplicationFactorChange, errorCode: KafkaError.NONE, errorMessage: null, responses }
  }
})
