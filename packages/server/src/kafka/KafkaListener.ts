import type * as net from "node:net"
import { once } from "node:events"
import type { Broker } from "../Broker.ts"
import { createSharedServer, readShared } from "../net/sharedReads.ts"
import type { HostPort } from "./Handler.ts"
import { KafkaConnection } from "./KafkaConnection.ts"
import { KafkaNode } from "./KafkaNode.ts"

export interface KafkaOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** The host and port that clients are told to connect to. Port 0: the one listened on; a wildcard host: where the client has connected. */
  readonly advertised: HostPort
  /** Names of client software, see `KafkaNode`. */
  readonly zstdClients: ReadonlySet<string>
}

export interface KafkaListener {
  readonly port: number
  /** Answers what was begun, within half a second, and closes every connection. */
  readonly close: () => Promise<void>
}

const sweepEveryMs = 1000
const closeWithinMs = 500
const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::", "::0", ""])

const advertisedTo = ({ host, port }: HostPort, socket: net.Socket): HostPort => ({
  host: wildcards.has(host) ? (socket.localAddress ?? host) : host,
  port: port === 0 ? (socket.localPort ?? 0) : port
})

const accept = (node: KafkaNode, advertised: HostPort, connections: Set<KafkaConnection>, socket: net.Socket) => {
  const { remoteAddress: address, remotePort: port } = socket
  const admission = address === undefined ? undefined : node.broker.gate.admit(address)
  if (address === undefined || port === undefined || admission === undefined) {
    socket.destroy()
    admission?.release()
    return
  }
  const connection = new KafkaConnection(node, socket, { address, port }, advertisedTo(advertised, socket), admission)
  connections.add(connection)
  socket.setNoDelay(true)
  socket.setKeepAlive(true)
  socket.on("end", () => connection.ended())
  socket.on("error", () => socket.destroy())
  socket.on("close", () => {
    connections.delete(connection)
    connection.closed()
  })
  readShared(socket, (chunk) => connection.onBytes(chunk))
}

const sweepRegularly = ({ clock }: Broker, connections: ReadonlySet<KafkaConnection>): (() => void) => {
  let cancel: () => void
  const sweep = (): void => {
    const nowMs = clock.monotonicMs()
    for (const connection of connections) connection.sweep(nowMs)
    cancel = clock.after(sweepEveryMs, sweep)
  }
  cancel = clock.after(sweepEveryMs, sweep)
  return () => cancel()
}

/** Serves Kafka clients. Rejects with the system's error when the port cannot be had. */
export const listenKafka = async (broker: Broker, options: KafkaOptions): Promise<KafkaListener> => {
  const node = new KafkaNode(broker, options.zstdClients)
  const connections = new Set<KafkaConnection>()
  const server = createSharedServer((socket) => accept(node, options.advertised, connections, socket))
  server.listen(options.port, options.host)
  await once(server, "listening")
  server.on("error", (error) => broker.log.error("kafka: a connection could not be accepted", { error: String(error) }))
  node.metrics.onCollect(() => [connections.size, node.inFlightBytes])
  const stopSweeping = sweepRegularly(broker, connections)
  return {
    port: (server.address() as net.AddressInfo).port,
    close: async () => {
      stopSweeping()
      const closed = once(server, "close")
      server.close()
      for (const connection of connections) connection.stop()
      const cancel = broker.clock.after(closeWithinMs, () => {
        for (const connection of connections) connection.destroy()
      })
      await closed
      cancel()
      // The sockets' own close events come behind the server's.
      while (connections.size > 0) await new Promise<void>((resolve) => broker.clock.nextTurn(resolve))
      node.flush()
    }
  }
}
