import type { MessageRef, SessionEvent } from "@logbrook/actors/session/SessionProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"

const keyOf = ({ logId, offset, share }: MessageRef): string => `${logId}:${offset} of ${share}`

interface HandedOn {
  readonly from: string
  readonly to: string
  readonly keys: ReadonlyArray<string>
}

/**
 * Messages of shared subscriptions in the queues of durable sessions, from the journaled events alone: each is in one session at most
 * behind every commit, and none goes with a session that ends while another may have it.
 */
export class SharedQueues {
  readonly #stateOf: (clientId: string) => SessionState | undefined
  readonly #violated: (message: string) => void
  /** By message: the clients whose sessions have it. */
  readonly #holders = new Map<string, Set<string>>()
  /** By client. */
  readonly #held = new Map<string, ReadonlySet<string>>()
  readonly #touched = new Set<string>()
  #handedOn: Array<HandedOn> = []

  constructor(stateOf: (clientId: string) => SessionState | undefined, violated: (message: string) => void) {
    this.#stateOf = stateOf
    this.#violated = violated
  }

  /** Before the event is folded. */
  before(clientId: string, event: SessionEvent): void {
    const state = this.#stateOf(clientId)
    this.#touched.add(clientId)
    if (event._tag === "SessionEnded") {
      for (const { share, qos, phase, offset } of state?.queue.values() ?? []) {
        if (share === undefined || phase === "received" || (qos === 2 && phase === "sent")) continue
        this.#violated(`the session of ${clientId} ends with offset ${offset}, which others are to have`)
      }
    } else if (event._tag === "SharedReleased") {
      for (const entryId of event.entryIds) {
        const { qos, phase, offset } = state!.queue.get(entryId)!
        if (qos < 2 || phase === "queued") continue
        this.#violated(`${clientId} was sent offset ${offset} with QoS 2, and others are to have it`)
      }
    } else if (event._tag === "SharedHandedOn" && event.to !== null) {
      const ids = new Set(event.releaseIds)
      const those = state!.released.filter(({ releaseId }) => ids.has(releaseId))
      this.#handedOn.push({ from: clientId, to: event.to, keys: those.map(keyOf) })
    }
  }

  endFrame(): void {
    for (const clientId of this.#touched) this.#look(clientId)
    for (const clientId of this.#touched) {
      for (const key of this.#held.get(clientId) ?? []) {
        const holders = this.#holders.get(key)!
        if (holders.size > 1) this.#violated(`${key} is in the queues of ${[...holders].join(" and ")}`)
      }
    }
    for (const { from, to, keys } of this.#handedOn) {
      const state = this.#stateOf(to)
      const isDurable = state !== undefined && state.name !== "Absent" && state.life.sessionExpiryMs > 0
      const lost = isDurable ? keys.find((key) => this.#holders.get(key)?.has(to) !== true) : undefined
      if (lost !== undefined) this.#violated(`${from} says that ${to} has ${lost}, and it has not`)
    }
    this.#touched.clear()
    this.#handedOn = []
  }

  #look(clientId: string): void {
    const state = this.#stateOf(clientId)
    const held = new Set<string>()
    for (const entry of state?.queue.values() ?? []) if (entry.share !== undefined) held.add(keyOf(entry))
    for (const entry of state?.released ?? []) held.add(keyOf(entry))
    for (const key of this.#held.get(clientId) ?? []) if (!held.has(key)) this.#remove(key, clientId)
    for (const key of held) {
      const holders = this.#holders.get(key)
      if (holders === undefined) this.#holders.set(key, new Set([clientId]))
      else holders.add(clientId)
    }
    this.#held.set(clientId, held)
  }

  #remove(key: string, clientId: string): void {
    const holders = this.#holders.get(key)
    holders?.delete(clientId)
    if (holders?.size === 0) this.#holders.delete(key)
  }
}
