import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  encodeHeaders,
  InvalidRecord,
  iterate,
  noHeaders,
  type RecordHeader,
  RecordReader,
  RecordsBuilder,
  skipRecords
} from "../src/Record.ts"

const bytesMax = 1 << 20
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

interface Plain {
  readonly key: ReadonlyArray<number> | null
  readonly value: ReadonlyArray<number> | null
  readonly headers: ReadonlyArray<readonly [ReadonlyArray<number>, ReadonlyArray<number> | null]>
  readonly timestampMs: number
}

const field = fc.oneof(fc.uint8Array({ maxLength: 150 }), fc.constant(null))
const header: fc.Arbitrary<RecordHeader> = fc.tuple(fc.uint8Array({ maxLength: 70 }), field)
const record = fc.record({
  key: field,
  value: field,
  block: fc.array(header, { maxLength: 3 }),
  extra: fc.array(header, { maxLength: 3 }),
  timestampMs: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2 ** 41 }), fc.maxSafeNat())
})
type Given = typeof record extends fc.Arbitrary<infer R> ? R : never

const list = (bytes: Uint8Array | null): Array<number> | null => (bytes === null ? null : [...bytes])

const plainOf = (given: Given): Plain => ({
  key: list(given.key),
  value: list(given.value),
  headers: [...given.block, ...given.extra].map(([name, value]) => [[...name], list(value)]),
  timestampMs: given.timestampMs
})

const readAll = (bytes: Uint8Array, count: number, firstTimestampMs: number): Array<Plain> => {
  const found: Array<Plain> = []
  iterate(bytes, count, (reader) => {
    found.push({
      key: list(reader.key()),
      value: list(reader.value()),
      headers: reader.headers().map(([name, value]) => [[...name], list(value)]),
      timestampMs: firstTimestampMs + reader.timestampDelta
    })
  })
  return found
}

const build = (given: ReadonlyArray<Given>): RecordsBuilder => {
  const builder = new RecordsBuilder(bytesMax)
  for (const { key, value, block, extra, timestampMs } of given) {
    expect(builder.append(key, value, encodeHeaders(block), timestampMs, extra)).toBe(true)
  }
  return builder
}

const reasonOf = (act: () => unknown): string | undefined => {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof InvalidRecord) return error.reason
    throw error
  }
}

/** As Kafka's `ByteUtils.readVarlong`. */
const varlongAt = (bytes: Uint8Array, from: number): bigint => {
  let zigzag = 0n
  for (let at = from, shift = 0n; ; at++, shift += 7n) {
    zigzag |= BigInt(bytes[at]! & 127) << shift
    if (bytes[at]! < 128) return (zigzag >> 1n) ^ -(zigzag & 1n)
  }
}

const simple = (count: number): RecordsBuilder => {
  const builder = new RecordsBuilder(bytesMax)
  for (let at = 0; at < count; at++) builder.append(utf8(`k${at}`), utf8(`v${at}`), noHeaders, 1000 + at)
  return builder
}

describe("RecordsBuilder", () => {
  it("writes the bytes that Kafka's format v2 asks for", () => {
    const builder = new RecordsBuilder(bytesMax)
    builder.append(utf8("k"), utf8("v"), encodeHeaders([[utf8("h"), null]]), 5)
    builder.append(null, null, noHeaders, 4)
    expect([...builder.bytes]).toEqual([22, 0, 0, 0, 2, 0x6b, 2, 0x76, 2, 2, 0x68, 1, 12, 0, 1, 2, 1, 1, 0])
    expect([builder.count, builder.firstTimestampMs, builder.maxTimestampMs]).toEqual([2, 5, 5])
  })

  it("is read back as it was given, also after a reset", () => {
    const builder = new RecordsBuilder(bytesMax)
    fc.assert(
      fc.property(fc.array(record, { maxLength: 20 }), (given) => {
        builder.reset()
        for (const { key, value, block, extra, timestampMs } of given) {
          builder.append(key, value, encodeHeaders(block), timestampMs, extra)
        }
        expect(readAll(builder.bytes, given.length, builder.firstTimestampMs)).toEqual(given.map(plainOf))
        expect(builder.maxTimestampMs).toBe(Math.max(0, ...given.map(({ timestampMs }) => timestampMs)))
      })
    )
  })

  it("is read back whatever the base time and the record's are, and as BigInt reads it", () => {
    const edges = [6, 7, 13, 31, 32, 51, 52].flatMap((power) => [2 ** power - 1, 2 ** power, 2 ** power + 1])
    const times = [-1, 0, 1, ...edges, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER]
    for (const baseMs of times.slice(1)) {
      for (const timestampMs of times) {
        const builder = new RecordsBuilder(bytesMax)
        builder.begin(baseMs)
        builder.append(null, null, noHeaders, timestampMs)
        const reader = new RecordReader().reset(builder.bytes)
        expect([reader.next(), baseMs + reader.timestampDelta]).toEqual([true, timestampMs])
        expect(varlongAt(builder.bytes, 2)).toBe(BigInt(timestampMs) - BigInt(baseMs))
      }
    }
  })

  it("does not pass its bound, and keeps what it has", () => {
    const builder = new RecordsBuilder(2000)
    expect(builder.append(null, new Uint8Array(1500), noHeaders, 1)).toBe(true)
    const before = builder.bytes.slice()
    expect(builder.append(null, new Uint8Array(1500), noHeaders, 2)).toBe(false)
    expect(builder.appendRecords(before, 1, 1, 0)).toBe(false)
    expect(builder.bytes).toEqual(before)
    expect([builder.count, builder.maxTimestampMs]).toEqual([1, 1])
  })
})

const filled = (builder: RecordsBuilder, records: number): void => {
  for (let at = 0; at < records; at++) builder.append(utf8("key"), utf8("x".repeat(100)), noHeaders, 1000 + at)
}

describe("giveAway", () => {
  it.each([1, 9, 100, 1000])(
    "hands over %i records behind room for a header, and never touches them again",
    (records) => {
      const builder = new RecordsBuilder(bytesMax)
      for (let round = 0; round < 3; round++) {
        filled(builder, records)
        const expected = builder.bytes.slice()
        const given = builder.giveAway()
        expect(given.length).toBe(61 + expected.length)
        expect(given.buffer.byteLength).toBeLessThanOrEqual(2 * given.length + 61)
        builder.reset()
        filled(builder, records)
        builder.reset()
        expect(list(given.subarray(61))).toEqual(list(expected))
      }
    }
  )
})

describe("appendRecords", () => {
  it("merges runs to what one builder would have written", () => {
    const runs = fc.array(fc.array(record, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(runs, (given) => {
        const whole = build(given.flat())
        const merged = new RecordsBuilder(bytesMax)
        for (const records of given) {
          const run = build(records)
          if (merged.count === 0) merged.begin(run.firstTimestampMs)
          const shift = run.firstTimestampMs - merged.firstTimestampMs
          expect(merged.appendRecords(run.bytes, run.count, merged.count, shift)).toBe(true)
        }
        expect(merged.bytes).toEqual(whole.bytes)
        expect([merged.count, merged.maxTimestampMs]).toEqual([whole.count, whole.maxTimestampMs])
      })
    )
  })

  it("takes a run from its middle", () => {
    const run = simple(200)
    const from = skipRecords(run.bytes, 150)
    const merged = new RecordsBuilder(bytesMax)
    merged.begin(1150)
    merged.appendRecords(run.bytes.subarray(from), 50, -150, -150)
    expect(readAll(merged.bytes, 50, 1150)).toEqual(readAll(run.bytes, 200, 1000).slice(150))
    expect(merged.maxTimestampMs).toBe(1199)
  })

  it("refuses gaps and lying counts, and stays as it was", () => {
    const run = simple(3)
    const merged = simple(2)
    const before = merged.bytes.slice()
    expect(reasonOf(() => merged.appendRecords(run.bytes, 3, 3, 0))).toBe("OffsetDelta")
    expect(reasonOf(() => merged.appendRecords(run.bytes, 4, 2, 0))).toBe("Count")
    expect(reasonOf(() => merged.appendRecords(run.bytes, 2, 2, 0))).toBe("Count")
    expect(merged.bytes).toEqual(before)
    expect([merged.count, merged.maxTimestampMs]).toEqual([2, 1001])
  })
})

describe("iterate", () => {
  it.each([
    ["a length past the end", [22, 0, 0, 0], 1, "Length"],
    ["a length of zero", [0], 1, "Length"],
    ["a negative length", [1], 1, "Length"],
    ["a cut length", [0x80], 1, "Truncated"],
    ["a length of 33 bits", [0xff, 0xff, 0xff, 0xff, 0x10], 1, "Varint"],
    ["a record that ends a byte behind its batch", [14, 0, 0, 0, 1, 2, 0x76], 1, "Length"],
    ["a key past the record", [12, 0, 0, 0, 40, 1, 0], 1, "Length"],
    ["a key length below -1", [12, 0, 0, 0, 3, 1, 0], 1, "Length"],
    ["more headers than bytes", [12, 0, 0, 0, 1, 1, 100], 1, "Headers"],
    ["a negative count of headers", [12, 0, 0, 0, 1, 1, 1], 1, "Headers"],
    ["a header without a name", [16, 0, 0, 0, 1, 1, 2, 1, 1], 1, "Headers"],
    ["bytes after the headers", [14, 0, 0, 0, 1, 1, 0, 0], 1, "Length"],
    ["an offset delta that is not dense", [12, 0, 0, 2, 1, 1, 0], 1, "OffsetDelta"],
    ["a count too high", [12, 0, 0, 0, 1, 1, 0], 2, "Count"],
    ["a count too low", [12, 0, 0, 0, 1, 1, 0], 0, "Count"],
    ["a timestamp delta of 2^53", [22, 0, ...Array<number>(7).fill(128), 32, 0, 1, 1, 0], 1, "Timestamp"],
    ["a timestamp delta of -2^53 - 1", [22, 0, 129, ...Array<number>(6).fill(128), 32, 0, 1, 1, 0], 1, "Timestamp"],
    ["a timestamp delta of 63 bits", [30, 0, ...Array<number>(8).fill(255), 127, 0, 1, 1, 0, 0, 0], 1, "Timestamp"],
    ["a timestamp delta without end", [30, 0, ...Array<number>(14).fill(128)], 1, "Timestamp"]
  ])("refuses %s", (_what, bytes, count, reason) => {
    expect(reasonOf(() => iterate(Uint8Array.from(bytes), count, () => undefined))).toBe(reason)
  })

  it("gives random and bent bytes a typed error, and never reads outside", () => {
    const good = simple(5).bytes
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.uint8Array(), (at, flip, bytes) => {
        const bent = good.slice()
        bent[at] = bent[at]! ^ flip
        for (const some of [bent, bytes]) {
          expect(() =>
            reasonOf(() =>
              iterate(some, 5, (reader) => {
                expect(reader.valueAt + Math.max(0, reader.valueLength)).toBeLessThanOrEqual(some.length)
              })
            )
          ).not.toThrow()
        }
      }),
      { numRuns: 1000 }
    )
  })

  it("stops when told to", () => {
    let seen = 0
    iterate(simple(5).bytes, 5, () => ++seen < 2)
    expect(seen).toBe(2)
    expect(new RecordReader().reset(new Uint8Array(0)).next()).toBe(false)
  })
})
