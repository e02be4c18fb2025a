import { createHash } from "node:crypto"
import * as http from "node:http"
import type { Socket } from "node:net"
import * as Effect from "effect/Effect"
import type { Clock } from "@logbrook/core/Clock"
import { MqttError } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { CloseCode, closeFrame, frameHead, FrameReader, WebSocketError } from "@logbrook/protocols/websocket/frames"
import { type Arrival, Arrivals } from "../net/Arrivals.ts"
import { endSoftly } from "../net/endSoftly.ts"
import { letInBy } from "../net/httpArrivals.ts"
import { listen } from "../net/listen.ts"
import { isForeignOrigin } from "../net/localNames.ts"
import type { Mount } from "./MountPoint.ts"
import type { MqttBroker } from "./MqttBroker.ts"
import { MqttConnection } from "./MqttConnection.ts"
import type { MqttListenerOptions } from "./MqttListener.ts"
import { errorName, TcpTransport } from "./TcpTransport.ts"
import type { Transport } from "./Transport.ts"

/** The first is taken if it is offered [MQTT-6.0.0-3]; clients of MQTT 3.1 have the other one. */
const subprotocols = ["mqtt", "mqttv3.1"] as const

const subprotocolOf = ({ headers }: http.IncomingMessage): string | undefined => {
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim())
  return subprotocols.find((name) => offered.includes(name))
}
/** RFC 6455, 1.3. */
const keySuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
/** Above this pongs wait, and only the newest is sent (RFC 6455, 5.5.3). */
const unsentBytesAtPongMax = 64 * 1024

/** Says as a status line what is wrong with the request; undefined if it is a WebSocket's for MQTT. */
const refusalOf = (request: http.IncomingMessage): string | undefined => {
  const { method, headers } = request
  if (method !== "GET" || headers.upgrade?.toLowerCase() !== "websocket") return "400 Bad Request"
  if (headers["sec-websocket-version"] !== "13") return "426 Upgrade Required\r\nSec-WebSocket-Version: 13"
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) return "400 Bad Request"
  return subprotocolOf(request) === undefined ? "400 Bad Request" : undefined
}

const acceptanceOf = (key: string, subprotocol: string): string =>
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  `Sec-WebSocket-Accept: ${createHash("sha1").update(`${key}${keySuffix}`).digest("base64")}\r\n` +
  `Sec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`

/** A client's connection within a WebSocket's frames. */
class WebSocketTransport implements Transport {
  readonly #tcp: TcpTransport
  readonly remoteAddress: string
  /** Told in the close frame. */
  closeCode: number = CloseCode.Normal
  /** The answer to the newest ping. */
  #pong: Uint8Array | undefined

  constructor(socket: Socket, remoteAddress: string, onDrain: () => void) {
    this.#tcp = new TcpTransport(socket, remoteAddress, () => {
      this.drained()
      onDrain()
    })
    this.remoteAddress = remoteAddress
  }

  get unsentBytes(): number {
    return this.#tcp.unsentBytes
  }

  write(buffers: ReadonlyArray<Uint8Array>): void {
    let bytes = 0
    for (const buffer of buffers) bytes += buffer.length
    this.#tcp.write([frameHead("binary", bytes), ...buffers])
  }

  pong(payload: Uint8Array): void {
    this.#pong = new Uint8Array(payload)
    if (this.unsentBytes <= unsentBytesAtPongMax) this.drained()
  }

  drained(): void {
    if (this.#pong === undefined) return
    this.#tcp.write([frameHead("pong", this.#pong.length), this.#pong])
    this.#pong = undefined
  }

  end(): void {
    this.#tcp.write([closeFrame(this.closeCode)])
    this.#tcp.end()
  }

  destroy(): void {
    this.#tcp.destroy()
  }

  pause(): void {
    this.#tcp.pause()
  }

  resume(): void {
    this.#tcp.resume()
  }
}

/** Returns what reads the socket's bytes. */
const serve = ({ mqtt, mount, connections }: Shell, socket: Socket, { address, admission, principal }: Arrival) => {
  const transport = new WebSocketTransport(socket, address, () => connection.onDrain())
  const connection = new MqttConnection(mqtt, transport, admission, mount)
  connection.principal = principal
  connections.add(connection)
  const frames = new FrameReader({
    onBytes: (bytes) => connection.onChunk(bytes),
    onPing: (payload) => transport.pong(payload),
    // The answer is the close frame with which every connection ends (RFC 6455, 5.5.1).
    onClose: () => connection.ended("WebSocket close")
  })
  const read = (chunk: Buffer): void => {
    try {
      frames.push(chunk)
    } catch (error) {
      if (!(error instanceof WebSocketError)) throw error
      transport.closeCode = error.code
      connection.violated(new MqttError(ReasonCode.ProtocolError, `WebSocket: ${error.message}`))
    }
  }
  socket.on("data", read)
  socket.on("error", (error) => connection.failed(errorName(error)))
  socket.on("end", () => connection.ended())
  socket.on("close", () => {
    connections.delete(connection)
    connection.onClosed()
  })
  return read
}

export interface WebSocketOptions extends MqttListenerOptions {
  /** See `isForeignOrigin`. */
  readonly origins: ReadonlySet<string>
}

interface Shell {
  readonly mqtt: MqttBroker
  readonly mount: Mount
  readonly options: WebSocketOptions
  readonly connections: Set<MqttConnection>
  /** Of all sockets, upgraded or not. */
  readonly arrivals: WeakMap<Socket, Arrival>
  isStopping: boolean
}

const refuse = (socket: Socket, clock: Clock, status: string): void => {
  socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  endSoftly(socket, clock)
}

const upgrade = (shell: Shell, request: http.IncomingMessage, socket: Socket, head: Buffer): void => {
  const { mqtt, options, arrivals } = shell
  const { clock } = mqtt.broker
  // The close event follows and tells all there is to do.
  socket.on("error", () => undefined)
  const refusal = refusalOf(request)
  if (refusal !== undefined) return refuse(socket, clock, refusal)
  if (shell.isStopping) return refuse(socket, clock, "503 Service Unavailable")
  const { origin } = request.headers
  const certificates = options.tls?.options.clientCertificates ?? "off"
  if (isForeignOrigin(origin, options.at, certificates, options.origins)) {
    mqtt.faults.write("mqtt: a page of another site is refused; mqttWs.origins can allow it", { origin })
    return refuse(socket, clock, "403 Forbidden")
  }
  socket.setTimeout(0)
  socket.setNoDelay(true)
  socket.write(acceptanceOf(request.headers["sec-websocket-key"]!, subprotocolOf(request)!))
  const read = serve(shell, socket, arrivals.get(socket)!)
  if (head.length > 0) read(head)
}

/** How often Node looks for requests that take too long. */
const lookEveryMs = 1000

const serverOf = (shell: Shell): http.Server => {
  const { connectTimeoutMs } = shell.mqtt.broker.limits
  const server = http.createServer(
    {
      requestTimeout: connectTimeoutMs,
      headersTimeout: connectTimeoutMs,
      connectionsCheckingInterval: lookEveryMs
    },
    (_request, response) => {
      response.writeHead(426, { Connection: "close", Upgrade: "websocket" }).end("MQTT over WebSocket only\n")
    }
  )
  server.on("upgrade", (request, socket, head) => upgrade(shell, request, socket as Socket, head))
  return server
}

/** MQTT over WebSocket, on any path, until the scope closes; clients must offer one of the subprotocols. */
export const listenMqttWebSocket = (mqtt: MqttBroker, options: WebSocketOptions) =>
  Effect.gen(function* () {
    const { broker } = mqtt
    const { name, at, limits } = options
    const connections = new Set<MqttConnection>()
    const mount = mqtt.mountOf(options.mountPoint)
    const shell: Shell = { mqtt, mount, options, connections, arrivals: new WeakMap(), isStopping: false }
    const server = serverOf(shell)
    const gate = broker.gate.ofListener(name, "mqttWs", limits)
    const arrivals = new Arrivals(broker, options, (address) => broker.gate.admitOrTell(address, gate))
    letInBy(server, arrivals, (socket, arrival) => shell.arrivals.set(socket, arrival))
    const end = async (closed: Promise<unknown>): Promise<void> => {
      shell.isStopping = true
      arrivals.stop()
      await mqtt.stops(connections)
      server.closeAllConnections()
      await closed
    }
    const listening = yield* listen(server, {
      protocol: "mqttWs",
      name,
      at,
      isTls: options.tls !== undefined,
      log: broker.log,
      end
    })
    mqtt.listens()
    return listening
  })
