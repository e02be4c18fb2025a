import * as Exit from "effect/Exit"
import type {
  Acked,
  MarkSent,
  QoS,
  QueueEntry,
  Received,
  SessionCommand
} from "@logbrook/actors/session/SessionProtocol"
import { copyWithPacketId, copyWithTopicAlias, encodeAck, writePubrel } from "@logbrook/protocols/mqtt/encodePublish"
import { MqttError } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import type { Client } from "./Client.ts"
import { TopicForm, type OutgoingMessage } from "./Message.ts"
import type { Undelivered } from "./MqttContext.ts"
import { type TopicAlias, TopicAliases } from "./TopicAliases.ts"

/** A client that messages are sent to. */
interface SubscribedClient extends Client {
  /** It takes less than is sent: QoS 0 is dropped, the rest waits. */
  readonly isSlow: boolean
  /** The topic aliases that it may be sent. */
  readonly topicAliasesMax: number
  /** Something waits for `flush`. */
  readonly touched: () => void
  /** The message that waits in the session's queue; undefined: it has gone with its log's retention. */
  readonly queued: (entry: QueueEntry) => OutgoingMessage | undefined
}

/** A message that is in no session's queue: lost with its connection, unless it is by a shared subscription (see `giveUpShared`). */
interface LiveItem {
  readonly message: OutgoingMessage
  readonly qos: 1 | 2
  readonly retain: boolean
  readonly subscriptionIds: ReadonlyArray<number>
  /** The filter of the shared subscription that it is by. */
  readonly share: string | undefined
}

type Item = LiveItem | QueueEntry

interface Inflight {
  readonly qos: QoS
  readonly bytes: number
  readonly isQueued: boolean
  /** By a shared subscription, and not in the session's queue: another member is to have it if this one goes. */
  readonly shared: Undelivered | undefined
  /** `marking`: not sent before its packet id is durable, or an id given before a reconnect whose turn has not come. */
  phase: "marking" | "sent" | "received"
}

interface Batch {
  readonly tag: "MarkSent" | "Acked" | "Received"
  readonly entries: Array<{ readonly entryId: number; readonly packetId: number | null }>
  readonly packetIds: Array<number>
  /** Sent once the batch is durable. */
  readonly held: Array<{ readonly entry: QueueEntry; readonly packetId: number; readonly message: OutgoingMessage }>
}

const packetIdMax = 65_535
const compactAt = 256

/** Above these, in the queue and on the way, the client is given nothing that can wait elsewhere. */
const backlogMessagesMax = 64
const backlogBytesMax = 1024 * 1024

/**
 * The messages that go out to one client: a window of unacknowledged ones, and a bounded queue behind it.
 *
 * Every step of a durable session's queue is journaled. A packet that a client must not see twice waits for its step:
 * QoS 2 is not sent before its packet id is durable, and PUBREL not before PUBREC is.
 */
export class Outgoing {
  readonly #connection: SubscribedClient
  readonly #windowMax: number
  readonly #inflight = new Map<number, Inflight>()
  #unacknowledged = 0
  /** Those that are in no session's queue, on the way and behind the window. */
  #live = 0
  #held = 0
  #lastPacketId = 0
  #pending: Array<Item> = []
  #pendingAt = 0
  #pendingBytes = 0
  #inflightBytes = 0
  #batches: Array<Batch> = []
  /**
   * Packet ids that an earlier connection gave: the client may have an acknowledgement of that one on its way besides the one
   * for what is sent again, so one that fits nothing is no violation.
   */
  #inherited: Set<number> | undefined
  readonly #aliases: TopicAliases | undefined

  constructor(connection: SubscribedClient, windowMax: number) {
    const { topicAliasesMax, admission } = connection
    this.#connection = connection
    this.#windowMax = windowMax
    if (topicAliasesMax > 0) this.#aliases = new TopicAliases(topicAliasesMax, admission)
  }

  /** Whether a message of so many bytes had better wait elsewhere: for the client, or for memory to wait in here. */
  hasBacklog(bytes: number): boolean {
    if (this.#pendingCount > backlogMessagesMax) return true
    if (this.underWayBytes > backlogBytesMax) return true
    return !this.hasWindow && !this.#connection.admission.hasRoom("transit", waitingBytes + bytes)
  }

  /** The next message would go out at once. */
  get hasWindow(): boolean {
    return this.#pendingCount === 0 && this.#unacknowledged < this.#windowMax
  }

  get underWay(): number {
    return this.#unacknowledged + this.#pendingCount
  }

  get underWayBytes(): number {
    return this.#pendingBytes + this.#inflightBytes
  }

  /** Messages behind the window. */
  get #pendingCount(): number {
    return this.#pending.length - this.#pendingAt
  }

  /** A message that is not in the session's queue. Dropped, and counted, when there is no room for it. */
  deliver(
    message: OutgoingMessage,
    qos: QoS,
    retain: boolean,
    subscriptionIds: ReadonlyArray<number>,
    share?: string
  ): void {
    const { mqtt, isSlow } = this.#connection
    if (qos === 0) {
      if (isSlow) mqtt.metrics.dropped("slow_consumer")
      else this.#write(message, 0, retain, subscriptionIds, 0, false)
      return
    }
    const { admission } = this.#connection
    // A message that another member may have to get is kept until it is acknowledged.
    const isKept = share === undefined || admission.hasRoom("transit", waitingBytesOf(message))
    if (this.hasWindow && !isSlow && isKept) {
      this.#live++
      this.#sendLive({ message, qos, retain, subscriptionIds, share })
      return
    }
    if (!this.hasRoomFor(1, message.byteLength)) {
      mqtt.metrics.dropped("queue_full")
      return
    }
    this.#live++
    this.#push({ message, qos, retain, subscriptionIds, share })
    admission.add("transit", waitingBytesOf(message))
  }

  hasRoomFor(messages: number, bytes: number): boolean {
    const { mqtt, admission } = this.#connection
    const { offlineQueueMessagesMax, offlineQueueBytesMax } = mqtt.broker.limits
    return (
      this.#pendingCount + messages <= offlineQueueMessagesMax &&
      this.#pendingBytes + bytes <= offlineQueueBytesMax &&
      admission.hasRoom("transit", messages * waitingBytes + bytes)
    )
  }

  /** The session's queue: at the opening all of it, later what is new in it. */
  enqueue(entries: ReadonlyArray<QueueEntry>): void {
    for (const entry of entries) {
      const { packetId, qos, bytes, phase } = entry
      if (packetId !== null && phase === "received") this.#releaseAgain(packetId, entry)
      else {
        if (packetId !== null) {
          ;(this.#inherited ??= new Set()).add(packetId)
          this.#inflight.set(packetId, { qos, bytes, isQueued: true, shared: undefined, phase: "marking" })
        }
        this.#push(entry)
      }
    }
    this.pump()
  }

  /** The messages that are in no session's queue and that the client has not acknowledged. */
  get unacknowledged(): number {
    return this.#live
  }

  /**
   * The connection is gone: what other members of shared subscriptions are to have of it, in order, and how many messages nobody
   * may have, since they are of QoS 2 and were sent [MQTT-4.8.2-5].
   */
  giveUpShared(): { readonly messages: ReadonlyArray<Undelivered>; readonly lost: number } {
    const messages: Array<Undelivered> = []
    let lost = 0
    for (const { shared, phase } of this.#inflight.values()) {
      if (shared === undefined || phase === "received") continue
      if (shared.qos === 1) messages.push(shared)
      else lost++
    }
    for (let i = this.#pendingAt; i < this.#pending.length; i++) {
      const item = this.#pending[i]!
      if ("message" in item && isShared(item)) messages.push(item)
    }
    return { messages, lost }
  }

  #push(item: Item): void {
    this.#pending.push(item)
    this.#pendingBytes += bytesOf(item)
  }

  #onItsWay(packetId: number, inflight: Inflight): void {
    this.#inflight.set(packetId, inflight)
    this.#unacknowledged++
    this.#inflightBytes += inflight.bytes
  }

  /** Sends what the window and the socket have room for. */
  pump(): void {
    while (this.#pendingAt < this.#pending.length && this.#unacknowledged < this.#windowMax) {
      if (this.#connection.isSlow) return
      const item = this.#pending[this.#pendingAt]!
      this.#pendingAt++
      this.#pendingBytes -= bytesOf(item)
      if ("message" in item) {
        this.#connection.admission.add("transit", -waitingBytesOf(item.message))
        this.#sendLive(item)
      } else if (item.packetId === null) this.#sendQueued(item)
      else this.#sendAgain(item, item.packetId)
    }
    if (this.#pendingAt < compactAt && this.#pendingAt < this.#pending.length) return
    this.#pending = this.#pending.slice(this.#pendingAt)
    this.#pendingAt = 0
  }

  #sendLive(item: LiveItem): void {
    const { message, qos, retain, subscriptionIds } = item
    if (!this.#canSend(message, qos, retain, subscriptionIds)) {
      this.#live--
      return
    }
    const packetId = this.#nextPacketId()
    const shared = isShared(item) ? item : undefined
    if (shared !== undefined) this.#connection.admission.add("transit", waitingBytesOf(message))
    this.#onItsWay(packetId, { qos, bytes: message.byteLength, isQueued: false, shared, phase: "sent" })
    this.#write(message, qos, retain, subscriptionIds, packetId, false)
  }

  #sendQueued(entry: QueueEntry): void {
    const { mqtt } = this.#connection
    const { entryId, qos, bytes, retain, subscriptionIds } = entry
    const packetId = this.#nextPacketId()
    const marking = this.#batch("MarkSent")
    marking.entries.push({ entryId, packetId })
    const message = this.#connection.queued(entry)
    if (message === undefined) mqtt.metrics.dropped("expired")
    if (message === undefined || !this.#canSend(message, qos, retain, subscriptionIds)) {
      this.#batch("Acked").packetIds.push(packetId)
      return
    }
    // A message behind a held one is held as well, so that the client gets them in the queue's order.
    const isHeld = qos === 2 || this.#held > 0
    this.#onItsWay(packetId, { qos, bytes, isQueued: true, shared: undefined, phase: isHeld ? "marking" : "sent" })
    if (isHeld) {
      this.#held++
      marking.held.push({ entry, packetId, message })
    } else this.#write(message, qos, retain, subscriptionIds, packetId, false)
  }

  /** [MQTT-4.4.0-1] PUBREL waits for no window [MQTT-3.3.4-10]. */
  #releaseAgain(packetId: number, { qos, bytes }: QueueEntry): void {
    ;(this.#inherited ??= new Set()).add(packetId)
    this.#onItsWay(packetId, { qos, bytes, isQueued: true, shared: undefined, phase: "received" })
    this.#release(packetId)
  }

  /**
   * [MQTT-4.4.0-1] The client may have a message of QoS 2 already, and with it the packet id. Where that message cannot be sent again, PUBREL
   * follows at once, and the id is another message's only behind PUBCOMP: else the client would take that for the one that it has.
   */
  #sendAgain(entry: QueueEntry, packetId: number): void {
    const { mqtt } = this.#connection
    const { qos, bytes, retain, subscriptionIds } = entry
    const message = this.#connection.queued(entry)
    if (message === undefined) mqtt.metrics.dropped("expired")
    const canBeSent = message !== undefined && this.#fits(message, qos, retain, subscriptionIds)
    if (!canBeSent && qos < 2) {
      this.#inflight.delete(packetId)
      this.#batch("Acked").packetIds.push(packetId)
      return
    }
    this.#onItsWay(packetId, { qos, bytes, isQueued: true, shared: undefined, phase: "sent" })
    if (canBeSent) this.#write(message, qos, retain, subscriptionIds, packetId, true)
    else this.#batch("Received").packetIds.push(packetId)
  }

  #canSend(message: OutgoingMessage, qos: QoS, retain: boolean, subscriptionIds: ReadonlyArray<number>): boolean {
    const { mqtt } = this.#connection
    if (!message.isExpired(mqtt.broker.clock.nowMs())) return this.#fits(message, qos, retain, subscriptionIds)
    mqtt.metrics.dropped("expired")
    return false
  }

  /**
   * Whether the message is below the client's mount point and within its Maximum Packet Size. A message that is not counts as
   * sent [MQTT-3.1.2-25].
   */
  #fits(message: OutgoingMessage, qos: QoS, retain: boolean, subscriptionIds: ReadonlyArray<number>): boolean {
    const { mqtt, version, packetSizeMax, mount } = this.#connection
    const seen = message.below(mount.mountPoint)
    if (seen === undefined) {
      mqtt.metrics.dropped("outside_mount_point")
      return false
    }
    if (packetSizeMax === Infinity) return true
    const nowMs = mqtt.broker.clock.nowMs()
    if (seen.encode(version, qos, retain, subscriptionIds, nowMs).byteLength <= packetSizeMax) return true
    mqtt.metrics.dropped("packet_too_large")
    return false
  }

  /** Whoever calls it with QoS 1 or 2 has asked `#canSend` before. */
  #write(
    message: OutgoingMessage,
    qos: QoS,
    retain: boolean,
    subscriptionIds: ReadonlyArray<number>,
    packetId: number,
    dup: boolean
  ): void {
    const connection = this.#connection
    const { mqtt, version, packetSizeMax } = connection
    if (qos === 0 && !this.#canSend(message, qos, retain, subscriptionIds)) return
    const nowMs = mqtt.broker.clock.nowMs()
    // mqtt.js (5.16) keeps a message of QoS 2 until PUBREL as it came, and hands it on without its topic.
    const seen = message.below(connection.mount.mountPoint)!
    let alias = qos === 2 ? undefined : this.#aliases?.use(seen.publication.topic)
    let encoded = seen.encode(version, qos, retain, subscriptionIds, nowMs, formOf(alias))
    // The message fits as it is: only an alias beside the topic makes it too large.
    if (encoded.byteLength > packetSizeMax) {
      alias = undefined
      encoded = seen.encode(version, qos, retain, subscriptionIds, nowMs)
    }
    connection.send(packetOf(encoded.head, alias, qos, packetId, dup), encoded.payload)
    if (alias !== undefined) alias.isKnown = true
    mqtt.metrics.sent[qos]!.add(1)
  }

  /** At most `windowMax` and the entries of one session are in use, far fewer than there are ids. */
  #nextPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % packetIdMax) + 1
    while (this.#inflight.has(this.#lastPacketId))
    return this.#lastPacketId
  }

  /** The message that the client has been sent under the id on this connection. */
  #sentAs(packetId: number): Inflight | undefined {
    const inflight = this.#inflight.get(packetId)
    return inflight?.phase === "marking" ? undefined : inflight
  }

  /** Throws `MqttError` for an acknowledgement that is not one of what was sent [MQTT-4.8.0-1], as Mosquitto takes it. */
  #throwIfOfAnother(packetId: number, packet: string, { qos, phase }: Inflight): void {
    if (this.#inherited?.has(packetId) === true) return
    throw new MqttError(ReasonCode.ProtocolError, `${packet} for a message of QoS ${qos} that was ${phase}`)
  }

  /** PUBACK. An unknown id is passed over: it may be of an earlier connection. Throws `MqttError`, as the next two. */
  acknowledged(packetId: number): void {
    const inflight = this.#sentAs(packetId)
    if (inflight === undefined) return
    if (inflight.qos === 1) this.#finish(packetId, inflight)
    else this.#throwIfOfAnother(packetId, "PUBACK", inflight)
  }

  /** PUBREC. An unknown id is answered with 0x92, unless what has it is about to be sent again. */
  received(packetId: number, reasonCode: number): void {
    const { version } = this.#connection
    const inflight = this.#sentAs(packetId)
    if (inflight === undefined) {
      const comesAgain = this.#inherited?.has(packetId) === true && this.#inflight.has(packetId)
      if (reasonCode < ReasonCode.UnspecifiedError && !comesAgain) {
        this.#connection.send(encodeAck(version, "Pubrel", packetId, ReasonCode.PacketIdentifierNotFound))
      }
    } else if (inflight.qos !== 2) this.#throwIfOfAnother(packetId, "PUBREC", inflight)
    else if (reasonCode >= ReasonCode.UnspecifiedError) this.#finish(packetId, inflight)
    else if (inflight.isQueued) this.#batch("Received").packetIds.push(packetId)
    else {
      inflight.phase = "received"
      this.#release(packetId)
    }
  }

  /** PUBCOMP. */
  completed(packetId: number): void {
    const inflight = this.#sentAs(packetId)
    if (inflight === undefined) return
    if (inflight.phase === "received") this.#finish(packetId, inflight)
    else this.#throwIfOfAnother(packetId, "PUBCOMP", inflight)
  }

  #finish(packetId: number, inflight: Inflight): void {
    this.#inflight.delete(packetId)
    this.#unacknowledged--
    this.#inflightBytes -= inflight.bytes
    if (inflight.isQueued) this.#batch("Acked").packetIds.push(packetId)
    else this.#live--
    const { shared } = inflight
    if (shared !== undefined) this.#connection.admission.add("transit", -waitingBytesOf(shared.message))
    this.pump()
  }

  #release(packetId: number): void {
    const packet = Buffer.allocUnsafe(4)
    writePubrel(packet, 0, packetId)
    this.#connection.send(packet)
  }

  /** The batch that is open, if it is of this kind: batches keep the order of what happened. */
  #batch(tag: Batch["tag"]): Batch {
    const last = this.#batches.at(-1)
    if (last?.tag === tag) return last
    const batch: Batch = { tag, entries: [], packetIds: [], held: [] }
    this.#batches.push(batch)
    this.#connection.touched()
    return batch
  }

  /** Hands what has happened to the session's actor. */
  flush(): void {
    if (this.#batches.length === 0) return
    const batches = this.#batches
    this.#batches = []
    for (const batch of batches) {
      this.#connection.ask(batch.tag, commandOf(batch, this.#connection.id), (exit) => {
        if (Exit.isSuccess(exit)) this.#durable(batch)
        else this.#connection.lost("its session does not take what happened")
      })
    }
  }

  #durable({ tag, packetIds, held }: Batch): void {
    this.#held -= held.length
    for (const { entry, packetId, message } of held) {
      this.#inflight.get(packetId)!.phase = "sent"
      this.#write(message, entry.qos, entry.retain, entry.subscriptionIds, packetId, false)
    }
    if (tag !== "Received") return
    for (const packetId of packetIds) {
      const inflight = this.#inflight.get(packetId)
      if (inflight === undefined) continue
      inflight.phase = "received"
      this.#release(packetId)
    }
  }
}

const formOf = (alias: TopicAlias | undefined): TopicForm => {
  if (alias === undefined) return TopicForm.Topic
  return alias.isKnown ? TopicForm.Alias : TopicForm.TopicAndAlias
}

/** The receiver's own copy, unless it is the same for all. */
const packetOf = (
  head: Uint8Array,
  alias: TopicAlias | undefined,
  qos: QoS,
  packetId: number,
  dup: boolean
): Uint8Array => {
  if (alias !== undefined) return copyWithTopicAlias(head, alias.alias, packetId, dup)
  return qos === 0 ? head : copyWithPacketId(head, packetId, dup)
}

const isShared = (item: LiveItem): item is LiveItem & Undelivered => item.share !== undefined

/** The memory of a message that is in no session's queue and waits for its client. The part that clients share is counted for each. */
const waitingBytes = 400

const waitingBytesOf = (message: OutgoingMessage): number => waitingBytes + message.byteLength

const bytesOf = (item: Item): number => ("message" in item ? item.message.byteLength : item.bytes)

const commandOf = ({ tag, entries, packetIds }: Batch, connectionId: string): SessionCommand => {
  if (tag === "MarkSent") return { _tag: "MarkSent", connectionId, entries } satisfies MarkSent
  return { _tag: tag, connectionId, packetIds } satisfies Acked | Received
}
