import type * as net from "node:net"
import { once } from "node:events"
import { createSharedServer, readShared } from "../net/sharedReads.ts"
import type { Broker } from "../Broker.ts"
import type { MqttBroker } from "./MqttBroker.ts"
import { MqttConnection } from "./MqttConnection.ts"
import { errorName, TcpTransport } from "./TcpTransport.ts"

export interface MqttListening {
  readonly port: number
  /** No new connections; clients are told, and cut off a second later. Resolves when all are closed. */
  readonly close: () => Promise<void>
}

const accept = (mqtt: MqttBroker, socket: net.Socket, connections: Set<MqttConnection>): void => {
  const admission = mqtt.broker.gate.admit(socket.remoteAddress ?? "unknown")
  if (admission === undefined) {
    socket.destroy()
    return
  }
  socket.setNoDelay(true)
  const connection = new MqttConnection(mqtt, new TcpTransport(socket), admission)
  connections.add(connection)
  socket.on("drain", () => connection.onDrain())
  socket.on("end", () => connection.ended())
  // The close event follows and tells all there is to do.
  socket.on("error", (error) => connection.failed(errorName(error)))
  socket.on("close", () => {
    connections.delete(connection)
    connection.onClosed()
  })
  readShared(socket, (chunk) => connection.onChunk(chunk))
}

/** MQTT over TCP. Rejects with the error of `listen`. */
export const listenMqtt = async (
  { log }: Broker,
  mqtt: MqttBroker,
  options: { readonly host: string; readonly port: number }
): Promise<MqttListening> => {
  const connections = new Set<MqttConnection>()
  const server = createSharedServer((socket) => accept(mqtt, socket, connections))
  server.listen(options.port, options.host)
  await once(server, "listening")
  server.on("error", (error) => log.error("mqtt: a connection could not be accepted", { error: String(error) }))
  mqtt.listens()
  return {
    port: (server.address() as net.AddressInfo).port,
    close: async () => {
      const closed = once(server, "close")
      server.close()
      await mqtt.stops(connections)
      await closed
    }
  }
}
