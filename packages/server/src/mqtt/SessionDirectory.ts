import type { SessionEvent, Subscription } from "@logbrook/actors/session/SessionProtocol"
import { SubscriptionSet } from "@logbrook/actors/session/SubscriptionSet"
import { type SessionState, SessionStates } from "@logbrook/actors/session/sessionState"
import { nameOf } from "@logbrook/core/actor/Definition"
import type { Limits } from "@logbrook/core/Limits"
import type { Shards } from "@logbrook/core/shard/Shards"
import type { RetainedDue } from "./RetainedStore.ts"
import { addFact, factsOf, firstFacts, type SessionFacts } from "./SessionFacts.ts"
import { Subscriptions } from "./Subscriptions.ts"

/** A filter that a SUBSCRIBE or UNSUBSCRIBE names which was read and is not answered yet. */
interface Unanswered {
  /** So many of them name it. */
  packets: number
  /** As the last of them leaves it. */
  isThere: boolean
}

const noneDue: ReadonlyArray<RetainedDue> = []

/** A session as the shell knows it: what is durable, what was read of it since, and the connection that serves it now. */
export interface SessionView<C> {
  readonly clientId: string
  readonly facts: SessionFacts
  /** Its messages of QoS 1 and 2 are queued in its state. */
  isDurable: boolean
  /** As the journal has them. */
  readonly subscriptions: SubscriptionSet
  /** By filter. While there are any, what the session gets waits for the turn, behind SUBACK. */
  unanswered: Map<string, Unanswered> | undefined
  /** Subscriptions that messages are matched with. */
  matched: number
  connection: C | undefined
  /** The messages of QoS 1 and 2 that it was chosen for, of those who share a subscription, and that are not durable yet. */
  chosen: number
  /** Subscriptions whose retained messages the last connection had not all taken. */
  retainedDue: ReadonlyArray<RetainedDue>
}

/**
 * All sessions and their subscriptions; `C` is a connection that serves one.
 *
 * Messages are matched with a subscription from when its SUBSCRIBE is read, and no more from when its UNSUBSCRIBE is: whatever is
 * read behind it is decided behind it. The journal follows, and has the last word on what was refused.
 */
export class SessionDirectory<C> {
  readonly subscriptions = new Subscriptions<SessionView<C>>()
  readonly #subscriptionsMax: number
  readonly #views = new Map<string, SessionView<C>>()
  /** Wills whose messages nobody has stored yet, also of sessions that have ended. */
  pendingWills = 0
  /** Hears of the filters of those who shared `$share/NAME/FILTER`, once the last of them has gone. */
  onGroupEmptied: (filter: string) => void = () => undefined
  /** Sessions that ended since the start because their clients did not come back in time. */
  expired = 0

  private constructor(subscriptionsMax: number) {
    this.#subscriptionsMax = subscriptionsMax
  }

  /** Follows a shard that has recovered. */
  static follow<C>(shards: Shards, { subscriptionsPerSessionMax }: Limits): SessionDirectory<C> {
    const directory = new SessionDirectory<C>(subscriptionsPerSessionMax)
    shards.follow(SessionStates, {
      restored: (actor, state) => directory.#restore(nameOf(actor), state),
      event: (actor, event) => directory.#observe(nameOf(actor), event)
    })
    return directory
  }

  get size(): number {
    return this.#views.size
  }

  get(clientId: string): SessionView<C> | undefined {
    return this.#views.get(clientId)
  }

  all(): IterableIterator<SessionView<C>> {
    return this.#views.values()
  }

  #start(clientId: string, facts: SessionFacts, subscriptions: SubscriptionSet): SessionView<C> {
    const view: SessionView<C> = {
      clientId,
      facts,
      isDurable: facts.sessionExpiryMs > 0,
      subscriptions,
      unanswered: undefined,
      matched: 0,
      connection: undefined,
      chosen: 0,
      retainedDue: noneDue
    }
    this.#views.set(clientId, view)
    return view
  }

  /** It is served by this connection from now on. */
  serves(view: SessionView<C>, connection: C): void {
    view.connection = connection
    for (const filter of view.subscriptions.filters()) this.subscriptions.group(filter)?.arrived(view.clientId)
  }

  /** SUBSCRIBE was read; `answered` follows. Those over the session's limit will be refused, and match nothing. */
  subscribes(view: SessionView<C>, subscriptions: ReadonlyArray<Subscription>): void {
    for (const subscription of subscriptions) {
      const unanswered = this.#unanswered(view, subscription.filter)
      if (!unanswered.isThere && view.matched >= this.#subscriptionsMax) continue
      this.#match(view, subscription, unanswered.isThere)
      unanswered.isThere = true
    }
  }

  /** UNSUBSCRIBE was read; `answered` follows. */
  unsubscribes(view: SessionView<C>, filters: ReadonlyArray<string>): void {
    for (const filter of filters) {
      const unanswered = this.#unanswered(view, filter)
      if (unanswered.isThere) this.#unmatch(view, filter)
      unanswered.isThere = false
    }
  }

  /** A SUBSCRIBE or UNSUBSCRIBE is durable, or `isRefused`, as a whole or for some of the filters that it names. */
  answered(view: SessionView<C>, filters: ReadonlyArray<string>, isRefused: (at: number) => boolean): void {
    // It ended with its session, and everything of it is gone.
    if (this.#views.get(view.clientId) !== view) return
    for (const [at, filter] of filters.entries()) {
      const unanswered = view.unanswered!.get(filter)!
      unanswered.packets--
      if (unanswered.packets === 0) view.unanswered!.delete(filter)
      if (unanswered.packets > 0) continue
      // One that was above the limit when it was read may be granted: others of its packet were refused for want of memory.
      const isWrong = isRefused(at) || unanswered.isThere !== view.subscriptions.has(filter)
      if (isWrong) this.#correct(view, filter, unanswered.isThere)
    }
    if (view.unanswered?.size === 0) view.unanswered = undefined
  }

  #unanswered(view: SessionView<C>, filter: string): Unanswered {
    view.unanswered ??= new Map()
    let unanswered = view.unanswered.get(filter)
    if (unanswered === undefined) {
      unanswered = { packets: 0, isThere: view.subscriptions.has(filter) }
      view.unanswered.set(filter, unanswered)
    }
    unanswered.packets++
    return unanswered
  }

  /** To what the journal says. */
  #correct(view: SessionView<C>, filter: string, isThere: boolean): void {
    const subscription = view.subscriptions.get(filter)
    if (subscription !== undefined) this.#match(view, subscription, isThere)
    else if (isThere) this.#unmatch(view, filter)
  }

  #match(view: SessionView<C>, subscription: Subscription, isThere: boolean): void {
    this.subscriptions.add(view.clientId, view, subscription)
    if (!isThere) view.matched++
  }

  #unmatch(view: SessionView<C>, filter: string): void {
    this.#remove(view, filter)
    view.matched--
  }

  #remove({ clientId }: SessionView<C>, filter: string): void {
    if (this.subscriptions.remove(clientId, filter)) this.onGroupEmptied(filter)
  }

  #subscribed(view: SessionView<C>, subscription: Subscription): void {
    const { filter } = subscription
    // If another change is under way, that one counts, since it was read last.
    if (view.unanswered?.has(filter) !== true) this.#match(view, subscription, view.subscriptions.has(filter))
    view.subscriptions.set(subscription)
  }

  #unsubscribed(view: SessionView<C>, filter: string): void {
    if (view.unanswered?.has(filter) !== true && view.subscriptions.has(filter)) this.#unmatch(view, filter)
    view.subscriptions.delete(filter)
  }

  #end(view: SessionView<C>): void {
    for (const filter of view.subscriptions.filters()) this.#remove(view, filter)
    for (const filter of view.unanswered?.keys() ?? []) this.#remove(view, filter)
    this.#views.delete(view.clientId)
  }

  #restore(clientId: string, state: SessionState): void {
    const { name, pendingWills, subscriptions, queue } = state
    this.pendingWills += pendingWills.length
    if (name === "Absent") return
    const view = this.#start(clientId, factsOf(state), subscriptions.copy())
    for (const subscription of subscriptions.values()) this.#match(view, subscription, false)
    for (const { share, phase } of queue.values()) {
      if (share !== undefined && phase === "queued") this.subscriptions.group(share)?.holds(view)
    }
  }

  #countWills(event: SessionEvent): void {
    if (event._tag === "WillTriggered") this.pendingWills++
    else if (event._tag === "WillPublished" || event._tag === "WillDropped") this.pendingWills--
  }

  #observe(clientId: string, event: SessionEvent): void {
    this.#countWills(event)
    if (event._tag === "SessionStarted") {
      this.#start(clientId, firstFacts(event), SubscriptionSet.of([]))
      return
    }
    const view = this.#views.get(clientId)
    if (view === undefined) return
    addFact(view.facts, event)
    switch (event._tag) {
      case "SessionResumed":
      case "SessionDisconnected":
        view.isDurable = event.sessionExpiryMs > 0
        return
      case "Subscribed":
        for (const subscription of event.subscriptions) this.#subscribed(view, subscription)
        return
      case "Unsubscribed":
        for (const filter of event.filters) this.#unsubscribed(view, filter)
        return
      case "SessionEnded":
        if (event.cause === "Expired") this.expired++
        this.#end(view)
        return
    }
  }
}
