import { transactionStateNames } from "@logbrook/actors/transaction/transactionMachine"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListTransactions } from "@logbrook/protocols/kafka/messages/66_ListTransactions"
import { handler } from "../Handler.ts"

// ListTransactions 0-1: the transactional ids that the client may describe, of some states, producers, and transactions that are
// open for longer (v1). Left out: a pattern of ids (v2), which is RE2's.

const states: ReadonlySet<string> = new Set(transactionStateNames)

export const listTransactionsHandler = handler(ListTransactions, {
  serves: [0, 1],
  needs: { TransactionalId: ["Describe"] },
  handle: (context, { stateFilters, producerIdFilters, durationFilter }) => {
    const { transactions, clock } = context.node.broker
    const wanted = new Set(stateFilters.filter((name) => states.has(name)))
    const unknownStateFilters = stateFilters.filter((name) => !states.has(name))
    const producerIds = new Set(producerIdFilters)
    // Every state that was asked for is unknown: nothing is in it.
    const isNothing = stateFilters.length > 0 && wanted.size === 0
    const nowMs = clock.nowMs()
    const transactionStates = []
    for (const { transactionalId, name, life } of isNothing ? [] : transactions.all()) {
      if (wanted.size > 0 && !wanted.has(name)) continue
      if (producerIds.size > 0 && !producerIds.has(life.producerId)) continue
      if (durationFilter >= 0 && (life.startedAtMs === -1 || nowMs - life.startedAtMs <= durationFilter)) continue
      if (context.deniedTransaction("Describe", transactionalId) !== undefined) continue
      transactionStates.push({ transactionalId, producerId: life.producerId, transactionState: name })
    }
    return { errorCode: KafkaError.NONE, unknownStateFilters, transactionStates }
  }
})
