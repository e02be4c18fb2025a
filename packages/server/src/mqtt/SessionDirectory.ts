import type { SessionEvent, Subscription } from "@logbrook/actors/session/SessionProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import { actorId, nameOf } from "@logbrook/core/actor/Definition"
import type { Shard } from "@logbrook/core/shard/Shard"
import { Subscriptions } from "./Subscriptions.ts"

/** A session as the shell knows it: what is durable, and the connection that serves it now. */
export interface SessionView<C> {
  readonly clientId: string
  /** Its messages of QoS 1 and 2 are queued in its state. */
  isDurable: boolean
  readonly filters: Set<string>
  connection: C | undefined
  /** Subscriptions whose retained messages the last connection had not all taken. */
  retainedDue: ReadonlyArray<Subscription>
}

/** All sessions and their subscriptions, followed from the journal; `C` is a connection that serves one. */
export class SessionDirectory<C> {
  readonly subscriptions = new Subscriptions<SessionView<C>>()
  readonly #views = new Map<string, SessionView<C>>()
  /** Wills whose messages nobody has stored yet, also of sessions that have ended. */
  pendingWills = 0

  /** Follows a shard that has recovered. */
  static follow<C>(shard: Shard): SessionDirectory<C> {
    const directory = new SessionDirectory<C>()
    for (const id of shard.actors.ofKind("session")) {
      const state = shard.actors.peek<SessionState>(id)
      directory.pendingWills += state?.pendingWills.length ?? 0
      if (state === undefined || state.name === "Absent") continue
      const view = directory.#start(nameOf(id), state.life.sessionExpiryMs)
      directory.#subscribe(view, state.subscriptions.values())
    }
    shard.observe("session", (actor, event) => directory.#observe(nameOf(actor), event as SessionEvent))
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

  #start(clientId: string, sessionExpiryMs: number): SessionView<C> {
    const view: SessionView<C> = {
      clientId,
      isDurable: sessionExpiryMs > 0,
      filters: new Set(),
      connection: undefined,
      retainedDue: []
    }
    this.#views.set(clientId, view)
    return view
  }

  #subscribe(view: SessionView<C>, subscriptions: Iterable<Subscription>): void {
    for (const subscription of subscriptions) {
      view.filters.add(subscription.filter)
      this.subscriptions.add(view.clientId, view, subscription)
    }
  }

  #unsubscribe(view: SessionView<C>, filters: Iterable<string>): void {
    for (const filter of filters) {
      view.filters.delete(filter)
      this.subscriptions.remove(view.clientId, filter)
    }
  }

  #countWills(event: SessionEvent): void {
    if (event._tag === "WillTriggered") this.pendingWills++
    else if (event._tag === "WillPublished" || event._tag === "WillDropped") this.pendingWills--
  }

  #observe(clientId: string, event: SessionEvent): void {
    this.#countWills(event)
    if (event._tag === "SessionStarted") {
      this.#start(clientId, event.sessionExpiryMs)
      return
    }
    const view = this.#views.get(clientId)
    if (view === undefined) return
    switch (event._tag) {
      case "SessionResumed":
      case "SessionDisconnected":
        view.isDurable = event.sessionExpiryMs > 0
        return
      case "Subscribed":
        this.#subscribe(view, event.subscriptions)
        return
      case "Unsubscribed":
        this.#unsubscribe(view, event.filters)
        return
      case "SessionEnded":
        this.#unsubscribe(view, [...view.filters])
        this.#views.delete(clientId)
        return
    }
  }
}

export const sessionActor = (clientId: string): string => actorId("session", clientId)
