import { describe, expect, it } from "vitest"
import { formatKeyExpression, InvalidKeyExpression, keyOf, parseKeyExpression } from "../src/KeyExpression.ts"
import { defaultLimits } from "../src/Limits.ts"

const source = {
  clientId: "meter-7",
  topic: "site//roof",
  userProperties: [
    ["device", "d1"],
    ["device", "d2"],
    ["__proto__", "p"]
  ] as const
}

describe("KeyExpression", () => {
  it.each([
    ["clientid", "meter-7"],
    ["topic", "site//roof"],
    ["topic[1]", "site"],
    ["topic[2]", ""],
    ["topic[3]", "roof"],
    ["topic[4]", null],
    ["user-property:device", "d1"],
    ["user-property:__proto__", "p"],
    ["user-property:other", null],
    ["none", null]
  ])("%s gives %j, and prints as it was read", (text, key) => {
    const expression = parseKeyExpression(text, defaultLimits)
    expect(keyOf(expression, source)).toBe(key)
    expect(formatKeyExpression(expression)).toBe(text)
  })

  it("has no user property in 3.1.1", () => {
    expect(
      keyOf(parseKeyExpression("user-property:a", defaultLimits), { ...source, userProperties: undefined })
    ).toBeNull()
  })

  it.each([
    ["", "Unknown"],
    ["ClientId", "Unknown"],
    ["topic[a]", "Unknown"],
    ["topic[-1]", "Unknown"],
    ["topic[0]", "LevelOutOfRange"],
    ["topic[33]", "LevelOutOfRange"],
    ["user-property:", "InvalidName"],
    ["user-property:a\0", "InvalidName"]
  ])("refuses %j as %s", (text, reason) => {
    let caught: unknown
    try {
      parseKeyExpression(text, defaultLimits)
    } catch (error) {
      caught = error
    }
    expect(caught).toBeInstanceOf(InvalidKeyExpression)
    expect((caught as InvalidKeyExpression).reason).toBe(reason)
  })
})
