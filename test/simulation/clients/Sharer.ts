import type { SharerPlan } from "../Plan.ts"
import type { Stamp } from "../Network.ts"
import { idOf } from "../payload.ts"
import type { Random } from "../Random.ts"
import type { Client, World } from "../World.ts"
import { type Packet, MqttPeer } from "./MqttPeer.ts"

interface Delivery {
  readonly qos: 0 | 1 | 2
  readonly topic: string
  readonly payload: Buffer
  readonly messageId?: number
}

const filter = "$share/g/s/#"

/** A member of a shared subscription: it comes and goes, and its session may end with its connection, or soon after. */
export class Sharer implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: SharerPlan
  readonly #peer: MqttPeer
  readonly #random: Random
  #isSubscribed = false
  /** The connection on which it has left a delivery without its acknowledgement. */
  #forgotOn = 0

  constructor(world: World, plan: SharerPlan) {
    const { name, session, receiveMaximum, sessionExpirySeconds, awayMsMax } = plan
    this.name = name
    this.#world = world
    this.#plan = plan
    const random = (this.#random = world.random(`${name}/share`))
    this.#peer = new MqttPeer(
      world,
      {
        name,
        version: 5,
        isDurable: session !== "none",
        receiveMaximum,
        ...(session === "short" && { sessionExpirySeconds }),
        awayMs: () => random.tail(1, awayMsMax)
      },
      {
        onConnected: (sessionPresent) => this.#connected(sessionPresent),
        onPacket: (packet, stamp) => this.#packet(packet, stamp),
        onLost: () => undefined
      }
    )
  }

  start(): void {
    this.#peer.connect()
  }

  #connected(sessionPresent: boolean): void {
    this.#world.mqtt.shared.connected(this.#world.model.epoch, this.#world.scheduler.elapsedMs)
    if (!sessionPresent) this.#isSubscribed = false
    if (!this.#isSubscribed) this.#subscribe()
    const { connection } = this.#peer
    this.#world.scheduler.after(this.#random.between(100, this.#plan.staysMsMax) * 1000, () => {
      if (connection === this.#peer.connection && !this.#world.isHealed) this.#goes()
    })
  }

  #subscribe(): void {
    this.#peer.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [{ topic: filter, qos: this.#plan.qos }]
    } as Packet)
  }

  #goes(): void {
    const roll = this.#random.next()
    if (roll < 0.3) this.#peer.disconnect(false)
    else if (roll < 0.6) this.#peer.reset()
    else if (roll < 0.7) this.#peer.connect()
    else if (this.#plan.session !== "long") {
      this.#isSubscribed = false
      this.#peer.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: [filter] } as Packet)
      this.#subscribe()
    }
  }

  #packet(packet: Packet, stamp: Stamp): void {
    const { messageId } = packet
    switch (packet.cmd) {
      case "suback":
        this.#isSubscribed = true
        if (this.#plan.session === "long") this.#world.mqtt.shared.began(this.#world.scheduler.elapsedMs)
        return
      case "publish":
        this.#delivered(packet as Delivery, stamp)
        return
      case "pubrel":
        this.#peer.send({ cmd: "pubcomp", messageId } as Packet)
        return
      case "unsuback":
      case "pingresp":
        return
      default:
        this.#world.violated(`${this.name} gets a ${packet.cmd}`)
    }
  }

  #delivered({ qos, topic, payload, messageId }: Delivery, { durableSeq }: Stamp): void {
    const id = idOf(payload)
    const publication = id === undefined ? undefined : this.#world.mqtt.publications.get(id)
    if (publication === undefined) this.#world.violated(`${this.name} gets on ${topic} what nobody has published`)
    const { mqtt, trace } = this.#world
    trace(`${this.name} gets ${publication.id} qos ${qos} as ${messageId}`)
    mqtt.checkDurable(`${this.name} gets`, publication.id, topic, durableSeq)
    if (qos > this.#plan.qos || qos > publication.qos) this.#world.violated(`${this.name} gets ${id} with QoS ${qos}`)
    mqtt.shared.got(this.name, publication, qos)
    if (qos === 0) return
    if (!this.#world.isHealed && this.#random.chance(this.#plan.forgets)) {
      this.#forgets()
      return
    }
    mqtt.shared.acknowledged(publication.id)
    this.#peer.send({ cmd: qos === 1 ? "puback" : "pubrec", messageId } as Packet)
  }

  /** What it has not acknowledged takes up its window until it comes again. */
  #forgets(): void {
    const { connection } = this.#peer
    if (this.#forgotOn === connection) return
    this.#forgotOn = connection
    this.#world.scheduler.after(this.#random.between(300, 6000) * 1000, () => {
      if (connection === this.#peer.connection) this.#peer.reset()
    })
  }

  waitsFor(): string | undefined {
    return this.#plan.session === "long" ? this.#world.mqtt.shared.missing(this.#world.plan) : undefined
  }

  leave(): void {
    this.#peer.disconnect(true)
  }
}
