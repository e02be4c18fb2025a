import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Splitter } from "../../src/mqtt/Splitter.ts"
import { bytes, cut, errorOf, packet, variable } from "./bytes.ts"

const kibibyte = 1_024

const splitAll = (chunks: ReadonlyArray<Uint8Array>, sizeMax = 1_048_576): Array<string> => {
  const splitter = new Splitter(sizeMax)
  const seen: Array<string> = []
  for (const chunk of chunks) {
    // A buffer that is overwritten after each push, as a shared read buffer is.
    const shared = Buffer.from(chunk)
    splitter.push(shared, (slice) => seen.push(Buffer.from(slice).toString("hex")))
    shared.fill(0xee)
  }
  expect(splitter.pendingBytes).toBe(0)
  return seen
}

const packets = fc.array(
  fc
    .record({ first: fc.integer({ min: 0x10, max: 0xff }), body: fc.uint8Array({ maxLength: 400 }) })
    .map(({ first, body }) => packet(first, body)),
  { minLength: 1, maxLength: 20 }
)

describe("Splitter", () => {
  it("whole = byte by byte = random chunks", () => {
    fc.assert(
      fc.property(packets, fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }), (all, sizes) => {
        const expected = all.map((one) => one.toString("hex"))
        const whole = Buffer.concat(all)
        expect(splitAll([whole])).toEqual(expected)
        expect(splitAll(cut(whole, [1]))).toEqual(expected)
        expect(splitAll(cut(whole, sizes))).toEqual(expected)
      })
    )
  })

  it("takes remaining lengths of one to four bytes", () => {
    for (const length of [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      const one = packet(0x30, Buffer.alloc(length, 1))
      const sizes: Array<number> = []
      const splitter = new Splitter(4 * kibibyte * kibibyte)
      for (const piece of cut(bytes(one, one), [70_001])) splitter.push(piece, (slice) => sizes.push(slice.length))
      expect(sizes).toEqual([one.length, one.length])
    }
  })

  it("hands out a whole packet as a view into the chunk", () => {
    const chunk = bytes(packet(0xc0), packet(0x30, "abc"))
    const splitter = new Splitter(kibibyte)
    const buffers: Array<unknown> = []
    splitter.push(chunk, (slice) => buffers.push(slice.buffer))
    expect(buffers).toEqual([chunk.buffer, chunk.buffer])
    expect(buffers[0]).toBe(chunk.buffer)
  })

  it("tells how many bytes wait, and holds none when idle", () => {
    const splitter = new Splitter(kibibyte)
    const seen: Array<number> = []
    splitter.push(bytes(packet(0xc0), 0x30), (slice) => seen.push(slice.length))
    expect(splitter.pendingBytes).toBe(1)
    splitter.push(bytes(3, "ab"), (slice) => seen.push(slice.length))
    expect(splitter.pendingBytes).toBe(4)
    splitter.push(bytes("c"), (slice) => seen.push(slice.length))
    expect(splitter.pendingBytes).toBe(0)
    expect(seen).toEqual([2, 5])
  })

  it("refuses a remaining length of five bytes at its fifth byte", () => {
    const splitter = new Splitter(kibibyte)
    splitter.push(bytes(0x30, 0x80, 0x80, 0x80), () => expect.fail("no packet"))
    expect(errorOf(() => splitter.push(bytes(0x80), () => expect.fail("no packet"))).reasonCode).toBe(0x81)
    expect(errorOf(() => new Splitter(9).push(bytes(0x30, 0xff, 0xff, 0xff, 0xff), () => {})).reasonCode).toBe(0x81)
  })

  it("refuses type 0 at its first byte", () => {
    for (const flags of [0, 1, 15]) {
      expect(errorOf(() => new Splitter(kibibyte).push(bytes(flags), () => {})).reasonCode).toBe(0x81)
      expect(errorOf(() => new Splitter(kibibyte).push(bytes(flags, 0), () => {})).reasonCode).toBe(0x81)
    }
  })

  it("refuses a declared 256 MB packet at its header, whole or byte by byte", () => {
    const header = bytes(0x30, variable(268_435_455))
    expect(errorOf(() => new Splitter(1_048_576).push(header, () => {})).reasonCode).toBe(0x95)
    const splitter = new Splitter(1_048_576)
    const error = errorOf(() => cut(header, [1]).forEach((piece) => splitter.push(piece, () => {})))
    expect(error.reasonCode).toBe(0x95)
  })

  it("counts the fixed header into the size", () => {
    const seen: Array<number> = []
    new Splitter(12).push(packet(0x30, Buffer.alloc(10)), (slice) => seen.push(slice.length))
    expect(seen).toEqual([12])
    expect(errorOf(() => new Splitter(11).push(packet(0x30, Buffer.alloc(10)), () => {})).reasonCode).toBe(0x95)
  })

  it("obeys a new sizeMax from the next packet of the same chunk on", () => {
    const splitter = new Splitter(10)
    const seen: Array<number> = []
    splitter.push(bytes(packet(0x10, "a"), packet(0x30, Buffer.alloc(50))), (slice) => {
      seen.push(slice.length)
      splitter.sizeMax = 100
    })
    expect(seen).toEqual([3, 52])
  })

  it("reserves by bytes received, not by bytes declared", () => {
    const splitter = new Splitter(300_000_000)
    const before = process.memoryUsage().arrayBuffers
    splitter.push(bytes(0x30, variable(268_435_455), Buffer.alloc(100)), () => expect.fail("no packet"))
    expect(splitter.pendingBytes).toBe(105)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_048_576)
  })

  it("random bytes throw nothing but MqttError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 1, max: 40 }), (noise, size) => {
        const splitter = new Splitter(200)
        let given = 0
        try {
          for (const piece of cut(noise, [size])) splitter.push(piece, (slice) => (given += slice.length))
          expect(given + splitter.pendingBytes).toBe(noise.length)
        } catch (error) {
          expect(error).toMatchObject({ _tag: "MqttError" })
        }
      })
    )
  })
})
