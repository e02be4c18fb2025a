import { randomBytes } from "node:crypto"
import { zstdDecompressSync } from "node:zlib"
import { ZstdEncoder } from "@logbrook/core/ZstdEncoder"
import { describe, expect, it } from "vitest"

const json = (count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, i) => JSON.stringify({ i, value: Math.sin(i) })).join("\n"))

describe("the zstd encoder", () => {
  it("makes a frame of each call, whatever came before it", () => {
    const encoder = new ZstdEncoder(1)
    const inputs = [
      json(3),
      randomBytes(200_000),
      Buffer.alloc(0),
      Buffer.alloc(1_000_000, 7),
      json(2000),
      randomBytes(1)
    ]
    for (const input of [...inputs, ...inputs.toReversed()]) {
      const frame = Buffer.from(encoder.encode(input))
      expect(zstdDecompressSync(frame).equals(input)).toBe(true)
    }
  })

  it("gives the same frame for the same input each time", () => {
    const encoder = new ZstdEncoder(1)
    const input = json(500)
    const first = Buffer.from(encoder.encode(input))
    encoder.encode(randomBytes(50_000))
    expect(Buffer.from(encoder.encode(input)).equals(first)).toBe(true)
    expect(first.length).toBeLessThan(input.length / 2)
  })

  it("says in the frame how long its content is", () => {
    const frame = new ZstdEncoder(1).encode(Buffer.alloc(70_000, 1))
    // Frame_Content_Size_flag, or Single_Segment_flag (RFC 8878, 3.1.1.1.1).
    expect(frame[4]! & 0b1110_0000).not.toBe(0)
  })
})
