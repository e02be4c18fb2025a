import { type ActorId, nameOf } from "@logbrook/core/actor/Definition"
import { persistentStates } from "@logbrook/core/actor/States"
import { type Lifecycle, nextLifecycle, type TransactionLife, unusedLifecycle } from "./transactionMachine.ts"
import { type TransactionEvent, TransactionKind, type TransactionPartition } from "./TransactionProtocol.ts"
import { weightOfGroup, weightOfPartition, weightOfTransaction } from "./transactionWeight.ts"

/** A transactional id: its producer and its transaction. */
export interface TransactionState extends Lifecycle {
  readonly transactionalId: string
  /** The weight of partitions and groups, see `transactionWeight.ts`. `evolveTransaction` keeps it; it is not saved. */
  readonly membersBytes: number
}

export const TransactionStates = persistentStates<TransactionState>()(TransactionKind)

const idThatNeverWas = (transactionalId: string): TransactionState => ({
  transactionalId,
  ...unusedLifecycle,
  membersBytes: 0
})

export const initialTransaction = (id: ActorId): TransactionState => idThatNeverWas(nameOf(id))

/** Nobody has asked for this id, or it has expired. */
export const isUnused = ({ life }: TransactionState): boolean => life.producerId === -1

/** An id that expired is one that never was, whether or not the runtime has dropped it in between. */
export const unusedAsNew = (state: TransactionState): TransactionState =>
  isUnused(state) ? idThatNeverWas(state.transactionalId) : state

/** Partitions and groups together. */
export const memberCountOf = ({ life }: TransactionState): number => life.partitions.size + life.groups.size

/** It is known, and no transaction is open or ending. */
export const isAtRest = (state: TransactionState): boolean => !isUnused(state) && restingStates.has(state.name)

/** The outcome of its transaction is certain, and not done everywhere. */
export const isEnding = ({ name }: TransactionState): boolean => name === "PrepareCommit" || name === "PrepareAbort"

const restingStates: ReadonlySet<TransactionState["name"]> = new Set([
  "Empty",
  "CompleteCommit",
  "CompleteAbort"
] as const)

/** About the bytes of memory that the id takes without its members; 0 for one that is not used. */
export const weightBytesOf = (state: TransactionState): number =>
  isUnused(state) ? 0 : weightOfTransaction(state.transactionalId)

const weightOfMembers = ({ partitions, groups }: TransactionLife): number => {
  let bytes = 0
  for (const partition of partitions.values()) bytes += weightOfPartition(partition)
  for (const groupId of groups) bytes += weightOfGroup(groupId)
  return bytes
}

/** The change by the event, without a look at what it does not concern. */
const membersBytesAfter = (
  { life, membersBytes }: TransactionState,
  after: TransactionLife,
  event: TransactionEvent
) => {
  switch (event._tag) {
    case "PartitionsAdded": {
      let bytes = membersBytes
      const added = new Map(event.partitions.map((partition) => [partition.logId, partition]))
      for (const [logId, partition] of added) {
        const before = life.partitions.get(logId)
        bytes += weightOfPartition(partition) - (before === undefined ? 0 : weightOfPartition(before))
      }
      return bytes
    }
    case "GroupAdded":
      return membersBytes + (life.groups.has(event.groupId) ? 0 : weightOfGroup(event.groupId))
    case "TransactionCompleted":
    case "TransactionalIdExpired":
      return weightOfMembers(after)
    default:
      return membersBytes
  }
}

export const evolveTransaction = (state: TransactionState, event: TransactionEvent): TransactionState => {
  const next = nextLifecycle(state, event)
  return { transactionalId: state.transactionalId, ...next, membersBytes: membersBytesAfter(state, next.life, event) }
}

export interface SavedTransaction extends Omit<TransactionLife, "partitions" | "groups"> {
  readonly state: TransactionState["name"]
  readonly partitions: ReadonlyArray<TransactionPartition>
  readonly groups: ReadonlyArray<string>
}

/** All ids with nothing to remember are saved alike, so that their hashes agree whether one was dropped or not. */
export const saveTransaction = (state: TransactionState): SavedTransaction => {
  const { name, life } = unusedAsNew(state)
  const { partitions, groups, ...rest } = life
  return { state: name, ...rest, partitions: [...partitions.values()], groups: [...groups] }
}

export const loadTransaction = (
  id: ActorId,
  { state, partitions, groups, ...rest }: SavedTransaction
): TransactionState => {
  const life: TransactionLife = {
    ...rest,
    partitions: new Map(partitions.map((partition) => [partition.logId, partition])),
    groups: new Set(groups)
  }
  return { transactionalId: nameOf(id), name: state, life, membersBytes: weightOfMembers(life) }
}
