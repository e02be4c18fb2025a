import * as Exit from "effect/Exit"
import {
  type HandOn,
  type MessageRef,
  type QoS,
  type ReleasedMessage,
  sessionActor
} from "@logbrook/actors/session/SessionProtocol"
import { type ShareRecord, streamShareActor } from "@logbrook/actors/streamShare/StreamShareProtocol"
import type { ShardLists } from "@logbrook/core/shard/Shards"
import { originOf } from "../originOf.ts"
import type { MqttContext, ReceivingSession, Sharing, Undelivered } from "./MqttContext.ts"
import { addEnqueue } from "./SessionLog.ts"
import { isSharedStreamFilter } from "./streams/StreamRequest.ts"
import type { Match, ShareGroup } from "./Subscriptions.ts"

type Member = Match<ReceivingSession>

/** It, and the member that is chosen for it. */
interface Redelivery extends Undelivered {
  readonly member: Member
}

/** Messages that a session has released, for one member. */
interface Batch {
  readonly messages: Array<ReleasedMessage>
  bytes: number
}

/** A command has so many messages at most, and is taken as a whole: a queue that is nearly full has room for some of several. */
const movedAtOnceMax = 64
const movedBytesMax = 256 * 1024

/** As few lists as there can be, in order. A message that is larger than one may be is one for itself. */
const listsOf = (messages: ReadonlyArray<ReleasedMessage>): ReadonlyArray<ReadonlyArray<ReleasedMessage>> => {
  const lists: Array<Array<ReleasedMessage>> = []
  let bytes = 0
  for (const message of messages) {
    const last = lists.at(-1)
    if (last === undefined || last.length === movedAtOnceMax || bytes + message.bytes > movedBytesMax) {
      lists.push([message])
      bytes = message.bytes
    } else {
      last.push(message)
      bytes += message.bytes
    }
  }
  return lists
}

const isConnected = ({ subscriber }: Member): boolean => subscriber.connection !== undefined
/** With QoS 0 it gets nothing while it is away. */
const canWait = ({ subscriber, qos }: Member): boolean => subscriber.isDurable && qos > 0

/** The messages of QoS 1 and 2 that the session has not acknowledged, and those on their way to it. */
export const loadOf = ({ facts, chosen, connection }: ReceivingSession): number =>
  facts.queued + chosen + (connection === undefined ? 0 : connection.outgoing.unacknowledged)

/** In the queue of the member's session. */
const waits = ({ qos, member }: Redelivery): boolean => qos > 0 && canWait(member)

/**
 * The deliveries of shared subscriptions (MQTT 5, 4.8.2): which member gets a message, and who gets it next if that member goes.
 *
 *     chosen ─► sent ─► acknowledged
 *        │        └──► its session ends: QoS 1 to another member, QoS 2 to nobody [MQTT-4.8.2-5]
 *        └──► its session ends: to another member
 *
 * 1. A message in no session's queue is kept by its connection until it is acknowledged, and goes on from memory.
 * 2. A message in the queue of a session that ends goes into that session's outbox (`SharedReleased`): it is queued for another member in one
 *    commit with the word that it is (`SharedHandedOn`), so that a crash neither loses it nor has two members get it. A member without a
 *    queue, or with one in another shard, is given it from memory once that word is durable.
 * 3. A stream's record goes back to its group, in one commit as well, whose `SharedStreamFeed` chooses the next member.
 */
export class SharedDelivery implements Sharing {
  readonly #mqtt: MqttContext
  /** Handed on, the commit not durable yet: the session may ask again meanwhile. */
  readonly #underWay = new Set<string>()

  constructor(mqtt: MqttContext) {
    this.#mqtt = mqtt
  }

  choose(group: ShareGroup<ReceivingSession>, qos: number): Member | undefined {
    const { shards } = this.#mqtt.broker
    const hasFailed = shards.failedActors.length > 0
    const isAble = ({ subscriber }: Member): boolean =>
      !hasFailed || !shards.isFailed(sessionActor(subscriber.clientId))
    const connected = this.#mqtt.isStopping ? undefined : group.takeConnected(isConnected, isAble, loadOf)
    if (connected !== undefined || qos === 0) return connected
    const durable = group.take((member) => canWait(member) && isAble(member), loadOf)
    if (durable !== undefined && durable.subscriber.connection === undefined) group.holds(durable.subscriber)
    return durable
  }

  came(session: ReceivingSession, filters: Iterable<string>): void {
    const { directory, broker } = this.#mqtt
    for (const filter of filters) {
      const group = directory.subscriptions.group(filter)
      if (group === undefined || !session.subscriptions.has(filter)) continue
      for (const { clientId } of group.takeHolders()) {
        if (clientId === session.clientId) continue
        const origin = sharedOriginOf(session.clientId)
        broker.shards.tell(sessionActor(clientId), { _tag: "ReleaseShared", share: filter }, { origin })
      }
    }
  }

  redeliver(from: string, messages: ReadonlyArray<Undelivered>): void {
    const { directory } = this.#mqtt
    const chosen: Array<Redelivery> = []
    for (const undelivered of messages) {
      const group = directory.subscriptions.group(undelivered.share)
      const member = group && this.choose(group, undelivered.qos)
      if (member === undefined) continue
      member.subscriber.chosen++
      chosen.push({ ...undelivered, member })
    }
    if (chosen.length < messages.length) this.#mqtt.sharedLost(from, messages.length - chosen.length)
    if (chosen.length > 0) this.#give(from, chosen)
  }

  /** To the members that are chosen, of which they know already. */
  #give(from: string, messages: ReadonlyArray<Redelivery>): void {
    this.#mqtt.metrics.sharedRedelivered.add(messages.length)
    const queued = messages.filter(waits)
    const live = messages.filter((redelivery) => !waits(redelivery))
    this.#enqueue(from, queued)
    const acked = (): void => {
      for (const { member } of messages) member.subscriber.chosen--
      this.#deliver(live)
    }
    this.#mqtt.broker.shards.ack({ acked }, 0, undefined, 0)
  }

  /** Into the queues of durable sessions: each message into the log of the shard that has its session. */
  #enqueue(from: string, messages: ReadonlyArray<Redelivery>): void {
    const { broker, sessionLog } = this.#mqtt
    const { shards, clock } = broker
    const origin = sharedOriginOf(from)
    const lists = shards.lists()
    for (const { message, member, qos, share } of messages) {
      const { publication } = message
      const { clientId } = member.subscriber
      const to = sessionActor(clientId)
      const list = lists.of(to)
      const { batch, index } = sessionLog.append(shards.ownLogOf(to), publication, from, origin, clock.nowMs())
      addEnqueue(list, clientId, batch.logId, list.record(batch, index), {
        qos: Math.min(qos, member.qos) as QoS,
        retain: publication.retain && member.retainAsPublished,
        subscriptionIds: member.subscriptionIds,
        bytes: message.byteLength,
        share
      })
    }
    lists.askAll({ origin }, ({ exits }) => {
      // Behind each record its Enqueue.
      const lost = exits.filter((exit, at) => at % 2 === 1 && Exit.isFailure(exit)).length
      if (lost > 0) this.#mqtt.sharedLost(from, lost)
    })
  }

  #deliver(messages: ReadonlyArray<Redelivery>): void {
    for (const redelivery of messages) {
      const { message, member, qos, share } = redelivery
      const { connection, clientId } = member.subscriber
      if (connection?.isOpen !== true) {
        this.redeliver(clientId, [redelivery])
        continue
      }
      const retain = message.publication.retain && member.retainAsPublished
      connection.outgoing.deliver(message, Math.min(qos, member.qos) as QoS, retain, member.subscriptionIds, share)
    }
  }

  /** A session has messages for other members. Those for which there is no room now are asked for again. */
  handOn({ clientId, messages }: HandOn): void {
    // The next start asks again.
    if (this.#mqtt.isStopping) return
    const batches = new Map<Member, Batch>()
    const over: Array<number> = []
    const ofStreams = new Map<string, Array<ReleasedMessage>>()
    for (const released of messages) {
      if (this.#underWay.has(nameOf(clientId, released.releaseId))) continue
      if (isSharedStreamFilter(released.share)) {
        const records = ofStreams.get(released.share)
        if (records === undefined) ofStreams.set(released.share, [released])
        else records.push(released)
        continue
      }
      const group = this.#mqtt.directory.subscriptions.group(released.share)
      const member = group && this.choose(group, released.qos)
      if (member === undefined) {
        over.push(released.releaseId)
        continue
      }
      const batch = batches.get(member) ?? { messages: [], bytes: 0 }
      if (!this.#hasRoomFor(member, batch, released.bytes)) continue
      batch.messages.push(released)
      batch.bytes += released.bytes
      batches.set(member, batch)
      member.subscriber.chosen++
    }
    for (const [member, { messages }] of batches) {
      const isNear = this.#isNear(clientId, member)
      for (const some of listsOf(messages)) {
        if (isNear) this.#move(clientId, member, some)
        else this.#pass(clientId, member, some)
      }
    }
    for (const [share, records] of ofStreams) this.#giveBack(clientId, share, records)
    if (over.length > 0) this.#giveUp(clientId, over)
  }

  /** Records of a stream wait in their group, which deals them out again: its position has passed them. */
  #giveBack(clientId: string, share: string, messages: ReadonlyArray<ReleasedMessage>): void {
    const { shards, directory } = this.#mqtt.broker
    const records: Array<ShareRecord> = []
    let topicId: string | undefined
    for (const { logId, offset, stream } of messages) {
      const place = directory.byLogId(logId)
      // Its stream was deleted.
      if (place === undefined) continue
      topicId = place.stream.topicId
      const { gap, isCaughtUp } = stream ?? {}
      const marks = { ...(gap !== undefined && { gap }), ...(isCaughtUp && { isCaughtUp }) }
      records.push({ partition: place.partition, offset, ...marks })
    }
    const lists = shards.lists()
    const group = streamShareActor(share)
    if (topicId !== undefined) lists.of(group).add(group, { _tag: "TakeBack", topicId, records })
    this.#confirm(clientId, idsOf(messages), share, lists, (isTaken) => {
      if (!isTaken) return
      this.#mqtt.metrics.sharedRedelivered.add(records.length)
      if (records.length < messages.length) this.#mqtt.metrics.dropped("expired", messages.length - records.length)
    })
  }

  /** For a message of so many bytes behind the batch. Whether it is in a queue's bounds, the queue says. */
  #hasRoomFor({ subscriber }: Member, { messages, bytes }: Batch, moreBytes: number): boolean {
    if (loadOf(subscriber) >= this.#mqtt.broker.limits.offlineQueueMessagesMax) return false
    return subscriber.isDurable || subscriber.connection!.outgoing.hasRoomFor(messages.length + 1, bytes + moreBytes)
  }

  /** Its queue can have messages in one commit with the word of the session that had them. */
  #isNear(clientId: string, member: Member): boolean {
    const { shards } = this.#mqtt.broker
    return canWait(member) && shards.of(sessionActor(member.subscriber.clientId)) === shards.of(sessionActor(clientId))
  }

  #move(clientId: string, member: Member, messages: ReadonlyArray<ReleasedMessage>): void {
    const { subscriber, retainAsPublished, subscriptionIds, qos } = member
    const refs = messages.map(({ logId, offset, bytes, share, ...released }): MessageRef => {
      const isRetained = (): boolean => this.#mqtt.sessionLog.read(logId, offset)?.publication.retain === true
      const retain = retainAsPublished && (released.retain || isRetained())
      return { logId, offset, qos: Math.min(qos, released.qos) as QoS, retain, subscriptionIds, bytes, share }
    })
    const lists = this.#mqtt.broker.shards.lists()
    const to = sessionActor(subscriber.clientId)
    lists.of(to).add(to, { _tag: "Enqueue", messages: refs, isWhole: true })
    this.#confirm(clientId, idsOf(messages), subscriber.clientId, lists, (isTaken) => {
      subscriber.chosen -= messages.length
      if (isTaken) this.#mqtt.metrics.sharedRedelivered.add(messages.length)
    })
  }

  /** To a member that has them from memory, or whose queue is another shard's. */
  #pass(clientId: string, member: Member, messages: ReadonlyArray<ReleasedMessage>): void {
    const { subscriber } = member
    const redeliveries: Array<Redelivery> = []
    for (const { logId, offset, qos, share } of messages) {
      const message = this.#mqtt.sessionLog.read(logId, offset)
      if (message !== undefined) redeliveries.push({ message, qos, share, member })
    }
    const lists = this.#mqtt.broker.shards.lists()
    this.#confirm(clientId, idsOf(messages), subscriber.clientId, lists, (isTaken) => {
      const others = isTaken ? messages.length - redeliveries.length : messages.length
      subscriber.chosen -= others
      if (!isTaken) return
      if (others > 0) this.#mqtt.metrics.dropped("expired", others)
      if (redeliveries.length > 0) this.#give(clientId, redeliveries)
    })
  }

  /** There is no member any more. */
  #giveUp(clientId: string, releaseIds: ReadonlyArray<number>): void {
    this.#confirm(clientId, releaseIds, null, this.#mqtt.broker.shards.lists(), (isTaken) => {
      if (isTaken) this.#mqtt.sharedLost(clientId, releaseIds.length)
    })
  }

  /** Asks the lists, with the session's word that `to` has these messages if all else was taken. */
  #confirm(
    clientId: string,
    releaseIds: ReadonlyArray<number>,
    to: string | null,
    lists: ShardLists,
    done: (isTaken: boolean) => void
  ): void {
    const from = sessionActor(clientId)
    const list = lists.of(from)
    list.add(from, { _tag: "ConfirmHandedOn", releaseIds, to }, list.all)
    for (const releaseId of releaseIds) this.#underWay.add(nameOf(clientId, releaseId))
    lists.askAll({ origin: sharedOriginOf(clientId) }, ({ exits }) => {
      for (const releaseId of releaseIds) this.#underWay.delete(nameOf(clientId, releaseId))
      done(exits.every(Exit.isSuccess))
    })
  }
}

const sharedOriginOf = (clientId: string): string => originOf("mqtt", clientId, " shared")

const nameOf = (clientId: string, releaseId: number): string => `${releaseId} ${clientId}`

const idsOf = (messages: ReadonlyArray<{ readonly releaseId: number }>): ReadonlyArray<number> =>
  messages.map(({ releaseId }) => releaseId)
