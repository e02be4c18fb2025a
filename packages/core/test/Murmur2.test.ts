import { describe, expect, it } from "vitest"
import { murmur2, partitionOf } from "../src/Murmur2.ts"

const utf8 = new TextEncoder()

describe("murmur2", () => {
  it.each([
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107]
  ])("of %s is what Kafka's own test says", (text, expected) => {
    expect(murmur2(utf8.encode(text))).toBe(expected)
  })

  it("chooses the partition from the 31 low bits", () => {
    expect(partitionOf(utf8.encode("21"), 16)).toBe((-973932308 & 0x7fffffff) % 16)
    expect(partitionOf(utf8.encode("abc"), 7)).toBe(479470107 % 7)
    expect(partitionOf(new Uint8Array(0), 1)).toBe(0)
  })
})
