import { isDeepStrictEqual } from "node:util"
import {
  retainedActor,
  retainedBytesOf,
  RetainedKind,
  retainedWeightOf,
  type RetainedMessage,
  type RetainedState
} from "@logbrook/actors/retained/Retained"
import { RetainedIndex, type RetainedTopic } from "@logbrook/actors/retained/RetainedIndex"
import type { Subscription } from "@logbrook/actors/session/SessionProtocol"
import { nameOf } from "@logbrook/core/actor/Definition"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { Limits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"

/** The retained messages of a subscription, from the moment that its SUBSCRIBE was decided. */
export interface RetainedDue {
  readonly subscription: Subscription
  /** The events that set its messages come before this one; later ones come to the client as to any subscriber. */
  readonly beforeSeq: Seq
  /** All that were set up to this event are through. */
  readonly doneSeq: number
}

/** The retained messages as the outside may know them. */
export class RetainedStore {
  readonly index: RetainedIndex
  readonly #shard: Shard

  private constructor(shard: Shard, limits: Limits) {
    this.#shard = shard
    this.index = new RetainedIndex(limits)
  }

  /** Follows a shard that has recovered. */
  static follow(shard: Shard, limits: Limits): RetainedStore {
    const store = new RetainedStore(shard, limits)
    const ids = [...shard.actors.ofKind(RetainedKind)]
    for (const [i, id] of ids.entries()) {
      const message = shard.actors.peek<RetainedState>(id)?.message
      // Each has a number of its own, and all of them came before whatever comes from now on.
      if (message) store.index.set(nameOf(id), retainedBytesOf(message), i - ids.length)
    }
    shard.observe(RetainedKind, (actor, event, seq) => {
      const topic = nameOf(actor)
      if (event._tag === "RetainedSet") store.index.set(topic, retainedBytesOf(event.message), seq)
      else store.index.delete(topic)
    })
    return store
  }

  /** The actor refuses as well, but only once streams have the message. */
  hasRoomFor(topic: string, message: RetainedMessage): boolean {
    const bytes = retainedBytesOf(message)
    if (!this.index.hasRoomFor(topic, bytes)) return false
    const weight = retainedWeightOf(topic, message)
    const room = this.#shard.memory.room("retained")
    // As a look at a state that is packed costs, only where what it takes now matters.
    return weight <= room || weight - this.#weightOf(topic) <= room
  }

  #weightOf(topic: string): number {
    return this.#shard.actors.peek<RetainedState>(retainedActor(topic))?.weightBytes ?? 0
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

  /** Whether the filter matches any topic, as the index has them. */
  hasAny(filter: string): boolean {
    let isAny = false
    this.index.match(filter, () => {
      isAny = true
      return false
    })
    return isAny
  }

  /**
   * The topics that a filter matches and `isWanted` tells of, the oldest message first, as the index has them; undefined if
   * they are more than `max`.
   */
  matching(
    filter: string,
    isWanted: (retained: RetainedTopic) => boolean,
    max = Infinity
  ): Array<RetainedTopic> | undefined {
    const topics: Array<RetainedTopic> = []
    this.index.match(filter, (retained) => {
      if (isWanted(retained)) topics.push(retained)
      return topics.length <= max
    })
    return topics.length > max ? undefined : topics.sort((a, b) => a.seq - b.seq)
  }
}
