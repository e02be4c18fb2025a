import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeTransactions } from "@logbrook/protocols/kafka/messages/65_DescribeTransactions"
import type { ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"

// DescribeTransactions 0: the producer and the open transaction of each transactional id, with those of its topics that the client may
// describe.

const needs = { TransactionalId: ["Describe"], Topic: ["Describe"] } as const

type Described = ResponseInputOf<typeof DescribeTransactions>["transactionStates"][number]

const refuse = (transactionalId: string, errorCode: number): Described => ({
  errorCode,
  transactionalId,
  transactionState: "",
  transactionTimeoutMs: 0,
  transactionStartTimeMs: 0,
  producerId: 0,
  producerEpoch: 0,
  topics: []
})

const describeTransaction = (context: ContextOf<typeof needs>, transactionalId: string): Described => {
  const found = context.transaction("Describe", transactionalId)
  if (isFailure(found)) return refuse(transactionalId, found.code)
  const state = context.node.broker.transactions.get(transactionalId)
  if (state === undefined) return refuse(transactionalId, KafkaError.TRANSACTIONAL_ID_NOT_FOUND)
  const { producerId, producerEpoch, timeoutMs, startedAtMs, partitions } = state.life
  const topics = Map.groupBy(partitions.values(), ({ stream }) => stream)
  return {
    errorCode: KafkaError.NONE,
    transactionalId,
    transactionState: state.name,
    transactionTimeoutMs: timeoutMs,
    transactionStartTimeMs: startedAtMs,
    producerId,
    producerEpoch,
    topics: [...topics]
      .filter(([topic]) => context.deniedTopic("Describe", topic) === undefined)
      .map(([topic, own]) => ({ topic, partitions: own.map(({ partition }) => partition) }))
  }
}

export const describeTransactionsHandler = handler(DescribeTransactions, {
  serves: [0, 0],
  needs,
  handle: (context, { transactionalIds }) => {
    const [asked, violation] = bounded("DescribeTransactions", "transactional ids", transactionalIds)
    const transactionStates = asked.map((transactionalId) => describeTransaction(context, transactionalId))
    return new Reply({ transactionStates }, { violation })
  }
})
