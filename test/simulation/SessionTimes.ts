import type { MessagesDropped, SessionDisconnected, SessionEvent } from "@logbrook/actors/session/SessionProtocol"

interface Gone {
  /** When the end of its connection became durable, simulated ms. */
  readonly atMs: number
  readonly expiryMs: number
  readonly willDelayMs: number
  /** Of the server's life: across lives it is the machine's clock that counts, which is set now and then. */
  readonly epoch: number
}

/** A deadline counts from its decision, a little before that is durable; and what it leads to takes a while. */
const slackMs = 2500

/**
 * When sessions expire and wills with a delay are due, by the simulation's own time: a machine's clock that is set must not
 * change that. From the journaled events alone.
 */
export class SessionTimes {
  readonly #violated: (message: string) => void
  readonly #willDelays = new Map<string, number>()
  readonly #gone = new Map<string, Gone>()
  /** Triggered in this frame before their time, which is right if their sessions end. */
  readonly #early = new Map<string, string>()
  /** The newest offset that each session's full queue is known to have dropped. */
  readonly #dropped = new Map<string, number>()

  constructor(violated: (message: string) => void) {
    this.#violated = violated
  }

  apply(clientId: string, event: SessionEvent, epoch: number, nowMs: number): void {
    const gone = this.#gone.get(clientId)
    switch (event._tag) {
      case "SessionStarted":
      case "SessionResumed":
        this.#willDelays.set(clientId, event.will?.delayMs ?? 0)
        if (event._tag === "SessionStarted") this.#dropped.delete(clientId)
        this.#gone.delete(clientId)
        if (gone?.epoch === epoch && nowMs - gone.atMs > gone.expiryMs + slackMs) {
          this.#violated(
            `the session of ${clientId} is there ${nowMs - gone.atMs} ms after its end, of ${gone.expiryMs}`
          )
        }
        return
      case "SessionDisconnected": {
        this.#checkEnd(clientId, event)
        const willDelayMs = this.#willDelays.get(clientId) ?? 0
        this.#gone.set(clientId, { atMs: nowMs, expiryMs: event.sessionExpiryMs, willDelayMs, epoch })
        return
      }
      case "MessagesDropped":
        this.#checkDropped(clientId, event)
        return
      case "WillTriggered":
        if (gone?.epoch === epoch) this.#triggered(clientId, gone, nowMs)
        return
      case "SessionEnded":
        this.#early.delete(clientId)
        this.#gone.delete(clientId)
        if (event.cause === "ConnectionClosed" && gone !== undefined && gone.expiryMs > 0) {
          this.#violated(`the session of ${clientId} ends with its connection, though it was to live on`)
        }
        if (event.cause !== "Expired" || gone?.epoch !== epoch || nowMs - gone.atMs >= gone.expiryMs - slackMs) return
        this.#violated(`the session of ${clientId} expires after ${nowMs - gone.atMs} ms of ${gone.expiryMs}`)
        return
      default:
    }
  }

  /** Only a DISCONNECT with reason 0x00 takes the will away [MQTT-3.14.4-3], and what nobody saw the server died of. */
  #checkEnd(clientId: string, { cause, end, keepsWill }: SessionDisconnected): void {
    const isOrderly = end?.by === "client" && end.reasonCode === 0
    const isTold = end !== undefined && (cause === "Lost") === (end.by === "restart")
    if (!isTold || isOrderly === keepsWill) {
      this.#violated(`a connection of ${clientId} is told to have ended by ${JSON.stringify(end)}, as ${cause}`)
    }
  }

  /** Nothing is counted twice: the offsets rise, and there are no fewer of them than messages. */
  #checkDropped(clientId: string, { count, ranges = [] }: MessagesDropped): void {
    let last = this.#dropped.get(clientId) ?? -1
    let room = 0
    for (const [from, to] of ranges) {
      if (from <= last || to < from)
        this.#violated(`offset ${from} is dropped by the queue of ${clientId}, after ${last}`)
      room += to + 1 - from
      last = to
    }
    if (count < 1 || count > room) this.#violated(`the queue of ${clientId} drops ${count} messages of ${room}`)
    this.#dropped.set(clientId, last)
  }

  #triggered(clientId: string, { atMs, expiryMs, willDelayMs }: Gone, nowMs: number): void {
    const wantedMs = Math.min(willDelayMs, expiryMs)
    const text = `the will of ${clientId} comes after ${nowMs - atMs} ms of ${wantedMs}`
    if (nowMs - atMs > wantedMs + slackMs) this.#violated(text)
    if (nowMs - atMs < wantedMs - slackMs) this.#early.set(clientId, text)
  }

  endFrame(): void {
    for (const text of this.#early.values()) this.#violated(text)
  }
}
