import * as net from "node:net"
import * as tls from "node:tls"
import { CliError, exitCodes } from "../CliError.ts"
import { type ClientTls, tlsHint } from "./clientTls.ts"

/** A listener of a server. */
export interface Listener {
  readonly host: string
  readonly port: number
  /** The option that names it. */
  readonly option: "mqtt" | "kafka"
  /** Undefined: in plain text. */
  readonly tls?: ClientTls
}

const protocols = { mqtt: "MQTT", kafka: "Kafka" } as const

export const placeOf = ({ host, port }: Listener): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

export const unreachable = (listener: Listener, why: string): CliError =>
  new CliError(
    exitCodes.unreachable,
    "E_UNREACHABLE",
    `no ${protocols[listener.option]} server answers at ${placeOf(listener)} (${why})`,
    tlsHint(why) ?? `start one with logbrook serve, or name another with --${listener.option}`
  )

/** Somebody took the connection, and answers with something else. */
export const otherProtocol = (listener: Listener, why: string): CliError =>
  new CliError(
    exitCodes.unreachable,
    `E_NO_${protocols[listener.option].toUpperCase()}`,
    `what listens at ${placeOf(listener)} speaks no ${protocols[listener.option]} (${why})`,
    tlsHint(why) ?? "by default MQTT has port 1883 and Kafka port 9092; a listener with TLS wants --tls"
  )

export const connectionLost = (listener: Listener, why: string): CliError =>
  new CliError(
    exitCodes.unreachable,
    "E_CONNECTION_LOST",
    `the connection to ${placeOf(listener)} ended: ${why}`,
    tlsHint(why)
  )

export const silent = (listener: Listener, timeoutMs: number): CliError =>
  new CliError(
    exitCodes.unreachable,
    "E_TIMEOUT",
    `the server at ${placeOf(listener)} has not answered for ${timeoutMs / 1000} s`,
    "--timeout DURATION lets it take longer"
  )

/**
 * A timer behind which what has come is read first: where the event loop stood still, the time is over before anybody has looked. `onEnd`
 * may be called although the timer was cleared meanwhile.
 */
export const deadline = (ms: number, onEnd: () => void): NodeJS.Timeout => setTimeout(() => setImmediate(onEnd), ms)

const opened = ({ host, port, tls: client }: Listener): net.Socket => {
  if (client === undefined) return net.connect({ host, port, noDelay: true })
  const socket = tls.connect({ host, port, ...client, ...(net.isIP(host) === 0 && { servername: host }) })
  return socket.setNoDelay(true)
}

/** A socket that is connected. Rejects with `CliError` "E_UNREACHABLE". */
export const connect = async (listener: Listener, timeoutMs: number): Promise<net.Socket> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = opened(listener)
  const timer = deadline(timeoutMs, () => reject(unreachable(listener, `nothing for ${timeoutMs / 1000} s`)))
  const failed = (error: NodeJS.ErrnoException): void => reject(unreachable(listener, error.code ?? error.message))
  socket.once(listener.tls === undefined ? "connect" : "secureConnect", resolve).once("error", failed)
  try {
    await promise
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
    socket.off("error", failed)
  }
}

/** Fails what waits when nothing has come for `timeoutMs` while something is waited for. */
export class Patience {
  readonly #timer: NodeJS.Timeout
  #isWaiting = false
  #begun = 0

  constructor(timeoutMs: number, onEnd: () => void) {
    this.#timer = setTimeout(() => {
      const begun = this.#begun
      // As for a `deadline`: what has come is read first, and begins anew.
      setImmediate(() => {
        if (this.#isWaiting && this.#begun === begun) onEnd()
      })
    }, timeoutMs)
  }

  /** Something came, or begins to be waited for. */
  begin(): void {
    this.#isWaiting = true
    this.#begun++
    this.#timer.refresh()
  }

  /** Nothing is waited for. */
  end(): void {
    this.#isWaiting = false
  }

  close(): void {
    clearTimeout(this.#timer)
  }
}
