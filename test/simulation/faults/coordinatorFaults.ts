import type { GroupState } from "@logbrook/actors/group/groupState"
import { nothingPending } from "@logbrook/actors/group/offsets/pendingOffsets"
import type { FinishTransaction } from "@logbrook/actors/transaction/TransactionProtocol"
import type { TransactionState } from "@logbrook/actors/transaction/transactionState"
import type { AnyDefinition, Signal } from "@logbrook/core/actor/Definition"
import type { AnyKind } from "@logbrook/core/actor/Kind"
import { ownLogId } from "@logbrook/core/shard/Shards"
import { StreamDirectory } from "@logbrook/server/streams/StreamDirectory"
import { TransactionDirectory } from "@logbrook/server/transactions/TransactionDirectory"
import * as Exit from "effect/Exit"
import { asking, inActor, inMethod, type PlantedFault, type Tagged } from "./Hooks.ts"

const kind = "transaction"

/** A simple consumer of a group, which has no generation. */
const nobody = { memberId: "", generation: -1, groupInstanceId: null }

const ignored = { events: [], reply: Exit.succeed({ _tag: "Done" }), signals: [] }

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

/** In the coordinator's half of transactions, and in the groups whose offsets they commit. */
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
  inActor("a group is not told that a transaction is over", kind, (own) =>
    telling(own, (notice) => ({ ...notice, groups: [] }))
  ),
  inActor("the groups of a transaction are told the other outcome", "group", (own) =>
    asking(own, (command) =>
      command._tag === "CompletePending"
        ? { ...command, outcome: command["outcome"] === "commit" ? "abort" : "commit" }
        : command
    )
  ),
  inActor("offsets of a transaction are committed at once", "group", (own) =>
    asking(own, (command) =>
      command._tag === "AddPendingOffsets" ? { ...command, _tag: "CommitOffsets", ...nobody } : command
    )
  ),
  inActor("offsets that a transaction may change are told as stable ones", "group", (own) =>
    asking(own, (command) => (command._tag === "FetchOffsets" ? { ...command, requireStable: false } : command))
  ),
  inActor("an offset that a transaction may change expires", "group", (own) => ({
    decide: (state, command, nowMs, room) => {
      const isExpiry = command._tag === "ExpireOffsets"
      return own.decide(isExpiry ? { ...(state as GroupState), pending: nothingPending } : state, command, nowMs, room)
    }
  })),
  inActor("a coordinator takes what a fenced producer asks", kind, (own) => ({
    decide: (state, command, nowMs, room) => {
      const asked = command as unknown as Tagged
      const { producerEpoch } = (state as TransactionState).life
      const isOfProducer = asked["producerEpoch"] !== -1 && asked._tag !== "Complete" && "producerEpoch" in asked
      return own.decide(state, (isOfProducer ? { ...asked, producerEpoch } : asked) as never, nowMs, room)
    }
  })),
  inActor("a producer that begins has the epoch of the one before", kind, (own) => ({
    decide: (state, command, nowMs, room) => {
      const decision = own.decide(state, command, nowMs, room)
      const { producerEpoch } = (state as TransactionState).life
      if (command._tag !== "InitProducer" || producerEpoch === -1 || Exit.isFailure(decision.reply!)) return decision
      const events = decision.events.map((event) => ({ ...event, producerEpoch }))
      return {
        ...decision,
        events,
        reply: Exit.map(decision.reply!, (reply) => ({ ...(reply as object), producerEpoch }))
      }
    }
  })),
  inActor("transactions do not time out", kind, (own) => ({
    decide: (state, command, nowMs, room) =>
      command._tag === "ExpireTransaction" ? ignored : own.decide(state, command, nowMs, room)
  })),
  inActor("the timeout of a transaction ends with the server", kind, (own) => ({
    resume: (state, nowMs) => ((state as TransactionState).name === "Ongoing" ? [] : own.resume(state, nowMs))
  })),
  inActor("a transaction times out in half of its time", kind, (own) => ({
    decide: (state, command, nowMs, room) => {
      const asked = command as unknown as Tagged
      const patched = asked._tag === "InitProducer" ? { ...asked, timeoutMs: Number(asked["timeoutMs"]) / 2 } : asked
      return own.decide(state, patched as never, nowMs, room)
    }
  })),
  inActor("the producer of a transaction that times out is not fenced", kind, (own) => ({
    decide: (state, command, nowMs, room) => {
      const decision = own.decide(state, command, nowMs, room)
      if (command._tag !== "ExpireTransaction" || decision.events.length === 0) return decision
      const { producerEpoch } = (state as TransactionState).life
      const events = decision.events
        .filter(({ _tag }) => _tag !== "ProducerFenced")
        .map((event) => ({ ...event, producerEpoch, version: 1 }))
      const signals = decision.signals.map((signal): Signal<AnyKind> =>
        signal._tag === "Notify"
          ? { ...signal, notice: { ...(signal.notice as FinishTransaction), producerEpoch, version: 1 } }
          : signal
      )
      return { ...decision, events, signals }
    }
  })),
  inMethod("transactional ids have no bound", TransactionDirectory.prototype, "hasRoom", () => () => true),
  inActor("an id that shall give way says that it has, and stays", kind, (own) => ({
    decide: (state, command, nowMs, room) =>
      command._tag === "ForgetAtRest" ? ignored : own.decide(state, command, nowMs, room)
  })),
  inMethod("no id gives way to another", TransactionDirectory.prototype, "takeOldest", () => () => []),
  inMethod("transactions are ended in logs of deleted streams", StreamDirectory.prototype, "byLogId", (original) => {
    return (self: StreamDirectory, logId: number) => {
      const [stream] = self.all().values()
      return original(self, logId) ?? (logId === ownLogId(0) ? undefined : { stream, partition: 0 })
    }
  })
]
