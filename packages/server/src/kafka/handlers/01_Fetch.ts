import { Loan } from "@logbrook/core/BufferPool"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { batchHeaderBytes, lastOffset } from "@logbrook/core/RecordBatch"
import type { Log } from "@logbrook/core/storage/Log"
import type { AbortedTransaction } from "@logbrook/core/transaction/LogTransactions"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { RequestOf, ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import { isFailure } from "../Access.ts"
import type { Answer } from "../Answer.ts"
import { refused, type Failure } from "../errors.ts"
import { FetchPartition } from "../FetchPartition.ts"
import type { AskedTopic, FetchSession, FoundPartition, SessionPartition } from "../FetchSession.ts"
import type { Opened } from "../FetchSessions.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { joinNeighbours } from "../joinNeighbours.ts"
import { Reply } from "../Reply.ts"

// Fetch 4-18, straight from storage: whole batches up to the high watermark, or to the last stable offset for readers of
// committed records, who are told of the aborted transactions among them (KIP-98); at least one overall (KIP-74), after min_bytes or
// max_wait. Topic ids from v13 on. In a session (v7) only news are answered, and the partitions that were given records
// are read last the next time (KIP-227); each other request of a connection begins with another partition. So none starves.
// Batches that the server has compressed itself go out so from v10 on (KIP-110) to clients that are known to read
// them: kafkajs asks for v11 without having zstd. Batches that a producer, or the topic's `compression.type`, has compressed go out as
// they are in every version, as Kafka sends them: a client without zstd reads what stands before such a batch.
// Left out: replicas (a replica id >= 0 is refused, and the high watermark that one knows is not read).

const needs = { Topic: ["Read"] } as const

type Context = ContextOf<typeof needs>
type FetchRequest = RequestOf<typeof Fetch>
type FetchResponse = ResponseInputOf<typeof Fetch>
type TopicResponse = FetchResponse["responses"][number]
/** What is answered of a partition, if it is. */
type PartitionResponse = TopicResponse["partitions"][number] & FoundPartition

const zstdVersionMin = 10
const topicIdVersionMin = 13
const readCommitted = 1
const noBatches: ReadonlyArray<Uint8Array> = []

/** A topic of a session was deleted, and another one has its name. */
const inconsistentTopicId = refused(KafkaError.INCONSISTENT_TOPIC_ID)

type Accepted = Exclude<Opened, { readonly _tag: "Refused" }>

/** A fetch from its arrival to its answer. */
class Fetching {
  readonly #context: Context
  readonly #request: FetchRequest
  readonly #version: number
  readonly #opened: Accepted
  #partitions: ReadonlyArray<FetchPartition>
  #directoryVersion: number
  #wake: (() => void) | undefined
  #unwatch: ReadonlyArray<() => void> = []

  constructor(context: Context, request: FetchRequest, version: number, opened: Accepted) {
    this.#context = context
    this.#request = request
    this.#version = version
    this.#opened = opened
    this.#directoryVersion = context.streamsVersion
    this.#partitions = this.#resolve()
  }

  get #usesTopicIds(): boolean {
    return this.#version >= topicIdVersionMin
  }

  get #isCommittedOnly(): boolean {
    return this.#request.isolationLevel === readCommitted
  }

  #resolve(): ReadonlyArray<FetchPartition> {
    if (this.#opened._tag === "Incremental") return this.#resolveSession(this.#opened.session)
    const { shards } = this.#context.node.broker
    return this.#request.topics.flatMap((topic) => {
      const found = this.#find(topic)
      return topic.partitions.map((asked) => new FetchPartition(shards, found, topic, asked, this.#isCommittedOnly))
    })
  }

  /** The topics of a session do not come one behind the other; each is looked up once. */
  #resolveSession({ partitions }: FetchSession): ReadonlyArray<FetchPartition> {
    const { shards } = this.#context.node.broker
    const topics = new Map<string, Stream | Failure>()
    return Array.from(partitions, (asked) => {
      const key = this.#usesTopicIds ? asked.topicId : asked.topic
      const known = topics.get(key)
      const found = known ?? this.#find(asked)
      if (known === undefined) topics.set(key, found)
      return new FetchPartition(shards, this.#sinceDeleted(asked, found), asked, asked, this.#isCommittedOnly)
    })
  }

  #find({ topic, topicId }: AskedTopic): Stream | Failure {
    return this.#usesTopicIds ? this.#context.topicById("Read", topicId) : this.#context.topic("Read", topic)
  }

  /** Of a topic that was there when its session began, a client is told by its name what has become of it. */
  #sinceDeleted(partition: SessionPartition, found: Stream | Failure): Stream | Failure {
    if (!isFailure(found)) {
      partition.name = found.name
      return found
    }
    if (partition.name === "" || found.code !== KafkaError.UNKNOWN_TOPIC_ID) return found
    const named = this.#context.topic("Read", partition.name)
    return isFailure(named) ? named : inconsistentTopicId
  }

  start(): Answer<Reply<FetchResponse>> {
    const { maxWaitMs } = this.#request
    if (maxWaitMs <= 0 || this.#partitions.length === 0 || this.#isDue()) return this.#answer()
    return this.#context.waitFor({
      waitMsMax: Math.min(maxWaitMs, this.#context.node.broker.limits.fetchWaitMsMax),
      watch: (wake) => this.#watch(wake),
      look: () => this.#look(),
      expired: () => this.#answer()
    })
  }

  /** Whether there is enough, or something that the client must know at once. */
  #isDue(): boolean {
    const { minBytes } = this.#request
    let bytes = 0
    for (const partition of this.#partitions) {
      if (partition.isExceptional()) return true
      bytes += partition.countReadable(minBytes)
    }
    return bytes >= Math.min(minBytes, this.#bytesMax())
  }

  #bytesMax(): number {
    return Math.max(0, Math.min(this.#request.maxBytes, this.#context.node.broker.limits.fetchBytesMax))
  }

  #watch(wake: () => void): () => void {
    this.#wake = wake
    this.#unwatch = this.#partitions.map((partition) => partition.onAppend(wake))
    return () => {
      for (const unwatch of this.#unwatch) unwatch()
    }
  }

  #look(): Reply<FetchResponse> | undefined {
    const isOther = this.#refresh()
    if (this.#isDue()) return this.#answer()
    if (isOther && this.#wake !== undefined) {
      for (const unwatch of this.#unwatch) unwatch()
      this.#watch(this.#wake)
    }
    return undefined
  }

  /** Streams may have been deleted or made while the fetch waited. */
  #refresh(): boolean {
    const { streamsVersion } = this.#context
    if (streamsVersion === this.#directoryVersion) return false
    this.#directoryVersion = streamsVersion
    this.#partitions = this.#resolve()
    return true
  }

  #answer(): Reply<FetchResponse> {
    this.#refresh()
    const opened = this.#opened
    if (opened._tag === "Incremental" && opened.session.epoch !== opened.epoch) {
      const { id: sessionId } = opened.session
      return new Reply({ errorCode: KafkaError.INVALID_FETCH_SESSION_EPOCH, sessionId, responses: [] }, {})
    }
    const loan = new Loan(this.#context.node.broker.shards.buffers)
    const results = this.#readAll(loan)
    if (opened._tag === "Full") {
      const sessionId = opened.mayCreate ? this.#createSession(results) : 0
      return new Reply({ sessionId, responses: this.#byTopic(results) }, { loan })
    }
    const { session } = opened
    // `asked` of a session's partition is that partition, in the same order.
    const asked = [...session.partitions]
    const told = results.map((result, i) => (session.tells(asked[i]!, result) ? result : undefined))
    return new Reply({ sessionId: session.id, responses: this.#byTopic(told) }, { loan })
  }

  /** Its id; 0: there is none. */
  #createSession(results: ReadonlyArray<PartitionResponse>): number {
    const { fetchSessions } = this.#context.node
    const session = fetchSessions.create(this.#request.topics, this.#usesTopicIds)
    if (session === undefined) return 0
    results.forEach((result, i) => {
      const { topic, topicName } = this.#partitions[i]!
      const partition = session.find(topic, result.partitionIndex)
      if (partition === undefined) return
      partition.name = topicName
      partition.tells(result)
    })
    return session.id
  }

  /** Neighbours of one topic are together; what is undefined is left out. */
  #byTopic(results: ReadonlyArray<PartitionResponse | undefined>): ReadonlyArray<TopicResponse> {
    const responses: Array<TopicResponse> = []
    let current: AskedTopic | undefined
    let partitions: Array<PartitionResponse> = []
    for (const [i, result] of results.entries()) {
      if (result === undefined) continue
      const { topic, topicId } = this.#partitions[i]!.topic
      if (current?.topic !== topic || current.topicId !== topicId) {
        current = { topic, topicId }
        partitions = []
        responses.push({ topic, topicId, partitions })
      }
      partitions.push(result)
    }
    return responses
  }

  /** Results are in the order of the partitions; those of a request are read in rotated order. */
  #readAll(loan: Loan): ReadonlyArray<PartitionResponse> {
    const count = this.#partitions.length
    const results: Array<PartitionResponse> = []
    let leftBytes = Math.min(this.#bytesMax(), this.#context.responseRoomBytes())
    let isFirst = true
    for (let i = 0, first = this.#opened._tag === "Full" ? this.#context.nextFetch() : 0; i < count; i++) {
      const at = (first + i) % count
      const partition = this.#partitions[at]!
      const batches = this.#read(partition, leftBytes, isFirst, loan)
      for (const batch of batches) leftBytes -= batch.length
      if (batches.length > 0) isFirst = false
      results[at] = this.#result(partition, batches)
    }
    return results
  }

  #read(partition: FetchPartition, leftBytes: number, isFirst: boolean, loan: Loan): ReadonlyArray<Uint8Array> {
    const { shards, log: report } = this.#context.node.broker
    const roomBytes = Math.max(0, Math.min(leftBytes, partition.asked.partitionMaxBytes))
    const next = partition.nextBatchBytes()
    // Only the first batch of a response may be longer than what is left (KIP-74).
    if (next === 0 || (!isFirst && next + batchHeaderBytes > roomBytes)) return []
    const readsZstd = this.#version >= zstdVersionMin && this.#context.readsZstd
    try {
      const { endOffset } = partition
      const log = partition.log!
      const options = { take: loan.take, readsZstd, endOffset, isPassedOn: true }
      return shards.logsOf(log.id).read(log, partition.asked.fetchOffset, roomBytes, options)
    } catch (error) {
      if (!(error instanceof JournalError)) throw error
      report.error("kafka: a log cannot be read", { log: partition.log!.id, error: error.message })
      partition.errorCode = KafkaError.KAFKA_STORAGE_ERROR
      return []
    }
  }

  #result(partition: FetchPartition, batches: ReadonlyArray<Uint8Array>): PartitionResponse {
    const { asked, log } = partition
    const partitionIndex = asked.partition
    const errorCode = partition.currentError()
    if (log === undefined || errorCode !== KafkaError.NONE) {
      // As Kafka has it: of what is not there the list is empty, whatever the isolation level is.
      const abortedTransactions = log === undefined ? [] : null
      return { partitionIndex, errorCode, highWatermark: -1, abortedTransactions, records: noBatches }
    }
    const diverging = partition.divergingEpoch()
    return {
      partitionIndex,
      errorCode,
      highWatermark: log.highWatermark,
      lastStableOffset: log.lastStableOffset,
      logStartOffset: log.startOffset,
      ...(diverging && { divergingEpoch: diverging }),
      abortedTransactions: this.#isCommittedOnly ? abortedIn(log, asked.fetchOffset, batches) : null,
      records: joinNeighbours(batches)
    }
  }
}

/** The aborted transactions that the client has to pass over in these batches. */
const abortedIn = (
  log: Log,
  fetchOffset: number,
  batches: ReadonlyArray<Uint8Array>
): ReadonlyArray<AbortedTransaction> => {
  const last = batches.at(-1)
  return last === undefined ? [] : log.abortedWithin(fetchOffset, lastOffset(last) + 1)
}

/** The answer to requests that are refused as a whole. */
const refuse = (request: FetchRequest, version: number, errorCode: number): FetchResponse => {
  const partitionError = (partitionIndex: number): PartitionResponse => ({
    partitionIndex,
    errorCode,
    highWatermark: -1,
    abortedTransactions: null,
    records: noBatches
  })
  // Before v7 there is no place for an error of the whole request.
  const topics = version >= 7 ? [] : request.topics
  const responses = topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map(({ partition }) => partitionError(partition))
  }))
  return { errorCode, responses }
}

const fetch = (context: Context, request: FetchRequest, version: number) => {
  const { replicaId, replicaState } = request
  const replica = Math.max(replicaId, replicaState.replicaId)
  if (replica >= 0) {
    const refused = refuse(request, version, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    return new Reply(refused, { violation: `Fetch as replica ${replica}` })
  }
  const opened = context.node.fetchSessions.open(request, version >= topicIdVersionMin)
  if (opened._tag === "Refused") return refuse(request, version, opened.errorCode)
  return new Fetching(context, request, version, opened).start()
}

export const fetchHandler = handler(Fetch, { serves: [4, 18], needs, handle: fetch })
