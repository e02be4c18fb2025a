import { once } from "node:events"
import * as net from "node:net"
import { decodeResponseHeader, encodeWholeRequest } from "@logbrook/protocols/kafka/Header"
import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { Splitter } from "@logbrook/protocols/kafka/Splitter"

const responseBytesMax = 16 * 1024 * 1024

/** The server reads no more of a connection than this ahead. */
const unansweredMax = 5

interface Waiting {
  readonly answered: (response: Uint8Array) => void
}

/** One connection that fills a journal as fast as it can: a few requests under way, no retries, no metadata. */
export class KafkaPipe {
  readonly #socket: net.Socket
  readonly #waiting: Array<Waiting> = []
  #correlationId = 0
  #room: (() => void) | undefined
  #failure: Error | undefined

  private constructor(socket: net.Socket) {
    this.#socket = socket
    const splitter = new Splitter(responseBytesMax)
    socket.on("data", (chunk: Buffer) => splitter.push(chunk, (response) => this.#answered(response)))
    socket.on("close", () => this.#fail(new Error("the server closed the connection")))
    socket.on("error", (error) => this.#fail(error))
  }

  static async connect(port: number): Promise<KafkaPipe> {
    const socket = net.connect(port, "127.0.0.1").setNoDelay(true)
    await once(socket, "connect")
    return new KafkaPipe(socket)
  }

  /** Resolves when there is room for the next request; `check` gets the answer, and throws if it is none of success. */
  async send<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    check: (response: ResponseOf<A>) => void
  ): Promise<void> {
    while (this.#waiting.length >= unansweredMax) await this.#roomOrFailure()
    if (this.#failure !== undefined) throw this.#failure
    this.#waiting.push({
      answered: (response) => {
        const { bodyOffset } = decodeResponseHeader(response, api, version)
        check(api.decodeResponse(response, version, bodyOffset) as ResponseOf<A>)
      }
    })
    const header = { correlationId: this.#correlationId++, clientId: "pipe" }
    this.#socket.write(Buffer.concat(encodeWholeRequest(api, version, header, request)))
  }

  /** Resolves when all is answered. */
  async answered(): Promise<void> {
    while (this.#waiting.length > 0) await this.#roomOrFailure()
  }

  /** As `answered`, and ends the connection. */
  async end(): Promise<void> {
    await this.answered()
    this.#socket.removeAllListeners("close")
    this.#socket.destroy()
  }

  async #roomOrFailure(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    await new Promise<void>((resolve) => (this.#room = resolve))
    if (this.#failure !== undefined) throw this.#failure
  }

  #answered(response: Uint8Array): void {
    try {
      this.#waiting.shift()!.answered(response)
      this.#room?.()
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#socket.destroy()
    this.#room?.()
  }
}
