import type { Clock } from "@logbrook/core/Clock"
import type { ListenerLimits, ListenerProtocol } from "./Listener.ts"
import { NewPerSecond } from "./NewPerSecond.ts"

/** Why a connection is one too many: for all, for its address, or for this second. */
export type Excess = "connections" | "address" | "rate"

/** The place that a connection has taken. */
export interface Place {
  /** A load balancer's connection is a client's of this address. False: one too many, and the connection is to be closed. */
  readonly movesTo: (address: string) => boolean
  /** TLS begins. False: there is no room for it, and the connection is to be closed. */
  readonly secures: () => boolean
  /** The connection is closed. */
  readonly release: () => void
}

/** Counts the connections of one listener. */
export class ListenerGate {
  readonly name: string
  readonly protocol: ListenerProtocol
  readonly #limits: ListenerLimits
  readonly #newOnes: NewPerSecond
  /** How many there are of each address; undefined where that does not matter. */
  readonly #perAddress: Map<string, number> | undefined
  open = 0
  /** Those that were not let in, by whichever limit. */
  refused = 0

  constructor(name: string, protocol: ListenerProtocol, limits: ListenerLimits, clock: Clock) {
    this.name = name
    this.protocol = protocol
    this.#limits = limits
    this.#newOnes = new NewPerSecond(clock, limits.newConnectionsPerSecondMax)
    if (limits.connectionsPerAddressMax < Infinity) this.#perAddress = new Map()
  }

  /** Undefined: one too many, close it at once. */
  admit(address: string): ListenerPlace | undefined {
    if (this.excessOf(address) === undefined) return this.take(address)
    this.refused++
    return undefined
  }

  excessOf(address: string): Excess | undefined {
    if (this.open >= this.#limits.connectionsMax) return "connections"
    if (!this.#hasRoomOf(address)) return "address"
    return this.#newOnes.isUsedUp ? "rate" : undefined
  }

  /** For a connection of which `excessOf` has told that it may come in. */
  take(address: string): ListenerPlace {
    this.#newOnes.add()
    this.open++
    this.#count(address, 1)
    return new ListenerPlace(this, address)
  }

  #hasRoomOf(address: string): boolean {
    return (this.#perAddress?.get(address) ?? 0) < this.#limits.connectionsPerAddressMax
  }

  #count(address: string, change: 1 | -1): void {
    if (this.#perAddress === undefined) return
    const count = (this.#perAddress.get(address) ?? 0) + change
    if (count > 0) this.#perAddress.set(address, count)
    else this.#perAddress.delete(address)
  }

  /** Only a place calls this and the next one. */
  moves(from: string, to: string): boolean {
    if (from === to) return true
    if (!this.#hasRoomOf(to)) {
      this.refused++
      return false
    }
    this.#count(to, 1)
    this.#count(from, -1)
    return true
  }

  leaves(address: string): void {
    this.open--
    this.#count(address, -1)
  }
}

/** A connection's place at its listener. */
export class ListenerPlace implements Place {
  readonly #gate: ListenerGate
  #address: string
  #isOpen = true

  constructor(gate: ListenerGate, address: string) {
    this.#gate = gate
    this.#address = address
  }

  movesTo(address: string): boolean {
    if (!this.#gate.moves(this.#address, address)) return false
    this.#address = address
    return true
  }

  /** HTTP's connections, which have no other place, are on no account: `limits.httpConnectionsMax` are the most. */
  secures(): boolean {
    return true
  }

  /** Whoever has it is not let in after all: the server's own limits are against it. */
  refused(): void {
    this.#gate.refused++
  }

  release(): void {
    if (this.#isOpen) this.#gate.leaves(this.#address)
    this.#isOpen = false
  }
}
