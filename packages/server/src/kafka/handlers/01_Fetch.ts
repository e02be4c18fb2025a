import { Loan } from "@logbrook/core/BufferPool"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { batchHeaderBytes } from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { RequestOf, ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import type { Answer } from "../Answer.ts"
import { FetchPartition } from "../FetchPartition.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"

// Fetch 4-17, straight from storage: whole batches up to the high watermark, at least one overall (KIP-74), after min_bytes
// or max_wait. Each request of a connection begins with another partition, so that none starves. Topic ids from v13 on.
// Batches that the server has compressed itself go out so from v10 on (KIP-110) to clients that are known to read
// them: kafkajs asks for v11 without having zstd. Batches that a producer has compressed go out as they are in every
// version, as Kafka sends them unless the topic's own `compression.type` is zstd: a client without zstd reads what
// stands before such a batch.
// Left out: sessions (every answer has session id 0, which is legal and makes clients send full requests), replicas (a
// replica id >= 0 is refused), aborted transactions (there are none: the last stable offset is the high watermark).

const needs = { Topic: ["Read"] } as const

type Context = ContextOf<typeof needs>
type FetchRequest = RequestOf<typeof Fetch>
type FetchResponse = ResponseInputOf<typeof Fetch>
type PartitionResponse = FetchResponse["responses"][number]["partitions"][number]

const zstdVersionMin = 10
const readCommitted = 1
const noBatches: ReadonlyArray<Uint8Array> = []

/** A fetch from its arrival to its answer. */
class Fetching {
  readonly #context: Context
  readonly #request: FetchRequest
  readonly #version: number
  #partitions: ReadonlyArray<FetchPartition>
  #directoryVersion: number
  #wake: (() => void) | undefined
  #unwatch: ReadonlyArray<() => void> = []

  constructor(context: Context, request: FetchRequest, version: number) {
    this.#context = context
    this.#request = request
    this.#version = version
    this.#directoryVersion = context.streamsVersion
    this.#partitions = this.#resolve()
  }

  #resolve(): ReadonlyArray<FetchPartition> {
    const context = this.#context
    const { shards } = context.node.broker
    const byId = this.#version >= 13
    return this.#request.topics.flatMap(({ topic, topicId, partitions }) => {
      const found = byId ? context.topicById("Read", topicId) : context.topic("Read", topic)
      return partitions.map((asked) => new FetchPartition(shards, found, asked))
    })
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
    const loan = new Loan(this.#context.node.broker.shards.buffers)
    const results = this.#readAll(loan)
    let at = 0
    const responses = this.#request.topics.map(({ topic, topicId, partitions }) => {
      const own = results.slice(at, at + partitions.length)
      at += partitions.length
      return { topic, topicId, partitions: own }
    })
    return new Reply({ responses }, { loan })
  }

  /** Reads in rotated order, answers in the order asked. */
  #readAll(loan: Loan): ReadonlyArray<PartitionResponse> {
    const count = this.#partitions.length
    const results: Array<PartitionResponse> = []
    let leftBytes = Math.min(this.#bytesMax(), this.#context.responseRoomBytes())
    let isFirst = true
    for (let i = 0, first = this.#context.nextFetch(); i < count; i++) {
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
      const log = partition.log!
      return shards.logsOf(log.id).read(log, partition.asked.fetchOffset, roomBytes, loan.take, readsZstd)
    } catch (error) {
      if (!(error instanceof JournalError)) throw error
      report.error("kafka: a log cannot be read", { log: partition.log!.id, error: error.message })
      partition.errorCode = KafkaError.KAFKA_STORAGE_ERROR
      return []
    }
  }

  #result(partition: FetchPartition, records: ReadonlyArray<Uint8Array>): PartitionResponse {
    const { asked, log } = partition
    const partitionIndex = asked.partition
    const errorCode = partition.currentError()
    if (log === undefined || errorCode !== KafkaError.NONE) {
      return { partitionIndex, errorCode, highWatermark: -1, abortedTransactions: null, records: noBatches }
    }
    const diverging = partition.divergingEpoch()
    return {
      partitionIndex,
      errorCode,
      highWatermark: log.highWatermark,
      lastStableOffset: log.lastStableOffset,
      logStartOffset: log.startOffset,
      ...(diverging && { divergingEpoch: diverging }),
      abortedTransactions: this.#request.isolationLevel === readCommitted ? [] : null,
      records
    }
  }
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
  const { sessionId, sessionEpoch, replicaId, replicaState } = request
  const replica = Math.max(replicaId, replicaState.replicaId)
  if (replica >= 0) {
    const refused = refuse(request, version, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    return new Reply(refused, { violation: `Fetch as replica ${replica}` })
  }
  if (sessionId !== 0) return refuse(request, version, KafkaError.FETCH_SESSION_ID_NOT_FOUND)
  if (sessionEpoch > 0) return refuse(request, version, KafkaError.INVALID_FETCH_SESSION_EPOCH)
  return new Fetching(context, request, version).start()
}

export const fetchHandler = handler(Fetch, { serves: [4, 17], needs, handle: fetch })
