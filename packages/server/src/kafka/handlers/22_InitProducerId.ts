import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import type { RequestOf } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import { after, flatAfter, type Answer } from "../Answer.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { beginProducer } from "../transactionalIds.ts"
import { coordinatorCode } from "../transactionErrors.ts"

// InitProducerId 0-5. An idempotent producer gets a new id with epoch 0 each time, as Kafka does; a transactional one gets the id
// of its transactional id and the next epoch, which fences the producer before, and may go on with the epoch that it has (v3, KIP-360).
// Left out: two-phase commit (v6, which Kafka does not show either).

const needs = { Cluster: ["IdempotentWrite"], TransactionalId: ["Write"] } as const

interface Initialized {
  readonly throttleTimeMs: number
  readonly errorCode: number
  readonly producerId: number
  readonly producerEpoch: number
}

const refuse = (errorCode: number): Initialized => ({ throttleTimeMs: 0, errorCode, producerId: -1, producerEpoch: -1 })

const given = (producerId: number, producerEpoch: number): Initialized => ({
  throttleTimeMs: 0,
  errorCode: KafkaError.NONE,
  producerId,
  producerEpoch
})

const initTransactional = (
  context: ContextOf<typeof needs>,
  transactionalId: string,
  { transactionTimeoutMs: timeoutMs, producerId, producerEpoch }: RequestOf<typeof InitProducerId>,
  version: number
): Answer<Initialized> => {
  const to = context.transaction("Write", transactionalId)
  if (isFailure(to)) return refuse(to.code)
  if ((producerId === -1) !== (producerEpoch === -1)) return refuse(KafkaError.INVALID_REQUEST)
  return flatAfter(context.node.producerIds.take(context), (taken): Answer<Initialized> => {
    if ("code" in taken) return refuse(taken.code)
    const asked = { timeoutMs, producerId, producerEpoch, newProducerId: taken.producerId }
    const command = { _tag: "InitProducer", ...asked } as const
    return after(beginProducer(context, { transactionalId, coordinator: to, command }), (exit) => {
      if (Exit.isSuccess(exit)) return given(exit.value.producerId, exit.value.producerEpoch)
      return refuse(coordinatorCode(context, exit.cause, "InitProducerId", version, transactionalId))
    })
  })
}

export const initProducerIdHandler = handler(InitProducerId, {
  serves: [0, 5],
  needs,
  handle: (context, request, version) => {
    const { transactionalId } = request
    if (transactionalId !== null) return initTransactional(context, transactionalId, request, version)
    const denied = context.deniedCluster("IdempotentWrite")
    if (denied !== undefined) return refuse(denied.code)
    return after(context.node.producerIds.take(context), (taken) =>
      "code" in taken ? refuse(taken.code) : given(taken.producerId, 0)
    )
  }
})
