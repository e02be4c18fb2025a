import { CatalogStates, type CatalogState } from "@logbrook/actors/catalog/Catalog"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import { isBound, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { recordOverheadBytesMax, type Limits } from "@logbrook/core/Limits"
import type { Shards } from "@logbrook/core/shard/Shards"
import { TopicTrie } from "@logbrook/core/TopicTrie"

/** A partition of a stream, as its log id names it. */
export interface StreamPartition {
  readonly stream: Stream
  readonly partition: number
}

/** The streams as the outside may know them: what the catalog decided and the journal holds. */
export class StreamDirectory {
  readonly #limits: Limits
  /** The most bytes of an MQTT message's record beside its payload, see `Limits`. */
  readonly recordOverheadBytesMax: number
  #streams: CatalogState["streams"] = new Map()
  #byTopicId = new Map<string, Stream>()
  #byLogId = new Map<number, StreamPartition>()
  /** By name. */
  #bound = new TopicTrie<{ readonly key: string; readonly stream: Stream }>()
  /** Raised with every change, so that what was derived from the streams can be thrown away. */
  version = 0
  readonly #watchers = new Set<() => void>()

  private constructor(limits: Limits) {
    this.#limits = limits
    this.recordOverheadBytesMax = recordOverheadBytesMax(limits)
  }

  /** Follows a shard that has recovered. */
  static follow(shards: Shards, limits: Limits): StreamDirectory {
    const directory = new StreamDirectory(limits)
    const catalog = shards.view(CatalogStates)
    shards.follow(CatalogStates, {
      restored: (_actor, state) => directory.#derive(state),
      event: (actor, event) => {
        if (event._tag !== "ProducerIdsAllocated") directory.#derive(catalog.get(actor)!)
      }
    })
    return directory
  }

  /** The largest batch that may go into the stream, in bytes. */
  batchBytesMax(stream: Stream): number {
    return Math.min(this.#limits.recordBatchBytesMax, effectiveConfig(stream.config).maxMessageBytes)
  }

  #derive({ streams }: CatalogState): void {
    this.version++
    this.#streams = streams
    this.#byTopicId = new Map()
    this.#byLogId = new Map()
    this.#bound = new TopicTrie()
    for (const stream of streams.values()) {
      this.#byTopicId.set(stream.topicId, stream)
      stream.logIds.forEach((logId, partition) => this.#byLogId.set(logId, { stream, partition }))
      const entry = { key: stream.name, stream }
      if (isBound(stream)) for (const filter of stream.filters) this.#bound.add(filter, entry)
    }
    for (const changed of this.#watchers) changed()
  }

  /** Runs `changed` behind every change until what is returned is called. */
  onChange(changed: () => void): () => void {
    this.#watchers.add(changed)
    return () => this.#watchers.delete(changed)
  }

  all(): ReadonlyMap<string, Stream> {
    return this.#streams
  }

  byName(name: string): Stream | undefined {
    return this.#streams.get(name)
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
    this.#bound.match(topic, ({ stream }) => found.add(stream))
    return [...found]
  }
}
