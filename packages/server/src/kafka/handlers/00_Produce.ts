import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { type BatchTransaction, partitionActor } from "@logbrook/actors/partition/Partition"
import type { TransactionKind } from "@logbrook/actors/transaction/TransactionProtocol"
import type { Address } from "@logbrook/core/actor/Kind"
import {
  InvalidBatch,
  type ProducedBatch,
  splitBatches,
  stampMaxTimestamp,
  validateProduced
} from "@logbrook/core/RecordBatch"
import { errorName, KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import type { RequestOf, ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { batchRulesOf, refuseRecords, type BatchRules, type RecordError, type RefusedRecords } from "../batchRules.ts"
import { after, afterAll, type Answer, flatAfter, Pending } from "../Answer.ts"
import { batchFailure, failureOf, refused, type Failure } from "../errors.ts"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf, type RequestContext } from "../Handler.ts"
import { batchesPerTurn } from "../KafkaNode.ts"
import { overTurns } from "../overTurns.ts"
import type { Recompressed, Recompression } from "../Recompressor.ts"
import { Reply } from "../Reply.ts"
import {
  addsPartitionVersionMin,
  type AppendBatch,
  type Appended,
  appendInTransaction,
  type TransactionalAppend
} from "../transactionalAppends.ts"

// Produce 3-13, listed from 0: older librdkafka takes a list that begins later for a broker that knows no compression.
// A request has one batch per partition, which is checked whole and stored verbatim, but for what the topic's settings have the server set;
// it is answered when all of its batches are durable.
// Where a batch is to be compressed anew, or there are many, those of a request go to their partitions in parts, each once the one before it
// is durable, so that none holds the event loop for long; no request of its connection overtakes it.
// A batch of a transaction comes to its partition if the coordinator of the transactional id says that the partition is in it; from v12
// on the batch itself adds it (KIP-890).

const needs = { Topic: ["Write"], TransactionalId: ["Write"] } as const

type Context = ContextOf<typeof needs>
type ProduceRequest = RequestOf<typeof Produce>
type ProduceResponse = ResponseInputOf<typeof Produce>
type TopicData = Pick<ProduceRequest["topicData"][number], "name" | "topicId">
type PartitionData = ProduceRequest["topicData"][number]["partitionData"][number]

interface PartitionResult {
  readonly index: number
  errorCode: number
  baseOffset: number
  logAppendTimeMs: number
  logStartOffset: number
  recordErrors: ReadonlyArray<RecordError>
  errorMessage: string | null
}

/** The most record errors in one response: a request of 16 MiB can have millions of wrong records. The others have the batch's error. */
const recordErrorsMax = 1000

/** From here on topics are named by their ids (KIP-516). */
const topicIdVersionMin = 13

/** The first version in which a batch may be compressed with zstd (KIP-110). */
const zstdVersionMin = 7

/**
 * Clients name a partition once. It is taken some times more, but not without a bound: each batch is a command of its own, and compared with
 * all of its log that the connection has sent and that are not answered (`SentBatches`). 90,000 in a request, stored, held the
 * event loop for 1.8 s.
 */
const batchesOfPartitionMax = 16

const partitionTooOften = refused(
  KafkaError.INVALID_REQUEST,
  `A partition is in the request more than ${batchesOfPartitionMax} times.`
)

/** Why no batch of the request can be stored. */
const refuseRequest = ({ acks }: ProduceRequest): Failure | undefined =>
  acks === -1 || acks === 0 || acks === 1 ? undefined : refused(KafkaError.INVALID_REQUIRED_ACKS)

/** The one batch of a partition. Throws `InvalidBatch`. */
const checkedBatch = (records: Uint8Array | null, { limits }: BatchRules, version: number): ProducedBatch => {
  const [bytes, more] = splitBatches(records ?? new Uint8Array(0), limits)
  if (bytes === undefined || more !== undefined) {
    throw new InvalidBatch("InvalidRecord", "A request has exactly one record batch per partition.")
  }
  const batch = validateProduced(bytes, limits)
  if (batch.codec === "zstd" && version < zstdVersionMin) {
    throw new InvalidBatch("UnsupportedCompression", `Produce ${version} does not know zstd.`)
  }
  return batch
}

interface Place {
  readonly stream: Stream
  readonly partition: number
  readonly logId: number
  readonly batch: ProducedBatch
  readonly rules: BatchRules
  readonly result: PartitionResult
}

/** Why a batch cannot be stored at present: its producer sends it again. */
const refuseForNow = (
  { node, sentBatches }: RequestContext,
  logId: number,
  batch: ProducedBatch
): Failure | undefined => {
  if (node.broker.disk.isLow) {
    sentBatches.refused(logId, batch)
    return refused(KafkaError.KAFKA_STORAGE_ERROR, "The disk is nearly full.")
  }
  return sentBatches.admits(logId, batch) ? undefined : refused(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
}

/** A request whose batches are checked, and what is counted over all of them. */
interface Checking {
  readonly version: number
  /** How often a partition was named, by its log. */
  readonly named: Map<number, number>
  recordErrors: number
}

const isTooOften = ({ named }: Checking, logId: number): boolean => {
  const times = (named.get(logId) ?? 0) + 1
  named.set(logId, times)
  return times > batchesOfPartitionMax
}

const streamOf = (context: Context, { name, topicId }: TopicData, version: number): Stream | Failure =>
  version >= topicIdVersionMin ? context.topicById("Write", topicId) : context.topic("Write", name)

/** Where a partition's batch is to be stored, or why it cannot be. It is counted. */
const placeOf = (
  context: Context,
  stream: Stream | Failure,
  data: PartitionData,
  result: PartitionResult,
  checking: Checking
): Place | Failure | RefusedRecords => {
  const { limits, clock } = context.node.broker
  if (isFailure(stream)) return stream
  const partition = data.index
  const logId = stream.logIds[partition]
  if (logId === undefined) return refused(KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
  if (isTooOften(checking, logId)) return partitionTooOften
  try {
    const rules = batchRulesOf(stream, limits)
    const batch = checkedBatch(data.records, rules, checking.version)
    const wrong = refuseRecords(batch, rules, clock.nowMs(), recordErrorsMax - checking.recordErrors)
    if (wrong !== undefined) {
      checking.recordErrors += wrong.recordErrors.length
      return wrong
    }
    if (rules.timestampType === "CreateTime") stampMaxTimestamp(batch.bytes, batch.maxTimestampMs)
    return refuseForNow(context, logId, batch) ?? { stream, partition, logId, batch, rules, result }
  } catch (error) {
    const failure = batchFailure(error, recordErrorsMax - checking.recordErrors)
    checking.recordErrors += failure.recordErrors.length
    return failure
  }
}

const resultOf = (index: number): PartitionResult => ({
  index,
  errorCode: KafkaError.NONE,
  baseOffset: -1,
  logAppendTimeMs: -1,
  logStartOffset: -1,
  recordErrors: [],
  errorMessage: null
})

const fail = (result: PartitionResult, failure: Failure | RefusedRecords): void => {
  result.errorCode = failure.code
  result.errorMessage = failure.message
  if ("recordErrors" in failure) result.recordErrors = failure.recordErrors
}

/** The result tells from now on what became of the batch. */
const appended = ({ sentBatches }: RequestContext, { logId, batch, result }: Place, exit: Appended): void => {
  sentBatches.answered(logId, batch)
  if (Exit.isFailure(exit)) {
    // The partition knows of what it refuses itself.
    if (Cause.isDie(exit.cause)) sentBatches.refused(logId, batch)
    return fail(result, failureOf(exit.cause, KafkaError.KAFKA_STORAGE_ERROR))
  }
  result.baseOffset = exit.value.baseOffset
  result.logAppendTimeMs = exit.value.logAppendTimeMs ?? -1
  result.logStartOffset = exit.value.logStartOffset
}

/** Undefined for a batch of no transaction. A partition in which it is open already needs no coordinator. */
const transactionOf = (
  { node }: RequestContext,
  { logId, batch }: Place,
  version: number
): BatchTransaction | undefined => {
  if (!batch.isTransactional) return undefined
  const isOpen = node.broker.shards.logsOf(logId).find(logId)?.isOpen(batch.producerId, batch.producerEpoch) === true
  return { version: version >= addsPartitionVersionMin ? 2 : 1, isAdded: !isOpen }
}

/** A batch on its way to its partition. */
interface Sent {
  readonly place: Place
  readonly command: AppendBatch
}

/** The batch as its partition gets it, but for the codec. It counts as sent from now on, and outlives the request. */
const sentOf = (context: RequestContext, place: Place, isOnly: boolean, version: number): Sent => {
  const { logId, batch, rules } = place
  const { count, baseTimestampMs, maxTimestampMs, producerId, producerEpoch, baseSequence } = batch
  const transaction = transactionOf(context, place, version)
  const bytes = context.keep(batch.bytes, isOnly)
  const header = { bytes, count, baseTimestampMs, maxTimestampMs, producerId, producerEpoch, baseSequence }
  const isBehind = context.sentBatches.asks(logId, batch)
  const { timestampType } = rules
  return { place, command: { _tag: "AppendBatch", ...header, isBehind, transaction, timestampType } }
}

/** `coordinator` is there if a batch is of a transaction. Answers once the results tell what became of the batches. */
const appendAll = (
  context: RequestContext,
  coordinator: Address<typeof TransactionKind> | undefined,
  all: ReadonlyArray<Sent>,
  version: number
): ReadonlyArray<Answer<void>> => {
  const answers: Array<Answer<void>> = []
  const inTransaction: Array<TransactionalAppend> = []
  for (const { place, command } of all) {
    const { stream, partition, logId, batch, result } = place
    const told = (exit: Appended): void => appended(context, place, exit)
    if (command.transaction?.isAdded !== true) {
      answers.push(context.ask(partitionActor(logId), command, told, command.bytes.length))
      continue
    }
    inTransaction.push({
      partition: { topicId: stream.topicId, stream: stream.name, partition, logId },
      command,
      appended: told,
      refused: (failure, isForNow) => {
        context.sentBatches.answered(logId, batch)
        if (isForNow) context.sentBatches.refused(logId, batch)
        fail(result, failure)
      }
    })
  }
  if (inTransaction.length > 0) answers.push(appendInTransaction(context, coordinator!, inTransaction, version))
  return answers
}

/** Its topic has another codec than the batch came with. */
const isOfOtherCodec = ({ batch, rules: { codec } }: Place): boolean => codec !== undefined && codec !== batch.codec

/** From so many bytes of records on, decompressed, a part of a request ends. */
const partBytesMin = 1024 * 1024

const partsOf = (places: ReadonlyArray<Place>): ReadonlyArray<ReadonlyArray<Place>> => {
  const parts: Array<Array<Place>> = []
  let part: Array<Place> = []
  let partBytes = 0
  for (const place of places) {
    if (part.length === 0) parts.push(part)
    part.push(place)
    partBytes += place.batch.recordsBytes
    if (partBytes < partBytesMin && part.length < batchesPerTurn) continue
    part = []
    partBytes = 0
  }
  return parts
}

const recompressionOf = ({ place, command: { bytes } }: Sent): Recompression => ({
  bytes,
  recordsBytes: place.batch.recordsBytes,
  codec: isOfOtherCodec(place) ? place.rules.codec : undefined,
  limits: place.rules.limits
})

/** The batches of a part that can be stored, as they were made; the results of the others tell why not. */
const storable = (
  { sentBatches }: RequestContext,
  part: ReadonlyArray<Sent>,
  made: ReadonlyArray<Recompressed>
): ReadonlyArray<Sent> =>
  part.flatMap(({ place, command }, i) => {
    const bytes = made[i]!
    if (bytes instanceof Uint8Array) return [{ place, command: { ...command, bytes } }]
    sentBatches.answered(place.logId, place.batch)
    fail(place.result, batchFailure(bytes))
    return []
  })

/** The batches of a part as they are to be stored. */
const made = (context: RequestContext, part: ReadonlyArray<Sent>): Answer<ReadonlyArray<Sent>> => {
  if (!part.some(({ place }) => isOfOtherCodec(place))) return part
  const ready = new Pending<ReadonlyArray<Recompressed>>()
  const give = (made: ReadonlyArray<Recompressed>): void => context.guarded(() => ready.give(made))
  context.node.recompressor.recompress(part.map(recompressionOf), give)
  return after(ready, (made) => storable(context, part, made))
}

/** Has the batches stored, part by part. `goOn` is called once the last part is on its way. */
const sendInParts = (
  context: RequestContext,
  coordinator: Address<typeof TransactionKind> | undefined,
  places: ReadonlyArray<Place>,
  version: number,
  goOn: () => void
): Answer<void> => {
  const { batchShare } = context.node
  const parts = partsOf(places)
  const stored = new Pending<void>()
  const sendPart = (part: ReadonlyArray<Place>): Answer<void> => {
    batchShare.use(part.length)
    const all = part.map((place) => sentOf(context, place, places.length === 1, version))
    return flatAfter(made(context, all), (ready) => {
      const answers = appendAll(context, coordinator, ready, version)
      if (part === parts.at(-1)) goOn()
      return afterAll(answers, () => undefined)
    })
  }
  const next = (at: number): void => {
    const part = parts[at]
    if (part === undefined) stored.give()
    else if (batchShare.isUsedUp) batchShare.wait(() => context.guarded(() => next(at)))
    else after(sendPart(part), () => next(at + 1))
  }
  next(0)
  return stored
}

/** Has the batches stored. `goOn`: there if the request holds back those behind it already. */
const send = (
  context: RequestContext,
  coordinator: Address<typeof TransactionKind> | undefined,
  places: ReadonlyArray<Place>,
  version: number,
  goOn: (() => void) | undefined
): Answer<void> => {
  if (places.length === 0) return goOn?.()
  if (goOn !== undefined || places.some(isOfOtherCodec)) {
    return sendInParts(context, coordinator, places, version, goOn ?? context.holdBack())
  }
  const all = places.map((place) => sentOf(context, place, places.length === 1, version))
  return afterAll(appendAll(context, coordinator, all, version), () => undefined)
}

/** A batch of a transaction without its transactional id, or with one that its producer may not use: Kafka refuses all of the request. */
const refuseProducer = (
  coordinator: Address<typeof TransactionKind> | Failure | undefined,
  places: ReadonlyArray<Place>
): Failure | undefined => {
  if (!places.some(({ batch }) => batch.isTransactional)) return undefined
  if (coordinator === undefined) return refused(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  return isFailure(coordinator) ? coordinator : undefined
}

interface TopicResult extends TopicData {
  readonly partitionResponses: ReadonlyArray<PartitionResult>
}

/** So that whoever reads the journal or the log finds the client. */
const nameRefused = (context: Context, topics: ReadonlyArray<TopicResult>, version: number): void => {
  const { node, clientId, clientHost } = context
  for (const { partitionResponses, ...asked } of topics) {
    const stream = streamOf(context, asked, version)
    const topic = isFailure(stream) ? asked.name || asked.topicId : stream.name
    for (const { errorCode, errorMessage } of partitionResponses) {
      if (errorCode === KafkaError.NONE) continue
      const name = errorName(errorCode)
      const isLogged = errorCode === KafkaError.CORRUPT_MESSAGE
      const code = `${errorCode} ${name}`
      node.refusals.add({ clientId, address: clientHost, code, reason: errorMessage ?? name, topic, isLogged })
    }
  }
}

const auditBatches = (context: RequestContext, all: ReadonlyArray<Asked>): void => {
  const bad = all.find(({ result }) => result.errorCode === KafkaError.CORRUPT_MESSAGE)
  if (bad === undefined) return
  const { clientId, clientHost } = context
  const reason = bad.result.errorMessage ?? ""
  context.node.audit("kafka: corrupt batch refused", { clientId, address: clientHost, reason })
}

/** A batch of a request, and where it is told what became of it. */
interface Asked {
  readonly stream: Stream | Failure
  readonly data: PartitionData
  readonly result: PartitionResult
}

/** Its batches are checked and stored in several turns of the event loop. */
const isLarge = (all: ReadonlyArray<Asked>): boolean => all.length > batchesPerTurn

/** The batches that can be stored; the results of the others tell why not. At once, or over turns of the event loop if they are many. */
const check = (
  context: Context,
  request: ProduceRequest,
  all: ReadonlyArray<Asked>,
  version: number
): Answer<ReadonlyArray<Place>> => {
  const refusal = refuseRequest(request)
  const checking: Checking = { version, named: new Map(), recordErrors: 0 }
  const places: Array<Place> = []
  const checkOne = ({ stream, data, result }: Asked): void => {
    const place = refusal ?? placeOf(context, stream, data, result, checking)
    if ("code" in place) fail(result, place)
    else places.push(place)
  }
  if (!isLarge(all)) {
    for (const asked of all) checkOne(asked)
    return places
  }
  const { batchShare } = context.node
  const checkInTurn = (asked: Asked): void => {
    batchShare.use(1)
    checkOne(asked)
  }
  return after(overTurns(context, batchShare, all, checkInTurn), () => places)
}

const produce = (context: Context, request: ProduceRequest, version: number): Answer<Reply<ProduceResponse>> => {
  const { acks, transactionalId } = request
  const all: Array<Asked> = []
  const responses = request.topicData.map(({ name, topicId, partitionData }) => {
    const stream = streamOf(context, { name, topicId }, version)
    const partitionResponses = partitionData.map((data) => {
      const result = resultOf(data.index)
      all.push({ stream, data, result })
      return result
    })
    return { name, topicId, partitionResponses }
  })
  const goOn = isLarge(all) ? context.holdBack() : undefined
  const stored = flatAfter(check(context, request, all, version), (places): Answer<void> => {
    auditBatches(context, all)
    const coordinator = transactionalId === null ? undefined : context.transaction("Write", transactionalId)
    const wrongProducer = refuseProducer(coordinator, places)
    if (wrongProducer === undefined) {
      const to = coordinator === undefined || isFailure(coordinator) ? undefined : coordinator
      return send(context, to, places, version, goOn)
    }
    for (const { result } of all) fail(result, wrongProducer)
    return goOn?.()
  })
  return after(stored, () => {
    const hasFailed = all.some(({ result }) => result.errorCode !== KafkaError.NONE)
    if (hasFailed) nameRefused(context, responses, version)
    // An end is Kafka's own way to tell a producer that does not listen.
    const isSilent = acks === 0
    return new Reply({ responses }, { isSilent, hangsUp: isSilent && hasFailed })
  })
}

export const produceHandler = handler(Produce, { serves: [3, 13], listedFrom: 0, needs, handle: produce })
