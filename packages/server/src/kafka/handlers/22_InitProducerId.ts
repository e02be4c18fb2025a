import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { after } from "../Answer.ts"
import { handler } from "../Handler.ts"
import { noTransactions } from "../transactions.ts"

// InitProducerId 0-5 for idempotent producers: a new id with epoch 0 each time, as Kafka does; an id and epoch of before
// (v3) matter to transactional ones only. Left out: transactional ids.

const refuse = (errorCode: number) => ({ throttleTimeMs: 0, errorCode, producerEpoch: -1 })

export const initProducerIdHandler = handler(InitProducerId, {
  serves: [0, 5],
  needs: { Cluster: ["IdempotentWrite"] },
  handle: (context, request) => {
    if (request.transactionalId === "") return refuse(KafkaError.INVALID_REQUEST)
    if (request.transactionalId !== null) return refuse(noTransactions.code)
    const denied = context.deniedCluster("IdempotentWrite")
    if (denied !== undefined) return refuse(denied.code)
    return after(context.node.producerIds.take(context), (given) =>
      "code" in given
        ? refuse(given.code)
        : { throttleTimeMs: 0, errorCode: KafkaError.NONE, producerId: given.producerId, producerEpoch: 0 }
    )
  }
})
