import * as net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { generate } from "mqtt-packet"
import { encodeWholeRequest } from "@logbrook/protocols/kafka/Header"

const connections = 24
const burstEveryMs = 50

const connect = (port: number, n: number): net.Socket => {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress: `127.0.2.${n + 1}` })
  return socket.on("error", () => undefined).resume()
}

/**
 * Ordinary traffic, much of it: V8 gives its heap the size that work needs and keeps it, so that a server that has just
 * begun would show its first load as memory left behind.
 */
export const warmUp = async ({ kafka, mqtt }: { kafka: number; mqtt: number }, forMs: number): Promise<void> => {
  const requests = Buffer.concat(
    Array.from({ length: 1000 }, (_, correlationId) =>
      Buffer.concat(encodeWholeRequest(Metadata, 1, { correlationId, clientId: "warm" }, { topics: null }))
    )
  )
  const requesters = Array.from({ length: connections }, (_, n) => connect(kafka, n))
  const publishers = Array.from({ length: connections }, (_, n) => {
    const clientId = `warm-${n}`
    const socket = connect(mqtt, n)
    socket.write(
      generate({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0, clientId })
    )
    return socket
  })
  const message = generate({
    cmd: "publish",
    topic: "good/warm",
    payload: "x".repeat(200),
    qos: 0,
    retain: false,
    dup: false
  })
  const messages = Buffer.concat(Array.from({ length: 100 }, () => message))
  const endMs = performance.now() + forMs
  while (performance.now() < endMs) {
    for (const socket of requesters) if (!socket.writableNeedDrain) socket.write(requests)
    for (const socket of publishers) if (!socket.writableNeedDrain) socket.write(messages)
    await sleep(burstEveryMs)
  }
  for (const socket of [...requesters, ...publishers]) socket.destroy()
  await sleep(1000)
}
