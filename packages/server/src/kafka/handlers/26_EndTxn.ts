import { type End, isExhausted } from "@logbrook/actors/transaction/TransactionProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { EndTxn } from "@logbrook/protocols/kafka/messages/26_EndTxn"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import { flatAfter, type Answer } from "../Answer.ts"
import { handler } from "../Handler.ts"
import { coordinatorCode } from "../transactionErrors.ts"

// EndTxn 0-5: answered once the outcome is durable; markers and offsets follow. From v5 on each end raises the epoch, which is
// in the answer (KIP-890).

const epochVersionMin = 5

interface Ended {
  readonly errorCode: number
  readonly producerId?: number
  readonly producerEpoch?: number
}

export const endTxnHandler = handler(EndTxn, {
  serves: [0, 5],
  needs: { TransactionalId: ["Write"] },
  handle: (context, { transactionalId, producerId, producerEpoch, committed }, version) => {
    const to = context.transaction("Write", transactionalId)
    if (isFailure(to)) return { errorCode: to.code }
    const end = (newProducerId: number): Answer<Ended> => {
      const command: End = {
        _tag: "End",
        producerId,
        producerEpoch,
        outcome: committed ? "commit" : "abort",
        version: version < epochVersionMin ? 1 : 2,
        newProducerId
      }
      return context.ask(to, command, (exit): Ended => {
        if (Exit.isSuccess(exit)) {
          return {
            errorCode: KafkaError.NONE,
            producerId: exit.value.producerId,
            producerEpoch: exit.value.producerEpoch
          }
        }
        return { errorCode: coordinatorCode(context, exit.cause, "EndTxn", version, transactionalId) }
      })
    }
    if (version < epochVersionMin || !isExhausted(producerEpoch)) return end(-1)
    return flatAfter(context.node.producerIds.take(context), (taken) =>
      "code" in taken ? { errorCode: taken.code } : end(taken.producerId)
    )
  }
})
