import type * as net from "node:net"
import { decodeResponseHeader, encodeWholeRequest } from "@logbrook/protocols/kafka/Header"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { Splitter } from "@logbrook/protocols/kafka/Splitter"
import { WireError } from "@logbrook/protocols/kafka/Wire"
import { version } from "../../version.ts"
import { CliError, exitCodes } from "../CliError.ts"
import { connect, connectionLost, deadline, otherProtocol, silent, type Listener } from "./connecting.ts"

const responseBytesMax = 256 * 1024 * 1024
const clientId = "logbrook-cli"
/** Kafka has it since 2.4. */
const apiVersionsVersion = 3

interface Waiting {
  readonly answered: PromiseWithResolvers<Uint8Array>
  readonly timer: NodeJS.Timeout
}

interface Range {
  readonly minVersion: number
  readonly maxVersion: number
}

/** A connection to a Kafka server that is not made again. Requests may be under way together; everything rejects with `CliError`. */
export class KafkaConnection {
  readonly #socket: net.Socket
  readonly #listener: Listener
  readonly #timeoutMs: number
  readonly #splitter = new Splitter(responseBytesMax)
  readonly #waiting = new Map<number, Waiting>()
  readonly #ended = Promise.withResolvers<never>()
  #ranges: ReadonlyMap<number, Range> | undefined
  #correlationId = 0
  #failure: CliError | undefined

  private constructor(socket: net.Socket, listener: Listener, timeoutMs: number) {
    this.#socket = socket
    this.#listener = listener
    this.#timeoutMs = timeoutMs
    this.#ended.promise.catch(() => undefined)
    socket.on("data", (chunk: Buffer) => this.#took(chunk))
    socket.on("error", (error: NodeJS.ErrnoException) => this.#lost(error.code ?? error.message))
    socket.on("close", () => this.#lost("the server closed it"))
  }

  /** Resolves once the server has told its APIs. */
  static async connect(listener: Listener, timeoutMs: number): Promise<KafkaConnection> {
    const connection = new KafkaConnection(await connect(listener, timeoutMs), listener, timeoutMs)
    try {
      const { apiKeys } = await connection.request(ApiVersions, apiVersionsVersion, {
        clientSoftwareName: clientId,
        clientSoftwareVersion: version
      })
      connection.#ranges = new Map(apiKeys.map((range) => [range.apiKey, range]))
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  /** Another connection to the same listener, for what must not wait behind the requests of this one; rejects as this one has. */
  async another(): Promise<KafkaConnection> {
    if (this.#failure !== undefined) throw this.#failure
    return KafkaConnection.connect(this.#listener, this.#timeoutMs)
  }

  /** Rejects when the connection ends, but by `close`; never resolves. */
  get ended(): Promise<never> {
    return this.#ended.promise
  }

  /** `versionMax`: the newest version that the caller fills; the server may know older ones only. `waitMs`: the server may wait so long. */
  async request<A extends AnyApi>(
    api: A,
    versionMax: number,
    value: RequestInputOf<A>,
    waitMs = 0
  ): Promise<ResponseOf<A>> {
    if (this.#failure !== undefined) throw this.#failure
    const apiVersion = this.#versionOf(api, versionMax)
    const correlationId = ++this.#correlationId
    const answered = Promise.withResolvers<Uint8Array>()
    const patienceMs = this.#timeoutMs + waitMs
    const timer = deadline(patienceMs, () => {
      if (this.#waiting.has(correlationId)) this.#fail(silent(this.#listener, patienceMs))
    })
    this.#waiting.set(correlationId, { answered, timer })
    this.#socket.cork()
    for (const chunk of encodeWholeRequest(api, apiVersion, { correlationId, clientId }, value)) {
      this.#socket.write(chunk)
    }
    this.#socket.uncork()
    const response = await answered.promise
    try {
      const { bodyOffset } = decodeResponseHeader(response, api, apiVersion)
      return api.decodeResponse(response, apiVersion, bodyOffset) as ResponseOf<A>
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      throw this.#fail(otherProtocol(this.#listener, `${api.name}: ${error.message}`))
    }
  }

  close(): void {
    this.#failure ??= connectionLost(this.#listener, "it was closed here")
    for (const { timer } of this.#waiting.values()) clearTimeout(timer)
    this.#socket.destroy()
  }

  #versionOf(api: AnyApi, versionMax: number): number {
    // Before the server has told its APIs there is one question, about them.
    if (this.#ranges === undefined) return versionMax
    const range = this.#ranges.get(api.key)
    const chosen = Math.min(versionMax, range?.maxVersion ?? -1)
    if (range !== undefined && chosen >= Math.max(range.minVersion, api.versions[0])) return chosen
    const told = range === undefined ? "it has none" : `it has versions ${range.minVersion} to ${range.maxVersion}`
    const text = `the server has no ${api.name} that this client speaks: ${told}`
    throw new CliError(exitCodes.failure, "E_UNSUPPORTED_VERSION", text)
  }

  #took(chunk: Buffer): void {
    try {
      this.#splitter.push(chunk, (message) => this.#answer(message))
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.#fail(otherProtocol(this.#listener, error.message))
    }
  }

  #answer(message: Uint8Array): void {
    const correlationId = message.length < 4 ? -1 : Buffer.from(message.buffer, message.byteOffset).readInt32BE(0)
    const waiting = this.#waiting.get(correlationId)
    if (waiting === undefined) throw new WireError("length", "an answer that nothing was asked for")
    this.#waiting.delete(correlationId)
    clearTimeout(waiting.timer)
    waiting.answered.resolve(message)
  }

  #lost(why: string): void {
    if (this.#ranges === undefined) this.#fail(otherProtocol(this.#listener, `ApiVersions is not answered: ${why}`))
    else this.#fail(connectionLost(this.#listener, why))
  }

  #fail(error: CliError): CliError {
    if (this.#failure !== undefined) return this.#failure
    this.#failure = error
    for (const { answered, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      answered.reject(error)
    }
    this.#waiting.clear()
    this.#ended.reject(error)
    this.#socket.destroy()
    return error
  }
}
