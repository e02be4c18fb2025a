import { partitionActor, type PartitionCommand, type PartitionKind } from "@logbrook/actors/partition/Partition"
import {
  type AddPartitions,
  type TransactionKind,
  type TransactionPartition,
  type VerifyPartitions
} from "@logbrook/actors/transaction/TransactionProtocol"
import type { Address } from "@logbrook/core/actor/Kind"
import { answerOf, CommandList } from "@logbrook/core/shard/CommandList"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import type * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { afterAll, type Answer, flatAfter } from "./Answer.ts"
import type { Outcome } from "./Asker.ts"
import { refused, type Failure } from "./errors.ts"
import type { RequestContext } from "./Handler.ts"
import { coordinatorFailure } from "./transactionErrors.ts"

export type AppendBatch = Extract<PartitionCommand, { readonly _tag: "AppendBatch" }>

export type Appended = Outcome<typeof PartitionKind, AppendBatch>
type Added = Outcome<typeof TransactionKind, AddPartitions | VerifyPartitions>

/** A batch of a transaction on its way to a partition in which that is not open yet. */
export interface TransactionalAppend {
  readonly partition: TransactionPartition
  readonly command: AppendBatch
  /** Hears what its partition says. */
  readonly appended: (exit: Appended) => void
  /** Hears why it did not come to its partition; `isForNow`: it may when it is sent again. */
  readonly refused: (failure: Failure, isForNow: boolean) => void
}

/** From here on a batch adds its partition to the transaction itself (KIP-890, `transaction.version` 2). */
export const addsPartitionVersionMin = 12

const otherProducer = refused(KafkaError.INVALID_PRODUCER_ID_MAPPING, "The batches of a transaction have one producer.")

const refuseAll = (
  context: RequestContext,
  appends: ReadonlyArray<TransactionalAppend>,
  cause: Cause.Cause<unknown>,
  version: number
): void => {
  const failure = coordinatorFailure(context, cause, "Produce", version)
  const isForNow =
    failure.code === KafkaError.NOT_ENOUGH_REPLICAS || failure.code === KafkaError.CONCURRENT_TRANSACTIONS
  for (const { refused } of appends) refused(failure, isForNow)
}

const addOf = (appends: ReadonlyArray<TransactionalAppend>, version: number): AddPartitions | VerifyPartitions => {
  const { producerId, producerEpoch } = appends[0]!.command
  const byLog = new Map(appends.map(({ partition }) => [partition.logId, partition]))
  const _tag = version >= addsPartitionVersionMin ? "AddPartitions" : "VerifyPartitions"
  return { _tag, producerId, producerEpoch, partitions: [...byLog.values()] }
}

const bytesOf = (appends: ReadonlyArray<TransactionalAppend>): number =>
  appends.reduce((sum, { command }) => sum + command.bytes.length, 0)

/** The coordinator and the partitions in one turn: a partition takes its batch if it is in the transaction. */
const inOneList = (
  context: RequestContext,
  coordinator: Address<typeof TransactionKind>,
  appends: ReadonlyArray<TransactionalAppend>,
  version: number
): Answer<void> => {
  const list = new CommandList()
  const added = list.add(coordinator, addOf(appends, version))
  const entries = appends.map(({ partition, command }) => list.add(partitionActor(partition.logId), command, [added]))
  return context.askAll(
    coordinator,
    list,
    (answer) => {
      const addition = answerOf(answer, added)
      if (Exit.isFailure(addition)) return refuseAll(context, appends, addition.cause, version)
      appends.forEach(({ appended }, i) => appended(answerOf(answer, entries[i]!) as Appended))
    },
    bytesOf(appends)
  )
}

/** The coordinator first, and the partitions once its answer is durable. */
const oneAfterTheOther = (
  context: RequestContext,
  coordinator: Address<typeof TransactionKind>,
  appends: ReadonlyArray<TransactionalAppend>,
  version: number
): Answer<void> =>
  flatAfter(
    context.ask(coordinator, addOf(appends, version), (exit: Added) => exit),
    (exit): Answer<void> => {
      if (Exit.isFailure(exit)) return refuseAll(context, appends, exit.cause, version)
      const asked = appends.map(({ partition, command, appended }) =>
        context.ask(partitionActor(partition.logId), command, appended, command.bytes.length)
      )
      return afterAll(asked, () => undefined)
    }
  )

/** Has the batches stored whose partitions are the transaction's, or become it; answers once all are told. */
export const appendInTransaction = (
  context: RequestContext,
  coordinator: Address<typeof TransactionKind>,
  appends: ReadonlyArray<TransactionalAppend>,
  version: number
): Answer<void> => {
  const [first] = appends
  const isOwn = ({ command }: TransactionalAppend): boolean =>
    command.producerId === first!.command.producerId && command.producerEpoch === first!.command.producerEpoch
  for (const append of appends) if (!isOwn(append)) append.refused(otherProducer, false)
  const own = appends.filter(isOwn)
  const { shards } = context.node.broker
  const shard = shards.of(coordinator)
  const isOneShard = own.every(({ partition }) => shards.ofLog(partition.logId) === shard)
  return isOneShard
    ? inOneList(context, coordinator, own, version)
    : oneAfterTheOther(context, coordinator, own, version)
}
