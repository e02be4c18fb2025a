import * as Exit from "effect/Exit"
import { sessionActor } from "@logbrook/actors/session/SessionProtocol"
import { PacketIds } from "@logbrook/core/PacketIds"
import { textBytes } from "@logbrook/core/memory/MemoryAccount"
import type { CommandList } from "@logbrook/core/shard/CommandList"
import type { AckReceiver, PartitionBatch } from "@logbrook/core/shard/Intake"
import { encodeAck } from "@logbrook/protocols/mqtt/encodePublish"
import type { Publish, UserProperties } from "@logbrook/protocols/mqtt/Packet"
import { MqttError } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import type { Placed, Publication } from "../streams/PublishRoutes.ts"
import type { Client } from "./Client.ts"
import { codeText } from "./connectionEnd.ts"
import { publicationOf } from "./Message.ts"
import type { MqttOptions } from "./MqttOptions.ts"
import { type Answered, PendingPublication, Publisher, type Refusal, batchRefusal, withoutMemory } from "./Publisher.ts"

/** Throws `MqttError` for a message that CONNACK has told the client not to send [MQTT-3.2.2-11, MQTT-3.2.2-14]. */
const throwIfNotOffered = (qos: number, retain: boolean, { maximumQos, retainAvailable }: MqttOptions): void => {
  if (qos > maximumQos) {
    throw new MqttError(ReasonCode.QoSNotSupported, `messages of QoS ${qos} are not taken`)
  }
  if (retain && !retainAvailable) throw new MqttError(ReasonCode.RetainNotSupported, "no messages are retained")
}

/** In a token beside the packet id: nobody has the message, and MQTT 5 says so. */
const noReceiversBit = 1 << 16

const pubackByte = 0x40
const pubrecByte = 0x50

/** A client that publishes. */
interface PublishingClient extends Client {
  /** Where its messages are, in their PUBACK and PUBREC. */
  readonly wantsReceipts: boolean
  readonly address: string
  /** An acknowledgement of four bytes, reason Success. */
  readonly ack: (firstByte: number, packetId: number) => void
  readonly violated: (error: MqttError) => void
  /** Fewer messages wait for their commits than when it was told to read no further. */
  readonly hasAnswered: () => void
}

/**
 * Takes one client's PUBLISH and PUBREL packets. A QoS 1 message that only streams have to know goes the short way:
 * it is encoded into its partition's batch and acknowledged by a token, without an object of its own.
 */
export class Incoming implements AckReceiver, Answered {
  readonly #connection: PublishingClient
  readonly #publisher: Publisher
  #aliases: Array<string | undefined> | undefined
  /** Packet ids of QoS 2 that wait for PUBREL; the session's state has the same. */
  readonly #unreleased: PacketIds
  /** So many of them may be there: those of earlier connections do not count for this one's Receive Maximum. */
  readonly #unreleasedMax: number
  /** Why messages of QoS 2 were refused in their turn, by packet id, as long as others wait: some may have come again meanwhile. */
  #refused: Map<number, Refusal> | undefined
  /** The messages of QoS 1 and 2 that wait for their commits. */
  #unanswered = 0
  readonly #unansweredMax: number

  constructor(connection: PublishingClient, unreleased: ReadonlyArray<number>) {
    const { receiveMaximum } = connection.mqtt.broker.limits
    this.#connection = connection
    this.#unreleased = PacketIds.of(unreleased)
    this.#unreleasedMax = connection.version !== 5 ? Infinity : this.#unreleased.size + receiveMaximum
    this.#unansweredMax = receiveMaximum
    this.#publisher = new Publisher(
      connection.mqtt,
      connection.principal,
      connection.clientId,
      connection.origin("PUBLISH"),
      this,
      connection.admission,
      connection.mount.mountPoint
    )
  }

  /**
   * So many messages wait for their commits that no more should be read. This ends without the client's doing, so a client
   * whose PUBREL stands behind what is not read yet goes on as well.
   */
  get isFull(): boolean {
    return this.#unanswered >= this.#unansweredMax
  }

  /** Messages of this connection wait for their commits. */
  get isWaiting(): boolean {
    return this.#publisher.waiting > 0
  }

  /** Throws `MqttError` for what closes the connection. */
  publish(packet: Publish, nowMs: number): void {
    const { mqtt } = this.#connection
    const { qos, retain, packetId } = packet
    throwIfNotOffered(qos, retain, mqtt.options)
    const topic = packet.properties?.topicAlias === undefined ? packet.topic : this.#aliased(packet)
    mqtt.metrics.received[qos]!.add(1)
    if (qos === 2 && this.#unreleased.has(packetId)) {
      this.#unanswered++
      this.#publisher.wait(new PendingPublication(this.#publisher, packetId, qos, { isRepeat: true }), false)
      return
    }
    if (qos === 2) this.#throwIfTooMany()
    const plan = mqtt.directory.subscriptions.plan(topic)
    const publication = publicationOf(packet, topic, nowMs, this.#connection.mount.mountPoint)
    const refusal = this.#publisher.refusal(publication, plan) ?? this.#withoutMemory(qos)
    if (refusal !== undefined) {
      if (qos > 0) this.#unanswered++
      this.#publisher.refuse(topic, packetId, qos, refusal)
      // At once: what else of the client is taken must not depend on when a turn comes.
      if (qos > 0 && this.#endsConnection(refusal)) this.#end(refusal)
      return
    }
    if (qos < 2 && plan.isEmpty && !retain) {
      this.#short(publication, packetId, nowMs)
      return
    }
    if (qos > 0) this.#unanswered++
    const more = qos === 2 ? { adds: this.#remembers(packetId) } : undefined
    const pending = this.#publisher.publish(publication, plan, packetId, nowMs, more)
    if (!pending.hasReceivers && !retain) this.#publisher.unmatched(topic)
    if (qos !== 2 || pending.refusal !== undefined) return
    this.#unreleased.add(packetId)
    this.#refused?.delete(packetId)
    pending.isRemembered = true
  }

  /** Before anybody has stored it: later it would be stored once more when it comes again. */
  #withoutMemory(qos: number): Refusal | undefined {
    return qos === 2 && this.#connection.mqtt.broker.shards.memory.room("sessions") === 0 ? withoutMemory : undefined
  }

  #short(publication: Publication, packetId: number, nowMs: number): void {
    const { qos } = publication
    if (this.#publisher.appendOnly(publication, nowMs, qos === 0 ? undefined : this, packetId)) {
      this.#unanswered += qos
      this.#publisher.waiting += qos
      return
    }
    const placed = this.#publisher.append(publication, nowMs)
    if (placed.length === 0) this.#publisher.unmatched(publication.topic)
    if (qos === 0) return
    if (placed.length > 1) {
      this.#unanswered++
      this.#publisher.wait(
        new PendingPublication(this.#publisher, packetId, qos, { topic: publication.topic, placed }),
        true
      )
    } else if (this.#publisher.waiting === 0) this.#ack(pubackByte, packetId, ReasonCode.NoMatchingSubscribers)
    else {
      this.#unanswered++
      this.#publisher.waiting++
      this.#connection.mqtt.broker.shards.ack(this, packetId | noReceiversBit, undefined, 0)
    }
  }

  /** The message of a token is durable, or refused. */
  acked(token: number, batch: PartitionBatch | undefined, index: number): void {
    this.#answeredOne()
    this.#publisher.waiting--
    const packetId = token & 0xffff
    const refusal = batchRefusal(batch)
    if (refusal !== undefined) {
      this.#connection.mqtt.metrics.dropped(refusal.drop)
      this.#name(refusal, 1, undefined)
      this.#refuse(packetId, 1, refusal)
    } else if ((token & noReceiversBit) !== 0) this.#ack(pubackByte, packetId, ReasonCode.NoMatchingSubscribers)
    else if (this.#connection.wantsReceipts && batch !== undefined)
      this.#receipt("Puback", packetId, [{ batch, index }])
    else this.#connection.ack(pubackByte, packetId)
  }

  /** The long way's end; QoS 0 needs no answer. */
  answered(pending: PendingPublication): void {
    const { packetId, qos, topic, placed, hasReceivers } = pending
    const refusal = this.#refusalOf(pending)
    if (refusal !== undefined) this.#name(refusal, qos, topic)
    if (qos === 0) return
    this.#answeredOne()
    if (refusal !== undefined) this.#refuse(packetId, qos, refusal)
    else if (this.#connection.wantsReceipts && placed.length > 0) {
      this.#receipt(qos === 1 ? "Puback" : "Pubrec", packetId, placed)
    } else {
      const reasonCode = hasReceivers ? ReasonCode.Success : ReasonCode.NoMatchingSubscribers
      this.#ack(qos === 1 ? pubackByte : pubrecByte, packetId, reasonCode)
    }
    if (this.#publisher.waiting === 0) this.#refused = undefined
  }

  /** What has come again before its answer is refused as the first one was: nobody has stored it. */
  #refusalOf({ packetId, refusal, isRemembered, isRepeat }: PendingPublication): Refusal | undefined {
    if (isRepeat) return this.#refused?.get(packetId)
    if (refusal === undefined || !isRemembered) return refusal
    // Refused at once, it would not be the one of its packet id that waits for PUBREL.
    this.#forget(packetId)
    this.#refused ??= new Map()
    this.#refused.set(packetId, refusal)
    return refusal
  }

  #answeredOne(): void {
    if (this.#unanswered-- === this.#unansweredMax) this.#connection.hasAnswered()
  }

  #ack(firstByte: number, packetId: number, reasonCode: number): void {
    const connection = this.#connection
    if (reasonCode === ReasonCode.Success || connection.version !== 5) connection.ack(firstByte, packetId)
    else connection.send(encodeAck(5, firstByte === pubackByte ? "Puback" : "Pubrec", packetId, reasonCode))
  }

  #receipt(tag: "Puback" | "Pubrec", packetId: number, placed: ReadonlyArray<Placed>): void {
    const connection = this.#connection
    const userProperties = placed.flatMap(({ batch, index }): UserProperties => {
      const place = connection.mqtt.broker.directory.byLogId(batch.logId)
      if (place === undefined) return []
      return [
        ["stream", place.stream.name],
        ["partition", String(place.partition)],
        ["offset", String(batch.baseOffset + index)]
      ]
    })
    connection.send(encodeAck(5, tag, packetId, ReasonCode.Success, { userProperties }, connection.packetSizeMax))
  }

  /** A line of the log tells why the connection of an MQTT 3.1.1 client is closed. */
  #name(refusal: Refusal, qos: number, topic: string | undefined): void {
    const { mqtt, clientId, address } = this.#connection
    const { code, text } = refusal
    const isLogged = qos > 0 && this.#endsConnection(refusal)
    mqtt.refusals.add({ clientId, address, code: codeText(code), reason: text, topic, isLogged })
  }

  /** MQTT 3.1.1 has no other way to say no than to close. MQTT 3.1 has what is not allowed acknowledged (3.3 there). */
  #endsConnection({ code, isDroppedBy311 }: Refusal): boolean {
    const { version } = this.#connection
    if (version === 3 && code === ReasonCode.NotAuthorized) return false
    return version !== 5 && isDroppedBy311 !== true
  }

  #end({ text }: Refusal): void {
    const reason = `a message was refused: ${text}`
    this.#connection.violated(new MqttError(ReasonCode.ImplementationSpecificError, reason))
  }

  #refuse(packetId: number, qos: number, refusal: Refusal): void {
    const connection = this.#connection
    const { code, text } = refusal
    if (this.#endsConnection(refusal)) {
      this.#end(refusal)
      return
    }
    if (connection.version !== 5) {
      connection.ack(qos === 1 ? pubackByte : pubrecByte, packetId)
      return
    }
    const properties = connection.wantsProblems ? { reasonString: text } : {}
    connection.send(encodeAck(5, qos === 1 ? "Puback" : "Pubrec", packetId, code, properties, connection.packetSizeMax))
  }

  /** [MQTT-3.3.4-7] MQTT 3.1.1 has no bound but the packet ids. */
  #throwIfTooMany(): void {
    if (this.#unreleased.size < this.#unreleasedMax) return
    const reason = `more messages of QoS 2 wait for PUBREL than Receive Maximum, ${this.#unansweredMax}`
    throw new MqttError(ReasonCode.ReceiveMaximumExceeded, reason)
  }

  #aliased({ topic, properties }: Publish): string {
    const alias = properties!.topicAlias!
    if (alias > this.#connection.mqtt.broker.limits.topicAliasesMax) {
      throw new MqttError(ReasonCode.TopicAliasInvalid, `topic alias ${alias} is over the maximum`)
    }
    if (topic !== "") {
      this.#aliases ??= []
      this.#keepAlias(topic, this.#aliases[alias])
      this.#aliases[alias] = topic
      return topic
    }
    const known = this.#aliases?.[alias]
    if (known === undefined) throw new MqttError(ReasonCode.ProtocolError, `topic alias ${alias} was not set`)
    return known
  }

  #keepAlias(topic: string, before: string | undefined): void {
    if (topic === before) return
    const { admission } = this.#connection
    const growth = textBytes(topic) - (before === undefined ? 0 : textBytes(before))
    if (growth > 0 && !admission.hasRoom("connections", growth)) {
      throw new MqttError(ReasonCode.QuotaExceeded, "there is no memory for a topic alias more")
    }
    admission.add("connections", growth)
  }

  /**
   * Journaled with the message itself [MQTT-4.3.3-10], and not without it: a message that was refused must not be taken for a duplicate
   * when it comes again, though nobody should hear of the refusal.
   */
  #remembers(packetId: number): (list: CommandList, all: ReadonlyArray<number>) => void {
    const { id: connectionId, clientId } = this.#connection
    return (list, all) => list.add(sessionActor(clientId), { _tag: "ReceiveQos2", connectionId, packetId }, all)
  }

  #forget(packetId: number): void {
    if (!this.#unreleased.delete(packetId)) return
    const { id } = this.#connection
    this.#connection.ask("PUBLISH", { _tag: "ReleaseQos2", connectionId: id, packetId }, () => undefined)
  }

  /** PUBREL; the PUBCOMP follows the commit. */
  release(packetId: number): void {
    const connection = this.#connection
    const { version } = connection
    if (!this.#unreleased.delete(packetId)) {
      connection.send(encodeAck(version, "Pubcomp", packetId, ReasonCode.PacketIdentifierNotFound))
      return
    }
    connection.ask("PUBREL", { _tag: "ReleaseQos2", connectionId: connection.id, packetId }, (exit) => {
      if (Exit.isSuccess(exit)) connection.send(encodeAck(version, "Pubcomp", packetId))
      else connection.lost("its session does not take PUBREL")
    })
  }
}
