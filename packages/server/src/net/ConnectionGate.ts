import type { Clock } from "@logbrook/core/Clock"
import type { Limits } from "@logbrook/core/Limits"

type GateLimits = Pick<Limits, "connectionsMax" | "connectionsPerAddressMax" | "newConnectionsPerSecondMax">

/** Counts the connections of all listeners together. */
export class ConnectionGate {
  readonly #limits: GateLimits
  readonly #clock: Clock
  readonly #perAddress = new Map<string, number>()
  #second = 0
  #newThisSecond = 0
  open = 0
  refused = 0

  constructor(limits: GateLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
  }

  /** What to call when the connection is closed; undefined: one too many, close it at once. */
  admit(remoteAddress: string): (() => void) | undefined {
    const second = Math.floor(this.#clock.nowMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#newThisSecond = 0
    }
    const fromHere = this.#perAddress.get(remoteAddress) ?? 0
    const { connectionsMax, connectionsPerAddressMax, newConnectionsPerSecondMax } = this.#limits
    const isOneTooMany =
      this.open >= connectionsMax ||
      fromHere >= connectionsPerAddressMax ||
      this.#newThisSecond >= newConnectionsPerSecondMax
    if (isOneTooMany) {
      this.refused++
      return undefined
    }
    this.#newThisSecond++
    this.open++
    this.#perAddress.set(remoteAddress, fromHere + 1)
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      this.open--
      const left = this.#perAddress.get(remoteAddress)! - 1
      if (left === 0) this.#perAddress.delete(remoteAddress)
      else this.#perAddress.set(remoteAddress, left)
    }
  }
}
