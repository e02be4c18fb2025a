import { partitionActor } from "@logbrook/actors/partition/Partition"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { WriteTxnMarkers } from "@logbrook/protocols/kafka/messages/27_WriteTxnMarkers"
import type { RequestOf, ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import { afterAll, type Answer } from "../Answer.ts"
import { failureOf } from "../errors.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"

// WriteTxnMarkers 1-2: an administrator ends a producer's transaction in single partitions without its coordinator, as
// `kafka-transactions.sh abort` does with one that hangs (KIP-664). Between Kafka's brokers it is how a coordinator ends all of them; this
// server's takes no such request. A coordinator epoch that this node does not have yet is refused: nobody else coordinates.

const needs = { Cluster: ["Alter", "ClusterAction"], Topic: ["Write"] } as const

type Context = ContextOf<typeof needs>
type Marker = RequestOf<typeof WriteTxnMarkers>["markers"][number]
type Results = ResponseInputOf<typeof WriteTxnMarkers>["markers"]

interface Asked {
  readonly marker: Marker
  readonly topic: string
  readonly partitionIndex: number
}

/** Either of the two operations will do. */
const deniedCode = (context: Context): KafkaErrorCode | undefined => {
  const administrator = context.deniedCluster("Alter")
  const broker = context.deniedCluster("ClusterAction")
  return administrator === undefined || broker === undefined ? undefined : broker.code
}

const write = (context: Context, { marker, topic, partitionIndex }: Asked): Answer<KafkaErrorCode> => {
  const stream = context.topic("Write", topic)
  if (isFailure(stream)) return stream.code
  const logId = stream.logIds[partitionIndex]
  if (logId === undefined) return KafkaError.UNKNOWN_TOPIC_OR_PARTITION
  const { producerId, producerEpoch, coordinatorEpoch, transactionResult, transactionVersion } = marker
  if (producerId < 0 || coordinatorEpoch > context.node.broker.shards.epoch) return KafkaError.INVALID_REQUEST
  const command = {
    _tag: "WriteMarker",
    producerId,
    producerEpoch,
    coordinatorEpoch,
    outcome: transactionResult ? "commit" : "abort",
    transactionVersion: transactionVersion === 2 ? 2 : 1
  } as const
  return context.ask(partitionActor(logId), command, (exit) =>
    Exit.isSuccess(exit) ? KafkaError.NONE : failureOf(exit.cause, KafkaError.NOT_LEADER_OR_FOLLOWER).code
  )
}

/** By producer and by topic, as Kafka answers. */
const resultsOf = (all: ReadonlyArray<Asked>, codes: ReadonlyArray<KafkaErrorCode>): Results => {
  const written = all.map((asked, i) => ({ ...asked, errorCode: codes[i]! }))
  const byProducer = Map.groupBy(written, ({ marker }) => marker.producerId)
  return Array.from(byProducer, ([producerId, own]) => {
    const byTopic = Map.groupBy(own, ({ topic }) => topic)
    return { producerId, topics: Array.from(byTopic, ([name, partitions]) => ({ name, partitions })) }
  })
}

export const writeTxnMarkersHandler = handler(WriteTxnMarkers, {
  serves: [1, 2],
  needs,
  handle: (context, { markers }) => {
    const all = markers.flatMap((marker) =>
      marker.topics.flatMap(({ name: topic, partitionIndexes }) =>
        partitionIndexes.map((partitionIndex): Asked => ({ marker, topic, partitionIndex }))
      )
    )
    const [asked, violation] = bounded("WriteTxnMarkers", "partitions", all)
    const denied = deniedCode(context)
    const written = asked.map((each): Answer<KafkaErrorCode> => denied ?? write(context, each))
    return afterAll(written, (codes) => new Reply({ markers: resultsOf(asked, codes) }, { violation }))
  }
})
