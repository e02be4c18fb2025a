import type * as net from "node:net"
import * as Effect from "effect/Effect"
import { listen } from "../net/listen.ts"
import { createSharedServer, readShared } from "../net/sharedReads.ts"
import type { MqttBroker } from "./MqttBroker.ts"
import { MqttConnection } from "./MqttConnection.ts"
import { errorName, TcpTransport } from "./TcpTransport.ts"

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

/** MQTT over TCP until the scope closes: then clients are told, and cut off a second later. */
export const listenMqtt = (mqtt: MqttBroker, address: { readonly host: string; readonly port: number }) =>
  Effect.gen(function* () {
    const connections = new Set<MqttConnection>()
    const server = createSharedServer((socket) => accept(mqtt, socket, connections))
    const end = async (closed: Promise<unknown>): Promise<void> => {
      await mqtt.stops(connections)
      await closed
    }
    const listening = yield* listen(server, { what: "mqtt", ...address, log: mqtt.broker.log, end })
    mqtt.listens()
    return listening
  })
