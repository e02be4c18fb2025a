import { describe, expect, it } from "vitest"
import { crc32c } from "../../src/Crc32c.ts"
import { controlBatch } from "../../src/transaction/controlBatch.ts"
import { filterBatch, withDeleteHorizon } from "../../src/compact/filterBatch.ts"
import type { Keep } from "../../src/compact/keepRecord.ts"
import { RecordReader } from "../../src/Record.ts"
import * as RecordBatch from "../../src/RecordBatch.ts"
import { batchOf, recordsIn, type Plain } from "./batches.ts"

const horizonMs = 5_000_000

const five: ReadonlyArray<Plain> = [
  { offset: 100, timestampMs: 1000, key: "a", value: "1" },
  { offset: 101, timestampMs: 1005, key: "b", value: "2" },
  { offset: 102, timestampMs: 990, key: "c", value: "3" },
  { offset: 103, timestampMs: 1020, key: "d", value: "4" },
  { offset: 104, timestampMs: 1010, key: "e", value: "5" }
]
const withTombstone = five.map((record) => (record.key === "c" ? { ...record, value: null } : record))

const keepOffsets =
  (...offsets: ReadonlyArray<number>): Keep =>
  (_record, offset) =>
    offsets.includes(offset)

const all: Keep = () => true

describe("filterBatch", () => {
  it("hands back the same bytes if all stay, and nothing if none does", () => {
    const batch = batchOf(five)
    expect(filterBatch(batch, all, horizonMs)).toBe(batch)
    expect(filterBatch(batch, () => false, horizonMs)).toBeUndefined()
  })

  it.each(["none", "gzip", "snappy", "lz4", "zstd"] as const)(
    "keeps offsets, times and header but for the count, compressed with %s",
    (codec) => {
      const fields = {
        producerId: 7,
        producerEpoch: 2,
        baseSequence: 40,
        partitionLeaderEpoch: 9,
        isTransactional: true
      }
      const left = filterBatch(batchOf(five, codec, fields), keepOffsets(101, 104), horizonMs)!
      expect(recordsIn(left)).toEqual([five[1], five[4]])
      expect(RecordBatch.compression(left)).toBe(codec)
      expect(RecordBatch.count(left)).toBe(2)
      expect(RecordBatch.baseOffset(left)).toBe(100)
      expect(RecordBatch.lastOffset(left)).toBe(104)
      expect(RecordBatch.maxTimestamp(left)).toBe(1010)
      expect(RecordBatch.producerId(left)).toBe(7)
      expect(RecordBatch.producerEpoch(left)).toBe(2)
      expect(RecordBatch.baseSequence(left)).toBe(40)
      expect(RecordBatch.partitionLeaderEpoch(left)).toBe(9)
      expect(RecordBatch.isTransactional(left)).toBe(true)
      expect(RecordBatch.deleteHorizon(left)).toBeUndefined()
      expect(RecordBatch.crc(left)).toBe(crc32c(left.subarray(21)))
    }
  )

  it("sets the delete horizon of a batch with tombstones once, and times stay what they were", () => {
    const first = filterBatch(batchOf(withTombstone, "lz4"), all, horizonMs)!
    expect(RecordBatch.deleteHorizon(first)).toBe(horizonMs)
    expect(recordsIn(first)).toEqual(withTombstone)
    expect(filterBatch(first, all, horizonMs + 1)).toBe(first)
    const later = filterBatch(first, keepOffsets(102, 103), horizonMs + 1)!
    expect(RecordBatch.deleteHorizon(later)).toBe(horizonMs)
    expect(recordsIn(later)).toEqual([withTombstone[2], withTombstone[3]])
  })

  it("tells `keep` the batch's horizon", () => {
    const told: Array<number | undefined> = []
    const note: Keep = (_record, _offset, deleteHorizonMs) => told.push(deleteHorizonMs) > 0
    filterBatch(batchOf(withTombstone), note, horizonMs)
    filterBatch(filterBatch(batchOf(withTombstone), all, horizonMs)!, note, horizonMs)
    expect(new Set(told.slice(0, 5))).toEqual(new Set([undefined]))
    expect(new Set(told.slice(5))).toEqual(new Set([horizonMs]))
  })

  it("keeps the log's time where that counts", () => {
    const batch = batchOf(withTombstone, "none", { isLogAppendTime: true, maxTimestampMs: 7777 })
    const left = filterBatch(batch, keepOffsets(100, 102), horizonMs)!
    expect(RecordBatch.isLogAppendTime(left)).toBe(true)
    expect(recordsIn(left).map(({ timestampMs }) => timestampMs)).toEqual([7777, 7777])
  })
})

const farthestMs = Number.MAX_SAFE_INTEGER

const valueAndTombstone = (timestampMs: number): ReadonlyArray<Plain> => [
  { offset: 100, timestampMs, key: "a", value: "1" },
  { offset: 101, timestampMs, key: "b", value: null }
]

describe.each([
  ["now", horizonMs],
  ["the farthest one", farthestMs]
])("a batch that is rebuilt, with a delete horizon of %s", (_what, givenMs) => {
  it.each([-1, 0, 1, horizonMs, 2 ** 52 - 1, 2 ** 52, 5e15, farthestMs])(
    "can be read and filtered again, and has its records' time of %d",
    (timestampMs) => {
      const first = filterBatch(batchOf(valueAndTombstone(timestampMs)), all, givenMs)!
      expect(RecordBatch.deleteHorizon(first)).toBe(givenMs)
      expect(recordsIn(first)).toEqual(valueAndTombstone(timestampMs))
      const later = filterBatch(first, keepOffsets(101), givenMs)!
      expect(recordsIn(later)).toEqual(valueAndTombstone(timestampMs).slice(1))
      expect([RecordBatch.deleteHorizon(later), RecordBatch.maxTimestamp(later)]).toEqual([givenMs, timestampMs])
    }
  )

  it.each([-1, 5e15, farthestMs])("has the time of its append where that counts, not its producer's %d", (sentMs) => {
    const appendMs = 7777
    const sent = batchOf(valueAndTombstone(sentMs), "none", { isLogAppendTime: true, maxTimestampMs: appendMs })
    for (const keep of [all, keepOffsets(100), keepOffsets(101)]) {
      const left = filterBatch(sent, keep, givenMs)!
      const reader = new RecordReader().reset(RecordBatch.recordsOf(left))
      while (reader.next()) expect(RecordBatch.baseTimestamp(left) + reader.timestampDelta).toBe(appendMs)
      expect([RecordBatch.isLogAppendTime(left), RecordBatch.maxTimestamp(left)]).toEqual([true, appendMs])
      expect(filterBatch(left, all, givenMs)).toBe(left)
    }
  })
})

describe("a control batch", () => {
  it("is given its delete horizon once, and says what it said", () => {
    const marker = controlBatch({ producerId: 7, producerEpoch: 3, coordinatorEpoch: 5, outcome: "abort" }, 1000)
    RecordBatch.stampBatch(marker, 100, 9)
    const first = withDeleteHorizon(marker, horizonMs)
    expect(RecordBatch.deleteHorizon(first)).toBe(horizonMs)
    expect(withDeleteHorizon(first, horizonMs + 1)).toBe(first)
    expect([RecordBatch.isControl(first), RecordBatch.isTransactional(first)]).toEqual([true, true])
    expect([RecordBatch.producerId(first), RecordBatch.producerEpoch(first)]).toEqual([7, 3])
    expect([RecordBatch.baseOffset(first), RecordBatch.partitionLeaderEpoch(first)]).toEqual([100, 9])
    expect(RecordBatch.crc(first)).toBe(crc32c(first.subarray(21)))
    expect(recordsIn(first)).toEqual(recordsIn(marker))
    expect(RecordBatch.maxTimestamp(first)).toBe(1000)
  })
})
