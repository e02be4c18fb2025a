import type { QoS, Subscription } from "@logbrook/actors/session/SessionProtocol"
import type { RetainedMessage } from "@logbrook/actors/retained/Retained"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { AckReceiver } from "@logbrook/core/shard/Intake"
import type { Client } from "./Client.ts"
import { OutgoingMessage, publicationOfRetained } from "./Message.ts"
import type { Outgoing } from "./Outgoing.ts"
import type { RetainedDue, RetainedTopic } from "./RetainedStore.ts"

/** A client that has subscribed. */
interface FedClient extends Client {
  readonly isOpen: boolean
  readonly isSlow: boolean
  readonly session: { readonly isDurable: boolean } | undefined
  readonly outgoing: Outgoing
}

/** The same with the messages themselves, for a session that ends with its connection, if they are few. */
export interface RetainedMoment extends RetainedDue {
  readonly taken: ReadonlyArray<Read>
}

/** A subscription whose retained messages have not all been sent. */
interface Wanted {
  readonly subscription: Subscription
  readonly beforeSeq: Seq
  doneSeq: number
  /** What was sent at once. */
  readonly sent: ReadonlySet<string>
  /** Undefined: not looked for yet. */
  topics: ReadonlyArray<RetainedTopic> | undefined
  at: number
}

interface Read extends RetainedTopic {
  readonly retained: RetainedMessage
}

/** Of one page. */
const topicsMax = 64
const bytesMax = 256 * 1024

/** What is left of it. */
interface Room {
  topics: number
  bytes: number
}

const none: ReadonlyArray<Read> = []

/**
 * The retained messages of new subscriptions: those of the moment of SUBSCRIBE, page by page as the client takes them, since `#`
 * may match 100,000.
 *
 *     SUBSCRIBE is decided: the moment -> SUBACK -> topics found -> page read -> settled -> sent
 *
 * 1. What is set behind the moment has an event behind it in the journal, and comes to the client as to any subscriber.
 * 2. A page is read from states that may be ahead of the journal, so it waits for the turn that comes after them.
 * 3. What has changed since the moment is left out: the client gets the newer one as a subscriber, or has it already. Only what
 *    a session without a queue takes at its SUBACK is as it was: there nothing newer can have come before.
 */
export class RetainedFeed implements AckReceiver {
  readonly #connection: FedClient
  readonly #wanted = new Map<string, Wanted>()
  #page: Array<Read & { readonly wanted: Wanted }> = []
  #isWaiting = false

  constructor(connection: FedClient) {
    this.#connection = connection
  }

  get isEmpty(): boolean {
    return this.#wanted.size === 0 && this.#page.length === 0 && !this.#isWaiting
  }

  /** To be called when SUBSCRIBE is decided, with those of its subscriptions that may get retained messages. */
  moments(subscriptions: ReadonlyArray<Subscription>, nextSeq: Seq): ReadonlyArray<RetainedMoment> {
    const room: Room = { topics: this.#connection.session?.isDurable === true ? 0 : topicsMax, bytes: bytesMax }
    return subscriptions.map((subscription) => {
      return { subscription, beforeSeq: nextSeq, doneSeq: -Infinity, taken: this.#take(subscription, room) }
    })
  }

  /** All that there is of few, from the oldest on as far as there is room. */
  #take({ filter }: Subscription, room: Room): ReadonlyArray<Read> {
    if (room.topics <= 0 || room.bytes <= 0) return none
    const topics = this.#connection.mqtt.retained.matching(filter, () => true, topicsMax)
    return topics === undefined ? none : this.#read(topics, 0, room).page
  }

  /** Behind the SUBACK, or when a session is back that had not taken all. A subscription that was made again begins again. */
  add({ subscription, beforeSeq, doneSeq, taken = none }: RetainedDue & Partial<RetainedMoment>): void {
    const { filter } = subscription
    this.remove(filter)
    const sent = new Set<string>()
    const wanted: Wanted = { subscription, beforeSeq, doneSeq, sent, topics: undefined, at: 0 }
    for (const read of taken) {
      if (!this.#hasRoom) break
      sent.add(read.topic)
      this.#deliver(wanted, read)
    }
    this.#wanted.set(filter, wanted)
    this.pump()
  }

  /** [MQTT-3.10.4-2] */
  remove(filter: string): void {
    this.#wanted.delete(filter)
    this.#page = this.#page.filter(({ wanted }) => wanted.subscription.filter !== filter)
  }

  /** The connection has gone. Tells which subscriptions are not through. */
  stop(): ReadonlyArray<RetainedDue> {
    return Array.from(this.#wanted.values(), ({ subscription, beforeSeq, doneSeq }) => {
      return { subscription, beforeSeq, doneSeq }
    })
  }

  pump(): void {
    if (this.#isWaiting) return
    const { retained, broker } = this.#connection.mqtt
    for (let next = this.#page[0]; next !== undefined; next = this.#page[0]) {
      if (!this.#hasRoom) return
      this.#page.shift()
      if (retained.index.seqOf(next.topic) === next.seq) this.#deliver(next.wanted, next)
      next.wanted.doneSeq = next.seq
    }
    const wanted = this.#next()
    if (wanted === undefined || !this.#hasRoom) return
    const { page, end } = this.#read(wanted.topics!, wanted.at, { topics: topicsMax, bytes: bytesMax })
    wanted.at = end
    this.#page = page.map((read) => ({ ...read, wanted }))
    this.#isWaiting = true
    broker.shard.ack(this, 0, undefined, 0)
  }

  acked(): void {
    this.#isWaiting = false
    if (this.#connection.isOpen) this.pump()
  }

  get #hasRoom(): boolean {
    return !this.#connection.isSlow && !this.#connection.outgoing.hasBacklog
  }

  /** The first that is not through, its topics found. */
  #next(): Wanted | undefined {
    for (const wanted of this.#wanted.values()) {
      wanted.topics ??= this.#topicsOf(wanted)
      if (wanted.at < wanted.topics.length) return wanted
      this.#wanted.delete(wanted.subscription.filter)
    }
    return undefined
  }

  #topicsOf({ subscription, beforeSeq, doneSeq, sent }: Wanted): ReadonlyArray<RetainedTopic> {
    const isWanted = (topic: string, seq: number): boolean => seq > doneSeq && seq < beforeSeq && !sent.has(topic)
    return this.#connection.mqtt.retained.matching(subscription.filter, isWanted)!
  }

  /** A page of `topics` from `at` on, for which there is `room`, and where the next begins. */
  #read(topics: ReadonlyArray<RetainedTopic>, at: number, room: Room): { page: Array<Read>; end: number } {
    const { mqtt } = this.#connection
    const nowMs = mqtt.broker.clock.nowMs()
    const page: Array<Read> = []
    let end = at
    for (; end < topics.length && room.topics > 0 && room.bytes > 0; end++) {
      room.topics--
      const { topic, seq } = topics[end]!
      const retained = mqtt.retained.get(topic, nowMs)
      if (retained === undefined) continue
      page.push({ topic, seq, retained })
      room.bytes -= retained.payload.length
    }
    return { page, end }
  }

  /** A durable session's QoS 1 and 2 go through its queue like any other. */
  #deliver({ subscription }: Wanted, { topic, retained }: Read): void {
    const { mqtt, session, clientId, outgoing } = this.#connection
    // [MQTT-3.8.3-3]
    if (subscription.noLocal && retained.clientId === clientId) return
    const message = new OutgoingMessage(publicationOfRetained(topic, retained))
    const qos = Math.min(retained.qos, subscription.qos) as QoS
    const subscriptionIds = subscription.subscriptionId === null ? [] : [subscription.subscriptionId]
    if (qos === 0 || session?.isDurable !== true) {
      outgoing.deliver(message, qos, true, subscriptionIds)
      return
    }
    const { clock } = mqtt.broker
    const origin = this.#connection.origin("SUBSCRIBE")
    const queued = mqtt.sessionLog.append(message.publication, clientId, origin, clock.nowMs())
    const ref = { qos, retain: true, subscriptionIds, bytes: message.byteLength }
    // One that was set since is in the queue already, or comes into it behind this one.
    const isWanted = (): boolean => mqtt.retained.holds(topic, retained, clock.nowMs())
    mqtt.sessionLog.enqueue(clientId, queued, ref, origin, { isWanted })
  }
}
