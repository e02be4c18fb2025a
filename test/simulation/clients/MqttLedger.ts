import type { Model } from "../Model.ts"
import { SharedLedger } from "./SharedLedger.ts"
import { StreamShareLedger } from "./StreamShareLedger.ts"

export interface Publication {
  readonly id: string
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly sender: string
  /** An empty retained message: it deletes the topic's key of a compacted stream. */
  readonly isTombstone: boolean
  /** Simulated ms of the first try. */
  readonly sentMs: number
  /** The server has said that it has it. */
  isAcknowledged: boolean
  /** It was refused, or its session was lost by the client's own wish, and it was sent anew: there may be two of it. */
  mayRepeat: boolean
  /** Sent again on another connection: whoever came to subscribe meanwhile gets it late. */
  wasRepeated: boolean
}

/** Of a connection's will: must it be published once, may it be, must it never? */
export type WillFate = "must" | "may" | "never"

const streamsByTopic: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["s/a", ["telemetry", "audit"]],
  ["s/b", ["telemetry"]],
  ["n/b", []]
])

const streamsByRoot: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["w", ["wills"]],
  ["v", ["latest"]]
])

/** What MQTT clients know of each other: who has sent what, and what was promised to them. */
export class MqttLedger {
  readonly publications = new Map<string, Publication>()
  readonly wills = new Map<string, WillFate>()
  /** From the first command on that an actor could not take at all, see `partlyRefused`. */
  isPartlyRefused = false
  readonly shared: SharedLedger
  readonly streamShare: StreamShareLedger
  readonly #model: Model
  readonly #violated: (message: string) => never

  constructor(model: Model, violated: (message: string) => never) {
    this.#model = model
    this.#violated = violated
    this.shared = new SharedLedger(this, violated)
    this.streamShare = new StreamShareLedger(model, violated)
  }

  /** The streams that store what is published on the topic. */
  static streamsOf(topic: string): ReadonlyArray<string> {
    return streamsByTopic.get(topic) ?? streamsByRoot.get(topic.split("/")[0]!) ?? []
  }

  /**
   * One of those that have to store the message cannot, the others have: it is refused as a whole, and its client sends
   * it anew. It takes an actor that throws at the same command again on a state that was rebuilt.
   */
  partlyRefused(sender: string): void {
    for (const publication of this.publications.values()) {
      if (publication.sender === sender && !publication.isAcknowledged) publication.mayRepeat = true
    }
  }

  /** Whoever says or shows that a message is stored must not do so before it is. */
  checkDurable(what: string, id: string, topic: string, durableSeq: number): void {
    if (this.isPartlyRefused || this.publications.get(id)?.mayRepeat === true) return
    for (const stream of MqttLedger.streamsOf(topic)) {
      if (this.#model.placesIn(id, stream).some(({ seq }) => seq < durableSeq)) continue
      this.#violated(`${what} ${id} before it was durable in ${stream}`)
    }
  }

  /** At the end: what was acknowledged is there, and as often as its QoS says. */
  check(): void {
    for (const { id, topic, qos, isAcknowledged, mayRepeat } of this.publications.values()) {
      for (const stream of MqttLedger.streamsOf(topic)) {
        const { length } = this.#model.placesIn(id, stream)
        if (isAcknowledged && qos > 0 && length === 0) this.#violated(`${id} was acknowledged and is not in ${stream}`)
        if (qos === 2 && length > 1 && !mayRepeat && !this.isPartlyRefused)
          this.#violated(`${id} of QoS 2 is ${length} times in ${stream}`)
        if (qos === 0 && length > 1) this.#violated(`${id} of QoS 0 is ${length} times in ${stream}`)
      }
    }
    for (const [id, fate] of this.wills) {
      const { length } = this.#model.placesIn(id, "wills")
      if (length > 1) this.#violated(`will ${id} was published ${length} times`)
      if (fate === "never" && length > 0 && !this.isPartlyRefused)
        this.#violated(`will ${id} was published after an orderly end`)
      if (fate === "must" && length === 0) this.#violated(`will ${id} was not published`)
    }
  }
}
