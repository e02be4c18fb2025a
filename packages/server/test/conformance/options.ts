import type { IConnackPacket } from "mqtt-packet"
import { describe, expect } from "vitest"
import { publishPacket } from "../mqtt/kit.ts"
import { conforms, connect, property, read, serve } from "./kit.ts"
import { server as byDefault } from "./server.ts"

// What an operator chooses (3.2.2), and what CONNACK tells of it.

const connackOf = (bytes: Uint8Array): NonNullable<IConnackPacket["properties"]> & { readonly code: number } => {
  const { properties, reasonCode } = read<IConnackPacket>(5, bytes)
  return { ...properties, code: reasonCode! }
}

describe("a server that takes neither QoS 2 nor retained messages", () => {
  const server = serve({
    mqtt: { maximumQos: 1, retainAvailable: false, keepAliveSMax: 60, responsePrefix: "responses" }
  })

  conforms("5.0 MQTT-3.2.2-9", "tells its Maximum QoS", async () => {
    expect(connackOf((await server.connack(5)).connack).maximumQoS).toBe(1)
  })
  conforms("5.0 MQTT-3.2.2-10", "takes SUBSCRIBE of any QoS, and grants what it has", async () => {
    const client = await server.connect(5)
    for (const [asked, granted] of [
      [0, 0],
      [1, 1],
      [2, 1]
    ] as const) {
      expect(await client.subscribe(`a/${asked}`, asked)).toEqual([granted])
    }
  })
  conforms("5.0 MQTT-3.2.2-11", "ends a connection that sends QoS 2: 0x9B", async () => {
    const client = await server.connect(5)
    await client.publish("a", "x", { qos: 1 })
    await client.send(publishPacket("a", "x", { qos: 2 })).ended(0x9b)
  })
  conforms("5.0 MQTT-3.2.2-12", "refuses a will of QoS 2: 0x9B", async () => {
    const bytes = await server.refused(5, connect(5, "c", { will: { topic: "w", qos: 2 } }))
    expect(connackOf(bytes).code).toBe(0x9b)
  })
  conforms("5.0 MQTT-3.2.2-13", "refuses a retained will: 0x9A", async () => {
    const bytes = await server.refused(5, connect(5, "c", { will: { topic: "w", retain: true } }))
    expect(connackOf(bytes).code).toBe(0x9a)
  })
  conforms("5.0 MQTT-3.2.2-14", "ends a connection that sends a retained message: 0x9A", async () => {
    expect(connackOf((await server.connack(5)).connack).retainAvailable).toBe(false)
    await (await server.connect(5)).send(publishPacket("a", "x", { retain: true })).ended(0x9a)
  })

  conforms("5.0 MQTT-3.1.2-28", "tells its Response Information to nobody who does not ask for it", async () => {
    const asked = await server.connack(5, { properties: property.wantsResponseInformation(1) })
    expect(connackOf(asked.connack).responseInformation).toBe(`responses/${asked.peer.clientId}`)
    for (const properties of [property.wantsResponseInformation(0), []]) {
      expect(connackOf((await server.connack(5, { properties })).connack)).not.toHaveProperty("responseInformation")
    }
  })
})

describe("a client that goes beyond the server's limits", () => {
  conforms("5.0 MQTT-3.2.2-15", "of a packet's size: 0x95", async () => {
    const { peer, connack } = await byDefault.connack(5)
    const maximum = connackOf(connack).maximumPacketSize!
    const topic = "large"
    const largest = Buffer.alloc(maximum - publishPacket(topic, "").length - 3)
    await peer.publish(topic, largest.toString(), { qos: 0 })
    await peer.send(publishPacket(topic, Buffer.alloc(maximum))).ended(0x95)
  })
})
