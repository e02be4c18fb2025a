import { clientActor, type Refused } from "@logbrook/actors/client/Client"
import type { Broker } from "../Broker.ts"
import { originOf } from "../originOf.ts"
import { BoundedLines } from "./BoundedLines.ts"
import { Tallies } from "./Tallies.ts"

/** The refusal of one publication, or of a request of a transaction. */
export interface Refusal {
  /** May be of any length and hold any character. */
  readonly clientId: string
  readonly address: string | null
  readonly code: string
  readonly reason: string
  readonly topic: string | undefined
  /** A line of the log has told of it already. */
  readonly isLogged: boolean
}

interface Tally {
  readonly clientId: string
  readonly address: string | null
  /** By code, of which there are few. */
  readonly byCode: Map<string, Counted>
}

interface Counted extends Refused {
  count: number
  topic: string | null
  isLogged: boolean
}

const clientsPerSecondMax = 256
const linesPerSecondMax = 20
const clientIdLengthMax = 256
const textLengthMax = 256

/**
 * Names the clients whose publications are refused: one event and one line of the log a second at most for each of them, and
 * a count for those that are too many at once.
 */
export class Refusals {
  readonly #broker: Broker
  readonly #protocol: "mqtt" | "kafka"
  readonly #tallies: Tallies<Tally>
  readonly #lines: BoundedLines
  #unnamed = 0

  constructor(broker: Broker, protocol: "mqtt" | "kafka") {
    const more = `${protocol}: more refused publications than lines`
    this.#broker = broker
    this.#protocol = protocol
    this.#tallies = new Tallies(broker.clock, clientsPerSecondMax, (_key, tally) => this.#tell(tally))
    this.#lines = new BoundedLines(broker.log, broker.clock, "warn", linesPerSecondMax, more)
  }

  add({ clientId, address, code, reason, topic, isLogged }: Refusal): void {
    const key = clientId === "" ? `@${address}` : clientId.slice(0, clientIdLengthMax)
    const tally = this.#tallies.get(key) ?? this.#tallyOf(key, clientId, address)
    if (tally === undefined) return
    let counted = tally.byCode.get(code)
    if (counted === undefined) {
      counted = { code, reason: reason.slice(0, textLengthMax), count: 0, topic: null, isLogged: true }
      tally.byCode.set(code, counted)
    }
    counted.count++
    counted.isLogged &&= isLogged
    counted.topic ??= topic?.slice(0, textLengthMax) ?? null
  }

  #tallyOf(key: string, clientId: string, address: string | null): Tally | undefined {
    if (this.#tallies.size < clientsPerSecondMax) {
      return this.#tallies.set(key, { clientId: clientId.slice(0, clientIdLengthMax), address, byCode: new Map() })
    }
    this.#unnamed++
    return undefined
  }

  #tell({ clientId, address, byCode }: Tally): void {
    const protocol = this.#protocol
    const refused: Array<Refused> = []
    for (const { isLogged, ...each } of byCode.values()) {
      const { topic, ...fields } = each
      refused.push(each)
      if (isLogged) continue
      this.#lines.write(`${protocol}: publications refused`, {
        client: clientId,
        address: address ?? undefined,
        ...fields,
        topic: topic ?? undefined
      })
    }
    if (this.#unnamed > 0) {
      this.#broker.log.warn(`${protocol}: refused publications of more clients than are named`, {
        count: this.#unnamed
      })
      this.#unnamed = 0
    }
    const origin = originOf(protocol, clientId, `@${address ?? "will"}`)
    this.#broker.shards.tell(
      clientActor(clientId, address),
      { _tag: "RecordRefusals", protocol, address, refused },
      { origin }
    )
  }

  /** Tells all that is there: the server stops. */
  flush(): void {
    this.#tallies.flush()
    this.#lines.flush()
  }
}
