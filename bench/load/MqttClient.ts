import { createRequire } from "node:module"
import * as net from "node:net"
import type { Packet } from "mqtt-packet"

const mqttPacket: typeof import("mqtt-packet") = createRequire(import.meta.url)("mqtt-packet")

/** One MQTT 3.1.1 connection that waits for answers: for what a benchmark sets up, not for its load. */
export class MqttClient {
  readonly #socket: net.Socket
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>()
  #messageId = 0
  #failure: Error | undefined
  /** PUBLISHes that have come; they are of QoS 0. */
  received = 0
  onReceived: (() => void) | undefined

  private constructor(port: number) {
    this.#socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on("packet", (packet) => this.#took(packet))
    this.#socket.on("data", (chunk) => parser.parse(chunk))
    this.#socket.on("error", (error) => this.#failed(error))
    this.#socket.on("close", () => this.#failed(new Error("the connection was closed by the server")))
  }

  static async connect(port: number, clientId: string, isClean: boolean): Promise<MqttClient> {
    const client = new MqttClient(port)
    client.#socket.write(
      mqttPacket.generate({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: isClean,
        clientId,
        keepalive: 600
      })
    )
    await client.#answer(0)
    return client
  }

  #failed(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  #took(packet: Packet): void {
    if (packet.cmd === "publish") {
      this.received++
      this.onReceived?.()
      return
    }
    const refused =
      (packet.cmd === "connack" && packet.returnCode !== 0) || (packet.cmd === "suback" && packet.granted.includes(128))
    if (refused) this.#failed(new Error(`the server refused: ${JSON.stringify(packet)}`))
    const id = packet.messageId ?? 0
    this.#waiting.get(id)?.resolve()
    this.#waiting.delete(id)
  }

  #answer(messageId: number): Promise<void> {
    const answer = Promise.withResolvers<void>()
    if (this.#failure !== undefined) answer.reject(this.#failure)
    else this.#waiting.set(messageId, answer)
    return answer.promise
  }

  #request(packet: (messageId: number) => Packet): Promise<void> {
    this.#messageId = (this.#messageId % 65_535) + 1
    this.#socket.write(mqttPacket.generate(packet(this.#messageId)))
    return this.#answer(this.#messageId)
  }

  /** Rejects when one filter is refused. */
  subscribe(filters: ReadonlyArray<string>, qos: 0 | 1): Promise<void> {
    return this.#request((messageId) => ({
      cmd: "subscribe",
      messageId,
      subscriptions: filters.map((topic) => ({ topic, qos }))
    }))
  }

  unsubscribe(filter: string): Promise<void> {
    return this.#request((messageId) => ({ cmd: "unsubscribe", messageId, unsubscriptions: [filter] }))
  }

  /** A retained message of QoS 1; resolves at its PUBACK. */
  retain(topic: string, payload: Buffer): Promise<void> {
    return this.#request((messageId) => ({
      cmd: "publish",
      topic,
      payload,
      qos: 1,
      retain: true,
      dup: false,
      messageId
    }))
  }

  /** Resolves once the connection is closed. */
  async disconnect(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#socket.once("close", () => resolve())
    this.#socket.end(mqttPacket.generate({ cmd: "disconnect" }))
    await promise
  }
}
