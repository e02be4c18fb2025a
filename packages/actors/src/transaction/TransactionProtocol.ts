import type { RepeatIntents } from "@logbrook/core/actor/Outbox"
import { type Address, address, kind } from "@logbrook/core/actor/Kind"
import type { TransactionOutcome } from "@logbrook/core/transaction/Marker"
import * as Data from "effect/Data"

/**
 * The commands, replies and events of a transaction's coordinator (KIP-98, KIP-360, KIP-890), without any wire type.
 *
 * A transactional id has one producer id and epoch at a time. A client that comes with another is refused: that is how a
 * producer that was replaced, a zombie, is fenced.
 */

/**
 * Kafka's `transaction.version` as a client speaks it. 1: partitions and groups are added by requests of their own, and the
 * epoch stays from transaction to transaction. 2 (KIP-890): they are added by what is written, and each end raises the epoch.
 */
export type TransactionVersion = 1 | 2

/** A partition that a transaction writes. */
export interface TransactionPartition {
  readonly topicId: string
  /** The stream's name when it was added, for answers and for people who read the journal. */
  readonly stream: string
  readonly partition: number
  readonly logId: number
}

/** The client that speaks, by the producer id and epoch that `InitProducer` or `End` answered last. */
interface OfProducer {
  readonly producerId: number
  readonly producerEpoch: number
}

/**
 * InitProducerId: a producer begins, or goes on after an error with the id and epoch that it has. A transaction that is open is
 * aborted first: the answer is `ConcurrentTransactions` until that is done.
 */
export interface InitProducer {
  readonly _tag: "InitProducer"
  /** -1, and the epoch too: the producer has none yet. */
  readonly producerId: number
  readonly producerEpoch: number
  /** After which its open transaction is aborted. */
  readonly timeoutMs: number
  /** The id to give if a new one is needed: never used before. */
  readonly newProducerId: number
  /** False: there are as many transactional ids as there may be, so an id that nobody uses is refused (`TooManyTransactionalIds`). */
  readonly mayBeNew: boolean
}

/** The partitions are the transaction's from now on; it begins with the first. */
export interface AddPartitions extends OfProducer {
  readonly _tag: "AddPartitions"
  readonly partitions: ReadonlyArray<TransactionPartition>
}

/** As `AddPartitions`, and adds nothing: `TransactionAbortable` unless all of them are the open transaction's. */
export interface VerifyPartitions extends OfProducer {
  readonly _tag: "VerifyPartitions"
  readonly partitions: ReadonlyArray<TransactionPartition>
}

/** The transaction commits offsets of this group. */
export interface AddGroup extends OfProducer {
  readonly _tag: "AddGroup"
  readonly groupId: string
}

/** As `AddGroup`, and adds nothing: `TransactionAbortable` unless the group is the open transaction's. */
export interface VerifyGroup extends OfProducer {
  readonly _tag: "VerifyGroup"
  readonly groupId: string
}

export interface End extends OfProducer {
  readonly _tag: "End"
  readonly outcome: TransactionOutcome
  readonly version: TransactionVersion
  /** The id with which a producer of version 2 goes on whose epoch is exhausted (`isExhausted`); -1 for others. */
  readonly newProducerId: number
}

/** An operator ends the transaction that is open, and its producer is fenced. */
export interface Abort {
  readonly _tag: "Abort"
}

/** Everything that the markers and pending offsets were for is done; only of the transaction whose end carries this epoch. */
export interface Complete extends OfProducer {
  readonly _tag: "Complete"
}

/** Its deadline: the transaction that is open since `startedAtMs` took longer than its producer's timeout. */
export interface ExpireTransaction {
  readonly _tag: "ExpireTransaction"
  readonly startedAtMs: number
}

/** Its deadline: the transactional id may have been unused for `transactional.id.expiration.ms`. `dueMs`: the deadline's time, Unix ms. */
export interface ExpireTransactionalId {
  readonly _tag: "ExpireTransactionalId"
  readonly dueMs: number
}

/**
 * Transactional ids are too many, or their memory is short: one that is at rest is forgotten before its time, as if it had expired.
 * `InvalidTxnState` for one that has begun a transaction since it was chosen: it stays.
 */
export interface ForgetAtRest {
  readonly _tag: "ForgetAtRest"
}

export type TransactionCommand =
  | InitProducer
  | AddPartitions
  | VerifyPartitions
  | AddGroup
  | VerifyGroup
  | End
  | Abort
  | Complete
  | ExpireTransaction
  | ExpireTransactionalId
  | ForgetAtRest
  | RepeatIntents

/** With which id and epoch the producer goes on. */
export interface ProducerInitialized extends OfProducer {
  readonly _tag: "ProducerInitialized"
}

export interface PartitionsAdded {
  readonly _tag: "PartitionsAdded"
}

export interface GroupAdded {
  readonly _tag: "GroupAdded"
}

/** The end is durable, and what it leads to will be done. With which id and epoch the producer goes on. */
export interface EndPrepared extends OfProducer {
  readonly _tag: "EndPrepared"
}

export interface Done {
  readonly _tag: "Done"
}

/** The reply to each command. Deadlines and confirmations have nobody who reads it; they are answered by `Done`. */
export interface TransactionReplies {
  readonly InitProducer: ProducerInitialized
  readonly AddPartitions: PartitionsAdded
  readonly VerifyPartitions: PartitionsAdded
  readonly AddGroup: GroupAdded
  readonly VerifyGroup: GroupAdded
  readonly End: EndPrepared
  readonly Abort: Done
  readonly Complete: Done
  readonly ExpireTransaction: Done
  readonly ExpireTransactionalId: Done
  readonly ForgetAtRest: Done
  readonly RepeatIntents: Done
}

export type TransactionReply = TransactionReplies[keyof TransactionReplies]

/**
 * Named after Kafka's error codes, which the shell's table maps them to. `NoMemory`: there is none for more ids, partitions or groups.
 * `TooManyMembers`: of partitions and groups of one transaction.
 */
export type TransactionRefusal =
  | "ProducerFenced"
  | "InvalidTxnState"
  | "ConcurrentTransactions"
  | "InvalidProducerIdMapping"
  | "InvalidTransactionTimeout"
  | "TransactionAbortable"
  | "TransactionalIdNotFound"
  | "InvalidRequest"
  | "TooManyTransactionalIds"
  | "TooManyMembers"
  | "NoMemory"

export class TransactionRefused extends Data.TaggedError("TransactionRefused")<{
  readonly reason: TransactionRefusal
  readonly message: string
}> {}

/** Everything in them is absolute, so that they fold the same from any past. Times are Unix ms. */
export type TransactionEvent =
  /** A producer begins; `lastProducerEpoch`: the epoch that it went on from, -1 if it had none. */
  | {
      readonly _tag: "ProducerInitialized"
      readonly producerId: number
      readonly producerEpoch: number
      readonly lastProducerEpoch: number
      readonly timeoutMs: number
      readonly atMs: number
    }
  | {
      readonly _tag: "PartitionsAdded"
      readonly partitions: ReadonlyArray<TransactionPartition>
      readonly atMs: number
    }
  | { readonly _tag: "GroupAdded"; readonly groupId: string; readonly atMs: number }
  /** The epoch is raised, so that whoever has the one before is fenced; the abort follows in the same commit. */
  | { readonly _tag: "ProducerFenced"; readonly producerEpoch: number; readonly reason: FenceReason }
  /**
   * The outcome is certain. `producerEpoch`: that of the markers. `nextProducerId`: the id with which the producer goes on, and
   * epoch 0, if the epochs of this one are exhausted; else -1.
   */
  | {
      readonly _tag: "CommitPrepared" | "AbortPrepared"
      readonly producerEpoch: number
      readonly lastProducerEpoch: number
      readonly nextProducerId: number
      readonly version: TransactionVersion
      readonly atMs: number
    }
  | { readonly _tag: "TransactionCompleted"; readonly atMs: number }
  | { readonly _tag: "TransactionalIdExpired"; readonly atMs: number }

export type FenceReason = "timed out" | "another producer began" | "aborted by an operator"

/** A durable end leads to this: a marker in each partition, and the pending offsets of each group. */
export interface FinishTransaction {
  readonly _tag: "FinishTransaction"
  readonly transactionalId: string
  readonly producerId: number
  /** That of the markers. */
  readonly producerEpoch: number
  readonly outcome: TransactionOutcome
  readonly version: TransactionVersion
  readonly partitions: ReadonlyArray<TransactionPartition>
  readonly groups: ReadonlyArray<string>
}

export const TransactionKind = kind<{
  command: TransactionCommand
  replies: TransactionReplies
  failure: TransactionRefused
  event: TransactionEvent
  notice: FinishTransaction
}>()("transaction")

/** The coordinator of a transactional id. */
export const transactionActor = (transactionalId: string): Address<typeof TransactionKind> =>
  address(TransactionKind, transactionalId)

/** The greatest epoch that a producer is given: one more is left, with which it can be fenced. */
const epochMax = 32_766

/** No further epoch of this producer id can be given. */
export const isExhausted = (producerEpoch: number): boolean => producerEpoch >= epochMax

/** It fences the producer that had the greatest epoch, and is given to nobody: no epoch could follow its end. */
export const onlyFences = (producerEpoch: number): boolean => producerEpoch > epochMax

export interface TransactionSettings {
  /** Kafka's `transaction.max.timeout.ms`. */
  readonly timeoutMsMax: number
  /** Kafka's `transactional.id.expiration.ms`. */
  readonly idExpirationMs: number
  /** Partitions and groups of one transaction. */
  readonly membersMax: number
  /** The greatest length of a transactional id, in UTF-16 units. */
  readonly idLengthMax: number
}

export const defaultTransactionSettings: TransactionSettings = {
  timeoutMsMax: 3_600_000,
  idExpirationMs: 604_800_000,
  membersMax: 1000,
  idLengthMax: 512
}
