import type { Socket } from "node:net"
import { parser, type IPublishPacket, type Packet } from "mqtt-packet"
import { sleep, written, type Battlefield, type Horde } from "../Attack.ts"
import { session, wire, type SessionOptions } from "../attacks/mqttFloods.ts"

/** Fills one kind of memory until the server takes no more, and leaves it full. What holds connections keeps them in the horde. */
export type Step = (field: Battlefield, horde: Horde) => Promise<void>

const answerTimeoutMs = 10_000

/** An MQTT 5 client that does one thing after the other. */
export class OneByOne {
  readonly #socket: Socket
  readonly #field: Battlefield
  #messageId = 0
  #waiting: ((packet: Packet | undefined) => void) | undefined

  private constructor(field: Battlefield, socket: Socket) {
    this.#field = field
    this.#socket = socket
    const parsing = parser({ protocolVersion: 5 })
    parsing.on("packet", (packet: Packet) => {
      if (packet.cmd === "puback" || packet.cmd === "pubrec" || packet.cmd === "suback") this.#answer(packet)
    })
    socket.on("data", (chunk: Buffer) => parsing.parse(chunk))
    socket.on("close", () => this.#answer(undefined))
  }

  static async connect(field: Battlefield, horde: Horde, options: SessionOptions): Promise<OneByOne | undefined> {
    const socket = await session(field, horde, options)
    return socket === undefined ? undefined : new OneByOne(field, socket)
  }

  get socket(): Socket {
    return this.#socket
  }

  #answer(packet: Packet | undefined): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.(packet)
  }

  /** Undefined: the server has closed, or does not answer. */
  async #ask(packet: Packet): Promise<Packet | undefined> {
    if (this.#socket.destroyed) return undefined
    const answered = new Promise<Packet | undefined>((resolve) => (this.#waiting = resolve))
    await written(this.#socket, wire(packet))
    return Promise.race([answered, sleep(answerTimeoutMs, this.#field.signal).then(() => undefined)])
  }

  /** False: refused, or closed. */
  async publish(message: Partial<IPublishPacket>): Promise<boolean> {
    this.#messageId = (this.#messageId % 60_000) + 1
    const packet = { cmd: "publish", qos: 1, retain: false, dup: false, messageId: this.#messageId, ...message }
    const answer = await this.#ask(packet as IPublishPacket)
    return answer !== undefined && "reasonCode" in answer && (answer.reasonCode ?? 0) < 0x80
  }

  /** How many of the filters were granted; undefined: closed. */
  async subscribe(filters: ReadonlyArray<string>): Promise<number | undefined> {
    const subscriptions = filters.map((topic) => ({ topic, qos: 1 as const }))
    const answer = await this.#ask({ cmd: "subscribe", messageId: 1, subscriptions })
    if (answer?.cmd !== "suback") return undefined
    return answer.granted.filter((code) => Number(code) < 0x80).length
  }
}
