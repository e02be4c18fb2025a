import { Loan } from "@logbrook/core/BufferPool"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { batchHeaderBytes } from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { RequestOf, ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import { firstError } from "../errors.ts"
import { FetchPartition } from "../FetchPartition.ts"
import { handler, type RequestContext, type Respond } from "../Handler.ts"

// Fetch 4-17, straight from storage: whole batches up to the high watermark, at least one overall (KIP-74), after min_bytes
// or max_wait. Each request of a connection begins with another partition, so that none starves. Topic ids from v13 on.
// What the server has compressed itself goes out so from v10 on (KIP-110) to clients that are known to read it: kafkajs
// asks for v11 without having zstd. What a producer has compressed goes out as it is in every version, as Kafka sends it
// unless the topic's own `compression.type` is zstd: a client without zstd reads what stands before such a batch.
// Left out: sessions (every answer has session id 0, which is legal and makes clients send full requests), replicas (a
// replica id >= 0 is refused), aborted transactions (there are none: the last stable offset is the high watermark).

type FetchRequest = RequestOf<typeof Fetch>
type FetchResponse = ResponseInputOf<typeof Fetch>
type PartitionResponse = FetchResponse["responses"][number]["partitions"][number]

const zstdVersionMin = 10
const readCommitted = 1
const noBatches: ReadonlyArray<Uint8Array> = []

/** One fetch from its arrival to its answer. */
class Fetching {
  readonly #context: RequestContext
  readonly #request: FetchRequest
  readonly #version: number
  readonly #respond: Respond<FetchResponse>
  #partitions: ReadonlyArray<FetchPartition>
  #directoryVersion: number
  #dueAtMs = 0
  #stopWaiting: (() => void) | undefined
  #isLooking = false

  constructor(context: RequestContext, request: FetchRequest, version: number, respond: Respond<FetchResponse>) {
    this.#context = context
    this.#request = request
    this.#version = version
    this.#respond = respond
    this.#directoryVersion = context.node.broker.directory.version
    this.#partitions = this.#resolve()
  }

  #resolve(): ReadonlyArray<FetchPartition> {
    const { broker } = this.#context.node
    const { directory } = broker
    const byId = this.#version >= 13
    return this.#request.topics.flatMap(({ topic, topicId, partitions }) => {
      const stream = byId ? directory.byTopicId(topicId) : directory.byName(topic)
      const unknown = byId ? KafkaError.UNKNOWN_TOPIC_ID : KafkaError.UNKNOWN_TOPIC_OR_PARTITION
      return partitions.map((asked) => new FetchPartition(broker.shard, stream, unknown, asked))
    })
  }

  start(): void {
    const { maxWaitMs } = this.#request
    if (maxWaitMs <= 0 || this.#partitions.length === 0 || this.#isDue()) return this.#answer()
    const { clock, limits } = this.#context.node.broker
    this.#dueAtMs = clock.monotonicMs() + Math.min(maxWaitMs, limits.fetchWaitMsMax)
    return this.#wait()
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

  #wait(): void {
    const { clock } = this.#context.node.broker
    const look = (): void => this.#lookSoon()
    const cancels = this.#partitions.map((partition) => partition.onAppend(look))
    cancels.push(
      clock.after(Math.max(0, this.#dueAtMs - clock.monotonicMs()), () => this.#guarded(() => this.#answer()))
    )
    this.#stopWaiting = () => {
      this.#stopWaiting = undefined
      this.#context.onCancel(undefined)
      for (const cancel of cancels) cancel()
    }
    this.#context.onCancel(() => this.#stopWaiting?.())
  }

  /** After the turn that appended: it may have woken this fetch several times, and has others to tell. */
  #lookSoon(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#context.node.broker.clock.nextTurn(() => {
      this.#isLooking = false
      this.#guarded(() => this.#look())
    })
  }

  #look(): void {
    if (this.#stopWaiting === undefined) return
    const isOther = this.#refresh()
    if (this.#isDue()) this.#answer()
    else if (isOther) {
      this.#stopWaiting()
      this.#wait()
    }
  }

  #guarded(task: () => void): void {
    this.#context.guarded(task)
  }

  /** Streams may have been deleted or made while the fetch waited. */
  #refresh(): boolean {
    const { version } = this.#context.node.broker.directory
    if (version === this.#directoryVersion) return false
    this.#directoryVersion = version
    this.#partitions = this.#resolve()
    return true
  }

  #answer(): void {
    this.#stopWaiting?.()
    this.#refresh()
    const loan = new Loan(this.#context.node.broker.shard.logs.buffers)
    const results = this.#readAll(loan)
    let at = 0
    const responses = this.#request.topics.map(({ topic, topicId, partitions }) => {
      const own = results.slice(at, at + partitions.length)
      at += partitions.length
      return { topic, topicId, partitions: own }
    })
    this.#respond({ responses }, firstError(results), loan)
  }

  /** Reads in rotated order, answers in the order asked. */
  #readAll(loan: Loan): ReadonlyArray<PartitionResponse> {
    const count = this.#partitions.length
    const results: Array<PartitionResponse> = []
    let leftBytes = Math.min(this.#bytesMax(), this.#context.responseRoomBytes())
    let isFirst = true
    for (let i = 0, turn = this.#context.nextFetch(); i < count; i++) {
      const at = (turn + i) % count
      const partition = this.#partitions[at]!
      const batches = this.#read(partition, leftBytes, isFirst, loan)
      for (const batch of batches) leftBytes -= batch.length
      if (batches.length > 0) isFirst = false
      results[at] = this.#result(partition, batches)
    }
    return results
  }

  #read(partition: FetchPartition, leftBytes: number, isFirst: boolean, loan: Loan): ReadonlyArray<Uint8Array> {
    const { shard, log: report } = this.#context.node.broker
    const roomBytes = Math.max(0, Math.min(leftBytes, partition.asked.partitionMaxBytes))
    const next = partition.nextBatchBytes()
    // Only the first batch of a response may be longer than what is left (KIP-74).
    if (next === 0 || (!isFirst && next + batchHeaderBytes > roomBytes)) return []
    const readsZstd = this.#version >= zstdVersionMin && this.#context.readsZstd
    try {
      return shard.logs.read(partition.log!, partition.asked.fetchOffset, roomBytes, loan.take, readsZstd)
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
      lastStableOffset: log.highWatermark,
      logStartOffset: log.startOffset,
      ...(diverging && { divergingEpoch: diverging }),
      abortedTransactions: this.#request.isolationLevel === readCommitted ? [] : null,
      records
    }
  }
}

/** The answer to requests that are refused as a whole. */
const refuse = (respond: Respond<FetchResponse>, request: FetchRequest, version: number, errorCode: number): void => {
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
  respond({ errorCode, responses }, errorCode)
}

export const fetchHandler = handler(Fetch, [4, 17], (context, request, version, respond) => {
  const { sessionId, sessionEpoch, replicaId, replicaState } = request
  const replica = Math.max(replicaId, replicaState.replicaId)
  if (replica >= 0) {
    context.violation(`Fetch as replica ${replica}`)
    return refuse(respond, request, version, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
  }
  if (sessionId !== 0) return refuse(respond, request, version, KafkaError.FETCH_SESSION_ID_NOT_FOUND)
  if (sessionEpoch > 0) return refuse(respond, request, version, KafkaError.INVALID_FETCH_SESSION_EPOCH)
  return new Fetching(context, request, version, respond).start()
})
