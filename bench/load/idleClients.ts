import * as net from "node:net"
import { connectPacket } from "./mqttPackets.ts"

/** MQTT clients that connect and say nothing more. */
export class IdleClients {
  readonly #sockets: Array<net.Socket> = []

  /** As many as there are after this call. */
  async growTo(port: number, connections: number): Promise<void> {
    while (this.#sockets.length < connections) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const socket = net.connect({ port, host: "127.0.0.1" })
      socket.once("data", (answer) => (answer[3] === 0 ? resolve() : reject(new Error("the connection was refused"))))
      socket.once("error", reject)
      socket.once("close", () => reject(new Error("the connection was closed by the server")))
      socket.write(connectPacket(`bench-idle-${this.#sockets.length}`, 600))
      await promise
      this.#sockets.push(socket)
    }
  }

  /** Those that the server has not closed. */
  get open(): number {
    return this.#sockets.filter((socket) => socket.readyState === "open").length
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}
