import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { Shard } from "@logbrook/core/shard/Shard"
import type { Shards } from "@logbrook/core/shard/Shards"
import type { Log } from "@logbrook/core/storage/Log"
import { batchBytesMax } from "@logbrook/core/storage/LogIndex"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { isFailure } from "./Access.ts"
import type { Failure } from "./errors.ts"
import type { AskedPartition, AskedTopic } from "./FetchSession.ts"
import { checkLeaderEpoch, endOfEpoch, type EpochEnd } from "./leaderEpochs.ts"

const noCancel = (): void => undefined

/** A partition of a fetch that may wait. */
export class FetchPartition {
  readonly topic: AskedTopic
  /** "" if there is no such topic. */
  readonly topicName: string
  readonly asked: AskedPartition
  /** Undefined: there is no such partition. */
  readonly log: Log | undefined
  /** The error of what cannot change while the fetch waits, or of the reading. */
  errorCode: number
  readonly #shard: Shard | undefined
  readonly #isCommittedOnly: boolean
  /** The bytes that are known to be readable, from the fetch offset up to `#countedTo`. */
  #countedBytes = 0
  #countedTo: number

  /** `isCommittedOnly`: nothing is read that is not decided yet. */
  constructor(
    shards: Shards,
    found: Stream | Failure,
    topic: AskedTopic,
    asked: AskedPartition,
    isCommittedOnly: boolean
  ) {
    this.#isCommittedOnly = isCommittedOnly
    const logId = isFailure(found) ? undefined : found.logIds[asked.partition]
    this.topic = topic
    this.topicName = isFailure(found) ? "" : found.name
    this.asked = asked
    this.#countedTo = asked.fetchOffset
    const shard = logId === undefined ? undefined : shards.ofLog(logId)
    this.#shard = shard
    this.log = shard?.logs.log(logId!)
    // A stream that is known by its id may still have no such partition.
    const unknownPartition = isFailure(found) ? found.code : KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    this.errorCode = shard === undefined ? unknownPartition : checkLeaderEpoch(shard, asked.currentLeaderEpoch)
  }

  /** Retention moves the log's start while a fetch waits. */
  currentError(): number {
    if (this.errorCode !== KafkaError.NONE || this.log === undefined) return this.errorCode
    const { fetchOffset } = this.asked
    const isWithin = fetchOffset >= this.log.startOffset && fetchOffset <= this.log.highWatermark
    return isWithin ? KafkaError.NONE : KafkaError.OFFSET_OUT_OF_RANGE
  }

  /** Where the client's log ends to be the server's, if it has read what is not there (KIP-595's truncation on fetch). */
  divergingEpoch(): EpochEnd | undefined {
    const { lastFetchedEpoch, fetchOffset } = this.asked
    if (lastFetchedEpoch < 0 || this.log === undefined || this.#shard === undefined) return undefined
    const end = endOfEpoch(this.#shard, this.log, lastFetchedEpoch)
    return end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset ? end : undefined
  }

  /** Where reading ends. */
  get endOffset(): number {
    if (this.log === undefined) return 0
    return this.#isCommittedOnly ? this.log.lastStableOffset : this.log.highWatermark
  }

  isExceptional(): boolean {
    return this.currentError() !== KafkaError.NONE || this.divergingEpoch() !== undefined
  }

  /** Readable bytes, counted from the index up to `enoughBytes` and the partition's own maximum; each reference once. */
  countReadable(enoughBytes: number): number {
    const { log, endOffset } = this
    if (log === undefined || this.#countedTo >= endOffset) return this.#countedBytes
    const enough = Math.min(enoughBytes, this.asked.partitionMaxBytes)
    let at = log.index.find(this.#countedTo)
    while (this.#countedBytes < enough && at < log.index.count && this.#countedTo < endOffset) {
      const { byteLength, baseOffset, count } = log.index.at(at++)
      // What compaction took away may lie below the end: then nothing is left there.
      if (baseOffset >= endOffset) {
        this.#countedTo = endOffset
        break
      }
      this.#countedBytes += byteLength
      this.#countedTo = baseOffset + count
    }
    return this.#countedBytes
  }

  /** The bytes of the batch at the fetch offset, without the header of a batch that the server builds; 0 if there is nothing to read. */
  nextBatchBytes(): number {
    const { log, asked } = this
    if (log === undefined || this.currentError() !== KafkaError.NONE) return 0
    if (this.divergingEpoch() !== undefined || asked.fetchOffset >= this.endOffset) return 0
    const at = log.index.find(asked.fetchOffset)
    if (at >= log.index.count) return 0
    const next = log.index.at(at)
    return next.baseOffset < this.endOffset ? batchBytesMax(next) : 0
  }

  onAppend(wake: () => void): () => void {
    return this.log?.onAppend(wake) ?? noCancel
  }
}
