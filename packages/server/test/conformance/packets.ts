import { describe, expect } from "vitest"
import { packet, publishPacket } from "../mqtt/kit.ts"
import {
  ack,
  bytesOf,
  conforms,
  connect,
  packetType,
  property,
  section,
  subscribe,
  text,
  two,
  unsubscribe
} from "./kit.ts"
import { server } from "./server.ts"
import type { Version } from "./statements.ts"

// Strings, the fixed header, packet ids, and what ends a connection (chapters 1, 2 and 4.8 or 4.13).

const malformed = 0x81
const protocolError = 0x82

/** A client that has sent this sees its connection ended. */
const ends = async (version: Version, bytes: Uint8Array, code = malformed): Promise<void> => {
  const client = await server.connect(version)
  await client.send(bytes).ended(code)
}

const withFlags = (bytes: Uint8Array, flags: number): Buffer => bytesOf([(bytes[0]! & 0xf0) | flags], bytes.subarray(1))

describe("strings", () => {
  const illFormed = [
    [0xff],
    [0xc3, 0x28],
    [0xe2, 0x82],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xed, 0xbf, 0xbf],
    [0xf4, 0x90, 0x80, 0x80]
  ]

  conforms(
    ["5.0 MQTT-1.5.4-1", "3.1.1 MQTT-1.5.3-1"],
    "ill-formed UTF-8 ends the connection, surrogates too",
    async (version) => {
      for (const bytes of illFormed) {
        await ends(version, publishPacket(Buffer.from(bytes), "x", { version }))
        await ends(version, subscribe(version, 1, [[Buffer.from(bytes), 0]]))
        await ends(version, unsubscribe(version, 1, [Buffer.from(bytes)]))
      }
    }
  )

  conforms(["5.0 MQTT-1.5.4-2", "3.1.1 MQTT-1.5.3-2"], "NUL ends the connection", async (version) => {
    await ends(version, publishPacket("a\0b", "x", { version }))
    await ends(version, subscribe(version, 1, [["a\0b", 0]]))
    await ends(version, unsubscribe(version, 1, ["a\0b"]))
  })

  conforms(["5.0 MQTT-1.5.4-3", "3.1.1 MQTT-1.5.3-3"], "U+FEFF is kept, at the beginning too", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, `\uFEFF${topic}`)
    const publisher = await server.connect(version)
    await publisher.publish(topic)
    await publisher.publish(`\uFEFF${topic}`)
    expect((await client.message()).topic).toBe(`\uFEFF${topic}`)
    await client.nothing()
  })

  conforms("5.0 MQTT-1.5.7-1", "ill-formed UTF-8 and NUL in a user property end the connection", async (version) => {
    for (const bad of [[0xff], [0]].map((bytes) => Buffer.from(bytes))) {
      for (const properties of [property.user(bad, "v"), property.user("n", bad)]) {
        await ends(version, publishPacket("a", "x", { properties }))
      }
    }
  })

  conforms(
    "5.0 MQTT-1.5.5-1",
    "lengths that are longer than needed end the connection; its own never are",
    async () => {
      await ends(5, Buffer.from([packetType.pingreq, 0x80, 0x00]))
      const topic = server.name()
      // Around the size of a packet at which its remaining length takes a byte more.
      for (const bytes of [100, 130, 16_370, 16_390]) {
        const client = await server.subscribed(5, topic)
        await (await server.connect(5)).publish(topic, "x".repeat(bytes))
        const { bytes: packet } = await client.message()
        const lengthBytes = packet.subarray(1).findIndex((byte) => byte < 0x80) + 1
        const remaining = packet.length - 1 - lengthBytes
        expect(lengthBytes).toBe(remaining < 128 ? 1 : remaining < 16_384 ? 2 : 3)
      }
    }
  )
})

/** Ends with any other flags. */
const endsWithFlags =
  (bytes: (version: Version) => Uint8Array) =>
  async (version: Version): Promise<void> => {
    for (const flags of [0, 1, 3, 6, 10]) await ends(version, withFlags(bytes(version), flags))
  }

/** Each packet that a client may send in session, but PUBLISH, whose flags all mean something. */
const fixedPackets = (version: Version): ReadonlyArray<Uint8Array> => [
  ack(packetType.puback, 1),
  ack(packetType.pubrec, 1),
  ack(packetType.pubrel, 1),
  ack(packetType.pubcomp, 1),
  subscribe(version, 1, [["a", 0]]),
  unsubscribe(version, 1, ["a"]),
  packet(packetType.pingreq),
  packet(packetType.disconnect)
]

const everyOtherFlag = async (version: Version): Promise<void> => {
  for (const bytes of fixedPackets(version)) {
    const right = bytes[0]! & 0x0f
    for (const flags of [0, 1, 2, 4, 8, 15]) if (flags !== right) await ends(version, withFlags(bytes, flags))
  }
}

describe("the fixed header", () => {
  conforms(
    ["5.0 MQTT-2.1.3-1", "3.1.1 MQTT-2.2.2-1", "3.1.1 MQTT-2.2.2-2"],
    "any other flags end the connection",
    everyOtherFlag
  )

  conforms(
    ["5.0 MQTT-3.6.1-1", "3.1.1 MQTT-3.6.1-1"],
    "PUBREL with other flags than 0010 ends the connection",
    endsWithFlags(() => ack(packetType.pubrel, 1))
  )
  conforms(
    ["5.0 MQTT-3.8.1-1", "3.1.1 MQTT-3.8.1-1"],
    "SUBSCRIBE with other flags than 0010 ends the connection",
    endsWithFlags((version) => subscribe(version, 1, [["a", 0]]))
  )
  conforms(
    ["5.0 MQTT-3.10.1-1", "3.1.1 MQTT-3.10.1-1"],
    "UNSUBSCRIBE with other flags than 0010 ends the connection",
    endsWithFlags((version) => unsubscribe(version, 1, ["a"]))
  )
  conforms(
    ["5.0 MQTT-3.14.1-1", "3.1.1 MQTT-3.14.1-1"],
    "DISCONNECT with flags ends the connection, as malformed",
    async (version) => {
      for (const flags of [1, 2, 4, 8]) await ends(version, Buffer.from([packetType.disconnect | flags, 0]))
    }
  )
  conforms("5.0 MQTT-3.15.1-1", "AUTH with flags ends the connection, as malformed", async () => {
    const body = bytesOf([0x18], section(5, property.authenticationMethod("m")))
    for (const flags of [1, 2, 4, 8]) await ends(5, packet(packetType.auth | flags, body))
  })

  conforms("3.1 HEADER-1", "DUP in SUBSCRIBE, UNSUBSCRIBE and PUBREL is taken", async (version) => {
    const client = await server.connect(version)
    client.send(withFlags(subscribe(version, 1, [[server.name(), 1]]), 0x0a))
    expect([...(await client.packet())]).toEqual([packetType.suback, 3, 0, 1, 1])
    client.send(withFlags(unsubscribe(version, 2, ["a"]), 0x0a))
    expect(await client.acked(packetType.unsuback)).toEqual({ packetId: 2, code: 0 })
    client.send(withFlags(ack(packetType.pubrel, 3), 0x0a))
    expect(await client.acked(packetType.pubcomp)).toEqual({ packetId: 3, code: 0 })
  })
  conforms("3.1 HEADER-2", "any flags of PINGREQ and PUBACK are taken", async (version) => {
    const client = await server.connect(version)
    for (let flags = 0; flags < 16; flags++) {
      client.send([packetType.puback | flags, 2, 0, 9], [packetType.pingreq | flags, 0])
      expect([...(await client.packet())]).toEqual([packetType.pingresp, 0])
    }
  })
})

describe("packet ids", () => {
  conforms("3.1.1 MQTT-2.3.1-1", "0 ends the connection", async (version) => {
    await ends(version, publishPacket("a", "x", { version, qos: 1, packetId: 0 }))
    await ends(version, publishPacket("a", "x", { version, qos: 2, packetId: 0 }))
    await ends(version, subscribe(version, 0, [["a", 0]]))
    await ends(version, unsubscribe(version, 0, ["a"]))
  })

  conforms(["5.0 MQTT-2.2.1-2", "3.1.1 MQTT-2.3.1-5"], "a PUBLISH of QoS 0 has none, either way", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, topic, 2)
    // Two bytes that might be one.
    client.send(publishPacket(topic, "\u0001\u0002payload", { version }))
    const { bytes, qos } = await client.message()
    expect(qos).toBe(0)
    expect(bytes).toHaveLength(2 + 2 + topic.length + (version === 5 ? 1 : 0) + 9)
  })

  conforms(["5.0 MQTT-2.2.1-4", "3.1.1 MQTT-2.3.1-4"], "ids of PUBLISH are in no use, and never 0", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, topic, 2)
    const publisher = await server.connect(version)
    const inUse = new Set<number>()
    for (let i = 0; i < 40; i++) {
      await publisher.publish(topic, "x", { qos: i % 2 === 0 ? 1 : 2 })
      const { messageId, qos } = await client.message()
      expect(messageId).toBeGreaterThan(0)
      expect([...inUse]).not.toContain(messageId)
      inUse.add(messageId!)
      // Every third one stays without an answer.
      if (i % 3 === 0 || qos !== 1) continue
      inUse.delete(messageId!)
      client.send(ack(packetType.puback, messageId!))
    }
    expect(inUse.size).toBeGreaterThan(20)
  })

  conforms(
    ["5.0 MQTT-2.2.1-5", "3.1.1 MQTT-2.3.1-6"],
    "PUBACK, PUBREC, PUBREL and PUBCOMP have that of their PUBLISH",
    async (version) => {
      const topic = server.name()
      const client = await server.subscribed(version, topic, 2)
      for (const packetId of [1, 0x1234, 0xffff]) {
        await client.publish("other", "x", { packetId })
        await client.publish("other", "x", { qos: 2, packetId })
      }
      await (await server.connect(version)).publish(topic, "x", { qos: 2 })
      const { messageId } = await client.message()
      client.send(ack(packetType.pubrec, messageId!))
      expect(await client.acked(packetType.pubrel)).toEqual({ packetId: messageId, code: 0 })
    }
  )

  conforms(
    ["5.0 MQTT-2.2.1-6", "3.1.1 MQTT-2.3.1-7"],
    "SUBACK and UNSUBACK have that of what they answer",
    async (version) => {
      const client = await server.connect(version)
      for (const packetId of [1, 0x1234, 0xffff]) {
        client.send(subscribe(version, packetId, [["a", 0]]), unsubscribe(version, packetId, ["a"]))
        expect((await client.next(packetType.suback)).readUInt16BE(2)).toBe(packetId)
        expect((await client.next(packetType.unsuback)).readUInt16BE(2)).toBe(packetId)
      }
    }
  )
})

describe("properties", () => {
  conforms("5.0 MQTT-2.2.2-1", "a packet without any has a length of 0", async () => {
    const topic = server.name()
    const client = await server.connect(5)
    client.send(subscribe(5, 1, [[topic, 1]]))
    expect([...(await client.packet())]).toEqual([packetType.suback, 4, 0, 1, 0, 1])
    await (await server.connect(5)).publish(topic)
    expect([...(await client.packet())]).toEqual([0x32, topic.length + 6, ...text(topic), ...two(1), 0, 0x78])
    client.send(unsubscribe(5, 2, [topic]))
    expect([...(await client.packet())]).toEqual([packetType.unsuback, 4, 0, 2, 0, 0])
  })
})

describe("PINGREQ", () => {
  conforms(["5.0 MQTT-3.12.4-1", "3.1.1 MQTT-3.12.4-1"], "is answered, each one", async (version) => {
    const client = await server.connect(version)
    for (let i = 0; i < 3; i++) client.send([packetType.pingreq, 0])
    for (let i = 0; i < 3; i++) expect([...(await client.packet())]).toEqual([packetType.pingresp, 0])
  })
})

/** Each with its code of MQTT 5. */
const violations = (version: Version): ReadonlyArray<readonly [Uint8Array, number]> => [
  [Buffer.from([0, 0]), malformed],
  [Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 1]), malformed],
  [publishPacket("a", "x", { version, qos: 1, packetId: 0 }), protocolError],
  [publishPacket("a/#", "x", { version }), 0x90],
  [packet(packetType.pingreq, [0]), malformed],
  [packet(packetType.connack, [0, 0]), protocolError],
  [packet(packetType.suback, [0, 1, 0]), protocolError],
  [packet(packetType.pingresp), protocolError],
  [subscribe(version, 1, []), protocolError],
  [packet(packetType.puback, [0]), malformed]
]

describe("what a client may not send", () => {
  conforms(["5.0 MQTT-4.13.1-1", "3.1.1 MQTT-4.8.0-1"], "ends the connection, with its code", async (version) => {
    for (const [bytes, code] of violations(version)) await ends(version, bytes, code)
  })

  conforms(
    "5.0 MQTT-4.13.2-1",
    "a code from 0x80 on is followed by the close, in CONNACK and in DISCONNECT",
    async () => {
      const refused = await server.refused(5, connect(5, "x".repeat(257)))
      expect([refused[0], refused[3]! >= 0x80]).toEqual([packetType.connack, true])
      // Too large for this client, so that it is not sent.
      const properties = property.packetSizeMax(3)
      expect(await server.refused(5, connect(5, "x".repeat(257), { properties }))).toHaveLength(0)
      await ends(5, Buffer.from([0, 0]))
    }
  )

  conforms("3.1.1 MQTT-4.8.0-2", "a failure of the server's own ends the connection", async (version) => {
    const topic = server.name()
    await server.kit.bind(topic, [topic])
    const client = await server.connect(version)
    server.kit.disk.isLow = true
    try {
      await client.send(publishPacket(topic, "x", { version, qos: 1 })).ended(0)
    } finally {
      server.kit.disk.isLow = false
    }
  })
})
