import type * as net from "node:net"
import {
  connackBytes,
  connectPacket,
  disconnectPacket,
  pubackBytes,
  pubackFirstByte,
  publishPacket
} from "./mqttPackets.ts"
import { openSocket } from "./openSocket.ts"
import type { Reader, Reading } from "./Reader.ts"
import { startReader } from "./startReader.ts"

export interface LoadShape {
  readonly connections: number
  readonly payloadBytes: number
  /**
   * Messages that one PUBACK stands for: 1 is QoS 1; n is n - 1 messages of QoS 0 and one of QoS 1 behind them, which a
   * server answers when it has handled what came before it on the connection.
   */
  readonly messagesPerAck: number
  /** PUBACKs that a connection may be owed: what bounds the backlog. */
  readonly window: number
  /** PUBACKs after which the window is filled up again. */
  readonly refillAt: number
  readonly isTls?: boolean
}

export interface Slice {
  /** All of them answered. */
  readonly messages: number
  readonly elapsedMs: number
  readonly clientCpuMs: number
}

const readBytes = 64 * 1024
/** How long a server may take for what it owes when a slice's sending has ended. */
const owedMsMax = 30_000

/** One connection that keeps its window full with packets built before. */
class Publisher {
  readonly #socket: net.Socket
  /** `ringUnits` units, each of which is answered by one PUBACK, with packet ids 1 to `ringUnits`. */
  readonly #ring: Buffer
  readonly #ringUnits: number
  readonly #unitBytes: number
  readonly #refillAt: number
  readonly #onAnswered: () => void
  #next = 0
  #acked = 0
  #sent = 0
  /** Bytes of a PUBACK that has not come whole. */
  #partial = 0
  #isOpen = false
  isSending = false

  constructor(options: {
    readonly port: number
    readonly clientId: string
    readonly topic: string
    readonly shape: LoadShape
    readonly buffer: Buffer
    readonly onConnected: () => void
    readonly onAnswered: () => void
    readonly onFailed: (error: Error) => void
  }) {
    const { shape, topic, clientId } = options
    this.#ringUnits = shape.window * 2
    const units = Array.from({ length: this.#ringUnits }, (_, index) => unit(topic, shape, index + 1))
    this.#ring = Buffer.concat(units)
    this.#refillAt = shape.refillAt
    this.#unitBytes = units[0]!.length
    this.#onAnswered = options.onAnswered
    const failed = (what: string) => options.onFailed(new Error(`${clientId}: ${what}`))
    this.#socket = openSocket(options.port, shape.isTls ?? false, options.buffer, (buffer, bytes) => {
      if (this.#isOpen) this.#answered(buffer, bytes, shape.window, failed)
      else if (bytes !== connackBytes || buffer[0] !== 0x20 || buffer[3] !== 0) failed("the connection was refused")
      else {
        this.#isOpen = true
        options.onConnected()
      }
    })
    this.#socket.on("error", options.onFailed)
    this.#socket.on("close", () => this.#isOpen && failed("closed by the server"))
    this.#socket.write(connectPacket(clientId, 600))
  }

  get acked(): number {
    return this.#acked
  }

  get isAnswered(): boolean {
    return this.#acked === this.#sent
  }

  /** `units` at most as many as the ring has. */
  send(units: number): void {
    const first = Math.min(units, this.#ringUnits - this.#next)
    const at = this.#next * this.#unitBytes
    this.#socket.write(this.#ring.subarray(at, at + first * this.#unitBytes))
    if (first < units) this.#socket.write(this.#ring.subarray(0, (units - first) * this.#unitBytes))
    this.#next = (this.#next + units) % this.#ringUnits
    this.#sent += units
  }

  /** Counts answers by their bytes: nothing else than PUBACKs of 4 bytes can come. */
  #answered(buffer: Buffer, bytes: number, window: number, failed: (what: string) => void): void {
    const from = this.#partial === 0 ? 0 : pubackBytes - this.#partial
    if (from < bytes && buffer[from] !== pubackFirstByte) return failed(`answered with ${buffer[from]}`)
    const whole = Math.floor((this.#partial + bytes) / pubackBytes)
    this.#partial = (this.#partial + bytes) % pubackBytes
    this.#acked += whole
    if (this.#acked > this.#sent) return failed("more was acknowledged than was sent")
    const free = window - (this.#sent - this.#acked)
    if (this.isSending && free >= this.#refillAt) this.send(free)
    else if (this.isAnswered) this.#onAnswered()
  }

  close(): void {
    this.#isOpen = false
    this.#socket.end(disconnectPacket)
  }
}

const unit = (topic: string, shape: LoadShape, packetId: number): Buffer => {
  const payload = Buffer.alloc(shape.payloadBytes, 0x61 + (packetId % 26))
  const unacknowledged = Array.from({ length: shape.messagesPerAck - 1 }, () => publishPacket(topic, payload, 0, 0))
  return Buffer.concat([...unacknowledged, publishPacket(topic, payload, 1, packetId)])
}

/** Many publishers in this process, connected once and loaded in slices, and at will one client that gets all they send. */
export class MqttLoad {
  readonly #shape: LoadShape
  readonly #publishers: Array<Publisher> = []
  #reader: Reader | undefined
  #answered: (() => void) | undefined
  #failed: (error: Error) => void = () => {}
  readonly #failure: Promise<never>

  constructor(shape: LoadShape) {
    this.#shape = shape
    const { promise, reject } = Promise.withResolvers<never>()
    this.#failure = promise
    this.#failure.catch(() => {})
    this.#failed = reject
  }

  /** One client after the other, so that no server's limit of new connections counts. */
  async connect(port: number, name: string, reading: Reading | undefined): Promise<void> {
    if (reading !== undefined) {
      const events = { onReceived: () => this.#onAnswered(), onFailed: this.#failed }
      this.#reader = await Promise.race([startReader(reading, events), this.#failure])
    }
    const buffer = Buffer.allocUnsafeSlow(readBytes)
    for (let index = 0; index < this.#shape.connections; index++) {
      const connected = Promise.withResolvers<void>()
      this.#publishers.push(
        new Publisher({
          port,
          clientId: `bench-${name}-${index}`,
          topic: `sensors/device${index}/data`,
          shape: this.#shape,
          buffer,
          onConnected: connected.resolve,
          onAnswered: () => this.#onAnswered(),
          onFailed: this.#failed
        })
      )
      await Promise.race([connected.promise, this.#failure])
    }
  }

  #onAnswered(): void {
    if (!this.#publishers.every((publisher) => publisher.isAnswered)) return
    const isRead = this.#reader === undefined || this.#reader.received >= this.#acked() * this.#shape.messagesPerAck
    if (isRead) this.#answered?.()
  }

  #acked(): number {
    return this.#publishers.reduce((sum, publisher) => sum + publisher.acked, 0)
  }

  #owed(): string {
    const read = this.#reader === undefined ? "" : `, of whose messages ${this.#reader.received} have been read`
    const owing = this.#publishers.filter((publisher) => !publisher.isAnswered).length
    return `after ${owedMsMax} ms ${owing} publishers still wait; ${this.#acked()} were answered${read}`
  }

  /** Keeps every window full for `durationMs`, then waits for what is owed to publishers and reader. Rejects when a connection breaks. */
  async slice(durationMs: number): Promise<Slice> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#answered = resolve
    const before = this.#acked()
    const cpuBefore = process.cpuUsage()
    const began = performance.now()
    for (const publisher of this.#publishers) {
      publisher.isSending = true
      publisher.send(this.#shape.window)
    }
    setTimeout(() => {
      for (const publisher of this.#publishers) publisher.isSending = false
      this.#onAnswered()
    }, durationMs)
    const overdue = setTimeout(() => this.#failed(new Error(this.#owed())), durationMs + owedMsMax)
    await Promise.race([promise, this.#failure])
    clearTimeout(overdue)
    const elapsedMs = performance.now() - began
    this.#answered = undefined
    const { user, system } = process.cpuUsage(cpuBefore)
    const messages = (this.#acked() - before) * this.#shape.messagesPerAck
    return { messages, elapsedMs, clientCpuMs: (user + system) / 1000 }
  }

  close(): void {
    this.#reader?.close()
    for (const publisher of this.#publishers) publisher.close()
  }
}
