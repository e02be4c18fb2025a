import * as net from "node:net"
import { generate, parser, type IConnackPacket, type Packet } from "mqtt-packet"

const reconnectMs = 20
const keepaliveSeconds = 60
/** Below every limit of the server's. */
const unansweredMax = 32

/** What was sent and is not wholly answered. `isStored`: a PUBREC came, so only the PUBREL is due. */
interface Unanswered {
  readonly n: number
  readonly messageId: number
  readonly payload: Buffer
  readonly sentMs: number
  isStored: boolean
}

/** What one device sent and was told. Messages are numbered from 0, and answered in that order. */
export interface Device {
  readonly clientId: string
  readonly qos: 1 | 2
  sent: number
  /** Messages below it are acknowledged: by PUBACK, or PUBREC. */
  acknowledged: number
  /** When the newest of those that are acknowledged was sent for the first time, as a date. */
  acknowledgedSentMs: number
  /** Those that were sent more than once; of QoS 1, only these may be stored more than once. */
  readonly resent: Set<number>
  /** What the server did that it must not. */
  readonly faults: Array<string>
}

/**
 * An MQTT 3.1.1 client with a persistent session that outlives its server: it connects again at once, and sends what
 * was not answered again, in order, with its packet ids and DUP [MQTT-4.4.0-1].
 */
export class MqttPublisher {
  readonly device: Device
  readonly #port: number
  readonly #topic: string
  readonly #payloadOf: (device: Device, n: number) => Buffer
  readonly #unanswered: Array<Unanswered> = []
  #socket: net.Socket | undefined
  #isConnected = false
  #hasSession = false
  #isEnding = false
  #lastMessageId = 0
  #retry: NodeJS.Timeout | undefined

  constructor(
    port: number,
    clientId: string,
    qos: 1 | 2,
    topic: string,
    payloadOf: (device: Device, n: number) => Buffer
  ) {
    this.device = { clientId, qos, sent: 0, acknowledged: 0, acknowledgedSentMs: 0, resent: new Set(), faults: [] }
    this.#port = port
    this.#topic = topic
    this.#payloadOf = payloadOf
    this.#connect()
  }

  get isIdle(): boolean {
    return this.#unanswered.length === 0
  }

  /** Sends up to `count` new messages, fewer when too many are unanswered, none without a connection. */
  publish(count: number): void {
    if (!this.#isConnected) return
    for (let i = 0; i < count && this.#unanswered.length < unansweredMax; i++) {
      const n = this.device.sent++
      const messageId = (this.#lastMessageId = (this.#lastMessageId % 65_535) + 1)
      const message = { n, messageId, payload: this.#payloadOf(this.device, n), sentMs: Date.now(), isStored: false }
      this.#unanswered.push(message)
      this.#publish(message, false)
    }
  }

  /** As a lost network does; it connects again at once. */
  drop(): void {
    this.#socket?.destroy()
  }

  end(): void {
    this.#isEnding = true
    clearTimeout(this.#retry)
    this.#socket?.destroy()
  }

  #connect(): void {
    const incoming = parser({ protocolVersion: 4 })
    const socket = net.connect(this.#port, "127.0.0.1")
    this.#socket = socket.setNoDelay(true)
    incoming.on("packet", (packet: Packet) => this.#received(packet))
    incoming.on("error", (error: Error) => this.device.faults.push(`unreadable: ${error.message}`))
    socket.on("data", (chunk: Buffer) => incoming.parse(chunk))
    socket.on("error", () => undefined)
    socket.on("close", () => {
      this.#isConnected = false
      if (!this.#isEnding) this.#retry = setTimeout(() => this.#connect(), reconnectMs)
    })
    const { clientId } = this.device
    this.#write({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 4,
      clean: false,
      clientId,
      keepalive: keepaliveSeconds
    })
  }

  #received(packet: Packet): void {
    if (packet.cmd === "connack") this.#connected(packet)
    else if (packet.cmd === "puback") this.#acknowledged(packet.messageId!, 1)
    else if (packet.cmd === "pubrec") this.#acknowledged(packet.messageId!, 2)
    else if (packet.cmd === "pubcomp") this.#completed(packet.messageId!)
  }

  #connected({ returnCode, sessionPresent }: IConnackPacket): void {
    const { faults, resent } = this.device
    if (returnCode !== 0) faults.push(`CONNACK with ${returnCode}`)
    if (this.#hasSession && !sessionPresent) faults.push("the session is lost")
    this.#hasSession = true
    this.#isConnected = true
    for (const message of this.#unanswered) {
      if (message.isStored) this.#write({ cmd: "pubrel", messageId: message.messageId })
      else {
        resent.add(message.n)
        this.#publish(message, true)
      }
    }
  }

  #acknowledged(messageId: number, qos: 1 | 2): void {
    const { device } = this
    const message = this.#unanswered.find((each) => each.messageId === messageId)
    if (message === undefined || device.qos !== qos)
      device.faults.push(`an acknowledgement of ${messageId}, which waits for none`)
    else if (!message.isStored) {
      if (message.n !== device.acknowledged)
        device.faults.push(`${message.n} is acknowledged before ${device.acknowledged}`)
      device.acknowledged = message.n + 1
      device.acknowledgedSentMs = message.sentMs
    }
    if (qos === 2) {
      if (message !== undefined) message.isStored = true
      this.#write({ cmd: "pubrel", messageId })
    } else this.#forget(messageId)
  }

  #completed(messageId: number): void {
    const message = this.#unanswered.find((each) => each.messageId === messageId)
    if (message !== undefined && !message.isStored) this.device.faults.push(`PUBCOMP of ${message.n} without PUBREC`)
    this.#forget(messageId)
  }

  #forget(messageId: number): void {
    const at = this.#unanswered.findIndex((each) => each.messageId === messageId)
    if (at >= 0) this.#unanswered.splice(at, 1)
  }

  #publish({ messageId, payload }: Unanswered, dup: boolean): void {
    this.#write({ cmd: "publish", topic: this.#topic, payload, qos: this.device.qos, retain: false, dup, messageId })
  }

  #write(packet: Packet): void {
    this.#socket?.write(generate(packet, { protocolVersion: 4 }))
  }
}
