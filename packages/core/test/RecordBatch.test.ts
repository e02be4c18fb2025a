import * as fc from "fast-check"
import { createRequire } from "node:module"
import { describe, expect, it } from "vitest"
import { compress } from "../src/Compression.ts"
import { xxHash32 } from "../src/compression/xxHash32.ts"
import { crc32c } from "../src/Crc32c.ts"
import { defaultLimits } from "../src/Limits.ts"
import { encodeHeaders, iterate, noHeaders, RecordsBuilder } from "../src/Record.ts"
import * as Batch from "../src/RecordBatch.ts"

const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const
type AnyCodec = (typeof codecs)[number]

const recordsWith = (
  timestampsMs: ReadonlyArray<number>,
  key: Uint8Array | null = Uint8Array.of(1)
): RecordsBuilder => {
  const builder = new RecordsBuilder(1 << 24)
  for (const timestampMs of timestampsMs) builder.append(key, new Uint8Array(20).fill(7), noHeaders, timestampMs)
  return builder
}

const batchOf = (
  timestampsMs: ReadonlyArray<number>,
  codec: AnyCodec = "none",
  fields: Partial<Batch.BatchFields> = {},
  key: Uint8Array | null = Uint8Array.of(1)
): Uint8Array => {
  const builder = recordsWith(timestampsMs, key)
  return Batch.buildBatch(
    {
      baseOffset: 0,
      partitionLeaderEpoch: -1,
      codec,
      count: builder.count,
      baseTimestampMs: builder.firstTimestampMs,
      maxTimestampMs: builder.maxTimestampMs,
      ...fields
    },
    codec === "none" ? builder.bytes : compress(codec, builder.bytes)
  )
}

const three = [1000, 1005, 1002]

/** The batch with some bytes changed and its CRC made right again. */
const bent = (batch: Uint8Array, at: number, ...bytes: ReadonlyArray<number>): Uint8Array => {
  const copy = batch.slice()
  copy.set(bytes, at)
  new DataView(copy.buffer).setUint32(17, crc32c(copy.subarray(21)))
  return copy
}

const reasonOf = (act: () => unknown): string | undefined => {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof Batch.InvalidBatch) return error.reason
    throw error
  }
}

const refusal = (batch: Uint8Array, limits: Batch.BatchLimits = defaultLimits): string | undefined =>
  reasonOf(() => Batch.validateProduced(batch, limits))

describe("a batch", () => {
  it("has its fields where Kafka has them", () => {
    const batch = batchOf(three, "none", {
      baseOffset: 2 ** 40 + 5,
      partitionLeaderEpoch: 9,
      isTransactional: true,
      producerId: 2 ** 33,
      producerEpoch: 3,
      baseSequence: 77
    })
    const view = new DataView(batch.buffer)
    expect(view.getBigInt64(0)).toBe(2n ** 40n + 5n)
    expect(view.getInt32(8)).toBe(batch.length - 12)
    expect(view.getInt32(12)).toBe(9)
    expect(view.getInt8(16)).toBe(2)
    expect(view.getUint32(17)).toBe(crc32c(batch.subarray(21)))
    expect(view.getInt16(21)).toBe(0x10)
    expect(view.getInt32(23)).toBe(2)
    expect([view.getBigInt64(27), view.getBigInt64(35)]).toEqual([1000n, 1005n])
    expect([view.getBigInt64(43), view.getInt16(51), view.getInt32(53)]).toEqual([2n ** 33n, 3, 77])
    expect(view.getInt32(57)).toBe(3)
  })

  it("is read as it was written", () => {
    const int31 = fc.integer({ min: 0, max: 2 ** 31 - 1 })
    const safe = fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER })
    const fieldsArbitrary = fc.record({
      baseOffset: safe,
      partitionLeaderEpoch: int31,
      codec: fc.constantFrom(...codecs),
      isLogAppendTime: fc.boolean(),
      isTransactional: fc.boolean(),
      isControl: fc.boolean(),
      count: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      baseTimestampMs: safe,
      maxTimestampMs: safe,
      producerId: safe,
      producerEpoch: fc.integer({ min: -1, max: 32_767 }),
      baseSequence: fc.integer({ min: -1, max: 2 ** 31 - 1 })
    })
    fc.assert(
      fc.property(fieldsArbitrary, fc.nat(50), (fields, at) => {
        const target = new Uint8Array(at + 200)
        const length = Batch.writeBatchHeader(target, at, fields, 100)
        expect([length, Batch.batchBytes(target, at), Batch.batchLength(target, at)]).toEqual([161, 161, 149])
        expect({
          baseOffset: Batch.baseOffset(target, at),
          partitionLeaderEpoch: Batch.partitionLeaderEpoch(target, at),
          codec: Batch.compression(target, at),
          isLogAppendTime: Batch.isLogAppendTime(target, at),
          isTransactional: Batch.isTransactional(target, at),
          isControl: Batch.isControl(target, at),
          count: Batch.count(target, at),
          baseTimestampMs: Batch.baseTimestamp(target, at),
          maxTimestampMs: Batch.maxTimestamp(target, at),
          producerId: Batch.producerId(target, at),
          producerEpoch: Batch.producerEpoch(target, at),
          baseSequence: Batch.baseSequence(target, at)
        }).toEqual(fields)
        expect(Batch.crc(target, at)).toBe(crc32c(target.subarray(at + 21, at + 161)))
        expect(Batch.magic(target, at)).toBe(2)
        expect(Batch.lastOffsetDelta(target, at)).toBe(fields.count - 1)
      })
    )
  })
})

describe.each(codecs)("validateProduced, %s", (codec) => {
  it("takes a good batch and tells what is in it", () => {
    const batch = batchOf(three, codec, { producerId: 5, producerEpoch: 0, baseSequence: 3, isTransactional: true })
    expect(Batch.validateProduced(batch)).toEqual({
      bytes: batch,
      codec,
      count: 3,
      recordsBytes: Batch.recordsOf(batch).length,
      baseTimestampMs: 1000,
      maxTimestampMs: 1005,
      minTimestampMs: 1000,
      producerId: 5,
      producerEpoch: 0,
      baseSequence: 3,
      isTransactional: true,
      hasRecordWithoutKey: false
    })
    expect(Batch.validateProduced(batchOf(three, codec, {}, null)).hasRecordWithoutKey).toBe(true)
  })

  it("refuses a lying count", () => {
    expect(refusal(batchOf(three, codec, { count: 4 }))).toBe("InvalidRecord")
    expect(refusal(batchOf(three, codec, { count: 2 }))).toBe("InvalidRecord")
  })

  it("gives bent bytes a typed reason, with the CRC right or wrong", () => {
    const batch = batchOf(three, codec)
    const reasons = new Set<string | undefined>()
    fc.assert(
      fc.property(fc.integer({ min: 16, max: batch.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const wrong = batch.slice()
        wrong[at] = wrong[at]! ^ flip
        expect(refusal(wrong)).toBeDefined()
        reasons.add(refusal(bent(batch, at, wrong[at]!)))
      }),
      { numRuns: 300 }
    )
    expect(reasons.size).toBeGreaterThan(2)
  })
})

const recompressed = (batch: Uint8Array, codec: AnyCodec, limits = defaultLimits): Uint8Array => {
  const records = Batch.recordsOf(batch)
  return Batch.withRecords(batch, codec, codec === "none" ? records : compress(codec, records), limits)
}

describe.each(codecs)("withRecords, from %s", (codec) => {
  it.each(codecs)("to %s is the same batch with other bytes of records", (other) => {
    const fields = { producerId: 5, producerEpoch: 2, baseSequence: 3, isTransactional: true }
    const batch = batchOf(three, codec, fields)
    const before = batch.slice()
    const bytes = recompressed(batch, other)
    expect(batch).toEqual(before)
    expect(Batch.validateProduced(bytes)).toEqual({ ...Batch.validateProduced(batch), bytes, codec: other })
    expect([Batch.compression(bytes), Batch.batchBytes(bytes)]).toEqual([other, bytes.length])
    expect(Buffer.from(Batch.recordsOf(bytes)).equals(Batch.recordsOf(batch))).toBe(true)
  })
})

it("withRecords refuses a batch that grows beyond what a batch may have", () => {
  const many = batchOf(
    Array.from({ length: 100 }, () => 1000),
    "gzip"
  )
  const limits = { ...defaultLimits, recordBatchBytesMax: 1000 }
  expect(many.length).toBeLessThan(1000)
  expect(reasonOf(() => recompressed(many, "none", limits))).toBe("MessageTooLarge")
  expect(recompressed(many, "lz4", limits).length).toBeLessThan(1000)
})

describe("validateProduced", () => {
  const good = batchOf(three)

  it.each<[string, Uint8Array, string]>([
    ["a wrong CRC", good.with(good.length - 1, 1), "CorruptMessage"],
    ["a cut batch", good.subarray(0, good.length - 1), "CorruptMessage"],
    ["bytes behind", new Uint8Array([...good, 0]), "CorruptMessage"],
    ["sixteen bytes", good.subarray(0, 16), "CorruptMessage"],
    ["nothing", new Uint8Array(0), "CorruptMessage"],
    ["a length below the header", bent(good, 8, 0, 0, 0, 48), "CorruptMessage"],
    ["a negative length", bent(good, 8, 0xff, 0xff, 0xff, 0xff), "CorruptMessage"],
    ["magic 0", good.with(16, 0), "UnsupportedForMessageFormat"],
    ["magic 1", good.with(16, 1), "UnsupportedForMessageFormat"],
    ["magic 3", good.with(16, 3), "CorruptMessage"],
    ["codec 5", bent(good, 22, 5), "UnsupportedCompression"],
    ["a control batch", bent(good, 22, 0x20), "InvalidRecord"],
    ["the delete horizon flag", bent(good, 22, 0x40), "InvalidRecord"],
    ["an unknown attribute", bent(good, 21, 1), "InvalidRecord"],
    ["LogAppendTime", bent(good, 22, 8), "InvalidTimestamp"],
    ["a transaction without producer", bent(good, 22, 0x10), "InvalidRecord"],
    ["a producer without sequence", batchOf(three, "none", { producerId: 1, producerEpoch: 0 }), "InvalidRecord"],
    ["a producer without epoch", batchOf(three, "none", { producerId: 1, baseSequence: 0 }), "InvalidRecord"],
    ["a producer id below -1", bent(good, 50, 0xfe), "InvalidRecord"],
    ["no records", batchOf([], "none"), "InvalidRecord"],
    ["a negative count", bent(good, 57, 0xff), "InvalidRecord"],
    ["a last offset delta of its own", bent(good, 26, 7), "InvalidRecord"],
    ["a negative base timestamp", batchOf(three, "none", { baseTimestampMs: -2 }), "InvalidTimestamp"],
    ["a base timestamp of 63 bits", bent(good, 27, 0x7f), "InvalidTimestamp"],
    ["a record below time", batchOf([1000, 0], "none", { baseTimestampMs: 10 }), "InvalidTimestamp"],
    ["no snappy", bent(good, 22, 2), "CorruptMessage"],
    ["no zstd", bent(good, 22, 4), "CorruptMessage"],
    ["no gzip", bent(good, 22, 1), "CorruptMessage"],
    ["no lz4", bent(good, 22, 3), "CorruptMessage"]
  ])("refuses %s", (_what, batch, reason) => {
    expect(refusal(batch)).toBe(reason)
  })

  it.each([
    ["dependent blocks", 4, 0x20],
    ["a reserved bit of its flags", 4, 0x02],
    ["a reserved bit of its block descriptor", 5, 0x01]
  ])("refuses an lz4 frame with %s, which Kafka's consumers do not read", (_what, at, bits) => {
    const batch = batchOf(three, "lz4").slice()
    const frame = batch.subarray(Batch.batchHeaderBytes)
    expect(refusal(batch)).toBeUndefined()
    frame[at] = frame[at]! ^ bits
    frame[6] = (xxHash32(frame.subarray(4, 6)) >>> 8) & 0xff
    expect(refusal(bent(batch, 22, batch[22]!))).toBe("CorruptMessage")
  })

  it("refuses a second record with the first one's offset delta", () => {
    const first = recordsWith([1]).bytes.slice()
    const records = new Uint8Array([...first, ...first])
    const fields = { baseOffset: 0, partitionLeaderEpoch: 0, count: 2, baseTimestampMs: 1, maxTimestampMs: 1 }
    expect(refusal(Batch.buildBatch(fields, records))).toBe("InvalidRecord")
  })

  it("takes the size and not one byte more", () => {
    expect(refusal(good, { ...defaultLimits, recordBatchBytesMax: good.length })).toBeUndefined()
    expect(refusal(good, { ...defaultLimits, recordBatchBytesMax: good.length - 1 })).toBe("MessageTooLarge")
  })

  it("bounds what is decompressed by bytes, and by ratio above the size of a batch", () => {
    const bytes = recordsWith(Array<number>(5000).fill(1)).bytes
    const batch = batchOf(Array<number>(5000).fill(1), "zstd")
    const packed = batch.length - Batch.batchHeaderBytes
    expect(bytes.length / packed).toBeGreaterThan(8)
    const bounded = (limits: Partial<Batch.BatchLimits>) => refusal(batch, { ...defaultLimits, ...limits })
    expect(bounded({ decompressedBytesMax: bytes.length })).toBeUndefined()
    expect(bounded({ decompressedBytesMax: bytes.length - 1 })).toBe("MessageTooLarge")
    expect(bounded({ decompressionRatioMax: 2 })).toBeUndefined()
    expect(bounded({ decompressionRatioMax: 2, recordBatchBytesMax: batch.length })).toBe("MessageTooLarge")
  })

  it("finds the true maximum timestamp under a header that lies", () => {
    const batch = batchOf(three, "none", { maxTimestampMs: 1 })
    const produced = Batch.validateProduced(batch)
    expect(produced.maxTimestampMs).toBe(1005)
    Batch.stampMaxTimestamp(batch, produced.maxTimestampMs)
    expect(Batch.maxTimestamp(batch)).toBe(1005)
    expect(refusal(batch)).toBeUndefined()
  })

  it("takes records without timestamp", () => {
    expect(Batch.validateProduced(batchOf([-1, -1]))).toMatchObject({ maxTimestampMs: -1, minTimestampMs: Infinity })
    expect(Batch.validateProduced(batchOf([7, -1, 3, 5]))).toMatchObject({ maxTimestampMs: 7, minTimestampMs: 3 })
  })
})

describe("stamping", () => {
  it("keeps the CRC right", () => {
    const batch = batchOf(three)
    const before = Batch.crc(batch)
    Batch.stampBatch(batch, 2 ** 35, 12)
    expect([Batch.baseOffset(batch), Batch.lastOffset(batch)]).toEqual([2 ** 35, 2 ** 35 + 2])
    expect(Batch.partitionLeaderEpoch(batch)).toBe(12)
    expect(Batch.crc(batch)).toBe(before)
    expect(refusal(batch)).toBeUndefined()
    Batch.stampLogAppendTime(batch, 5000)
    expect([Batch.isLogAppendTime(batch), Batch.maxTimestamp(batch)]).toEqual([true, 5000])
    expect(Batch.crc(batch)).toBe(crc32c(batch.subarray(21)))
    expect(Batch.crc(batch)).not.toBe(before)
  })

  it("touches only the batch at its place", () => {
    const two = new Uint8Array([...batchOf(three), ...batchOf(three, "gzip")])
    const first = Batch.batchBytes(two)
    Batch.stampBatch(two, 40, 2, first)
    Batch.stampLogAppendTime(two, 5000, first)
    expect(two.subarray(0, first)).toEqual(batchOf(three))
    const found: Array<ReadonlyArray<number>> = []
    Batch.batchesOf(two, (at, length) => found.push([at, length, Batch.baseOffset(two, at)]))
    expect(found).toEqual([
      [0, first, 0],
      [first, two.length - first, 40]
    ])
  })
})

describe("splitBatches", () => {
  it("cuts at the batches and refuses what is left over", () => {
    const one = batchOf(three)
    const two = batchOf([1], "lz4")
    const both = new Uint8Array([...one, ...two])
    expect(Batch.splitBatches(both)).toEqual([one, two])
    expect(Batch.splitBatches(new Uint8Array(0))).toEqual([])
    expect(reasonOf(() => Batch.splitBatches(both.subarray(0, both.length - 1)))).toBe("CorruptMessage")
    expect(reasonOf(() => Batch.splitBatches(both, { ...defaultLimits, recordBatchBytesMax: 70 }))).toBe(
      "MessageTooLarge"
    )
    expect(reasonOf(() => Batch.splitBatches(both.with(16, 1)))).toBe("UnsupportedForMessageFormat")
  })

  it("gives any bytes a typed reason", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 150 }), fc.nat(4), (bytes, version) => {
        if (bytes.length > 16) bytes[16] = version
        expect(() =>
          reasonOf(() => Batch.splitBatches(bytes).map((batch) => Batch.validateProduced(batch)))
        ).not.toThrow()
      })
    )
  })
})

describe.each(codecs)("offsetForTimestamp, %s", (codec) => {
  it("finds the first record that is late enough", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { minLength: 1, maxLength: 30 }), fc.nat(60), (timestampsMs, wantedMs) => {
        const batch = batchOf(timestampsMs, codec, { baseOffset: 100 })
        const index = timestampsMs.findIndex((timestampMs) => timestampMs >= wantedMs)
        expect(Batch.offsetForTimestamp(batch, wantedMs)).toEqual(
          index === -1 ? undefined : { offset: 100 + index, timestampMs: timestampsMs[index] }
        )
      }),
      { numRuns: 50 }
    )
  })

  it("is the first record when the log's time counts", () => {
    const batch = batchOf(three, codec, { baseOffset: 100 })
    Batch.stampLogAppendTime(batch, 5000)
    expect(Batch.offsetForTimestamp(batch, 4000)).toEqual({ offset: 100, timestampMs: 5000 })
    expect(Batch.offsetForTimestamp(batch, 5001)).toBeUndefined()
  })
})

describe("kafkajs", () => {
  // kafkajs has no types for its encoders; they are the oracle for every byte of an uncompressed batch.
  const load = createRequire(import.meta.url)
  const encodeRecord = load("kafkajs/src/protocol/recordBatch/record/v0/index.js")
  const { RecordBatch } = load("kafkajs/src/protocol/recordBatch/v0/index.js")

  it("writes the same bytes, and its gzip is taken", async () => {
    const headers = { a: Buffer.from("1"), "mqtt.topic": Buffer.from("x/y") }
    const block = encodeHeaders(Object.entries(headers).map(([name, value]) => [Buffer.from(name), value] as const))
    const builder = new RecordsBuilder(1 << 20)
    const records = three.map((timestampMs, offsetDelta) => {
      const value = offsetDelta === 1 ? null : Buffer.from("v".repeat(100 * offsetDelta))
      builder.append(Buffer.from(`key ${offsetDelta}`), value, block, timestampMs)
      return encodeRecord({
        offsetDelta,
        timestampDelta: timestampMs - 1000,
        key: `key ${offsetDelta}`,
        value,
        headers
      })
    })
    const given = {
      firstTimestamp: 1000,
      maxTimestamp: 1005,
      lastOffsetDelta: 2,
      producerId: 4,
      producerEpoch: 1,
      records
    }
    const fields = { baseOffset: 0, partitionLeaderEpoch: 0, count: 3, baseTimestampMs: 1000, maxTimestampMs: 1005 }
    const ours = Batch.buildBatch({ ...fields, producerId: 4, producerEpoch: 1, baseSequence: 0 }, builder.bytes)
    const theirs = (await RecordBatch(given)).buffer as Uint8Array
    expect(Buffer.from(ours).equals(theirs)).toBe(true)
    const packed = (await RecordBatch({ ...given, compression: 1 })).buffer as Uint8Array
    expect(Batch.validateProduced(packed)).toMatchObject({ codec: "gzip", count: 3, maxTimestampMs: 1005 })
    const keys: Array<string> = []
    iterate(Batch.recordsOf(packed), 3, (record) => void keys.push(Buffer.from(record.key()!).toString()))
    expect(keys).toEqual(["key 0", "key 1", "key 2"])
  })
})
