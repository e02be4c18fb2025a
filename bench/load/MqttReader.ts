import * as net from "node:net"
import { connectPacket, disconnectPacket, pubackBytes, pubackFirstByte, subscribePacket } from "./mqttPackets.ts"
import type { Reader, ReaderEvents } from "./Reader.ts"

const readBytes = 1024 * 1024
const failureCode = 0x80
const empty = Buffer.alloc(0)

const connack = 2
const publish = 3
const suback = 9

/** A subscriber that counts what comes and acknowledges what asks for it, all of a read in one write. */
export class MqttReader implements Reader {
  readonly #socket: net.Socket
  readonly #filter: string
  readonly #events: ReaderEvents
  readonly #subscribed = Promise.withResolvers<void>()
  /** The first bytes of a packet that has not come whole. */
  #rest: Buffer = empty
  #acks = Buffer.allocUnsafeSlow(readBytes)
  #ackBytes = 0
  #isOpen = true
  received = 0

  private constructor(port: number, filter: string, events: ReaderEvents) {
    this.#filter = filter
    this.#events = events
    this.#socket = net.connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(readBytes),
        callback: (bytes, buffer) => {
          this.#took((buffer as Buffer).subarray(0, bytes))
          return true
        }
      }
    })
    this.#socket.on("error", (error) => this.#failed(error))
    this.#socket.on("close", () => this.#failed(new Error("the subscriber's connection was closed by the server")))
    this.#socket.write(connectPacket("bench-reader", 600))
  }

  static async subscribe(port: number, filter: string, events: ReaderEvents): Promise<MqttReader> {
    const reader = new MqttReader(port, filter, events)
    await reader.#subscribed.promise
    return reader
  }

  #failed(error: Error): void {
    if (!this.#isOpen) return
    this.#subscribed.reject(error)
    this.#events.onFailed(error)
  }

  #took(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    for (let end = packetEnd(bytes, at); end <= bytes.length; end = packetEnd(bytes, at)) {
      this.#packet(bytes, at, end)
      at = end
    }
    this.#rest = at === bytes.length ? empty : Buffer.from(bytes.subarray(at))
    // A copy: the socket keeps what it is given until the system has taken it.
    if (this.#ackBytes > 0) this.#socket.write(Buffer.from(this.#acks.subarray(0, this.#ackBytes)))
    this.#ackBytes = 0
    this.#events.onReceived()
  }

  #packet(bytes: Buffer, at: number, end: number): void {
    const kind = bytes[at]! >> 4
    if (kind === publish) {
      this.received++
      if ((bytes[at]! & 0x06) !== 0) this.#acknowledge(bytes, at)
    } else if (kind === connack) this.#socket.write(subscribePacket(this.#filter, 1))
    else if (kind === suback && bytes[end - 1]! < failureCode) this.#subscribed.resolve()
    else this.#failed(new Error(`the subscriber was answered with ${bytes.subarray(at, end).toString("hex")}`))
  }

  #acknowledge(bytes: Buffer, at: number): void {
    const topicAt = bodyAt(bytes, at)
    const idAt = topicAt + 2 + bytes.readUInt16BE(topicAt)
    this.#acks[this.#ackBytes] = pubackFirstByte
    this.#acks[this.#ackBytes + 1] = 2
    this.#acks[this.#ackBytes + 2] = bytes[idAt]!
    this.#acks[this.#ackBytes + 3] = bytes[idAt + 1]!
    this.#ackBytes += pubackBytes
  }

  close(): void {
    this.#isOpen = false
    this.#socket.end(disconnectPacket)
  }
}

/** Behind the remaining length of the packet at `at`; behind all bytes while that has not come whole. */
const bodyAt = (bytes: Buffer, at: number): number => {
  let next = at + 1
  while (next < bytes.length && bytes[next]! >= 0x80) next++
  return next + 1
}

/** Infinity while the length has not come whole. */
const packetEnd = (bytes: Buffer, at: number): number => {
  const body = bodyAt(bytes, at)
  if (body > bytes.length) return Infinity
  let length = 0
  for (let index = body - 1; index > at; index--) length = length * 0x80 + (bytes[index]! & 0x7f)
  return body + length
}
