import { describe, expect } from "vitest"
import { packet } from "../mqtt/kit.ts"
import { ack, conforms, connect, option, packetType, type Peer, property } from "./kit.ts"
import { server } from "./server.ts"

// Wills (3.1.2.5, 3.1.3.2, 3.14.4).

describe("a will", () => {
  conforms(
    ["5.0 MQTT-3.1.2-7", "5.0 MQTT-3.1.2-8", "3.1.1 MQTT-3.1.2-8"],
    "is stored with an accepted connection, and published when that ends without DISCONNECT",
    async (version) => {
      const topic = server.name()
      const watcher = await server.subscribed(version, topic, 1)
      // One that is refused has none.
      const refused = await server.refused(version, connect(version, "x".repeat(257), { will: { topic } }))
      expect(refused[3]).toBeGreaterThan(0)
      const ways: ReadonlyArray<(client: Peer) => unknown> = [
        ({ raw }) => raw.socket.resetAndDestroy(),
        ({ raw }) => raw.socket.end(),
        // What it may not send.
        (client) => client.send([0, 0]),
        ({ clientId }) => server.connect(version, { clientId }),
        ({ clientId }) => server.kit.mqtt.kick(clientId, "by an operator")
      ]
      for (const end of ways) {
        const client = await server.connect(version, { will: { topic, payload: "gone", qos: 1 } })
        await watcher.nothing()
        await end(client)
        const message = await watcher.message()
        expect(message).toMatchObject({ topic, text: "gone", qos: 1 })
        watcher.send(ack(packetType.puback, message.messageId!))
      }
    }
  )

  conforms("5.0 MQTT-3.1.2-8", "with a delay is published when the delay is over, or the session", async () => {
    const topic = server.name()
    const watcher = await server.subscribed(5, topic)
    const will = { topic, properties: property.willDelay(60) }
    const delayed = await server.connect(5, { isDurable: true, will })
    const ending = await server.connect(5, {
      properties: property.sessionExpiry(30),
      will: { ...will, payload: "ending" }
    })
    for (const client of [delayed, ending]) await server.broken(client)
    server.clock.advance(29_000)
    await server.settled()
    await watcher.nothing()
    server.clock.advance(2000)
    expect((await watcher.message()).text).toBe("ending")
    await watcher.nothing()
    server.clock.advance(30_000)
    expect((await watcher.message()).text).toBe("will")
    // DISCONNECT with 0x04 has it published too.
    const leaving = await server.connect(5, { will: { topic, payload: "left" } })
    await leaving.disconnect(0x04)
    expect((await watcher.message()).text).toBe("left")
  })

  conforms(
    ["5.0 MQTT-3.1.2-10", "3.1.1 MQTT-3.1.2-10"],
    "is forgotten behind DISCONNECT, and once it was sent",
    async (version) => {
      const topic = server.name()
      const watcher = await server.subscribed(version, topic)
      const client = await server.connect(version, { isDurable: true, will: { topic, payload: "once" } })
      await server.broken(client)
      expect((await watcher.message()).text).toBe("once")
      const { clientId } = client
      for (let i = 0; i < 2; i++) {
        await server.broken(await server.connect(version, { clientId, isDurable: true }))
      }
      const said = await server.connect(version, { isDurable: true, will: { topic } })
      await said.disconnect()
      await server.broken(await server.connect(version, { clientId: said.clientId, isDurable: true }))
      await watcher.nothing()
    }
  )

  conforms(["5.0 MQTT-3.14.4-3", "3.1.1 MQTT-3.14.4-3"], "is discarded at DISCONNECT", async (version) => {
    const topic = server.name()
    const watcher = await server.subscribed(version, topic)
    const client = await server.connect(version, { will: { topic } })
    await client.disconnect()
    await server.gone(client.clientId)
    await watcher.nothing()
  })

  conforms("3.1.1 MQTT-3.1.2-12", "is not published for a client without", async (version) => {
    const watcher = await server.subscribed(5, "#", option.retainHandling(2))
    const client = await server.connect(version)
    await server.broken(client)
    await watcher.nothing()
  })

  for (const [ids, retain] of [
    [["5.0 MQTT-3.1.2-14", "3.1.1 MQTT-3.1.2-16"], false],
    [["5.0 MQTT-3.1.2-15", "3.1.1 MQTT-3.1.2-17"], true]
  ] as const) {
    conforms(
      ids,
      retain ? "with the retain flag is retained" : "without the retain flag is not retained",
      async (version) => {
        const topic = server.name()
        const watcher = await server.subscribed(version, topic)
        const client = await server.connect(version, { will: { topic, retain } })
        await server.broken(client)
        await watcher.message()
        const later = await server.subscribed(version, topic)
        if (retain) expect(await later.message()).toMatchObject({ text: "will", retain: true })
        await later.nothing()
      }
    )
  }

  conforms("5.0 MQTT-3.1.3-9", "is not sent for a client that is back before its delay is over", async () => {
    const topic = server.name()
    const watcher = await server.subscribed(5, topic)
    const first = await server.connect(5, { isDurable: true, will: { topic, properties: property.willDelay(60) } })
    await server.broken(first)
    await server.connect(5, { clientId: first.clientId, isDurable: true })
    // Nor for one that is back before its connection was seen to end.
    const second = await server.connect(5, { isDurable: true, will: { topic, properties: property.willDelay(60) } })
    await server.connect(5, { clientId: second.clientId, isDurable: true })
    server.clock.advance(120_000)
    await server.settled()
    await watcher.nothing()
  })

  conforms("5.0 MQTT-3.1.3-10", "has its user properties in their order", async () => {
    const topic = server.name()
    const watcher = await server.subscribed(5, topic)
    const pairs = [
      ["b", "1"],
      ["a", "2"],
      ["b", "3"],
      ["", ""]
    ] as const
    const properties = pairs.flatMap(([name, value]) => property.user(name, value))
    const client = await server.connect(5, { will: { topic, properties } })
    await server.broken(client)
    const { bytes } = await watcher.message()
    expect(bytes.includes(Buffer.from(properties))).toBe(true)
  })
})

describe("DISCONNECT", () => {
  conforms(
    "5.0 MQTT-3.14.2-1",
    "has one of the codes that it may have, of the client's and of the server's",
    async () => {
      // MQTT 5, 3.14.2.1: those that clients may send.
      const codes = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
      for (const code of codes) await (await server.connect(5)).disconnect(code)
      for (const code of [0x01, 0x18, 0x85, 0x8b, 0xff]) {
        await (await server.connect(5)).send(packet(packetType.disconnect, [code])).ended(0x82)
      }
      const ofServer = [
        ...codes,
        0x87,
        0x89,
        0x8b,
        0x8d,
        0x8e,
        0x8f,
        0x9a,
        0x9b,
        0x9c,
        0x9d,
        0x9e,
        0x9f,
        0xa0,
        0xa1,
        0xa2
      ]
      const method = property.authenticationMethod("m")
      const bad = [packet(0xf0, [0x19, method.length, ...method]), packet(0x82, [0, 1, 0]), Buffer.from([0, 0])]
      for (const bytes of bad) {
        const rest = await (await server.connect(5)).send(bytes).rest()
        expect(rest[0]).toBe(packetType.disconnect)
        expect(ofServer).toContain(rest[2])
      }
    }
  )
})
