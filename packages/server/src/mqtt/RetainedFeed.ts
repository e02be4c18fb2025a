import type { QoS, Subscription } from "@logbrook/actors/session/SessionProtocol"
import type { RetainedMessage } from "@logbrook/actors/retained/Retained"
import type { AckReceiver } from "@logbrook/core/shard/Intake"
import type { Client } from "./Client.ts"
import { OutgoingMessage, publicationOfRetained } from "./Message.ts"
import type { Outgoing } from "./Outgoing.ts"
import type { RetainedWatcher } from "./RetainedStore.ts"

/** A client that has subscribed. */
interface FedClient extends Client {
  readonly isOpen: boolean
  readonly isSlow: boolean
  readonly session: { readonly isDurable: boolean } | undefined
  readonly outgoing: Outgoing
}

/** A subscription whose retained messages have not all been sent. */
interface Wanted {
  readonly subscription: Subscription
  /** The token from which on all is settled that was under way when the subscription began to count. */
  readonly readableAt: number
  /** Undefined: not looked for yet. */
  topics: ReadonlyArray<string> | undefined
  at: number
  /** Topics whose messages have changed since then, and have gone to the client as they came. Undefined: not settled yet. */
  live: Set<string> | undefined
}

interface Read {
  readonly wanted: Wanted
  readonly topic: string
  readonly retained: RetainedMessage
}

/** Of one page. */
const topicsMax = 64
const bytesMax = 256 * 1024

/**
 * The retained messages of new subscriptions, page by page as the client takes them: `#` may match 100,000.
 *
 *     subscription counts -> what was under way is settled -> topics found -> page read -> settled -> sent
 *
 * 1. A publication that was under way when the subscription began to count may go to nobody but the retained state:
 *    so nothing is looked for before it has settled.
 * 2. A page is read from states that may be ahead of the journal, so it waits for the turn that comes after them.
 * 3. What has changed since then is left out: the client gets the newer one as a subscriber, or has it already.
 */
export class RetainedFeed implements AckReceiver, RetainedWatcher {
  readonly #connection: FedClient
  readonly #wanted = new Map<string, Wanted>()
  #page: Array<Read> = []
  #isWaiting = false
  /** The newest token that a turn was asked to give back, and the newest that came. */
  #asked = 0
  #settled = 0

  constructor(connection: FedClient) {
    this.#connection = connection
  }

  get isEmpty(): boolean {
    return this.#wanted.size === 0 && this.#page.length === 0 && !this.#isWaiting
  }

  /** A subscription that was made again begins again. */
  add(subscription: Subscription): void {
    const { filter } = subscription
    this.remove(filter)
    const readableAt = this.#asked + 1
    this.#wanted.set(filter, { subscription, readableAt, topics: undefined, at: 0, live: undefined })
    this.#connection.mqtt.retained.watch(this)
    this.pump()
  }

  /** [MQTT-3.10.4-2] */
  remove(filter: string): void {
    this.#wanted.delete(filter)
    this.#page = this.#page.filter(({ wanted }) => wanted.subscription.filter !== filter)
    if (this.isEmpty) this.#connection.mqtt.retained.unwatch(this)
  }

  /** The connection has gone. Tells which subscriptions are not through. */
  stop(): ReadonlyArray<Subscription> {
    this.#connection.mqtt.retained.unwatch(this)
    return Array.from(this.#wanted.values(), ({ subscription }) => subscription)
  }

  retainedSet(topic: string): void {
    for (const { live } of this.#wanted.values()) live?.add(topic)
  }

  pump(): void {
    if (this.#isWaiting) return
    for (let next = this.#page[0]; next !== undefined; next = this.#page[0]) {
      if (!this.#hasRoom) return
      this.#page.shift()
      this.#deliver(next)
    }
    const wanted = this.#next()
    if (wanted === undefined) this.#connection.mqtt.retained.unwatch(this)
    if (wanted === undefined || !this.#hasRoom) return
    if (wanted.readableAt <= this.#settled) this.#page = this.#read(wanted)
    this.#isWaiting = true
    this.#connection.mqtt.broker.shard.ack(this, ++this.#asked, undefined, 0)
  }

  acked(token: number): void {
    this.#isWaiting = false
    this.#settled = token
    for (const wanted of this.#wanted.values()) if (wanted.readableAt <= token) wanted.live ??= new Set()
    if (this.#connection.isOpen) this.pump()
  }

  get #hasRoom(): boolean {
    return !this.#connection.isSlow && !this.#connection.outgoing.hasBacklog
  }

  /** The first that is not through. */
  #next(): Wanted | undefined {
    for (const wanted of this.#wanted.values()) {
      if (wanted.topics === undefined || wanted.at < wanted.topics.length) return wanted
      this.#wanted.delete(wanted.subscription.filter)
    }
    return undefined
  }

  #read(wanted: Wanted): Array<Read> {
    const { mqtt, clientId } = this.#connection
    const nowMs = mqtt.broker.clock.nowMs()
    const page: Array<Read> = []
    const topics = (wanted.topics ??= mqtt.retained.matching(wanted.subscription.filter))
    const end = Math.min(topics.length, wanted.at + topicsMax)
    for (let bytes = 0; wanted.at < end && bytes < bytesMax; wanted.at++) {
      const topic = topics[wanted.at]!
      const retained = mqtt.retained.get(topic, nowMs)
      if (retained === undefined || wanted.live?.has(topic) === true) continue
      // [MQTT-3.8.3-3]
      if (wanted.subscription.noLocal && retained.clientId === clientId) continue
      page.push({ wanted, topic, retained })
      bytes += retained.payload.length
    }
    return page
  }

  /** A durable session's QoS 1 and 2 go through its queue like any other. */
  #deliver({ wanted: { subscription, live }, topic, retained }: Read): void {
    const { mqtt, session, clientId, outgoing } = this.#connection
    const { clock } = mqtt.broker
    const isNewest = (): boolean => mqtt.retained.holds(topic, retained, clock.nowMs())
    if (!isNewest() || live?.has(topic) === true) return
    const message = new OutgoingMessage(publicationOfRetained(topic, retained))
    const qos = Math.min(retained.qos, subscription.qos) as QoS
    const subscriptionIds = subscription.subscriptionId === null ? [] : [subscription.subscriptionId]
    if (qos === 0 || session?.isDurable !== true) {
      outgoing.deliver(message, qos, true, subscriptionIds)
      return
    }
    const origin = this.#connection.origin("SUBSCRIBE")
    const queued = mqtt.sessionLog.append(message.publication, clientId, origin, clock.nowMs())
    const ref = { qos, retain: true, subscriptionIds, bytes: message.byteLength }
    mqtt.sessionLog.enqueue(clientId, queued, ref, origin, { isWanted: isNewest })
  }
}
