import type { Model } from "../Model.ts"

export interface Publication {
  readonly id: string
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly sender: string
  /** Simulated ms of the first try. */
  readonly sentMs: number
  /** The server has said that it has it. */
  isAcknowledged: boolean
  /** It was refused, or its session was lost by the client's own wish, and it was sent anew: there may be two of it. */
  mayRepeat: boolean
}

/** Of a connection's will: must it be published once, may it be, must it never? */
export type WillFate = "must" | "may" | "never"

const streamsByTopic: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["s/a", ["telemetry", "audit"]],
  ["s/b", ["telemetry"]],
  ["n/b", []]
])

/** What MQTT clients know of each other: who has sent what, and what was promised to them. */
export class MqttLedger {
  readonly publications = new Map<string, Publication>()
  readonly wills = new Map<string, WillFate>()
  readonly #model: Model
  readonly #violated: (message: string) => never

  constructor(model: Model, violated: (message: string) => never) {
    this.#model = model
    this.#violated = violated
  }

  /** The streams that store what is published on the topic. */
  static streamsOf(topic: string): ReadonlyArray<string> {
    return streamsByTopic.get(topic) ?? (topic.startsWith("w/") ? ["wills"] : [])
  }

  /** Whoever says or shows that a message is stored must not do so before it is. */
  checkDurable(what: string, id: string, topic: string, durableSeq: number): void {
    for (const stream of MqttLedger.streamsOf(topic)) {
      if (this.#model.placesIn(id, stream).some(({ seq }) => seq < durableSeq)) continue
      this.#violated(`${what} ${id} before it was durable in ${stream}`)
    }
  }

  /** `mayDropWills`: the disk was low, when they are refused. At the end: what was acknowledged is there, and as often as its QoS says. */
  check(mayDropWills: boolean): void {
    for (const { id, topic, qos, isAcknowledged, mayRepeat } of this.publications.values()) {
      for (const stream of MqttLedger.streamsOf(topic)) {
        const { length } = this.#model.placesIn(id, stream)
        if (isAcknowledged && qos > 0 && length === 0) this.#violated(`${id} was acknowledged and is not in ${stream}`)
        if (qos === 2 && length > 1 && !mayRepeat) this.#violated(`${id} of QoS 2 is ${length} times in ${stream}`)
        if (qos === 0 && length > 1) this.#violated(`${id} of QoS 0 is ${length} times in ${stream}`)
      }
    }
    for (const [id, fate] of this.wills) {
      const { length } = this.#model.placesIn(id, "wills")
      if (length > 1) this.#violated(`will ${id} was published ${length} times`)
      if (fate === "must" && length === 0 && !mayDropWills) this.#violated(`will ${id} was not published`)
      if (fate === "never" && length > 0) this.#violated(`will ${id} was published after an orderly end`)
    }
  }
}
