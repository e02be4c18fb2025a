import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { arrayElementsMax, messageElementsMax, Reader, WireError, Writer } from "../../src/kafka/Wire.ts"
import type { WireReason } from "../../src/kafka/Wire.ts"

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"))
}

function written(write: (w: Writer) => void): Buffer {
  const w = new Writer()
  write(w)
  const length = w.length
  const bytes = Buffer.concat(w.chunks())
  expect(bytes.length).toBe(length)
  return bytes
}

function reasonOf(run: () => unknown): WireReason {
  try {
    run()
  } catch (error) {
    if (error instanceof WireError) return error.reason
    throw error
  }
  throw new Error("nothing was thrown")
}

describe("Reader and Writer", () => {
  it.each<[string, string, (r: Reader) => unknown, (w: Writer) => void, unknown]>([
    ["int8", "ff", (r) => r.int8(), (w) => w.int8(-1), -1],
    ["int16", "8000", (r) => r.int16(), (w) => w.int16(-32768), -32768],
    ["uint16", "ffff", (r) => r.uint16(), (w) => w.uint16(65535), 65535],
    ["int32", "80000000", (r) => r.int32(), (w) => w.int32(-0x8000_0000), -0x8000_0000],
    ["uint32", "ffffffff", (r) => r.uint32(), (w) => w.uint32(0xffff_ffff), 0xffff_ffff],
    ["int64 -2", "fffffffffffffffe", (r) => r.int64(), (w) => w.int64(-2), -2],
    ["int64 max", "001fffffffffffff", (r) => r.int64(), (w) => w.int64(2 ** 53 - 1), 2 ** 53 - 1],
    ["int64 min", "ffe0000000000001", (r) => r.int64(), (w) => w.int64(1 - 2 ** 53), 1 - 2 ** 53],
    ["float64", "3ff8000000000000", (r) => r.float64(), (w) => w.float64(1.5), 1.5],
    ["uvarint 300", "ac02", (r) => r.uvarint(), (w) => w.uvarint(300), 300],
    ["uvarint max", "ffffffff0f", (r) => r.uvarint(), (w) => w.uvarint(0xffff_ffff), 0xffff_ffff],
    ["varint -1", "01", (r) => r.varint(), (w) => w.varint(-1), -1],
    ["varint min", "ffffffff0f", (r) => r.varint(), (w) => w.varint(-0x8000_0000), -0x8000_0000],
    ["varlong", "feffffffffffff1f", (r) => r.varlong(), (w) => w.varlong(2 ** 52 - 1 + 2 ** 52), 2 ** 53 - 1],
    [
      "uuid",
      "00112233445566778899aabbccddeeff",
      (r) => r.uuid(),
      (w) => w.uuid("ABEiM0RVZneImaq7zN3u_w"),
      "ABEiM0RVZneImaq7zN3u_w"
    ]
  ])("%s is %s", (_name, bytes, read, write, value) => {
    expect(written(write).toString("hex")).toBe(bytes)
    const r = new Reader(hex(bytes))
    expect(read(r)).toBe(value)
    expect(r.remaining).toBe(0)
    for (let length = 0; length < bytes.length / 2; length++) {
      expect(reasonOf(() => read(new Reader(hex(bytes).subarray(0, length))))).toBe("truncated")
    }
  })

  it("round-trips integers of every size", () => {
    fc.assert(
      fc.property(fc.integer(), fc.maxSafeInteger(), fc.nat(), (int32, int64, nat) => {
        const bytes = written((w) => {
          w.varint(int32)
          w.int32(int32)
          w.varlong(int64)
          w.int64(int64)
          w.uvarint(nat)
        })
        const r = new Reader(bytes)
        expect([r.varint(), r.int32(), r.varlong(), r.int64(), r.uvarint()]).toEqual([int32, int32, int64, int64, nat])
        r.end()
      })
    )
  })

  it("reads an int64 that a number cannot hold exactly as the bound", () => {
    for (const far of ["7fffffffffffffff", "0020000000000000", "0020000000000001"]) {
      expect(new Reader(hex(far)).int64()).toBe(Number.MAX_SAFE_INTEGER)
    }
    for (const far of ["8000000000000000", "ffe0000000000000", "ffdfffffffffffff"]) {
      expect(new Reader(hex(far)).int64()).toBe(Number.MIN_SAFE_INTEGER)
    }
  })

  it("refuses other integers that a number cannot hold exactly, and writes none", () => {
    expect(reasonOf(() => new Reader(hex("ffffffffffffffffff01")).varlong())).toBe("range")
    for (const write of [
      (w: Writer) => w.int8(128),
      (w: Writer) => w.int16(-32769),
      (w: Writer) => w.uint16(-1),
      (w: Writer) => w.int32(2 ** 31),
      (w: Writer) => w.int32(Number.NaN),
      (w: Writer) => w.uint32(-1),
      (w: Writer) => w.int64(2 ** 53),
      (w: Writer) => w.uvarint(1.5),
      (w: Writer) => w.varint(2 ** 31),
      (w: Writer) => w.varlong(2 ** 53)
    ]) {
      expect(reasonOf(() => written(write))).toBe("range")
    }
  })

  it("refuses varints of too many bytes", () => {
    expect(reasonOf(() => new Reader(hex("ffffffff10")).uvarint())).toBe("varint")
    expect(reasonOf(() => new Reader(hex("8080808080 01")).uvarint())).toBe("varint")
    expect(reasonOf(() => new Reader(hex("ffffffffffffffffff02")).varlong())).toBe("varint")
    expect(reasonOf(() => new Reader(hex("8080808080808080808001")).varlong())).toBe("varint")
  })

  it("reads strict UTF-8 and keeps a byte order mark", () => {
    expect(new Reader(hex("efbbbf 41")).utf8(4)).toBe("\ufeffA")
    for (const bytes of ["ff", "c0 80", "ed a0 80", "e2 82", "f5 80 80 80"]) {
      const raw = hex(bytes)
      expect(reasonOf(() => new Reader(raw).utf8(raw.length))).toBe("utf8")
    }
  })

  it("bounds strings at Kafka's 32,767 bytes", () => {
    expect(written((w) => w.string("x".repeat(32767), true)).length).toBe(3 + 32767)
    expect(reasonOf(() => written((w) => w.string("x".repeat(32768), true)))).toBe("length")
    expect(reasonOf(() => written((w) => w.string("€".repeat(10923), false)))).toBe("length")
    expect(reasonOf(() => new Reader(new Uint8Array(40000)).utf8(32768))).toBe("length")
  })

  it("refuses what is no uuid", () => {
    for (const text of ["", "AAAA", "00112233-4455-6677-8899-aabbccddeeff", "AAAAAAAAAAAAAAAAAAAAAA=="]) {
      expect(reasonOf(() => written((w) => w.uuid(text)))).toBe("length")
    }
  })

  it("bounds arrays by the bytes left, by their count, and over the whole message", () => {
    const r = new Reader(new Uint8Array(2 * messageElementsMax))
    expect(reasonOf(() => r.elements(-5, 1))).toBe("length")
    expect(reasonOf(() => r.elements(arrayElementsMax + 1, 1))).toBe("too-large")
    expect(reasonOf(() => r.elements(arrayElementsMax, 11))).toBe("truncated")
    for (let i = 0; i < messageElementsMax / arrayElementsMax; i++) r.elements(arrayElementsMax, 1)
    expect(reasonOf(() => r.elements(1, 1))).toBe("too-large")
  })

  it("gives views of the message and copies that outlive it", () => {
    const message = hex("0102 0304")
    const r = new Reader(message)
    const copy = r.copy(2)
    const view = r.view(2)
    message.fill(9)
    expect([...copy]).toEqual([1, 2])
    expect([...view]).toEqual([9, 9])
    expect(copy.buffer.byteLength).toBe(2)
  })

  it("reads from the middle of a larger buffer and never beyond its own end", () => {
    const r = new Reader(hex("ffff 0001 ffff").subarray(2, 4))
    expect(r.int16()).toBe(1)
    expect(reasonOf(() => r.int8())).toBe("truncated")
    expect(reasonOf(() => new Reader(hex("00"), 2))).toBe("truncated")
  })

  it("passes large bytes on by reference, in order, under one size prefix", () => {
    const large = new Uint8Array(1024).fill(7)
    const w = new Writer()
    w.int8(1)
    w.raw(large)
    w.raw(new Uint8Array(1023).fill(8))
    const chunks = w.finish()
    expect(chunks[1]).toBe(large)
    const bytes = Buffer.concat(chunks)
    expect(bytes.readInt32BE(0)).toBe(bytes.length - 4)
    expect(bytes.length).toBe(4 + 1 + 1024 + 1023)
    expect([bytes[4], bytes[5], bytes[1028], bytes[1029]]).toEqual([1, 7, 7, 8])
  })

  it("begins with large bytes as well, framed and not", () => {
    const large = new Uint8Array(2000).fill(7)
    const framed = new Writer()
    framed.raw(large)
    expect(Buffer.concat(framed.finish()).subarray(0, 5)).toEqual(Buffer.from([0, 0, 7, 208, 7]))
    const bare = new Writer()
    bare.raw(large)
    expect(bare.chunks()).toEqual([large])
  })

  it("keeps the chunks of one writer apart from those of all others, open or finished", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9000 }), { minLength: 1, maxLength: 12 }), (sizes) => {
        const writers = sizes.map(() => new Writer())
        for (const [i, w] of writers.entries()) for (let n = sizes[i] as number; n > 0; n--) w.int8(i)
        const all = writers.map((w) => Buffer.concat(w.finish()))
        const later = new Writer()
        for (let n = 0; n < 20_000; n++) later.int8(-1)
        later.finish()
        for (const [i, bytes] of all.entries()) {
          expect(bytes.readInt32BE(0)).toBe(sizes[i])
          expect(bytes.subarray(4).every((byte) => byte === i)).toBe(true)
        }
      }),
      { numRuns: 20 }
    )
  })

  it("loses nothing where a slab ends", () => {
    for (let short = 0; short < 40; short++) {
      const bytes = written((w) => {
        for (let n = 16 * 1024 - 20 - short; n > 0; n--) w.int8(1)
        w.string("naïve", true)
        w.int64(-3)
        w.string("y".repeat(100), false)
      })
      const r = new Reader(bytes, 16 * 1024 - 20 - short)
      expect(r.utf8(r.uvarint() - 1)).toBe("naïve")
      expect(r.int64()).toBe(-3)
      expect(r.utf8(r.int16())).toBe("y".repeat(100))
      r.end()
    }
  })

  it.each<[string, (w: Writer) => void, (r: Reader) => unknown, unknown]>([
    ["bool", (w) => w.bool(true), (r) => r.bool(), true],
    ["int8", (w) => w.int8(-7), (r) => r.int8(), -7],
    ["int16", (w) => w.int16(-700), (r) => r.int16(), -700],
    ["uint16", (w) => w.uint16(0xfedc), (r) => r.uint16(), 0xfedc],
    ["int32", (w) => w.int32(-70_000), (r) => r.int32(), -70_000],
    ["uint32", (w) => w.uint32(0xfedc_ba98), (r) => r.uint32(), 0xfedc_ba98],
    ["int64", (w) => w.int64(-7e12), (r) => r.int64(), -7e12],
    ["float64", (w) => w.float64(-0.7), (r) => r.float64(), -0.7],
    ["uvarint", (w) => w.uvarint(0xfedc_ba98), (r) => r.uvarint(), 0xfedc_ba98],
    ["varint", (w) => w.varint(-70_000), (r) => r.varint(), -70_000],
    ["varlong", (w) => w.varlong(-7e12), (r) => r.varlong(), -7e12],
    ["uuid", (w) => w.uuid("_____________________w"), (r) => r.uuid(), "_____________________w"],
    ["string", (w) => w.string("seven", true), (r) => r.utf8(r.uvarint() - 1), "seven"]
  ])("writes a %s whole where a slab ends, and nothing into the one before", (_name, write, read, value) => {
    const slabBytes = 64
    for (let left = 0; left <= 16; left++) {
      const filled = slabBytes - left
      const writer = new Writer(slabBytes)
      for (let n = filled; n > 0; n--) writer.int8(-1)
      for (let n = 0; n < 3; n++) write(writer)
      const { length } = writer
      const message = Buffer.concat(writer.finish())
      expect(message.readUInt32BE(0)).toBe(length)
      expect(message.subarray(4, 4 + filled).every((byte) => byte === 0xff)).toBe(true)
      const reader = new Reader(message, 4 + filled)
      for (let n = 0; n < 3; n++) expect(read(reader)).toBe(value)
      reader.end()
    }
  })
})
