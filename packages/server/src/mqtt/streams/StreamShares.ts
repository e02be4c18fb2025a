import { StreamShareStates } from "@logbrook/actors/streamShare/StreamShare"
import { streamShareActor } from "@logbrook/actors/streamShare/StreamShareProtocol"
import { nameOf } from "@logbrook/core/actor/Definition"
import type { PersistentStates } from "@logbrook/core/actor/States"
import type { View } from "@logbrook/core/shard/View"
import type { MqttContext, Receiver, StreamSharing } from "../MqttContext.ts"
import { SharedStreamFeed, shareOriginOf } from "./SharedStreamFeed.ts"
import { isSharedStreamFilter } from "./StreamRequest.ts"

type ViewOf<S> = S extends PersistentStates<infer K, infer State> ? View<K, State> : never

/** The groups that read streams, `$share/GROUP/$stream/NAME[/FILTER]`, by filter: those with a connected member have a feed. */
export class StreamShares implements StreamSharing {
  readonly #mqtt: MqttContext
  readonly #feeds = new Map<string, SharedStreamFeed>()
  readonly #view: ViewOf<typeof StreamShareStates>

  /** For shards that have recovered. */
  constructor(mqtt: MqttContext) {
    this.#mqtt = mqtt
    const { shards } = mqtt.broker
    this.#view = shards.view(StreamShareStates)
    shards.follow(StreamShareStates, {
      restored: () => undefined,
      event: (actor, { _tag }) => {
        const feed = this.#feeds.get(nameOf(actor))
        if (_tag === "ShareStarted") feed?.restart()
        else if (_tag === "ShareTakenBack") feed?.pump()
      }
    })
  }

  join(filter: string, member: Receiver, subscriptionIds: ReadonlyArray<number>): void {
    let feed = this.#feeds.get(filter)
    if (feed === undefined) {
      const stateOf = () => this.#view.get(streamShareActor(filter))
      feed = new SharedStreamFeed(this.#mqtt, filter, stateOf, () => this.#feeds.delete(filter))
      this.#feeds.set(filter, feed)
    }
    feed.join(member, subscriptionIds)
  }

  leave(filter: string, member: Receiver): void {
    this.#feeds.get(filter)?.leave(member)
  }

  hasTaken(filter: string): void {
    this.#feeds.get(filter)?.pump()
  }

  emptied(filter: string): void {
    if (!isSharedStreamFilter(filter) || this.#mqtt.directory.subscriptions.group(filter) !== undefined) return
    this.#mqtt.broker.shards.tell(streamShareActor(filter), { _tag: "Leave" }, { origin: shareOriginOf(filter) })
  }

  /** The groups whose members went unseen: the server died before it could say so. */
  leaveEmptied(): void {
    for (const [, { filter, idleSinceMs }] of this.#view.all()) if (idleSinceMs === null) this.emptied(filter)
  }
}
