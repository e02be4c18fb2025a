import type { IDisconnectPacket, IPublishPacket } from "mqtt-packet"
import { describe, expect } from "vitest"
import { publishPacket } from "../mqtt/kit.ts"
import { ack, conforms, connect, packetType, type Peer, property, read } from "./kit.ts"
import { server } from "./server.ts"
import type { Version } from "./statements.ts"

// Sessions and their ends, takeover, keep alive (3.1.2.4, 3.1.2.10, 3.1.4, 3.14), Maximum Packet Size, delivery and its order (4.1, 4.5, 4.6).

const protocolError = 0x82

/** A durable session of a client that is away, with this subscription. */
const away = async (version: Version, topic: string, qos = 2): Promise<Peer> => {
  const client = await server.subscribed(version, topic, qos, { isDurable: true })
  await client.disconnect()
  await server.gone(client.clientId)
  return client
}

describe("a session", () => {
  conforms(
    ["5.0 MQTT-3.1.2-4", "5.0 MQTT-3.1.4-4", "3.1.1 MQTT-3.1.2-6", "3.1.1 MQTT-3.1.4-3"],
    "is discarded for a client that starts clean, with all that it had",
    async (version) => {
      const topic = server.name()
      const { clientId } = await away(version, topic)
      const publisher = await server.connect(version)
      await publisher.publish(topic, "waits")
      const { peer, connack } = await server.connack(version, { clientId })
      expect(connack[2]).toBe(0)
      await publisher.publish(topic, "later")
      await peer.nothing()
      // Nor does it come back.
      await server.broken(peer)
      const again = await server.connack(version, { clientId, isDurable: true })
      expect(again.connack[2]).toBe(0)
      await again.peer.nothing()
    }
  )

  conforms(
    ["5.0 MQTT-3.1.2-5", "3.1.1 MQTT-3.1.2-4"],
    "goes on for a client that wants it, and outlives its connection",
    async (version) => {
      const topic = server.name()
      const { clientId } = await away(version, topic)
      const { peer, connack } = await server.connack(version, { clientId, isDurable: true })
      expect(connack[2]).toBe(1)
      await (await server.connect(version)).publish(topic, "subscribed still")
      expect(await peer.messages(1)).toEqual(["subscribed still"])
    }
  )
  conforms("5.0 MQTT-3.1.2-6", "is a new one where there is none", async (version) => {
    const { peer, connack } = await server.connack(version, { cleanStart: false })
    expect([connack[2], connack[3]]).toEqual([0, 0])
    await peer.subscribe("a")
  })
  conforms("5.0 MQTT-3.1.2-23", "is kept with an expiry interval above 0, and not without", async (version) => {
    const keeps = async (properties: ReadonlyArray<number>): Promise<number> => {
      const first = await server.connect(version, { cleanStart: false, properties })
      await server.broken(first)
      return (await server.connack(version, { cleanStart: false, clientId: first.clientId })).connack[2]!
    }
    expect(await keeps(property.sessionExpiry(1))).toBe(1)
    expect(await keeps(property.sessionExpiry(0))).toBe(0)
    expect(await keeps([])).toBe(0)
  })

  conforms("3.1.1 MQTT-3.1.2-5", "gets messages of QoS 1 and 2 while its client is away", async (version) => {
    const topic = server.name()
    const { clientId } = await away(version, topic)
    const publisher = await server.connect(version)
    for (const qos of [1, 2, 1] as const) await publisher.publish(topic, `${qos}`, { qos })
    const back = await server.connect(version, { clientId, isDurable: true })
    expect(await back.messages(3)).toEqual(["1", "2", "1"])
  })
  conforms("3.1.1 MQTT-3.1.2-7", "ends without the retained messages that its client published", async (version) => {
    const topic = server.name()
    const publisher = await server.connect(version)
    await publisher.publish(topic, "kept", { retain: true })
    await publisher.disconnect()
    await server.gone(publisher.clientId)
    expect(await (await server.subscribed(version, topic)).messages(1)).toEqual(["kept"])
  })

  conforms(
    ["5.0 MQTT-4.1.0-1", "3.1.1 MQTT-4.1.0-1", "3.1.1 MQTT-4.1.0-2"],
    "is not discarded while its connection is there, however long",
    async (version) => {
      const topic = server.name()
      const options = version === 5 ? { properties: property.sessionExpiry(5) } : {}
      const client = await server.subscribed(version, topic, 1, options)
      const publisher = await server.connect(version)
      await publisher.publish(topic, "unacknowledged")
      const { messageId } = await client.message()
      server.clock.advance(24 * 3_600_000)
      await publisher.publish(topic, "later")
      expect(await client.messages(1)).toEqual(["later"])
      client.send(ack(packetType.puback, messageId!))
      await client.nothing()
    }
  )
  conforms("5.0 MQTT-4.1.0-2", "is discarded once its expiry interval is over, and not before", async (version) => {
    const properties = property.sessionExpiry(60)
    const present = async (waitsMs: number): Promise<number> => {
      const first = await server.connect(version, { properties })
      await server.broken(first)
      server.clock.advance(waitsMs)
      await server.settled()
      return (await server.connack(version, { clientId: first.clientId, cleanStart: false, properties })).connack[2]!
    }
    expect(await present(50_000)).toBe(1)
    expect(await present(61_000)).toBe(0)
  })
})

describe("a client id that connects again", () => {
  conforms(
    ["5.0 MQTT-3.1.4-3", "3.1.1 MQTT-3.1.4-2"],
    "ends the connection that was there: DISCONNECT 0x8E",
    async (version) => {
      for (const isDurable of [false, true]) {
        const first = await server.connect(version, { isDurable })
        const second = await server.connect(version, { clientId: first.clientId, isDurable })
        await first.ended(0x8e)
        await second.nothing()
      }
    }
  )
})

describe("keep alive", () => {
  conforms(
    ["5.0 MQTT-3.1.2-22", "3.1.1 MQTT-3.1.2-24"],
    "ends a connection after one and a half times as long, and not before, as if the network had failed",
    async (version) => {
      const topic = server.name()
      const watcher = await server.subscribed(version, topic)
      const client = await server.connect(version, { keepAliveSeconds: 100, will: { topic } })
      const [idle, busy] = [await server.connect(version), await server.connect(version, { keepAliveSeconds: 100 })]
      server.clock.advance(140_000)
      for (const each of [client, busy]) await each.nothing()
      server.clock.advance(140_000)
      await busy.nothing()
      server.clock.advance(11_000)
      await client.ended(0x8d)
      expect((await watcher.message()).text).toBe("will")
      for (const each of [idle, busy]) await each.nothing()
    }
  )
})

describe("Maximum Packet Size", () => {
  conforms("5.0 MQTT-3.1.2-24", "is kept by every packet", async () => {
    const topic = server.name()
    const publisher = await server.connect(5)
    const size = publishPacket(topic, "x".repeat(50), { qos: 1 }).length
    const client = await server.subscribed(5, topic, 1, { properties: property.packetSizeMax(size) })
    for (const payload of [50, 51, 1000, 49]) await publisher.publish(topic, "x".repeat(payload))
    for (const payload of [50, 49]) {
      const { bytes } = await client.message()
      expect(bytes).toHaveLength(size - 50 + payload)
    }
    await client.nothing()
    client.send(publishPacket("$stream/x", "x", { qos: 1 }))
    expect((await client.packet()).length).toBeLessThanOrEqual(size)
    const rest = await client.send([0, 0]).rest()
    expect(rest[0]).toBe(packetType.disconnect)
    expect(rest.length).toBeLessThanOrEqual(size)
  })

  conforms("5.0 MQTT-3.1.2-25", "has a larger message discarded, and takes nothing of the window for it", async () => {
    const topic = server.name()
    const properties = [...property.packetSizeMax(100), ...property.receiveMaximum(1)]
    const client = await server.subscribed(5, topic, 2, { isDurable: true, properties })
    const publisher = await server.connect(5)
    for (const qos of [1, 2, 0] as const) await publisher.publish(topic, "x".repeat(200), { qos })
    await publisher.publish(topic, "fits")
    expect(await client.messages(1)).toEqual(["fits"])
    await server.broken(client)
    await publisher.publish(topic, "x".repeat(200))
    const back = await server.connect(5, { clientId: client.clientId, isDurable: true, properties })
    expect(await back.messages(1)).toEqual(["fits"])
  })
})

describe("what a client is told on request only", () => {
  conforms("5.0 MQTT-3.1.2-29", "reason strings and user properties, with Request Problem Information 0", async () => {
    const stored = server.name()
    await server.kit.bind(stored, [stored])
    const properties = [...property.wantsProblems(0), ...property.user("receipts", "1")]
    const client = await server.connect(5, { properties })
    client.send(
      publishPacket("$stream/x", "x", { qos: 1, packetId: 1 }),
      publishPacket("$stream/x", "x", { qos: 2, packetId: 2 }),
      publishPacket(stored, "x", { qos: 1, packetId: 3 })
    )
    for (const [type, packetId, code] of [
      [0x40, 1, 0x87],
      [0x50, 2, 0x87]
    ] as const) {
      expect([...(await client.packet())].filter((_, at) => at !== 1).slice(0, 4)).toEqual([type, 0, packetId, code])
    }
    expect([...(await client.packet())]).toEqual([packetType.puback, 2, 0, 3])
    expect(await client.subscribe("$stream/none")).toEqual([0x8f])
    // PUBLISH keeps them.
    const topic = server.name()
    await client.subscribe(topic)
    await (await server.connect(5)).publish(topic, "x", { properties: property.user("n", "v") })
    expect((await client.message()).properties?.userProperties).toEqual({ n: "v" })
  })
})

const goodbye = async (size: number): Promise<Buffer> => {
  const client = await server.connect(5, { properties: property.packetSizeMax(size) })
  return client.send([0, 0]).rest()
}

describe("DISCONNECT", () => {
  conforms("5.0 MQTT-3.14.2-2", "of the server has no session expiry interval", async () => {
    const first = await server.connect(5, { isDurable: true })
    await server.connect(5, { clientId: first.clientId, isDurable: true })
    expect(read<IDisconnectPacket>(5, await first.rest()).properties).not.toHaveProperty("sessionExpiryInterval")
  })
  conforms("5.0 MQTT-3.14.2-3", "leaves out a reason string that makes it too large", async () => {
    const whole = (await goodbye(1000)).length
    expect(whole).toBeGreaterThan(10)
    expect(await goodbye(whole)).toHaveLength(whole)
    expect((await goodbye(whole - 1)).length).toBeLessThan(6)
  })
  conforms("5.0 MQTT-3.14.2-4", "of the server has no user properties", async () => {
    const client = await server.connect(5, { properties: property.user("receipts", "1") })
    const { properties } = read<IDisconnectPacket>(5, await client.send([0, 0]).rest())
    expect(properties).not.toHaveProperty("userProperties")
  })
  conforms(
    ["5.0 MQTT-3.14.4-1", "5.0 MQTT-3.14.4-2"],
    "is the server's last packet, and the close follows",
    async (version) => {
      const topic = server.name()
      const client = await server.subscribed(version, topic)
      const publisher = await server.connect(version)
      // What comes behind it is not answered, nor what others publish delivered.
      client.send([0, 0], [packetType.pingreq, 0], [packetType.pingreq, 0])
      for (let i = 0; i < 3; i++) await publisher.publish(topic)
      const rest = await client.rest()
      const goodbye = rest.subarray(rest.indexOf(packetType.disconnect))
      expect(goodbye).toHaveLength(goodbye[1]! + 2)
    }
  )
})

describe("delivery", () => {
  conforms(
    ["5.0 MQTT-4.5.0-1", "3.1.1 MQTT-4.5.0-1"],
    "is to everyone whose subscription matches, there or away",
    async (version) => {
      const topic = server.name()
      const filters = [topic, `${topic}/#`, `${topic}/+/b`, `${topic}/+`, `+/${topic}`]
      const there: Array<Peer> = []
      for (const filter of filters) there.push(await server.subscribed(version, filter, 1))
      const gone: Array<Peer> = []
      for (const filter of filters) gone.push(await away(version, filter))
      const publisher = await server.connect(version)
      for (const name of [topic, `${topic}/a`, `${topic}/a/b`, `x/${topic}`]) await publisher.publish(name, name)
      const wanted = [[topic], [topic, `${topic}/a`, `${topic}/a/b`], [`${topic}/a/b`], [`${topic}/a`], [`x/${topic}`]]
      for (const [at, names] of wanted.entries()) {
        expect(await there[at]!.messages(names.length)).toEqual(names)
        const back = await server.connect(version, { clientId: gone[at]!.clientId, isDurable: true })
        expect(await back.messages(names.length)).toEqual(names)
      }
    }
  )

  conforms(
    ["5.0 MQTT-4.6.0-5", "5.0 MQTT-4.6.0-6", "3.1.1 MQTT-4.6.0-5", "3.1.1 MQTT-4.6.0-6"],
    "is in the order in which a client's messages came, for each topic and QoS",
    async (version) => {
      const topic = server.name()
      await server.kit.bind(topic, [`${topic}/0`], 4)
      const client = await server.subscribed(version, `${topic}/+`, 2)
      const later = await away(version, `${topic}/+`)
      const publisher = await server.connect(version)
      const sent = Array.from({ length: 90 }, (_, at) => ({
        at,
        topic: `${topic}/${at % 2}`,
        qos: (at % 3) as 0 | 1 | 2
      }))
      publisher.send(
        ...sent.map(({ at, topic, qos }) => publishPacket(topic, `${at}`, { version, qos, packetId: at + 1 }))
      )
      const collect = async (from: Peer, count: number, isQueued: boolean): Promise<void> => {
        const lasts = new Map<string, number>()
        for (let i = 0; i < count;) {
          const bytes = await from.packet()
          if (bytes[0] === packetType.pubrel) {
            from.send(ack(packetType.pubcomp, bytes.readUInt16BE(2)))
            continue
          }
          const { topic, qos, payload, messageId } = read<IPublishPacket>(version, bytes)
          const key = `${topic} ${qos}`
          const at = Number(payload.toString())
          expect(at).toBeGreaterThan(lasts.get(key) ?? -1)
          lasts.set(key, at)
          i++
          if (qos > 0) from.send(ack(qos === 1 ? packetType.puback : packetType.pubrec, messageId!))
        }
        expect(lasts.size).toBe(isQueued ? 4 : 6)
      }
      await collect(client, 90, false)
      await server.settled()
      await collect(await server.connect(version, { clientId: later.clientId, isDurable: true }), 60, true)
    }
  )

  conforms("3.1.1 MQTT-7.0.0-2", "needs nothing that is not in the standard", async (version) => {
    const topic = server.name()
    const client = await server.connect(version)
    for (const qos of [0, 1, 2] as const) {
      await client.subscribe(`${topic}/${qos}`, qos)
      await (await server.connect(version)).publish(`${topic}/${qos}`, "x", { qos })
      expect((await client.message()).qos).toBe(qos)
    }
    await client.send(connect(version, client.clientId)).ended(protocolError)
  })
})

/** A durable member that has one message of QoS 2 unacknowledged, and another member, which has none. */
const interrupted = async () => {
  const topic = server.name()
  const filter = `$share/g/${topic}`
  const member = await server.subscribed(5, filter, 2, { isDurable: true })
  await (await server.connect(5)).publish(topic, "one", { qos: 2 })
  const { messageId } = await member.message()
  const other = await server.subscribed(5, filter, 2)
  return { member, messageId: messageId!, other }
}

const badShare = async (filter: string): Promise<void> => {
  const client = await server.connect(5)
  const bytes = Buffer.from([0x82, 6 + filter.length, 0, 1, 0, 0, filter.length, ...Buffer.from(filter), 0])
  await client.send(bytes).ended(0x8f)
}

describe("shared subscriptions", () => {
  conforms("5.0 MQTT-4.8.2-1", "begin with $share/ and a name, or the connection ends", async () => {
    await server.subscribed(5, "$share/g/a")
    for (const filter of ["$share", "$share/", "$share//a"]) await badShare(filter)
    // Other names are filters as any.
    const topic = server.name()
    const client = await server.subscribed(5, `$shared/g/${topic}`)
    await (await server.connect(5)).publish(topic)
    await client.nothing()
  })
  conforms("5.0 MQTT-4.8.2-2", "have no wildcards in the name, and a filter behind it", async () => {
    for (const filter of ["$share/g", "$share/g/", "$share/+/a", "$share/#/a", "$share/g+/a", "$share/g/a#"])
      await badShare(filter)
    const topic = server.name()
    const client = await server.subscribed(5, `$share/g/${topic}/+`)
    await (await server.connect(5)).publish(`${topic}/a`)
    expect((await client.message()).topic).toBe(`${topic}/a`)
  })
  conforms("5.0 MQTT-4.8.2-3", "bring messages at the QoS that the member was granted", async () => {
    const topic = server.name()
    const members = new Map<number, Peer>()
    for (const qos of [0, 1, 2]) members.set(qos, await server.subscribed(5, `$share/g/${topic}`, qos))
    const publisher = await server.connect(5)
    for (let i = 0; i < 6; i++) await publisher.publish(topic, "x", { qos: 2 })
    let count = 0
    for (const [qos, member] of members) {
      member.send([packetType.pingreq, 0])
      for (;;) {
        const bytes = await member.packet()
        if (bytes[0] === packetType.pingresp) break
        expect((bytes[0]! >>> 1) & 3).toBe(qos)
        count++
      }
    }
    expect(count).toBe(6)
  })

  conforms("5.0 MQTT-4.8.2-4", "of QoS 2 complete what broke off when the member is back", async () => {
    const { member, messageId, other } = await interrupted()
    await server.broken(member)
    await other.nothing()
    const back = await server.connect(5, { clientId: member.clientId, isDurable: true })
    expect(await back.message()).toMatchObject({ messageId, text: "one", qos: 2, dup: true })
    back.send(ack(packetType.pubrec, messageId))
    expect(await back.acked(packetType.pubrel)).toEqual({ packetId: messageId, code: 0 })
    await other.nothing()
  })
  conforms("5.0 MQTT-4.8.2-5", "of QoS 2 send it to nobody else when the member's session ends", async () => {
    const { member, other } = await interrupted()
    await server.broken(member)
    await server.connect(5, { clientId: member.clientId })
    await server.settled()
    await other.nothing()
  })
  conforms("5.0 MQTT-4.8.2-6", "send to nobody else what a member refuses", async () => {
    for (const [qos, type] of [
      [1, packetType.puback],
      [2, packetType.pubrec]
    ] as const) {
      const topic = server.name()
      const filter = `$share/g/${topic}`
      const member = await server.subscribed(5, filter, qos)
      await (await server.connect(5)).publish(topic, "refused", { qos })
      const { messageId } = await member.message()
      const other = await server.subscribed(5, filter, qos)
      member.send(ack(type, messageId!, 0x80))
      await member.nothing()
      await server.broken(member)
      await other.nothing()
    }
  })
})
