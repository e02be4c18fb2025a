import type { GroupKind, GroupRefused, OffsetsStored, OffsetToCommit } from "@logbrook/actors/group/GroupProtocol"
import type { TransactionKind } from "@logbrook/actors/transaction/TransactionProtocol"
import type { Address } from "@logbrook/core/actor/Kind"
import { answerOf, CommandList, type NotDecided } from "@logbrook/core/shard/CommandList"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { TxnOffsetCommit } from "@logbrook/protocols/kafka/messages/28_TxnOffsetCommit"
import type { RequestOf } from "@logbrook/protocols/kafka/Schema"
import type * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { after, flatAfter, type Answer } from "../Answer.ts"
import { isFailure } from "../Access.ts"
import { failureOf, offsetCode } from "../errors.ts"
import { memberGroupIdError } from "../groupIds.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { offsetToCommit } from "../offsetsToCommit.ts"
import { coordinatorCode } from "../transactionErrors.ts"

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

type Pending = Exit.Exit<OffsetsStored, GroupRefused | NotDecided>

/** What is stored, or the code for all of it. */
type Stored = OffsetsStored | KafkaErrorCode

/** Clients of transactions do not know that a generation may be of a group that is gone. */
const storedOf = (pending: Pending): Stored => {
  if (Exit.isSuccess(pending)) return pending.value
  const { code } = failureOf(pending.cause as Cause.Cause<GroupRefused>, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
  return code === KafkaError.GROUP_ID_NOT_FOUND ? KafkaError.ILLEGAL_GENERATION : code
}

/** In one turn where one shard owns both. */
const store = (
  context: Context,
  coordinator: Address<typeof TransactionKind>,
  group: Address<typeof GroupKind>,
  { transactionalId, groupId, producerId, producerEpoch, ...request }: Request,
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
  const refuse = (cause: Cause.Cause<unknown>): KafkaErrorCode =>
    coordinatorCode(context, cause, "TxnOffsetCommit", version, transactionalId)
  if (shards.of(coordinator) !== shards.of(group)) {
    const added = context.ask(coordinator, asked, (exit) => exit)
    return flatAfter(added, (exit): Answer<Stored> =>
      Exit.isFailure(exit) ? refuse(exit.cause) : context.ask(group, pending, storedOf)
    )
  }
  const list = new CommandList()
  const isAdded = list.add(coordinator, asked)
  const isPending = list.add(group, pending, [isAdded])
  return context.askAll(group, list, (answer): Stored => {
    const added = answerOf(answer, isAdded)
    return Exit.isFailure(added) ? refuse(added.cause) : storedOf(answerOf(answer, isPending))
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
    const refusal = isFailure(coordinator)
      ? coordinator.code
      : isFailure(group)
        ? group.code
        : memberGroupIdError(request.groupId)
    if (refusal !== KafkaError.NONE) for (const result of known) result.errorCode = refusal
    if (known.length === 0 || isFailure(coordinator) || isFailure(group) || refusal !== KafkaError.NONE) {
      return { topics }
    }
    return after(store(context, coordinator, group, request, offsets, version), (stored) => {
      known.forEach((result, i) => {
        result.errorCode = typeof stored === "number" ? stored : offsetCode(stored.partitions[i]!.refused)
      })
      return { topics }
    })
  }
})
