import { describe, expect } from "vitest"
import { packet, publishPacket } from "../mqtt/kit.ts"
import { ack, conforms, option, packetType, property, section, text, two } from "./kit.ts"
import { server } from "./server.ts"
import type { Version } from "./statements.ts"

// PUBLISH (3.3). Its exchanges stand in acknowledgements.ts.

const malformed = 0x81
const protocolError = 0x82
const topicNameInvalid = 0x90
const topicAliasInvalid = 0x94

describe("DUP", () => {
  conforms(["5.0 MQTT-3.3.1-1", "3.1.1 MQTT-3.3.1-1"], "is set in what is sent again", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, topic, 2, { isDurable: true })
    const publisher = await server.connect(version)
    await publisher.publish(topic, "one", { qos: 1 })
    await publisher.publish(topic, "two", { qos: 2 })
    for (let i = 0; i < 2; i++) expect((await client.message()).dup).toBe(false)
    await server.broken(client)
    const again = await server.connect(version, { clientId: client.clientId, isDurable: true })
    for (const payload of ["one", "two"]) expect(await again.message()).toMatchObject({ dup: true, text: payload })
  })

  conforms(["5.0 MQTT-3.3.1-2", "3.1.1 MQTT-3.3.1-2"], "is 0 with QoS 0, either way", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, topic, 0)
    await (await server.connect(version)).publish(topic, "x", { qos: 1, dup: true })
    expect(await client.message()).toMatchObject({ qos: 0, dup: false })
    await client.send(publishPacket(topic, "x", { version, dup: true })).ended(protocolError)
  })

  conforms(["5.0 MQTT-3.3.1-3", "3.1.1 MQTT-3.3.1-3"], "that came in goes to nobody", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, topic, 2)
    const publisher = await server.connect(version)
    for (const qos of [1, 2] as const) {
      await publisher.publish(topic, "x", { qos, dup: true })
      expect(await client.message()).toMatchObject({ qos, dup: false })
    }
  })
})

describe("QoS", () => {
  conforms(["5.0 MQTT-3.3.1-4", "3.1.1 MQTT-3.3.1-4"], "3 ends the connection", async (version) => {
    const bytes = packet(0x36, text("a"), two(1), section(version))
    await (await server.connect(version)).send(bytes).ended(malformed)
  })

  conforms(["5.0 MQTT-3.3.4-1", "3.1.1 MQTT-3.3.4-1"], "says how it is answered", async (version) => {
    const client = await server.connect(version)
    const topic = server.name()
    client.send(publishPacket(topic, "x", { version, qos: 0 }))
    await client.nothing()
    client.send(publishPacket(topic, "x", { version, qos: 1, packetId: 7 }))
    expect((await client.acked(packetType.puback)).packetId).toBe(7)
    client.send(publishPacket(topic, "x", { version, qos: 2, packetId: 8 }))
    expect((await client.acked(packetType.pubrec)).packetId).toBe(8)
    client.send(ack(packetType.pubrel, 8))
    expect((await client.acked(packetType.pubcomp)).packetId).toBe(8)
  })

  conforms(
    ["5.0 MQTT-3.3.4-2", "3.1.1 MQTT-3.3.5-1"],
    "of overlapping subscriptions is the highest that was granted",
    async (version) => {
      const topic = server.name()
      const client = await server.subscribed(version, `${topic}/#`, 0)
      await client.subscribe(`${topic}/+`, 2)
      await client.subscribe(`${topic}/a`, 1)
      const publisher = await server.connect(version)
      for (const qos of [2, 1, 0] as const) {
        await publisher.publish(`${topic}/a`, "x", { qos })
        expect((await client.message()).qos).toBe(qos)
      }
      await client.nothing()
    }
  )
})

describe("a retained message", () => {
  const retained = { retain: true } as const

  conforms("5.0 MQTT-3.3.1-5", "takes the place of the earlier one", async (version) => {
    const topic = server.name()
    const publisher = await server.connect(version)
    for (const [payload, qos] of [
      ["1", 2],
      ["2", 0],
      ["3", 1]
    ] as const) {
      await publisher.publish(topic, payload, { ...retained, qos })
      const later = await server.subscribed(version, topic, 2)
      expect(await later.message()).toMatchObject({ text: payload, qos, retain: true })
      await later.nothing()
    }
  })
  conforms("3.1.1 MQTT-3.3.1-5", "is stored with its QoS", async (version) => {
    const publisher = await server.connect(version)
    for (const qos of [0, 1, 2] as const) {
      const topic = server.name()
      await publisher.publish(topic, "kept", { ...retained, qos })
      expect(await (await server.subscribed(version, topic, 2)).message()).toMatchObject({ text: "kept", qos })
    }
  })
  conforms("3.1.1 MQTT-3.3.1-7", "of QoS 0 takes the place of the earlier one", async (version) => {
    const topic = server.name()
    const publisher = await server.connect(version)
    await publisher.publish(topic, "1", { ...retained, qos: 1 })
    await publisher.publish(topic, "2", { ...retained, qos: 0 })
    const later = await server.subscribed(version, topic, 2)
    expect(await later.messages(1)).toEqual(["2"])
  })

  conforms(
    ["5.0 MQTT-3.3.1-9", "3.1.1 MQTT-3.3.1-6"],
    "of each topic that matches comes for a subscription",
    async (version) => {
      const topic = server.name()
      const publisher = await server.connect(version)
      for (const [level, payload] of [
        ["a", "old"],
        ["a", "a"],
        ["b", "b"],
        ["b/c", "c"]
      ] as const)
        await publisher.publish(`${topic}/${level}`, payload, retained)
      expect([...(await (await server.subscribed(version, `${topic}/#`)).messages(3))].sort()).toEqual(["a", "b", "c"])
      expect([...(await (await server.subscribed(version, `${topic}/+`)).messages(2))].sort()).toEqual(["a", "b"])
      await (await server.subscribed(version, `${topic}/d`)).nothing()
    }
  )

  conforms("5.0 MQTT-3.3.1-10", "with Retain Handling 1 comes for a subscription that was not there", async () => {
    const topic = server.name()
    await (await server.connect(5)).publish(topic, "kept", retained)
    const client = await server.subscribed(5, topic, option.retainHandling(1))
    expect(await client.messages(1)).toEqual(["kept"])
    await client.subscribe(topic, option.retainHandling(1))
    await client.nothing()
    await client.unsubscribe(topic)
    await client.subscribe(topic, option.retainHandling(1))
    expect(await client.messages(1)).toEqual(["kept"])
  })
  conforms("5.0 MQTT-3.3.1-11", "with Retain Handling 2 does not come", async () => {
    const topic = server.name()
    await (await server.connect(5)).publish(topic, "kept", retained)
    const client = await server.subscribed(5, topic, option.retainHandling(2))
    await client.nothing()
  })

  conforms(
    ["5.0 MQTT-3.3.1-6", "3.1.1 MQTT-3.3.1-10"],
    "that is empty is delivered, and removes the topic's",
    async (version) => {
      const topic = server.name()
      const watcher = await server.subscribed(version, topic)
      const publisher = await server.connect(version)
      for (const payload of ["kept", ""]) await publisher.publish(topic, payload, retained)
      expect(await watcher.messages(2)).toEqual(["kept", ""])
      await (await server.subscribed(version, topic)).nothing()
    }
  )
  conforms(["5.0 MQTT-3.3.1-7", "3.1.1 MQTT-3.3.1-11"], "that is empty is not retained", async (version) => {
    const topic = server.name()
    const publisher = await server.connect(version)
    for (const qos of [0, 1, 2] as const) await publisher.publish(topic, "", { ...retained, qos })
    await (await server.subscribed(version, topic)).nothing()
  })
  conforms(
    ["5.0 MQTT-3.3.1-8", "3.1.1 MQTT-3.3.1-12"],
    "is left by one without RETAIN, an empty one too",
    async (version) => {
      const topic = server.name()
      const publisher = await server.connect(version)
      await publisher.publish(topic, "kept", retained)
      for (const payload of ["passes", ""]) await publisher.publish(topic, payload)
      expect(await (await server.subscribed(version, topic)).messages(1)).toEqual(["kept"])
      const other = server.name()
      await publisher.publish(other, "passes")
      await (await server.subscribed(version, other)).nothing()
    }
  )

  conforms("3.1.1 MQTT-3.3.1-8", "has RETAIN when it comes for a new subscription", async (version) => {
    const topic = server.name()
    await (await server.connect(version)).publish(topic, "kept", retained)
    expect((await (await server.subscribed(version, topic)).message()).retain).toBe(true)
  })
  conforms("3.1.1 MQTT-3.3.1-9", "comes without RETAIN to a subscription that was there", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, topic)
    await (await server.connect(version)).publish(topic, "kept", retained)
    expect((await client.message()).retain).toBe(false)
  })
  conforms(
    ["5.0 MQTT-3.3.1-12", "5.0 MQTT-3.3.1-13"],
    "comes with RETAIN where Retain As Published asks for it",
    async () => {
      const topic = server.name()
      const without = await server.subscribed(5, topic)
      const as = await server.subscribed(5, topic, option.retainAsPublished)
      const publisher = await server.connect(5)
      for (const retain of [true, false]) {
        await publisher.publish(topic, "x", { retain })
        expect((await without.message()).retain).toBe(false)
        expect((await as.message()).retain).toBe(retain)
      }
    }
  )
})

describe("the topic", () => {
  conforms(["5.0 MQTT-3.3.2-1", "3.1.1 MQTT-3.3.2-1"], "is the first field, and UTF-8", async (version) => {
    const topic = `${server.name()}/ü/水/🙂`
    const client = await server.subscribed(version, topic)
    const publisher = await server.connect(version)
    await publisher.publish(topic)
    const { bytes } = await client.message()
    expect(bytes.subarray(2, 4 + Buffer.byteLength(topic)).equals(text(topic))).toBe(true)
    await publisher.send(publishPacket(Buffer.from([0xff]), "x", { version })).ended(malformed)
  })
  conforms(["5.0 MQTT-3.3.2-2", "3.1.1 MQTT-3.3.2-2"], "has no wildcards, or the connection ends", async (version) => {
    for (const topic of ["a/#", "a/+/b", "+", "#", "a+"]) {
      await (await server.connect(version)).send(publishPacket(topic, "x", { version })).ended(topicNameInvalid)
    }
  })
  conforms(
    ["5.0 MQTT-3.3.2-3", "3.1.1 MQTT-3.3.2-3"],
    "of a message to a client matches its filter",
    async (version) => {
      const topic = server.name()
      const client = await server.subscribed(version, `${topic}/+/c`)
      const publisher = await server.connect(version)
      for (const rest of ["a/b", "a/c", "b/c", "a/c/d", "c"]) await publisher.publish(`${topic}/${rest}`)
      for (const rest of ["a/c", "b/c"]) expect((await client.message()).topic).toBe(`${topic}/${rest}`)
      await client.nothing()
    }
  )
})

/** The properties of the message that a subscriber gets of a PUBLISH with these. */
const forwarded = async (properties: ReadonlyArray<number>): Promise<Buffer> => {
  const topic = server.name()
  const client = await server.subscribed(5, topic)
  await (await server.connect(5)).publish(topic, "x", { properties })
  const { bytes } = await client.message()
  const at = 4 + topic.length
  expect(bytes).toHaveLength(at + 1 + bytes[at]! + 1)
  return bytes.subarray(at + 1, -1)
}

describe("what goes through as it came", () => {
  const pairs = [
    ["b", "1"],
    ["a", "2"],
    ["b", "1"],
    ["", "ü"]
  ] as const
  const userProperties = pairs.flatMap(([name, value]) => property.user(name, value))
  const cases = [
    ["5.0 MQTT-3.3.2-4", "the Payload Format Indicator", property.payloadFormat(1)],
    ["5.0 MQTT-3.3.2-15", "the response topic", property.responseTopic("back/to/me")],
    ["5.0 MQTT-3.3.2-16", "correlation data", property.correlationData("\0ÿ data")],
    ["5.0 MQTT-3.3.2-17", "user properties, those with one name too", userProperties],
    ["5.0 MQTT-3.3.2-18", "the user properties' order", userProperties.slice()],
    ["5.0 MQTT-3.3.2-20", "the content type", property.contentType("text/plain; charset=ü")]
  ] as const
  for (const [id, what, properties] of cases) {
    conforms(id, what, async () => expect([...(await forwarded(properties))]).toEqual([...properties]))
  }
})

const ends = async (properties: ReadonlyArray<number>, code: number, topic = "a"): Promise<void> =>
  (await server.connect(5)).send(publishPacket(topic, "x", { properties })).ended(code)

describe("properties that a client may not send so", () => {
  const bad = [[0xff], [0]].map((bytes) => Buffer.from(bytes))
  conforms("5.0 MQTT-3.3.2-13", "a response topic that is no UTF-8", async () => {
    for (const topic of bad) await ends(property.responseTopic(topic), malformed)
  })
  conforms("5.0 MQTT-3.3.2-14", "a response topic with wildcards", async () => {
    for (const topic of ["a/#", "+"]) await ends(property.responseTopic(topic), topicNameInvalid)
  })
  conforms("5.0 MQTT-3.3.2-19", "a content type that is no UTF-8", async () => {
    for (const type of bad) await ends(property.contentType(type), malformed)
  })
  conforms("5.0 MQTT-3.3.4-6", "a subscription identifier", () => ends(property.subscriptionId(1), protocolError))
  conforms("5.0 MQTT-3.3.2-8", "topic alias 0; the server's are above it", async () => {
    await ends(property.topicAlias(0), topicAliasInvalid)
    const topic = server.name()
    const client = await server.subscribed(5, topic, 0, { properties: property.topicAliasMaximum(5) })
    const publisher = await server.connect(5)
    for (let i = 0; i < 3; i++) await publisher.publish(topic)
    const aliases = [await client.message(), await client.message(), await client.message()].map(
      ({ properties }) => properties?.topicAlias
    )
    expect(aliases.filter((alias) => alias !== undefined).length).toBeGreaterThan(0)
    for (const alias of aliases) expect(alias ?? 1).toBeGreaterThan(0)
  })
  conforms(["5.0 MQTT-3.3.2-9", "5.0 MQTT-3.2.2-17"], "a topic alias above the server's maximum", async () => {
    const maximum = server.kit.broker.limits.topicAliasesMax
    for (const alias of [maximum + 1, 0xffff]) await ends(property.topicAlias(alias), topicAliasInvalid)
  })
})

/** The aliases and topics, which may be empty, of what comes to a client of this maximum. */
const delivered = async (maximum: number | undefined) => {
  const topic = server.name()
  const properties = maximum === undefined ? [] : property.topicAliasMaximum(maximum)
  const client = await server.subscribed(5, `${topic}/+`, 1, { properties })
  const publisher = await server.connect(5)
  for (let i = 0; i < 12; i++) await publisher.publish(`${topic}/${Math.floor(i / 3)}`)
  const found: Array<{ topic: string; alias: number | undefined }> = []
  for (let i = 0; i < 12; i++) {
    const { topic: name, properties: of } = await client.message()
    found.push({ topic: name, alias: of?.topicAlias })
  }
  return found
}

describe("topic aliases", () => {
  conforms("5.0 MQTT-3.3.2-12", "are taken from 1 to the maximum", async () => {
    const topic = server.name()
    const client = await server.subscribed(5, `${topic}/+`)
    const publisher = await server.connect(5)
    const maximum = server.kit.broker.limits.topicAliasesMax
    for (let alias = 1; alias <= maximum; alias++) {
      await publisher.publish(`${topic}/${alias}`, "set", { properties: property.topicAlias(alias) })
    }
    for (let alias = 1; alias <= maximum; alias++) {
      await publisher.publish("", "used", { properties: property.topicAlias(alias) })
    }
    for (const payload of ["set", "used"]) {
      for (let alias = 1; alias <= maximum; alias++) {
        expect(await client.message()).toMatchObject({ topic: `${topic}/${alias}`, text: payload })
      }
    }
  })

  conforms("5.0 MQTT-3.3.2-7", "are those of their connection, either way", async () => {
    const topic = server.name()
    const first = await server.connect(5, { isDurable: true })
    await first.publish(topic, "x", { properties: property.topicAlias(1) })
    await first.disconnect()
    const again = await server.connect(5, { clientId: first.clientId, isDurable: true })
    await again.send(publishPacket("", "x", { properties: property.topicAlias(1) })).ended(protocolError)

    const withAliases = { isDurable: true, properties: property.topicAliasMaximum(5) }
    const reader = await server.subscribed(5, topic, 0, withAliases)
    const publisher = await server.connect(5)
    for (let i = 0; i < 3; i++) await publisher.publish(topic)
    for (let i = 0; i < 3; i++) await reader.message()
    await reader.disconnect()
    const back = await server.connect(5, { ...withAliases, clientId: reader.clientId })
    await publisher.publish(topic)
    expect((await back.message()).topic).toBe(topic)
  })

  conforms(["5.0 MQTT-3.1.2-26", "5.0 MQTT-3.3.2-11"], "to a client are no higher than its maximum", async () => {
    for (const maximum of [1, 2, 3]) {
      const aliases = (await delivered(maximum)).flatMap(({ alias }) => alias ?? [])
      expect(Math.max(...aliases)).toBe(maximum)
    }
  })
  conforms("5.0 MQTT-3.1.2-27", "are not sent to a client without, or with 0", async () => {
    for (const maximum of [undefined, 0]) {
      const found = await delivered(maximum)
      expect(found.every(({ topic, alias }) => topic !== "" && alias === undefined)).toBe(true)
    }
  })
})

const lasts = (seconds: number) => ({ properties: property.messageExpiry(seconds) })

describe("message expiry", () => {
  conforms("5.0 MQTT-3.3.2-5", "deletes what was not begun to be delivered", async () => {
    const topic = server.name()
    const away = await server.subscribed(5, topic, 1, { isDurable: true })
    await away.disconnect()
    const publisher = await server.connect(5)
    await publisher.publish(topic, "short", { ...lasts(10), retain: true })
    await publisher.publish(topic, "long", lasts(3600))
    server.clock.advance(11_000)
    const back = await server.connect(5, { clientId: away.clientId, isDurable: true })
    expect(await back.messages(1)).toEqual(["long"])
    await (await server.subscribed(5, topic)).nothing()
  })

  conforms("5.0 MQTT-3.3.2-6", "is told as what is left of it", async () => {
    const topic = server.name()
    const now = await server.subscribed(5, topic, 1)
    const away = await server.subscribed(5, topic, 1, { isDurable: true })
    await away.disconnect()
    await (await server.connect(5)).publish(topic, "x", lasts(1000))
    expect((await now.message()).properties?.messageExpiryInterval).toBe(1000)
    server.clock.advance(300_000)
    const back = await server.connect(5, { clientId: away.clientId, isDurable: true })
    const left = (await back.message()).properties?.messageExpiryInterval
    expect(left).toBeLessThanOrEqual(700)
    expect(left).toBeGreaterThan(600)
  })
})

const idsOf = (properties: { subscriptionIdentifier?: number | Array<number> } | undefined): ReadonlyArray<number> =>
  [properties?.subscriptionIdentifier ?? []].flat()

describe("subscription identifiers", () => {
  conforms("5.0 MQTT-3.3.4-3", "come with what their subscription has", async () => {
    const topic = server.name()
    const client = await server.connect(5)
    await client.subscribe(`${topic}/a`, 0, property.subscriptionId(7))
    await client.subscribe(`${topic}/b`)
    const publisher = await server.connect(5)
    for (const level of ["a", "b"]) await publisher.publish(`${topic}/${level}`)
    expect(idsOf((await client.message()).properties)).toEqual([7])
    expect(idsOf((await client.message()).properties)).toEqual([])
  })
  conforms(["5.0 MQTT-3.3.4-4", "5.0 MQTT-3.3.4-5"], "of all that match come with the one copy", async () => {
    const topic = server.name()
    const client = await server.connect(5)
    await client.subscribe(`${topic}/#`, 0, property.subscriptionId(1))
    await client.subscribe(`${topic}/+`, 0, property.subscriptionId(2))
    await client.subscribe(`${topic}/a`, 0)
    await client.subscribe(`${topic}/b`, 0, property.subscriptionId(3))
    await (await server.connect(5)).publish(`${topic}/a`)
    expect([...idsOf((await client.message()).properties)].sort()).toEqual([1, 2])
    await client.nothing()
  })
})

/** Messages of QoS 1 and 2 for a client that acknowledges none yet. */
const filled = async (version: Version, maximum: number) => {
  const topic = server.name()
  const client = await server.subscribed(version, topic, 2, { properties: property.receiveMaximum(maximum) })
  const publisher = await server.connect(version)
  for (let i = 0; i < 6; i++) await publisher.publish(topic, `${i}`, { qos: i % 2 === 0 ? 1 : 2 })
  return { topic, client, publisher }
}

describe("Receive Maximum", () => {
  conforms(
    ["5.0 MQTT-3.3.4-9", "5.0 MQTT-4.9.0-1", "5.0 MQTT-4.9.0-2"],
    "of a client bounds what it has not acknowledged",
    async () => {
      const { client } = await filled(5, 2)
      const [first, second] = [await client.message(), await client.message()]
      await client.nothing()
      client.send(ack(packetType.puback, first.messageId!))
      const third = await client.message()
      expect([first, second, third].map((message) => message.text)).toEqual(["0", "1", "2"])
      await client.nothing()
      // QoS 2 leaves the window with PUBCOMP, not before.
      client.send(ack(packetType.pubrec, second.messageId!))
      await client.acked(packetType.pubrel)
      await client.nothing()
      client.send(ack(packetType.pubcomp, second.messageId!))
      expect(await client.messages(1)).toEqual(["3"])
    }
  )

  conforms(["5.0 MQTT-3.3.4-10", "5.0 MQTT-4.9.0-3"], "of a client holds up nothing but such messages", async () => {
    const { topic, client, publisher } = await filled(5, 1)
    await client.message()
    await publisher.publish(topic, "QoS 0", { qos: 0 })
    expect(await client.messages(1)).toEqual(["QoS 0"])
    await client.subscribe("other")
    await client.unsubscribe("other")
    await client.publish("elsewhere", "x", { qos: 2 })
  })

  conforms("5.0 MQTT-3.3.4-7", "of the server is what a client may have without PUBREL", async () => {
    const client = await server.connect(5)
    const maximum = server.kit.broker.limits.receiveMaximum
    const topic = server.name()
    const messages = Array.from({ length: maximum }, (_, at) => publishPacket(topic, "x", { qos: 2, packetId: at + 1 }))
    client.send(...messages)
    for (let at = 1; at <= maximum; at++) expect((await client.acked(packetType.pubrec)).packetId).toBe(at)
    await client.send(publishPacket(topic, "x", { qos: 2, packetId: maximum + 1 })).ended(0x93)
  })
})

/** The messages that were dropped since they were not allowed. */
const notAllowed = () => /dropped_total\{reason="not_authorized"\} (\d+)/.exec(server.kit.broker.metrics.render())![1]

describe("a PUBLISH that is not allowed", () => {
  conforms("3.1.1 MQTT-3.3.5-2", "is acknowledged and dropped, or ends the connection", async (version) => {
    const watcher = await server.subscribed(version, "$SYS/broker/connection/#")
    const client = await server.connect(version)
    for (const qos of [0, 1, 2] as const) await client.publish("$SYS/broker/uptime", "x", { qos })
    await client.send(publishPacket("$stream/x", "x", { version, qos: 1 })).ended(0)
    await watcher.nothing()
  })
  conforms("3.1 PUBLISH-1", "is acknowledged and dropped", async (version) => {
    const before = Number(notAllowed())
    const client = await server.connect(version)
    for (const topic of ["$SYS/broker/uptime", "$stream/x", "$share/g/x", "$queue/x"]) {
      for (const qos of [0, 1, 2] as const) await client.publish(topic, "x", { qos })
    }
    expect(Number(notAllowed())).toBe(before + 12)
  })
})
