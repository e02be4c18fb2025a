import { describe, expect } from "vitest"
import { publishPacket, type RawPublish } from "../mqtt/kit.ts"
import { ack, conforms, packetType, type Peer, property, two } from "./kit.ts"
import { server } from "./server.ts"
import type { Version } from "./statements.ts"

// PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7), the exchanges of each QoS (4.3), and what is sent again (4.4).

const protocolError = 0x82
const { puback, pubrec, pubrel, pubcomp } = packetType

const publish = (
  peer: Peer,
  topic: string,
  packetId: number,
  payload: string,
  rest: Omit<RawPublish, "version">
): void => void peer.send(publishPacket(topic, payload, { qos: 1, ...rest, version: peer.version, packetId }))

/** A durable subscriber, and a publisher of its topic. */
const pair = async (version: Version) => {
  const topic = server.name()
  const client = await server.subscribed(version, topic, 2, { isDurable: true })
  return { topic, client, publisher: await server.connect(version) }
}

const back = async (client: Peer): Promise<Peer> => {
  await server.broken(client)
  return server.connect(client.version, { clientId: client.clientId, isDurable: true })
}

/** The server's code for a message to each of these topics, one that is taken, one for nobody, and some that are refused. */
const codesFor = async (qos: 1 | 2): Promise<ReadonlyArray<number>> => {
  const topic = server.name()
  await server.subscribed(5, topic)
  const client = await server.connect(5)
  const codes: Array<number> = []
  for (const [packetId, name] of [topic, server.name(), "$stream/x", "$SYS/x", topic].entries()) {
    const properties = packetId === 4 ? property.payloadFormat(1) : []
    const payload = packetId === 4 ? Buffer.from([0xff]) : "x"
    client.send(publishPacket(name, payload, { qos, packetId: packetId + 1, properties }))
    codes.push((await client.acked(qos === 1 ? puback : pubrec)).code)
  }
  return codes
}

const others = (codes: ReadonlyArray<number>) =>
  [0x01, 0x81, 0x82, 0x92, 0x10, 0x9a, 0xff].filter((code) => !codes.includes(code))

/** The client may answer a message so, and not otherwise. */
const takes = async (type: number, codes: ReadonlyArray<number>): Promise<void> => {
  const client = await server.connect(5)
  for (const code of codes) {
    client.send(ack(type, 900, code))
    // PUBREC and PUBREL of ids that nothing has are answered.
    if (type === pubrec && code < 0x80) expect(await client.acked(pubrel)).toEqual({ packetId: 900, code: 0x92 })
    if (type === pubrel) expect(await client.acked(pubcomp)).toEqual({ packetId: 900, code: 0x92 })
  }
  await client.nothing()
  for (const code of others(codes)) await (await server.connect(5)).send(ack(type, 900, code)).ended(protocolError)
}

describe("the codes of acknowledgements", () => {
  // MQTT 5, 3.4.2.1 and 3.6.2.1.
  const ofPublish = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
  const ofRelease = [0x00, 0x92]
  conforms("5.0 MQTT-3.4.2-1", "of PUBACK are those of the standard", async () => {
    await takes(puback, ofPublish)
    expect(await codesFor(1)).toEqual([0, 0x10, 0x87, 0x87, 0x99])
  })
  conforms("5.0 MQTT-3.5.2-1", "of PUBREC are those of the standard", async () => {
    await takes(pubrec, ofPublish)
    expect(await codesFor(2)).toEqual([0, 0x10, 0x87, 0x87, 0x99])
  })
  conforms("5.0 MQTT-3.6.2-1", "of PUBREL are those of the standard", () => takes(pubrel, ofRelease))
  conforms("5.0 MQTT-3.7.2-1", "of PUBCOMP are those of the standard", () => takes(pubcomp, ofRelease))
})

/** The answers to a message that is stored, with its place in user properties. */
const receipt = async (qos: 1 | 2, size: number): Promise<Buffer> => {
  const topic = server.name()
  await server.kit.bind(topic, [topic])
  const properties = [...property.user("receipts", "1"), ...property.packetSizeMax(size)]
  const client = await server.connect(5, { properties })
  client.send(publishPacket(topic, "x", { qos, packetId: 1 }))
  return client.packet()
}

/** The answers to a message that is refused, of a client that takes so much. */
const refusal = async (qos: 1 | 2, properties: ReadonlyArray<number>): Promise<Buffer> => {
  const client = await server.connect(5, { properties })
  client.send(publishPacket("$stream/x", "x", { qos, packetId: 1 }))
  return client.packet()
}

describe("acknowledgements that would be too large", () => {
  for (const [qos, type, reasonId, userId] of [
    [1, puback, "5.0 MQTT-3.4.2-2", "5.0 MQTT-3.4.2-3"],
    [2, pubrec, "5.0 MQTT-3.5.2-2", "5.0 MQTT-3.5.2-3"]
  ] as const) {
    conforms(reasonId, "leave out the reason string", async () => {
      const whole = (await refusal(qos, [])).length
      expect(await refusal(qos, property.packetSizeMax(whole))).toHaveLength(whole)
      expect([...(await refusal(qos, property.packetSizeMax(whole - 1)))].slice(0, 5)).toEqual([type, 3, 0, 1, 0x87])
    })
    conforms(userId, "leave out the user properties", async () => {
      const whole = (await receipt(qos, 1000)).length
      expect(whole).toBeGreaterThan(20)
      expect(await receipt(qos, whole)).toHaveLength(whole)
      expect([...(await receipt(qos, whole - 1))]).toEqual([type, 2, 0, 1])
    })
  }
  conforms(["5.0 MQTT-3.6.2-2", "5.0 MQTT-3.6.2-3"], "PUBREL has neither", async () => {
    const { topic, client, publisher } = await pair(5)
    await publisher.publish(topic, "x", { qos: 2 })
    const { messageId } = await client.message()
    client.send(ack(pubrec, messageId!))
    expect([...(await client.packet())]).toEqual([pubrel, 2, ...two(messageId!)])
    client.send(ack(pubrec, 999))
    expect([...(await client.packet())]).toEqual([pubrel, 3, ...two(999), 0x92])
  })
  conforms(["5.0 MQTT-3.7.2-2", "5.0 MQTT-3.7.2-3"], "PUBCOMP has neither", async () => {
    const client = await server.connect(5)
    publish(client, server.name(), 5, "x", { qos: 2 })
    await client.acked(pubrec)
    client.send(ack(pubrel, 5), ack(pubrel, 999))
    expect([...(await client.packet())]).toEqual([pubcomp, 3, ...two(999), 0x92])
    expect([...(await client.packet())]).toEqual([pubcomp, 2, ...two(5)])
  })
})

describe("QoS 0", () => {
  conforms(["5.0 MQTT-4.3.1-1", "3.1.1 MQTT-4.3.1-1"], "is sent with QoS 0 and DUP 0", async (version) => {
    const { topic, client, publisher } = await pair(version)
    await publisher.publish(topic, "x", { qos: 0 })
    expect((await client.message()).bytes[0]).toBe(0x30)
  })
})

/** So many messages to the client are unacknowledged; their first bytes and packet ids. */
const sent = async (version: Version, qos: 1 | 2, count = 3) => {
  const all = await pair(version)
  for (let i = 0; i < count; i++) await all.publisher.publish(all.topic, `${i}`, { qos })
  const messages = []
  for (let i = 0; i < count; i++) messages.push(await all.client.message())
  const ids = messages.map(({ messageId }) => messageId!)
  return { ...all, ids, firsts: messages.map(({ bytes }) => bytes[0]!) }
}

/** A new message has another id than those that are in use, QoS and DUP 0. */
const sendsNew = async (version: Version, qos: 1 | 2): Promise<void> => {
  const { ids, firsts } = await sent(version, qos)
  expect(new Set(ids).size).toBe(3)
  expect(ids).not.toContain(0)
  expect(new Set(firsts)).toEqual(new Set([0x30 | (qos << 1)]))
}

/** Unacknowledged ones come again, in their order, with their ids and DUP; acknowledged ones do not. */
const sendsAgain = async (version: Version, qos: 1 | 2): Promise<void> => {
  const { client, ids } = await sent(version, qos)
  if (qos === 1) client.send(ack(puback, ids[1]!))
  else {
    client.send(ack(pubrec, ids[1]!))
    await client.acked(pubrel)
    client.send(ack(pubcomp, ids[1]!))
  }
  await client.nothing()
  await server.settled()
  const again = await back(client)
  for (const id of [ids[0], ids[2]]) expect(await again.message()).toMatchObject({ messageId: id, qos, dup: true })
  await again.nothing()
}

/** Every PUBLISH is answered, and one behind PUBACK is another message. */
const received = async (version: Version): Promise<void> => {
  const { topic, client, publisher } = await pair(version)
  for (const dup of [false, true, true]) {
    publish(publisher, topic, 9, `${dup}`, { dup })
    expect(await publisher.acked(puback)).toEqual({ packetId: 9, code: 0 })
  }
  expect(await client.messages(3)).toEqual(["false", "true", "true"])
}

describe("QoS 1", () => {
  conforms(
    ["5.0 MQTT-4.3.2-1", "5.0 MQTT-4.3.2-2", "3.1.1 MQTT-4.3.2-1"],
    "is sent with an id that is in no use, DUP 0",
    (version) => sendsNew(version, 1)
  )
  conforms("5.0 MQTT-4.3.2-3", "is unacknowledged until PUBACK", (version) => sendsAgain(version, 1))

  conforms(
    ["5.0 MQTT-4.3.2-4", "5.0 MQTT-4.3.2-5", "3.1.1 MQTT-4.3.2-2"],
    "is answered by PUBACK, behind which its id is a new message",
    received
  )
})

/** PUBREL answers PUBREC, comes again until PUBCOMP, and the PUBLISH does not. */
const released = async (version: Version): Promise<void> => {
  const { client, ids } = await sent(version, 2, 1)
  const packetId = ids[0]!
  client.send(ack(pubrec, packetId))
  expect(await client.acked(pubrel)).toEqual({ packetId, code: 0 })
  const again = await back(client)
  expect(await again.acked(pubrel)).toEqual({ packetId, code: 0 })
  await again.nothing()
  again.send(ack(pubcomp, packetId))
  await again.nothing()
  await (await back(again)).nothing()
}

describe("QoS 2 to a client", () => {
  conforms(["5.0 MQTT-4.3.3-1", "5.0 MQTT-4.3.3-2"], "is sent with an id that is in no use, DUP 0", (version) =>
    sendsNew(version, 2)
  )
  conforms("5.0 MQTT-4.3.3-3", "is unacknowledged until PUBREC", (version) => sendsAgain(version, 2))

  conforms(
    ["5.0 MQTT-4.3.3-4", "5.0 MQTT-4.3.3-5", "5.0 MQTT-4.3.3-6", "3.1.1 MQTT-4.3.3-1"],
    "is released by PUBREL behind PUBREC, which is unacknowledged until PUBCOMP",
    async (version) => {
      await sendsNew(version, 2)
      await released(version)
    }
  )

  conforms("5.0 MQTT-4.3.3-7", "does not expire once it was sent", async (version) => {
    const { topic, client, publisher } = await pair(version)
    await publisher.publish(topic, "x", { qos: 2, properties: property.messageExpiry(10) })
    const { messageId } = await client.message()
    server.clock.advance(20_000)
    client.send(ack(pubrec, messageId!))
    expect(await client.acked(pubrel)).toEqual({ packetId: messageId, code: 0 })
    client.send(ack(pubcomp, messageId!))
    await client.nothing()
  })
})

const newBehindPubcomp = async (version: Version): Promise<void> => {
  const { topic, client, publisher } = await pair(version)
  for (const payload of ["1", "2"]) {
    publish(publisher, topic, 4, payload, { qos: 2, dup: true })
    await publisher.acked(pubrec)
    publisher.send(ack(pubrel, 4))
    expect(await publisher.acked(pubcomp)).toEqual({ packetId: 4, code: 0 })
  }
  expect(await client.messages(2)).toEqual(["1", "2"])
}

const onceUntilPubrel = async (version: Version): Promise<void> => {
  const { topic, client, publisher } = await pair(version)
  const durable = await server.connect(version, { isDurable: true })
  for (const peer of [publisher, durable]) {
    for (const dup of [false, true, false]) {
      publish(peer, topic, 4, "once", { qos: 2, dup })
      expect((await peer.acked(pubrec)).packetId).toBe(4)
    }
    expect(await client.messages(1)).toEqual(["once"])
  }
  // Over a connection that broke as well.
  const again = await back(durable)
  publish(again, topic, 4, "once", { qos: 2, dup: true })
  expect((await again.acked(pubrec)).packetId).toBe(4)
  await client.nothing()
}

describe("QoS 2 from a client", () => {
  conforms("5.0 MQTT-4.3.3-8", "is answered by PUBREC", async (version) => {
    const client = await server.connect(version)
    publish(client, server.name(), 0x1234, "x", { qos: 2 })
    expect((await client.acked(pubrec)).packetId).toBe(0x1234)
  })

  conforms("5.0 MQTT-4.3.3-9", "with an id whose PUBREC refused is a new message", async (version) => {
    const { topic, client, publisher } = await pair(version)
    publish(publisher, "$stream/x", 3, "x", { qos: 2 })
    expect(await publisher.acked(pubrec)).toEqual({ packetId: 3, code: 0x87 })
    publish(publisher, topic, 3, "new", { qos: 2 })
    expect(await publisher.acked(pubrec)).toEqual({ packetId: 3, code: 0 })
    expect(await client.messages(1)).toEqual(["new"])
  })

  conforms("5.0 MQTT-4.3.3-10", "is answered again until PUBREL, and delivered once", onceUntilPubrel)

  conforms(
    ["5.0 MQTT-4.3.3-11", "5.0 MQTT-4.3.3-12"],
    "is answered by PUBCOMP behind PUBREL, and its id is a new message then",
    newBehindPubcomp
  )
  conforms(
    "3.1.1 MQTT-4.3.3-2",
    "is delivered once until PUBREL, behind whose PUBCOMP its id is a new message",
    async (version) => {
      await onceUntilPubrel(version)
      await newBehindPubcomp(version)
    }
  )

  conforms("5.0 MQTT-4.3.3-13", "is seen through where the message has expired too", async (version) => {
    const { topic, publisher } = await pair(version)
    publish(publisher, topic, 6, "x", { qos: 2, properties: property.messageExpiry(1) })
    await publisher.acked(pubrec)
    server.clock.advance(5000)
    publish(publisher, topic, 6, "x", { qos: 2, dup: true, properties: property.messageExpiry(1) })
    await publisher.acked(pubrec)
    publisher.send(ack(pubrel, 6))
    expect(await publisher.acked(pubcomp)).toEqual({ packetId: 6, code: 0 })
  })
})

describe("what is sent again", () => {
  conforms(
    ["5.0 MQTT-4.4.0-1", "3.1.1 MQTT-4.4.0-1"],
    "is PUBLISH and PUBREL with their ids, when the client is back and never otherwise",
    async (version) => {
      const { client, ids } = await sent(version, 2, 2)
      client.send(ack(pubrec, ids[0]!))
      await client.acked(pubrel)
      // However long the client takes.
      server.clock.advance(600_000)
      await client.nothing()
      const again = await back(client)
      const packets = [await again.packet(), await again.packet()]
      const release = packets.find((bytes) => bytes[0] === pubrel)!
      const message = packets.find((bytes) => bytes[0] === 0x3c)!
      expect(release.readUInt16BE(2)).toBe(ids[0])
      expect(message.readUInt16BE(4 + message.readUInt16BE(2))).toBe(ids[1])
      await again.nothing()
    }
  )

  conforms("5.0 MQTT-4.4.0-2", "is nothing that was refused by the client", async (version) => {
    for (const [qos, type] of [
      [1, puback],
      [2, pubrec]
    ] as const) {
      const { client, ids } = await sent(version, qos, 1)
      client.send(ack(type, ids[0]!, 0x80))
      await client.nothing()
      await server.settled()
      await (await back(client)).nothing()
    }
  })

  conforms("3.1.1 MQTT-4.6.0-1", "comes in the order of its first time", async (version) => {
    const topic = server.name()
    const client = await server.subscribed(version, topic, 2, { isDurable: true })
    const publisher = await server.connect(version)
    for (let i = 0; i < 8; i++) await publisher.publish(topic, `${i}`, { qos: i % 3 === 0 ? 2 : 1 })
    const expected = Array.from({ length: 8 }, (_, i) => `${i}`)
    expect(await client.messages(8)).toEqual(expected)
    expect(await (await back(client)).messages(8)).toEqual(expected)
  })
})

/** Some go to streams, some to nobody, some to a subscriber: they take different ways to the disk. */
const mixedTopics = async (): Promise<ReadonlyArray<string>> => {
  const [stored, wanted, unknown] = [server.name(), server.name(), server.name()]
  await server.kit.bind(stored, [stored])
  await server.subscribed(4, wanted, 1, { isDurable: true })
  return [unknown, stored, wanted, stored, unknown, wanted]
}

describe("the order of acknowledgements", () => {
  for (const [id, qos, type] of [
    ["3.1.1 MQTT-4.6.0-2", 1, puback],
    ["3.1.1 MQTT-4.6.0-3", 2, pubrec]
  ] as const) {
    conforms(id, `is the messages', of QoS ${qos}`, async (version) => {
      const client = await server.connect(version)
      const names = await mixedTopics()
      client.send(...names.map((topic, at) => publishPacket(topic, "x", { version, qos, packetId: 50 - at })))
      const ids = []
      for (let i = 0; i < names.length; i++) ids.push((await client.acked(type)).packetId)
      expect(ids).toEqual(names.map((_, at) => 50 - at))
    })
  }
  conforms("3.1.1 MQTT-4.6.0-4", "of PUBRELs is the PUBRECs'", async (version) => {
    const { client, ids } = await sent(version, 2, 5)
    const order = [2, 0, 4, 1, 3].map((at) => ids[at]!)
    client.send(...order.map((packetId) => ack(pubrec, packetId)))
    const released = []
    for (let i = 0; i < 5; i++) released.push((await client.acked(pubrel)).packetId)
    expect(released).toEqual(order)
  })
})
