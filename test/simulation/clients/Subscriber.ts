import { isDeepStrictEqual } from "node:util"
import { matches } from "@logbrook/core/TopicFilter"
import type { Mishap, SubscriberPlan } from "../Plan.ts"
import type { Stamp } from "../Network.ts"
import { idOf, numberOf } from "../payload.ts"
import type { Client, World } from "../World.ts"
import { type Packet, MqttPeer } from "./MqttPeer.ts"
import type { Publication } from "./MqttLedger.ts"
import { Receiving } from "./Receiving.ts"

interface Delivery {
  readonly qos: 0 | 1 | 2
  readonly topic: string
  readonly payload: Buffer
  readonly messageId?: number
  readonly dup: boolean
  readonly retain: boolean
}

const ownPacketId = 60_000
/** There is no such stream. */
const refusedFilter = "$stream/nobody"
const refusedCodes = { 3: 0, 4: 0x80, 5: 0x8f } as const

const refuses = ({ kind }: Mishap): boolean => kind === "diskLow"

/** Subscribes, and counts what it is given. */
export class Subscriber implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: SubscriberPlan
  readonly #peer: MqttPeer
  readonly #receiving: Receiving
  readonly #counts = new Map<string, number>()
  /** The newest by sender and QoS. */
  readonly #newest = new Map<string, number>()
  #subscribedMs = Infinity
  /** No filter of others matches it, and no stream. */
  readonly #ownTopic: string
  /** The connection on which it last got its own message. */
  #echoOf = 0

  constructor(world: World, plan: SubscriberPlan) {
    this.name = plan.name
    this.#ownTopic = `$own/${plan.name}`
    this.#world = world
    this.#plan = plan
    const { name, version, isDurable, receiveMaximum } = plan
    const options = { name, version, isDurable, ...(version === 5 && { receiveMaximum }) }
    this.#peer = new MqttPeer(world, options, {
      onConnected: (sessionPresent) => this.#connected(sessionPresent),
      onPacket: (packet, stamp) => this.#packet(packet, stamp),
      onLost: () => this.#lost()
    })
    this.#receiving = new Receiving(world, this.#peer, world.random(`${name}/load`), {
      name,
      receiveMaximum: version === 5 ? receiveMaximum : undefined,
      forgets: plan.forgets
    })
  }

  start(): void {
    this.#receiving.start()
  }

  #connected(sessionPresent: boolean): void {
    this.#receiving.connected(sessionPresent)
    if (!sessionPresent) this.#newest.clear()
    if (sessionPresent && this.#subscribedMs < Infinity) return
    const filters = [...this.#plan.filters, [this.#ownTopic, 0] as const, [refusedFilter, 1] as const]
    const subscriptions = filters.map(([topic, qos]) => ({ topic, qos }))
    this.#peer.send({ cmd: "subscribe", messageId: 1, subscriptions } as Packet)
    // Its PUBACK follows the delivery, which waits for nothing else.
    const payload = String(this.#peer.connection)
    this.#peer.send({ cmd: "publish", topic: this.#ownTopic, payload, qos: 1, messageId: ownPacketId } as Packet)
  }

  #lost(): void {
    this.#receiving.lost()
    if (this.#plan.isDurable) return
    this.#subscribedMs = Infinity
    this.#counts.clear()
    this.#newest.clear()
  }

  #packet(packet: Packet, stamp: Stamp): void {
    const { messageId } = packet
    switch (packet.cmd) {
      case "suback":
        this.#world.trace(`${this.name} subscribed`)
        this.#checkGranted(packet.granted)
        this.#subscribedMs = Math.min(this.#subscribedMs, this.#world.scheduler.elapsedMs)
        return
      case "publish":
        this.#delivered(packet as Delivery, stamp)
        return
      case "pubrel":
        this.#receiving.released(messageId!)
        return
      case "puback":
        if (this.#echoOf !== this.#peer.connection)
          this.#world.violated(`${this.name} does not get what it published behind its SUBSCRIBE`)
        return
      case "pingresp":
        return
      default:
        this.#world.violated(`${this.name} gets a ${packet.cmd}`)
    }
  }

  /** MQTT 3.1 has no way to refuse a filter. */
  #checkGranted(granted: ReadonlyArray<unknown>): void {
    const { version, filters } = this.#plan
    const wanted = [...filters.map(([, qos]) => qos), 0, refusedCodes[version]]
    if (!isDeepStrictEqual(granted, wanted)) {
      this.#world.violated(`${this.name} is granted ${granted.join()} where ${wanted.join()} is right`)
    }
  }

  #delivered(delivery: Delivery, stamp: Stamp): void {
    const { qos, topic, payload, messageId } = delivery
    if (topic === this.#ownTopic) {
      this.#echoed(delivery)
      return
    }
    const id = payload.length === 0 ? undefined : idOf(payload)
    const publication = id === undefined ? undefined : this.#world.mqtt.publications.get(id)
    if (id === undefined || publication === undefined || publication.topic !== topic) {
      this.#world.violated(
        `${this.name} gets on ${topic} what nobody has published: ${payload.toString("latin1", 0, 40)}`
      )
    }
    this.#world.trace(`${this.name} gets ${id} qos ${qos} as ${messageId}${delivery.dup ? " again" : ""}`)
    this.#checkDurable(id, qos, topic, stamp)
    if (qos > this.#grantedQos(topic) || qos > publication.qos) {
      this.#world.violated(`${this.name} gets ${id} with QoS ${qos}`)
    }
    if (qos === 0) return
    this.#receiving.takes(messageId!)
    // What is retained comes besides.
    if (!delivery.retain && !this.#receiving.isKnown(qos, messageId!)) this.#count(publication, delivery)
    this.#receiving.answers(qos, messageId!)
  }

  /**
   * Its session may end with the connection, so what is looked for is of this one. A message that an earlier connection has published behind its
   * SUBSCRIBE comes to this one where the session has taken that, though the SUBACK was lost with the connection.
   */
  #echoed({ payload }: Delivery): void {
    this.#echoOf = Number(payload.toString("latin1"))
    const isOfThisConnection = this.#echoOf === this.#peer.connection
    if (isOfThisConnection && this.#subscribedMs === Infinity) {
      this.#world.violated(`${this.name} gets a message before its SUBACK`)
    }
  }

  #checkDurable(id: string, qos: number, topic: string, { durableSeq }: Stamp): void {
    this.#world.mqtt.checkDurable(`${this.name} gets`, id, topic, durableSeq)
    if (qos === 0 || !this.#plan.isDurable || this.#world.model.queuedBefore(id, durableSeq)) return
    this.#world.violated(`${this.name} gets ${id} before it was durable for its session`)
  }

  /** Its session ends with a connection, or may have no room for a message. */
  get #mayMiss(): boolean {
    return !this.#plan.isDurable || this.#world.plan.limits.offlineQueueMessagesMax !== undefined
  }

  #grantedQos(topic: string): number {
    const granted = this.#plan.filters.filter(([filter]) => matches(filter, topic)).map(([, qos]) => qos)
    return Math.max(-1, ...granted)
  }

  #count({ id, sender, sentMs, mayRepeat, wasRepeated }: Publication, { qos, dup }: Delivery): void {
    const count = (this.#counts.get(id) ?? 0) + 1
    this.#counts.set(id, count)
    if (qos === 2 && count > 1 && !mayRepeat && !this.#world.mqtt.isPartlyRefused)
      this.#world.violated(`${this.name} gets ${id} of QoS 2 twice`)
    // [MQTT-4.6.0-5]; what comes again may come behind what is newer.
    const key = `${sender} ${qos}`
    const newest = this.#newest.get(key) ?? -1
    const n = numberOf(id)
    // What was sent before the subscription, found its queue full, or was refused and its sender did not hear of it, comes only if
    // it is sent again: then behind what came since.
    const isLate = sentMs <= this.#subscribedMs || this.#mayMiss || this.#world.plan.mishaps.some(refuses)
    if (n > newest) this.#newest.set(key, n)
    else if (count === 1 && !dup && !mayRepeat && !(wasRepeated && isLate)) {
      this.#world.violated(`${this.name} gets ${id} behind number ${newest} of QoS ${qos}`)
    }
  }

  /** A durable session gets whatever was acknowledged to its sender after the subscription was. */
  waitsFor(): string | undefined {
    if (!this.#peer.isConnected) return `${this.name} is not connected`
    if (this.#mayMiss) return undefined
    for (const { id, topic, qos, sentMs, isAcknowledged, mayRepeat } of this.#world.mqtt.publications.values()) {
      const granted = this.#grantedQos(topic)
      // What was refused in part may be acknowledged later as a duplicate, and this session lacks it: a known fault.
      if (!isAcknowledged || mayRepeat || Math.min(granted, qos) < 1 || sentMs <= this.#subscribedMs) continue
      if (!this.#counts.has(id)) return `${this.name} has not got ${id}`
    }
    return undefined
  }

  leave(): void {
    this.#peer.disconnect(true)
  }
}
