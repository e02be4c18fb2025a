import { once } from "node:events"
import * as net from "node:net"
import * as mqttPacket from "mqtt-packet"

/** What passed of one PUBLISH. */
export interface Passed {
  readonly topic: string
  readonly alias: number | undefined
}

/** Stands between client and server, and keeps what it sees of MQTT 5's PUBLISH packets each way. */
export class Tap {
  readonly toServer: Array<Passed> = []
  readonly toClient: Array<Passed> = []
  readonly #listener: net.Server
  readonly #sockets = new Set<net.Socket>()

  private constructor(serverPort: number) {
    this.#listener = net.createServer((client) => {
      const server = net.connect(serverPort, "127.0.0.1")
      this.#join(client, server, this.toServer)
      this.#join(server, client, this.toClient)
    })
  }

  static async start(serverPort: number): Promise<Tap> {
    const tap = new Tap(serverPort)
    await once(tap.#listener.listen(0, "127.0.0.1"), "listening")
    return tap
  }

  get port(): number {
    return (this.#listener.address() as net.AddressInfo).port
  }

  #join(from: net.Socket, to: net.Socket, seen: Array<Passed>): void {
    this.#sockets.add(from)
    const parser = mqttPacket.parser({ protocolVersion: 5 })
    parser.on("packet", (packet) => {
      if (packet.cmd === "publish") seen.push({ topic: packet.topic, alias: packet.properties?.topicAlias })
    })
    from.on("data", (bytes: Buffer) => {
      parser.parse(bytes)
      to.write(bytes)
    })
    from.on("error", () => undefined)
    from.on("close", () => to.end())
  }

  async end(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => void this.#listener.close(resolve))
  }
}
