import type * as http from "node:http"
import type { Socket } from "node:net"
import type { Arrival, Arrivals } from "./Arrivals.ts"
import type { Place } from "./ListenerGate.ts"

/**
 * Has `arrivals` let in the connections of an HTTP server, which serves them behind their PROXY headers. It is Node's own listener
 * for connections that serves them then: the server's limits, timeouts and end hold for all of them.
 */
export const letInBy = <P extends Place>(
  server: http.Server,
  arrivals: Arrivals<P>,
  arrived: (socket: Socket, arrival: Arrival<P>) => void
): void => {
  const listeners = server.listeners("connection")
  server.removeAllListeners("connection")
  server.on("connection", (socket: Socket) =>
    arrivals.pass(socket, (arrival) => {
      socket.on("close", () => arrival.admission.release())
      arrived(socket, arrival)
      for (const serve of listeners) serve.call(server, socket)
    })
  )
}
