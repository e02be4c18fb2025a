import type { QoS, Subscription } from "@logbrook/actors/session/SessionProtocol"
import type { AckReceiver } from "@logbrook/core/shard/Intake"
import type { Client } from "./Client.ts"
import { OutgoingMessage, publicationOfRetained } from "./Message.ts"
import type { Outgoing } from "./Outgoing.ts"

/** A client that has subscribed. */
interface FedClient extends Client {
  readonly isOpen: boolean
  readonly isSlow: boolean
  readonly session: { readonly isDurable: boolean } | undefined
  readonly outgoing: Outgoing
}

interface Wanted {
  readonly topics: ReadonlyArray<string>
  readonly subscription: Subscription
  at: number
}

interface Page {
  readonly message: OutgoingMessage
  readonly qos: QoS
  readonly subscriptionIds: ReadonlyArray<number>
}

/** Topics per page, and the queue behind the window above which no page is begun. */
const pageTopicsMax = 64

/**
 * The retained messages of new subscriptions, page by page as the client takes them: `#` may match 100,000.
 * A page is read from states that may be ahead of the journal, so it waits for the turn that comes after them.
 */
export class RetainedFeed implements AckReceiver {
  readonly #connection: FedClient
  readonly #wanted: Array<Wanted> = []
  #page: ReadonlyArray<Page> | undefined

  constructor(connection: FedClient) {
    this.#connection = connection
  }

  get isEmpty(): boolean {
    return this.#wanted.length === 0 && this.#page === undefined
  }

  add(subscription: Subscription): void {
    const topics = this.#connection.mqtt.retained.matching(subscription.filter)
    if (topics.length > 0) this.#wanted.push({ topics, subscription, at: 0 })
    this.pump()
  }

  pump(): void {
    const { mqtt, isSlow, outgoing } = this.#connection
    if (this.#page !== undefined || isSlow || outgoing.pendingCount > pageTopicsMax) return
    const first = this.#wanted[0]
    if (first === undefined) return
    const { topics, subscription } = first
    const nowMs = mqtt.broker.clock.nowMs()
    const page: Array<Page> = []
    const end = Math.min(topics.length, first.at + pageTopicsMax)
    for (; first.at < end; first.at++) {
      const topic = topics[first.at]!
      const retained = mqtt.retained.get(topic, nowMs)
      if (retained === undefined) continue
      const qos = Math.min(retained.qos, subscription.qos) as QoS
      const subscriptionIds = subscription.subscriptionId === null ? [] : [subscription.subscriptionId]
      page.push({ message: new OutgoingMessage(publicationOfRetained(topic, retained)), qos, subscriptionIds })
    }
    if (first.at === topics.length) this.#wanted.shift()
    this.#page = page
    mqtt.broker.shard.ack(this, 0, undefined, 0)
  }

  acked(): void {
    const page = this.#page ?? []
    this.#page = undefined
    if (!this.#connection.isOpen) return
    for (const one of page) this.#deliver(one)
    this.pump()
  }

  /** A durable session's QoS 1 and 2 go through its queue like any other. */
  #deliver({ message, qos, subscriptionIds }: Page): void {
    const { mqtt, session, clientId, outgoing } = this.#connection
    if (qos === 0 || session?.isDurable !== true) {
      outgoing.deliver(message, qos, true, subscriptionIds)
      return
    }
    const origin = this.#connection.origin("SUBSCRIBE")
    const queued = mqtt.sessionLog.append(message.publication, clientId, origin, mqtt.broker.clock.nowMs())
    const ref = { qos, retain: true, subscriptionIds, bytes: message.byteLength }
    mqtt.sessionLog.enqueue(clientId, queued, ref, origin)
  }
}
