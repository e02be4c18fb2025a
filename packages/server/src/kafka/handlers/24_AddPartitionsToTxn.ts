import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import type { TransactionPartition } from "@logbrook/actors/transaction/TransactionProtocol"
import type { ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import type { Failure } from "../errors.ts"
import { handler } from "../Handler.ts"
import { coordinatorCode } from "../transactionErrors.ts"

// AddPartitionsToTxn 0-3, of producers of `transaction.version` 1: all of the partitions or none. Those of 2 add them by Produce. Left
// out: v4 and v5, which brokers send to one another.

type Results = NonNullable<ResponseInputOf<typeof AddPartitionsToTxn>["resultsByTopicV3AndBelow"]>

const codeOf = (stream: Stream | Failure, partition: number): KafkaErrorCode => {
  if (isFailure(stream)) return stream.code
  return stream.logIds[partition] === undefined ? KafkaError.UNKNOWN_TOPIC_OR_PARTITION : KafkaError.NONE
}

export const addPartitionsToTxnHandler = handler(AddPartitionsToTxn, {
  serves: [0, 3],
  needs: { TransactionalId: ["Write"], Topic: ["Write"] },
  handle: (context, request, version) => {
    const transactionalId = request.v3AndBelowTransactionalId
    const to = context.transaction("Write", transactionalId)
    const streams = request.v3AndBelowTopics.map(({ name }) => context.topic("Write", name))
    const results = (code: (stream: (typeof streams)[number], partition: number) => KafkaErrorCode): Results =>
      request.v3AndBelowTopics.map(({ name, partitions }, i) => ({
        name,
        resultsByPartition: partitions.map((partitionIndex) => ({
          partitionIndex,
          partitionErrorCode: code(streams[i]!, partitionIndex)
        }))
      }))
    const all = (code: KafkaErrorCode) => ({ resultsByTopicV3AndBelow: results(() => code) })
    if (isFailure(to)) return all(to.code)
    const partitions: Array<TransactionPartition> = []
    let isRefused = false
    request.v3AndBelowTopics.forEach(({ name, partitions: indexes }, i) => {
      const stream = streams[i]!
      for (const partition of indexes) {
        if (isFailure(stream) || codeOf(stream, partition) !== KafkaError.NONE) isRefused = true
        else partitions.push({ topicId: stream.topicId, stream: name, partition, logId: stream.logIds[partition]! })
      }
    })
    if (isRefused) {
      return {
        resultsByTopicV3AndBelow: results(
          (stream, partition) => codeOf(stream, partition) || KafkaError.OPERATION_NOT_ATTEMPTED
        )
      }
    }
    const { v3AndBelowProducerId: producerId, v3AndBelowProducerEpoch: producerEpoch } = request
    return context.ask(to, { _tag: "AddPartitions", producerId, producerEpoch, partitions }, (exit) => {
      if (Exit.isSuccess(exit)) return all(KafkaError.NONE)
      return all(coordinatorCode(context, exit.cause, "AddPartitionsToTxn", version, transactionalId))
    })
  }
})
