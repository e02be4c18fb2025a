import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { ElectLeaders } from "@logbrook/protocols/kafka/messages/43_ElectLeaders"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"

// ElectLeaders 0-2: this node leads every partition, so no election is needed. Null asks for all partitions: then only those that
// an election has changed would be answered, and there are none.

const electionTypes: ReadonlySet<number> = new Set([0, 1])

const needs = { Cluster: ["Alter"], Topic: ["Describe"] } as const

const outcome = (context: ContextOf<typeof needs>, topic: string, partition: number) => {
  const stream = context.topic("Describe", topic)
  const code: KafkaErrorCode = isFailure(stream)
    ? stream.code
    : stream.logIds[partition] === undefined
      ? KafkaError.UNKNOWN_TOPIC_OR_PARTITION
      : KafkaError.ELECTION_NOT_NEEDED
  const isLed = code === KafkaError.ELECTION_NOT_NEEDED
  const errorMessage = isLed
    ? "Leader election not needed for topic partition."
    : `No such partition: ${topic}-${partition}`
  return { partitionId: partition, errorCode: code, errorMessage }
}

const refuse = (errorCode: KafkaErrorCode) => ({ errorCode, replicaElectionResults: [] })

export const electLeadersHandler = handler(ElectLeaders, {
  serves: [0, 2],
  needs,
  handle: (context, { electionType, topicPartitions }) => {
    const denied = context.deniedCluster("Alter")
    if (denied !== undefined) return refuse(denied.code)
    if (!electionTypes.has(electionType)) return refuse(KafkaError.INVALID_REQUEST)
    const replicaElectionResults = (topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partition) => outcome(context, topic, partition))
    }))
    return { errorCode: KafkaError.NONE, replicaElectionResults }
  }
})
