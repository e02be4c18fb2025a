import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { decodePacket } from "../../src/mqtt/decode.ts"
import { decodeConnect } from "../../src/mqtt/decodeConnect.ts"
import { defaultCodecLimits, MqttError, type ProtocolVersion } from "../../src/mqtt/Packet.ts"
import { bytes, errorOf, field, packet, section } from "./bytes.ts"

const versions = [4, 5] as const
const none = (version: ProtocolVersion): Uint8Array => (version === 5 ? Uint8Array.of(0) : new Uint8Array())

const filters = (count: number, ...tail: ReadonlyArray<number>): Buffer =>
  bytes(...Array.from({ length: count }, () => bytes(field("t"), ...tail)))

const reasonOf = (version: ProtocolVersion, input: Uint8Array): number =>
  errorOf(() => decodePacket(input, version)).reasonCode

const reasons = (reason: number, input: (version: ProtocolVersion) => Uint8Array): void => {
  for (const version of versions) expect([version, reasonOf(version, input(version))]).toEqual([version, reason])
}

/** A PUBLISH of MQTT 5 with QoS 0 and the given properties. */
const publish5 = (...properties: ReadonlyArray<number | string | Uint8Array>): Buffer =>
  packet(0x30, field("t"), section(...properties))

describe("MQTT framing", () => {
  it("type 0", () => reasons(0x81, () => bytes(0x00, 0)))

  it("lengths of fields past the packet's end", () => {
    reasons(0x81, () => packet(0x30, 0, 9, "abc"))
    reasons(0x81, () => packet(0x30, 0))
    reasons(0x81, () => packet(0x32, field("abc"), 1))
    reasons(0x81, (version) => packet(0x82, 0, 1, none(version), 0, 9, "abc", 0))
    reasons(0x81, (version) => packet(0x82, 0, 1, none(version), field("abc")))
    reasons(0x81, (version) => packet(0xa2, 0, 1, none(version), 0, 9, "abc"))
  })

  it("lengths of properties past the packet's end, or past their section", () => {
    expect(reasonOf(5, packet(0x30, field("t"), 9, 0x01, 0))).toBe(0x81)
    expect(reasonOf(5, packet(0x30, field("t"), section(0x26, field("a"), 0, 5, "b"), "cdefgh"))).toBe(0x81)
    expect(reasonOf(5, packet(0x30, field("t"), section(0x02, 0, 0), 1, 1, 1, 1))).toBe(0x81)
    expect(reasonOf(5, packet(0x30, field("t"), 0x80, 0x80, 0x80, 0x80, 0x01))).toBe(0x81)
    expect(reasonOf(5, packet(0x30, field("t")))).toBe(0x81)
  })

  it("a slice that is shorter or longer than its remaining length", () => {
    reasons(0x81, () => bytes(0xc0, 1))
    reasons(0x81, () => bytes(0xc0, 0, 0))
    reasons(0x81, () => bytes(0x30, 0xff, 0xff, 0xff, 0xff, 0x01))
    reasons(0x81, () => bytes(0xc0))
    reasons(0x81, () => bytes())
  })

  it("a remaining length that is longer than needed, in MQTT 5 only", () => {
    expect(reasonOf(5, bytes(0xc0, 0x80, 0x00))).toBe(0x81)
    expect(decodePacket(bytes(0xc0, 0x80, 0x00), 4)).toEqual({ _tag: "Pingreq" })
    expect(reasonOf(5, packet(0x30, field("t"), 0x80, 0x00))).toBe(0x81)
  })

  it("trailing bytes inside a packet", () => {
    for (const first of [0x40, 0x50, 0x62, 0x70]) {
      expect(reasonOf(4, packet(first, 0, 1, 0))).toBe(0x81)
      expect(reasonOf(5, packet(first, 0, 1, 0, 0, 7))).toBe(0x81)
    }
    expect(reasonOf(4, packet(0xe0, 0))).toBe(0x81)
    expect(reasonOf(5, packet(0xe0, 0, 0, 7))).toBe(0x81)
    expect(reasonOf(5, packet(0xf0, 0x18, section(0x15, field("m")), 7))).toBe(0x81)
  })

  it("PINGREQ and PUBACK with a wrong length", () => {
    reasons(0x81, () => packet(0xc0, 0))
    reasons(0x81, () => packet(0x40))
    reasons(0x81, () => packet(0x40, 1))
  })

  it("flags of the fixed header that are not the packet type's", () => {
    for (const first of [0x41, 0x52, 0x60, 0x68, 0x78, 0x80, 0xa0, 0xc1, 0xe8]) {
      reasons(0x81, () => packet(first, 0, 1))
    }
  })
})

const connect = (version: number, flags: number, ...payload: ReadonlyArray<number | string | Uint8Array>): Buffer =>
  packet(0x10, field("MQTT"), version, flags, 0, 60, version === 5 ? 0 : "", ...payload)

const refusal = (input: Uint8Array): ReadonlyArray<number | undefined> => {
  const { reasonCode, connackCode311, connackVersion } = errorOf(() => decodeConnect(input))
  return [reasonCode, connackCode311, connackVersion]
}

const with5 = (...properties: ReadonlyArray<number | string | Uint8Array>): Buffer =>
  packet(0x10, field("MQTT"), 5, 2, 0, 60, section(...properties), field("a"))

describe("MQTT handshake", () => {
  it("anything before CONNECT", () => {
    for (let type = 2; type < 16; type++) {
      expect(refusal(packet(type << 4, 0, 1))).toEqual([0x82, undefined, undefined])
    }
  })

  it("a second CONNECT", () => reasons(0x82, (version) => connect(version, 2, field("a"))))

  it("reserved flags", () => {
    for (const version of versions) {
      expect(refusal(connect(version, 0x03, field("a")))).toEqual([0x81, undefined, version])
    }
    expect(refusal(bytes(0x11, connect(4, 2, field("a")).subarray(1)))[0]).toBe(0x81)
  })

  it("will QoS 3, and will flags without a will", () => {
    for (const version of versions) {
      expect(refusal(connect(version, 0x1e, field("a"), none(version), field("w"), field("p")))[0]).toBe(0x81)
      expect(refusal(connect(version, 0x0a, field("a")))[0]).toBe(0x81)
      expect(refusal(connect(version, 0x22, field("a")))[0]).toBe(0x81)
    }
  })

  it("an unknown protocol name or level", () => {
    expect(refusal(packet(0x10, field("MQIsdp"), 4, 2, 0, 60, field("a")))).toEqual([0x84, 1, 4])
    expect(refusal(packet(0x10, field("MQIsdp"), 0x83, 2, 0, 60, field("a")))).toEqual([0x84, 1, 4])
    expect(refusal(packet(0x10, field("mqtt"), 4, 2, 0, 60, field("a")))).toEqual([0x84, 1, 4])
    expect(refusal(connect(3, 2, field("a")))).toEqual([0x84, 1, 4])
    expect(refusal(connect(0x84, 2, field("a")))).toEqual([0x84, 1, 4])
    expect(refusal(connect(6, 2, field("a")))).toEqual([0x84, 1, 5])
  })

  it("an empty client id without clean session in 3.1.1; MQTT 5 allows it", () => {
    expect(refusal(connect(4, 0x00, field("")))).toEqual([0x85, 2, 4])
    expect(decodeConnect(connect(4, 0x02, field(""))).clientId).toBe("")
    expect(decodeConnect(connect(5, 0x00, field(""))).clientId).toBe("")
  })

  it("a client id over 256 bytes", () => {
    expect(refusal(connect(4, 2, field("é".repeat(129))))).toEqual([0x85, 2, 4])
    expect(refusal(connect(5, 2, field("a".repeat(257))))).toEqual([0x85, 2, 5])
    expect(decodeConnect(connect(5, 2, field("a".repeat(256)))).clientId.length).toBe(256)
  })

  it("a password without a user name in 3.1.1; MQTT 5 allows it", () => {
    expect(refusal(connect(4, 0x42, field("a"), field("secret")))).toEqual([0x81, undefined, 4])
    expect(decodeConnect(connect(5, 0x42, field("a"), field("secret"))).password).toEqual(
      new Uint8Array(Buffer.from("secret"))
    )
  })

  it("NUL or invalid UTF-8 anywhere", () => {
    const bad = [bytes("a\0b"), bytes(0xc3), bytes(0xed, 0xa0, 0x80), bytes(0xc0, 0xaf), bytes(0xff)]
    for (const text of bad) {
      for (const version of versions) {
        expect(refusal(connect(version, 2, field(text)))[0]).toBe(0x81)
        expect(refusal(connect(version, 0x06, field("a"), none(version), field(text), field("p")))[0]).toBe(0x81)
        expect(refusal(connect(version, 0x82, field("a"), field(text)))[0]).toBe(0x81)
      }
      expect(refusal(packet(0x10, field(text), 4, 2, 0, 60, field("a")))[0]).toBe(0x81)
      reasons(0x81, (version) => packet(0x30, field(text), none(version)))
      reasons(0x81, (version) => packet(0x82, 0, 1, none(version), field(text), 0))
      reasons(0x81, (version) => packet(0xa2, 0, 1, none(version), field(text)))
      for (const id of [0x03, 0x08]) expect(reasonOf(5, publish5(id, field(text)))).toBe(0x81)
      expect(reasonOf(5, publish5(0x26, field(text), field("")))).toBe(0x81)
      expect(reasonOf(5, publish5(0x26, field(""), field(text)))).toBe(0x81)
      expect(reasonOf(5, packet(0x40, 0, 1, 0, section(0x1f, field(text))))).toBe(0x81)
    }
  })

  it("a will with a topic that may not be, or a payload that is not the UTF-8 it is announced as", () => {
    for (const version of versions) {
      for (const topic of ["", "a/#", "+"]) {
        expect(refusal(connect(version, 0x06, field("a"), none(version), field(topic), field("p")))[0]).toBe(0x90)
      }
    }
    const indicated = section(0x01, 1)
    expect(refusal(connect(5, 0x06, field("a"), indicated, field("w"), field(bytes(0xff))))[0]).toBe(0x99)
  })

  it("fields past the end and trailing bytes", () => {
    for (const version of versions) {
      const good = connect(version, 0xc2, field("id"), field("name"), field("word"))
      expect(decodeConnect(good).username).toBe("name")
      expect(refusal(connect(version, 0xc2, field("id"), field("name"), field("word"), 0))[0]).toBe(0x81)
      for (let length = 2; length < good.length; length++) {
        expect(errorOf(() => decodeConnect(packet(0x10, good.subarray(2, length)))).reasonCode).toBe(0x81)
      }
    }
  })

  it("authentication data without a method, and values out of range", () => {
    expect(refusal(with5(0x16, field("data")))).toEqual([0x82, undefined, 5])
    expect(refusal(with5(0x21, 0, 0))[0]).toBe(0x82)
    expect(refusal(with5(0x27, 0, 0, 0, 0))[0]).toBe(0x82)
    expect(refusal(with5(0x17, 2))[0]).toBe(0x82)
    expect(refusal(with5(0x19, 2))[0]).toBe(0x82)
    expect(refusal(with5(0x23, 0, 1))[0]).toBe(0x81)
  })
})

const repeat = (count: number, value: string): Buffer =>
  bytes(...Array.from({ length: count }, () => bytes(0x26, field("n"), field(value))))

describe("MQTT meaning", () => {
  it("wildcards or NUL in a publish topic", () => {
    for (const topic of ["#", "+", "a/#", "a/+/b", "a#b"]) {
      reasons(0x90, (version) => packet(0x30, field(topic), none(version)))
    }
    reasons(0x81, (version) => packet(0x30, field("a\0"), none(version)))
  })

  it("a topic over 1,024 bytes or 32 levels", () => {
    reasons(0x90, (version) => packet(0x30, field("a".repeat(1_025)), none(version)))
    reasons(0x90, (version) => packet(0x30, field("/".repeat(32)), none(version)))
    for (const topic of ["a".repeat(1_024), "/".repeat(31)]) {
      expect(decodePacket(packet(0x30, field(topic), 0), 5)).toMatchObject({ topic })
    }
  })

  it("an empty topic without alias; with one it is the alias's", () => {
    reasons(0x82, (version) => packet(0x30, field(""), none(version)))
    expect(decodePacket(packet(0x30, field(""), section(0x23, 0, 7)), 5)).toMatchObject({ topic: "" })
  })

  it("alias 0", () => expect(reasonOf(5, publish5(0x23, 0, 0))).toBe(0x94))

  it("packet id 0", () => {
    reasons(0x82, (version) => packet(0x32, field("t"), 0, 0, none(version)))
    for (const first of [0x40, 0x50, 0x62, 0x70]) reasons(0x82, () => packet(first, 0, 0))
    reasons(0x82, (version) => packet(0x82, 0, 0, none(version), field("t"), 0))
    reasons(0x82, (version) => packet(0xa2, 0, 0, none(version), field("t")))
  })

  it("DUP on QoS 0, and QoS 3", () => {
    reasons(0x82, (version) => packet(0x38, field("t"), none(version)))
    reasons(0x81, (version) => packet(0x36, field("t"), 0, 1, none(version)))
  })

  it("duplicate properties", () => {
    const one: ReadonlyArray<Buffer> = [
      bytes(0x01, 0),
      bytes(0x02, 0, 0, 0, 0),
      bytes(0x03, field("")),
      bytes(0x08, field("r")),
      bytes(0x09, field("")),
      bytes(0x23, 0, 1)
    ]
    for (const property of one) {
      expect(decodePacket(publish5(property), 5)).toMatchObject({ topic: "t" })
      expect(reasonOf(5, publish5(property, property))).toBe(0x82)
    }
  })

  it("properties that have no place in the packet", () => {
    expect(reasonOf(5, publish5(0x11, 0, 0, 0, 1))).toBe(0x81)
    for (const id of [0x00, 0x04, 0x2b, 0x40, 0x43, 0xff]) expect(reasonOf(5, publish5(id, 0))).toBe(0x81)
    expect(reasonOf(5, publish5(0x0b, 1))).toBe(0x82)
    expect(reasonOf(5, packet(0xe0, 0, section(0x1c, field("s"))))).toBe(0x82)
    expect(reasonOf(5, packet(0x82, 0, 1, section(0x1f, field("r")), field("t"), 0))).toBe(0x81)
  })

  it("subscription id 0", () => {
    expect(reasonOf(5, packet(0x82, 0, 1, section(0x0b, 0), field("t"), 0))).toBe(0x82)
  })

  it("malformed filters", () => {
    for (const filter of [
      "a#",
      "#/a",
      "+a",
      "a+",
      "a/#/b",
      "",
      "$share",
      "$share/",
      "$share/g",
      "$share//t",
      "$share/g/",
      "$share/+/t"
    ]) {
      reasons(0x8f, (version) => packet(0x82, 0, 1, none(version), field(filter), 0))
      reasons(0x8f, (version) => packet(0xa2, 0, 1, none(version), field(filter)))
    }
  })

  it("empty SUBSCRIBE and UNSUBSCRIBE", () => {
    for (const first of [0x82, 0xa2]) reasons(0x82, (version) => packet(first, 0, 1, none(version)))
  })

  it("filters over the number that is read are counted, their lengths checked", () => {
    const context = { limits: { ...defaultCodecLimits, subscriptionsPerPacketMax: 2 }, topics: undefined }
    const counted = (version: ProtocolVersion, bytes: Buffer): unknown => {
      const decoded = decodePacket(bytes, version, context)
      if (decoded._tag === "Subscribe") return [decoded.subscriptions.length, decoded.refusedFilters]
      return decoded._tag === "Unsubscribe" && [decoded.filters.length, decoded.refusedFilters]
    }
    for (const version of versions) {
      expect(counted(version, packet(0x82, 0, 1, none(version), filters(2, 0)))).toEqual([2, 0])
      expect(counted(version, packet(0x82, 0, 1, none(version), filters(5, 0)))).toEqual([2, 3])
      expect(counted(version, packet(0xa2, 0, 1, none(version), filters(2)))).toEqual([2, 0])
      for (const cut of [
        bytes(filters(2, 0), 0, 9, 0x61, 0),
        bytes(filters(3, 0), 0),
        bytes(filters(3, 0), 0, 1, 0x61)
      ]) {
        expect(() => counted(version, packet(0x82, 0, 1, none(version), cut))).toThrow(MqttError)
      }
    }
    expect(counted(5, packet(0xa2, 0, 1, 0, filters(5)))).toEqual([2, 3])
    // Its UNSUBACK has no codes.
    expect(() => counted(4, packet(0xa2, 0, 1, filters(5)))).toThrow("more than 2 filters in UNSUBSCRIBE")
  })

  it("subscription options that may not be", () => {
    expect(reasonOf(4, packet(0x82, 0, 1, field("t"), 4))).toBe(0x81)
    expect(reasonOf(4, packet(0x82, 0, 1, field("t"), 3))).toBe(0x81)
    for (const [options, reason] of [
      [3, 0x82],
      [0x30, 0x82],
      [0x40, 0x81],
      [0x80, 0x81]
    ] as const) {
      expect(reasonOf(5, packet(0x82, 0, 1, 0, field("t"), options))).toBe(reason)
    }
    expect(reasonOf(5, packet(0x82, 0, 1, 0, field("$share/g/t"), 4))).toBe(0x82)
  })

  it("packets that only servers send", () => {
    for (const first of [0x20, 0x90, 0xb0, 0xd0]) reasons(0x82, () => packet(first, 0, 1))
    expect(reasonOf(4, packet(0xf0))).toBe(0x82)
    expect(reasonOf(5, packet(0xf0))).toBe(0x82)
    expect(reasonOf(5, packet(0xf0, 0x18, 0))).toBe(0x82)
  })

  it("reason codes that are not the packet's", () => {
    expect(reasonOf(5, packet(0x40, 0, 1, 0x92))).toBe(0x82)
    expect(reasonOf(5, packet(0x62, 0, 1, 0x10))).toBe(0x82)
    expect(reasonOf(5, packet(0xe0, 0x8b))).toBe(0x82)
  })

  it("more than 64 user properties or 8 KiB of them", () => {
    expect(decodePacket(publish5(repeat(64, "")), 5)).toMatchObject({ topic: "t" })
    expect(reasonOf(5, publish5(repeat(65, "")))).toBe(0x97)
    expect(decodePacket(publish5(repeat(8, "v".repeat(1_023))), 5)).toMatchObject({ topic: "t" })
    expect(reasonOf(5, publish5(repeat(8, "v".repeat(1_024))))).toBe(0x97)
  })

  it("a payload format that is none, and a response topic with wildcards", () => {
    expect(reasonOf(5, publish5(0x01, 2))).toBe(0x82)
    expect(reasonOf(5, publish5(0x08, field("a/#")))).toBe(0x90)
  })
})

it("AUTH, which MQTT 3.1.1 has not", () => {
  const auth = packet(0xf0, 0x18, section(0x15, field("m")))
  expect(decodePacket(auth, 5)).toMatchObject({ _tag: "Auth" })
  expect(reasonOf(4, auth)).toBe(0x82)
})

const text = (part: Uint8Array | undefined): string => Buffer.from(part!).toString()

it("what a CONNECT leaves behind is its own: the bytes it came in are used again", () => {
  const properties = section(0x15, field("m"), 0x16, field("secret"))
  const will = section(0x09, field("reply"))
  const payload = [field("a"), will, field("w"), field("gone"), field("u"), field("pass")]
  const input = packet(0x10, field("MQTT"), 5, 0xc6, 0, 60, properties, ...payload)
  const decoded = decodeConnect(input)
  input.fill(0)
  expect([text(decoded.will!.payload), text(decoded.password)]).toEqual(["gone", "pass"])
  expect(text(decoded.will!.properties.correlationData)).toBe("reply")
  expect(text(decoded.properties.authenticationData)).toBe("secret")
  // A session keeps its will for long: not the whole packet with it.
  expect(decoded.will!.payload.buffer.byteLength).toBe(4)
})

it("the data of an AUTH is its own, and keeps no packet in memory", () => {
  const auth = packet(0xf0, 0x18, section(0x15, field("m"), 0x16, field("secret")))
  const decoded = decodePacket(auth, 5)
  if (decoded._tag !== "Auth") throw new Error(decoded._tag)
  const { authenticationData } = decoded.properties
  expect([text(authenticationData), authenticationData!.buffer.byteLength]).toEqual(["secret", 6])
})

describe("noise", () => {
  const first = fc.constantFrom(0x10, 0x30, 0x32, 0x34, 0x40, 0x62, 0x82, 0xa2, 0xc0, 0xe0, 0xf0)
  /** Bytes that get deep: small lengths and known property ids are likely. */
  const body = fc.array(fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 0x2a }), fc.nat(255)), {
    maxLength: 60
  })

  it.each(versions)("throws nothing but MqttError, version %i", (version) => {
    let refused = 0
    fc.assert(
      fc.property(first, body, (type, content) => {
        const input = packet(type, Uint8Array.from(content))
        const connected = packet(0x10, field("MQTT"), version, Uint8Array.from(content))
        for (const run of [() => decodePacket(input, version), () => decodeConnect(connected)]) {
          try {
            run()
          } catch (error) {
            refused++
            expect(error).toMatchObject({ _tag: "MqttError" })
          }
        }
      }),
      { numRuns: 2_000 }
    )
    expect(refused).toBeGreaterThan(100)
  })
})
