import { makeCatalog, type CatalogState } from "@logbrook/actors/catalog/Catalog"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import {
  catalogActor,
  CatalogKind,
  isBound,
  type CatalogEvent,
  type Stream
} from "@logbrook/actors/catalog/CatalogProtocol"
import type { Limits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"
import { TopicTrie } from "@logbrook/core/TopicTrie"

/** A partition of a stream, as its log id names it. */
export interface StreamPartition {
  readonly stream: Stream
  readonly partition: number
}

/** The streams as the outside may know them: what the catalog decided and the journal holds. */
export class StreamDirectory {
  readonly #limits: Limits
  readonly #evolve: (state: CatalogState, event: CatalogEvent) => CatalogState
  #state: CatalogState
  #byTopicId = new Map<string, Stream>()
  #byLogId = new Map<number, StreamPartition>()
  #bound = new TopicTrie<Stream>()
  /** Raised with every change, so that what was derived from the streams can be thrown away. */
  version = 0

  private constructor(limits: Limits) {
    const catalog = makeCatalog(limits)
    this.#limits = limits
    this.#evolve = catalog.evolve
    this.#state = catalog.initial(catalogActor)
  }

  /** Follows a shard that has recovered. */
  static follow(shard: Shard, limits: Limits): StreamDirectory {
    const directory = new StreamDirectory(limits)
    directory.#state = shard.actors.peek<CatalogState>(catalogActor) ?? directory.#state
    directory.#derive()
    shard.observe(CatalogKind, (_actor, event) => {
      directory.#state = directory.#evolve(directory.#state, event)
      if (event._tag !== "ProducerIdsAllocated") directory.#derive()
    })
    return directory
  }

  /** The largest batch that may go into the stream, in bytes. */
  batchBytesMax(stream: Stream): number {
    return Math.min(this.#limits.recordBatchBytesMax, effectiveConfig(stream.config).maxMessageBytes)
  }

  #derive(): void {
    this.version++
    this.#byTopicId = new Map()
    this.#byLogId = new Map()
    this.#bound = new TopicTrie()
    for (const stream of this.#state.streams.values()) {
      this.#byTopicId.set(stream.topicId, stream)
      stream.logIds.forEach((logId, partition) => this.#byLogId.set(logId, { stream, partition }))
      if (isBound(stream)) for (const filter of stream.filters) this.#bound.add(filter, stream.name, stream)
    }
  }

  all(): ReadonlyMap<string, Stream> {
    return this.#state.streams
  }

  byName(name: string): Stream | undefined {
    return this.#state.streams.get(name)
  }

  /** `topicId` as Kafka prints it: 22 characters of base64url. */
  byTopicId(topicId: string): Stream | undefined {
    return this.#byTopicId.get(topicId)
  }

  byLogId(logId: number): StreamPartition | undefined {
    return this.#byLogId.get(logId)
  }

  /** The bound streams that store a message on `topic`, each once however many of its filters match. */
  boundTo(topic: string): ReadonlyArray<Stream> {
    const found = new Set<Stream>()
    this.#bound.match(topic, (stream) => found.add(stream))
    return [...found]
  }
}
