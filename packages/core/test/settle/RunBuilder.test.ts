import { crc32c } from "@node-rs/crc32"
import { ExtentPages, readExtents, type Extent } from "@logbrook/core/journal/Extent"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { RunBuilder } from "@logbrook/core/settle/RunBuilder"
import type { Located } from "@logbrook/core/storage/LogIndex"
import { batchesOfRun } from "@logbrook/core/storage/runs"
import { describe, expect, it } from "vitest"
import { encodeRecords } from "../support/commits.ts"

const fromMs = 1_800_000_000_000

const located = (baseOffset: number, count: number, bytes: Uint8Array, rest: Partial<Located> = {}): Located => ({
  frameSeq: 1 + baseOffset,
  baseOffset,
  count,
  firstTimestampMs: fromMs + baseOffset,
  maxTimestampMs: fromMs + baseOffset,
  byteLength: bytes.length,
  crc: crc32c(bytes),
  place: "frame",
  chunk: 0,
  position: 0,
  verbatim: false,
  isCompacted: false,
  epoch: 1,
  ...rest
})

const run = (offset: number, value: string): Uint8Array =>
  encodeRecords([{ key: null, value, timestampMs: fromMs + offset }]).bytes

/** A value that does not compress. */
const dense = (bytes: number, seed: number): string => {
  let state = seed + 1
  return Array.from({ length: bytes }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return String.fromCharCode(33 + ((state >>> 16) % 90))
  }).join("")
}

const built = (add: (builder: RunBuilder) => void): Array<{ extent: Extent; bytes: Uint8Array }> => {
  const found: Array<{ extent: Extent; bytes: Uint8Array }> = []
  const builder = new RunBuilder((extent, bytes) => found.push({ extent, bytes }))
  add(builder)
  builder.end()
  return found
}

describe("runs", () => {
  it("take about 64 KB each, of batches of about 64 KB before compression", () => {
    const runs = built((builder) => {
      for (let i = 0; i < 3000; i++) {
        const bytes = run(i, dense(60, i))
        builder.add(5, located(i, 1, bytes), bytes)
      }
    })
    expect(runs.length).toBeGreaterThan(1)
    let nextOffset = 0
    for (const { extent, bytes } of runs) {
      expect(bytes.length).toBeLessThanOrEqual(64 * 1024)
      expect([extent.byteLength, extent.crc, extent.baseOffset]).toEqual([bytes.length, crc32c(bytes), nextOffset])
      const plain = [...batchesOfRun(bytes, { ...extent, frameSeq: 1 }, 0)]
      expect(Math.max(...plain.map((batch) => batch.length))).toBe(extent.position)
      expect(extent.position).toBeLessThanOrEqual(72 * 1024)
      expect(plain.reduce((sum, batch) => sum + RecordBatch.count(batch), 0)).toBe(extent.count)
      nextOffset += extent.count
    }
    expect(nextOffset).toBe(3000)
    for (const { bytes } of runs.slice(0, -1)) expect(bytes.length).toBeGreaterThan(16 * 1024)
  })

  it("leave records that do not compress as they are", () => {
    const bytes = run(0, "short")
    const [only] = built((builder) => builder.add(5, located(0, 1, bytes), bytes))
    expect(RecordBatch.compression(only!.bytes)).toBe("none")
    const large = run(0, "x".repeat(500))
    const [packed] = built((builder) => builder.add(5, located(0, 1, large), large))
    expect(RecordBatch.compression(packed!.bytes)).toBe("zstd")
    expect(packed!.extent.position).toBe(RecordBatch.batchHeaderBytes + large.length)
  })

  it("begin anew with each log, epoch, and offset gap", () => {
    const bytes = run(0, "value")
    const runs = built((builder) => {
      builder.add(1, located(0, 1, bytes), bytes)
      builder.add(1, located(1, 1, bytes), bytes)
      builder.add(1, located(3, 1, bytes), bytes)
      builder.add(1, located(4, 1, bytes, { epoch: 2 }), bytes)
      builder.add(2, located(5, 1, bytes, { epoch: 2 }), bytes)
    })
    expect(runs.map(({ extent }) => [extent.logId, extent.baseOffset, extent.count, extent.epoch])).toEqual([
      [1, 0, 2, 1],
      [1, 3, 1, 1],
      [1, 4, 1, 2],
      [2, 5, 1, 2]
    ])
  })

  it("are as new as the newest of their batches, whichever that is", () => {
    const batch = (offset: number, maxTimestampMs: number): [Located, Uint8Array] => {
      const fields = { baseOffset: offset, partitionLeaderEpoch: 1, count: 1, baseTimestampMs: fromMs, maxTimestampMs }
      const bytes = RecordBatch.buildBatch(
        fields,
        encodeRecords([{ key: null, value: "v", timestampMs: fromMs }]).bytes
      )
      return [located(offset, 1, bytes, { verbatim: true, maxTimestampMs }), bytes]
    }
    const runs = built((builder) => {
      for (const [at, ms] of [2000, 9000, 3000].entries()) builder.add(5, ...batch(at, fromMs + ms))
    })
    expect(runs.map(({ extent }) => [extent.count, extent.maxTimestampMs])).toEqual([[3, fromMs + 9000]])
  })

  it("hold what one commit wrote in one batch, however large", () => {
    const records = encodeRecords(
      Array.from({ length: 200 }, (_, i) => ({ key: null, value: dense(1000, i), timestampMs: fromMs }))
    ).bytes
    const fields = {
      baseOffset: 7,
      partitionLeaderEpoch: 1,
      count: 200,
      baseTimestampMs: fromMs,
      maxTimestampMs: fromMs
    }
    const batch = RecordBatch.buildBatch(fields, records)
    const [only] = built((builder) =>
      builder.add(
        1,
        located(7, 200, batch, { place: "value", firstTimestampMs: fromMs, maxTimestampMs: fromMs }),
        batch
      )
    )
    const [plain] = [...batchesOfRun(only!.bytes, { ...only!.extent, frameSeq: 1 }, 0)]
    expect(Buffer.from(plain!).equals(batch)).toBe(true)
  })

  it.each<[string, (bytes: Uint8Array) => [Located, Uint8Array]]>([
    ["another count", (bytes) => [located(0, 2, bytes), bytes]],
    ["other bytes than records", (bytes) => [located(0, 1, bytes), bytes.subarray(1)]],
    ["no batch", (bytes) => [located(0, 1, bytes, { verbatim: true }), bytes]],
    [
      "a batch of another offset",
      (bytes) => {
        const fields = { partitionLeaderEpoch: 1, count: 1, baseTimestampMs: 0, maxTimestampMs: 0 }
        const batch = RecordBatch.buildBatch({ ...fields, baseOffset: 9 }, bytes)
        return [located(0, 1, batch, { verbatim: true }), batch]
      }
    ],
    [
      "a batch of another count",
      (bytes) => {
        const fields = { partitionLeaderEpoch: 1, count: 1, baseTimestampMs: 0, maxTimestampMs: 0 }
        const batch = RecordBatch.buildBatch({ ...fields, baseOffset: 0 }, bytes)
        return [located(0, 3, batch, { place: "value" }), batch]
      }
    ]
  ])("refuse %s, and name the place", (_what, damaged) => {
    const [ref, bytes] = damaged(run(0, "value"))
    expect(() => built((builder) => builder.add(77, ref, bytes))).toThrow(/log 77 at offset 0 \(seq 1\)/)
  })
})

/** A producer's batch of one record at `baseOffset`, the last of `span` offsets. */
const sparse = (baseOffset: number, span: number, epoch = 1): Uint8Array =>
  RecordBatch.buildBatch(
    {
      baseOffset,
      partitionLeaderEpoch: epoch,
      count: 1,
      lastOffsetDelta: span - 1,
      baseTimestampMs: fromMs,
      maxTimestampMs: fromMs
    },
    run(0, "value")
  )

const ends = (runs: ReadonlyArray<{ extent: Extent }>) =>
  runs.map(({ extent: { baseOffset, count, isCompacted } }) => [baseOffset, baseOffset + count, isCompacted])

/** A producer's batch of one record of about so many bytes. */
const batchOf = (baseOffset: number, bytes: number): Uint8Array =>
  RecordBatch.buildBatch(
    { baseOffset, partitionLeaderEpoch: 1, count: 1, baseTimestampMs: fromMs, maxTimestampMs: fromMs },
    run(0, dense(bytes, baseOffset))
  )

describe("what a run tells of its largest batch", () => {
  it.each([
    [100, 5000, 200],
    [5000, 200, 100],
    [100, 200, 5000]
  ])("is the largest, wherever it lies: %j %j %j", (...sizes) => {
    const batches = sizes.map((bytes, i) => batchOf(i, bytes))
    const largest = Math.max(...batches.map(({ length }) => length))
    const side = built((builder) => {
      batches.forEach((bytes, i) => builder.add(5, located(i, 1, bytes, { verbatim: true }), bytes))
    })
    expect(side.map(({ extent }) => extent.position)).toEqual([largest])
    const together = Buffer.concat(batches)
    const one = built((builder) => builder.add(5, located(0, 3, together, { verbatim: true }), together))
    expect(one.map(({ extent }) => extent.position)).toEqual([largest])
  })
})

describe("runs of compacted logs", () => {
  it("go on over offsets that are gone, and tell of the span", () => {
    const runs = built((builder) => {
      for (const [at, span] of [
        [10, 5],
        [40, 2],
        [100, 1]
      ] as const)
        builder.addCompacted(5, true, sparse(at, span), 80)
    })
    expect(ends(runs)).toEqual([[10, 101, true]])
    expect(runs[0]!.extent.position).toBe(80)
    const batches = [...batchesOfRun(runs[0]!.bytes, { ...runs[0]!.extent, frameSeq: 1 }, 43)]
    expect(batches.map((batch) => RecordBatch.baseOffset(batch))).toEqual([100])
  })

  it("never span more than 2^31 - 1 offsets, an epoch, a maker, or what was not compacted", () => {
    const verbatim = sparse(2 ** 40 + 12, 1, 2)
    const runs = built((builder) => {
      builder.addCompacted(5, true, sparse(0, 1), 80)
      builder.addCompacted(5, true, sparse(2 ** 40, 1), 80)
      builder.addCompacted(5, true, sparse(2 ** 40 + 10, 1, 2), 80)
      builder.addCompacted(5, false, sparse(2 ** 40 + 11, 1, 2), 80)
      builder.add(5, located(2 ** 40 + 12, 1, verbatim, { verbatim: true, epoch: 2 }), verbatim)
    })
    expect(ends(runs)).toEqual([
      [0, 1, true],
      [2 ** 40, 2 ** 40 + 1, true],
      [2 ** 40 + 10, 2 ** 40 + 11, true],
      [2 ** 40 + 11, 2 ** 40 + 12, true],
      [2 ** 40 + 12, 2 ** 40 + 13, false]
    ])
  })

  it("stay as they are when their segment is written anew", () => {
    const small = built((builder) => {
      builder.addCompacted(5, false, sparse(10, 1), 80)
      builder.addCompacted(5, false, sparse(20, 1), 80)
    })[0]!
    const again = built((builder) => builder.add(5, { ...small.extent, frameSeq: 1 }, small.bytes))
    expect(again).toEqual([small])
  })
})

const extent = (i: number): Extent => ({
  logId: 2 ** 32 - 1 - i,
  epoch: i,
  baseOffset: 2 ** 52 + i,
  count: 2 ** 31 + i,
  firstTimestampMs: -1 - i,
  maxTimestampMs: 2 ** 51 + i,
  byteLength: 65_520 + i,
  crc: 0xffff_0000 + i,
  place: "run",
  chunk: 0,
  position: 70_000 + i,
  verbatim: i % 2 === 1,
  isCompacted: i % 3 === 1,
  producer: undefined
})

describe("pages of extents", () => {
  it("give back what was put in", () => {
    const pages = new ExtentPages()
    const found: Array<Extent> = []
    const wanted = Array.from({ length: 2500 }, (_, i) => extent(i))
    const full = wanted.flatMap((each) => pages.add(each) ?? [])
    for (const page of [...full, pages.take()!]) readExtents(page, "file", (each) => found.push(each))
    expect(full).toHaveLength(2)
    expect(found).toEqual(wanted)
    expect(pages.take()).toBeUndefined()
  })

  it("are refused when a bit has turned, or some are missing", () => {
    const pages = new ExtentPages()
    pages.add(extent(1))
    const page = pages.take()!
    for (const damaged of [Buffer.from(page).fill(1, 20, 21), page.subarray(0, 30), page.subarray(0, 2)]) {
      expect(() => readExtents(damaged, "seg-00000001.runs.mdb", () => undefined)).toThrow(/seg-00000001\.runs\.mdb/)
    }
  })
})
