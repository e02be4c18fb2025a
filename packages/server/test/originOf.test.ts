import { describe, expect, it } from "vitest"
import { originOf, placeOf } from "../src/originOf.ts"

describe("an origin", () => {
  it("names the protocol, the client and what led to the command", () => {
    expect(originOf("mqtt", "sensor-7", " will")).toBe("mqtt sensor-7 will")
    expect(originOf("kafka", "app", "@::1 Produce#7")).toBe("kafka app@::1 Produce#7")
  })

  it("of a client whose id is as long as it may be says what led to the command", () => {
    expect(originOf("mqtt", "x".repeat(256), " shared")).toBe(`mqtt ${"x".repeat(188)} shared`)
  })

  it("is bounded however long the client's id and its principal are", () => {
    const place = placeOf({ type: "User", name: "p".repeat(256) }, "127.0.0.1")
    expect(originOf("kafka", "x".repeat(60_000), place)).toBe(`kafka ${"x".repeat(54)}${place}`)
  })
})
