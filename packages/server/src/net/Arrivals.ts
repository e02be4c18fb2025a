import type { Socket } from "node:net"
import { decodeProxyHeader, ProxyError, type ProxyHeader } from "@logbrook/protocols/proxy/ProxyHeader"
import type { Broker } from "../Broker.ts"
import { BoundedLines } from "./BoundedLines.ts"
import type { Admission } from "./ConnectionGate.ts"
import { type ListenAddress, type ListenerOptions, unixAddress } from "./Listener.ts"
import type { Place } from "./ListenerGate.ts"
import { readShared } from "./sharedReads.ts"

/** The end of a connection that it comes from. */
interface Source {
  readonly address: string
  readonly port: number
}

/** A connection that was let in, and whose it is. */
export interface Arrival<P extends Place = Admission> extends Source {
  readonly admission: P
}

/** Takes a connection's bytes from now on; a chunk is valid until the call returns. */
type Receive = (chunk: Buffer) => void

/** Called once the header is there, with what has come behind it; undefined: others read the socket from now on. */
type Begin<P extends Place> = (arrival: Arrival<P>, rest: Buffer) => Receive | undefined

const refusalLinesPerSecondMax = 5
const nothing = Buffer.alloc(0)

/** The close event follows an error. */
const ignore = (): void => undefined

/** Undefined: the peer has gone already. */
const sourceOf = ({ remoteAddress, remotePort }: Socket, at: ListenAddress): Source | undefined => {
  if ("path" in at) return { address: unixAddress(at.path), port: 0 }
  return remoteAddress === undefined || remotePort === undefined
    ? undefined
    : { address: remoteAddress, port: remotePort }
}

/**
 * Lets the connections of a listener in: each by the address of its socket, or, behind a load balancer, by the one that its PROXY
 * header tells. Until that is there, a connection counts as one of the load balancer's.
 */
export class Arrivals<P extends Place = Admission> {
  readonly #broker: Pick<Broker, "clock" | "limits">
  readonly #listener: ListenerOptions
  readonly #admit: (address: string) => P | undefined
  readonly #refusals: BoundedLines
  /** The sockets whose header has not come. */
  readonly #waiting = new Set<Socket>()

  /** `admit`: undefined for one connection too many. */
  constructor(
    broker: Pick<Broker, "clock" | "limits" | "log">,
    listener: ListenerOptions,
    admit: (address: string) => P | undefined
  ) {
    this.#broker = broker
    this.#listener = listener
    this.#admit = admit
    this.#refusals = new BoundedLines(
      broker.log,
      broker.clock,
      "warn",
      refusalLinesPerSecondMax,
      `${listener.name}: more connections without a PROXY header than were logged`
    )
  }

  /** `serve` is called once it is known whose the connection is; one that may not come in is closed. */
  accept(socket: Socket, serve: (arrival: Arrival<P>) => Receive): void {
    const arrival = this.#arrivalOf(socket)
    if (arrival === undefined) return
    if (!this.#listener.isProxied) {
      readShared(socket, serve(arrival))
      return
    }
    this.#await(socket, arrival, (known, rest) => {
      const receive = serve(known)
      if (rest.length > 0) receive(rest)
      return receive
    })
  }

  /** As `accept`, for a socket of Node's own that another server reads: nothing has been read of it but its header then. */
  pass(socket: Socket, serve: (arrival: Arrival<P>) => void): void {
    const arrival = this.#arrivalOf(socket)
    if (arrival === undefined) return
    if (!this.#listener.isProxied) {
      serve(arrival)
      return
    }
    this.#await(socket, arrival, (known, rest) => {
      socket.pause()
      socket.removeAllListeners("data")
      if (rest.length > 0) socket.unshift(rest)
      serve(known)
      socket.resume()
      return undefined
    })
  }

  #arrivalOf(socket: Socket): Arrival<P> | undefined {
    const source = sourceOf(socket, this.#listener.at)
    const admission = source && this.#admit(source.address)
    if (source !== undefined && admission !== undefined) return { ...source, admission }
    socket.destroy()
    return undefined
  }

  /** The listener stops. */
  stop(): void {
    for (const socket of this.#waiting) socket.destroy()
    this.#refusals.flush()
  }

  #await(socket: Socket, arrival: Arrival<P>, begin: Begin<P>): void {
    const { clock, limits } = this.#broker
    let receive: Receive | undefined
    let held: Buffer = nothing
    const refuse = (reason: string): void => {
      const { name } = this.#listener
      this.#refusals.write(`${name}: connection refused`, { address: arrival.address, reason })
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
      const rest = held.subarray(header.byteLength)
      held = nothing
      receive = begin({ address, port, admission: arrival.admission }, rest)
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
