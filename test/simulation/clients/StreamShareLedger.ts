import type { Model, ModelLog } from "../Model.ts"
import type { Plan, StreamSharerPlan } from "../Plan.ts"

/** The records that those who share a subscription of a stream have got between them. */
export class StreamShareLedger {
  readonly #model: Model
  readonly #violated: (message: string) => never
  /** By record: the client that has got it, with QoS 2. */
  readonly #receivers = new Map<string, string>()
  readonly #acknowledged = new Set<string>()

  constructor(model: Model, violated: (message: string) => never) {
    this.#model = model
    this.#violated = violated
  }

  /** A delivery that its client does not know yet. Those of QoS 2 come once, to one of them. */
  got(client: string, place: string, qos: number): void {
    if (qos < 2) return
    const before = this.#receivers.get(place)
    if (before !== undefined) this.#violated(`${place} of QoS 2 goes to ${before}, and then to ${client}`)
    this.#receivers.set(place, client)
  }

  /** One of them has sent PUBACK or PUBREC. */
  acknowledged(place: string): void {
    this.#acknowledged.add(place)
  }

  /** A record that none of them has acknowledged, and that has not gone with a session that was sent it with QoS 2. */
  missing({ clients }: Plan): string | undefined {
    const sharers = clients.filter((client): client is StreamSharerPlan => client.kind === "streamSharer")
    const { stream } = sharers[0]!
    for (const [partition, log] of this.#logsOf(stream).entries()) {
      const transactions = this.#model.transactionsOf(log.id)
      for (let offset = log.startOffset; offset < log.nextOffset; offset++) {
        const place = `${stream}/${partition}:${offset}`
        if (!transactions.isVisible(offset) || this.#acknowledged.has(place)) continue
        if (this.#model.streamShares.hasGone(log.id, offset)) continue
        return `nobody of those who share ${stream} has acknowledged ${place}`
      }
    }
    return undefined
  }

  #logsOf(stream: string): ReadonlyArray<ModelLog> {
    return this.#model.streams.get(stream)!.logIds.map((logId) => this.#model.log(logId))
  }
}
