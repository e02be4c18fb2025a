import { type TransactionRefusal, TransactionRefused } from "@logbrook/actors/transaction/TransactionProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import * as Cause from "effect/Cause"
import { expect, it } from "vitest"
import { coordinatorFailure, type TransactionalApi } from "../../src/kafka/transactionErrors.ts"

const uncounted = { node: { metrics: { fenced: () => {} } } }

const codeOf = (api: TransactionalApi, version: number, reason: TransactionRefusal): number =>
  coordinatorFailure(uncounted, Cause.fail(new TransactionRefused({ reason, message: "why" })), api, version).code

const {
  PRODUCER_FENCED,
  INVALID_PRODUCER_EPOCH,
  TRANSACTION_ABORTABLE,
  INVALID_TXN_STATE,
  CONCURRENT_TRANSACTIONS,
  NOT_ENOUGH_REPLICAS,
  COORDINATOR_LOAD_IN_PROGRESS
} = KafkaError

/** What the last version that does not know a code is told, and what the first that does. */
it.each([
  ["InitProducerId", "ProducerFenced", 4, INVALID_PRODUCER_EPOCH, PRODUCER_FENCED],
  ["AddPartitionsToTxn", "ProducerFenced", 2, INVALID_PRODUCER_EPOCH, PRODUCER_FENCED],
  ["AddOffsetsToTxn", "ProducerFenced", 2, INVALID_PRODUCER_EPOCH, PRODUCER_FENCED],
  ["EndTxn", "ProducerFenced", 2, INVALID_PRODUCER_EPOCH, PRODUCER_FENCED],
  ["TxnOffsetCommit", "TransactionAbortable", 4, INVALID_TXN_STATE, TRANSACTION_ABORTABLE],
  ["TxnOffsetCommit", "ConcurrentTransactions", 5, COORDINATOR_LOAD_IN_PROGRESS, CONCURRENT_TRANSACTIONS],
  ["Produce", "TransactionAbortable", 11, INVALID_TXN_STATE, TRANSACTION_ABORTABLE],
  ["Produce", "ConcurrentTransactions", 12, NOT_ENOUGH_REPLICAS, CONCURRENT_TRANSACTIONS],
  ["EndTxn", "ConcurrentTransactions", 0, CONCURRENT_TRANSACTIONS, CONCURRENT_TRANSACTIONS]
] as const)("%s tells %s from version %i on", (api, reason, knownFrom, before, code) => {
  expect([codeOf(api, knownFrom - 1, reason), codeOf(api, knownFrom, reason)]).toEqual([before, code])
})

it.each(["TxnOffsetCommit", "Produce"] as const)("%s never tells PRODUCER_FENCED", (api) => {
  expect(codeOf(api, 99, "ProducerFenced")).toBe(INVALID_PRODUCER_EPOCH)
})

it("keeps the coordinator's words, and says of one that cannot answer that it may later", () => {
  const refused = new TransactionRefused({ reason: "NoMemory", message: "why" })
  expect(coordinatorFailure(uncounted, Cause.fail(refused), "EndTxn", 5)).toMatchObject({
    code: KafkaError.POLICY_VIOLATION,
    message: "why"
  })
  const defect = Cause.die(new Error("it is being replayed"))
  expect(coordinatorFailure(uncounted, defect, "EndTxn", 5).code).toBe(COORDINATOR_LOAD_IN_PROGRESS)
  expect(coordinatorFailure(uncounted, defect, "Produce", 12).code).toBe(NOT_ENOUGH_REPLICAS)
})
