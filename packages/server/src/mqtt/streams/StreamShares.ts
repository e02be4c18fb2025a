import { type StreamShareState, StreamShareStates } from "@logbrook/actors/streamShare/StreamShare"
import { streamShareActor, type StreamShareEvent } from "@logbrook/actors/streamShare/StreamShareProtocol"
import { nameOf } from "@logbrook/core/actor/Definition"
import type { PersistentStates } from "@logbrook/core/actor/States"
import type { View } from "@logbrook/core/shard/View"
import type { MqttContext, Receiver, StreamSharing } from "../MqttContext.ts"
import { ShareDirectory } from "./ShareDirectory.ts"
import { SharedStreamFeed, shareOriginOf } from "./SharedStreamFeed.ts"
import { isSharedStreamFilter } from "./StreamRequest.ts"

type ViewOf<S> = S extends PersistentStates<infer K, infer State> ? View<K, State> : never

/** The groups that read streams, `$share/GROUP/$stream/NAME[/FILTER]`, by filter: those with a connected member have a feed. */
export class StreamShares implements StreamSharing {
  readonly #mqtt: MqttContext
  readonly #feeds = new Map<string, SharedStreamFeed>()
  readonly #view: ViewOf<typeof StreamShareStates>
  readonly #directory: ShareDirectory

  /** For shards that have recovered. */
  constructor(mqtt: MqttContext) {
    this.#mqtt = mqtt
    const { shards } = mqtt.broker
    this.#view = shards.view(StreamShareStates)
    const restored: Array<StreamShareState> = []
    shards.follow(StreamShareStates, {
      restored: (_actor, state) => restored.push(state),
      event: (actor, event) => this.#observe(nameOf(actor), event)
    })
    this.#directory = new ShareDirectory(restored)
  }

  /** How many groups there are. */
  get counts(): Pick<ShareDirectory, "withMembers" | "idle"> {
    return this.#directory
  }

  /** The filters of all, in no promised order. */
  filters(): Iterable<string> {
    return this.#directory.filters()
  }

  /** As the journal holds it; undefined: there is none. */
  get(filter: string): StreamShareState | undefined {
    return this.#view.get(streamShareActor(filter))
  }

  #observe(filter: string, event: StreamShareEvent): void {
    if (this.#directory.fold(filter, event)) this.#mqtt.metrics.streamSharesGivenUp.add(1)
    if (event._tag === "ShareIdle") this.#giveWay()
    const feed = this.#feeds.get(filter)
    if (event._tag === "ShareStarted") feed?.restart()
    else if (event._tag === "ShareTakenBack") feed?.pump()
  }

  /** Groups without members are kept up to a number: their clients may never come back. */
  #giveWay(): void {
    const { shards, limits } = this.#mqtt.broker
    for (const { filter, sinceMs } of this.#directory.takeOver(limits.streamSharesIdleMax)) {
      shards.tell(streamShareActor(filter), { _tag: "Expire", sinceMs }, { origin: shareOriginOf(filter) })
    }
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

  /** The groups whose members went unseen: the server died before it could say so. Its limit may have been a higher one. */
  leaveEmptied(): void {
    this.#giveWay()
    for (const [, { filter, idleSinceMs }] of this.#view.all()) if (idleSinceMs === null) this.emptied(filter)
  }
}
