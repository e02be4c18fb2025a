import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { constants, zstdCompressSync } from "node:zlib"
import {
  type Codec,
  compress,
  compressInThread,
  decompress,
  InvalidCompression,
  withDecompressed
} from "../src/Compression.ts"
import { xxHash32 } from "../src/compression/xxHash32.ts"

const codecs: ReadonlyArray<Codec> = ["gzip", "snappy", "lz4", "zstd"]
const text = new TextEncoder().encode("the quick brown fox jumps over the lazy dog, ".repeat(50))

const reasonOf = (codec: Codec, bytes: Uint8Array, limitBytes = 1 << 20): string | undefined => {
  try {
    decompress(codec, bytes, limitBytes)
    return undefined
  } catch (error) {
    if (error instanceof InvalidCompression) return error.reason
    throw error
  }
}

const concat = (...pieces: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(pieces))

const int32 = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const xerialOf = (blocks: ReadonlyArray<Uint8Array>): Uint8Array =>
  concat(
    Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00),
    int32(1),
    int32(1),
    ...blocks.flatMap((block) => [int32(block.length), block])
  )

describe.each(codecs)("%s", (codec) => {
  it("gives back what it was given", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 1, max: 40 }), (piece, times) => {
        const bytes = concat(...Array.from({ length: times }, () => piece))
        expect(Buffer.from(decompress(codec, compress(codec, bytes), bytes.length)).equals(bytes)).toBe(true)
      }),
      { numRuns: 60 }
    )
  })

  it("gives the same from a thread, later", async () => {
    let isLater = false
    const made = await new Promise<Uint8Array | Error>((resolve) => {
      compressInThread(codec, text, (given) => {
        expect(isLater).toBe(true)
        resolve(given)
      })
      isLater = true
    })
    expect(Buffer.from(made as Uint8Array).equals(compress(codec, text))).toBe(true)
  })

  it("takes exactly the limit and not one byte more", () => {
    const packed = compress(codec, text)
    expect(decompress(codec, packed, text.length).length).toBe(text.length)
    expect(reasonOf(codec, packed, text.length - 1)).toBe("TooLarge")
  })

  it("refuses a bomb without growing by its size", () => {
    const bomb = compress(codec, new Uint8Array(256 << 20))
    global.gc?.()
    const before = process.memoryUsage()
    expect(reasonOf(codec, bomb, 1 << 20)).toBe("TooLarge")
    const after = process.memoryUsage()
    expect(after.external + after.arrayBuffers - before.external - before.arrayBuffers).toBeLessThan(8 << 20)
  })

  it("refuses every cut, trailing bytes and random bytes with a typed error", () => {
    const packed = compress(codec, text)
    for (let length = 0; length < packed.length; length++) {
      expect(reasonOf(codec, packed.subarray(0, length)), `cut at ${length}`).toBe("Corrupt")
    }
    expect(reasonOf(codec, concat(packed, Uint8Array.of(1, 2, 3, 4, 5)))).toBe("Corrupt")
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect([undefined, "Corrupt", "TooLarge"]).toContain(reasonOf(codec, bytes))
      })
    )
  })

  it("never throws anything else when one byte of good input is changed", () => {
    const packed = compress(codec, text)
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bent = new Uint8Array(packed)
        bent[at] = bent[at]! ^ flip
        expect([undefined, "Corrupt", "TooLarge"]).toContain(reasonOf(codec, bent))
      })
    )
  })
})

const mib = 1 << 20

const buffersBytes = (): number => process.memoryUsage().external

/** The most that buffers take beyond what they took before, in bytes; meanwhile the collector is not asked to run. */
const buffersOf = (times: number, work: () => void): number => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  // A second one tells V8 what the first has freed.
  collect()
  collect()
  const before = buffersBytes()
  let most = 0
  for (let time = 0; time < times; time++) {
    work()
    most = Math.max(most, buffersBytes() - before)
  }
  return most
}

const failing = (): never => {
  throw new Error("of the look itself")
}

describe.each(codecs)("%s, for one look", (codec) => {
  const look = (bytes: Uint8Array, limitBytes: number): Buffer =>
    withDecompressed(codec, bytes, limitBytes, (decompressed) => Buffer.from(decompressed))

  it("is what decompress gives", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 1, max: 40 }), (piece, times) => {
        const bytes = concat(...Array.from({ length: times }, () => piece))
        expect(look(compress(codec, bytes), bytes.length).equals(bytes)).toBe(true)
      }),
      { numRuns: 60 }
    )
  })

  it("takes exactly the limit and not one byte more, again and again", () => {
    const packed = compress(codec, text)
    for (let round = 0; round < 3; round++) {
      expect(look(packed, text.length).equals(text)).toBe(true)
      expect(() => look(packed, text.length - 1)).toThrow("more than")
      expect(() => look(packed.subarray(0, packed.length - 1), text.length)).toThrow(InvalidCompression)
      expect(() => look(concat(packed, Uint8Array.of(1)), text.length)).toThrow(InvalidCompression)
    }
  })

  it("keeps what an outer look sees while there is an inner one, also after one that threw", () => {
    const other = text.toReversed()
    expect(() => withDecompressed(codec, compress(codec, text), text.length, failing)).toThrow("of the look itself")
    withDecompressed(codec, compress(codec, text), text.length, (outer) => {
      expect(look(compress(codec, other), other.length).equals(other)).toBe(true)
      expect(Buffer.from(outer).equals(text)).toBe(true)
    })
  })

  it("takes more than the default limit where that is allowed", () => {
    const bytes = Buffer.alloc(40 * mib, text)
    expect(look(compress(codec, bytes), bytes.length).equals(bytes)).toBe(true)
  })

  it("holds one output's memory at most, however many were refused or looked at", () => {
    const bomb = compress(codec, new Uint8Array(64 * mib))
    const large = compress(codec, new Uint8Array(15 * mib))
    const most = buffersOf(12, () => {
      expect(() => look(bomb, 16 * mib)).toThrow("more than")
      expect(withDecompressed(codec, large, 16 * mib, ({ length }) => length)).toBe(15 * mib)
    })
    expect(most).toBeLessThan(20 * mib)
  })
})

describe("a large snappy block", () => {
  // All that the format has: literals of every length, copies with distances of one, two and four bytes, rows of equal ones.
  const large = concat(
    Buffer.alloc(mib, text),
    new Uint8Array(100_000),
    Uint8Array.from({ length: 70_000 }, (_, n) => n * n)
  )
  const packed = compress("snappy", large)

  it("is what the library makes of it", () => {
    expect(Buffer.from(decompress("snappy", packed, large.length)).equals(large)).toBe(true)
    expect(reasonOf("snappy", packed, large.length - 1)).toBe("TooLarge")
  })

  it("that is cut or bent is refused, or has the length that it declares", () => {
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        expect(reasonOf("snappy", packed.subarray(0, at), 2 * mib)).toBe("Corrupt")
        const bent = new Uint8Array(packed)
        bent[at] = bent[at]! ^ flip
        // The first three bytes declare the length.
        const reasons = at < 3 ? [undefined, "Corrupt", "TooLarge"] : [undefined, "Corrupt"]
        expect(reasons).toContain(reasonOf("snappy", bent, 2 * mib))
      })
    )
  })

  it.each([
    ["a literal past the end", [0xf4, 0xff, 0xff, 0x01]],
    ["a copy of what is not there", [0x00, 0x41, 0xfe, 0x02, 0x00]],
    ["a copy of distance 0", [0x00, 0x41, 0xfe, 0x00, 0x00]],
    ["a copy past the end", [0x00, 0x41, ...Array.from({ length: 17_000 }, () => [0xfe, 0x01, 0x00]).flat()]],
    ["a far copy of what is not there", [0x00, 0x41, 0xff, 0x02, 0x00, 0x00, 0x80]],
    ["less than it declares", [0x00, 0x41]]
  ])("with %s is refused", (_what, elements) => {
    expect(reasonOf("snappy", Uint8Array.of(0x80, 0x80, 0x40, ...elements), 2 * mib)).toBe("Corrupt")
  })
})

describe("snappy-java's framing", () => {
  it("holds the memory of its output, and of no block beside it", () => {
    const block = compress("snappy", new Uint8Array(5 * mib))
    const framed = xerialOf([block, block, block])
    const most = buffersOf(12, () => {
      expect(withDecompressed("snappy", framed, 16 * mib, ({ length }) => length)).toBe(15 * mib)
    })
    expect(most).toBeLessThan(20 * mib)
  })

  it("is one block after the other", () => {
    const framed = xerialOf([compress("snappy", text), compress("snappy", text)])
    expect(Buffer.from(decompress("snappy", framed, 1 << 20)).equals(concat(text, text))).toBe(true)
    expect(reasonOf("snappy", framed, 2 * text.length - 1)).toBe("TooLarge")
    expect(decompress("snappy", xerialOf([]), 0).length).toBe(0)
  })

  it("refuses lying block lengths", () => {
    const block = compress("snappy", text)
    const framed = xerialOf([block])
    expect(reasonOf("snappy", framed.subarray(0, framed.length - 1))).toBe("Corrupt")
    expect(reasonOf("snappy", concat(xerialOf([]), int32(-1)))).toBe("Corrupt")
    expect(reasonOf("snappy", concat(xerialOf([]), int32(0)))).toBe("Corrupt")
    expect(reasonOf("snappy", concat(framed, Uint8Array.of(0, 0)))).toBe("Corrupt")
  })

  it("does not allocate what a raw block declares", () => {
    expect(reasonOf("snappy", Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, 0))).toBe("TooLarge")
  })
})

describe("lz4 frames of real clients", () => {
  // Written by hand as the clients write them: "hello hello hello hello " as one literal run or as a match.
  const content = new TextEncoder().encode("hello hello hello hello!")
  const block = concat(
    Uint8Array.of(0x6d),
    new TextEncoder().encode("hello "),
    Uint8Array.of(0x06, 0x00),
    Uint8Array.of(0x10),
    new TextEncoder().encode("!")
  )

  it("with independent 64 KB blocks, no content size and no checksum, as Java and librdkafka send them", () => {
    // The header checksum of FLG 0x60, BD 0x40 is 0x82.
    const stored = concat(
      Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82),
      Uint8Array.of(content.length, 0, 0, 0x80),
      content,
      new Uint8Array(4)
    )
    expect(Buffer.from(decompress("lz4", stored, 24)).equals(content)).toBe(true)
    const packed = concat(
      Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82),
      Uint8Array.of(block.length, 0, 0, 0),
      block,
      new Uint8Array(4)
    )
    expect(new TextDecoder().decode(decompress("lz4", packed, 24))).toBe("hello hello hello hello!")
    expect(reasonOf("lz4", packed, 23)).toBe("TooLarge")
  })

  it.each([
    ["independent 64 KB blocks, no checksum", "04224d18604082130000009f6c6f6762726f6f6b2009009350726f6f6b2000000000"],
    [
      "linked blocks, block and content checksums",
      "04224d187440bd130000009f6c6f6762726f6f6b2009009350726f6f6b20783ab107000000008994edbb"
    ]
  ])("with %s, as liblz4 1.9.4 writes them", (_what, hex) => {
    const packed = Buffer.from(hex, "hex")
    expect(new TextDecoder().decode(decompress("lz4", packed, 180))).toBe("logbrook ".repeat(20))
    expect(reasonOf("lz4", packed, 179)).toBe("TooLarge")
  })
})

// FLG 0x60 and 0x40 are independent and linked blocks, BD 0x40 is 64 KB, then the head's checksum.
const lz4FrameOf = (flags: number, sum: number, ...blocks: ReadonlyArray<Uint8Array>): Uint8Array =>
  concat(
    Uint8Array.of(0x04, 0x22, 0x4d, 0x18, flags, 0x40, sum),
    ...blocks.flatMap((block) => [
      Uint8Array.of(block.length & 0xff, block.length >>> 8, block.length >>> 16, 0),
      block
    ]),
    new Uint8Array(4)
  )

const sizedLz4Frame = (contentBytes: number, block: Uint8Array): Uint8Array => {
  const described = Uint8Array.of(0x68, 0x40, contentBytes, 0, 0, 0, 0, 0, 0, 0)
  const sum = (xxHash32(described) >>> 8) & 0xff
  const rest = lz4FrameOf(0x60, 0x82, block).subarray(7)
  return concat(Uint8Array.of(0x04, 0x22, 0x4d, 0x18), described, Uint8Array.of(sum), rest)
}

describe("an lz4 frame", () => {
  const linked = Buffer.from(
    "04224d187440bd130000009f6c6f6762726f6f6b2009009350726f6f6b20783ab107000000008994edbb",
    "hex"
  )

  it.each([
    ["head", 6],
    ["block", linked.length - 12],
    ["content", linked.length - 1]
  ])("with a wrong checksum of its %s is refused", (_what, at) => {
    const bent = new Uint8Array(linked)
    bent[at] = bent[at]! ^ 1
    expect(reasonOf("lz4", bent)).toBe("Corrupt")
  })

  const literals = Uint8Array.of(0x50, ...Buffer.from("abcde"))
  /** A match of eight bytes, five back, and a last literal. */
  const match = Uint8Array.of(0x04, 0x05, 0x00, 0x10, 0x21)

  it("reaches back into the block before only where blocks are linked", () => {
    expect(Buffer.from(decompress("lz4", lz4FrameOf(0x40, 0xc0, literals, match), 100)).toString()).toBe(
      "abcdeabcdeabc!"
    )
    expect(reasonOf("lz4", lz4FrameOf(0x60, 0x82, literals, match))).toBe("Corrupt")
  })

  it("whose block decompresses to more than the frame allows is refused", () => {
    const zeros = Uint8Array.of(0x1f, 0x00, 0x01, 0x00, ...new Uint8Array(300).fill(0xff), 0x00, 0x10, 0x21)
    expect(reasonOf("lz4", lz4FrameOf(0x60, 0x82, zeros))).toBe("Corrupt")
  })

  it("has the size that it declares", () => {
    expect(Buffer.from(decompress("lz4", sizedLz4Frame(5, literals), 100)).toString()).toBe("abcde")
    expect(reasonOf("lz4", sizedLz4Frame(6, literals))).toBe("Corrupt")
  })
})

describe("xxHash's 32-bit form", () => {
  it.each([
    ["", 0x02cc5d05],
    ["a", 0x550d7456],
    ["Nobody inspects the spammish repetition", 0xe2293b2f]
  ])("of %j is as others have it", (content, sum) => {
    expect(xxHash32(Buffer.from(content))).toBe(sum)
  })
})

describe("zstd", () => {
  it("takes a frame whose window is wide, as high levels declare it", () => {
    const wide = zstdCompressSync(text, {
      params: { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_windowLog]: 27 }
    })
    expect(decompress("zstd", wide, text.length).length).toBe(text.length)
  })
})
