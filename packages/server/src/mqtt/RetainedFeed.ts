import { sessionActor } from "@logbrook/actors/session/SessionProtocol"
import type { QoS, Subscription } from "@logbrook/actors/session/SessionProtocol"
import {
  retainedActor,
  type RetainedMessage,
  type RetainedRefused,
  type RetainedReply
} from "@logbrook/actors/retained/Retained"
import type { RetainedTopic } from "@logbrook/actors/retained/RetainedIndex"
import type { Seq } from "@logbrook/core/journal/Journal"
import { answerOf, type CommandList, type EntryIndex, type ListAnswer } from "@logbrook/core/shard/CommandList"
import type { AckReceiver } from "@logbrook/core/shard/Intake"
import * as Exit from "effect/Exit"
import type { Client } from "./Client.ts"
import { OutgoingMessage, publicationOfRetained } from "./Message.ts"
import type { Outgoing } from "./Outgoing.ts"
import type { RetainedDue } from "./RetainedStore.ts"
import { addEnqueue } from "./SessionLog.ts"
import { subscriptionIdsOf } from "./Subscriptions.ts"

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

/** A message as it was when SUBSCRIBE was read, and the entry of SUBSCRIBE's list that tells whether it still was when that was decided. */
interface Taken extends Read {
  readonly isStill: EntryIndex<RetainedReply, RetainedRefused>
}

/** Those that were what is retained when the list was decided. */
export const stillTaken = (taken: ReadonlyArray<Taken>, answer: ListAnswer): ReadonlyArray<Read> =>
  taken.filter(({ isStill }) => Exit.isSuccess(answerOf(answer, isStill)))

/** A subscription whose retained messages have not all been sent. */
interface Wanted {
  readonly subscription: Subscription
  readonly beforeSeq: Seq
  doneSeq: number
  /** The topics of messages that were sent at once. */
  readonly sent: ReadonlySet<string>
  /** Found so far, the oldest first, and whether that is all that there are. */
  topics: ReadonlyArray<RetainedTopic>
  isAll: boolean
  at: number
}

interface Read extends RetainedTopic {
  readonly retained: RetainedMessage
}

/** The most topics of one page, and of all that the SUBSCRIBEs under way take at once. */
const topicsMax = 64
const bytesMax = 256 * 1024
/** Where there is no memory for that: of one page, and topics that are found at a time. */
const topicsMin = 8
const bytesMin = 1024
const topicsFoundMin = 256
/** On the connection's account: of each topic that was found, and of each message that was read, its payload excepted. */
const topicBytes = 16
const readBytes = 300

/** The room that is left. */
interface Room {
  topics: number
  bytes: number
}

const none: ReadonlyArray<never> = []

const weightOf = ({ retained }: Read): number => readBytes + retained.payload.length

/**
 * The retained messages of new subscriptions: those of the moment of SUBSCRIBE, page by page as the client takes them, since `#`
 * may match 100,000.
 *
 *     SUBSCRIBE is read: few are taken -> it is decided: the moment -> SUBACK -> topics found -> page read and sent -> a turn -> ...
 *
 * 1. A message that is set behind the moment has an event behind it in the journal, and comes to the client as to any subscriber.
 * 2. Only durable messages are read. A message that was taken with SUBSCRIBE counts if its actor still has it at the moment, which
 *    the list of SUBSCRIBE asks; if not, the next one is found behind the SUBACK, if it was decided before the moment.
 * 3. A message that has changed since the moment is left out: the client gets the newer one as a subscriber, or has it already. Only what
 *    a session without a queue takes at its SUBACK is as it was: there nothing newer can have come before.
 */
export class RetainedFeed implements AckReceiver {
  readonly #connection: FedClient
  readonly #wanted = new Map<string, Wanted>()
  #page: Array<Read & { readonly wanted: Wanted }> = []
  #isWaiting = false
  /** The room that SUBSCRIBEs under way may still take: a client may send any number of them. */
  readonly #room: Room = { topics: topicsMax, bytes: bytesMax }

  constructor(connection: FedClient) {
    this.#connection = connection
  }

  get isEmpty(): boolean {
    return this.#wanted.size === 0 && this.#page.length === 0 && !this.#isWaiting && this.#room.topics === topicsMax
  }

  /**
   * The messages of a subscription whose SUBSCRIBE is to be decided with `list`: all that there is of few, from the oldest on as
   * far as there is room. `giveBack` follows.
   */
  take({ filter }: Subscription, list: CommandList): ReadonlyArray<Taken> {
    const { session, admission, mqtt, clientId } = this.#connection
    if (session?.isDurable === true || !admission.hasRoom("transit", bytesMax)) return none
    if (this.#room.topics <= 0 || this.#room.bytes <= 0) return none
    const { shards } = mqtt.broker
    const own = shards.of(sessionActor(clientId))
    // The server's own messages have no actor that could be asked.
    const isAsked = ({ topic }: RetainedTopic): boolean =>
      shards.of(retainedActor(topic)) === own && mqtt.retained.index.has(topic)
    const topics = mqtt.retained.matching(filter, isAsked, topicsMax)
    if (topics === undefined) return none
    return this.#read(topics, 0, this.#room).page.map((read) => {
      const isStill = list.add(retainedActor(read.topic), { _tag: "Expect", message: read.retained })
      return { ...read, isStill }
    })
  }

  /** Gives back the room of what was taken: it is sent next, or not at all. */
  giveBack(taken: ReadonlyArray<Read>): void {
    this.#room.topics += taken.length
    for (const read of taken) {
      this.#room.bytes += read.retained.payload.length
      this.#letGo(read)
    }
  }

  /** Behind the SUBACK, or when a session is back that had not taken all. A subscription that was made again begins again. */
  add({ subscription, beforeSeq, doneSeq, taken = none }: RetainedDue & Partial<RetainedMoment>): void {
    const { filter } = subscription
    this.remove(filter)
    // Mostly nothing is retained there.
    if (taken.length === 0 && !this.#connection.mqtt.retained.hasAny(filter)) return
    const sent = new Set<string>()
    const wanted: Wanted = { subscription, beforeSeq, doneSeq, sent, topics: [], isAll: false, at: 0 }
    for (const read of taken) {
      if (!this.#hasRoomFor(read)) break
      sent.add(read.topic)
      this.#deliver(wanted, read)
    }
    this.#wanted.set(filter, wanted)
    this.pump()
  }

  /** [MQTT-3.10.4-2] */
  remove(filter: string): void {
    const wanted = this.#wanted.get(filter)
    if (wanted === undefined) return
    this.#forget(wanted)
    for (const read of this.#page) if (read.wanted === wanted) this.#letGo(read)
    this.#page = this.#page.filter((read) => read.wanted !== wanted)
  }

  #forget({ subscription, topics }: Wanted): void {
    this.#wanted.delete(subscription.filter)
    this.#connection.admission.add("transit", -topicBytes * topics.length)
  }

  #letGo(read: Read): void {
    this.#connection.admission.add("transit", -weightOf(read))
  }

  /** Nothing more is sent: the connection has gone, or has its session no longer. Tells which subscriptions are not through. */
  stop(): ReadonlyArray<RetainedDue> {
    const due = Array.from(this.#wanted.values(), ({ subscription, beforeSeq, doneSeq }) => {
      return { subscription, beforeSeq, doneSeq }
    })
    for (const { subscription } of due) this.remove(subscription.filter)
    return due
  }

  pump(): void {
    if (this.#isWaiting || !this.#sendPage()) return
    const wanted = this.#next()
    if (wanted === undefined || !this.#hasRoom(0)) return
    const hasMemory = this.#connection.admission.hasRoom("transit", bytesMax)
    const room = hasMemory ? { topics: topicsMax, bytes: bytesMax } : { topics: topicsMin, bytes: bytesMin }
    const { page, end } = this.#read(wanted.topics, wanted.at, room)
    wanted.at = end
    this.#page = page.map((read) => ({ ...read, wanted }))
    this.#sendPage()
    // A turn of the shard passes before the next page, so that others come in between.
    this.#isWaiting = true
    this.#connection.mqtt.broker.shards.ack(this, 0, undefined, 0)
  }

  /** False: the client has not taken all of it. */
  #sendPage(): boolean {
    const { retained } = this.#connection.mqtt
    for (let next = this.#page[0]; next !== undefined; next = this.#page[0]) {
      if (!this.#hasRoomFor(next)) return false
      this.#page.shift()
      this.#letGo(next)
      if (retained.seqOf(next.topic) === next.seq) this.#deliver(next.wanted, next)
      next.wanted.doneSeq = next.seq
    }
    return true
  }

  acked(): void {
    this.#isWaiting = false
    if (this.#connection.isOpen) this.#connection.guarded(() => this.pump())
  }

  #hasRoom(bytes: number): boolean {
    return !this.#connection.isSlow && !this.#connection.outgoing.hasBacklog(bytes)
  }

  #hasRoomFor({ topic, retained }: Read): boolean {
    return this.#hasRoom(topic.length + retained.payload.length)
  }

  /** The first that is not through, its topics found. */
  #next(): Wanted | undefined {
    for (const wanted of this.#wanted.values()) {
      if (wanted.at === wanted.topics.length && !wanted.isAll) this.#find(wanted)
      if (wanted.at < wanted.topics.length) return wanted
      this.#forget(wanted)
    }
    return undefined
  }

  /** All topics that are still to be sent; where there is no memory for that, the oldest of them. */
  #find(wanted: Wanted): void {
    const { mqtt, admission } = this.#connection
    const { subscription, beforeSeq, sent, topics } = wanted
    // Those whose messages had expired are through as well.
    wanted.doneSeq = topics.at(-1)?.seq ?? wanted.doneSeq
    const { doneSeq } = wanted
    const isWanted = ({ topic, seq }: RetainedTopic): boolean => seq > doneSeq && seq < beforeSeq && !sent.has(topic)
    const found = mqtt.retained.matching(subscription.filter, isWanted)!
    admission.add("transit", -topicBytes * topics.length)
    wanted.isAll = found.length <= topicsFoundMin || admission.hasRoom("transit", topicBytes * found.length)
    wanted.topics = wanted.isAll ? found : found.slice(0, topicsFoundMin)
    wanted.at = 0
    admission.add("transit", topicBytes * wanted.topics.length)
  }

  /** A page of `topics` from `at` on, for which there is `room`, and where the next begins. It is on the account. */
  #read(topics: ReadonlyArray<RetainedTopic>, at: number, room: Room): { page: Array<Read>; end: number } {
    const { mqtt, admission } = this.#connection
    const nowMs = mqtt.broker.clock.nowMs()
    const page: Array<Read> = []
    let end = at
    for (; end < topics.length && room.topics > 0 && room.bytes > 0; end++) {
      const { topic, seq } = topics[end]!
      const retained = mqtt.retained.get(topic, nowMs)
      if (retained === undefined) continue
      const read = { topic, seq, retained }
      page.push(read)
      room.topics--
      room.bytes -= retained.payload.length
      admission.add("transit", weightOf(read))
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
    const subscriptionIds = subscriptionIdsOf(subscription)
    if (qos === 0 || session?.isDurable !== true) {
      outgoing.deliver(message, qos, true, subscriptionIds)
      return
    }
    const { clock } = mqtt.broker
    const origin = this.#connection.origin("SUBSCRIBE")
    const { shards } = mqtt.broker
    const to = sessionActor(clientId)
    const queued = mqtt.sessionLog.append(shards.ownLogOf(to), message.publication, clientId, origin, clock.nowMs())
    const ref = { qos, retain: true, subscriptionIds, bytes: message.byteLength }
    // A message that was set since is in the queue already, or comes into it behind this one.
    const lists = shards.lists()
    const list = lists.of(to)
    // The message's actor can only be asked within the same commit by the shard that has both.
    const isNear = lists.of(retainedActor(topic)) === list
    const isStill = isNear ? [list.add(retainedActor(topic), { _tag: "Expect", message: retained })] : []
    addEnqueue(list, clientId, queued.batch.logId, list.record(queued.batch, queued.index), ref, isStill)
    lists.askAll({ origin })
  }
}
