import * as Data from "effect/Data"
import type { CatalogRefusal, CatalogRefused } from "@logbrook/actors/catalog/CatalogProtocol"
import type { GroupRefused } from "@logbrook/actors/group/GroupProtocol"
import type { TransactionRefused } from "@logbrook/actors/transaction/TransactionProtocol"
import type { Denial, DenialReason } from "@logbrook/core/access/Access"
import type { JournalQueryRefused } from "../tools/journalTools.ts"

/** The codes with which the API refuses, by the status that they are answered with; a client tells them apart by `code`. */
export const apiCodes = {
  400: [
    "BAD_REQUEST",
    "INVALID_STREAM_NAME",
    "INVALID_PARTITIONS",
    "INVALID_FILTER",
    "INVALID_KEY",
    "INVALID_CONFIG",
    "INVALID_ACTOR",
    "INVALID_TYPE"
  ],
  403: ["FORBIDDEN"],
  404: [
    "UNKNOWN_STREAM",
    "UNKNOWN_GROUP",
    "UNKNOWN_TRANSACTIONAL_ID",
    "UNKNOWN_SESSION",
    "UNKNOWN_RETAINED",
    "UNKNOWN_EVENT",
    "UNKNOWN_ACTOR"
  ],
  409: [
    "STREAM_EXISTS",
    "TOO_MANY_STREAMS",
    "NO_MEMORY",
    "GROUP_HAS_MEMBERS",
    "NO_OPEN_TRANSACTION",
    "TRANSACTION_ENDING"
  ],
  410: ["EXPIRED"],
  503: ["UNAVAILABLE", "DISK_LOW"]
} as const

/** Those of requests that never come to an endpoint. */
const ownCodes = {
  403: ["FOREIGN_HOST", "CROSS_SITE"],
  404: ["NOT_FOUND"],
  405: ["METHOD_NOT_ALLOWED"],
  413: ["TOO_LARGE"],
  415: ["UNSUPPORTED_MEDIA_TYPE"]
} as const

export type ApiCode = (typeof apiCodes)[keyof typeof apiCodes][number]
export type RefusalCode = ApiCode | (typeof ownCodes)[keyof typeof ownCodes][number]

/** The status of each code. */
export const statuses: ReadonlyMap<RefusalCode, number> = new Map(
  [apiCodes, ownCodes].flatMap((codes) =>
    Object.entries(codes).flatMap(([status, ofStatus]) =>
      ofStatus.map((code: RefusalCode) => [code, Number(status)] as const)
    )
  )
)

/** A request that comes to no endpoint. */
export class RequestRefused extends Data.TaggedError("RequestRefused")<{
  readonly code: RefusalCode
  readonly message: string
  /** The methods that the path has, if the request's is none of them. */
  readonly allow?: ReadonlyArray<string>
}> {}

export const notAllowed = (allow: ReadonlyArray<string>): RequestRefused =>
  new RequestRefused({ code: "METHOD_NOT_ALLOWED", message: `this path takes ${allow.join(", ")}`, allow })

/** A refusal of an endpoint's own. */
export class EndpointRefused extends Data.TaggedError("EndpointRefused")<{
  readonly code: ApiCode
  readonly message: string
}> {}

/** An endpoint fails with one of these. */
export type EndpointFailure = EndpointRefused | CatalogRefused | GroupRefused | TransactionRefused | JournalQueryRefused

/** The body of an answer that refuses. */
export interface Refusal<Code extends RefusalCode = RefusalCode> {
  readonly code: Code
  readonly message: string
}

const catalogCodes: Readonly<Record<CatalogRefusal, ApiCode>> = {
  InvalidStreamName: "INVALID_STREAM_NAME",
  StreamExists: "STREAM_EXISTS",
  UnknownStream: "UNKNOWN_STREAM",
  InvalidPartitions: "INVALID_PARTITIONS",
  InvalidFilter: "INVALID_FILTER",
  InvalidKey: "INVALID_KEY",
  InvalidConfig: "INVALID_CONFIG",
  TooManyStreams: "TOO_MANY_STREAMS",
  NoMemory: "NO_MEMORY"
}

const journalCodes: Readonly<Record<JournalQueryRefused["reason"], ApiCode>> = {
  UnknownEvent: "UNKNOWN_EVENT",
  UnknownActor: "UNKNOWN_ACTOR",
  InvalidActor: "INVALID_ACTOR",
  InvalidType: "INVALID_TYPE",
  Expired: "EXPIRED"
}

const deniedCodes: Readonly<Record<DenialReason, ApiCode>> = {
  ReservedTopicName: "INVALID_FILTER",
  SystemTopicName: "FORBIDDEN",
  BoundStream: "FORBIDDEN"
}

/** A request lacks a permission. */
export const endpointDenied = ({ reason, text }: Denial): EndpointRefused =>
  new EndpointRefused({ code: deniedCodes[reason], message: text })

/** The actor's words to a member are none for whoever asks here. */
const groupRefusal = ({ reason, message }: GroupRefused): Refusal<ApiCode> => {
  switch (reason) {
    case "GroupIdNotFound":
      return { code: "UNKNOWN_GROUP", message: "there is no such group" }
    case "InvalidCommitOffsetSize":
      return { code: "NO_MEMORY", message }
    case "InvalidGroupId":
    case "InvalidRequest":
      return { code: "BAD_REQUEST", message }
    default:
      return { code: "GROUP_HAS_MEMBERS", message: "the group has members: try again once they have left" }
  }
}

/** The coordinator's words to a producer are none for whoever asks here. */
const transactionRefusal = ({ reason, message }: TransactionRefused): Refusal<ApiCode> => {
  switch (reason) {
    case "TransactionalIdNotFound":
      return { code: "UNKNOWN_TRANSACTIONAL_ID", message: "there is no such transactional id" }
    case "InvalidTxnState":
      return { code: "NO_OPEN_TRANSACTION", message: "no transaction is open that could be aborted" }
    case "ConcurrentTransactions":
      return { code: "TRANSACTION_ENDING", message: "the transaction is ending already: its outcome is certain" }
    default:
      return { code: "BAD_REQUEST", message }
  }
}

/** The one table from failures to codes. */
export const refusalOf = (failure: EndpointFailure): Refusal<ApiCode> => {
  switch (failure._tag) {
    case "EndpointRefused":
      return { code: failure.code, message: failure.message }
    case "CatalogRefused":
      return { code: catalogCodes[failure.reason], message: failure.message }
    case "JournalQueryRefused":
      return { code: journalCodes[failure.reason], message: failure.message }
    case "TransactionRefused":
      return transactionRefusal(failure)
    case "GroupRefused":
      return groupRefusal(failure)
  }
}
