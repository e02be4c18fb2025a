import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type {
  AddPartitions,
  TransactionPartition,
  VerifyPartitions
} from "@logbrook/actors/transaction/TransactionProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import type { RequestOf, ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import { after, afterAll, type Answer } from "../Answer.ts"
import type { Failure } from "../errors.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"
import { coordinatorCode } from "../transactionErrors.ts"

// AddPartitionsToTxn 0-5: all of a transaction's partitions or none. Producers of `transaction.version` 1 send 0-3; those of 2 add
// partitions by Produce. 4 and 5 are of brokers, for several transactions; with `verifyOnly` each partition is told whether it is in.

const needs = { TransactionalId: ["Write"], Topic: ["Write"], Cluster: ["ClusterAction"] } as const

type Context = ContextOf<typeof needs>
type Adding = RequestOf<typeof AddPartitionsToTxn>["transactions"][number]
type Results = NonNullable<ResponseInputOf<typeof AddPartitionsToTxn>["resultsByTopicV3AndBelow"]>

const ofBrokersVersionMin = 4

const codeOf = (stream: Stream | Failure, partition: number): KafkaErrorCode => {
  if (isFailure(stream)) return stream.code
  return stream.logIds[partition] === undefined ? KafkaError.UNKNOWN_TOPIC_OR_PARTITION : KafkaError.NONE
}

/** The streams of the request's topics, and what a code for each of their partitions makes of them. */
const resultsOf =
  ({ topics }: Adding, streams: ReadonlyArray<Stream | Failure>) =>
  (code: (stream: Stream | Failure, partition: number) => KafkaErrorCode): Results =>
    topics.map(({ name, partitions }, i) => ({
      name,
      resultsByPartition: partitions.map((partitionIndex) => ({
        partitionIndex,
        partitionErrorCode: code(streams[i]!, partitionIndex)
      }))
    }))

/** Undefined: not all of them are there. */
const partitionsOf = (
  { topics }: Adding,
  streams: ReadonlyArray<Stream | Failure>
): ReadonlyArray<TransactionPartition> | undefined => {
  const found: Array<TransactionPartition> = []
  for (const [i, { name, partitions }] of topics.entries()) {
    const stream = streams[i]!
    for (const partition of partitions) {
      if (isFailure(stream) || codeOf(stream, partition) !== KafkaError.NONE) return undefined
      found.push({ topicId: stream.topicId, stream: name, partition, logId: stream.logIds[partition]! })
    }
  }
  return found
}

const add = (context: Context, adding: Adding, version: number): Answer<Results> => {
  const { transactionalId, producerId, producerEpoch, verifyOnly, topics } = adding
  const to = context.transaction("Write", transactionalId)
  const streams = topics.map(({ name }) => context.topic("Write", name))
  const results = resultsOf(adding, streams)
  if (isFailure(to)) return results(() => to.code)
  const partitions = partitionsOf(adding, streams)
  if (partitions === undefined) {
    return results((stream, partition) => codeOf(stream, partition) || KafkaError.OPERATION_NOT_ATTEMPTED)
  }
  const _tag = verifyOnly ? "VerifyPartitions" : "AddPartitions"
  const command: AddPartitions | VerifyPartitions = { _tag, producerId, producerEpoch, partitions }
  return context.ask(to, command, (exit) => {
    if (Exit.isSuccess(exit)) return results(() => KafkaError.NONE)
    const code = coordinatorCode(context, exit.cause, "AddPartitionsToTxn", version, transactionalId)
    if (code !== KafkaError.TRANSACTION_ABORTABLE) return results(() => code)
    // Nothing else is wrong: those that are in the transaction are told so.
    const known = context.node.broker.transactions.get(transactionalId)?.life.partitions
    return results((stream, partition) =>
      !isFailure(stream) && known?.has(stream.logIds[partition]!) === true ? KafkaError.NONE : code
    )
  })
}

export const addPartitionsToTxnHandler = handler(AddPartitionsToTxn, {
  serves: [0, 5],
  needs,
  handle: (context, request, version) => {
    if (version < ofBrokersVersionMin) {
      const adding: Adding = {
        transactionalId: request.v3AndBelowTransactionalId,
        producerId: request.v3AndBelowProducerId,
        producerEpoch: request.v3AndBelowProducerEpoch,
        verifyOnly: false,
        topics: request.v3AndBelowTopics
      }
      return after(add(context, adding, version), (resultsByTopicV3AndBelow) => ({ resultsByTopicV3AndBelow }))
    }
    const denied = context.deniedCluster("ClusterAction")
    if (denied !== undefined) return { errorCode: denied.code }
    const [transactions, violation] = bounded("AddPartitionsToTxn", "transactions", request.transactions)
    const added = transactions.map((adding) =>
      after(add(context, adding, version), (topicResults) => ({
        transactionalId: adding.transactionalId,
        topicResults
      }))
    )
    return afterAll(added, (resultsByTransaction) => new Reply({ resultsByTransaction }, { violation }))
  }
})
