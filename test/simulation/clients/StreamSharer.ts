import type { Stamp } from "../Network.ts"
import type { StreamSharerPlan } from "../Plan.ts"
import { idOf } from "../payload.ts"
import type { Random } from "../Random.ts"
import type { Client, World } from "../World.ts"
import { MqttPeer, type Packet } from "./MqttPeer.ts"

interface Delivery {
  readonly qos: 0 | 1 | 2
  readonly payload: Buffer
  readonly messageId: number
  readonly properties?: { readonly userProperties?: Readonly<Record<string, string>> }
}

/** A member of a group that reads a stream from its beginning. It comes and goes, and its session may end meanwhile. */
export class StreamSharer implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: StreamSharerPlan
  readonly #peer: MqttPeer
  readonly #random: Random
  readonly #filter: string
  #isSubscribed = false
  /** Packet ids of QoS 2 deliveries that wait for PUBREL: the client's half of the session. */
  readonly #unreleased = new Set<number>()
  /** The connection on which it has left a delivery without its acknowledgement. */
  #forgotOn = 0

  constructor(world: World, plan: StreamSharerPlan) {
    const { name, session, receiveMaximum, sessionExpirySeconds, awayMsMax } = plan
    this.name = name
    this.#world = world
    this.#plan = plan
    this.#filter = `$share/g/$stream/${plan.stream}`
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
    if (!sessionPresent) {
      this.#isSubscribed = false
      this.#unreleased.clear()
    }
    if (!this.#isSubscribed || this.#random.chance(0.3)) this.#subscribe()
    const { connection } = this.#peer
    this.#world.scheduler.after(this.#random.between(100, this.#plan.staysMsMax) * 1000, () => {
      if (connection === this.#peer.connection && !this.#world.isHealed) this.#goes()
    })
  }

  #subscribe(): void {
    this.#peer.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [{ topic: this.#filter, qos: this.#plan.qos }],
      properties: { userProperties: { "stream-offset": "earliest" } }
    } as Packet)
  }

  #goes(): void {
    const roll = this.#random.next()
    if (roll < 0.3) this.#peer.disconnect(false)
    else if (roll < 0.6) this.#peer.reset()
    else if (roll < 0.7) this.#peer.connect()
    else {
      this.#isSubscribed = false
      this.#peer.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: [this.#filter] } as Packet)
      this.#subscribe()
    }
  }

  #packet(packet: Packet, stamp: Stamp): void {
    const { messageId } = packet
    switch (packet.cmd) {
      case "suback":
        if (packet.granted[0] !== this.#plan.qos) {
          this.#world.violated(`${this.name} is granted ${String(packet.granted[0])}`)
        }
        this.#isSubscribed = true
        return
      case "publish":
        this.#delivered(packet as unknown as Delivery, stamp)
        return
      case "pubrel":
        this.#unreleased.delete(messageId!)
        this.#peer.send({ cmd: "pubcomp", messageId } as Packet)
        return
      case "unsuback":
      case "pingresp":
        return
      default:
        this.#world.violated(`${this.name} gets a ${packet.cmd}`)
    }
  }

  #delivered({ qos, payload, messageId, properties }: Delivery, { durableSeq }: Stamp): void {
    const { stream, partition, offset } = properties?.userProperties ?? {}
    const place = `${stream}/${partition}:${offset}`
    const { model, mqtt } = this.#world
    this.#world.trace(`${this.name} gets ${place} qos ${qos} as ${messageId}`)
    const log = stream === this.#plan.stream ? model.logOf(stream, Number(partition)) : undefined
    const at = Number(offset)
    if (log === undefined || qos !== this.#plan.qos || log.ids[at] !== (idOf(payload) ?? "")) {
      return this.#world.violated(`${this.name} gets as ${place} with QoS ${qos} what is not there`)
    }
    if (log.seqs[at]! >= durableSeq) this.#world.violated(`${this.name} gets ${place} before it is durable`)
    if (!model.transactionsOf(log.id).isVisible(at)) this.#world.violated(`${this.name} gets ${place}: not committed`)
    if (qos < 2 || !this.#unreleased.has(messageId)) mqtt.streamShare.got(this.name, place, qos)
    if (qos === 2) this.#unreleased.add(messageId)
    if (!this.#world.isHealed && this.#random.chance(this.#plan.forgets)) {
      this.#forgets()
      return
    }
    mqtt.streamShare.acknowledged(place)
    this.#peer.send({ cmd: qos === 1 ? "puback" : "pubrec", messageId } as Packet)
  }

  /** The delivery that it has not acknowledged takes up its window until it comes again. */
  #forgets(): void {
    const { connection } = this.#peer
    if (this.#forgotOn === connection) return
    this.#forgotOn = connection
    this.#world.scheduler.after(this.#random.between(300, 6000) * 1000, () => {
      if (connection === this.#peer.connection) this.#peer.reset()
    })
  }

  waitsFor(): string | undefined {
    if (!this.#peer.isConnected) return `${this.name} is not connected`
    return this.#world.mqtt.streamShare.missing(this.#world.plan)
  }

  leave(): void {
    this.#peer.disconnect(true)
  }
}
