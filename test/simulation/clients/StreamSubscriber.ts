import type { StreamSubscriberPlan } from "../Plan.ts"
import type { ModelLog } from "../Model.ts"
import type { Stamp } from "../Network.ts"
import { idOf } from "../payload.ts"
import type { Random } from "../Random.ts"
import type { Client, World } from "../World.ts"
import { MqttPeer, type Packet } from "./MqttPeer.ts"
import { Receiving } from "./Receiving.ts"

interface Delivery {
  readonly qos: 0 | 1 | 2
  readonly topic: string
  readonly payload: Buffer
  readonly messageId?: number
  readonly properties?: {
    readonly subscriptionIdentifier?: number
    readonly userProperties?: Readonly<Record<string, string>>
  }
}

const subscriptionIdentifier = 7

/**
 * Reads a stream over MQTT from its beginning. Of each partition it gets every record that retention has left, in order, none before
 * it is durable; of QoS 2 in a durable session each once, otherwise again only after it was away.
 */
export class StreamSubscriber implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: StreamSubscriberPlan
  readonly #peer: MqttPeer
  readonly #random: Random
  readonly #receiving: Receiving
  /** The offset that is next in each partition: all before it were got, or had expired. */
  readonly #next = new Map<number, number>()
  /** The last one of each partition on this connection. */
  readonly #last = new Map<number, number>()
  #isSubscribed = false

  constructor(world: World, plan: StreamSubscriberPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    const { name, isDurable, receiveMaximum } = plan
    this.#peer = new MqttPeer(
      world,
      { name, version: 5, isDurable, receiveMaximum },
      {
        onConnected: (sessionPresent) => this.#connected(sessionPresent),
        onPacket: (packet, stamp) => this.#packet(packet, stamp),
        onLost: () => this.#lost()
      }
    )
    this.#random = world.random(`${name}/load`)
    this.#receiving = new Receiving(world, this.#peer, this.#random, { name, receiveMaximum, forgets: plan.forgets })
  }

  start(): void {
    this.#receiving.start()
  }

  #connected(sessionPresent: boolean): void {
    this.#receiving.connected(sessionPresent)
    this.#last.clear()
    if (!sessionPresent) {
      this.#next.clear()
      this.#isSubscribed = false
    }
    // The same SUBSCRIBE again changes nothing.
    if (this.#isSubscribed && this.#random.chance(0.7)) return
    const { stream, qos } = this.#plan
    this.#peer.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [{ topic: `$stream/${stream}`, qos }],
      properties: { subscriptionIdentifier, userProperties: { "stream-offset": "earliest" } }
    } as Packet)
  }

  #lost(): void {
    this.#receiving.lost()
    this.#last.clear()
  }

  #packet(packet: Packet, stamp: Stamp): void {
    const { messageId } = packet
    switch (packet.cmd) {
      case "suback":
        this.#world.trace(`${this.name} subscribed`)
        if (packet.granted[0] !== this.#plan.qos) {
          this.#world.violated(`${this.name} is granted ${String(packet.granted[0])}`)
        }
        this.#isSubscribed = true
        return
      case "publish":
        this.#delivered(packet as Delivery, stamp)
        return
      case "pubrel":
        this.#receiving.released(messageId!)
        return
      case "pingresp":
        return
      default:
        this.#world.violated(`${this.name} gets a ${packet.cmd}`)
    }
  }

  #delivered(delivery: Delivery, stamp: Stamp): void {
    const { qos, messageId = 0, properties } = delivery
    const { stream, partition, offset } = properties?.userProperties ?? {}
    this.#world.trace(`${this.name} gets ${stream}/${partition}:${offset} qos ${qos} as ${messageId}`)
    if (stream !== this.#plan.stream || qos !== this.#plan.qos) {
      this.#world.violated(`${this.name} gets something of ${stream} with QoS ${qos}`)
    }
    if (properties?.subscriptionIdentifier !== subscriptionIdentifier) {
      this.#world.violated(`${this.name} gets a record without its Subscription Identifier`)
    }
    if (!this.#receiving.isKnown(qos, messageId)) this.#got(Number(partition), Number(offset), delivery, stamp)
    if (qos === 0) return
    this.#receiving.takes(messageId)
    // A clean session begins anew each time: in the end it must get through.
    this.#receiving.answers(qos, messageId, this.#plan.isDurable || !this.#world.isHealed)
  }

  #got(partition: number, offset: number, { payload }: Delivery, { durableSeq }: Stamp): void {
    const where = `${this.#plan.stream}/${partition}:${offset}`
    const log = this.#logs()[partition]
    if (log === undefined || log.ids[offset] === undefined || log.ids[offset] !== (idOf(payload) ?? "")) {
      return this.#world.violated(`${this.name} gets as ${where} what is not there`)
    }
    if (log.seqs[offset]! >= durableSeq) this.#world.violated(`${this.name} gets ${where} before it is durable`)
    if (offset <= (this.#last.get(partition) ?? -1)) {
      this.#world.violated(`${this.name} gets ${where} behind ${this.#last.get(partition)}`)
    }
    if (!this.#world.model.transactionsOf(log.id).isVisible(offset)) {
      this.#world.violated(`${this.name} gets ${where}, which is not committed`)
    }
    const next = this.#next.get(partition) ?? 0
    const missed = this.#visibleFrom(log, next, offset)
    if (missed !== undefined && !this.#mayMiss(partition)) {
      this.#world.violated(`${this.name} gets ${where}, and not ${missed}`)
    }
    const { qos, isDurable } = this.#plan
    if (offset < next && qos === 2 && isDurable) this.#world.violated(`${this.name} gets ${where} of QoS 2 twice`)
    this.#last.set(partition, offset)
    this.#next.set(partition, Math.max(next, offset + 1))
  }

  /** The first offset below `endOffset` whose record it must get, if there is one. */
  #visibleFrom({ id, startOffset }: ModelLog, fromOffset: number, endOffset: number): number | undefined {
    const transactions = this.#world.model.transactionsOf(id)
    for (let offset = Math.max(startOffset, fromOffset); offset < endOffset; offset++) {
      if (transactions.isVisible(offset)) return offset
    }
    return undefined
  }

  /** The position of a durable session moves when a record of QoS 0 is written: what is on its way when the connection breaks is lost. */
  #mayMiss(partition: number): boolean {
    return this.#plan.isDurable && this.#plan.qos === 0 && !this.#last.has(partition)
  }

  #logs(): ReadonlyArray<ModelLog> {
    const { logIds } = this.#world.model.streams.get(this.#plan.stream)!
    return logIds.map((logId) => this.#world.model.log(logId))
  }

  waitsFor(): string | undefined {
    if (!this.#peer.isConnected) return `${this.name} is not connected`
    for (const [partition, log] of this.#logs().entries()) {
      const next = this.#visibleFrom(log, this.#next.get(partition) ?? 0, log.nextOffset)
      if (next !== undefined && !this.#mayMiss(partition))
        return `${this.name} is at ${this.#plan.stream}/${partition}:${next} of ${log.nextOffset}`
    }
    return undefined
  }

  leave(): void {
    this.#peer.disconnect(true)
  }
}
