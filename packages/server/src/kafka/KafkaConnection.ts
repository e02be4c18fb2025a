import type { Socket } from "node:net"
import type { Loan } from "@logbrook/core/BufferPool"
import type { Principal } from "@logbrook/core/access/Access"
import { decodeRequestHeader, type DecodedHeader, type RequestHeader } from "@logbrook/protocols/kafka/Header"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Splitter } from "@logbrook/protocols/kafka/Splitter"
import { WireError } from "@logbrook/protocols/kafka/Wire"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import type { HostPort, SecurityProtocol } from "./Handler.ts"
import { unsupportedApiVersions } from "./handlers/18_ApiVersions.ts"
import { registry } from "./handlers.ts"
import type { ReplyOptions } from "./Reply.ts"
import { defectText } from "../defectText.ts"
import { userOf } from "../originOf.ts"
import type { Admission } from "../net/ConnectionGate.ts"
import { lingerMs } from "../net/endSoftly.ts"
import { Exchange, type Exchanging } from "./Exchange.ts"
import { FirstRequest } from "./FirstRequest.ts"
import { printable, type KafkaNode } from "./KafkaNode.ts"
import { SentBatches } from "./SentBatches.ts"
import { SocketOutput } from "./SocketOutput.ts"

/** So long an end waits for the answers to what was taken before it: a disk may stall for seconds. */
const answersMsMax = 5000
/** A connection with no more bytes of requests in flight never waits for the room that all connections share. */
const smallBytesMax = 64 * 1024

/** The most requests of one connection that begin in a turn of the event loop: a read may hold a thousand small ones, which take 50 ms. */
const requestsPerTurnMax = 8
/** The most responses that wait for a client that does not read: small ones take more memory than their bytes. */
const unsentResponsesMax = 256

const nothing = new Uint8Array(0)

/**
 * A Kafka client's connection: bytes in, requests, handlers, responses in the order of the requests. Plain callbacks, no fiber.
 *
 *     socket -> Splitter -> Exchange (handler) -> SocketOutput -> socket
 *
 * A request is cut out of what was read when it may begin: until then it takes its bytes and no more. Reading pauses
 * while five requests are open, while one holds back those behind it, while all connections together have too many bytes of large
 * requests in flight, while the shard is full, while large responses wait for one before them, and while the client does not read
 * its responses.
 */
export class KafkaConnection implements Exchanging {
  readonly node: KafkaNode
  readonly advertised: HostPort
  readonly listed = registry.listed
  readonly principal: Principal
  readonly securityProtocol: SecurityProtocol
  readonly clientHost: string
  readonly peer: string
  nextFetch = 0
  readsZstd = false
  readonly sentBatches = new SentBatches()
  readonly #socket: Socket
  readonly #splitter: Splitter
  readonly #output: SocketOutput
  readonly #admission: Admission
  readonly #openedMs: number
  /** The bytes that were read behind the last request that was begun: 64 KB at most, since nothing is read meanwhile. */
  #rest: Uint8Array = nothing
  readonly #exchanges: Array<Exchange> = []
  readonly #resume = (): void => this.#steer()
  /** Until a request has come that is one. */
  #first: FirstRequest | undefined
  /** Bytes of this connection that the node counts as in flight. */
  #inFlightBytes = 0
  #requestBegunMs = 0
  #progressMs = 0
  #begunInTurn = 0
  #waitsForShard = false
  #waitsForTurn = false
  /** The request that was begun last must not be overtaken. */
  #isHeldBack = false
  /** Responses that wait for one before them; the node counts them as unsent. */
  #heldBytes = 0
  /** Responses handed to the output since it was last empty. */
  #unsentResponses = 0
  #isPaused = false
  #isSteering = false
  #isClosing = false
  /** Nothing more is sent either. */
  #isEnding = false
  #disarm: (() => void) | undefined
  #isGone = false

  constructor(
    node: KafkaNode,
    socket: Socket,
    client: { readonly address: string; readonly port: number; readonly principal: Principal },
    advertised: HostPort,
    admission: Admission
  ) {
    this.node = node
    this.advertised = advertised
    this.#admission = admission
    this.#openedMs = node.broker.clock.monotonicMs()
    this.#first = new FirstRequest(node.broker.limits.preAuthFrameBytesMax)
    this.principal = client.principal
    this.securityProtocol = "encrypted" in socket ? "SSL" : "PLAINTEXT"
    this.clientHost = client.address
    this.peer = `${client.address}:${client.port}`
    this.#socket = socket
    this.#splitter = new Splitter(node.broker.limits.kafkaRequestBytesMax, node.requestBuffers)
    this.#output = new SocketOutput(socket, (bytes) => {
      node.unsentBytes -= bytes
      if (this.#output.unsentBytes === 0) this.#unsentResponses = 0
      this.#progressMs = node.broker.clock.monotonicMs()
      this.#steer()
    })
  }

  /** A chunk is the caller's again on return. */
  readonly onBytes = (chunk: Uint8Array): void => {
    if (this.#isClosing) return
    const { node } = this
    node.metrics.received.add(chunk.length)
    node.took(chunk.length)
    this.#inFlightBytes += chunk.length
    if (!this.#splitter.isWithinMessage) this.#requestBegunMs = node.broker.clock.monotonicMs()
    this.#rest = chunk
    try {
      this.#first?.push(chunk)
    } catch (error) {
      this.#fail(error)
    }
    this.#steer()
    if (this.#rest.length > 0) this.#rest = node.copy(this.#rest)
  }

  readonly #onRequest = (request: Uint8Array): boolean => {
    this.#requestBegunMs = this.node.broker.clock.monotonicMs()
    this.node.endLarge(this.#resume)
    this.#begin(request)
    return ++this.#begunInTurn < requestsPerTurnMax && this.#mayBegin
  }

  /** Begins what may begin, and reads only when nothing waits. */
  #steer(): void {
    if (this.#isSteering || this.#isEnding || this.#isGone) return
    this.#isSteering = true
    if (this.#rest.length > 0 && this.#mayBegin) this.#split(this.#rest)
    this.#isSteering = false
    const mayRead = this.#rest.length === 0 && this.#mayBegin && this.#hasRoom
    if (mayRead !== this.#isPaused) return
    this.#isPaused = !mayRead
    if (mayRead) {
      this.#requestBegunMs = this.node.broker.clock.monotonicMs()
      this.#socket.resume()
    } else this.#socket.pause()
  }

  /** Begins as many requests of `bytes` as may begin. The pool ignores a chunk that was just read, which is not its own. */
  #split(bytes: Uint8Array): void {
    this.#begunInTurn = 0
    try {
      const rest = bytes.subarray(this.#splitter.push(bytes, this.#onRequest))
      this.#rest = this.#isClosing ? nothing : rest
    } catch (error) {
      this.#fail(error)
    }
    if (this.#rest.length === 0) this.node.requestBuffers.give(bytes)
    else if (this.#mayBegin) this.#yield()
  }

  #yield(): void {
    this.#waitsForTurn = true
    this.node.broker.clock.nextTurn(() => {
      this.#waitsForTurn = false
      this.#steer()
    })
  }

  /** Small requests are always read: what keeps a group alive must not wait behind the large ones of others. */
  get #hasRoom(): boolean {
    return this.node.hasRoom || this.#inFlightBytes <= smallBytesMax || this.node.mayReadLarge(this.#resume)
  }

  get #mayBegin(): boolean {
    const { kafkaPipelinedRequestsMax, slowConsumerUnsentBytesMax } = this.node.broker.limits
    const isWaiting = this.#waitsForShard || this.#waitsForTurn || this.#isHeldBack
    const isFull = this.#exchanges.length >= kafkaPipelinedRequestsMax || this.#heldBytes > slowConsumerUnsentBytesMax
    return !this.#isClosing && !isWaiting && !isFull && !this.#isSlow
  }

  /** The client does not read what it has asked for. */
  get #isSlow(): boolean {
    const { slowConsumerUnsentBytesMax } = this.node.broker.limits
    return this.#output.unsentBytes > slowConsumerUnsentBytesMax || this.#unsentResponses >= unsentResponsesMax
  }

  #begin(request: Uint8Array): void {
    let header: DecodedHeader | undefined
    try {
      header = decodeRequestHeader(request, registry.apis)
      if (header._tag === "UnsupportedVersion" && header.apiKey === ApiVersions.key)
        this.#refuseVersion(header, request)
      else if (header._tag === "Request") this.#request(header, request)
      else throw new WireError("version", `API ${header.apiKey} version ${header.apiVersion} is not served`)
    } catch (error) {
      this.#fail(error, header)
    }
  }

  #request(header: RequestHeader, request: Uint8Array): void {
    const { api, apiVersion, correlationId, bodyOffset } = header
    const handler = registry.find(api.key, apiVersion)
    if (handler === undefined) throw new WireError("version", `${api.name} version ${apiVersion} is not served`)
    if (this.#first !== undefined) {
      this.#first = undefined
      this.#admission.authenticated()
    }
    const exchange = new Exchange(this, header, request)
    this.#exchanges.push(exchange)
    try {
      const received = { bytes: request, bodyOffset, apiVersion, correlationId }
      exchange.later = handler.run(exchange, received, (chunks, errorCode, options) =>
        this.#replied(exchange, chunks, errorCode, options)
      )
    } catch (error) {
      // Those before it are still to be answered, this one never will be.
      if (this.#exchanges.at(-1) === exchange) this.#exchanges.pop()
      throw error
    }
    exchange.handled()
  }

  #replied(
    exchange: Exchange,
    chunks: ReadonlyArray<Uint8Array>,
    errorCode: number,
    { loan, hangsUp = false, violation }: ReplyOptions
  ): void {
    this.node.metrics.answered(exchange.apiName, errorCode, performance.now() - exchange.startedMs)
    if (violation !== undefined) this.audit(violation, exchange.header)
    exchange.hangsUp = hangsUp || violation !== undefined
    this.#answer(exchange, chunks, loan)
  }

  #refuseVersion(header: DecodedHeader, request: Uint8Array): void {
    this.node.metrics.answered("ApiVersions", KafkaError.UNSUPPORTED_VERSION, 0)
    // Asked first of all, so nothing is open that it could overtake; a client that asks later gets it in the order of its requests.
    const placeholder = { ...header, _tag: "Request", clientId: null, bodyOffset: 0 } as RequestHeader
    const exchange = new Exchange(this, placeholder, request)
    this.#exchanges.push(exchange)
    this.#answer(exchange, unsupportedApiVersions(header.correlationId))
  }

  #answer(exchange: Exchange, chunks: ReadonlyArray<Uint8Array>, loan?: Loan): void {
    if (this.#isGone) return
    exchange.response = chunks
    exchange.loan = loan
    for (const chunk of chunks) exchange.responseBytes += chunk.length
    this.#heldBytes += exchange.responseBytes
    this.node.unsentBytes += exchange.responseBytes
    this.#sendAnswered()
  }

  #sendAnswered(): void {
    if (this.#isEnding) return
    for (let first = this.#exchanges[0]; first?.response !== undefined; first = this.#exchanges[0]) {
      const { response, responseBytes, loan, bytes, hangsUp } = first
      this.#exchanges.shift()
      this.#release(bytes)
      this.#send(response, responseBytes, loan)
      if (hangsUp) return this.#end()
    }
    if (this.#isClosing && this.#onlyWaits) this.#end()
    else this.#steer()
  }

  #send(chunks: ReadonlyArray<Uint8Array>, bytes: number, loan: Loan | undefined): void {
    if (bytes === 0) return
    this.#heldBytes -= bytes
    if (this.#output.unsentBytes === 0) this.#progressMs = this.node.broker.clock.monotonicMs()
    this.#unsentResponses++
    this.node.metrics.sent.add(bytes)
    this.#output.push(chunks, bytes, loan)
  }

  #release(bytes: number): void {
    this.#inFlightBytes -= bytes
    this.node.gave(bytes)
  }

  asked(hasRoom: boolean): void {
    if (hasRoom || this.#waitsForShard) return
    this.#waitsForShard = true
    this.node.broker.shards.whenRoom(() => {
      this.#waitsForShard = false
      this.#steer()
    })
  }

  holdBack(): () => void {
    this.#isHeldBack = true
    return () => {
      this.#isHeldBack = false
      this.#steer()
    }
  }

  audit(reason: string, header?: DecodedHeader): void {
    const { clientId = "", api = undefined } = header?._tag === "Request" ? header : {}
    const client = printable(clientId ?? "")
    const fields = {
      peer: this.peer,
      user: userOf(this.principal),
      client,
      api: api?.name ?? "",
      reason: printable(reason)
    }
    this.node.audit("kafka: connection closed", fields)
  }

  #fail(error: unknown, header?: DecodedHeader): void {
    if (error instanceof WireError) {
      this.audit(`${error.reason}: ${error.message}`, header)
      this.ended()
    } else this.defect(error)
  }

  defect(error: unknown): void {
    this.node.broker.log.error("kafka: defect", { peer: this.peer, error: defectText(error) })
    this.#end()
  }

  /** Nothing more is read or begun. */
  #close(): void {
    this.#isClosing = true
    this.#rest = nothing
  }

  /** Closes behind what is answered already; see `endSoftly`. */
  #end(): void {
    if (this.#isEnding) return
    this.#close()
    this.#isEnding = true
    this.#output.end()
    this.#socket.resume()
    this.#arm(lingerMs, () => this.#socket.destroy())
  }

  /** Nothing more is read: fetches that wait are given up, and answered with what they have where other answers wait behind them. */
  stop(): void {
    this.#close()
    if (this.#onlyWaits) this.#end()
    // Requests that are answered leave the list meanwhile.
    else for (const { later } of this.#exchanges.slice()) later?.hurry?.()
  }

  /** Whatever is open is a fetch that waits for records. */
  get #onlyWaits(): boolean {
    return this.#exchanges.every(({ isWaiting }) => isWaiting)
  }

  /** The client sends no more, or nothing that can be read: it gets the same however its bytes were cut. */
  ended(): void {
    if (this.#isClosing) return
    this.stop()
    if (!this.#isEnding) this.#arm(answersMsMax, () => this.#end())
  }

  /** In place of what was armed before. */
  #arm(delayMs: number, task: () => void): void {
    this.#disarm?.()
    this.#disarm = this.node.broker.clock.after(delayMs, task)
  }

  /** Once a second: who sends no request, does not finish one, or does not read. */
  sweep(nowMs: number): void {
    const { connectTimeoutMs, frameStallMs, slowConsumerStallMs } = this.node.broker.limits
    // Paused for want of room counts too: half-read requests must not keep it for ever.
    const isReading = !this.#isPaused || (this.#rest.length === 0 && this.#mayBegin)
    const lacksRequest = this.#first?.isLarge === false && this.#rest.length === 0
    if (lacksRequest && nowMs - this.#openedMs >= connectTimeoutMs) {
      this.audit("no request in time")
      this.#socket.destroy()
    } else if (isReading && this.#splitter.isWithinMessage && nowMs - this.#requestBegunMs > frameStallMs) {
      this.audit("a request is not completed")
      this.#socket.destroy()
    } else if (this.#isSlow && nowMs - this.#progressMs > slowConsumerStallMs) {
      this.audit("responses are not read")
      this.#socket.destroy()
    }
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** The socket is closed. */
  closed(): void {
    this.#isGone = true
    this.#disarm?.()
    this.#close()
    this.#admission.release()
    for (const { later } of this.#exchanges.splice(0)) later?.giveUp?.()
    this.node.endLarge(this.#resume)
    this.node.unsentBytes -= this.#output.unsentBytes + this.#heldBytes
    this.#output.unsentBytes = 0
    this.#release(this.#inFlightBytes)
  }
}
