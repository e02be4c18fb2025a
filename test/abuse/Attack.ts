import * as net from "node:net"
import { encodeWholeRequest } from "@logbrook/protocols/kafka/Header"
import type { AnyApi, RequestInputOf } from "@logbrook/protocols/kafka/Schema"

export interface Ports {
  readonly mqtt: number
  readonly kafka: number
  readonly http: number
}

/** How hard an attack tries: 1 is the whole, less for the short form. */
export interface Battlefield {
  readonly ports: Ports
  readonly scale: number
  /** Attacks go on until it is aborted, and then release all that they hold. */
  readonly signal: AbortSignal
  readonly count: (what: string, by?: number) => void
}

/** Resolves when it is over; rejects when it could not attack. */
export type Attack = (field: Battlefield) => Promise<void>

export const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener("abort", done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener("abort", done)
    return undefined
  })

export const aborted = (signal: AbortSignal): Promise<void> => sleep(2 ** 30, signal)

/** All of 127.0.0.0/8 is this machine: a hundred addresses get past the limit of each. */
const addresses = 100

/** Connections that an attack has, and what became of them. */
export class Horde {
  readonly #field: Battlefield
  readonly #sockets = new Set<net.Socket>()
  #connects = 0

  constructor(field: Battlefield) {
    this.#field = field
  }

  get open(): number {
    return this.#sockets.size
  }

  /** Resolves when it is connected, or undefined when the server does not take it. */
  connect(port: number, onData?: (chunk: Buffer) => void): Promise<net.Socket | undefined> {
    return new Promise((resolve) => {
      const socket = net.connect({
        port,
        host: "127.0.0.1",
        localAddress: `127.0.1.${1 + (this.#connects++ % addresses)}`
      })
      this.#sockets.add(socket)
      // Whoever does not want to read does not: the kernel's buffers fill, then the server's.
      if (onData === undefined) socket.pause()
      else socket.on("data", onData)
      socket.on("connect", () => {
        this.#field.count("connections")
        resolve(socket)
      })
      socket.on("error", () => undefined)
      socket.on("close", () => {
        // Those that the attack itself ended are no longer in the set.
        if (this.#sockets.delete(socket)) this.#field.count("closed by the server")
        resolve(undefined)
      })
    })
  }

  /** So many, a hundred at a time. */
  async connectMany(port: number, count: number, onData?: (chunk: Buffer) => void): Promise<Array<net.Socket>> {
    const sockets: Array<net.Socket> = []
    while (sockets.length < count && !this.#field.signal.aborted) {
      const next = Array.from({ length: Math.min(100, count - sockets.length) }, () => this.connect(port, onData))
      const connected = (await Promise.all(next)).filter((socket) => socket !== undefined)
      if (connected.length === 0) break
      sockets.push(...connected)
    }
    return sockets
  }

  end(socket: net.Socket | undefined): void {
    if (socket === undefined) return
    this.#sockets.delete(socket)
    socket.destroy()
  }

  disband(): void {
    for (const socket of this.#sockets) this.end(socket)
  }
}

/** With a horde that is disbanded whatever happens. */
export const withHorde = async (field: Battlefield, work: (horde: Horde) => Promise<void>): Promise<void> => {
  const horde = new Horde(field)
  try {
    await work(horde)
    await aborted(field.signal)
  } finally {
    horde.disband()
  }
}

export const written = (socket: net.Socket, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed) return resolve()
    socket.once("close", resolve)
    socket.write(bytes, () => {
      socket.off("close", resolve)
      resolve()
    })
    return undefined
  })

let correlationId = 0

export const kafkaRequest = <A extends AnyApi>(api: A, version: number, request: RequestInputOf<A>): Buffer =>
  Buffer.concat(encodeWholeRequest(api, version, { correlationId: ++correlationId, clientId: "abuse" }, request))
