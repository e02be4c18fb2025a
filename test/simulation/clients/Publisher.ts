import type { PublisherPlan } from "../Plan.ts"
import { topics } from "../Plan.ts"
import type { Stamp } from "../Network.ts"
import { idHeader, payloadOf } from "../payload.ts"
import type { Random } from "../Random.ts"
import type { Client, World } from "../World.ts"
import { type Packet, MqttPeer } from "./MqttPeer.ts"
import type { Publication } from "./MqttLedger.ts"

interface Open {
  readonly publication: Publication
  readonly n: number
  readonly retain: boolean
  phase: "publish" | "release"
  /** Sent on a connection before this one. */
  isRepeated: boolean
}

type Receipt = Readonly<Record<string, string | ReadonlyArray<string>>>

/** Publishes its messages in order, each until the server has taken it. */
export class Publisher implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: PublisherPlan
  readonly #peer: MqttPeer
  readonly #random: Random
  readonly #holding: Random
  readonly #values: Random
  readonly #repeating: Random
  readonly #open = new Map<number, Open>()
  /** Packet ids of this connection's PUBLISH packets in the order of sending, whose answers must come in that order. */
  readonly #expected: [qos1: Array<number>, qos2: Array<number>] = [[], []]
  /** How many answers are to come of what was sent again on this connection, by packet id. */
  readonly #repeats = new Map<number, number>()
  /** Refused: to be sent anew. */
  readonly #again: Array<{ readonly publication: Publication; readonly n: number }> = []
  #next = 0
  #lastPacketId = 0
  #isTicking = false

  constructor(world: World, plan: PublisherPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    const { name, version, isDurable, hasWill } = plan
    this.#peer = new MqttPeer(
      world,
      {
        name,
        version,
        isDurable,
        will: (connection) =>
          hasWill ? { topic: `w/${name}`, payload: payloadOf(`${name}-will`, connection, 20) } : undefined
      },
      {
        onConnected: (sessionPresent) => this.#connected(sessionPresent),
        onPacket: (packet, stamp) => this.#packet(packet, stamp),
        onLost: () => undefined
      }
    )
    this.#random = world.random(`${name}/load`)
    this.#holding = world.random(`${name}/holding`)
    this.#values = world.random(`${name}/values`)
    this.#repeating = world.random(`${name}/repeating`)
  }

  start(): void {
    this.#peer.connect()
    this.#wander()
  }

  /** Now and then it connects anew without any need, takes over from itself, or leaves for a while. */
  #wander(): void {
    const { scheduler } = this.#world
    scheduler.after(this.#random.between(500, 12_000) * 1000, () => {
      if (this.#world.isHealed) return
      if (this.#peer.isConnected && this.#random.chance(0.5)) {
        if (this.#random.chance(0.5)) this.#peer.connect()
        else this.#peer.disconnect(false)
      }
      this.#wander()
    })
  }

  waitsFor(): string | undefined {
    const left = this.#plan.messages - this.#next + this.#again.length + this.#open.size
    if (left === 0) return undefined
    return `${this.name} has ${left} messages to publish, ${this.#open.size} under way, ${this.#peer.isConnected ? "connected" : "not connected"}`
  }

  leave(): void {
    this.#peer.disconnect(true)
  }

  #connected(sessionPresent: boolean): void {
    this.#expected[0].length = this.#expected[1].length = 0
    this.#repeats.clear()
    for (const [packetId, open] of Array.from(this.#open)) {
      open.isRepeated = sessionPresent
      if (!sessionPresent) this.#renew(packetId, open)
      else if (open.phase === "release") this.#peer.send({ cmd: "pubrel", messageId: packetId } as Packet)
      else this.#send(packetId, open)
    }
    this.#pump()
  }

  /** The server knows nothing of this session: what it has not confirmed is a new message to it. */
  #renew(packetId: number, open: Open): void {
    if (open.phase === "release") {
      this.#open.delete(packetId)
      return
    }
    open.publication.mayRepeat = true
    this.#send(packetId, open)
  }

  #pump(): void {
    if (this.#isTicking || !this.#peer.isConnected) return
    const { window, everyMs } = this.#plan
    while (this.#open.size < window && this.#peer.isConnected) {
      if (!this.#publishNext()) return
      if (everyMs === 0) continue
      this.#isTicking = true
      this.#world.scheduler.after(this.#random.between(1, 2 * everyMs) * 1000, () => {
        this.#isTicking = false
        this.#pump()
      })
      return
    }
  }

  #qos(): 0 | 1 | 2 {
    const { qos0, qos1 } = this.#plan
    const roll = this.#random.next()
    return roll < qos0 ? 0 : roll < qos0 + qos1 ? 1 : 2
  }

  #topic(): string {
    const { lastValues } = this.#plan
    return lastValues === undefined ? this.#random.pick(topics) : `v/${this.#values.tail(0, lastValues.topics - 1)}`
  }

  /** False: there is nothing left. */
  #publishNext(): boolean {
    const again = this.#again.shift()
    if (again !== undefined) {
      this.#begin(again.publication, again.n)
      return true
    }
    if (this.#next === this.#plan.messages) return false
    const n = this.#next++
    const publication: Publication = {
      id: `${this.name}:${n}`,
      topic: this.#topic(),
      qos: this.#qos(),
      sender: this.name,
      isTombstone: this.#values.chance(this.#plan.lastValues?.tombstones ?? 0),
      sentMs: this.#world.scheduler.elapsedMs,
      isAcknowledged: false,
      mayRepeat: false,
      wasRepeated: false
    }
    this.#world.mqtt.publications.set(publication.id, publication)
    this.#begin(publication, n)
    return true
  }

  #begin(publication: Publication, n: number): void {
    const open: Open = {
      publication,
      n,
      retain: this.#random.chance(this.#plan.retained),
      phase: "publish",
      isRepeated: false
    }
    if (publication.qos === 0) {
      this.#send(0, open)
      return
    }
    do this.#lastPacketId = (this.#lastPacketId % 50) + 1
    while (this.#open.has(this.#lastPacketId) || this.#repeats.has(this.#lastPacketId))
    this.#open.set(this.#lastPacketId, open)
    this.#send(this.#lastPacketId, open)
  }

  #send(packetId: number, open: Open): void {
    const { publication, n, retain, isRepeated } = open
    const { topic, qos, id, isTombstone } = publication
    this.#world.trace(`${this.name} publishes ${id} qos ${qos} as ${packetId}`)
    if (qos > 0) this.#expected[qos - 1]!.push(packetId)
    if (isRepeated) publication.wasRepeated = true
    const payload = payloadOf(this.name, n, this.#plan.bytesMax)
    this.#peer.send({
      cmd: "publish",
      topic,
      payload: isTombstone ? "" : payload,
      qos,
      retain: retain || isTombstone,
      dup: isRepeated && qos > 0,
      ...(isTombstone && { properties: { userProperties: { [idHeader]: payload.toString("latin1") } } }),
      ...(qos > 0 && { messageId: packetId })
    } as Packet)
    if (qos > 0 && this.#plan.version === 3) this.#repeatLater(packetId, open)
  }

  /** A client of MQTT 3.1 may send again on the same connection what is not acknowledged after a while (MQTT 3.1, 4.1). */
  #repeatLater(packetId: number, open: Open): void {
    const { connection } = this.#peer
    this.#world.scheduler.after(this.#repeating.between(100, 5000) * 1000, () => {
      const isOpen = this.#open.get(packetId) === open && open.phase === "publish"
      if (!isOpen || !this.#peer.isConnected || connection !== this.#peer.connection) return
      open.isRepeated = true
      this.#repeats.set(packetId, (this.#repeats.get(packetId) ?? 0) + 1)
      this.#send(packetId, open)
    })
  }

  /** An answer to what was sent again: the first one has been there. */
  #isOfRepeat(messageId: number, open: Open | undefined): boolean {
    const left = this.#repeats.get(messageId)
    if (left === undefined || open?.phase === "publish") return false
    if (left === 1) this.#repeats.delete(messageId)
    else this.#repeats.set(messageId, left - 1)
    return true
  }

  #packet(packet: Packet, stamp: Stamp): void {
    const { cmd, messageId } = packet
    if (cmd === "pingresp") return
    const open = this.#open.get(messageId ?? 0)
    this.#world.trace(`${this.name} gets ${cmd} ${messageId}`)
    if (cmd === "puback" || cmd === "pubrec") this.#answered(packet as Answer, open, stamp)
    else if (cmd === "pubcomp") {
      if (open?.phase !== "release") this.#world.violated(`${this.name} gets a PUBCOMP for ${messageId}, not released`)
      this.#open.delete(messageId!)
      this.#pump()
    } else this.#world.violated(`${this.name} gets a ${cmd}`)
  }

  /** PUBACK or PUBREC [MQTT-4.6.0-2], [MQTT-4.6.0-3]. */
  #answered(packet: Answer, open: Open | undefined, stamp: Stamp): void {
    const { cmd, messageId, reasonCode = 0, properties } = packet
    const qos = cmd === "puback" ? 1 : 2
    const expected = this.#expected[qos - 1]!.shift()
    if (expected === messageId && this.#isOfRepeat(messageId, open)) return
    if (open === undefined || open.publication.qos !== qos || open.phase !== "publish") {
      this.#world.violated(`${this.name} gets a ${cmd} for ${messageId}, which it has not sent`)
    }
    if (expected !== messageId) {
      this.#world.violated(`${this.name} gets a ${cmd} for ${messageId} out of order: ${expected} was to come`)
    }
    const { publication } = open
    if (reasonCode >= 0x80) {
      this.#open.delete(messageId)
      publication.mayRepeat = true
      this.#world.scheduler.after(200_000, () => {
        this.#again.push({ publication, n: open.n })
        this.#again.sort((a, b) => a.n - b.n)
        this.#pump()
      })
      return
    }
    publication.isAcknowledged = true
    this.#world.mqtt.checkDurable(`${cmd} of`, publication.id, publication.topic, stamp.durableSeq)
    this.#checkReceipt(publication.id, properties?.userProperties)
    if (qos === 1) this.#open.delete(messageId)
    else {
      open.phase = "release"
      this.#release(messageId, open)
    }
    this.#pump()
  }

  #release(messageId: number, open: Open): void {
    const { releasesWithinMs } = this.#plan
    if (releasesWithinMs === 0) {
      this.#peer.send({ cmd: "pubrel", messageId } as Packet)
      return
    }
    const { connection } = this.#peer
    this.#world.scheduler.after(this.#holding.tail(0, releasesWithinMs) * 1000, () => {
      // Sent again with everything else if there is a new connection.
      if (connection !== this.#peer.connection || this.#open.get(messageId) !== open) return
      this.#peer.send({ cmd: "pubrel", messageId } as Packet)
    })
  }

  /** Of one stream only, since mqtt-packet keeps no order between names. */
  #checkReceipt(id: string, receipt: Receipt | undefined): void {
    const { stream, partition, offset } = receipt ?? {}
    if (typeof stream !== "string" || typeof partition !== "string" || typeof offset !== "string") return
    const there = this.#world.model.logOf(stream, Number(partition))?.ids[Number(offset)]
    if (there !== id) this.#world.violated(`${id} is said to be at ${stream}/${partition}:${offset}, there is ${there}`)
  }
}

interface Answer {
  readonly cmd: "puback" | "pubrec"
  readonly messageId: number
  readonly reasonCode?: number
  readonly properties?: { readonly userProperties?: Receipt }
}
