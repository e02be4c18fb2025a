import type { Clock } from "@logbrook/core/Clock"
import type { Limits } from "@logbrook/core/Limits"
import type { Holder, MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import type { ListenerLimits, ListenerProtocol } from "./Listener.ts"
import { ListenerGate, type ListenerPlace, type Place } from "./ListenerGate.ts"
import { NewPerSecond } from "./NewPerSecond.ts"

type GateLimits = Pick<
  Limits,
  | "connectionsMax"
  | "connectionsPerAddressMax"
  | "newConnectionsPerSecondMax"
  | "preAuthConnectionsMax"
  | "preAuthConnectionsPerAddressMax"
>

/**
 * The memory of a connection of either protocol, with what the system's library needs: an idle MQTT connection takes
 * 4.2 to 5.5 kB (docs/lab/performance.md).
 */
const connectionBytes = 6 * 1024

/** The holders on whose accounts a connection is while it is open. */
type HeldBy = Extract<Holder, "connections" | "transit">

/** The connections of one address. */
interface Held {
  open: number
  /** Those of the open connections that are not authenticated yet. */
  preAuth: number
}

/** Counts the connections of all listeners together. */
export class ConnectionGate {
  readonly #limits: GateLimits
  readonly #clock: Clock
  readonly memory: MemoryAccount
  readonly #newOnes: NewPerSecond
  readonly #perAddress = new Map<string, Held>()
  readonly #listeners = new Map<string, ListenerGate>()
  open = 0
  /** Those of the open connections that are not authenticated yet. */
  preAuth = 0
  refused = 0

  constructor(limits: GateLimits, clock: Clock, memory: MemoryAccount) {
    this.#limits = limits
    this.#clock = clock
    this.#newOnes = new NewPerSecond(clock, limits.newConnectionsPerSecondMax)
    this.memory = memory
  }

  /** The gate of a listener by its name, which counts its connections against limits of its own. */
  ofListener(name: string, protocol: ListenerProtocol, limits: ListenerLimits): ListenerGate {
    const gate = new ListenerGate(name, protocol, limits, this.#clock)
    this.#listeners.set(name, gate)
    return gate
  }

  get listeners(): Iterable<ListenerGate> {
    return this.#listeners.values()
  }

  /** Undefined: one too many, close it at once. `listener`: the gate of the listener to which it has come. */
  admit(remoteAddress: string, listener?: ListenerGate): Admission | undefined {
    const held = this.#perAddress.get(remoteAddress) ?? { open: 0, preAuth: 0 }
    if (this.#isFull(held)) return this.#refuse(listener)
    const place = listener?.admit(remoteAddress)
    if (listener !== undefined && place === undefined) return this.#refuse(undefined)
    this.#newOnes.add()
    this.open++
    this.preAuth++
    held.open++
    held.preAuth++
    this.#perAddress.set(remoteAddress, held)
    return new Admission(this, remoteAddress, place)
  }

  #isFull(held: Held): boolean {
    const limits = this.#limits
    return (
      this.open >= limits.connectionsMax ||
      this.preAuth >= limits.preAuthConnectionsMax ||
      held.open >= limits.connectionsPerAddressMax ||
      held.preAuth >= limits.preAuthConnectionsPerAddressMax ||
      this.#newOnes.isUsedUp ||
      this.memory.room("connections") < connectionBytes
    )
  }

  #refuse(listener: ListenerGate | undefined): undefined {
    this.refused++
    if (listener !== undefined) listener.refused++
  }

  /** How many addresses have connections: what is kept for others is forgotten. */
  get addresses(): number {
    return this.#perAddress.size
  }

  /** Only an admission calls this and the next two. */
  authenticated(remoteAddress: string): void {
    this.preAuth--
    this.#perAddress.get(remoteAddress)!.preAuth--
  }

  /** False: there is one too many of the address that a connection turns out to be of, and nothing has changed. */
  moves(from: string, to: string): boolean {
    if (from === to) return true
    const { connectionsPerAddressMax, preAuthConnectionsPerAddressMax } = this.#limits
    const held = this.#perAddress.get(to) ?? { open: 0, preAuth: 0 }
    if (held.open >= connectionsPerAddressMax || held.preAuth >= preAuthConnectionsPerAddressMax) {
      this.refused++
      return false
    }
    held.open++
    held.preAuth++
    this.#perAddress.set(to, held)
    this.#perAddress.get(from)!.preAuth--
    this.#leaves(from)
    return true
  }

  left(remoteAddress: string): void {
    this.open--
    this.#leaves(remoteAddress)
  }

  #leaves(remoteAddress: string): void {
    const held = this.#perAddress.get(remoteAddress)!
    held.open--
    if (held.open === 0) this.#perAddress.delete(remoteAddress)
  }
}

/**
 * A connection's place at the gate, and the memory that it has the server keep. It is a class, since closures would
 * be made anew for each of thousands of connections.
 */
export class Admission implements Place {
  readonly #gate: ConnectionGate
  /** At its listener. */
  readonly #place: ListenerPlace | undefined
  #remoteAddress: string
  #isPreAuth = true
  #isOpen = true
  #connectionsBytes = 0
  #transitBytes = 0

  constructor(gate: ConnectionGate, remoteAddress: string, place?: ListenerPlace) {
    this.#gate = gate
    this.#place = place
    this.#remoteAddress = remoteAddress
    this.add("connections", connectionBytes)
  }

  /** The client has said who it is, as far as its protocol asks for it: no longer one of `preAuthConnectionsMax`. */
  authenticated(): void {
    if (this.#isPreAuth) this.#gate.authenticated(this.#remoteAddress)
    this.#isPreAuth = false
  }

  /** See `Place`; the client is not authenticated yet. */
  movesTo(remoteAddress: string): boolean {
    if (this.#place?.movesTo(remoteAddress) === false) return false
    if (!this.#gate.moves(this.#remoteAddress, remoteAddress)) {
      this.#place?.refused()
      return false
    }
    this.#remoteAddress = remoteAddress
    return true
  }

  hasRoom(holder: HeldBy, bytes: number): boolean {
    return bytes <= this.#gate.memory.room(holder)
  }

  /** Whether something may be remembered that can be found again: while half of the account is free. */
  hasRoomToRemember(holder: HeldBy, bytes: number): boolean {
    const { memory } = this.#gate
    return bytes <= memory.room(holder) - memory.budget(holder) / 2
  }

  /** On the holder's account while the connection is open; negative when less is kept. */
  add(holder: HeldBy, bytes: number): void {
    if (!this.#isOpen) return
    if (holder === "transit") this.#transitBytes += bytes
    else this.#connectionsBytes += bytes
    this.#gate.memory.add(holder, bytes)
  }

  /** The connection is closed. */
  release(): void {
    this.authenticated()
    if (this.#isOpen) {
      this.add("transit", -this.#transitBytes)
      this.add("connections", -this.#connectionsBytes)
      this.#gate.left(this.#remoteAddress)
      this.#place?.release()
    }
    this.#isOpen = false
  }
}
