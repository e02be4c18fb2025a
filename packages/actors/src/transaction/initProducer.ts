import * as Exit from "effect/Exit"
import { expiryDeadline } from "./transactionDeadlines.ts"
import { type Answer, abort, applyAs, type Draft, hasRoomForId, refused } from "./transactionDraft.ts"
import type { TransactionLife } from "./transactionMachine.ts"
import { type InitProducer, isExhausted, type TransactionEvent } from "./TransactionProtocol.ts"
import { evolveTransaction, isEnding, isUnused } from "./transactionState.ts"

type Initialized = Extract<TransactionEvent, { readonly _tag: "ProducerInitialized" }>

const fenced = refused("ProducerFenced", "Another producer with this transactional id has begun.")
const ending = refused("ConcurrentTransactions", "The transaction before is ending.")

const hasEpoch = ({ producerId }: InitProducer): boolean => producerId !== -1

/** It goes on with its own id, or with the one that it had until the epochs of that were exhausted. */
const isOwnId = ({ producerId, lastProducerId }: TransactionLife, command: InitProducer): boolean =>
  command.producerId === producerId || (command.producerId === lastProducerId && isExhausted(command.producerEpoch))

/** Both its id and its epoch: that of an id before this one may be the same number. */
const isNewest = ({ producerId, producerEpoch }: TransactionLife, command: InitProducer): boolean =>
  hasEpoch(command) && command.producerId === producerId && command.producerEpoch === producerEpoch

/** The id and epoch that follow (KIP-360); undefined: the producer is fenced. */
const nextEpoch = (
  life: TransactionLife,
  command: InitProducer
): Pick<Initialized, "producerId" | "producerEpoch" | "lastProducerEpoch"> | undefined => {
  const { producerId, producerEpoch, lastProducerEpoch } = life
  const isCurrent = isNewest(life, command)
  if (isExhausted(producerEpoch) && (isCurrent || !hasEpoch(command))) {
    return { producerId: command.newProducerId, producerEpoch: 0, lastProducerEpoch: isCurrent ? producerEpoch : -1 }
  }
  if (!hasEpoch(command)) return { producerId, producerEpoch: producerEpoch + 1, lastProducerEpoch: -1 }
  if (isCurrent) return { producerId, producerEpoch: producerEpoch + 1, lastProducerEpoch: producerEpoch }
  // It asks again: a producer that began after it would have left no last epoch.
  if (command.producerEpoch !== lastProducerEpoch) return undefined
  // The abort that it asked for has raised the last epoch of this id.
  return isExhausted(lastProducerEpoch) && command.producerId === producerId
    ? { producerId: command.newProducerId, producerEpoch: 0, lastProducerEpoch }
    : { producerId, producerEpoch, lastProducerEpoch }
}

const initialize = (draft: Draft, next: ReturnType<typeof nextEpoch>, timeoutMs: number): Answer => {
  if (next === undefined) return fenced
  const event: Initialized = { _tag: "ProducerInitialized", ...next, timeoutMs, atMs: draft.nowMs }
  const after = evolveTransaction(draft.state, event)
  if (!hasRoomForId(draft, after)) return refused("NoMemory", "There is no memory for more transactional ids.")
  const isNew = isUnused(draft.state)
  applyAs(draft, event, after)
  const dueMs = draft.nowMs + draft.settings.idExpirationMs
  if (isNew) draft.signals.push(expiryDeadline(dueMs, dueMs))
  const { producerId, producerEpoch } = next
  return Exit.succeed({ _tag: "ProducerInitialized", producerId, producerEpoch })
}

/** Begins a producer, or gives one that goes on its next epoch. */
export const initProducer = (draft: Draft, command: InitProducer): Answer => {
  const { settings, state } = draft
  const { name, life } = state
  const { timeoutMs } = command
  if (state.transactionalId.length > settings.idLengthMax) {
    return refused("InvalidRequest", `A transactional id has at most ${settings.idLengthMax} characters.`)
  }
  if (timeoutMs <= 0 || timeoutMs > settings.timeoutMsMax) {
    return refused("InvalidTransactionTimeout", `The timeout is above 0 and at most ${settings.timeoutMsMax} ms.`)
  }
  if (isUnused(state)) {
    if (!command.mayBeNew) return refused("TooManyTransactionalIds", "There are too many transactional ids.")
    const first = { producerId: command.newProducerId, producerEpoch: 0, lastProducerEpoch: -1 }
    return initialize(draft, first, timeoutMs)
  }
  if (hasEpoch(command) && !isOwnId(life, command)) return fenced
  if (isEnding(state)) return ending
  if (name !== "Ongoing") return initialize(draft, nextEpoch(life, command), timeoutMs)
  // Apache Kafka lets a zombie abort the transaction of the producer that has replaced it.
  if (hasEpoch(command) && !isNewest(life, command)) return fenced
  abort(draft, "another producer began", command.producerEpoch)
  return ending
}
