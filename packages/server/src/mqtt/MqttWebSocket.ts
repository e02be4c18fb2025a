import { once } from "node:events"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { WebSocket, WebSocketServer } from "ws"
import type { Broker } from "../Broker.ts"
import type { MqttBroker } from "./MqttBroker.ts"
import { MqttConnection } from "./MqttConnection.ts"
import type { MqttListening } from "./MqttListener.ts"
import type { Transport } from "./Transport.ts"

const subprotocol = "mqtt"
const unsupportedData = 1003
const normalClosure = 1000

const transportOf = (socket: WebSocket, remoteAddress: string, onDrain: () => void): Transport => ({
  remoteAddress,
  get unsentBytes() {
    return socket.bufferedAmount
  },
  write: (buffers) => {
    if (socket.readyState !== WebSocket.OPEN) return
    const bytes = buffers.length === 1 ? buffers[0]! : Buffer.concat(buffers)
    socket.send(bytes, { binary: true }, () => {
      if (socket.bufferedAmount === 0) onDrain()
    })
  },
  end: () => socket.close(normalClosure),
  destroy: () => socket.terminate(),
  pause: () => socket.pause(),
  resume: () => socket.resume()
})

const accept = (mqtt: MqttBroker, socket: WebSocket, remoteAddress: string, connections: Set<MqttConnection>): void => {
  const admission = mqtt.broker.gate.admit(remoteAddress)
  if (admission === undefined) {
    socket.terminate()
    return
  }
  const connection: MqttConnection = new MqttConnection(
    mqtt,
    transportOf(socket, remoteAddress, () => connection.onDrain()),
    admission
  )
  connections.add(connection)
  socket.on("message", (data, isBinary) => {
    // [MQTT-6.0.0-1]
    if (isBinary) connection.onChunk(data as Buffer)
    else socket.close(unsupportedData)
  })
  socket.on("error", () => undefined)
  socket.on("close", () => {
    connections.delete(connection)
    connection.onClosed()
  })
}

/** MQTT over WebSocket, on any path; clients must offer the subprotocol `mqtt` [MQTT-6.0.0-3]. Rejects with the error of `listen`. */
export const listenMqttWebSocket = async (
  { limits }: Broker,
  mqtt: MqttBroker,
  options: { readonly host: string; readonly port: number }
): Promise<MqttListening> => {
  const connections = new Set<MqttConnection>()
  const server = http.createServer(
    { requestTimeout: limits.connectTimeoutMs, headersTimeout: limits.connectTimeoutMs },
    (_request, response) => {
      response.writeHead(426, { Connection: "close", Upgrade: "websocket" }).end("MQTT over WebSocket only\n")
    }
  )
  // Before the upgrade the gate does not know them yet.
  server.maxConnections = limits.connectionsMax
  const webSockets = new WebSocketServer({
    server,
    maxPayload: limits.mqttPacketBytesMax,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
    verifyClient: ({ req }: { req: http.IncomingMessage }) =>
      (req.headers["sec-websocket-protocol"] ?? "").split(",").some((offered) => offered.trim() === subprotocol)
  })
  // Errors of the HTTP server come out here as well; `listen` has its own listener below.
  webSockets.on("error", () => undefined)
  webSockets.on("connection", (socket, request) =>
    accept(mqtt, socket, request.socket.remoteAddress ?? "unknown", connections)
  )
  server.listen(options.port, options.host)
  await once(server, "listening")
  mqtt.listens()
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, "close")
      server.close()
      webSockets.close()
      await mqtt.stops(connections)
      server.closeAllConnections()
      await closed
    }
  }
}
