import type { Stamp } from "../Network.ts"
import type { SharerPlan } from "../Plan.ts"
import type { Random } from "../Random.ts"
import type { Client, World } from "../World.ts"
import { MqttPeer, type Packet } from "./MqttPeer.ts"

export interface Delivery {
  readonly qos: 0 | 1 | 2
  readonly topic: string
  readonly payload: Buffer
  readonly messageId?: number
  readonly properties?: { readonly userProperties?: Readonly<Record<string, string>> }
}

/** What a member shares, and how what it is told is judged. */
export interface Sharing {
  readonly filter: string
  /** Of SUBSCRIBE. */
  readonly userProperties?: Readonly<Record<string, string>>
  /** Chance that it subscribes though its session has the subscription. */
  readonly subscribesAgain?: number
  /** Whether it unsubscribes now and then, and subscribes anew. */
  readonly unsubscribes: boolean
  readonly onConnected: (sessionPresent: boolean) => void
  readonly onSubscribed: (granted: unknown) => void
  /** Checks what comes. */
  readonly onDelivered: (delivery: Delivery, stamp: Stamp) => void
  /** Before PUBACK or PUBREC. */
  readonly onAcknowledged: (delivery: Delivery) => void
  /** PUBREL. */
  readonly onReleased?: (messageId: number) => void
  readonly waitsFor: (isConnected: boolean) => string | undefined
}

/**
 * A member of a shared subscription: it comes and goes, its session may end with its connection, or soon after, and it leaves deliveries
 * without their acknowledgement.
 */
export class ShareMember implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: Omit<SharerPlan, "kind">
  readonly #sharing: Sharing
  readonly #peer: MqttPeer
  readonly #random: Random
  #isSubscribed = false
  /** The connection on which it has left a delivery without its acknowledgement. */
  #forgotOn = 0

  constructor(world: World, plan: Omit<SharerPlan, "kind">, sharing: Sharing) {
    const { name, session, receiveMaximum, sessionExpirySeconds, awayMsMax } = plan
    this.name = name
    this.#world = world
    this.#plan = plan
    this.#sharing = sharing
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
    const { onConnected, subscribesAgain } = this.#sharing
    onConnected(sessionPresent)
    if (!sessionPresent) this.#isSubscribed = false
    const isAgain = this.#isSubscribed && subscribesAgain !== undefined && this.#random.chance(subscribesAgain)
    if (!this.#isSubscribed || isAgain) this.#subscribe()
    const { connection } = this.#peer
    this.#world.scheduler.after(this.#random.between(100, this.#plan.staysMsMax) * 1000, () => {
      if (connection === this.#peer.connection && !this.#world.isHealed) this.#goes()
    })
  }

  #subscribe(): void {
    const { filter, userProperties } = this.#sharing
    this.#peer.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [{ topic: filter, qos: this.#plan.qos }],
      ...(userProperties !== undefined && { properties: { userProperties } })
    } as Packet)
  }

  #goes(): void {
    const { filter, unsubscribes } = this.#sharing
    const roll = this.#random.next()
    if (roll < 0.3) this.#peer.disconnect(false)
    else if (roll < 0.6) this.#peer.reset()
    else if (roll < 0.7) this.#peer.connect()
    else if (unsubscribes) {
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
        return this.#sharing.onSubscribed(packet.granted[0])
      case "publish":
        return this.#delivered(packet as unknown as Delivery, stamp)
      case "pubrel":
        this.#sharing.onReleased?.(messageId!)
        this.#peer.send({ cmd: "pubcomp", messageId } as Packet)
        return
      case "unsuback":
      case "pingresp":
        return
      default:
        this.#world.violated(`${this.name} gets a ${packet.cmd}`)
    }
  }

  #delivered(delivery: Delivery, stamp: Stamp): void {
    const { qos, messageId } = delivery
    this.#sharing.onDelivered(delivery, stamp)
    if (qos === 0) return
    if (!this.#world.isHealed && this.#random.chance(this.#plan.forgets)) {
      this.#forgets()
      return
    }
    this.#sharing.onAcknowledged(delivery)
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
    return this.#sharing.waitsFor(this.#peer.isConnected)
  }

  leave(): void {
    this.#peer.disconnect(true)
  }
}
