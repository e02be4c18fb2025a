import type { Clock } from "@logbrook/core/Clock"
import type { Limits } from "@logbrook/core/Limits"

type GateLimits = Pick<
  Limits,
  "connectionsMax" | "connectionsPerAddressMax" | "newConnectionsPerSecondMax" | "preAuthConnectionsMax"
>

/** Counts the connections of all listeners together. */
export class ConnectionGate {
  readonly #limits: GateLimits
  readonly #clock: Clock
  readonly #perAddress = new Map<string, number>()
  #second = 0
  #newThisSecond = 0
  open = 0
  /** Of the open ones. */
  preAuth = 0
  refused = 0

  constructor(limits: GateLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
  }

  /** Undefined: one too many, close it at once. */
  admit(remoteAddress: string): Admission | undefined {
    const second = Math.floor(this.#clock.monotonicMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#newThisSecond = 0
    }
    const fromHere = this.#perAddress.get(remoteAddress) ?? 0
    const { connectionsMax, connectionsPerAddressMax, newConnectionsPerSecondMax, preAuthConnectionsMax } = this.#limits
    const isOneTooMany =
      this.open >= connectionsMax ||
      this.preAuth >= preAuthConnectionsMax ||
      fromHere >= connectionsPerAddressMax ||
      this.#newThisSecond >= newConnectionsPerSecondMax
    if (isOneTooMany) {
      this.refused++
      return undefined
    }
    this.#newThisSecond++
    this.open++
    this.preAuth++
    this.#perAddress.set(remoteAddress, fromHere + 1)
    return new Admission(this, remoteAddress)
  }

  /** Of an admission only. */
  left(remoteAddress: string): void {
    this.open--
    const left = this.#perAddress.get(remoteAddress)! - 1
    if (left === 0) this.#perAddress.delete(remoteAddress)
    else this.#perAddress.set(remoteAddress, left)
  }
}

/** One connection's place at the gate. A class: closures would be made anew for each of thousands of connections. */
export class Admission {
  readonly #gate: ConnectionGate
  readonly #remoteAddress: string
  #isPreAuth = true
  #isOpen = true

  constructor(gate: ConnectionGate, remoteAddress: string) {
    this.#gate = gate
    this.#remoteAddress = remoteAddress
  }

  /** The client has said who it is, as far as its protocol asks for it: no longer one of `preAuthConnectionsMax`. */
  authenticated(): void {
    if (this.#isPreAuth) this.#gate.preAuth--
    this.#isPreAuth = false
  }

  /** The connection is closed. */
  release(): void {
    this.authenticated()
    if (this.#isOpen) this.#gate.left(this.#remoteAddress)
    this.#isOpen = false
  }
}
