import { textBytes } from "@logbrook/core/memory/MemoryAccount"
import type { Admission } from "../net/ConnectionGate.ts"

/** A topic that a client was sent messages of, and the alias that may stand for it. */
export interface TopicAlias {
  readonly topic: string
  readonly alias: number
  /** The client was sent the topic together with the alias: the alias alone will do. */
  isKnown: boolean
  /** A message had the topic since the last look for one that is not used. */
  isUsed: boolean
}

/** The Topic Alias property. A topic of so few bytes gains nothing. */
const aliasBytes = 3
/** The memory of an alias beside its topic. */
const entryBytes = 160

/**
 * The topic aliases that the server sets for one client (MQTT 5, 3.3.2.3.4), by use: as many topics are remembered as there may be
 * aliases, and one that comes again gets its alias. Topics that come once cost nothing on the wire.
 *
 * When all are taken, each new topic looks at one of the others in turn: it takes the place of one that was not used since
 * the last look ("second chance", the clock algorithm of page replacement). A new one counts as used, so that topics which
 * come in turns, more than there are aliases, do not drive out each other.
 */
export class TopicAliases {
  readonly #max: number
  readonly #admission: Pick<Admission, "add" | "hasRoomToRemember">
  readonly #byTopic = new Map<string, TopicAlias>()
  /** The alias `i + 1` at `i`. */
  readonly #all: Array<TopicAlias> = []
  #next = 0

  /** `max`: 1 at least, and no more than the client's Topic Alias Maximum [MQTT-3.1.2-26]. */
  constructor(max: number, admission: Pick<Admission, "add" | "hasRoomToRemember">) {
    this.#max = max
    this.#admission = admission
  }

  /** The alias of a message's topic; undefined: the topic goes as it is. */
  use(topic: string): TopicAlias | undefined {
    const known = this.#byTopic.get(topic)
    if (known === undefined) this.#remember(topic)
    else known.isUsed = true
    return known
  }

  #remember(topic: string): void {
    if (topic.length <= aliasBytes) return
    if (this.#all.length < this.#max) {
      this.#set(this.#all.length, topic)
      return
    }
    const at = this.#next
    this.#next = (at + 1) % this.#max
    const other = this.#all[at]!
    if (other.isUsed) other.isUsed = false
    else this.#set(at, topic)
  }

  /** Where there is no memory for it, what was there stays. */
  #set(at: number, topic: string): void {
    const before = this.#all[at]
    const growth = bytesOf(topic) - (before === undefined ? 0 : bytesOf(before.topic))
    if (growth > 0 && !this.#admission.hasRoomToRemember("connections", growth)) return
    this.#admission.add("connections", growth)
    if (before !== undefined) this.#byTopic.delete(before.topic)
    const entry = { topic, alias: at + 1, isKnown: false, isUsed: true }
    this.#all[at] = entry
    this.#byTopic.set(topic, entry)
  }
}

const bytesOf = (topic: string): number => entryBytes + textBytes(topic)
