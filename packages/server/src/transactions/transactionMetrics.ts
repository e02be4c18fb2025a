import type { FenceReason, TransactionKind } from "@logbrook/actors/transaction/TransactionProtocol"
import { TransactionStates } from "@logbrook/actors/transaction/transactionState"
import type { Address } from "@logbrook/core/actor/Kind"
import type { Broker } from "../Broker.ts"

/** The label that says by whom, or by what, a transaction was aborted. */
const reasons: Readonly<Record<FenceReason, string>> = {
  "timed out": "timeout",
  "another producer began": "new_producer",
  "aborted by an operator": "operator"
}

const ownAbort = "producer"

/** Counts transactions whose outcome has become certain since the start, and tells how many there are. */
export const watchTransactions = ({ shards, transactions, metrics }: Broker): void => {
  metrics.declare("logbrook_transactional_ids", "gauge", "Transactional ids that are known.")
  metrics.declare("logbrook_transactions", "gauge", "Transactions that are open, or ending: their outcome is certain.")
  metrics.declare("logbrook_transactions_committed_total", "counter", "Transactions that commit.")
  metrics.declare(
    "logbrook_transactions_aborted_total",
    "counter",
    "Transactions that abort, by who or what ended them."
  )
  const committed = metrics.counter("logbrook_transactions_committed_total")
  for (const reason of [ownAbort, ...Object.values(reasons)]) {
    metrics.add("logbrook_transactions_aborted_total", { reason }, 0)
  }
  /** Those whose fence is durable and whose abort, which is in the same commit, has not been counted. */
  const fenced = new Map<Address<typeof TransactionKind>, FenceReason>()
  shards.follow(TransactionStates, {
    restored: () => {},
    event: (actor, event) => {
      switch (event._tag) {
        case "CommitPrepared":
          committed.add(1)
          break
        case "ProducerFenced":
          fenced.set(actor, event.reason)
          break
        case "AbortPrepared": {
          const reason = fenced.get(actor)
          fenced.delete(actor)
          metrics.add("logbrook_transactions_aborted_total", {
            reason: reason === undefined ? ownAbort : reasons[reason]
          })
          break
        }
      }
    }
  })
  metrics.onCollect(() => {
    const { count, open, ending } = transactions
    metrics.set("logbrook_transactional_ids", {}, count)
    metrics.set("logbrook_transactions", { state: "open" }, open)
    metrics.set("logbrook_transactions", { state: "ending" }, ending)
  })
}
