import type { Socket } from "node:net"
import type { Transport } from "@logbrook/server/mqtt/Transport"
import type { Link } from "./Network.ts"
import type { Process } from "./Scheduler.ts"

/** What the system takes of a socket before it counts as unsent. */
const systemBytes = 16 * 1024

/** An accepted MQTT connection as its transport shows it, after `transportOf` of the TCP listener. */
export const transportOf = (link: Link, process: Process, remoteAddress: string, onDrain: () => void): Transport => {
  let isSlow = false
  link.toClient.onTaken = () => {
    if (!isSlow || link.toClient.unsentBytes > systemBytes) return
    isSlow = false
    process.nextTurn(onDrain)
  }
  const destroy = (): void => {
    if (!link.isBroken && link.onServerClosed !== undefined) link.break(0, 1)
  }
  return {
    remoteAddress,
    get unsentBytes() {
      return Math.max(0, link.toClient.unsentBytes - systemBytes)
    },
    write: (buffers) => {
      for (const buffer of buffers) link.toClient.write(buffer)
      if (link.toClient.unsentBytes > systemBytes) isSlow = true
    },
    end: () => link.serverEnds(),
    destroy,
    pause: () => link.toServer.pause(),
    resume: () => link.toServer.resume()
  }
}

interface Waiting {
  readonly atBytes: number
  readonly taken: (() => void) | undefined
}

/** An accepted Kafka connection: of `net.Socket` what `KafkaConnection` and `SocketOutput` use of it. */
export class FakeSocket {
  readonly #link: Link
  readonly #process: Process
  readonly #waiting: Array<Waiting> = []
  #written = 0
  #isEnding = false
  destroyed = false

  constructor(link: Link, process: Process) {
    this.#link = link
    this.#process = process
    link.toClient.onTaken = () => this.#taken()
  }

  asSocket(): Socket {
    return this as unknown as Socket
  }

  pause(): void {
    this.#link.toServer.pause()
  }

  resume(): void {
    this.#link.toServer.resume()
  }

  cork(): void {
    // Each write is a piece of its own in any case.
  }

  uncork(): void {
    this.#taken()
  }

  write(chunk: Uint8Array, taken?: (error?: Error) => void): void {
    if (this.destroyed) return
    this.#link.toClient.write(chunk)
    this.#written += chunk.length
    this.#waiting.push({ atBytes: this.#written, taken })
  }

  #taken(): void {
    const goneBytes = this.#written - this.#link.toClient.unsentBytes + systemBytes
    while (this.#waiting.length > 0 && this.#waiting[0]!.atBytes <= goneBytes) {
      const { taken, atBytes } = this.#waiting.shift()!
      this.#link.toClient.copied(atBytes)
      if (taken !== undefined) this.#process.nextTurn(() => (this.destroyed ? undefined : taken()))
    }
  }

  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#link.serverEnds()
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    if (!this.#link.isBroken) this.#link.break(0, 1)
  }
}
