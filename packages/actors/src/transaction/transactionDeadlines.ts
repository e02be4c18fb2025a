import type { Signal } from "@logbrook/core/actor/Definition"
import type { TransactionLife } from "./transactionMachine.ts"
import type { TransactionKind } from "./TransactionProtocol.ts"

const timeoutKey = "timeout"

/** When the open transaction has taken too long. */
export const timeoutDeadline = ({ startedAtMs, timeoutMs }: TransactionLife): Signal<typeof TransactionKind> => ({
  _tag: "SetDeadline",
  key: timeoutKey,
  atMs: startedAtMs + timeoutMs,
  command: { _tag: "ExpireTransaction", startedAtMs }
})

export const noTimeout: Signal<typeof TransactionKind> = { _tag: "CancelDeadline", key: timeoutKey }

const expiryKey = "expiry"

/** When the id may have been unused for long enough: what is done with it meanwhile only puts that off. */
export const expiryDeadline = (atMs: number, dueMs: number): Signal<typeof TransactionKind> => ({
  _tag: "SetDeadline",
  key: expiryKey,
  atMs,
  command: { _tag: "ExpireTransactionalId", dueMs }
})

/** The id is forgotten before its time. */
export const noExpiry: Signal<typeof TransactionKind> = { _tag: "CancelDeadline", key: expiryKey }
