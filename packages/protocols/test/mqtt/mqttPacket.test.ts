import { writeToStream } from "mqtt-packet"
import { describe, expect, it } from "vitest"
import { generatePacket, pairsForGenerate, parsePacket } from "../../src/mqtt/mqttPacket.ts"
import type { UserProperties } from "../../src/mqtt/Packet.ts"
import { bytes, field, section } from "./bytes.ts"

describe("mqtt-packet behind the strict check", () => {
  it("throws what is no MqttError for what cannot have passed the check, and reads the next packet", () => {
    const good = bytes(0x18, section(0x15, field("m")))
    const bad = [
      bytes(0x77, section(0x15, field("m"))), // a reason code that is none
      bytes(0x18, 9, 0x15, 0, 200, "m"), // a string past the end
      bytes(0x18, section(0x7f, 1)) // an unknown property
    ]
    for (const body of bad) {
      try {
        const { properties } = parsePacket("auth", body, 5)
        // mqtt-packet takes a string past the end for none.
        expect(properties?.authenticationMethod ?? null).toBeNull()
      } catch (error) {
        expect(error).not.toHaveProperty("_tag")
      }
      expect(parsePacket("auth", good, 5)).toMatchObject({ cmd: "auth", properties: { authenticationMethod: "m" } })
    }
    expect(() => parsePacket("auth", bad[0]!, 5)).toThrow("does not read what the strict check let pass")
  })

  it("gives each packet once, whichever version came before", () => {
    const four = bytes(0, 1, field("t"), 1)
    const five = bytes(0, 2, 0, field("t"), 0x2d)
    for (let round = 0; round < 3; round++) {
      expect(parsePacket("subscribe", four, 4)).toMatchObject({ messageId: 1, subscriptions: [{ topic: "t", qos: 1 }] })
      expect(parsePacket("subscribe", five, 5).subscriptions).toEqual([
        { topic: "t", qos: 1, nl: true, rap: true, rh: 2 }
      ])
    }
  })

  it("writes user properties in their order, with repeats", () => {
    const pairs: UserProperties = [
      ["b", "1"],
      ["1", "2"],
      ["b", ""],
      ["__proto__", "x"],
      ["", "y"]
    ]
    const packet = generatePacket(
      { cmd: "disconnect", reasonCode: 0x80, properties: { userProperties: pairsForGenerate(pairs) } },
      5
    )
    const written = section(...pairs.map(([name, value]) => bytes(0x26, field(name), field(value))))
    expect(Buffer.from(packet.subarray(2)).toString("hex")).toBe(bytes(0x80, written).toString("hex"))
  })

  it("keeps no table of all numbers of two bytes", () => expect(writeToStream.cacheNumbers).toBe(false))
})

it("what MQTT cannot express is a RangeError", () => {
  expect(() => generatePacket({ cmd: "puback" }, 4)).toThrow(RangeError)
  expect(generatePacket({ cmd: "puback", messageId: 1 }, 4)).toHaveLength(4)
})
