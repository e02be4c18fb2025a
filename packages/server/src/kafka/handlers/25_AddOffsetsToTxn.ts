import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { AddOffsetsToTxn } from "@logbrook/protocols/kafka/messages/25_AddOffsetsToTxn"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import { groupIdError } from "../groupIds.ts"
import { handler } from "../Handler.ts"
import { coordinatorCode } from "../transactionErrors.ts"

// AddOffsetsToTxn 0-4, of producers of `transaction.version` 1. Those of 2 add the group by TxnOffsetCommit.

export const addOffsetsToTxnHandler = handler(AddOffsetsToTxn, {
  serves: [0, 4],
  needs: { TransactionalId: ["Write"], Group: ["Read"] },
  handle: (context, { transactionalId, groupId, producerId, producerEpoch }, version) => {
    const to = context.transaction("Write", transactionalId)
    const group = context.group("Read", groupId)
    if (isFailure(to)) return { errorCode: to.code }
    if (isFailure(group)) return { errorCode: group.code }
    const invalid = groupIdError(groupId)
    if (invalid !== KafkaError.NONE) return { errorCode: invalid }
    return context.ask(to, { _tag: "AddGroup", producerId, producerEpoch, groupId }, (exit) => {
      if (Exit.isSuccess(exit)) return { errorCode: KafkaError.NONE }
      return { errorCode: coordinatorCode(context, exit.cause, "AddOffsetsToTxn", version, transactionalId) }
    })
  }
})
