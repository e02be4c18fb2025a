import * as net from "node:net"
import { once } from "node:events"
import { readShared } from "../net/sharedReads.ts"
import type { Broker } from "../Broker.ts"
import type { MqttBroker } from "./MqttBroker.ts"
import { MqttConnection } from "./MqttConnection.ts"
import type { Transport } from "./Transport.ts"

export interface MqttListening {
  readonly port: number
  /** No new connections; clients are told, and cut off a second later. Resolves when all are closed. */
  readonly close: () => Promise<void>
}

/** Up to this many bytes, one copy is cheaper than a vector of buffers. */
const joinBytesMax = 16 * 1024

const join = (buffers: ReadonlyArray<Uint8Array>): Uint8Array | undefined => {
  if (buffers.length === 1) return buffers[0]!
  let bytes = 0
  for (const buffer of buffers) bytes += buffer.length
  return bytes > joinBytesMax ? undefined : Buffer.concat(buffers, bytes)
}

const transportOf = (socket: net.Socket): Transport => {
  const remoteAddress = socket.remoteAddress ?? "unknown"
  return {
    remoteAddress,
    get unsentBytes() {
      return socket.writableLength
    },
    write: (buffers) => {
      if (socket.writableEnded || socket.destroyed) return
      const joined = join(buffers)
      if (joined !== undefined) {
        socket.write(joined)
        return
      }
      socket.cork()
      for (const buffer of buffers) socket.write(buffer)
      socket.uncork()
    },
    end: () => socket.end(),
    destroy: () => socket.destroy(),
    pause: () => socket.pause(),
    resume: () => socket.resume()
  }
}

const accept = (mqtt: MqttBroker, accepted: net.Socket, connections: Set<MqttConnection>): void => {
  const release = mqtt.hasRoomForHandshake ? mqtt.broker.gate.admit(accepted.remoteAddress ?? "unknown") : undefined
  if (release === undefined) {
    accepted.destroy()
    return
  }
  let connection: MqttConnection | undefined = undefined
  const socket = readShared(accepted, (chunk) => connection?.onChunk(chunk))
  socket.setNoDelay(true)
  const made = new MqttConnection(mqtt, transportOf(socket), release)
  connection = made
  connections.add(made)
  socket.on("drain", () => made.onDrain())
  // The close event follows and tells all there is to do.
  socket.on("error", () => undefined)
  socket.on("close", () => {
    connections.delete(made)
    made.onClosed()
  })
}

/** MQTT over TCP. Rejects with the error of `listen`. */
export const listenMqtt = async (
  _broker: Broker,
  mqtt: MqttBroker,
  options: { readonly host: string; readonly port: number }
): Promise<MqttListening> => {
  const connections = new Set<MqttConnection>()
  const server = net.createServer({ pauseOnConnect: true }, (socket) => accept(mqtt, socket, connections))
  server.listen(options.port, options.host)
  await once(server, "listening")
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
