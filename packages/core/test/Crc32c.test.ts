import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { crc32c, crc32cTable } from "../src/Crc32c.ts"

describe("crc32c", () => {
  it("has the check value of CRC-32C", () => {
    const check = new TextEncoder().encode("123456789")
    expect(crc32c(check)).toBe(0xe3069283)
    expect(crc32cTable(check)).toBe(0xe3069283)
  })

  it("has RFC 3720's value for 32 zeros and for 200 bytes by both ways", () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(200))).toBe(crc32cTable(new Uint8Array(200)))
  })

  it("is the same by table and native, whole and in two pieces", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(400), (bytes, cut) => {
        const at = Math.min(cut, bytes.length)
        const whole = crc32c(bytes)
        expect(crc32cTable(bytes)).toBe(whole)
        expect(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at)))).toBe(whole)
      })
    )
  })
})
