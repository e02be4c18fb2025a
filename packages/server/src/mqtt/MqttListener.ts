import type * as net from "node:net"
import * as Effect from "effect/Effect"
import { type Arrival, Arrivals } from "../net/Arrivals.ts"
import { listen } from "../net/listen.ts"
import { createSharedServer } from "../net/sharedReads.ts"
import type { MqttBroker } from "./MqttBroker.ts"
import { MqttConnection } from "./MqttConnection.ts"
import { errorName, TcpTransport } from "./TcpTransport.ts"

export interface MqttListenerOptions {
  readonly host: string
  readonly port: number
  /** Connections come through a load balancer and begin with PROXY headers. */
  readonly isProxied: boolean
}

const serve = (
  mqtt: MqttBroker,
  socket: net.Socket,
  { address, admission }: Arrival,
  connections: Set<MqttConnection>
): ((chunk: Buffer) => void) => {
  socket.setNoDelay(true)
  const connection = new MqttConnection(mqtt, new TcpTransport(socket, address), admission)
  connections.add(connection)
  socket.on("drain", () => connection.onDrain())
  socket.on("end", () => connection.ended())
  // The close event follows and tells all there is to do.
  socket.on("error", (error) => connection.failed(errorName(error)))
  socket.on("close", () => {
    connections.delete(connection)
    connection.onClosed()
  })
  return (chunk) => connection.onChunk(chunk)
}

/** MQTT over TCP until the scope closes: then clients are told, and cut off a second later. */
export const listenMqtt = (mqtt: MqttBroker, { host, port, isProxied }: MqttListenerOptions) =>
  Effect.gen(function* () {
    const connections = new Set<MqttConnection>()
    const arrivals = new Arrivals(mqtt.broker, "mqtt", isProxied)
    const server = createSharedServer((socket) =>
      arrivals.accept(socket, (arrival) => serve(mqtt, socket, arrival, connections))
    )
    const end = async (closed: Promise<unknown>): Promise<void> => {
      arrivals.stop()
      await mqtt.stops(connections)
      await closed
    }
    const listening = yield* listen(server, { what: "mqtt", host, port, log: mqtt.broker.log, end })
    mqtt.listens()
    return listening
  })
