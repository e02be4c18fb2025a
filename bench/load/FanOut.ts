import * as net from "node:net"
import {
  connackBytes,
  connectPacket,
  disconnectPacket,
  publishPacket,
  subackBytes,
  subackFirstByte,
  subscribePacket
} from "./mqttPackets.ts"

export interface FanOutShape {
  readonly subscribers: number
  readonly payloadBytes: number
  /** Messages that are published at once; the next ones are when all deliveries of these have come. */
  readonly burst: number
  /** A shared subscription: each message goes to one of the subscribers, else to all. */
  readonly isShared: boolean
}

export interface Deliveries {
  readonly deliveries: number
  readonly elapsedMs: number
  readonly clientCpuMs: number
}

const topic = "fan/out"
const readBytes = 256 * 1024
const waitMsMax = 30_000

/** One connection of a client that is answered CONNACK, and SUBACK where it subscribes; what comes then is given to `onBytes` by its length. */
const open = async (options: {
  readonly port: number
  readonly clientId: string
  readonly filter: string | undefined
  readonly buffer: Buffer
  readonly onBytes: (bytes: number) => void
  readonly onFailed: (error: Error) => void
}): Promise<net.Socket> => {
  const { clientId, filter, onFailed } = options
  const { promise, resolve } = Promise.withResolvers<void>()
  const answers = connackBytes + (filter === undefined ? 0 : subackBytes)
  let answered = Buffer.alloc(0)
  const socket = net.connect({
    port: options.port,
    host: "127.0.0.1",
    noDelay: true,
    onread: {
      buffer: options.buffer,
      callback: (bytes, buffer) => {
        if (answered.length === answers) {
          options.onBytes(bytes)
          return true
        }
        answered = Buffer.concat([answered, (buffer as Buffer).subarray(0, bytes)])
        if (answered.length === connackBytes && filter !== undefined) socket.write(subscribePacket(filter, 0))
        if (answered.length === answers) resolve()
        return true
      }
    }
  })
  socket.on("error", onFailed)
  socket.on("close", () => onFailed(new Error(`${clientId}: closed by the server`)))
  socket.write(connectPacket(clientId, 600))
  await promise
  const isRefused = answered[3] !== 0 || (filter !== undefined && answered[connackBytes] !== subackFirstByte)
  if (isRefused) throw new Error(`${clientId}: answered with ${answered.toString("hex")}`)
  return socket
}

/** A publisher and subscribers at QoS 0: bursts go out one after the other, each once the one before has come to all. */
export class FanOut {
  readonly #shape: FanOutShape
  readonly #packets: Buffer
  readonly #burstBytes: number
  readonly #sockets: Array<net.Socket> = []
  readonly #failure = Promise.withResolvers<never>()
  #publisher: net.Socket | undefined
  #receivedBytes = 0
  #isOpen = true
  #onBurst: (() => void) | undefined

  constructor(shape: FanOutShape) {
    this.#shape = shape
    this.#failure.promise.catch(() => {})
    const packet = publishPacket(topic, Buffer.alloc(shape.payloadBytes, 0x61), 0, 0)
    this.#packets = Buffer.concat(Array.from({ length: shape.burst }, () => packet))
    this.#burstBytes = this.#packets.length * this.#copies
  }

  get #copies(): number {
    return this.#shape.isShared ? 1 : this.#shape.subscribers
  }

  /** One client after the other. Rejects when one of them is refused. */
  async connect(port: number, name: string): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(readBytes)
    const filter = this.#shape.isShared ? `$share/bench/${topic}` : topic
    const onFailed = (error: Error): void => {
      if (this.#isOpen) this.#failure.reject(error)
    }
    const client = (clientId: string, subscribes: boolean) =>
      open({
        port,
        clientId: `fan-${name}-${clientId}`,
        filter: subscribes ? filter : undefined,
        buffer,
        onBytes: (bytes) => this.#took(bytes),
        onFailed
      })
    const opened = async (clientId: string, subscribes: boolean): Promise<net.Socket> => {
      const socket = await Promise.race([client(clientId, subscribes), this.#failure.promise])
      this.#sockets.push(socket)
      return socket
    }
    for (let i = 0; i < this.#shape.subscribers; i++) await opened(String(i), true)
    this.#publisher = await opened("publisher", false)
  }

  #took(bytes: number): void {
    this.#receivedBytes += bytes
    if (this.#receivedBytes > this.#burstBytes) this.#failure.reject(new Error("more came than was published"))
    if (this.#receivedBytes === this.#burstBytes) this.#onBurst?.()
  }

  /** Bursts for `durationMs`. Rejects when a connection breaks, or what was published does not come. */
  async slice(durationMs: number): Promise<Deliveries> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cpuBefore = process.cpuUsage()
    const began = performance.now()
    let bursts = 0
    const send = (): void => {
      this.#receivedBytes = 0
      this.#publisher!.write(this.#packets)
    }
    this.#onBurst = () => {
      bursts++
      if (performance.now() - began < durationMs) send()
      else resolve()
    }
    send()
    const overdue = setTimeout(
      () => this.#failure.reject(new Error(`${this.#receivedBytes} of ${this.#burstBytes} bytes of a burst have come`)),
      durationMs + waitMsMax
    )
    await Promise.race([promise, this.#failure.promise])
    clearTimeout(overdue)
    const elapsedMs = performance.now() - began
    const { user, system } = process.cpuUsage(cpuBefore)
    return {
      deliveries: bursts * this.#shape.burst * this.#copies,
      elapsedMs,
      clientCpuMs: (user + system) / 1000
    }
  }

  close(): void {
    this.#isOpen = false
    for (const socket of this.#sockets) socket.end(disconnectPacket)
  }
}
