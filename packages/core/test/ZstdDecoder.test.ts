import { randomBytes } from "node:crypto"
import { setImmediate as nextTurn } from "node:timers/promises"
import { zstdCompressSync } from "node:zlib"
import { ZstdDecoder } from "@logbrook/core/ZstdDecoder"
import { expect, it } from "vitest"

it("gives each frame's content, whatever came before it, up to the length that is allowed", () => {
  const decoder = new ZstdDecoder()
  const contents = [
    Buffer.from("small"),
    randomBytes(200_000),
    Buffer.alloc(0),
    Buffer.alloc(1_000_000, 7),
    randomBytes(3_000_000),
    randomBytes(1)
  ]
  for (const content of [...contents, ...contents.toReversed()]) {
    const frame = zstdCompressSync(content)
    for (const expected of [1, content.length, content.length + 1, content.length + 1000]) {
      expect(content.equals(decoder.decode(frame, expected, 3_000_000))).toBe(true)
    }
  }
})

it("refuses what is no whole frame, or more than is allowed, and goes on", async () => {
  const decoder = new ZstdDecoder()
  const content = Buffer.concat([randomBytes(5000), Buffer.alloc(5000)])
  const frame = zstdCompressSync(content)
  const flipped = Buffer.from(frame)
  flipped[0]! ^= 1
  for (const bytes of [flipped, frame.subarray(0, -1), randomBytes(100)]) {
    expect(() => decoder.decode(bytes, 30_000, 30_000)).toThrow()
    expect(decoder.decode(frame, 30_000, 30_000)).toEqual(content)
  }
  for (const bytesMax of [1, content.length - 1]) {
    expect(() => decoder.decode(frame, 30_000, bytesMax)).toThrow(
      expect.objectContaining({ code: "ERR_BUFFER_TOO_LARGE" })
    )
    expect(decoder.decode(frame, 30_000, content.length)).toEqual(content)
  }
  // What Node tells of as an event has nobody to end.
  await nextTurn()
})

it("keeps no buffer of a large content", () => {
  const decoder = new ZstdDecoder()
  const small = decoder.decode(zstdCompressSync(Buffer.alloc(100)), 1000, 1000)
  decoder.decode(zstdCompressSync(Buffer.alloc(2_000_000)), 2_000_000, 2_000_000)
  expect(decoder.decode(zstdCompressSync(Buffer.alloc(100)), 1000, 1000).buffer).toBe(small.buffer)
})
