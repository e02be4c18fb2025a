import { describe, expect, it } from "vitest"
import { decodePacket } from "../../src/mqtt/decode.ts"
import { decodeConnect } from "../../src/mqtt/decodeConnect.ts"
import { encodeConnack, encodeConnackRefusal, encodeSuback } from "../../src/mqtt/encode.ts"
import { MqttError } from "../../src/mqtt/Packet.ts"
import { bytes, field, packet } from "./bytes.ts"

// Where MQTT 3.1 differs from 3.1.1.

const connect = (flags: number, clientId: string): Uint8Array =>
  packet(0x10, field("MQIsdp"), 3, flags, 0, 60, field(clientId))

const errorOf = (decode: () => unknown): MqttError => {
  try {
    decode()
  } catch (error) {
    if (error instanceof MqttError) return error
  }
  throw new Error("it was taken")
}

describe("CONNECT of MQTT 3.1", () => {
  it("has a protocol name of its own", () => {
    expect(decodeConnect(connect(2, "a"))).toMatchObject({ version: 3, clientId: "a", cleanStart: true })
    expect(decodeConnect(connect(0, "a"))).toMatchObject({ version: 3, cleanStart: false })
  })

  it("may have the flags of user name and password without them: its length takes precedence", () => {
    const bare = decodeConnect(connect(0xc2, "a"))
    expect([bare.username, bare.password]).toEqual([undefined, undefined])
    const named = decodeConnect(packet(0x10, field("MQIsdp"), 3, 0xc2, 0, 60, field("a"), field("user")))
    expect([named.username, named.password]).toEqual(["user", undefined])
    const whole = decodeConnect(packet(0x10, field("MQIsdp"), 3, 0xc2, 0, 60, field("a"), field("user"), field("p")))
    expect([whole.username, whole.password]).toEqual(["user", new Uint8Array([0x70])])
    expect(errorOf(() => decodeConnect(packet(0x10, field("MQTT"), 4, 0x82, 0, 60, field("a")))).reasonCode).toBe(0x81)
  })

  it("has a client id of 1 to 23 characters; another one is told by CONNACK 2", () => {
    expect(decodeConnect(connect(2, "x".repeat(23))).clientId.length).toBe(23)
    expect(decodeConnect(connect(2, "ü".repeat(23))).clientId.length).toBe(23)
    for (const clientId of ["", "x".repeat(24)]) {
      const error = errorOf(() => decodeConnect(connect(2, clientId)))
      expect(Buffer.from(encodeConnackRefusal(error)!)).toEqual(Buffer.from([0x20, 2, 0, 2]))
    }
  })
})

const subscribe = (first: number): Uint8Array => packet(first, 0, 1, field("a"), 1)

describe("packets of MQTT 3.1", () => {
  it("may have DUP where they are sent again, and whatever else in flags that are not used", () => {
    for (const first of [0x82, 0x8a, 0x83]) {
      expect(decodePacket(subscribe(first), 3)).toMatchObject({ _tag: "Subscribe", packetId: 1 })
      expect(decodePacket(packet(first + 0x20, 0, 1, field("a")), 3)).toMatchObject({ _tag: "Unsubscribe" })
    }
    expect(decodePacket(bytes(0x6a, 2, 0, 7), 3)).toMatchObject({ _tag: "Pubrel", packetId: 7 })
    expect(errorOf(() => decodePacket(subscribe(0x8a), 4)).reasonCode).toBe(0x81)
  })

  it("cannot be of type 15, which is of MQTT 5", () => {
    expect(errorOf(() => decodePacket(bytes(0xf0, 0), 3)).reasonCode).toBe(0x82)
  })

  it("cannot refuse a subscription: SUBACK grants QoS 0 instead", () => {
    expect([...encodeSuback(3, 1, [0, 1, 2, 0x80, 0x97])]).toEqual([0x90, 7, 0, 1, 0, 1, 2, 0, 0])
    expect([...encodeSuback(4, 1, [0, 1, 2, 0x80, 0x97])]).toEqual([0x90, 7, 0, 1, 0, 1, 2, 0x80, 0x80])
  })

  it("cannot tell in CONNACK whether there was a session", () => {
    expect([...encodeConnack(3, true, 0)]).toEqual([0x20, 2, 0, 0])
    expect([...encodeConnack(4, true, 0)]).toEqual([0x20, 2, 1, 0])
  })
})
