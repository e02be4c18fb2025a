import type { CountDropped, DroppedMessage, QueueFull, QueueLimit } from "@logbrook/actors/session/SessionProtocol"
import type { Clock } from "@logbrook/core/Clock"
import { Tallies } from "../net/Tallies.ts"

const toldPerSecondMax = 1000
const rangesMax = 16

class Tally {
  readonly startedAtMs: number
  readonly #logId: number
  readonly #limits = new Set<QueueLimit>()
  readonly #ranges: Array<[first: number, last: number]> = []
  #count = 0

  constructor(startedAtMs: number, logId: number) {
    this.startedAtMs = startedAtMs
    this.#logId = logId
  }

  /** Offsets only rise. Beyond `rangesMax` the last range takes in what lies in between. */
  add({ offset, limit }: DroppedMessage): void {
    this.#count++
    this.#limits.add(limit)
    const last = this.#ranges.at(-1)
    if (last !== undefined && (offset === last[1] + 1 || this.#ranges.length === rangesMax)) last[1] = offset
    else this.#ranges.push([offset, offset])
  }

  get command(): CountDropped {
    return {
      _tag: "CountDropped",
      startedAtMs: this.startedAtMs,
      count: this.#count,
      limits: [...this.#limits],
      logId: this.#logId,
      ranges: this.#ranges
    }
  }
}

/** Counts what full queues drop and tells each session once a second; as many tallies as there are durable sessions at most. */
export class QueueDrops {
  readonly #tallies: Tallies<Tally>

  constructor(clock: Clock, tell: (clientId: string, command: CountDropped) => void) {
    this.#tallies = new Tallies(clock, toldPerSecondMax, (clientId, tally) => tell(clientId, tally.command))
  }

  note({ clientId, startedAtMs, messages }: QueueFull): void {
    const known = this.#tallies.get(clientId)
    // If it is of a session before, what that one has missed is nobody's any more.
    const isKnown = known?.startedAtMs === startedAtMs
    const tally = isKnown ? known : this.#tallies.set(clientId, new Tally(startedAtMs, messages[0]!.logId))
    for (const message of messages) tally.add(message)
  }

  flush(): void {
    this.#tallies.flush()
  }
}
