import type * as net from "node:net"
import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import { type Arrival, Arrivals } from "../net/Arrivals.ts"
import { listen } from "../net/listen.ts"
import type { ListenerOptions } from "../net/Listener.ts"
import { createSharedServer } from "../net/sharedReads.ts"
import type { HostPort } from "./Handler.ts"
import { KafkaConnection } from "./KafkaConnection.ts"
import { KafkaNode, type ClientSettings } from "./KafkaNode.ts"

export interface KafkaListenerOptions extends ListenerOptions {
  /** The host and port that clients are told to connect to. Port 0: the one listened on; a wildcard host: where the client has connected. */
  readonly advertised: HostPort
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
  arrival: Arrival
): ((chunk: Buffer) => void) => {
  const connection = new KafkaConnection(node, socket, arrival, advertisedTo(advertised, socket), arrival.admission)
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
const end = async ({ broker }: KafkaNode, connections: ReadonlySet<KafkaConnection>, closed: Promise<unknown>) => {
  const { clock } = broker
  for (const connection of connections) connection.stop()
  const cancel = clock.after(closeWithinMs, () => {
    for (const connection of connections) connection.destroy()
  })
  await closed
  cancel()
  // The sockets' own close events come behind the server's.
  while (connections.size > 0) await new Promise<void>((resolve) => clock.nextTurn(resolve))
}

/** Serves the clients of one listener, which are in `connections`. */
const listenAt = (node: KafkaNode, connections: Set<KafkaConnection>, options: KafkaListenerOptions) =>
  Effect.gen(function* () {
    const { broker } = node
    const { name, at, limits, advertised } = options
    const gate = broker.gate.ofListener(name, "kafka", limits)
    const arrivals = new Arrivals(broker, options, (address) => broker.gate.admit(address, gate))
    const server = createSharedServer((socket) =>
      arrivals.accept(socket, (within, arrival) => serve(node, advertised, connections, within, arrival))
    )
    const listening = yield* listen(server, {
      protocol: "kafka",
      name,
      at,
      isTls: options.tls !== undefined,
      log: broker.log,
      end: (closed) => {
        arrivals.stop()
        return end(node, connections, closed)
      }
    })
    yield* sweeping(broker, connections)
    return listening
  })

/** Serves Kafka clients until the scope closes: all listeners are doors to the same node, each with the address that it tells. */
export const listenKafka = (broker: Broker, settings: ClientSettings, listeners: ReadonlyArray<KafkaListenerOptions>) =>
  Effect.gen(function* () {
    const node = new KafkaNode(broker, settings)
    const served = listeners.map((options) => ({ options, connections: new Set<KafkaConnection>() }))
    node.metrics.onCollect(() => {
      const { inFlightBytes, fetchSessions } = node
      const connections = served.reduce((sum, each) => sum + each.connections.size, 0)
      return { connections, inFlightBytes, fetchSessions }
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => node.flush()))
    return yield* Effect.parallelFinalizers(
      Effect.forEach(served, ({ options, connections }) => listenAt(node, connections, options))
    )
  })
