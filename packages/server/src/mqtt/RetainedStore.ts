import { isDeepStrictEqual } from "node:util"
import {
  retainedBytesOf,
  retainedWeightOf,
  type RetainedEvent,
  type RetainedMessage,
  type RetainedState
} from "@logbrook/actors/retained/Retained"
import { RetainedIndex } from "@logbrook/actors/retained/RetainedIndex"
import { actorId, nameOf } from "@logbrook/core/actor/Definition"
import type { Limits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"

export const retainedActor = (topic: string): string => actorId("retained", topic)

/** Told of every topic whose retained message became another one, durably. */
export interface RetainedWatcher {
  readonly retainedSet: (topic: string) => void
}

/** The retained messages as the outside may know them. */
export class RetainedStore {
  readonly index: RetainedIndex
  readonly #shard: Shard
  readonly #watchers = new Set<RetainedWatcher>()

  private constructor(shard: Shard, limits: Limits) {
    this.#shard = shard
    this.index = new RetainedIndex(limits)
  }

  /** Follows a shard that has recovered. */
  static follow(shard: Shard, limits: Limits): RetainedStore {
    const store = new RetainedStore(shard, limits)
    for (const id of shard.actors.ofKind("retained")) {
      const message = shard.actors.peek<RetainedState>(id)?.message
      if (message) store.index.set(nameOf(id), retainedBytesOf(message))
    }
    shard.observe("retained", (actor, event) => {
      const retained = event as RetainedEvent
      const topic = nameOf(actor)
      if (retained._tag === "RetainedSet") {
        store.index.set(topic, retainedBytesOf(retained.message))
        for (const watcher of store.#watchers) watcher.retainedSet(topic)
      } else store.index.delete(topic)
    })
    return store
  }

  /** The actor refuses as well, but only once streams have the message. */
  hasRoomFor(topic: string, message: RetainedMessage): boolean {
    const bytes = retainedBytesOf(message)
    if (!this.index.hasRoomFor(topic, bytes)) return false
    const grows = bytes + Buffer.byteLength(topic) > this.index.bytesOf(topic)
    return !grows || retainedWeightOf(topic, message) <= this.#shard.memory.room("retained")
  }

  watch(watcher: RetainedWatcher): void {
    this.#watchers.add(watcher)
  }

  unwatch(watcher: RetainedWatcher): void {
    this.#watchers.delete(watcher)
  }

  /** What is retained on the topic, unless it has expired. May be ahead of the journal by a commit. */
  get(topic: string, nowMs: number): RetainedMessage | undefined {
    const message = this.#shard.actors.peek<RetainedState>(retainedActor(topic))?.message ?? undefined
    if (message === undefined) return undefined
    return message.expiryAtMs !== null && message.expiryAtMs <= nowMs ? undefined : message
  }

  /** Whether that is still what `get` gives. */
  holds(topic: string, message: RetainedMessage, nowMs: number): boolean {
    // By value: an idle topic's message is read anew each time.
    return isDeepStrictEqual(this.get(topic, nowMs), message)
  }

  /** The topics that a filter matches. */
  matching(filter: string): Array<string> {
    const topics: Array<string> = []
    this.index.match(filter, (topic) => void topics.push(topic))
    return topics
  }
}
