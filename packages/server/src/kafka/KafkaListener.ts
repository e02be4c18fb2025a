import type * as net from "node:net"
import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import { type Arrival, Arrivals } from "../net/Arrivals.ts"
import { listen } from "../net/listen.ts"
import { createSharedServer } from "../net/sharedReads.ts"
import type { HostPort } from "./Handler.ts"
import { KafkaConnection } from "./KafkaConnection.ts"
import { KafkaNode, type ClientSettings } from "./KafkaNode.ts"

export interface KafkaOptions extends ClientSettings {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** The host and port that clients are told to connect to. Port 0: the one listened on; a wildcard host: where the client has connected. */
  readonly advertised: HostPort
  /** Connections come through a load balancer and begin with PROXY headers. */
  readonly isProxied: boolean
}

const sweepEveryMs = 1000
/** At a stop, requests that were begun have so long to be answered. */
const closeWithinMs = 500
const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::", "::0", ""])

const advertisedTo = ({ host, port }: HostPort, socket: net.Socket): HostPort => ({
  host: wildcards.has(host) ? (socket.localAddress ?? host) : host,
  port: port === 0 ? (socket.localPort ?? 0) : port
})

const serve = (
  node: KafkaNode,
  advertised: HostPort,
  connections: Set<KafkaConnection>,
  socket: net.Socket,
  { address, port, admission }: Arrival
): ((chunk: Buffer) => void) => {
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
  return (chunk) => connection.onBytes(chunk)
}

/** Looks at the connections' deadlines until the scope closes. */
const sweeping = ({ clock }: Broker, connections: ReadonlySet<KafkaConnection>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let cancel: () => void
      const sweep = (): void => {
        const nowMs = clock.monotonicMs()
        for (const connection of connections) connection.sweep(nowMs)
        cancel = clock.after(sweepEveryMs, sweep)
      }
      cancel = clock.after(sweepEveryMs, sweep)
      return () => cancel()
    }),
    (stop) => Effect.sync(stop)
  )

/** Answers what was begun, and closes every connection. */
const end = async (node: KafkaNode, connections: ReadonlySet<KafkaConnection>, closed: Promise<unknown>) => {
  const { clock } = node.broker
  for (const connection of connections) connection.stop()
  const cancel = clock.after(closeWithinMs, () => {
    for (const connection of connections) connection.destroy()
  })
  await closed
  cancel()
  // The sockets' own close events come behind the server's.
  while (connections.size > 0) await new Promise<void>((resolve) => clock.nextTurn(resolve))
  node.flush()
}

/** Serves Kafka clients until the scope closes. */
export const listenKafka = (broker: Broker, { host, port, advertised, isProxied, ...settings }: KafkaOptions) =>
  Effect.gen(function* () {
    const node = new KafkaNode(broker, settings)
    const connections = new Set<KafkaConnection>()
    node.metrics.onCollect(() => {
      const { inFlightBytes, fetchSessions } = node
      return { connections: connections.size, inFlightBytes, fetchSessions }
    })
    const arrivals = new Arrivals(broker, "kafka", isProxied)
    const server = createSharedServer((socket) =>
      arrivals.accept(socket, (arrival) => serve(node, advertised, connections, socket, arrival))
    )
    const { log } = broker
    const listening = yield* listen(server, {
      what: "kafka",
      host,
      port,
      log,
      end: (closed) => {
        arrivals.stop()
        return end(node, connections, closed)
      }
    })
    yield* sweeping(broker, connections)
    return listening
  })
