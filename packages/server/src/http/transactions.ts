import { transactionActor } from "@logbrook/actors/transaction/TransactionProtocol"
import type { TransactionState } from "@logbrook/actors/transaction/transactionState"
import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import { presentTransaction } from "../tools/present.ts"
import { asked } from "./asked.ts"
import { EndpointRefused } from "./refusals.ts"

export const transactionalIds = ({ transactions }: Broker): ReadonlyArray<string> =>
  Array.from(transactions.all(), ({ transactionalId }) => transactionalId)

export const transactionSummary = ({ transactions, clock }: Broker, transactionalId: string) => {
  const { name, life } = transactions.get(transactionalId)!
  const { producerId, producerEpoch, partitions, groups, startedAtMs } = life
  return {
    transactionalId,
    state: name,
    producerId,
    producerEpoch,
    partitions: partitions.size,
    groups: groups.size,
    openMs: startedAtMs === -1 ? null : Math.max(0, clock.nowMs() - startedAtMs)
  }
}

const found = ({ transactions }: Broker, transactionalId: string): Effect.Effect<TransactionState, EndpointRefused> =>
  Effect.suspend(() => {
    const state = transactions.get(transactionalId)
    if (state !== undefined) return Effect.succeed(state)
    const message = `no producer has the transactional id "${transactionalId}"`
    return new EndpointRefused({ code: "UNKNOWN_TRANSACTIONAL_ID", message })
  })

export const getTransaction = (broker: Broker, transactionalId: string) =>
  Effect.map(found(broker, transactionalId), presentTransaction)

/** Aborts the transaction that is open and fences its producer. Its markers follow. */
export const abortTransaction = (broker: Broker, transactionalId: string) =>
  Effect.gen(function* () {
    const { life } = yield* found(broker, transactionalId)
    const unavailable = "the coordinator cannot answer: try again"
    const what = "http POST /transactions/abort"
    yield* asked(broker, transactionActor(transactionalId), { _tag: "Abort" }, what, unavailable)
    return { producerId: life.producerId, partitions: life.partitions.size, groups: life.groups.size }
  })
