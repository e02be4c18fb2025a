import type * as http from "node:http"
import type { Socket } from "node:net"
import type { Arrival, Arrivals } from "./Arrivals.ts"
import { foreignProtocol, httpRequest } from "./foreignProtocol.ts"
import type { Place } from "./ListenerGate.ts"

/** Node's parser fails with what it could not read. */
interface Unread extends Error {
  readonly rawPacket?: Buffer
}

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
    arrivals.pass(socket, (within, arrival) => {
      within.on("close", () => arrival.admission.release())
      within.on("error", ({ rawPacket }: Unread) => {
        const foreign = rawPacket && foreignProtocol(rawPacket)
        if (foreign === undefined || foreign === httpRequest) return
        arrivals.refused(arrival.address, `${foreign} came instead of ${httpRequest}`)
      })
      arrived(within, arrival)
      for (const serve of listeners) serve.call(server, within)
    })
  )
}
