import type { Decision, Definition, Signal } from "@logbrook/core/actor/Definition"
import { unbounded } from "@logbrook/core/memory/MemoryAccount"
import { repeatAt, repeatIn, repeatNoMore } from "@logbrook/core/actor/Outbox"
import * as Exit from "effect/Exit"
import { decideEnd } from "./decideEnd.ts"
import { initProducer } from "./initProducer.ts"
import {
  type Answer,
  abort,
  apply,
  applyAs,
  decisionOf,
  done,
  type Draft,
  draftOf,
  hasRoomForMembers,
  refused
} from "./transactionDraft.ts"
import { finishOf } from "./transactionMachine.ts"
import {
  type AddGroup,
  type AddPartitions,
  type Complete,
  defaultTransactionSettings,
  onlyFences,
  type TransactionCommand,
  TransactionKind,
  type TransactionPartition,
  type TransactionSettings,
  type VerifyGroup,
  type VerifyPartitions
} from "./TransactionProtocol.ts"
import {
  evolveTransaction,
  initialTransaction,
  isAtRest,
  isEnding,
  isUnused,
  loadTransaction,
  memberCountOf,
  type SavedTransaction,
  saveTransaction,
  type TransactionState,
  TransactionStates,
  unusedAsNew,
  weightBytesOf
} from "./transactionState.ts"
import { expiryDeadline, noExpiry, timeoutDeadline } from "./transactionDeadlines.ts"
import { perActor } from "./transactionWeight.ts"

export type TransactionDefinition = Definition<typeof TransactionKind, TransactionState>

/** The coordinator of one transactional id, `transaction/<transactional id>`, as Apache Kafka's `TransactionCoordinator` is one. */
export const makeTransaction = (settings: TransactionSettings = defaultTransactionSettings): TransactionDefinition => ({
  kind: TransactionKind.name,
  version: 1,
  states: TransactionStates,
  initial: initialTransaction,
  decide: (state, command, nowMs, room = unbounded) => {
    const draft = draftOf(settings, unusedAsNew(state), nowMs, room)
    return decisionOf(draft, handle(draft, command))
  },
  evolve: evolveTransaction,
  resume: (state, nowMs) => resume(state, settings, nowMs),
  save: saveTransaction,
  load: (id, saved) => loadTransaction(id, saved as SavedTransaction),
  weights: [
    { holder: "transactions", perActor, bytesOf: weightBytesOf },
    { holder: "transactionMembers", perActor: 0, bytesOf: ({ membersBytes }) => membersBytes }
  ],
  isEmpty: isUnused
})

const handle = (draft: Draft, command: TransactionCommand): Answer => {
  switch (command._tag) {
    case "InitProducer":
      return initProducer(draft, command)
    case "AddPartitions":
      return addPartitions(draft, command)
    case "VerifyPartitions":
      return verifyPartitions(draft, command)
    case "AddGroup":
      return addGroup(draft, command)
    case "VerifyGroup":
      return verifyGroup(draft, command)
    case "End":
      return decideEnd(draft, command)
    case "Abort":
      return abortByOperator(draft)
    case "Complete":
      return complete(draft, command)
    case "ExpireTransaction":
      return expireTransaction(draft, command.startedAtMs)
    case "ExpireTransactionalId":
      return expireId(draft, command.dueMs)
    case "ForgetAtRest":
      return forgetAtRest(draft)
    case "RepeatIntents":
      return repeat(draft, command.delayMs)
  }
}

/** Why the producer may not write now; undefined: it may. */
const refuseProducer = (
  { state }: Draft,
  { producerId, producerEpoch }: AddPartitions | VerifyPartitions | AddGroup | VerifyGroup
): Answer | undefined => {
  const { life } = state
  if (life.producerId !== producerId || producerId === -1) {
    return refused("InvalidProducerIdMapping", "The producer id is not the transactional id's.")
  }
  if (life.producerEpoch !== producerEpoch || onlyFences(producerEpoch)) {
    return refused(
      "ProducerFenced",
      `The producer's epoch is ${producerEpoch}, and ${life.producerEpoch} is the newest.`
    )
  }
  if (isEnding(state)) return refused("ConcurrentTransactions", "The transaction before is ending.")
  return undefined
}

/** Adds to the open transaction, or begins one. */
const add = (draft: Draft, event: AddedEvent): Answer | undefined => {
  const isNew = draft.state.name !== "Ongoing"
  const next = evolveTransaction(draft.state, event)
  const excess = excessOf(draft, next)
  if (excess !== undefined) return excess
  applyAs(draft, event, next)
  if (isNew) draft.signals.push(timeoutDeadline(draft.state.life))
  return undefined
}

const excessOf = (draft: Draft, next: TransactionState): Answer | undefined => {
  const { membersMax } = draft.settings
  if (memberCountOf(next) > membersMax) {
    return refused("TooManyMembers", `A transaction has at most ${membersMax} partitions and groups.`)
  }
  return hasRoomForMembers(draft, next)
    ? undefined
    : refused("NoMemory", "There is no memory for more partitions and groups of transactions.")
}

type AddedEvent = Extract<Parameters<typeof apply>[1], { readonly _tag: "PartitionsAdded" | "GroupAdded" }>

const addPartitions = (draft: Draft, command: AddPartitions): Answer => {
  const refusal = refuseProducer(draft, command)
  if (refusal !== undefined) return refusal
  const { name, life } = draft.state
  const isOngoing = name === "Ongoing"
  const added = new Map<number, TransactionPartition>()
  for (const partition of command.partitions) {
    if (!isOngoing || !life.partitions.has(partition.logId)) added.set(partition.logId, partition)
  }
  const excess =
    added.size === 0
      ? undefined
      : add(draft, { _tag: "PartitionsAdded", partitions: [...added.values()], atMs: draft.nowMs })
  return excess ?? Exit.succeed({ _tag: "PartitionsAdded" })
}

const verifyPartitions = (draft: Draft, command: VerifyPartitions): Answer => {
  const refusal = refuseProducer(draft, command)
  if (refusal !== undefined) return refusal
  const { partitions } = draft.state.life
  if (!command.partitions.every(({ logId }) => partitions.has(logId))) {
    return refused("TransactionAbortable", "The partition was not added to the transaction.")
  }
  return Exit.succeed({ _tag: "PartitionsAdded" })
}

const addGroup = (draft: Draft, command: AddGroup): Answer => {
  const refusal = refuseProducer(draft, command)
  if (refusal !== undefined) return refusal
  const { name, life } = draft.state
  const { groupId } = command
  const isKnown = name === "Ongoing" && life.groups.has(groupId)
  const excess = isKnown ? undefined : add(draft, { _tag: "GroupAdded", groupId, atMs: draft.nowMs })
  return excess ?? Exit.succeed({ _tag: "GroupAdded" })
}

const verifyGroup = (draft: Draft, command: VerifyGroup): Answer => {
  const refusal = refuseProducer(draft, command)
  if (refusal !== undefined) return refusal
  if (!draft.state.life.groups.has(command.groupId)) {
    return refused("TransactionAbortable", "The group was not added to the transaction.")
  }
  return Exit.succeed({ _tag: "GroupAdded" })
}

const abortByOperator = (draft: Draft): Answer => {
  const { state } = draft
  if (isUnused(state)) return refused("TransactionalIdNotFound", "There is no such transactional id.")
  if (isEnding(state)) return refused("ConcurrentTransactions", "The transaction is ending.")
  if (state.name !== "Ongoing") return refused("InvalidTxnState", "No transaction is open.")
  abort(draft, "aborted by an operator")
  return done
}

/** Told by whoever has done all of it: perhaps more than once, and of an end that is long over. */
const complete = (draft: Draft, { producerId, producerEpoch }: Complete): Answer => {
  const finish = finishOf(draft.state.transactionalId, draft.state)
  if (finish?.producerId !== producerId || finish.producerEpoch !== producerEpoch) return done
  apply(draft, { _tag: "TransactionCompleted", atMs: draft.nowMs })
  draft.signals.push(repeatNoMore)
  return done
}

const expireTransaction = (draft: Draft, startedAtMs: number): Answer => {
  const { name, life } = draft.state
  if (name === "Ongoing" && life.startedAtMs === startedAtMs) abort(draft, "timed out")
  return done
}

/**
 * An id expires when it was unused for long and no transaction is open or ending. As with committed offsets the deadline's own time
 * counts: a machine's clock that was set forth meanwhile makes nothing due.
 */
const expireId = (draft: Draft, dueMs: number): Answer => {
  if (isUnused(draft.state)) return done
  const { life } = draft.state
  const { idExpirationMs } = draft.settings
  const isResting = isAtRest(draft.state)
  if (isResting && life.updatedAtMs + idExpirationMs <= dueMs) {
    apply(draft, { _tag: "TransactionalIdExpired", atMs: draft.nowMs })
    return done
  }
  const nextMs = isResting ? life.updatedAtMs + idExpirationMs : dueMs + idExpirationMs
  draft.signals.push(expiryDeadline(draft.nowMs + nextMs - dueMs, nextMs))
  return done
}

const forgetAtRest = (draft: Draft): Answer => {
  if (isUnused(draft.state)) return done
  if (!isAtRest(draft.state)) return refused("InvalidTxnState", "A transaction is open or ending.")
  apply(draft, { _tag: "TransactionalIdExpired", atMs: draft.nowMs })
  draft.signals.push(noExpiry)
  return done
}

const repeat = (draft: Draft, delayMs: number): Answer => {
  const finish = finishOf(draft.state.transactionalId, draft.state)
  if (finish !== undefined) draft.signals.push(repeatIn(draft.nowMs, delayMs), { _tag: "Notify", notice: finish })
  return done
}

/** A transaction that was open when the server ended has the time that its start left it. */
const resume = (
  state: TransactionState,
  { idExpirationMs }: TransactionSettings,
  nowMs: number
): ReadonlyArray<Signal<typeof TransactionKind>> => {
  if (isUnused(state)) return []
  const dueMs = Math.max(state.life.updatedAtMs + idExpirationMs, nowMs)
  const signals: Array<Signal<typeof TransactionKind>> = [expiryDeadline(dueMs, dueMs)]
  if (state.name === "Ongoing") signals.push(timeoutDeadline(state.life))
  if (finishOf(state.transactionalId, state) !== undefined) signals.push(repeatAt(nowMs))
  return signals
}

export type TransactionDecision = Decision<typeof TransactionKind, TransactionCommand, TransactionState>
