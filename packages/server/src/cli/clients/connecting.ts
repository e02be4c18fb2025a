import * as net from "node:net"
import { CliError, exitCodes } from "../CliError.ts"

/** A listener of a server. */
export interface Listener {
  readonly host: string
  readonly port: number
  /** The option that names it. */
  readonly option: "mqtt" | "kafka"
}

const protocols = { mqtt: "MQTT", kafka: "Kafka" } as const

export const placeOf = ({ host, port }: Listener): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

export const unreachable = (listener: Listener, why: string): CliError =>
  new CliError(
    exitCodes.unreachable,
    "E_UNREACHABLE",
    `no ${protocols[listener.option]} server answers at ${placeOf(listener)} (${why})`,
    `start one with logbrook serve, or name another with --${listener.option}`
  )

/** Somebody took the connection, and answers with something else. */
export const otherProtocol = (listener: Listener, why: string): CliError =>
  new CliError(
    exitCodes.unreachable,
    `E_NO_${protocols[listener.option].toUpperCase()}`,
    `what listens at ${placeOf(listener)} speaks no ${protocols[listener.option]} (${why})`,
    "by default MQTT has port 1883 and Kafka port 9092"
  )

export const connectionLost = (listener: Listener, why: string): CliError =>
  new CliError(exitCodes.unreachable, "E_CONNECTION_LOST", `the connection to ${placeOf(listener)} ended: ${why}`)

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

/** A socket that is connected. Rejects with `CliError` "E_UNREACHABLE". */
export const connect = async (listener: Listener, timeoutMs: number): Promise<net.Socket> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = net.connect({ host: listener.host, port: listener.port, noDelay: true })
  const timer = deadline(timeoutMs, () => reject(unreachable(listener, `nothing for ${timeoutMs / 1000} s`)))
  const failed = (error: NodeJS.ErrnoException): void => reject(unreachable(listener, error.code ?? error.message))
  socket.once("connect", resolve).once("error", failed)
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
