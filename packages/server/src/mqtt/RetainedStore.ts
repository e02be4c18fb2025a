import {
  retainedActor,
  retainedBytesOf,
  RetainedStates,
  retainedWeightOf,
  type RetainedKind,
  type RetainedMessage,
  type RetainedState
} from "@logbrook/actors/retained/Retained"
import { RetainedIndex, type RetainedTopic } from "@logbrook/actors/retained/RetainedIndex"
import type { Subscription } from "@logbrook/actors/session/SessionProtocol"
import { nameOf } from "@logbrook/core/actor/Definition"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { Limits } from "@logbrook/core/Limits"
import type { Shards } from "@logbrook/core/shard/Shards"
import type { View } from "@logbrook/core/shard/View"

const noOwnMessages: OwnMessages = { matching: () => [], get: () => undefined, seqOf: () => undefined }

/** The retained messages of a subscription, from the moment that its SUBSCRIBE was decided. */
export interface RetainedDue {
  readonly subscription: Subscription
  /** The events that set its messages come before this one; later ones come to the client as to any subscriber. */
  readonly beforeSeq: Seq
  /** All that were set up to this event are through. */
  readonly doneSeq: number
}

/** Messages that the server keeps itself as if they were retained, on topics to which nobody publishes. */
export interface OwnMessages {
  readonly matching: (filter: string) => ReadonlyArray<RetainedTopic>
  readonly get: (topic: string) => RetainedMessage | undefined
  /** Another number for each message of a topic, below those of all that is retained. */
  readonly seqOf: (topic: string) => number | undefined
}

/** The retained messages as the outside may know them. */
export class RetainedStore {
  /** Without the server's own. */
  readonly index: RetainedIndex
  readonly #own: OwnMessages
  readonly #memory: Shards["memory"]
  readonly #states: View<typeof RetainedKind, RetainedState>

  private constructor(shards: Shards, limits: Limits, own: OwnMessages) {
    this.#own = own
    this.#memory = shards.memory
    this.#states = shards.view(RetainedStates)
    this.index = new RetainedIndex(limits)
  }

  /** Follows a shard that has recovered. */
  static follow(shards: Shards, limits: Limits, own: OwnMessages = noOwnMessages): RetainedStore {
    const store = new RetainedStore(shards, limits, own)
    // Each has a number of its own, and all of them came before whatever comes from now on.
    let beforeAll = 0
    shards.follow(RetainedStates, {
      restored: (actor, { message }) => store.index.set(nameOf(actor), retainedBytesOf(message!), --beforeAll),
      event: (actor, event, seq) => {
        const topic = nameOf(actor)
        if (event._tag === "RetainedSet") store.index.set(topic, retainedBytesOf(event.message), seq)
        else store.index.delete(topic)
      }
    })
    return store
  }

  /** The actor refuses as well, but only once streams have the message. */
  hasRoomFor(topic: string, message: RetainedMessage): boolean {
    const bytes = retainedBytesOf(message)
    if (!this.index.hasRoomFor(topic, bytes)) return false
    const weight = retainedWeightOf(topic, message)
    const room = this.#memory.room("retained")
    // As a look at a state that is packed costs, only where what it takes now matters.
    return weight <= room || weight - this.#weightOf(topic) <= room
  }

  #weightOf(topic: string): number {
    return this.#states.get(retainedActor(topic))?.weightBytes ?? 0
  }

  /** The message that is retained on the topic, unless it has expired. */
  get(topic: string, nowMs: number): RetainedMessage | undefined {
    const message = this.#own.get(topic) ?? this.#states.get(retainedActor(topic))?.message
    if (message === undefined || message === null) return undefined
    return message.expiryAtMs !== null && message.expiryAtMs <= nowMs ? undefined : message
  }

  /** The number of the message that is retained on the topic, which no other has; undefined: none is. */
  seqOf(topic: string): number | undefined {
    return this.#own.seqOf(topic) ?? this.index.seqOf(topic)
  }

  /** Whether the filter matches any topic, as the index has them. */
  hasAny(filter: string): boolean {
    let isAny = this.#own.matching(filter).length > 0
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
    const topics: Array<RetainedTopic> = this.#own.matching(filter).filter(isWanted)
    this.index.match(filter, (retained) => {
      if (isWanted(retained)) topics.push(retained)
      return topics.length <= max
    })
    return topics.length > max ? undefined : topics.sort((a, b) => a.seq - b.seq)
  }
}
