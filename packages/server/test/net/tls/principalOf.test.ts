import { describe, expect, it } from "vitest"
import { principalOf } from "../../../src/net/tls/principalOf.ts"

const alice = { type: "User", name: "alice" } as const

describe("the principal of a certificate", () => {
  it("is the common name of the subject", () => {
    expect(principalOf("cn", { subject: { CN: "alice" }, subjectaltname: "DNS:other" })).toEqual(alice)
  })

  it("is the first alternative name of the kind that the rule names", () => {
    const names = {
      subject: { CN: "other" },
      subjectaltname: "IP Address:127.0.0.1, DNS:alice, DNS:bob, email:a@b.org"
    }
    expect(principalOf("dns", names)).toEqual(alice)
    expect(principalOf("email", names)).toEqual({ type: "User", name: "a@b.org" })
    expect(principalOf("uri", names)).toBe("the certificate has no URI")
  })

  it("takes a name with a comma in it as one, so that nobody is another by it", () => {
    const subjectaltname = String.raw`URI:"spiffe://x/y\u002c DNS:admin", DNS:alice`
    expect(principalOf("uri", { subject: {}, subjectaltname })).toEqual({
      type: "User",
      name: "spiffe://x/y, DNS:admin"
    })
    expect(principalOf("dns", { subject: {}, subjectaltname })).toEqual(alice)
  })

  it.each([
    ["no name", undefined, "has no common name"],
    ["an empty one", "", "has no common name"],
    ["two of them", ["alice", "bob"], "has more than one common name"],
    ["a long one", "a".repeat(257), "is above 256 characters"],
    ["control characters", "a\nb", "has characters that no name has"],
    ["the name of those without a certificate", "anonymous", "is that of clients without one"]
  ])("is nobody's with %s", (_, CN, reason) => {
    expect(principalOf("cn", { subject: CN === undefined ? {} : { CN } })).toContain(reason)
  })
})
