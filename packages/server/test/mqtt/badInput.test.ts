import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  connected,
  connectPacket,
  type Kit,
  packet,
  publishPacket,
  RawClient,
  type RawConnect,
  startKit,
  subscribePacket
} from "./kit.ts"

let kit: Kit

beforeAll(async () => {
  // What is closed is closed at once: no timer of the server ends within a test.
  kit = await startKit({ limits: { connectTimeoutMs: 3_600_000, frameStallMs: 3_600_000 } })
  await kit.bind("everything", ["#"])
})

afterAll(() => kit.stop())

/** What a client of each version must see. DISCONNECT of MQTT 5 with this reason; MQTT 3.1.1 just closes. */
type Expected = number | "close"

const isDisconnect = (rest: Buffer, code: number): boolean => rest[0] === 0xe0 && rest[2] === code

const throwUnlessServed = async (): Promise<void> => {
  const next = await connected(kit.port, { clientId: "next" })
  expect(next.accepted[3]).toBe(0)
  next.socket.destroy()
  await expect.poll(() => [...kit.mqtt.connections()].length + kit.mqtt.directory.size).toBe(0)
}

/** The client is in session; `bytes` break it. */
const refusedInSession = async (
  version: 4 | 5,
  bytes: ReadonlyArray<Uint8Array | ReadonlyArray<number>>,
  expected: Expected
): Promise<void> => {
  const client = await connected(kit.port, { version, clientId: `bad${version}` })
  const events = kit.events.length
  const audited = kit.audit.length
  client.send(...bytes)
  const rest = await client.rest()
  if (version === 4 || expected === "close") expect(rest).toHaveLength(0)
  else
    expect(rest).toSatisfy(
      (rest: Buffer) => isDisconnect(rest, expected),
      `DISCONNECT ${expected.toString(16)}, got ${rest.toString("hex")}`
    )
  expect(kit.audit.length - audited).toBe(1)
  // The end of its session is all that is journaled.
  await expect.poll(() => kit.mqtt.directory.get(`bad${version}`)).toBe(undefined)
  await kit.seq()
  expect(kit.events.slice(events)).toEqual(["SessionDisconnected", "SessionEnded"])
  await throwUnlessServed()
}

const refused = async (bytes: Uint8Array, reply: ReadonlyArray<number>): Promise<void> => {
  await throwUnlessServed()
  await kit.seq()
  const events = kit.events.length
  const audited = kit.audit.length
  const client = new RawClient(kit.port)
  client.send(bytes)
  const rest = await client.rest()
  expect([...rest.subarray(0, reply.length === 4 && reply[1] !== 2 ? 4 : rest.length)]).toEqual(reply)
  expect(kit.audit.length - audited).toBe(1)
  await kit.seq()
  expect(kit.events.length).toBe(events)
  await throwUnlessServed()
}

const malformed = 0x81
const protocolError = 0x82

const both = [4, 5] as const

describe("framing", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<number> | Uint8Array, Expected]> = [
    ["type 0", [0x00, 0x00], malformed],
    ["a remaining length of five bytes", [0x30, 0xff, 0xff, 0xff, 0xff, 0x01], malformed],
    ["a topic that is longer than its packet", [0x30, 0x05, 0x00, 0x09, 0x61, 0x62, 0x63], malformed],
    ["PINGREQ with a body", [0xc0, 0x01, 0x00], malformed],
    ["PUBACK of one byte", [0x40, 0x01, 0x00], malformed],
    ["a declared packet of 256 MB", [0x30, 0xff, 0xff, 0xff, 0x7f], 0x95],
    ["bytes behind the last field", [0x62, 0x05, 0x00, 0x01, 0x00, 0x00, 0x00], malformed]
  ]
  for (const version of both) {
    for (const [name, bytes, expected] of cases) {
      it(`MQTT ${version}: ${name}`, () => refusedInSession(version, [bytes], expected))
    }
  }

  it("MQTT 5: a property that is longer than its section", () =>
    refusedInSession(5, [packet(0x30, [0, 1, 0x61, 3, 0x03, 0x00, 0x09, 0x61])], malformed))

  it("lets one byte per second be, under the deadline", async () => {
    const own = await startKit({ limits: { connectTimeoutMs: 60_000 } })
    const client = new RawClient(own.port)
    const bytes = connectPacket({ clientId: "slow" })
    const pauseMs = 2500 / bytes.length
    for (const byte of bytes) {
      client.send([byte])
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
    expect((await client.packet())[3]).toBe(0)
    client.send([0xc0])
    await new Promise((resolve) => setTimeout(resolve, 300))
    client.send([0x00])
    expect([...(await client.packet())]).toEqual([0xd0, 0])
    client.socket.destroy()
    await own.stop()
  })

  it("does not let a packet be that was begun and comes no further", async () => {
    const own = await startKit({ limits: { frameStallMs: 1000 } })
    const client = await connected(own.port)
    client.send([0xc0])
    expect(isDisconnect(await client.rest(), protocolError)).toBe(true)
    await own.stop()
  })
})

describe("handshake", () => {
  const willRest = [0, 1, 0x77, 0, 1, 0x78]
  const cases: ReadonlyArray<readonly [string, RawConnect, ReadonlyArray<number>]> = [
    ["3.1.1, reserved flag", { version: 4, flags: 3 }, []],
    ["3.1.1, will QoS 3", { version: 4, flags: 0x1e, rest: willRest }, []],
    ["3.1.1, will retain without a will", { version: 4, flags: 0x22 }, []],
    ["unknown protocol name", { version: 4, name: "MQIsdp" }, [0x20, 2, 0, 1]],
    ["unknown protocol level", { version: 3, name: "MQTT" }, [0x20, 2, 0, 1]],
    ["3.1.1, empty client id without clean session", { version: 4, flags: 0, clientId: "" }, [0x20, 2, 0, 2]],
    ["3.1.1, NUL in the client id", { version: 4, clientId: "a\0b" }, []],
    ["3.1.1, a password without a user name", { version: 4, flags: 0x42, rest: [0, 1, 0x70] }, []],
    ["3.1.1, a client id of 257 bytes", { version: 4, clientId: "x".repeat(257) }, [0x20, 2, 0, 2]],
    ["3.1.1, bytes behind the last field", { version: 4, rest: [0] }, []],
    ["3.1, reserved flag", { version: 3, flags: 3 }, []],
    ["3.1, empty client id with clean session", { version: 3, flags: 2, clientId: "" }, [0x20, 2, 0, 2]],
    ["3.1, a client id of 24 bytes", { version: 3, clientId: "x".repeat(24) }, [0x20, 2, 0, 2]],
    ["3.1, a password without a user name", { version: 3, flags: 0x42, rest: [0, 1, 0x70] }, []]
  ]
  for (const [name, options, reply] of cases) it(name, () => refused(connectPacket(options), reply))

  const codes5: ReadonlyArray<readonly [string, RawConnect, number]> = [
    ["reserved flag", { flags: 3 }, malformed],
    ["will QoS 3", { flags: 0x1e, rest: [0, ...willRest] }, malformed],
    ["NUL in the client id", { clientId: "a\0b" }, malformed],
    ["a client id of 257 bytes", { clientId: "x".repeat(257) }, 0x85],
    ["a property twice", { properties: [17, 0, 0, 0, 1, 17, 0, 0, 0, 1] }, protocolError],
    ["Receive Maximum 0", { properties: [33, 0, 0] }, protocolError],
    ["a wildcard in the will's topic", { flags: 6, rest: [0, 0, 1, 0x23, 0, 1, 0x78] }, 0x90],
    ["enhanced authentication", { properties: [21, 0, 1, 0x78] }, 0x8c],
    ["level 6", { version: 6 }, 0x84]
  ]
  for (const [name, options, code] of codes5) {
    it(`5, ${name}`, async () => {
      await kit.seq()
      const events = kit.events.length
      const client = new RawClient(kit.port)
      client.send(connectPacket(options))
      const rest = await client.rest()
      expect([rest[0], rest[2], rest[3]]).toEqual([0x20, 0, code])
      await kit.seq()
      expect(kit.events.length).toBe(events)
      await throwUnlessServed()
    })
  }

  it("5, in a CONNACK that is no longer than the client takes", async () => {
    const client = new RawClient(kit.port)
    client.send(connectPacket({ properties: [21, 0, 1, 0x78, 39, 0, 0, 0, 20] }))
    expect([...(await client.rest())]).toEqual([0x20, 3, 0, 0x8c, 0])
  })

  it("anything before CONNECT", () => refused(publishPacket("a", "x"), []))
  it("invalid UTF-8 in the client id", () =>
    refused(packet(0x10, [0, 4], Buffer.from("MQTT"), [4, 2, 0, 0, 0, 1, 0xff]), []))
  it("a CONNECT of more than 64 KiB", () => refused(Buffer.from([0x10, 0x81, 0x80, 0x04]), []))
  for (const version of both) {
    it(`MQTT ${version}: a second CONNECT`, () =>
      refusedInSession(version, [connectPacket({ version, clientId: `bad${version}` })], protocolError))
  }

  it("no CONNECT within its time", async () => {
    const own = await startKit({ limits: { connectTimeoutMs: 600 } })
    const from = performance.now()
    expect(await new RawClient(own.port).rest()).toHaveLength(0)
    expect(performance.now() - from).toBeGreaterThan(550)
    await own.stop()
  })
})

describe("meaning", () => {
  const cases: ReadonlyArray<readonly [string, (version: 4 | 5) => Uint8Array, Expected]> = [
    ["a wildcard in a publish topic", (version) => publishPacket("a/+", "x", { version }), 0x90],
    ["NUL in a publish topic", (version) => publishPacket("a\0", "x", { version }), malformed],
    ["invalid UTF-8 in a topic", (version) => publishPacket(Buffer.from([0xc0, 0x80]), "x", { version }), malformed],
    ["QoS 3", (version) => packet(0x36, [0, 1, 0x61, 0, 1], version === 5 ? [0] : []), malformed],
    ["packet id 0", (version) => publishPacket("a", "x", { version, qos: 1, packetId: 0 }), protocolError],
    ["DUP on QoS 0", (version) => publishPacket("a", "x", { version, dup: true }), protocolError],
    ["the filter a#", (version) => subscribePacket(1, [["a#", 0]], version), 0x8f],
    ["the filter #/a", (version) => subscribePacket(1, [["#/a", 0]], version), 0x8f],
    ["the filter +a", (version) => subscribePacket(1, [["+a", 0]], version), 0x8f],
    ["an empty SUBSCRIBE", (version) => subscribePacket(1, [], version), protocolError],
    ["SUBSCRIBE with packet id 0", (version) => subscribePacket(0, [["a", 0]], version), protocolError],
    ["SUBACK from a client", () => packet(0x90, [0, 1, 0]), protocolError],
    ["CONNACK from a client", () => packet(0x20, [0, 0]), protocolError],
    ["PINGRESP from a client", () => packet(0xd0), protocolError]
  ]
  for (const version of both) {
    for (const [name, bytes, expected] of cases) {
      it(`MQTT ${version}: ${name}`, () => refusedInSession(version, [bytes(version)], expected))
    }
  }

  const cases5: ReadonlyArray<readonly [string, Uint8Array, number]> = [
    ["an empty topic without alias", publishPacket("", "x"), protocolError],
    ["alias 0", publishPacket("a", "x", { properties: [35, 0, 0] }), 0x94],
    ["an alias over the maximum", publishPacket("a", "x", { properties: [35, 0, 33] }), 0x94],
    ["an alias that was not set", publishPacket("", "x", { properties: [35, 0, 1] }), protocolError],
    ["a property twice", publishPacket("a", "x", { properties: [1, 0, 1, 0] }), protocolError],
    ["subscription id 0", packet(0x82, [0, 1, 2, 11, 0, 0, 1, 0x61, 0]), protocolError],
    // [MQTT-4.12.0-7]
    ["AUTH without a method in CONNECT", packet(0xf0, [0x19, 4, 21, 0, 1, 0x78]), protocolError],
    ["a session expiry at the end for a session that has none", packet(0xe0, [0, 5, 17, 0, 0, 0, 9]), protocolError]
  ]
  for (const [name, bytes, expected] of cases5) {
    it(`MQTT 5: ${name}`, () => refusedInSession(5, [bytes], expected))
  }

  it("MQTT 3.1.1: AUTH", () => refusedInSession(4, [packet(0xf0)], "close"))

  it("MQTT 5: a flood of QoS 2 without PUBREL, beyond the Receive Maximum of 1,024", async () => {
    const client = await connected(kit.port, { clientId: "flood" })
    const flood = Array.from({ length: 1025 }, (_, i) => publishPacket("$other", "x", { qos: 2, packetId: i + 1 }))
    client.send(...flood)
    const rest = await client.rest()
    expect(isDisconnect(rest.subarray(rest.lastIndexOf(0xe0)), 0x93)).toBe(true)
    await throwUnlessServed()
  })

  it("names like __proto__ are data", async () => {
    const client = await connected(kit.port, { clientId: "__proto__" })
    client.send(subscribePacket(1, [["__proto__/constructor", 0]]))
    expect((await client.packet()).at(-1)).toBe(0)
    client.send(
      publishPacket("__proto__/constructor", "x", {
        qos: 0,
        properties: [38, 0, 9, ...Buffer.from("__proto__"), 0, 1, 0x76]
      })
    )
    const got = await client.packet()
    expect(got.includes("__proto__/constructor")).toBe(true)
    client.socket.destroy()
    await throwUnlessServed()
  })
})
