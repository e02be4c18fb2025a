import type { FinishTransaction } from "@logbrook/actors/transaction/TransactionProtocol"
import type { AnyDefinition, Signal } from "@logbrook/core/actor/Definition"
import type { AnyKind } from "@logbrook/core/actor/Kind"
import { ownLogId } from "@logbrook/core/shard/Shards"
import { StreamDirectory } from "@logbrook/server/streams/StreamDirectory"
import { inActor, inMethod, type PlantedFault } from "./Hooks.ts"

const kind = "transaction"

/** Another notice of an end than the right one. */
const telling = (
  own: AnyDefinition,
  patch: (notice: FinishTransaction) => FinishTransaction
): Partial<AnyDefinition> => ({
  decide: (...given) => {
    const decision = own.decide(...given)
    const signals = decision.signals.map((signal): Signal<AnyKind> =>
      signal._tag === "Notify" ? { ...signal, notice: patch(signal.notice as FinishTransaction) } : signal
    )
    return { ...decision, signals }
  }
})

/** In the coordinator's half of transactions. */
export const coordinatorFaults: ReadonlyArray<PlantedFault> = [
  inActor("the partitions of a transaction are told the other outcome", kind, (own) =>
    telling(own, (notice) => ({ ...notice, outcome: notice.outcome === "commit" ? "abort" : "commit" }))
  ),
  inActor("the last partition of a transaction is not told of its end", kind, (own) =>
    telling(own, (notice) => ({ ...notice, partitions: notice.partitions.slice(0, -1) }))
  ),
  inActor("a coordinator confirms what nobody was told", kind, (own) =>
    telling(own, (notice) => ({ ...notice, partitions: [] }))
  ),
  inMethod("transactions are ended in logs of deleted streams", StreamDirectory.prototype, "byLogId", (original) => {
    return (self: StreamDirectory, logId: number) => {
      const [stream] = self.all().values()
      return original(self, logId) ?? (logId === ownLogId(0) ? undefined : { stream, partition: 0 })
    }
  })
]
