import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { apiTable } from "../../src/kafka/apiTable.ts"
import { registry } from "../../src/kafka/handlers.ts"

describe("what is advertised", () => {
  it("is what the documentation says", () => {
    const page = readFileSync(join(import.meta.dirname, "../../../../docs/kafka-apis.md"), "utf8")
    expect(page).toBe(apiTable(registry))
  })

  it("is one API per key, in order, within what is declared", () => {
    const keys = registry.listed.map(({ key }) => key)
    expect(keys).toEqual([...keys].sort((a, b) => a - b))
    expect(new Set(keys).size).toBe(44)
    for (const { api, serves } of registry.handlers.values()) {
      expect(serves[0]).toBeGreaterThanOrEqual(api.versions[0])
      expect(serves[1]).toBeLessThanOrEqual(api.versions[1])
    }
  })

  it("lists Produce from 0, though 0-2 are refused (trap 5)", () => {
    expect(registry.listed[0]).toEqual({ key: 0, name: "Produce", min: 0, max: 13 })
    expect(registry.handlers.get(0)!.serves).toEqual([3, 13])
  })
})
