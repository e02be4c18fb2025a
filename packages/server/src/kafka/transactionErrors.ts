import { type TransactionRefusal, TransactionRefused } from "@logbrook/actors/transaction/TransactionProtocol"
import { errorName, KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import { refused, type Failure } from "./errors.ts"
import type { RequestContext } from "./Handler.ts"

const codes: Readonly<Record<TransactionRefusal, KafkaErrorCode>> = {
  ProducerFenced: KafkaError.PRODUCER_FENCED,
  InvalidTxnState: KafkaError.INVALID_TXN_STATE,
  ConcurrentTransactions: KafkaError.CONCURRENT_TRANSACTIONS,
  InvalidProducerIdMapping: KafkaError.INVALID_PRODUCER_ID_MAPPING,
  InvalidTransactionTimeout: KafkaError.INVALID_TRANSACTION_TIMEOUT,
  TransactionAbortable: KafkaError.TRANSACTION_ABORTABLE,
  TransactionalIdNotFound: KafkaError.TRANSACTIONAL_ID_NOT_FOUND,
  InvalidRequest: KafkaError.INVALID_REQUEST,
  TooManyTransactionalIds: KafkaError.POLICY_VIOLATION,
  TooManyMembers: KafkaError.POLICY_VIOLATION,
  NoMemory: KafkaError.POLICY_VIOLATION
}

/** The first version of an API whose clients know a refusal's code, and the code for older ones. */
type Older = readonly [knownFrom: number, before: KafkaErrorCode]

interface Telling {
  /** The retriable code for a coordinator that cannot answer. */
  readonly unavailable: KafkaErrorCode
  readonly older: Readonly<Partial<Record<TransactionRefusal, Older>>>
}

const fencedFrom = (version: number): Telling => ({
  unavailable: KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
  older: { ProducerFenced: [version, KafkaError.INVALID_PRODUCER_EPOCH] }
})

/** Partitions and groups never say PRODUCER_FENCED, which is for coordinators' own answers. */
const never = Infinity

/**
 * The codes by which each API of a producer speaks for its coordinator, as in Kafka. Clients of before KIP-890 send again for
 * NOT_ENOUGH_REPLICAS without asking for metadata.
 */
const tellings = {
  InitProducerId: fencedFrom(4),
  AddPartitionsToTxn: fencedFrom(2),
  AddOffsetsToTxn: fencedFrom(2),
  EndTxn: fencedFrom(2),
  TxnOffsetCommit: {
    unavailable: KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    older: {
      ProducerFenced: [never, KafkaError.INVALID_PRODUCER_EPOCH],
      TransactionAbortable: [4, KafkaError.INVALID_TXN_STATE],
      ConcurrentTransactions: [5, KafkaError.COORDINATOR_LOAD_IN_PROGRESS]
    }
  },
  Produce: {
    unavailable: KafkaError.NOT_ENOUGH_REPLICAS,
    older: {
      ProducerFenced: [never, KafkaError.INVALID_PRODUCER_EPOCH],
      TransactionAbortable: [11, KafkaError.INVALID_TXN_STATE],
      ConcurrentTransactions: [12, KafkaError.NOT_ENOUGH_REPLICAS]
    }
  }
} as const satisfies Readonly<Record<string, Telling>>

export type TransactionalApi = keyof typeof tellings

/**
 * The error that tells a client of an API, in its version, that the coordinator of a transactional id did not do what it asked. Refusals of
 * fenced producers are counted.
 */
export const coordinatorFailure = (
  { node }: CountedIn,
  cause: Cause.Cause<unknown>,
  api: TransactionalApi,
  version: number
): Failure => {
  const { unavailable, older }: Telling = tellings[api]
  const refusal = Option.getOrUndefined(Cause.failureOption(cause))
  if (!(refusal instanceof TransactionRefused)) return refused(unavailable)
  const { reason, message } = refusal
  if (reason === "ProducerFenced") node.metrics.fenced(api)
  const [knownFrom, before] = older[reason] ?? [0, codes[reason]]
  return refused(version < knownFrom ? before : codes[reason], message)
}

interface CountedIn {
  readonly node: { readonly metrics: Pick<RequestContext["node"]["metrics"], "fenced"> }
}

/** Clients ask again for these, and nothing is wrong with what they asked. */
const transient: ReadonlySet<KafkaErrorCode> = new Set([
  KafkaError.CONCURRENT_TRANSACTIONS,
  KafkaError.COORDINATOR_LOAD_IN_PROGRESS
])

/** As `coordinatorFailure`, where the answer has no room for a text: the journal and the log name the client and say why. */
export const coordinatorCode = (
  context: RequestContext,
  cause: Cause.Cause<unknown>,
  api: Exclude<TransactionalApi, "Produce">,
  version: number,
  transactionalId: string
): KafkaErrorCode => {
  const { node, clientId, clientHost: address } = context
  const { code, message } = coordinatorFailure(context, cause, api, version)
  if (!transient.has(code)) {
    const reason = `${api} of "${transactionalId.slice(0, idLengthMax)}": ${message}`
    node.refusals.add({
      clientId,
      address,
      code: `${code} ${errorName(code)}`,
      reason,
      topic: undefined,
      isLogged: false
    })
  }
  return code
}

/** The part of a transactional id that a reason names. */
const idLengthMax = 100
