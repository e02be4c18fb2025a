import type * as net from "node:net"
import {
  decodeServerPacket,
  type Connack,
  type Delivered,
  type ServerPacket,
  type ServerProperties,
  type Suback
} from "@logbrook/protocols/mqtt/decodeServer"
import { encodeDisconnect } from "@logbrook/protocols/mqtt/encode"
import { encodeConnect, encodePingreq, encodeSubscribe } from "@logbrook/protocols/mqtt/encodeClient"
import { type Delivery, encodeAck, patchPacketId, publishTemplate } from "@logbrook/protocols/mqtt/encodePublish"
import {
  MqttError,
  type QoS,
  type SubscribeProperties,
  type Subscription,
  type Will
} from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { Splitter } from "@logbrook/protocols/mqtt/Splitter"
import { CliError, exitCodes, type ExitCode } from "../CliError.ts"
import { connect, connectionLost, deadline, otherProtocol, Patience, silent, type Listener } from "./connecting.ts"

const packetBytesMax = 268_435_460
const keepAliveSeconds = 60
const packetIdMax = 0xffff
/** MQTT 5 says so where a CONNACK does not. */
const receiveMaximumDefault = 65_535
const inflightMaxDefault = 1_000

export interface MqttOptions {
  readonly clientId: string
  readonly cleanStart: boolean
  /** 0: the session ends with the connection. */
  readonly sessionExpirySeconds: number
  readonly will: Will | undefined
  /** So long the server may leave a question without any answer. */
  readonly timeoutMs: number
  /** Messages that wait for their acknowledgements at once, where the server allows as many; 1,000 by default. */
  readonly inflightMax?: number
}

interface Waiting extends PromiseWithResolvers<ServerPacket> {
  /** The first half of the answer to a message of QoS 2. */
  received: ServerPacket | undefined
}

/** Whoever gets the messages of a client. */
export interface Receiver {
  /** False: it is not taken, and comes again if it has a session. */
  readonly onMessage: (message: Delivered) => boolean
  /** Resolves once what was taken is kept: only then it is acknowledged, and more is read. Undefined: it is kept. Rejects with `CliError`. */
  readonly kept: () => Promise<void> | undefined
}

const nobody: Receiver = { onMessage: () => true, kept: () => undefined }

/** The answer to a message: of QoS 0 there is none, and it is a success. */
export interface Acknowledged {
  readonly reasonCode: number
  readonly properties: ServerProperties
}

const names: ReadonlyMap<number, string> = new Map(
  Object.entries(ReasonCode)
    .filter(([, code]) => code >= ReasonCode.UnspecifiedError)
    .map(([name, code]) => [code, name.replaceAll(/\B[A-Z](?=[a-z])/g, (letter) => ` ${letter.toLowerCase()}`)])
)

/** `Not authorized (0x87): the server's own words`. */
export const reasonText = (code: number, { reasonString }: Pick<ServerProperties, "reasonString">): string =>
  `${names.get(code) ?? "Refused"} (0x${code.toString(16).padStart(2, "0")})${reasonString === undefined ? "" : `: ${reasonString}`}`

const denied: ReadonlySet<number> = new Set([
  ReasonCode.BadUserNameOrPassword,
  ReasonCode.NotAuthorized,
  ReasonCode.Banned,
  ReasonCode.BadAuthenticationMethod
])
const wrong: ReadonlySet<number> = new Set([
  ReasonCode.ClientIdentifierNotValid,
  ReasonCode.TopicFilterInvalid,
  ReasonCode.TopicNameInvalid,
  ReasonCode.PayloadFormatInvalid,
  ReasonCode.RetainNotSupported,
  ReasonCode.QoSNotSupported
])
const away: ReadonlySet<number> = new Set([
  ReasonCode.ServerUnavailable,
  ReasonCode.ServerBusy,
  ReasonCode.ServerShuttingDown,
  ReasonCode.UseAnotherServer,
  ReasonCode.ServerMoved
])

/** The exit code for what a server refused. */
const exitOf = (code: number): ExitCode => {
  if (denied.has(code)) return exitCodes.denied
  if (wrong.has(code)) return exitCodes.usage
  return away.has(code) ? exitCodes.unreachable : exitCodes.failure
}

/** `what`: "the subscription to a/b". */
export const refusedBy = (what: string, code: number, properties: ServerProperties): CliError =>
  new CliError(exitOf(code), "E_REFUSED", `the server refuses ${what}: ${reasonText(code, properties)}`)

/**
 * A client of MQTT 5 for the commands: one connection that is not made again. Everything rejects with the `CliError` that ended
 * it.
 */
export class MqttClient {
  readonly #socket: net.Socket
  readonly #listener: Listener
  readonly #options: MqttOptions
  readonly #splitter = new Splitter(packetBytesMax)
  readonly #patience: Patience
  readonly #pinging: NodeJS.Timeout
  readonly #waiting = new Map<number, Waiting>()
  readonly #connack = Promise.withResolvers<Connack>()
  readonly #ended = Promise.withResolvers<never>()
  /** QoS 2 messages that were told and are not released. */
  readonly #received = new Set<number>()
  readonly #receiver: Receiver
  /** The acknowledgements of messages that are not known to be kept. */
  #acks: Array<Uint8Array> = []
  #hasNews = false
  #keeping: Promise<void> = Promise.resolve()
  #room = Promise.withResolvers<void>()
  #failure: CliError | undefined
  /** All that comes before the end was written; its failure is looked for. */
  #isClosing = false
  #isClosed = false
  #isConnected = false
  #isPinging = false
  #inflight = 0
  #window = 0
  #packetId = 0
  #sizeMax = Infinity
  #qosMax: QoS = 2
  #takesRetained = true

  private constructor(socket: net.Socket, listener: Listener, options: MqttOptions, receiver: Receiver) {
    this.#socket = socket
    this.#listener = listener
    this.#options = options
    this.#receiver = receiver
    this.#patience = new Patience(options.timeoutMs, () => this.#fail(silent(listener, options.timeoutMs)))
    this.#pinging = setInterval(() => this.#ping(), (keepAliveSeconds * 1000) / 2)
    this.#pinging.unref()
    // Each is looked at by somebody who may not be there yet.
    for (const { promise } of [this.#ended, this.#connack]) promise.catch(() => undefined)
    socket.on("data", (chunk: Buffer) => this.#took(chunk))
    socket.on("drain", () => this.#makeRoom())
    socket.on("error", (error: NodeJS.ErrnoException) => this.#lost(error.code ?? error.message))
    socket.on("close", () => {
      if (!this.#isClosing || !socket.writableFinished) this.#lost("the server closed it")
    })
  }

  /** Resolves once the server has accepted the connection. */
  static async connect(listener: Listener, options: MqttOptions, receiver: Receiver = nobody): Promise<MqttClient> {
    const socket = await connect(listener, options.timeoutMs)
    const client = new MqttClient(socket, listener, options, receiver)
    try {
      await client.#begin()
      return client
    } catch (error) {
      client.#close()
      throw error
    }
  }

  /** Rejects when the connection ends, but by `disconnect`; never resolves. */
  get ended(): Promise<never> {
    return this.#ended.promise
  }

  /** Resolves once all that has come is kept, and acknowledged. */
  get settled(): Promise<void> {
    return this.#keeping
  }

  async #begin(): Promise<void> {
    const { clientId, cleanStart, will, sessionExpirySeconds } = this.#options
    const properties = sessionExpirySeconds > 0 ? { sessionExpiryIntervalSeconds: sessionExpirySeconds } : {}
    const rest = { username: undefined, password: undefined, will, properties } as const
    this.#socket.write(encodeConnect({ _tag: "Connect", version: 5, clientId, cleanStart, keepAliveSeconds, ...rest }))
    this.#patience.begin()
    const { reasonCode, properties: told } = await this.#connack.promise
    this.#patience.end()
    // The codes of a server that knows no MQTT 5.
    if (reasonCode > 0 && reasonCode < ReasonCode.UnspecifiedError) {
      throw otherProtocol(this.#listener, `no MQTT 5: CONNACK with code ${reasonCode}`)
    }
    if (reasonCode !== 0) throw refusedBy("the connection", reasonCode, told)
    this.#window = Math.min(
      this.#options.inflightMax ?? inflightMaxDefault,
      told.receiveMaximum ?? receiveMaximumDefault
    )
    this.#sizeMax = told.maximumPacketSizeBytes ?? Infinity
    this.#qosMax = told.maximumQoS ?? 2
    this.#takesRetained = told.retainAvailable !== 0
  }

  /** Rejects unless every filter is accepted. */
  async subscribe(subscriptions: ReadonlyArray<Subscription>, options: SubscribeProperties = {}): Promise<void> {
    const { reasonCodes, properties } = (await this.#request((packetId) =>
      encodeSubscribe({ packetId, subscriptions, properties: options })
    )) as Suback
    subscriptions.forEach(({ filter }, i) => {
      const code = reasonCodes[i] ?? ReasonCode.UnspecifiedError
      if (code >= ReasonCode.UnspecifiedError) throw refusedBy(`the subscription to ${filter}`, code, properties)
    })
  }

  /** Resolves once another message may be published. */
  async ready(): Promise<void> {
    while (this.#failure === undefined && (this.#inflight >= this.#window || this.#socket.writableNeedDrain)) {
      await this.#room.promise
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  /** To be called when `ready`. Resolves with the server's answer; of QoS 0 at once. */
  publish(message: Delivery): Promise<Acknowledged> {
    if (message.qos > this.#qosMax) {
      return Promise.reject(refusedBy("the message", ReasonCode.QoSNotSupported, {}))
    }
    if (message.retain && !this.#takesRetained) {
      return Promise.reject(refusedBy("the message", ReasonCode.RetainNotSupported, {}))
    }
    const packet = publishTemplate(5, message)
    if (packet.length > this.#sizeMax) {
      const text = `the message takes ${packet.length} bytes, and the server takes packets of ${this.#sizeMax} at most`
      return Promise.reject(new CliError(exitCodes.usage, "E_TOO_LARGE", text))
    }
    if (message.qos === 0) {
      this.#socket.write(packet)
      return Promise.resolve({ reasonCode: ReasonCode.Success, properties: {} })
    }
    this.#inflight++
    return this.#request((packetId) => {
      patchPacketId(packet, packetId)
      return packet
    }).then((answer) => answer as ServerPacket & Acknowledged)
  }

  /**
   * Ends the connection in order, once all that was written has gone. Rejects where the server may not have taken it: that is all that
   * is known of messages of QoS 0.
   */
  async disconnect(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isClosed) return
    this.#isClosing = true
    const { timeoutMs } = this.#options
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = deadline(timeoutMs, () => {
      if (this.#socket.writableLength > 0) this.#fail(silent(this.#listener, timeoutMs))
      else resolve()
    })
    this.#socket.once("close", () => resolve())
    this.#socket.resume()
    this.#socket.end(encodeDisconnect(ReasonCode.NormalDisconnection))
    try {
      await Promise.race([this.#ended.promise, promise])
    } finally {
      clearTimeout(timer)
      this.#close()
    }
  }

  /** As `disconnect`, where what was sent is no matter any more. */
  async leave(): Promise<void> {
    await this.disconnect().catch(() => undefined)
  }

  async #request(encode: (packetId: number) => Uint8Array): Promise<ServerPacket> {
    if (this.#failure !== undefined) throw this.#failure
    do this.#packetId = (this.#packetId % packetIdMax) + 1
    while (this.#waiting.has(this.#packetId))
    const answer: Waiting = { ...Promise.withResolvers<ServerPacket>(), received: undefined }
    this.#waiting.set(this.#packetId, answer)
    this.#socket.write(encode(this.#packetId))
    this.#patience.begin()
    return answer.promise
  }

  #took(chunk: Buffer): void {
    try {
      this.#splitter.push(chunk, (packet) => this.#packet(decodeServerPacket(packet)))
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      this.#fail(otherProtocol(this.#listener, error.message))
    }
    if (this.#hasNews) this.#keep()
  }

  /** What has come is acknowledged once it is kept. Until then nothing more is read: the server waits. */
  #keep(): void {
    this.#hasNews = false
    const kept = this.#receiver.kept()
    if (kept === undefined) {
      this.#acknowledge()
      return
    }
    this.#socket.pause()
    this.#patience.end()
    this.#keeping = this.#whenKept(kept)
  }

  async #whenKept(kept: Promise<void>): Promise<void> {
    try {
      await kept
    } catch (error) {
      this.#fail(error as CliError)
      return
    }
    this.#acknowledge()
    this.#socket.resume()
    this.#rest()
  }

  #acknowledge(): void {
    const acks = this.#acks
    this.#acks = []
    if (!this.#isClosing) for (const ack of acks) this.#socket.write(ack)
  }

  #packet(packet: ServerPacket): void {
    if (this.#failure !== undefined) return
    if (!this.#isConnected && packet._tag !== "Connack") {
      throw new MqttError(ReasonCode.ProtocolError, `${packet._tag.toUpperCase()} comes first`)
    }
    switch (packet._tag) {
      case "Connack":
        this.#isConnected = true
        this.#connack.resolve(packet)
        break
      case "Publish":
        this.#deliver(packet)
        break
      case "Pubrel":
        this.#received.delete(packet.packetId)
        this.#socket.write(encodeAck(5, "Pubcomp", packet.packetId))
        break
      case "Pubrec":
        if (packet.reasonCode >= ReasonCode.UnspecifiedError) this.#answer(packet)
        else this.#release(packet)
        break
      case "Disconnect": {
        const { reasonCode, properties } = packet
        if (this.#isClosing && reasonCode < ReasonCode.UnspecifiedError) break
        const text = `the server ends the connection: ${reasonText(reasonCode, properties)}`
        this.#fail(new CliError(exitOf(reasonCode), "E_DISCONNECTED", text))
        break
      }
      case "Pingresp":
        this.#isPinging = false
        this.#rest()
        break
      default:
        this.#answer(packet)
    }
  }

  #deliver(message: Delivered): void {
    const { qos, packetId } = message
    const isNew = qos < 2 || !this.#received.has(packetId)
    if (isNew && !this.#receiver.onMessage(message)) return
    if (qos === 2) this.#received.add(packetId)
    if (qos > 0) this.#acks.push(encodeAck(5, qos === 1 ? "Puback" : "Pubrec", packetId))
    this.#hasNews = true
  }

  #release(received: ServerPacket & { readonly packetId: number }): void {
    const { packetId } = received
    const waiting = this.#waiting.get(packetId)
    if (waiting !== undefined) waiting.received = received
    this.#socket.write(encodeAck(5, "Pubrel", packetId))
    this.#patience.begin()
  }

  #answer(packet: Extract<ServerPacket, { readonly packetId: number }>): void {
    const waiting = this.#waiting.get(packet.packetId)
    if (waiting === undefined) return
    this.#waiting.delete(packet.packetId)
    if (packet._tag === "Puback" || packet._tag === "Pubrec" || packet._tag === "Pubcomp") this.#inflight--
    waiting.resolve(waiting.received ?? packet)
    this.#rest()
    this.#makeRoom()
  }

  /** Somebody else is waited for, or nobody. */
  #rest(): void {
    if (this.#waiting.size > 0 || this.#isPinging) this.#patience.begin()
    else this.#patience.end()
  }

  #makeRoom(): void {
    this.#room.resolve()
    this.#room = Promise.withResolvers()
  }

  #ping(): void {
    this.#socket.write(encodePingreq())
    // Whoever does not read cannot say that nothing has come.
    if (this.#socket.isPaused()) return
    this.#isPinging = true
    this.#patience.begin()
  }

  #lost(why: string): void {
    if (this.#isConnected) this.#fail(connectionLost(this.#listener, why))
    else this.#fail(otherProtocol(this.#listener, `CONNECT is not answered: ${why}`))
  }

  #fail(error: CliError): void {
    if (this.#failure !== undefined || this.#isClosed) return
    this.#failure = error
    this.#connack.reject(error)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
    this.#makeRoom()
    this.#ended.reject(error)
    this.#close()
  }

  #close(): void {
    this.#isClosing = true
    this.#isClosed = true
    clearInterval(this.#pinging)
    this.#patience.close()
    this.#socket.destroy()
  }
}
