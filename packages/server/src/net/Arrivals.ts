import type { Socket } from "node:net"
import { anonymous, type Principal } from "@logbrook/core/access/Access"
import { decodeProxyHeader, ProxyError, type ProxyHeader } from "@logbrook/protocols/proxy/ProxyHeader"
import type { Broker } from "../Broker.ts"
import { BoundedLines } from "./BoundedLines.ts"
import type { Admission } from "./ConnectionGate.ts"
import { foreignProtocol, isTlsHandshake } from "./foreignProtocol.ts"
import { type ListenAddress, type ListenerOptions, unixAddress } from "./Listener.ts"
import type { Place } from "./ListenerGate.ts"
import { readShared } from "./sharedReads.ts"
import { Handshakes } from "./tls/Handshakes.ts"

/** The end of a connection that it comes from. */
interface Source {
  readonly address: string
  readonly port: number
}

/** A connection that was let in, and whose it is. */
export interface Arrival<P extends Place = Admission> extends Source {
  readonly admission: P
  /** That of its certificate; anonymous without one. */
  readonly principal: Principal
}

/** Takes a connection's bytes from now on; a chunk is valid until the call returns. */
type Receive = (chunk: Buffer) => void

/** Called once the header is there, with what has come behind it; undefined: others read the socket from now on. */
type Begin<P extends Place> = (arrival: Arrival<P>, rest: Buffer) => Receive | undefined

/** Takes a socket that is paused and has what was read of it in front; with TLS it is the one within. */
type Take<P extends Place> = (socket: Socket, arrival: Arrival<P>) => void

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

/** Bytes that were read go in front of what comes; the next who asks reads the socket. */
const putBack = (socket: Socket, bytes: Buffer): void => {
  socket.pause()
  socket.removeAllListeners("data")
  if (bytes.length > 0) socket.unshift(bytes)
}

/**
 * Lets the connections of a listener in: each by the address of its socket, or, behind a load balancer, by the one that its PROXY
 * header tells. Until that is there, a connection counts as one of the load balancer's. TLS begins behind the header.
 *
 *     accepted ─► PROXY header ─► first byte ─► TLS handshake ─► served
 */
export class Arrivals<P extends Place = Admission> {
  readonly #broker: Pick<Broker, "clock" | "limits">
  readonly #listener: ListenerOptions
  readonly #admit: (address: string) => P | undefined
  readonly #refusals: BoundedLines
  readonly #handshakes: Handshakes | undefined
  /** The sockets whose header or handshake has not come. */
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
    this.#handshakes = listener.tls && new Handshakes(listener.tls, broker.clock)
    this.#refusals = new BoundedLines(
      broker.log,
      broker.clock,
      "warn",
      refusalLinesPerSecondMax,
      `${listener.name}: more connections were refused than are logged`
    )
  }

  /** `serve` is called once it is known whose the connection is; one that may not come in is closed. */
  accept(socket: Socket, serve: (socket: Socket, arrival: Arrival<P>) => Receive): void {
    if (this.#handshakes !== undefined) {
      this.pass(socket, (within, arrival) => readShared(within, serve(within, arrival)))
      return
    }
    const arrival = this.#arrivalOf(socket)
    if (arrival === undefined) return
    if (!this.#listener.isProxied) {
      readShared(socket, serve(socket, arrival))
      return
    }
    this.#await(socket, arrival, (known, rest) => {
      const receive = serve(socket, known)
      if (rest.length > 0) receive(rest)
      return receive
    })
  }

  /** As `accept`, for a socket of Node's own that another server reads: nothing has been read of it but its header then. */
  pass(socket: Socket, serve: Take<P>): void {
    const arrival = this.#arrivalOf(socket)
    if (arrival === undefined) return
    if (this.#listener.isProxied) {
      this.#await(socket, arrival, (known, rest) => {
        this.#secure(socket, known, rest, serve)
        return undefined
      })
    } else if (this.#handshakes === undefined) serve(socket, arrival)
    else this.#secure(socket, arrival, nothing, serve)
  }

  /** Logs why a connection was refused, within the lines that there may be. */
  refused(address: string, reason: string): void {
    this.#refusals.write(`${this.#listener.name}: connection refused`, { address, reason })
  }

  #arrivalOf(socket: Socket): Arrival<P> | undefined {
    const source = sourceOf(socket, this.#listener.at)
    const admission = source && this.#admit(source.address)
    if (source !== undefined && admission !== undefined) return { ...source, admission, principal: anonymous }
    socket.destroy()
    return undefined
  }

  /** The listener stops. */
  stop(): void {
    for (const socket of this.#waiting) socket.destroy()
    this.#handshakes?.stop()
    this.#refusals.flush()
  }

  /** Has TLS begin, if the listener has it, once the first byte says that the client speaks it: until then it takes no memory. */
  #secure(socket: Socket, arrival: Arrival<P>, read: Buffer, serve: Take<P>): void {
    const handshakes = this.#handshakes
    if (handshakes === undefined) {
      putBack(socket, read)
      serve(socket, arrival)
      socket.resume()
      return
    }
    // Its own listener for errors stays: the socket within tells them.
    socket.on("error", ignore)
    const isOver = this.#deadline(socket, arrival, "no TLS handshake came in time")
    const begin = (chunk: Buffer): void => {
      const refusal = this.#noHandshake(chunk, arrival)
      if (refusal !== undefined) {
        this.refused(arrival.address, refusal)
        socket.destroy()
        return
      }
      // The chunk is the reader's.
      putBack(socket, Buffer.from(chunk))
      handshakes.begin(socket, (end) => {
        if ("refusal" in end) {
          this.refused(arrival.address, end.refusal)
          socket.destroy()
          return
        }
        isOver()
        serve(end.socket, { ...arrival, principal: end.principal })
      })
    }
    if (read.length > 0) begin(read)
    else readShared(socket, begin)
  }

  /** Why no handshake begins with these bytes. */
  #noHandshake(chunk: Buffer, { admission }: Arrival<P>): string | undefined {
    if (!isTlsHandshake(chunk)) return `${foreignProtocol(chunk) ?? "plain text"} came instead of a TLS handshake`
    return admission.secures() ? undefined : "there is no room for a TLS connection"
  }

  /** Closes a socket that is not over it in time; closed before, it gives back its place. */
  #deadline(socket: Socket, arrival: Arrival<P>, reason: string): () => void {
    const { clock, limits } = this.#broker
    const isOver = (): void => {
      this.#waiting.delete(socket)
      cancel()
      socket.off("close", left).off("end", ended)
    }
    const left = (): void => {
      isOver()
      arrival.admission.release()
    }
    const ended = (): void => void socket.destroy()
    const cancel = clock.after(limits.connectTimeoutMs, () => {
      this.refused(arrival.address, reason)
      socket.destroy()
    })
    this.#waiting.add(socket)
    socket.on("close", left).on("end", ended)
    return isOver
  }

  #await(socket: Socket, arrival: Arrival<P>, begin: Begin<P>): void {
    let receive: Receive | undefined
    let held: Buffer = nothing
    const refuse = (reason: string): void => {
      this.refused(arrival.address, reason)
      socket.destroy()
    }
    socket.on("error", ignore)
    const isOver = this.#deadline(socket, arrival, "no PROXY header came in time")
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
      socket.off("error", ignore)
      const rest = held.subarray(header.byteLength)
      held = nothing
      receive = begin({ ...arrival, address, port }, rest)
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
