import { describe, expect, it } from "vitest"
import { isForeignOrigin } from "../../src/net/localNames.ts"

const site = "https://app.example.org"
const others = { host: "192.0.2.1", port: 8083 }
const loopback = { host: "127.0.0.1", port: 8083 }

describe("a page of another site", () => {
  it("is foreign on loopback, and wherever a browser shows its user's certificate", () => {
    const isForeign = [
      isForeignOrigin(site, loopback, "off", new Set(["local"])),
      isForeignOrigin(site, others, "off", new Set(["local"])),
      isForeignOrigin(site, others, "optional", new Set(["local"])),
      isForeignOrigin(site, others, "required", new Set(["local"]))
    ]
    expect(isForeign).toEqual([true, false, true, true])
  })

  it("is not foreign where its origin is allowed; nor is who sends none, which is no browser", () => {
    expect(isForeignOrigin(site, others, "required", new Set([site]))).toBe(false)
    expect(isForeignOrigin(site, others, "required", new Set(["any"]))).toBe(false)
    expect(isForeignOrigin("http://localhost:3000", others, "required", new Set(["local"]))).toBe(false)
    expect(isForeignOrigin(undefined, others, "required", new Set(["local"]))).toBe(false)
  })
})
