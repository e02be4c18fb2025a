import type { GroupKind, GroupRefused, OffsetsStored, OffsetToCommit } from "@logbrook/actors/group/GroupProtocol"
import type { TransactionKind, TransactionRefused } from "@logbrook/actors/transaction/TransactionProtocol"
import type { Address } from "@logbrook/core/actor/Kind"
import { answerOf, CommandList } from "@logbrook/core/shard/CommandList"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { TxnOffsetCommit } from "@logbrook/protocols/kafka/messages/28_TxnOffsetCommit"
import type { RequestOf } from "@logbrook/protocols/kafka/Schema"
import type * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { after, flatAfter, type Answer } from "../Answer.ts"
import { isFailure } from "../Access.ts"
import { failureOf, offsetCode } from "../errors.ts"
import { groupIdError } from "../groupIds.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { offsetToCommit } from "../offsetsToCommit.ts"

// TxnOffsetCommit 0-5: offsets that are committed when the transaction is. The coordinator is asked in the same turn whether
// the group is the transaction's; from v5 on it is from now on (KIP-890), before that AddOffsetsToTxn has made it so.

const needs = { TransactionalId: ["Write"], Group: ["Read"], Topic: ["Read"] } as const

type Context = ContextOf<typeof needs>
type Request = RequestOf<typeof TxnOffsetCommit>

interface Result {
  readonly partitionIndex: number
  errorCode: number
}

const addingVersionMin = 5
const abortableVersionMin = 4

type Stored = Exit.Exit<OffsetsStored, GroupRefused | TransactionRefused>

/** Old clients know neither that a generation may be of a group that is gone, nor that a transaction may be aborted. */
const codeOf = (cause: Cause.Cause<GroupRefused | TransactionRefused>, version: number): KafkaErrorCode => {
  const { code } = failureOf(cause, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
  switch (code) {
    case KafkaError.GROUP_ID_NOT_FOUND:
      return KafkaError.ILLEGAL_GENERATION
    case KafkaError.PRODUCER_FENCED:
      return KafkaError.INVALID_PRODUCER_EPOCH
    case KafkaError.TRANSACTION_ABORTABLE:
      return version < abortableVersionMin ? KafkaError.INVALID_TXN_STATE : code
    case KafkaError.CONCURRENT_TRANSACTIONS:
      return version < addingVersionMin ? KafkaError.COORDINATOR_LOAD_IN_PROGRESS : code
    default:
      return code
  }
}

/** In one turn where one shard owns both. */
const store = (
  context: Context,
  coordinator: Address<typeof TransactionKind>,
  group: Address<typeof GroupKind>,
  { groupId, producerId, producerEpoch, ...request }: Request,
  offsets: ReadonlyArray<OffsetToCommit>,
  version: number
): Answer<Stored> => {
  const asked = {
    _tag: version < addingVersionMin ? "VerifyGroup" : "AddGroup",
    producerId,
    producerEpoch,
    groupId
  } as const
  const { generationId: generation, memberId, groupInstanceId } = request
  const member = { generation, memberId, groupInstanceId }
  const pending = { _tag: "AddPendingOffsets", producerId, producerEpoch, ...member, offsets } as const
  const { shards } = context.node.broker
  if (shards.of(coordinator) !== shards.of(group)) {
    const added = context.ask(coordinator, asked, (exit) => exit)
    return flatAfter(added, (exit): Answer<Stored> =>
      Exit.isFailure(exit) ? Exit.failCause(exit.cause) : context.ask(group, pending, (stored): Stored => stored)
    )
  }
  const list = new CommandList()
  const isAdded = list.add(coordinator, asked)
  const isPending = list.add(group, pending, [isAdded])
  return context.askAll(group, list, (answer): Stored => {
    const added = answerOf(answer, isAdded)
    const stored = answerOf(answer, isPending)
    return Exit.isFailure(added) ? (Exit.failCause(added.cause) as Stored) : (stored as Stored)
  })
}

export const txnOffsetCommitHandler = handler(TxnOffsetCommit, {
  serves: [0, 5],
  needs,
  handle: (context, request, version) => {
    const offsets: Array<OffsetToCommit> = []
    const known: Array<Result> = []
    const topics = request.topics.map(({ name, partitions }) => {
      const stream = context.topic("Read", name)
      return {
        name,
        partitions: partitions.map((asked) => {
          const { partitionIndex } = asked
          const offset = offsetToCommit(stream, asked)
          if (typeof offset === "number") return { partitionIndex, errorCode: offset as number }
          const result: Result = { partitionIndex, errorCode: KafkaError.NONE }
          offsets.push(offset)
          known.push(result)
          return result
        })
      }
    })
    const coordinator = context.transaction("Write", request.transactionalId)
    const group = context.group("Read", request.groupId)
    const invalid = request.transactionalId === "" ? KafkaError.INVALID_REQUEST : groupIdError(request.groupId)
    const refusal = isFailure(coordinator) ? coordinator.code : isFailure(group) ? group.code : invalid
    if (refusal !== KafkaError.NONE) for (const result of known) result.errorCode = refusal
    if (known.length === 0 || isFailure(coordinator) || isFailure(group) || refusal !== KafkaError.NONE) {
      return { topics }
    }
    return after(store(context, coordinator, group, request, offsets, version), (stored) => {
      known.forEach((result, i) => {
        result.errorCode = Exit.isFailure(stored)
          ? codeOf(stored.cause, version)
          : offsetCode(stored.value.partitions[i]!.refused)
      })
      return { topics }
    })
  }
})
