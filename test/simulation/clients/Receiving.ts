import type { Random } from "../Random.ts"
import type { World } from "../World.ts"
import type { MqttPeer, Packet } from "./MqttPeer.ts"

interface ReceivingOptions {
  readonly name: string
  /** Undefined: the client's version has none. */
  readonly receiveMaximum: number | undefined
  /** Of a delivery, to be left without its acknowledgement until the client has connected again. */
  readonly forgets: number
}

/** A subscriber's half of what is delivered to it: it acknowledges, or forgets to, and comes and goes meanwhile. */
export class Receiving {
  readonly #world: World
  readonly #peer: MqttPeer
  readonly #random: Random
  readonly #options: ReceivingOptions
  /** Packet ids of QoS 2 deliveries that wait for PUBREL: the client's half of the session. */
  readonly #unreleased = new Set<number>()
  /** Deliveries of this connection without an acknowledgement. */
  readonly #unacknowledged = new Set<number>()
  #forgot = false

  constructor(world: World, peer: MqttPeer, random: Random, options: ReceivingOptions) {
    this.#world = world
    this.#peer = peer
    this.#random = random
    this.#options = options
  }

  start(): void {
    this.#peer.connect()
    this.#wander()
  }

  #wander(): void {
    this.#world.scheduler.after(this.#random.between(500, 12_000) * 1000, () => {
      if (this.#forgot || (!this.#world.isHealed && this.#random.chance(0.4))) {
        if (this.#random.chance(0.5)) this.#peer.connect()
        else this.#peer.reset()
      }
      this.#forgot = false
      this.#wander()
    })
  }

  connected(sessionPresent: boolean): void {
    this.#unacknowledged.clear()
    if (!sessionPresent) this.#unreleased.clear()
  }

  lost(): void {
    this.#unacknowledged.clear()
  }

  /** A delivery of QoS 2 that the client has already. */
  isKnown(qos: number, messageId: number): boolean {
    return qos === 2 && this.#unreleased.has(messageId)
  }

  /** A delivery of QoS 1 or 2 has come. */
  takes(messageId: number): void {
    this.#unacknowledged.add(messageId)
    const { name, receiveMaximum = Infinity } = this.#options
    if (this.#unacknowledged.size > receiveMaximum) {
      this.#world.violated(`${name} gets more than its Receive Maximum of ${receiveMaximum}`)
    }
  }

  /** PUBACK or PUBREC, unless it is one that is forgotten. */
  answers(qos: 1 | 2, messageId: number, mayForget = true): void {
    if (qos === 2) this.#unreleased.add(messageId)
    if (this.#random.chance(this.#options.forgets) && mayForget) {
      this.#forgot = true
      return
    }
    if (qos === 1) this.#unacknowledged.delete(messageId)
    this.#peer.send({ cmd: qos === 1 ? "puback" : "pubrec", messageId } as Packet)
  }

  /** PUBREL has come. */
  released(messageId: number): void {
    this.#unreleased.delete(messageId)
    this.#unacknowledged.delete(messageId)
    this.#peer.send({ cmd: "pubcomp", messageId } as Packet)
  }
}
