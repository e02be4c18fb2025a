import type { Clock } from "@logbrook/core/Clock"
import type { Limits } from "@logbrook/core/Limits"
import type { Holder, MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import type { ListenerLimits, ListenerProtocol } from "./Listener.ts"
import { type Excess, ListenerGate, type ListenerPlace, type Place } from "./ListenerGate.ts"
import { NewPerSecond } from "./NewPerSecond.ts"

type GateLimits = Pick<
  Limits,
  | "connectionsMax"
  | "connectionsPerAddressMax"
  | "newConnectionsPerSecondMax"
  | "preAuthConnectionsMax"
  | "preAuthConnectionsPerAddressMax"
  | "refusalsToldMax"
>

/**
 * The memory of a connection of either protocol, with what the system's library needs: an idle MQTT connection takes
 * 4.2 to 5.5 kB (docs/lab/performance.md).
 */
const connectionBytes = 6 * 1024

/**
 * TLS takes so much beside it, for OpenSSL's state and buffers above all: 52 kB more of resident memory for each of 2,000 idle connections
 * of TLS 1.3 (docs/adr/0035-tls.md).
 */
const tlsBytes = 52 * 1024

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
  readonly #newTold: NewPerSecond
  readonly #perAddress = new Map<string, Held>()
  readonly #listeners = new Map<string, ListenerGate>()
  open = 0
  /** Those of the open connections that are not authenticated yet. */
  preAuth = 0
  refused = 0
  /** Open connections that are not let in and are told so; they are none of `open`. */
  told = 0

  constructor(limits: GateLimits, clock: Clock, memory: MemoryAccount) {
    this.#limits = limits
    this.#clock = clock
    this.#newOnes = new NewPerSecond(clock, limits.newConnectionsPerSecondMax)
    this.#newTold = new NewPerSecond(clock, limits.refusalsToldMax)
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
    return this.#excessOf(remoteAddress, listener) === undefined
      ? this.#letIn(remoteAddress, listener, false)
      : undefined
  }

  /**
   * As `admit`, where the protocol can say no: the admission of a connection that is one too many has the reason as `excess`, and its client
   * is to be told that and no more. Undefined: close it at once, `refusalsToldMax` others are being told, or were in this second.
   */
  admitOrTell(remoteAddress: string, listener: ListenerGate): Admission | undefined {
    const excess = this.#excessOf(remoteAddress, listener)
    if (excess === undefined) return this.#letIn(remoteAddress, listener, true)
    if (!this.tells()) return undefined
    return new Admission(this, remoteAddress, { excess })
  }

  #letIn(remoteAddress: string, listener: ListenerGate | undefined, canBeTold: boolean): Admission {
    const place = listener?.take(remoteAddress)
    const held = this.#perAddress.get(remoteAddress) ?? { open: 0, preAuth: 0 }
    this.#newOnes.add()
    this.open++
    this.preAuth++
    held.open++
    held.preAuth++
    this.#perAddress.set(remoteAddress, held)
    return new Admission(this, remoteAddress, { place, canBeTold })
  }

  /** Why a connection is one too many; then it is counted as refused. */
  #excessOf(remoteAddress: string, listener: ListenerGate | undefined): Excess | undefined {
    const excess = this.#ownExcessOf(remoteAddress) ?? listener?.excessOf(remoteAddress)
    if (excess === undefined) return undefined
    this.refused++
    if (listener !== undefined) listener.refused++
    return excess
  }

  #ownExcessOf(remoteAddress: string): Excess | undefined {
    const limits = this.#limits
    const held = this.#perAddress.get(remoteAddress)
    const isFull =
      this.open >= limits.connectionsMax ||
      this.preAuth >= limits.preAuthConnectionsMax ||
      this.memory.room("connections") < connectionBytes
    if (isFull) return "connections"
    if (held !== undefined && !this.#hasRoomOf(held)) return "address"
    return this.#newOnes.isUsedUp ? "rate" : undefined
  }

  #hasRoomOf(held: Held): boolean {
    const limits = this.#limits
    return held.open < limits.connectionsPerAddressMax && held.preAuth < limits.preAuthConnectionsPerAddressMax
  }

  /** Whether one more connection may stay until it is told that it is one too many; from then on it is one of `told`. */
  tells(): boolean {
    const isTooMany = this.told >= this.#limits.refusalsToldMax || this.#newTold.isUsedUp
    if (isTooMany || this.memory.room("connections") < connectionBytes) return false
    this.#newTold.add()
    this.told++
    return true
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
    const held = this.#perAddress.get(to) ?? { open: 0, preAuth: 0 }
    if (!this.#hasRoomOf(held)) {
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

/** An admission begins with these: the place at the listener of one that is let in, or the excess of one that is not. */
interface Beginning {
  readonly place?: ListenerPlace | undefined
  /** Its client can be told if it is one too many after all. */
  readonly canBeTold?: boolean
  readonly excess?: Excess
}

/**
 * A connection's place at the gate, and the memory that it has the server keep. It is a class, since closures would
 * be made anew for each of thousands of connections.
 */
export class Admission implements Place {
  readonly #gate: ConnectionGate
  /** At its listener. */
  readonly #place: ListenerPlace | undefined
  readonly #canBeTold: boolean
  #excess: Excess | undefined
  #remoteAddress: string
  #isPreAuth = true
  #isOpen = true
  #connectionsBytes = 0
  #transitBytes = 0

  constructor(gate: ConnectionGate, remoteAddress: string, { place, canBeTold = false, excess }: Beginning) {
    this.#gate = gate
    this.#place = place
    this.#canBeTold = canBeTold
    this.#excess = excess
    this.#remoteAddress = remoteAddress
    this.add("connections", connectionBytes)
  }

  /** The connection is not let in: its client is to be told why, and nothing else is to come of it. */
  get excess(): Excess | undefined {
    return this.#excess
  }

  /** The client has said who it is, as far as its protocol asks for it: no longer one of `preAuthConnectionsMax`. */
  authenticated(): void {
    if (this.#isPreAuth) this.#gate.authenticated(this.#remoteAddress)
    this.#isPreAuth = false
  }

  /** See `Place`; the client is not authenticated yet. */
  movesTo(remoteAddress: string): boolean {
    if (this.#excess !== undefined) return true
    if (this.#place?.movesTo(remoteAddress) === false) return this.#isTold()
    if (!this.#gate.moves(this.#remoteAddress, remoteAddress)) {
      this.#place?.refused()
      return this.#isTold()
    }
    this.#remoteAddress = remoteAddress
    return true
  }

  /** A handshake is too dear for telling a client that it is one too many. */
  secures(): boolean {
    if (this.#excess !== undefined || !this.hasRoom("connections", tlsBytes)) return false
    this.add("connections", tlsBytes)
    return true
  }

  /** There is no place for it at its address. Whether it stays to be told so. */
  #isTold(): boolean {
    if (!this.#canBeTold || !this.#gate.tells()) return false
    this.#leave()
    this.#excess = "address"
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
    if (!this.#isOpen) return
    this.add("transit", -this.#transitBytes)
    this.add("connections", -this.#connectionsBytes)
    if (this.#excess === undefined) this.#leave()
    else this.#gate.told--
    this.#isOpen = false
  }

  /** Gives its places to others. */
  #leave(): void {
    this.authenticated()
    this.#gate.left(this.#remoteAddress)
    this.#place?.release()
  }
}
