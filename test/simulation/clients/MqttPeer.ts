import { createRequire } from "node:module"
import type * as MqttPacket from "mqtt-packet"
import type { Stamp } from "../Network.ts"
import type { Random } from "../Random.ts"
import type { Cancel } from "../Scheduler.ts"
import type { ClientLink, World } from "../World.ts"

// An independent codec, so that the server's own is not its own judge.
const codec: typeof MqttPacket = createRequire(import.meta.url)("mqtt-packet")

export type Packet = MqttPacket.Packet

export interface PeerOptions {
  readonly name: string
  readonly version: 3 | 4 | 5
  readonly isDurable: boolean
  readonly receiveMaximum?: number
  /** So short that the session may be gone when the client is back. */
  readonly sessionExpirySeconds?: number
  /** Of the connection with this number, counted from 1. */
  readonly will?: (connection: number) => OwnWill | undefined
  /** How long it stays away after each connection. */
  readonly awayMs?: () => number
}

interface OwnWill {
  readonly topic: string
  readonly payload: Buffer
  /** A will with a delay may never be published. */
  readonly delaySeconds?: number
}

export interface PeerEvents {
  /** CONNACK with success. */
  readonly onConnected: (sessionPresent: boolean) => void
  readonly onPacket: (packet: Packet, stamp: Stamp) => void
  readonly onLost: () => void
}

const keepaliveSeconds = 20
const longExpirySeconds = 3600
const retryMsMax = 1500
const answerWithinMs = 8000
const closedWithinMs = 10_000

/** One MQTT client over any number of connections: connects again until it is told to leave. */
export class MqttPeer {
  readonly #world: World
  readonly #options: PeerOptions
  readonly #events: PeerEvents
  readonly #random: Random
  #link: ClientLink | undefined
  #parser: MqttPacket.Parser | undefined
  #stamp: Stamp = { durableSeq: 0, writtenMs: 0 }
  #connections = 0
  readonly #closed = new Set<number>()
  #hadSession = false
  #isLeaving = false
  #cancelPing: Cancel | undefined
  #cancelRetry: Cancel | undefined
  #willId: string | undefined
  /** The world's, when this connection was begun. */
  #mishaps = 0
  #heardMs = 0
  /** The newest connection that CONNACK came on. */
  #lastConnected = 0
  /** The connection that DISCONNECT was sent on. */
  #ending = 0
  isConnected = false

  constructor(world: World, options: PeerOptions, events: PeerEvents) {
    this.#world = world
    this.#options = options
    this.#events = events
    this.#random = world.random(options.name)
  }

  get random(): Random {
    return this.#random
  }

  /** The number of the connection. */
  get connection(): number {
    return this.#connections
  }

  /** Takes over from the connection that is there, if there is one. */
  connect(): void {
    if (this.#isLeaving) return
    this.#drop()
    this.#cancelRetry?.()
    const number = ++this.#connections
    this.#mishaps = this.#world.mishaps
    const { name, version } = this.#options
    const own = this.#world.connect("mqtt", name, {
      onBytes: (chunk, stamp) => {
        if (number !== this.#connections) return
        this.#stamp = stamp
        this.#heardMs = this.#world.scheduler.elapsedMs
        // It keeps what is not a whole packet yet.
        this.#parser?.parse(Buffer.from(chunk))
      },
      onClosed: () => {
        this.#closed.add(number)
        if (number === this.#connections) this.#lost()
      }
    })
    this.#link = own
    const parser = codec.parser({ protocolVersion: version })
    parser.on("packet", (packet: Packet) => {
      if (number === this.#connections) this.#packet(packet)
    })
    parser.on("error", (error: Error) => this.#world.violated(`${name} cannot read the server: ${error.message}`))
    this.#parser = parser
    this.#heardMs = this.#world.scheduler.elapsedMs
    this.#connect(number)
    this.#watch(number)
  }

  #connect(number: number): void {
    const { name, version, isDurable, receiveMaximum, will, sessionExpirySeconds = longExpirySeconds } = this.#options
    const own = will?.(number)
    if (own !== undefined) {
      this.#willId = own.payload.toString("latin1").split("|")[0]!
      this.#world.mqtt.wills.set(this.#willId, "may")
    }
    this.send({
      cmd: "connect",
      protocolId: version === 3 ? "MQIsdp" : "MQTT",
      protocolVersion: version,
      clientId: name,
      clean: !isDurable,
      keepalive: keepaliveSeconds,
      ...(own !== undefined && { will: willOf(own) }),
      ...(version === 5 && {
        properties: {
          sessionExpiryInterval: isDurable ? sessionExpirySeconds : 0,
          ...(receiveMaximum !== undefined && { receiveMaximum }),
          userProperties: { receipts: "1" }
        }
      })
    })
  }

  /** Pings, and gives up a connection that says nothing: it may be half open. */
  #watch(number: number): void {
    this.#cancelPing = this.#world.scheduler.after(5_000_000, () => {
      if (number !== this.#connections || this.#link === undefined) return
      const silentMs = this.#world.scheduler.elapsedMs - this.#heardMs
      if (silentMs > answerWithinMs) {
        this.reset()
        return
      }
      if (this.isConnected) this.send({ cmd: "pingreq" })
      this.#watch(number)
    })
  }

  send(packet: Packet): void {
    this.#link?.write(codec.generate(packet, { protocolVersion: this.#options.version }))
  }

  /** CONNACK of MQTT 3.1 does not tell: its clients know that a session is there because they have left it there. */
  #hasSessionBy({ sessionPresent }: MqttPacket.IConnackPacket): boolean {
    const { name, version, isDurable } = this.#options
    if (version !== 3) return sessionPresent
    if (sessionPresent) this.#world.violated(`${name} speaks MQTT 3.1, and the reserved byte of its CONNACK is not 0`)
    return isDurable
  }

  #packet(packet: Packet): void {
    const { name, isDurable, sessionExpirySeconds } = this.#options
    if (packet.cmd === "connack") {
      const code = packet.reasonCode ?? packet.returnCode ?? 0
      this.#world.trace(`${name} connack ${code} ${packet.sessionPresent}`)
      if (code !== 0) return this.reset()
      const sessionPresent = this.#hasSessionBy(packet)
      if (sessionPresent && !isDurable) this.#world.violated(`${name} has asked for no session and is given one`)
      const mayHaveExpired = sessionExpirySeconds !== undefined
      if (!sessionPresent && isDurable && this.#hadSession && !mayHaveExpired)
        this.#world.violated(`the session of ${name} is lost`)
      this.#hadSession = isDurable
      this.isConnected = true
      this.#lastConnected = this.#connections
      if (this.#willId !== undefined && !mayHaveExpired) this.#world.mqtt.wills.set(this.#willId, "must")
      this.#events.onConnected(sessionPresent)
    } else if (packet.cmd === "disconnect") this.#world.trace(`${name} disconnect ${packet.reasonCode}`)
    else this.#events.onPacket(packet, this.#stamp)
  }

  #lost(): void {
    this.#link = undefined
    this.isConnected = false
    this.#events.onLost()
    if (this.#isLeaving) return
    const awayMs = this.#options.awayMs?.() ?? this.#random.tail(1, retryMsMax)
    this.#cancelRetry = this.#world.scheduler.after(awayMs * 1000, () => this.connect())
  }

  /** The connection that is there stays half open as far as the server knows. */
  #drop(): void {
    this.#cancelPing?.()
    const link = this.#link
    this.#link = undefined
    if (!this.isConnected && link === undefined) return
    if (this.isConnected) {
      this.isConnected = false
      this.#events.onLost()
    }
    if (link === undefined) return
    if (this.#world.plan.network.lifeMsMax > 0) link.link.toClient.kill()
    else this.#expectClose(this.#connections)
  }

  /** The server must close the connection that was taken over from [MQTT-3.1.4-3]. */
  #expectClose(number: number): void {
    const { mishaps } = this.#world
    this.#world.scheduler.after(closedWithinMs * 1000, () => {
      const isTakenOver = this.#lastConnected > number
      if (!isTakenOver || this.#closed.has(number) || mishaps !== this.#world.mishaps) return
      this.#world.violated(
        `the server leaves connection ${number} of ${this.#options.name} open, though it has another`
      )
    })
  }

  /** The connection breaks, as far as this client is concerned. */
  reset(): void {
    this.#link?.reset()
  }

  /** DISCONNECT with reason 0, then the end; connects again if `isOver` is false. */
  disconnect(isOver: boolean): void {
    this.#isLeaving ||= isOver
    const link = this.#link
    if (link === undefined || !this.isConnected) {
      if (isOver) {
        this.#cancelRetry?.()
        // A DISCONNECT may still be on its way.
        if (this.#ending !== this.#connections) link?.reset()
      }
      return
    }
    const willId = this.#willId
    if (willId !== undefined) this.#world.mqtt.wills.set(willId, "may")
    this.send({ cmd: "disconnect", reasonCode: 0 })
    const number = this.#connections
    this.#ending = number
    this.#world.scheduler.after(3_000_000, () => {
      if (number === this.#connections) link.reset()
      else return
      // A mishap before DISCONNECT counts too: the client may not have learnt yet that it sends into a dead connection.
      const wasUndisturbed = this.#mishaps === this.#world.mishaps && this.#world.plan.network.lifeMsMax === 0
      if (willId !== undefined && wasUndisturbed) this.#world.mqtt.wills.set(willId, "never")
    })
    this.isConnected = false
  }
}

const willOf = ({ topic, payload, delaySeconds }: OwnWill) => ({
  topic,
  payload,
  qos: 1 as const,
  retain: false,
  ...(delaySeconds !== undefined && { properties: { willDelayInterval: delaySeconds } })
})
