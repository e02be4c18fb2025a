import * as net from "node:net"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { generate, parser, type Packet } from "mqtt-packet"

const everyMs = 5
const answerTimeoutMs = 10_000

/** An MQTT client that publishes with QoS 1 two hundred times a second, and takes the time from PUBLISH to PUBACK. */
export class GoodClient {
  readonly #socket: net.Socket
  readonly #sentMs = new Map<number, number>()
  #latenciesMs: Array<number> = []
  #messageId = 0
  #hasBeenClosed = false

  private constructor(socket: net.Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on("error", () => undefined)
    socket.on("close", () => (this.#hasBeenClosed = true))
    const parsing = parser()
    parsing.on("packet", ({ cmd, messageId }: Packet) => {
      if (cmd !== "puback") return
      this.#latenciesMs.push(performance.now() - this.#sentMs.get(messageId!)!)
      this.#sentMs.delete(messageId!)
    })
    socket.on("data", (chunk) => parsing.parse(chunk as Buffer))
  }

  static async connect(port: number, clientId: string): Promise<GoodClient> {
    const socket = net.connect(port, "127.0.0.1")
    await once(socket, "connect")
    const client = new GoodClient(socket)
    socket.write(
      generate({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0, clientId })
    )
    return client
  }

  #publish(): void {
    this.#messageId = (this.#messageId % 65_535) + 1
    const messageId = this.#messageId
    this.#sentMs.set(messageId, performance.now())
    const topic = "good/reading"
    this.#socket.write(
      generate({ cmd: "publish", topic, payload: "21.5", qos: 1, retain: false, dup: false, messageId })
    )
  }

  /** The times from PUBLISH to PUBACK of so long, sorted, in ms. Throws when one has no answer. */
  async measure(forMs: number): Promise<ReadonlyArray<number>> {
    this.#latenciesMs = []
    const endMs = performance.now() + forMs
    for (let dueMs = performance.now(); dueMs < endMs; dueMs += everyMs) {
      await sleep(Math.max(0, dueMs - performance.now()))
      this.#publish()
    }
    const lastMs = performance.now() + answerTimeoutMs
    while (this.#sentMs.size > 0 && !this.#hasBeenClosed && performance.now() < lastMs) await sleep(5)
    if (this.#hasBeenClosed) throw new Error("the good client was closed on")
    if (this.#sentMs.size > 0) throw new Error(`${this.#sentMs.size} messages were not acknowledged`)
    return this.#latenciesMs.toSorted((a, b) => a - b)
  }

  end(): void {
    this.#socket.destroy()
  }
}

/** Of sorted figures. */
export const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
