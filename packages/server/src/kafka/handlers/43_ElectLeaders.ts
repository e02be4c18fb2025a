import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { ElectLeaders } from "@logbrook/protocols/kafka/messages/43_ElectLeaders"
import type { RequestOf } from "@logbrook/protocols/kafka/Schema"
import { handler, type ContextOf } from "../Handler.ts"
import { partitionFailure } from "../partitionFailure.ts"

// ElectLeaders 0-2: this node leads every partition, so no election is needed. Null asks for all partitions: then only those that
// an election has changed would be answered, and there are none.

const notNeeded = {
  code: KafkaError.ELECTION_NOT_NEEDED,
  message: "Leader election not needed for topic partition."
}

const electionTypes: ReadonlySet<number> = new Set([0, 1])

const needs = { Cluster: ["Alter"], Topic: ["Describe"] } as const

const outcome = (context: ContextOf<typeof needs>, topic: string, partition: number) => {
  const { code, message } = partitionFailure(context, topic, partition) ?? notNeeded
  return { partitionId: partition, errorCode: code, errorMessage: message }
}

type Asked = RequestOf<typeof ElectLeaders>["topicPartitions"]

/** Version 0 has no error of the whole: every partition has it. */
const refuse = (errorCode: KafkaErrorCode, asked: Asked) => ({
  errorCode,
  replicaElectionResults: (asked ?? []).map(({ topic, partitions }) => ({
    topic,
    partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage: null }))
  }))
})

export const electLeadersHandler = handler(ElectLeaders, {
  serves: [0, 2],
  needs,
  handle: (context, { electionType, topicPartitions }) => {
    const denied = context.deniedCluster("Alter")
    if (denied !== undefined) return refuse(denied.code, topicPartitions)
    if (!electionTypes.has(electionType)) return refuse(KafkaError.INVALID_REQUEST, topicPartitions)
    const replicaElectionResults = (topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partition) => outcome(context, topic, partition))
    }))
    return { errorCode: KafkaError.NONE, replicaElectionResults }
  }
})
