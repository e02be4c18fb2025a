import type { PartitionState } from "@logbrook/actors/partition/Partition"
import { Log } from "@logbrook/core/storage/Log"
import { LogReader } from "@logbrook/core/storage/LogReader"
import type { AbortedTransaction } from "@logbrook/core/transaction/LogTransactions"
import { asking, inActor, inMethod, type PlantedFault } from "./Hooks.ts"

/** In a partition's half of transactions. */
export const transactionFaults: ReadonlyArray<PlantedFault> = [
  inActor("every transaction is committed", "partition", (own) =>
    asking(own, (command) => (command._tag === "WriteMarker" ? { ...command, outcome: "commit" } : command))
  ),
  inActor("a marker is answered and not written", "partition", (own) => ({
    decide: (state, command, nowMs, room) => {
      const decision = own.decide(state, command, nowMs, room)
      if (command._tag !== "WriteMarker" || decision.records === undefined) return decision
      return { reply: decision.reply, events: [], signals: [] }
    }
  })),
  inActor("the event of a transactional batch does not say so", "partition", (own) => ({
    decide: (state, command, nowMs, room) => {
      const decision = own.decide(state, command, nowMs, room)
      const events = decision.events.map((event) => ({ ...event, isTransactional: undefined }))
      return command._tag === "AppendBatch" ? { ...decision, events } : decision
    }
  })),
  inActor("open transactions are forgotten at a restart", "partition", (own) => ({
    load: (id, saved) => ({ ...(own.load(id, saved) as PartitionState), transactions: undefined })
  })),
  inMethod(
    "readers of committed records read on to the high watermark",
    LogReader.prototype,
    "read",
    (original) =>
      (self: LogReader, ...[log, offset, bytesMax, take, readsZstd]: ReadonlyArray<unknown>) =>
        original(self, log, offset, bytesMax, take, readsZstd)
  ),
  inMethod("no reader is told of aborted transactions", Log.prototype, "abortedWithin", () => () => []),
  inMethod(
    "a reader is not told of an aborted transaction that began before it",
    Log.prototype,
    "abortedWithin",
    (original) => (self: Log, from: number, end: number) =>
      (original(self, from, end) as ReadonlyArray<AbortedTransaction>).filter(({ firstOffset }) => firstOffset >= from)
  ),
  inMethod("streams over MQTT have what was aborted", Log.prototype, "isAborted", () => () => false),
  inMethod(
    "a log has lost its transactions at a restart",
    Log.prototype,
    "restore",
    (original) =>
      (self: Log, ...known: ReadonlyArray<never>) => {
        const [state] = known as unknown as ReadonlyArray<object>
        return original(self, { ...state, transactions: undefined })
      }
  )
]
