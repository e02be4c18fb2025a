import type { CatalogRefusal, CatalogRefused } from "@logbrook/actors/catalog/CatalogProtocol"
import type {
  GroupRefusal,
  GroupRefused,
  MembersLeft,
  OffsetsRemoved,
  OffsetsStored
} from "@logbrook/actors/group/GroupProtocol"
import type { PartitionRefusal, PartitionRefused } from "@logbrook/actors/partition/Partition"
import { InvalidBatch, type InvalidBatchReason } from "@logbrook/core/RecordBatch"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import type { Denial, ResourceType } from "@logbrook/core/access/Access"
import type { RefusedRecords } from "./batchRules.ts"
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"

type Codes<Reason extends string> = Readonly<Record<Reason, KafkaErrorCode>>

const catalogCodes: Codes<CatalogRefusal> = {
  InvalidStreamName: KafkaError.INVALID_TOPIC_EXCEPTION,
  StreamExists: KafkaError.TOPIC_ALREADY_EXISTS,
  UnknownStream: KafkaError.UNKNOWN_TOPIC_OR_PARTITION,
  InvalidPartitions: KafkaError.INVALID_PARTITIONS,
  InvalidFilter: KafkaError.INVALID_CONFIG,
  InvalidKey: KafkaError.INVALID_CONFIG,
  InvalidConfig: KafkaError.INVALID_CONFIG,
  TooManyStreams: KafkaError.POLICY_VIOLATION,
  NoMemory: KafkaError.POLICY_VIOLATION
}

const partitionCodes: Codes<PartitionRefusal> = {
  OutOfOrderSequenceNumber: KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
  InvalidProducerEpoch: KafkaError.INVALID_PRODUCER_EPOCH,
  OffsetOutOfRange: KafkaError.OFFSET_OUT_OF_RANGE,
  UnknownTopicOrPartition: KafkaError.UNKNOWN_TOPIC_OR_PARTITION,
  TransactionCoordinatorFenced: KafkaError.TRANSACTION_COORDINATOR_FENCED,
  InvalidTxnState: KafkaError.INVALID_TXN_STATE,
  TooManyTransactions: KafkaError.POLICY_VIOLATION
}

const groupCodes: Codes<GroupRefusal> = {
  UnknownMemberId: KafkaError.UNKNOWN_MEMBER_ID,
  IllegalGeneration: KafkaError.ILLEGAL_GENERATION,
  RebalanceInProgress: KafkaError.REBALANCE_IN_PROGRESS,
  FencedInstanceId: KafkaError.FENCED_INSTANCE_ID,
  InconsistentGroupProtocol: KafkaError.INCONSISTENT_GROUP_PROTOCOL,
  MemberIdRequired: KafkaError.MEMBER_ID_REQUIRED,
  InvalidSessionTimeout: KafkaError.INVALID_SESSION_TIMEOUT,
  GroupMaxSizeReached: KafkaError.GROUP_MAX_SIZE_REACHED,
  NonEmptyGroup: KafkaError.NON_EMPTY_GROUP,
  GroupIdNotFound: KafkaError.GROUP_ID_NOT_FOUND,
  InvalidGroupId: KafkaError.INVALID_GROUP_ID,
  InvalidCommitOffsetSize: KafkaError.INVALID_COMMIT_OFFSET_SIZE,
  InvalidRequest: KafkaError.INVALID_REQUEST
}

const batchCodes: Codes<InvalidBatchReason> = {
  CorruptMessage: KafkaError.CORRUPT_MESSAGE,
  InvalidRecord: KafkaError.INVALID_RECORD,
  MessageTooLarge: KafkaError.MESSAGE_TOO_LARGE,
  UnsupportedForMessageFormat: KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
  InvalidTimestamp: KafkaError.INVALID_TIMESTAMP,
  UnsupportedCompression: KafkaError.UNSUPPORTED_COMPRESSION_TYPE
}

const offsetCodes: Codes<NonNullable<OffsetsStored["partitions"][number]["refused"]>> = {
  OffsetMetadataTooLarge: KafkaError.OFFSET_METADATA_TOO_LARGE
}

const removalCodes: Codes<NonNullable<OffsetsRemoved["partitions"][number]["refused"]>> = {
  GroupSubscribedToTopic: KafkaError.GROUP_SUBSCRIBED_TO_TOPIC
}

const deniedCodes: Readonly<Record<ResourceType, KafkaErrorCode>> = {
  Topic: KafkaError.TOPIC_AUTHORIZATION_FAILED,
  TopicName: KafkaError.TOPIC_AUTHORIZATION_FAILED,
  Group: KafkaError.GROUP_AUTHORIZATION_FAILED,
  TransactionalId: KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
  Cluster: KafkaError.CLUSTER_AUTHORIZATION_FAILED
}

/** The error that tells a client that it may not. */
export const deniedFailure = (type: ResourceType, { text }: Denial): Failure => refused(deniedCodes[type], text)

/** The error of one committed offset; 0 for one that is durable. */
export const offsetCode = (refusal: OffsetsStored["partitions"][number]["refused"]): KafkaErrorCode =>
  refusal === null ? KafkaError.NONE : offsetCodes[refusal]

/** The error of one offset to delete; 0 for one that is gone. */
export const removalCode = (refusal: OffsetsRemoved["partitions"][number]["refused"]): KafkaErrorCode =>
  refusal === null ? KafkaError.NONE : removalCodes[refusal]

/** The error of one leaving member; 0 for one that is gone. */
export const leaveCode = (refusal: MembersLeft["members"][number]["refused"]): KafkaErrorCode =>
  refusal === null ? KafkaError.NONE : groupCodes[refusal]

export interface Failure {
  readonly code: KafkaErrorCode
  /** For people; null where there is nothing to add to the code. */
  readonly message: string | null
  /** The member id that a refusal by a group tells, else "". */
  readonly memberId: string
}

export const refused = (code: KafkaErrorCode, message: string | null = null): Failure => ({
  code,
  message,
  memberId: ""
})

/**
 * The error that tells a client that an actor did not do what it asked; the coordinator of a transaction has `coordinatorFailure`.
 * `unavailable`: the retriable code of this API for an actor that is being replayed, and for defects: a client that tries again meets a
 * restarted actor.
 */
export const failureOf = (
  cause: Cause.Cause<CatalogRefused | PartitionRefused | GroupRefused>,
  unavailable: KafkaErrorCode
): Failure => {
  const refusal = Option.getOrUndefined(Cause.failureOption(cause))
  switch (refusal?._tag) {
    case undefined:
      return refused(unavailable)
    case "CatalogRefused":
      return refused(catalogCodes[refusal.reason], refusal.message)
    case "PartitionRefused":
      return refused(partitionCodes[refusal.reason])
    case "GroupRefused":
      return { code: groupCodes[refusal.reason], message: refusal.message, memberId: refusal.memberId }
  }
}

/** The error that tells a producer what is wrong with its batch, and of so many records which. Rethrows what is no `InvalidBatch`. */
export const batchFailure = (error: unknown, recordErrorsMax = 0): RefusedRecords => {
  if (!(error instanceof InvalidBatch)) throw error
  const { reason, message, records } = error
  const recordErrors = records
    .slice(0, recordErrorsMax)
    .map((batchIndex) => ({ batchIndex, batchIndexErrorMessage: message }))
  return { code: batchCodes[reason], message, recordErrors }
}

/** The first code that is an error, for the metrics; 0 if there is none. */
export const firstError = (codes: Iterable<{ readonly errorCode: number }>): number => {
  for (const { errorCode } of codes) if (errorCode !== KafkaError.NONE) return errorCode
  return KafkaError.NONE
}
