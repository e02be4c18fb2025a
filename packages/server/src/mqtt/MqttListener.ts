import type * as net from "node:net"
import * as Effect from "effect/Effect"
import { type Arrival, Arrivals } from "../net/Arrivals.ts"
import { listen } from "../net/listen.ts"
import type { ListenerOptions } from "../net/Listener.ts"
import { createSharedServer } from "../net/sharedReads.ts"
import type { Mount } from "./MountPoint.ts"
import type { MqttBroker } from "./MqttBroker.ts"
import { MqttConnection } from "./MqttConnection.ts"
import { errorName, TcpTransport } from "./TcpTransport.ts"

export interface MqttListenerOptions extends ListenerOptions {
  /** See `MountPoint.ts`. */
  readonly mountPoint: string
}

const serve = (
  mqtt: MqttBroker,
  mount: Mount,
  socket: net.Socket,
  { address, admission, principal }: Arrival,
  connections: Set<MqttConnection>
): ((chunk: Buffer) => void) => {
  socket.setNoDelay(true)
  const transport = new TcpTransport(socket, address, () => connection.onDrain())
  const connection = new MqttConnection(mqtt, transport, admission, mount)
  connection.principal = principal
  connections.add(connection)
  socket.on("end", () => connection.ended())
  // The close event follows and tells all there is to do.
  socket.on("error", (error) => connection.failed(errorName(error)))
  socket.on("close", () => {
    connections.delete(connection)
    connection.onClosed()
  })
  return (chunk) => connection.onChunk(chunk)
}

/** MQTT over TCP or a Unix socket until the scope closes: then clients are told, and cut off a second later. */
export const listenMqtt = (mqtt: MqttBroker, options: MqttListenerOptions) =>
  Effect.gen(function* () {
    const { broker } = mqtt
    const { name, at, limits, mountPoint } = options
    const mount = mqtt.mountOf(mountPoint)
    const connections = new Set<MqttConnection>()
    const gate = broker.gate.ofListener(name, "mqtt", limits)
    const arrivals = new Arrivals(broker, options, (address) => broker.gate.admitOrTell(address, gate))
    const server = createSharedServer((socket) =>
      arrivals.accept(socket, (within, arrival) => serve(mqtt, mount, within, arrival, connections))
    )
    const end = async (closed: Promise<unknown>): Promise<void> => {
      arrivals.stop()
      await mqtt.stops(connections)
      await closed
    }
    const listening = yield* listen(server, {
      protocol: "mqtt",
      name,
      at,
      isTls: options.tls !== undefined,
      log: broker.log,
      end
    })
    mqtt.listens()
    return listening
  })
