import type { IConnackPacket } from "mqtt-packet"
import { describe, expect } from "vitest"
import { connectPacket, packet, publishPacket } from "../mqtt/kit.ts"
import { bytesOf, conforms, connect, packetType, property, read, section, subscribe, text } from "./kit.ts"
import { server } from "./server.ts"
import type { Version } from "./statements.ts"

// CONNECT and CONNACK (3.1, 3.2). What is of wills stands in wills.ts, what depends on settings in options.ts.

const malformed = 0x81
const protocolError = 0x82

/** A CONNACK that refuses: MQTT 5 with one code, others with another, or with none at all. */
const throwUnlessRefused = (version: Version, rest: Buffer, code5: number, code4?: number): void => {
  if (version === 5) expect([rest[0], rest[2], rest[3]]).toEqual([packetType.connack, 0, code5])
  else expect([...rest]).toEqual(code4 === undefined ? [] : [packetType.connack, 2, 0, code4])
}

const refuses = async (version: Version, bytes: Uint8Array, code5: number, code4?: number): Promise<void> =>
  throwUnlessRefused(version, await server.refused(version, bytes), code5, code4)

const connackOf = (bytes: Buffer): IConnackPacket => read(5, bytes)

describe("the first packet", () => {
  conforms(["5.0 MQTT-3.1.0-1", "3.1.1 MQTT-3.1.0-1"], "is CONNECT, or the connection is closed", async (version) => {
    const others = [publishPacket("a", "x", { version }), subscribe(version, 1, [["a", 0]]), [packetType.pingreq, 0]]
    for (const bytes of others) expect(await server.refused(version, bytes)).toHaveLength(0)
  })

  conforms(
    ["5.0 MQTT-3.1.0-2", "3.1.1 MQTT-3.1.0-2"],
    "is the only CONNECT: a second ends the connection",
    async (version) => {
      const client = await server.connect(version)
      await client.send(connect(version, client.clientId)).ended(protocolError)
    }
  )
})

describe("name and level", () => {
  conforms("5.0 MQTT-3.1.2-1", "another name is refused", async () => {
    for (const name of ["MQIsdp", "mqtt", "MQTTX", ""]) {
      await refuses(4, connectPacket({ version: 5, name }), 0x84, 1)
    }
  })
  conforms("3.1.1 MQTT-3.1.2-1", "another name is not served as MQTT 3.1.1", async () => {
    for (const name of ["MQIsdp", "mqtt", "MQTTX", ""]) {
      await refuses(4, connectPacket({ version: 4, name }), 0x84, 1)
    }
  })
  conforms("5.0 MQTT-3.1.2-2", "another level is refused with 0x84", async () => {
    for (const version of [6, 7, 100]) await refuses(5, connectPacket({ version }), 0x84)
  })
  conforms("3.1.1 MQTT-3.1.2-2", "another level is refused with 0x01", async () => {
    for (const version of [0, 1, 2, 0x84]) await refuses(4, connectPacket({ version }), 0x84, 1)
    await refuses(4, connectPacket({ version: 3, name: "MQTT" }), 0x84, 1)
  })
  conforms("3.1 CONNECT-1", "MQIsdp and 3 are MQTT 3.1, any other pair is refused", async () => {
    await server.connect(3)
    await refuses(4, connectPacket({ version: 2, name: "MQIsdp" }), 0x84, 1)
    await refuses(4, connectPacket({ version: 4, name: "MQIsdp" }), 0x84, 1)
  })
})

const takes = async (version: Version, bytes: Uint8Array): Promise<void> =>
  expect((await server.open(version).send(bytes).packet())[3]).toBe(0)

const withFlags = (version: Version, flags: number, ...rest: ReadonlyArray<Uint8Array>): Buffer =>
  connectPacket({ version, flags, clientId: server.name(), rest: bytesOf(...rest) })

/** What a CONNECT with a will has behind the client id. */
const willPayload = (version: Version): Buffer => bytesOf(section(version), text("w"), text("x"))

describe("the flags of CONNECT", () => {
  conforms(["5.0 MQTT-3.1.2-3", "3.1.1 MQTT-3.1.2-3"], "the reserved one is 0", (version) =>
    refuses(version, withFlags(version, 3), malformed)
  )
  conforms(
    ["5.0 MQTT-3.1.2-9", "3.1.1 MQTT-3.1.2-9"],
    "a will's flag has topic and payload behind it",
    async (version) => {
      await takes(version, withFlags(version, 6, willPayload(version)))
      await refuses(version, withFlags(version, 6), malformed)
      await refuses(version, withFlags(version, 6, Buffer.from(section(version)), text("w")), malformed)
    }
  )
  conforms("3.1.1 MQTT-3.1.2-11", "without it nothing of a will is there", async (version) => {
    await refuses(version, withFlags(version, 2 | 0x08), malformed)
    await refuses(version, withFlags(version, 2 | 0x20), malformed)
    await refuses(version, withFlags(version, 2, willPayload(version)), malformed)
  })
  conforms(["5.0 MQTT-3.1.2-11", "3.1.1 MQTT-3.1.2-13"], "without it the will's QoS is 0", async (version) => {
    for (const qos of [1, 2, 3]) await refuses(version, withFlags(version, 2 | (qos << 3)), malformed)
  })
  conforms(["5.0 MQTT-3.1.2-12", "3.1.1 MQTT-3.1.2-14"], "a will's QoS is 0, 1 or 2", async (version) => {
    for (const qos of [0, 1, 2]) await takes(version, withFlags(version, 6 | (qos << 3), willPayload(version)))
    await refuses(version, withFlags(version, 6 | (3 << 3), willPayload(version)), malformed)
  })
  conforms(["5.0 MQTT-3.1.2-13", "3.1.1 MQTT-3.1.2-15"], "without it the will's retain flag is 0", (version) =>
    refuses(version, withFlags(version, 2 | 0x20), malformed)
  )
  conforms(["5.0 MQTT-3.1.2-16", "3.1.1 MQTT-3.1.2-18"], "a user name without its flag is refused", (version) =>
    refuses(version, withFlags(version, 2, text("user")), malformed)
  )
  conforms(
    ["5.0 MQTT-3.1.2-17", "3.1.1 MQTT-3.1.2-19"],
    "a user name's flag without it is refused",
    async (version) => {
      await takes(version, withFlags(version, 2 | 0x80, text("user")))
      await refuses(version, withFlags(version, 2 | 0x80), malformed)
    }
  )
  conforms(["5.0 MQTT-3.1.2-18", "3.1.1 MQTT-3.1.2-20"], "a password without its flag is refused", (version) =>
    refuses(version, withFlags(version, 2 | 0x80, text("user"), text("password")), malformed)
  )
  conforms(["5.0 MQTT-3.1.2-19", "3.1.1 MQTT-3.1.2-21"], "a password's flag without it is refused", async (version) => {
    await takes(version, withFlags(version, 2 | 0xc0, text("user"), text("password")))
    await refuses(version, withFlags(version, 2 | 0xc0, text("user")), malformed)
  })
  conforms("3.1.1 MQTT-3.1.2-22", "a password without a user name is refused", (version) =>
    refuses(version, withFlags(version, 2 | 0x40, text("password")), malformed)
  )
  conforms("3.1 CONNECT-4", "a user name and password may be missing behind their flags", async (version) => {
    await takes(version, withFlags(version, 2 | 0xc0))
    await takes(version, withFlags(version, 2 | 0xc0, text("user")))
  })
})

/** Of a client with everything; its will says `gone`. */
const fullConnect = (
  version: Version,
  clientId: string,
  topic: string | Uint8Array,
  userName: string | Uint8Array = "user"
): Buffer =>
  connectPacket({
    version,
    clientId,
    flags: 2 | 4 | 0xc0,
    rest: bytesOf(section(version), text(topic), text("gone"), text(userName), text("password"))
  })

describe("the payload of CONNECT", () => {
  conforms(
    ["5.0 MQTT-3.1.3-1", "3.1.1 MQTT-3.1.3-1", "5.0 MQTT-3.1.3-3", "3.1.1 MQTT-3.1.3-3"],
    "is read in its order: client id, will, user name, password",
    async (version) => {
      const [clientId, topic] = [server.name("c"), server.name()]
      const watcher = await server.subscribed(version, topic)
      const client = server.open(version, clientId).send(fullConnect(version, clientId, topic))
      expect((await client.packet())[3]).toBe(0)
      expect([...server.kit.mqtt.connections()].map((connection) => connection.clientId)).toContain(clientId)
      await server.broken(client)
      expect(await watcher.message()).toMatchObject({ topic, text: "gone" })
      // Without any client id.
      const head = text("MQTT")
      await refuses(version, packet(0x10, head, [version, 2, 0, 0], section(version)), malformed)
    }
  )

  const badStrings = [[0xff], [0]].map((bytes) => Buffer.from(bytes))
  conforms(["5.0 MQTT-3.1.3-4", "3.1.1 MQTT-3.1.3-4"], "the client id is UTF-8", async (version) => {
    for (const bad of badStrings) {
      const bytes = packet(0x10, text("MQTT"), [version, 2, 0, 0], section(version), text(bad))
      await refuses(version, bytes, malformed)
    }
  })
  conforms(["5.0 MQTT-3.1.3-11", "3.1.1 MQTT-3.1.3-10"], "the will's topic is UTF-8", async (version) => {
    for (const bad of badStrings) await refuses(version, fullConnect(version, "c", bad), malformed)
  })
  conforms(["5.0 MQTT-3.1.3-12", "3.1.1 MQTT-3.1.3-11"], "the user name is UTF-8", async (version) => {
    for (const bad of badStrings) await refuses(version, fullConnect(version, "c", "w", bad), malformed)
  })
})

const connectedIds = (): ReadonlyArray<string> => [...server.kit.mqtt.connections()].map(({ clientId }) => clientId)

describe("the client id", () => {
  conforms(["5.0 MQTT-3.1.3-2", "3.1.1 MQTT-3.1.3-2"], "is by what the session is found", async (version) => {
    const topic = server.name()
    const first = await server.subscribed(version, topic, 1, { isDurable: true })
    const other = await server.subscribed(version, topic, 1, { isDurable: true })
    for (const client of [first, other]) await client.disconnect()
    await (await server.connect(version)).publish(topic, "kept")
    for (const { clientId } of [other, first]) {
      const { peer, connack } = await server.connack(version, { clientId, isDurable: true })
      expect(connack[2]).toBe(1)
      expect(await peer.messages(1)).toEqual(["kept"])
    }
    // Not by a part of it, nor in another case.
    expect(
      (await server.connack(version, { clientId: first.clientId.toUpperCase(), isDurable: true })).connack[2]
    ).toBe(0)
  })

  conforms(["5.0 MQTT-3.1.3-5", "3.1.1 MQTT-3.1.3-5"], "may have 1 to 23 digits and Latin letters", async (version) => {
    const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for (let length = 1; length <= 23; length++) await server.connect(version, { clientId: letters.slice(0, length) })
    for (let at = 0; at < letters.length; at += 23)
      await server.connect(version, { clientId: letters.slice(at, at + 23) })
  })

  conforms(
    ["5.0 MQTT-3.1.3-6", "5.0 MQTT-3.2.2-16", "3.1.1 MQTT-3.1.3-6"],
    "is one that nobody else has where it came empty",
    async (version) => {
      const before = connectedIds()
      const connacks: Array<Buffer> = []
      for (let i = 0; i < 3; i++) connacks.push((await server.connack(version, { clientId: "" })).connack)
      const given = connectedIds().filter((id) => !before.includes(id))
      expect(new Set(given).size).toBe(3)
      expect(given).not.toContain("")
      if (version !== 5) return
      expect(connacks.map((bytes) => connackOf(bytes).properties?.assignedClientIdentifier)).toEqual(given)
    }
  )

  conforms("5.0 MQTT-3.1.3-7", "that was given is the client's own from then on", async () => {
    const topic = server.name()
    const { peer, connack } = await server.connack(5, { clientId: "", isDurable: true })
    const clientId = connackOf(connack).properties!.assignedClientIdentifier!
    await peer.subscribe(topic, 1)
    await peer.disconnect()
    const again = await server.connack(5, { clientId, isDurable: true })
    expect([again.connack[2], again.connack[3]]).toEqual([1, 0])
    expect(connackOf(again.connack).properties).not.toHaveProperty("assignedClientIdentifier")
  })

  conforms(
    ["3.1.1 MQTT-3.1.3-7", "3.1.1 MQTT-3.1.3-8"],
    "is refused with 0x02 if it is empty without Clean Session",
    (version) => refuses(version, connect(version, "", { isDurable: true }), 0x85, 2)
  )
  conforms(["5.0 MQTT-3.1.3-8", "3.1.1 MQTT-3.1.3-9"], "that is too long is refused", (version) =>
    refuses(version, connect(version, "x".repeat(257)), 0x85, 2)
  )
  conforms("3.1 CONNECT-2", "has 23 characters at most, or is refused with 2", async (version) => {
    await server.connect(version, { clientId: "ü".repeat(23) })
    await refuses(version, connect(version, "x".repeat(24)), 0x85, 2)
  })
  conforms("3.1 CONNECT-3", "that is empty is refused with 2", async (version) => {
    await refuses(version, connect(version, "", { cleanStart: true }), 0x85, 2)
    await refuses(version, connect(version, "", { isDurable: true }), 0x85, 2)
  })
})

const malformedConnects = (version: Version): ReadonlyArray<Uint8Array> => [
  connectPacket({ version, flags: 3 }),
  connectPacket({ version, flags: 0x22 }),
  connectPacket({ version, rest: [0] }),
  connectPacket({ version, clientId: "a\0b" }),
  connectPacket({ version, flags: 0x82 }),
  ...(version === 5
    ? [
        connectPacket({ properties: property.receiveMaximum(0) }),
        connectPacket({ properties: property.packetSizeMax(0) }),
        connectPacket({ properties: [...property.receiveMaximum(1), ...property.receiveMaximum(1)] }),
        connectPacket({ properties: property.topicAlias(1) }),
        connectPacket({ properties: property.wantsProblems(2) })
      ]
    : [connectPacket({ version, flags: 0x42, rest: text("password") })])
]

describe("a CONNECT that is refused", () => {
  conforms("5.0 MQTT-3.1.4-1", "since it is malformed: CONNACK with a code, and the close", async (version) => {
    for (const bytes of malformedConnects(version)) {
      const rest = await server.refused(version, bytes)
      expect([rest[0], rest[2]]).toEqual([packetType.connack, 0])
      expect([malformed, protocolError]).toContain(rest[3])
    }
  })
  conforms("3.1.1 MQTT-3.1.4-1", "since it is malformed: the close, without CONNACK", async (version) => {
    for (const bytes of malformedConnects(version)) expect(await server.refused(version, bytes)).toHaveLength(0)
  })
  conforms("5.0 MQTT-3.1.4-2", "by a check of the server's own: CONNACK with a code, and the close", (version) =>
    refuses(version, connect(version, server.name(), { will: { topic: "$SYS/broker/uptime" } }), 0x87)
  )

  conforms(
    ["5.0 MQTT-3.1.4-6", "3.1.1 MQTT-3.1.4-5"],
    "has nothing processed that comes behind it",
    async (version) => {
      const topic = server.name()
      const watcher = await server.subscribed(version, topic)
      const behind = publishPacket(topic, "x", { version, retain: true })
      await server.refused(version, connect(version, "x".repeat(257)), behind, behind)
      await server.refused(version, connectPacket({ version, flags: 3 }), behind)
      await watcher.nothing()
      await (await server.subscribed(version, topic)).nothing()
    }
  )

  conforms(
    ["5.0 MQTT-3.2.2-6", "5.0 MQTT-3.2.2-7", "3.1.1 MQTT-3.2.2-4", "3.1.1 MQTT-3.2.2-5"],
    "has Session Present 0 and the close, though there is a session",
    async (version) => {
      const { clientId } = await server.connect(version, { isDurable: true })
      // There is a session; a will that may not be sent has the CONNECT refused.
      const will = { topic: "$SYS/broker/uptime" }
      await refuses(version, connect(version, clientId, { isDurable: true, will }), 0x87, 5)
    }
  )

  conforms("5.0 MQTT-3.2.2-8", "has one of CONNACK's codes", async () => {
    // MQTT 5, 3.2.2.2.
    const codes = [
      0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c,
      0x9d, 0x9f
    ]
    const wills = [{ topic: "a/#" }, { topic: "w", properties: property.payloadFormat(1), payload: "\0" }]
    const bad = [
      ...malformedConnects(5),
      connectPacket({ version: 6 }),
      connect(5, "x".repeat(257)),
      connect(5, "c", { properties: property.authenticationMethod("m") }),
      ...wills.map((will) => connect(5, server.name(), { will }))
    ]
    for (const bytes of bad) {
      const [type, , , code] = await server.open(5).send(bytes).packet()
      expect(type).toBe(packetType.connack)
      expect([0, ...codes]).toContain(code)
    }
  })

  conforms("3.1.1 MQTT-3.2.2-6", "for what no return code says is closed without CONNACK", async (version) => {
    const tooLarge = Buffer.from([0x10, 0x81, 0x80, 0x04])
    expect(await server.refused(version, tooLarge)).toHaveLength(0)
    expect(await server.refused(version, connect(version, "c", { will: { topic: "a/#" } }))).toHaveLength(0)
  })

  conforms("5.0 MQTT-3.14.0-1", "is not answered by DISCONNECT", async (version) => {
    for (const bytes of [...malformedConnects(version), publishPacket("a", "x"), Buffer.from([0, 0])]) {
      const rest = await server.refused(version, bytes)
      expect([undefined, packetType.connack]).toContain(rest[0])
      if (rest.length > 0) expect(rest).toHaveLength(rest[1]! + 2)
    }
  })
})

const refusal = (size: number) =>
  server.refused(5, connect(5, "x".repeat(257), { properties: property.packetSizeMax(size) }))

describe("CONNACK", () => {
  conforms(["5.0 MQTT-3.1.4-5", "3.1.1 MQTT-3.1.4-4"], "0 answers a CONNECT that is taken", async (version) => {
    const { connack } = await server.connack(version)
    expect([connack[0], connack[3]]).toEqual([packetType.connack, 0])
  })

  conforms(
    ["5.0 MQTT-3.2.0-1", "3.1.1 MQTT-3.2.0-1"],
    "is the first that comes, whatever waits or is asked behind CONNECT",
    async (version) => {
      const topic = server.name()
      const first = await server.subscribed(version, topic, 1, { isDurable: true })
      const { clientId } = first
      await server.broken(first)
      await (await server.connect(version)).publish(topic, "waits")
      const again = server.open(version, clientId)
      again.send(connect(version, clientId, { isDurable: true }), [packetType.pingreq, 0])
      await again.next(packetType.connack)
    }
  )

  conforms("5.0 MQTT-3.2.0-2", "comes once", async (version) => {
    const client = await server.connect(version)
    await client.nothing()
    // Nor does a second CONNECT get one.
    const rest = await client.send(connect(version, client.clientId)).rest()
    expect([rest[0], rest.length]).toEqual([packetType.disconnect, rest[1]! + 2])
  })

  conforms("5.0 MQTT-3.2.2-1", "has flags of 0 but for Session Present", async (version) => {
    const { peer, connack } = await server.connack(version, { isDurable: true })
    expect(connack[2]).toBe(0)
    await peer.disconnect()
    expect((await server.connack(version, { clientId: peer.clientId, isDurable: true })).connack[2]).toBe(1)
    expect((await server.refused(version, connectPacket({ flags: 3 })))[2]).toBe(0)
  })

  conforms(
    ["5.0 MQTT-3.2.2-2", "3.1.1 MQTT-3.2.2-1"],
    "tells of no session to a client that wants none",
    async (version) => {
      const { clientId } = await server.connect(version, { isDurable: true })
      expect((await server.connack(version, { clientId })).connack[2]).toBe(0)
    }
  )

  conforms(
    ["5.0 MQTT-3.2.2-3", "3.1.1 MQTT-3.2.2-2", "3.1.1 MQTT-3.2.2-3"],
    "tells whether there was a session to a client that wants it",
    async (version) => {
      const { peer, connack } = await server.connack(version, { isDurable: true })
      expect(connack[2]).toBe(0)
      await peer.disconnect()
      expect((await server.connack(version, { clientId: peer.clientId, isDurable: true })).connack[2]).toBe(1)
    }
  )

  conforms("3.1 CONNACK-1", "does not tell", async (version) => {
    const { peer, connack } = await server.connack(version, { isDurable: true })
    expect([...connack]).toEqual([packetType.connack, 2, 0, 0])
    await peer.disconnect()
    const again = await server.connack(version, { clientId: peer.clientId, isDurable: true })
    expect([...again.connack]).toEqual([packetType.connack, 2, 0, 0])
  })

  conforms("5.0 MQTT-3.2.2-19", "has no reason string that makes it too large", async () => {
    const whole = (await refusal(1000)).length
    expect(connackOf(await refusal(whole)).properties?.reasonString).toBeTruthy()
    const short = await refusal(whole - 1)
    expect([...short]).toEqual([packetType.connack, 3, 0, 0x85, 0])
  })
  conforms("5.0 MQTT-3.2.2-20", "has no user property", async () => {
    const { connack } = await server.connack(5, { properties: property.user("receipts", "1") })
    expect(connackOf(connack).properties).not.toHaveProperty("userProperties")
    const refused = await server.refused(5, connect(5, "x".repeat(257)))
    expect(connackOf(refused).properties).not.toHaveProperty("userProperties")
  })

  conforms("5.0 MQTT-3.2.2-22", "without Server Keep Alive leaves the client its own", async () => {
    const { peer, connack } = await server.connack(5, { keepAliveSeconds: 77 })
    expect(connackOf(connack).properties).not.toHaveProperty("serverKeepAlive")
    const connection = [...server.kit.mqtt.connections()].find(({ clientId }) => clientId === peer.clientId)
    expect(connection?.keepAliveMs).toBe(77_000)
  })
})
