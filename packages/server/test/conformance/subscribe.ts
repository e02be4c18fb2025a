import { describe, expect } from "vitest"
import { publishPacket } from "../mqtt/kit.ts"
import { ack, conforms, connect, option, packetType, property, subscribe, unsubscribe } from "./kit.ts"
import { server } from "./server.ts"
import type { Version } from "./statements.ts"

// SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (3.8 to 3.11), topics and filters (4.7).

const malformed = 0x81
const protocolError = 0x82
const topicFilterInvalid = 0x8f

const ends = async (version: Version, bytes: Uint8Array, code: number): Promise<void> =>
  (await server.connect(version)).send(bytes).ended(code)

describe("SUBSCRIBE", () => {
  conforms(["5.0 MQTT-3.8.3-1", "3.1.1 MQTT-3.8.3-1"], "has filters of UTF-8", async (version) => {
    for (const bad of [[0xff], [0]].map((bytes) => Buffer.from(bytes))) {
      await ends(
        version,
        subscribe(version, 1, [
          ["a", 0],
          [bad, 0]
        ]),
        malformed
      )
    }
    await server.subscribed(version, "ü/水/+")
  })
  conforms(["5.0 MQTT-3.8.3-2", "3.1.1 MQTT-3.8.3-3"], "has a filter at least", (version) =>
    ends(version, subscribe(version, 1, []), protocolError)
  )
  conforms("3.1.1 MQTT-3.8.3-2", "may have wildcards", async (version) => {
    for (const filter of ["#", "+", "a/+/b", "a/#"]) await server.subscribed(version, filter, 1)
  })
  conforms("5.0 MQTT-3.8.3-5", "with reserved bits is malformed", async (version) => {
    for (const bits of [0x40, 0x80, 0xc0]) await ends(version, subscribe(version, 1, [["a", bits]]), malformed)
  })
  conforms("3.1.1 MQTT-3.8.3-4", "with reserved bits or QoS 3 ends the connection", async (version) => {
    for (const bits of [4, 8, 16, 32, 64, 128, 3]) await ends(version, subscribe(version, 1, [["a", bits]]), malformed)
  })

  conforms("5.0 MQTT-3.8.3-3", "with No Local brings nothing that this client id published", async () => {
    const topic = server.name()
    const client = await server.subscribed(5, topic, option.noLocal, { isDurable: true })
    await client.publish(topic, "own")
    await (await server.connect(5)).publish(topic, "other")
    expect(await client.messages(1)).toEqual(["other"])
    // Nor what its own id published over an earlier connection.
    await client.publish(topic, "own", { retain: true })
    await server.broken(client)
    const again = await server.connect(5, { clientId: client.clientId, isDurable: true })
    await again.subscribe(topic, option.noLocal)
    await again.nothing()
  })
  conforms("5.0 MQTT-3.8.3-4", "with No Local for a shared subscription is a protocol error", () =>
    ends(5, subscribe(5, 1, [["$share/g/a", option.noLocal]]), protocolError)
  )
})

/** Of a client that takes so much, for a stream that is not there. */
const refusedSuback = async (size: number): Promise<Buffer> => {
  const client = await server.connect(5, { properties: property.packetSizeMax(size) })
  return client.send(subscribe(5, 1, [["$stream/none", 0]])).packet()
}

/** Of a filter that is refused. */
const refusedCode = (version: Version): number => (version === 5 ? topicFilterInvalid : version === 4 ? 0x80 : 0)

/** The codes for these filters, in one SUBSCRIBE. */
const subackCodes = async (
  version: Version,
  filters: ReadonlyArray<readonly [string, number]>
): Promise<ReadonlyArray<number>> => {
  const client = await server.connect(version)
  client.send(subscribe(version, 1, filters))
  const bytes = await client.next(packetType.suback)
  return [...bytes.subarray(-filters.length)]
}

describe("SUBACK", () => {
  conforms(["5.0 MQTT-3.8.4-1", "3.1.1 MQTT-3.8.4-1"], "answers SUBSCRIBE, each one", async (version) => {
    const client = await server.connect(version)
    client.send(...[1, 2, 3].map((packetId) => subscribe(version, packetId, [["a", 0]])))
    for (let i = 0; i < 3; i++) await client.next(packetType.suback)
    await client.nothing()
  })
  conforms(["5.0 MQTT-3.8.4-2", "3.1.1 MQTT-3.8.4-2"], "has the packet id of its SUBSCRIBE", async (version) => {
    const client = await server.connect(version)
    const ids = [0xffff, 1, 0x1234]
    client.send(...ids.map((packetId) => subscribe(version, packetId, [["a", 0]])))
    for (const packetId of ids) expect((await client.next(packetType.suback)).readUInt16BE(2)).toBe(packetId)
  })

  const mixed = [
    ["a", 1],
    ["$stream/none", 1],
    ["b", 0],
    ["c", 2],
    ["$stream/none/x", 0],
    ["a", 2]
  ] as const

  conforms(
    ["5.0 MQTT-3.8.4-6", "5.0 MQTT-3.8.4-7", "3.1.1 MQTT-3.8.4-5"],
    "has a code for each filter, the QoS that was granted or a failure",
    async (version) => {
      const refused = refusedCode(version)
      expect(await subackCodes(version, mixed)).toEqual([1, refused, 0, 2, refused, 2])
      for (let count = 1; count < 5; count++) {
        const filters = Array.from({ length: count }, (_, at) => [`f/${at}`, 1] as const)
        expect(await subackCodes(version, filters)).toEqual(Array(count).fill(1))
      }
    }
  )
  conforms(["5.0 MQTT-3.9.3-1", "3.1.1 MQTT-3.9.3-1"], "has its codes in the filters' order", async (version) => {
    const filters = [2, 0, 1, 1, 0, 2].map((qos, at) => [`f/${at}`, qos] as const)
    expect(await subackCodes(version, filters)).toEqual([2, 0, 1, 1, 0, 2])
    expect(await subackCodes(version, filters.toReversed())).toEqual([2, 0, 1, 1, 0, 2].toReversed())
  })
  conforms(["5.0 MQTT-3.9.3-2", "3.1.1 MQTT-3.9.3-2"], "has the standard's codes only", async (version) => {
    const known = version === 5 ? [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2] : [0, 1, 2, 0x80]
    const filters = [...mixed, ["$share/g/$stream/x", 1], ["$share/g/x", 2]] as const
    const found = await subackCodes(version, filters)
    expect(found).toContain(refusedCode(version))
    for (const code of found) expect(known).toContain(code)
  })
  conforms("3.1 SUBACK-1", "has QoS 0 for a filter that is refused", async (version) => {
    expect(await subackCodes(version, mixed)).toEqual([1, 0, 0, 2, 0, 2])
  })

  conforms(
    ["5.0 MQTT-3.8.4-5", "3.1.1 MQTT-3.8.4-4"],
    "of several filters stands for that of each by itself",
    async (version) => {
      const topic = server.name()
      const publisher = await server.connect(version)
      for (const level of ["a", "b"]) await publisher.publish(`${topic}/${level}`, level, { retain: true })
      const filters = [
        [`${topic}/a`, 0],
        [`${topic}/b`, 1],
        [`${topic}/a`, 1]
      ] as const
      const one = await server.connect(version)
      one.send(subscribe(version, 1, filters))
      expect((await one.next(packetType.suback)).subarray(-3)).toEqual(Buffer.from([0, 1, 1]))
      const many = await server.connect(version)
      for (const [filter, qos] of filters) many.send(subscribe(version, 1, [[filter, qos]]))
      const texts: Array<string> = []
      for (let subacks = 0; subacks < 3;) {
        const bytes = await many.packet()
        if (bytes[0] === packetType.suback) subacks++
        else texts.push(bytes.subarray(-1).toString())
      }
      // The filter that comes twice has its retained message sent for each time.
      expect([...(await one.messages(3))].sort()).toEqual(["a", "a", "b"])
      await publisher.publish(`${topic}/a`, "c", { qos: 2 })
      expect(await one.message()).toMatchObject({ text: "c", qos: 1 })
      await one.nothing()
    }
  )

  conforms("5.0 MQTT-3.9.2-1", "leaves out a reason string that makes it too large", async () => {
    const whole = (await refusedSuback(1000)).length
    expect(whole).toBeGreaterThan(10)
    expect(await refusedSuback(whole)).toHaveLength(whole)
    expect([...(await refusedSuback(whole - 1))]).toEqual([packetType.suback, 4, 0, 1, 0, topicFilterInvalid])
  })
  conforms("5.0 MQTT-3.9.2-2", "has no user properties", async () => {
    const client = await server.connect(5, { properties: property.user("receipts", "1") })
    client.send(subscribe(5, 1, [["a", 0]], property.user("n", "v")))
    expect([...(await client.packet())]).toEqual([packetType.suback, 4, 0, 1, 0, 0])
  })
})

describe("a subscription", () => {
  conforms(
    ["5.0 MQTT-3.8.4-3", "5.0 MQTT-3.8.4-4", "3.1.1 MQTT-3.8.4-3"],
    "takes the place of the one with its filter; retained messages come again, and none is lost",
    async (version) => {
      const topic = server.name()
      const publisher = await server.connect(version)
      await publisher.publish(topic, "kept", { retain: true })
      const client = await server.subscribed(version, topic, 0)
      expect(await client.messages(1)).toEqual(["kept"])
      // Published while it is replaced, again and again.
      const all = Array.from({ length: 20 }, (_, at) => `${at}`)
      for (const [at, payload] of all.entries()) {
        client.send(subscribe(version, at + 1, [[topic, 1]]))
        publisher.send(publishPacket(topic, payload, { version, qos: 1, packetId: at + 1 }))
      }
      for (let i = 0; i < all.length; i++) await publisher.acked(packetType.puback)
      const live: Array<string> = []
      let [kept, subacks] = [0, 0]
      while (live.length < 20 || kept < 20 || subacks < 20) {
        const bytes = await client.packet()
        if (bytes[0] === packetType.suback) subacks++
        else if ((bytes[0]! & 1) === 1) kept++
        else
          live.push(
            bytes
              .subarray(bytes.indexOf(topic) + topic.length + ((bytes[0]! & 6) > 0 ? 2 : 0) + (version === 5 ? 1 : 0))
              .toString()
          )
        if ((bytes[0]! & 0xf6) === 0x32) client.send(ack(packetType.puback, bytes.readUInt16BE(4 + topic.length)))
      }
      expect(live).toEqual(all)
      expect(kept).toBe(20)
      await client.nothing()
    }
  )

  conforms(["5.0 MQTT-3.8.4-8", "3.1.1 MQTT-3.8.4-6"], "brings the lower QoS of message and grant", async (version) => {
    const publisher = await server.connect(version)
    for (const granted of [0, 1, 2]) {
      const topic = server.name()
      const client = await server.subscribed(version, topic, granted)
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish(topic, "x", { qos })
        expect((await client.message()).qos).toBe(Math.min(granted, qos))
      }
    }
  })
})

describe("UNSUBSCRIBE", () => {
  conforms(["5.0 MQTT-3.10.3-1", "3.1.1 MQTT-3.10.3-1"], "has filters of UTF-8", async (version) => {
    for (const bad of [[0xff], [0]].map((bytes) => Buffer.from(bytes))) {
      await ends(version, unsubscribe(version, 1, ["a", bad]), malformed)
    }
  })
  conforms(["5.0 MQTT-3.10.3-2", "3.1.1 MQTT-3.10.3-2"], "has a filter at least", (version) =>
    ends(version, unsubscribe(version, 1, []), protocolError)
  )

  conforms(
    ["5.0 MQTT-3.10.4-1", "3.1.1 MQTT-3.10.4-1"],
    "deletes the subscription with exactly its filter",
    async (version) => {
      const topic = server.name()
      const client = await server.subscribed(version, `${topic}/+`)
      const publisher = await server.connect(version)
      for (const other of [`${topic}/#`, `${topic}/a`, `${topic}/+/`, `${topic.toUpperCase()}/+`, "#"]) {
        const codes = await client.unsubscribe(other)
        if (version === 5) expect(codes).toEqual([0x11])
      }
      await publisher.publish(`${topic}/a`, "still")
      expect(await client.messages(1)).toEqual(["still"])
      await client.unsubscribe(`${topic}/+`)
      await publisher.publish(`${topic}/a`)
      await client.nothing()
    }
  )
  conforms(["5.0 MQTT-3.10.4-2", "3.1.1 MQTT-3.10.4-2"], "has nothing new come behind it", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, topic, 1)
    // What is read behind it, on the same connection.
    client.send(
      unsubscribe(version, 1, [topic]),
      publishPacket(topic, "x", { version, qos: 1, packetId: 2 }),
      subscribe(version, 3, [["other", 0]])
    )
    const types = [await client.packet(), await client.packet(), await client.packet()].map(([type]) => type!)
    expect(types.toSorted((a, b) => a - b)).toEqual([packetType.puback, packetType.suback, packetType.unsuback])
    await client.nothing()
  })
  conforms(
    ["5.0 MQTT-3.10.4-3", "3.1.1 MQTT-3.10.4-3"],
    "has what was begun of QoS 1 and 2 completed",
    async (version) => {
      const topic = server.name()
      const client = await server.subscribed(version, topic, 2, { isDurable: true })
      const publisher = await server.connect(version)
      for (const qos of [1, 2] as const) await publisher.publish(topic, "begun", { qos })
      const ids = [(await client.message()).messageId!, (await client.message()).messageId!]
      await client.unsubscribe(topic)
      await server.broken(client)
      const again = await server.connect(version, { clientId: client.clientId, isDurable: true })
      for (const messageId of ids) expect(await again.message()).toMatchObject({ messageId, text: "begun" })
      again.send(ack(packetType.pubrec, ids[1]!))
      expect(await again.acked(packetType.pubrel)).toEqual({ packetId: ids[1], code: 0 })
      again.send(ack(packetType.pubcomp, ids[1]!), ack(packetType.puback, ids[0]!))
      await again.nothing()
    }
  )

  conforms(
    ["5.0 MQTT-3.10.4-4", "5.0 MQTT-3.10.4-5", "3.1.1 MQTT-3.10.4-4", "3.1.1 MQTT-3.10.4-5"],
    "is answered by UNSUBACK with its packet id, where nothing was deleted too",
    async (version) => {
      const client = await server.subscribed(version, "a")
      for (const [packetId, filter] of [
        [7, "a"],
        [8, "a"],
        [0xffff, "none"]
      ] as const) {
        client.send(unsubscribe(version, packetId, [filter]))
        const bytes = await client.next(packetType.unsuback)
        expect(bytes.readUInt16BE(2)).toBe(packetId)
        expect(bytes).toHaveLength(version === 5 ? 6 : 4)
      }
    }
  )
  conforms(
    ["5.0 MQTT-3.10.4-6", "3.1.1 MQTT-3.10.4-6"],
    "of several filters is as several, with one UNSUBACK",
    async (version) => {
      const topic = server.name()
      const client = await server.connect(version)
      for (const level of ["a", "b", "c"]) await client.subscribe(`${topic}/${level}`)
      client.send(unsubscribe(version, 1, [`${topic}/a`, `${topic}/none`, `${topic}/c`]))
      await client.next(packetType.unsuback)
      const publisher = await server.connect(version)
      for (const level of ["a", "b", "c"]) await publisher.publish(`${topic}/${level}`, level)
      expect(await client.messages(1)).toEqual(["b"])
    }
  )

  conforms(["5.0 MQTT-3.11.3-1", "5.0 MQTT-3.11.3-2"], "has its codes in the filters' order", async () => {
    const client = await server.connect(5)
    for (const filter of ["a", "c"]) await client.subscribe(filter)
    client.send(unsubscribe(5, 1, ["none", "a", "b", "c", "a"]))
    expect([...(await client.packet())]).toEqual([packetType.unsuback, 8, 0, 1, 0, 0x11, 0, 0x11, 0, 0x11])
  })
  conforms(
    ["5.0 MQTT-3.11.2-1", "5.0 MQTT-3.11.2-2"],
    "is answered without reason string and user properties",
    async () => {
      const client = await server.connect(5, { properties: property.user("receipts", "1") })
      client.send(unsubscribe(5, 1, ["none"]))
      expect([...(await client.packet())]).toEqual([packetType.unsuback, 4, 0, 1, 0, 0x11])
    }
  )
})

const badFilters =
  (filters: ReadonlyArray<string>) =>
  async (version: Version): Promise<void> => {
    for (const filter of filters) {
      await ends(version, subscribe(version, 1, [[filter, 0]]), topicFilterInvalid)
      await ends(version, unsubscribe(version, 1, [filter]), topicFilterInvalid)
    }
  }

describe("topics and filters", () => {
  conforms(["5.0 MQTT-4.7.0-1", "3.1.1 MQTT-4.7.1-1"], "wildcards are for filters only", async (version) => {
    await server.subscribed(version, "a/+/#")
    for (const topic of ["a/+", "a/#", "#"]) await ends(version, publishPacket(topic, "x", { version }), 0x90)
    const will = connect(version, server.name(), { will: { topic: "a/+" } })
    const rest = await server.refused(version, will)
    expect(rest[3]).toBe(version === 5 ? 0x90 : undefined)
  })
  conforms(["5.0 MQTT-4.7.1-1", "3.1.1 MQTT-4.7.1-2"], "# stands alone or behind /, and last", async (version) => {
    for (const filter of ["#", "a/#", "/#"]) await server.subscribed(version, filter)
    await badFilters(["a#", "#/a", "a/#/b", "##", "a/b#"])(version)
  })
  conforms(["5.0 MQTT-4.7.1-2", "3.1.1 MQTT-4.7.1-3"], "+ takes a whole level", async (version) => {
    for (const filter of ["+", "+/a", "a/+", "a/+/b", "+/+", "/+"]) await server.subscribed(version, filter)
    await badFilters(["a+", "+a", "a/+b", "++", "a/b+/c"])(version)
  })
  conforms(["5.0 MQTT-4.7.2-1", "3.1.1 MQTT-4.7.2-1"], "a wildcard at the beginning matches no $", async (version) => {
    const topic = server.name()
    const client = await server.connect(version)
    for (const filter of [`+/${topic}`, `+/${topic}/#`, "#"]) await client.subscribe(filter)
    const named = await server.subscribed(version, `$other/${topic}`)
    const publisher = await server.connect(version)
    await publisher.publish(`$other/${topic}`, "hidden")
    await publisher.publish(`other/${topic}`, "seen")
    expect(await named.messages(1)).toEqual(["hidden"])
    // Whatever was retained came first.
    for (;;) {
      const message = await client.message()
      expect(message.topic.startsWith("$")).toBe(false)
      if (message.topic === `other/${topic}`) break
    }
    await client.nothing()
  })
  conforms(["5.0 MQTT-4.7.3-1", "3.1.1 MQTT-4.7.3-1"], "have a character at least", async (version) => {
    await ends(version, publishPacket("", "x", { version }), protocolError)
    await ends(version, subscribe(version, 1, [["", 0]]), topicFilterInvalid)
    await ends(version, unsubscribe(version, 1, [""]), topicFilterInvalid)
    for (const topic of ["/", " ", "a"]) {
      const client = await server.subscribed(version, topic)
      await (await server.connect(version)).publish(topic)
      expect((await client.message()).topic).toBe(topic)
    }
  })
  conforms(["5.0 MQTT-4.7.3-2", "3.1.1 MQTT-4.7.3-2"], "have no NUL", async (version) => {
    await ends(version, publishPacket("a\0", "x", { version }), malformed)
    await ends(version, subscribe(version, 1, [["\0", 0]]), malformed)
    await ends(version, unsubscribe(version, 1, ["a/\0"]), malformed)
  })
  conforms(
    ["5.0 MQTT-4.7.3-3", "3.1.1 MQTT-4.7.3-3"],
    "have as many bytes as the server takes, and fewer than 65,536",
    async (version) => {
      const { topicBytesMax } = server.kit.broker.limits
      const longest = server.name().padEnd(topicBytesMax, "x")
      const client = await server.subscribed(version, longest)
      await (await server.connect(version)).publish(longest)
      expect((await client.message()).topic).toBe(longest)
      await ends(version, publishPacket(`${longest}x`, "x", { version }), 0x90)
      await ends(version, subscribe(version, 1, [["x".repeat(65_535), 0]]), topicFilterInvalid)
    }
  )
  conforms(["5.0 MQTT-4.7.3-4", "3.1.1 MQTT-4.7.3-4"], "are compared as they are", async (version) => {
    // Each pair is one after some normalization.
    const pairs = [
      ["/a", "a"],
      ["a/", "a"],
      ["a//b", "a/b"],
      ["A", "a"],
      ["\u00C5", "A\u030A"],
      ["a/./b", "a/b"],
      ["%41", "A"],
      [" a", "a"]
    ] as const
    for (const [one, other] of pairs) {
      const topic = server.name()
      const client = await server.subscribed(version, `${topic}/${one}`)
      const publisher = await server.connect(version)
      await publisher.publish(`${topic}/${other}`, "other")
      await publisher.publish(`${topic}/${one}`, "one")
      expect(await client.messages(1)).toEqual(["one"])
    }
  })
})
