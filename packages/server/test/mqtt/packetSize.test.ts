import mqtt from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connected, type Kit, publishPacket, type RawClient, startKit, subscribePacket } from "./kit.ts"

let kit: Kit
const sockets: Array<RawClient> = []

beforeEach(async () => {
  kit = await startKit()
})

afterEach(async () => {
  for (const { socket } of sockets.splice(0)) socket.destroy()
  await kit.stop()
})

const subscribed = async (clientId: string, packetSizeMax: number, qos: number): Promise<RawClient> => {
  const client = await connected(kit.port, {
    clientId,
    properties: [0x27, 0, 0, packetSizeMax >>> 8, packetSizeMax & 0xff]
  })
  sockets.push(client)
  client.send(subscribePacket(1, [["p/#", qos]]))
  await client.packet()
  return client
}

const payload = "x".repeat(100)

describe("a client's Maximum Packet Size [MQTT-3.1.2-24]", () => {
  it.each([0, 1, 2] as const)(
    "lets a message of exactly that size pass, and none a byte larger: QoS %d",
    async (qos) => {
      const bytes = publishPacket("p/a", payload, { qos }).length
      const [roomy, tight] = [await subscribed("roomy", bytes, qos), await subscribed("tight", bytes - 1, qos)]
      const publisher = await mqtt.connectAsync(`mqtt://127.0.0.1:${kit.port}`, { protocolVersion: 5 })
      await publisher.publishAsync("p/a", payload, { qos })
      await publisher.publishAsync("p/a", payload.slice(1), { qos })
      await publisher.endAsync()
      expect((await roomy.packet()).length).toBe(bytes)
      const first = await tight.packet()
      expect([first.length, first.subarray(-99).toString()]).toEqual([bytes - 1, payload.slice(1)])
      expect(kit.broker.metrics.render()).toContain('messages_dropped_total{reason="packet_too_large"} 1')
    }
  )
})
