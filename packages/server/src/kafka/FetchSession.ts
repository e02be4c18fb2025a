import { textBytes } from "@logbrook/core/memory/MemoryAccount"
import type { EpochEnd } from "./leaderEpochs.ts"

/** How a fetch names a topic: by its name up to v12, by its id from v13 on. The other one is there and says nothing. */
export interface AskedTopic {
  readonly topic: string
  readonly topicId: string
}

export interface AskedPartition {
  readonly partition: number
  readonly fetchOffset: number
  readonly currentLeaderEpoch: number
  /** -1: the client does not tell. */
  readonly lastFetchedEpoch: number
  readonly partitionMaxBytes: number
}

export interface AskedPartitions extends AskedTopic {
  readonly partitions: ReadonlyArray<AskedPartition>
}

export interface ForgottenPartitions extends AskedTopic {
  readonly partitions: ReadonlyArray<number>
}

/** A fetch's result for a partition, which the client is told if it is news. */
export interface FoundPartition {
  readonly errorCode: number
  /** -1 with an error, as is what is left out. */
  readonly highWatermark: number
  readonly lastStableOffset?: number
  readonly logStartOffset?: number
  readonly divergingEpoch?: EpochEnd
  readonly records: ReadonlyArray<Uint8Array>
}

const noError = 0
/** No partition has this offset, so the first answer is news. */
const untold = -1

/** A partition of a session: what is asked of it, and what the client was last told. */
export class SessionPartition implements AskedPartition, AskedTopic {
  readonly key: string
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  fetchOffset: number
  currentLeaderEpoch: number
  lastFetchedEpoch: number
  partitionMaxBytes: number
  /** The name of the topic with this id, once there was one; else "". */
  name = ""
  #highWatermark = untold
  #lastStableOffset = untold
  #logStartOffset = untold

  constructor(key: string, { topic, topicId }: AskedTopic, asked: AskedPartition) {
    this.key = key
    this.topic = topic
    this.topicId = topicId
    this.partition = asked.partition
    this.fetchOffset = asked.fetchOffset
    this.currentLeaderEpoch = asked.currentLeaderEpoch
    this.lastFetchedEpoch = asked.lastFetchedEpoch
    this.partitionMaxBytes = asked.partitionMaxBytes
  }

  asks({ fetchOffset, currentLeaderEpoch, lastFetchedEpoch, partitionMaxBytes }: AskedPartition): void {
    this.fetchOffset = fetchOffset
    this.currentLeaderEpoch = currentLeaderEpoch
    this.lastFetchedEpoch = lastFetchedEpoch
    this.partitionMaxBytes = partitionMaxBytes
  }

  /**
   * Whether `found` is to be told, and counts as told from now on: records, an error, a diverging epoch, or another offset
   * than last time. An error is told each time, and what comes after it is news.
   */
  tells(found: FoundPartition): boolean {
    const { errorCode, highWatermark, lastStableOffset = untold, logStartOffset = untold, divergingEpoch } = found
    const isNews =
      found.records.length > 0 ||
      highWatermark !== this.#highWatermark ||
      lastStableOffset !== this.#lastStableOffset ||
      logStartOffset !== this.#logStartOffset ||
      errorCode !== noError ||
      divergingEpoch !== undefined
    this.#highWatermark = highWatermark
    this.#lastStableOffset = lastStableOffset
    this.#logStartOffset = logStartOffset
    return isNews
  }
}

/** A partition with its entry in the session, but for its names. */
const partitionBytes = 320
/** The session itself, with its entry in the cache. */
const sessionBytes = 320

const weightOf = ({ key, topic, topicId }: SessionPartition): number =>
  partitionBytes + textBytes(key) + textBytes(topic) + textBytes(topicId)

const epochMax = 0x7fff_ffff

/** The epoch of the request behind one with `epoch`; 0 opens a session. */
export const nextEpoch = (epoch: number): number => (epoch === epochMax ? 1 : epoch + 1)

/**
 * An incremental fetch session (KIP-227): the partitions that a client fetches over and over, so that its requests name only
 * those of which it asks something else, and answers only those of which there is news.
 *
 *     epoch 0 ─ full answer, the session's id ─► epoch 1 ─ incremental answer ─► epoch 2 ─ … ─► epoch 2^31-1 ─► epoch 1
 */
export class FetchSession {
  /** 1 to 2^31-1. */
  readonly id: number
  /** Whether requests name topics by id: those of a session do all, or none. */
  readonly usesTopicIds: boolean
  readonly createdMs: number
  lastUsedMs: number
  /** The epoch that the next request must have. */
  epoch = 1
  weightBytes = sessionBytes
  /** By key, in the order in which they are read. */
  readonly #partitions = new Map<string, SessionPartition>()

  constructor(id: number, usesTopicIds: boolean, nowMs: number) {
    this.id = id
    this.usesTopicIds = usesTopicIds
    this.createdMs = nowMs
    this.lastUsedMs = nowMs
  }

  get size(): number {
    return this.#partitions.size
  }

  /** In the order in which they are read: those that were given records least recently come first. */
  get partitions(): Iterable<SessionPartition> {
    return this.#partitions.values()
  }

  /** Its weight, weighed anew. */
  weighed(): number {
    let bytes = sessionBytes
    for (const partition of this.#partitions.values()) bytes += weightOf(partition)
    return bytes
  }

  #keyOf({ topic, topicId }: AskedTopic, partition: number): string {
    return `${this.usesTopicIds ? topicId : topic}/${partition}`
  }

  find(topic: AskedTopic, partition: number): SessionPartition | undefined {
    return this.#partitions.get(this.#keyOf(topic, partition))
  }

  /** Takes over what a request says: a partition that it both asks for and forgets is forgotten. */
  update(topics: ReadonlyArray<AskedPartitions>, forgotten: ReadonlyArray<ForgottenPartitions>): void {
    for (const topic of topics) for (const asked of topic.partitions) this.#ask(topic, asked)
    for (const topic of forgotten) for (const partition of topic.partitions) this.#forget(topic, partition)
  }

  #ask(topic: AskedTopic, asked: AskedPartition): void {
    const key = this.#keyOf(topic, asked.partition)
    const known = this.#partitions.get(key)
    if (known !== undefined) return known.asks(asked)
    const added = new SessionPartition(key, topic, asked)
    this.#partitions.set(key, added)
    this.weightBytes += weightOf(added)
  }

  #forget(topic: AskedTopic, partition: number): void {
    const known = this.find(topic, partition)
    if (known === undefined) return
    this.#partitions.delete(known.key)
    this.weightBytes -= weightOf(known)
  }

  /** Whether the client is to be told of `found`. A partition with records is read last from now on, so that none starves. */
  tells(partition: SessionPartition, found: FoundPartition): boolean {
    if (!partition.tells(found)) return false
    if (found.records.length > 0) {
      this.#partitions.delete(partition.key)
      this.#partitions.set(partition.key, partition)
    }
    return true
  }
}
