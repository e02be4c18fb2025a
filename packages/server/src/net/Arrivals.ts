import type { Socket } from "node:net"
import { decodeProxyHeader, ProxyError, type ProxyHeader } from "@logbrook/protocols/proxy/ProxyHeader"
import type { Broker } from "../Broker.ts"
import { BoundedLines } from "./BoundedLines.ts"
import type { Admission } from "./ConnectionGate.ts"
import { readShared } from "./sharedReads.ts"

/** A connection that was let in, and whose it is. */
export interface Arrival {
  readonly address: string
  readonly port: number
  readonly admission: Admission
}

/** Takes a connection's bytes from now on; a chunk is valid until the call returns. */
type Receive = (chunk: Buffer) => void

type Serve = (arrival: Arrival) => Receive

const refusalLinesPerSecondMax = 5
const nothing = Buffer.alloc(0)

/** The close event follows an error. */
const ignore = (): void => undefined

/**
 * Lets the connections of a listener in: each by the address of its socket, or, behind a load balancer, by the one that its PROXY
 * header tells. Until that is there, a connection counts as one of the load balancer's.
 */
export class Arrivals {
  readonly #broker: Pick<Broker, "gate" | "clock" | "limits">
  readonly #what: string
  readonly #isProxied: boolean
  readonly #refusals: BoundedLines
  /** The sockets whose header has not come. */
  readonly #waiting = new Set<Socket>()

  /** `what`: the listener, for the log. */
  constructor(broker: Pick<Broker, "gate" | "clock" | "limits" | "log">, what: string, isProxied: boolean) {
    this.#broker = broker
    this.#what = what
    this.#isProxied = isProxied
    this.#refusals = new BoundedLines(
      broker.log,
      broker.clock,
      "warn",
      refusalLinesPerSecondMax,
      `${what}: more connections without a PROXY header than were logged`
    )
  }

  /** `serve` is called once it is known whose the connection is; one that may not come in is closed. */
  accept(socket: Socket, serve: Serve): void {
    const { remoteAddress: address, remotePort: port } = socket
    // The peer of a socket without an address has gone already.
    const admission = address === undefined ? undefined : this.#broker.gate.admit(address)
    if (address === undefined || port === undefined || admission === undefined) {
      admission?.release()
      socket.destroy()
      return
    }
    const arrival = { address, port, admission }
    if (this.#isProxied) this.#await(socket, arrival, serve)
    else readShared(socket, serve(arrival))
  }

  /** The listener stops. */
  stop(): void {
    for (const socket of this.#waiting) socket.destroy()
    this.#refusals.flush()
  }

  #await(socket: Socket, arrival: Arrival, serve: Serve): void {
    const { clock, limits } = this.#broker
    let receive: Receive | undefined
    let held: Buffer = nothing
    const refuse = (reason: string): void => {
      this.#refusals.write(`${this.#what}: connection refused`, { address: arrival.address, reason })
      socket.destroy()
    }
    const isOver = (): void => {
      this.#waiting.delete(socket)
      cancel()
      socket.off("close", left).off("end", ended).off("error", ignore)
    }
    const left = (): void => {
      isOver()
      arrival.admission.release()
    }
    const ended = (): void => void socket.destroy()
    const cancel = clock.after(limits.connectTimeoutMs, () => refuse("no PROXY header came in time"))
    this.#waiting.add(socket)
    socket.on("close", left).on("end", ended).on("error", ignore)
    readShared(socket, (chunk) => {
      if (receive !== undefined) {
        receive(chunk)
        return
      }
      held = Buffer.concat([held, chunk])
      const header = headerOf(held, refuse)
      if (header === undefined) return
      const { address, port } = header.source ?? arrival
      if (!arrival.admission.movesTo(address)) {
        socket.destroy()
        return
      }
      isOver()
      receive = serve({ address, port, admission: arrival.admission })
      const rest = held.subarray(header.byteLength)
      held = nothing
      if (rest.length > 0) receive(rest)
    })
  }
}

/** Undefined: it is not there yet, or `refuse` was told why it never will be. */
const headerOf = (bytes: Buffer, refuse: (reason: string) => void): ProxyHeader | undefined => {
  try {
    return decodeProxyHeader(bytes)
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    refuse(error.message)
    return undefined
  }
}
