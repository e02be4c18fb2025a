import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { addKeys } from "../../src/compact/addKeys.ts"
import { filterBatch } from "../../src/compact/filterBatch.ts"
import { keepBy } from "../../src/compact/keepRecord.ts"
import { KeyMap } from "../../src/compact/KeyMap.ts"
import { MergedRecords } from "../../src/compact/MergedRecords.ts"
import * as RecordBatch from "../../src/RecordBatch.ts"
import { batchOf, recordsIn, type Plain } from "./batches.ts"

const deleteRetentionMs = 1000

/** A log as batches, and beside it every record that was ever appended. */
class LogModel {
  batches: Array<Uint8Array> = []
  readonly appended: Array<Plain> = []
  #cleanTo = 0
  readonly #isVerbatim: boolean
  nowMs = 1_000_000
  startOffset = 0

  constructor(isVerbatim: boolean) {
    this.#isVerbatim = isVerbatim
  }

  get endOffset(): number {
    return this.appended.length
  }

  append(keys: ReadonlyArray<readonly [key: number, isTombstone: boolean]>): void {
    const records = keys.map(([key, isTombstone], i) => ({
      offset: this.endOffset + i,
      timestampMs: this.nowMs + i,
      key: `k${key}`,
      value: isTombstone ? null : `v${this.endOffset + i}`
    }))
    this.appended.push(...records)
    this.batches.push(batchOf(records, this.#isVerbatim ? "zstd" : "none"))
  }

  moveStart(offset: number): void {
    this.startOffset = Math.max(this.startOffset, Math.min(offset, this.endOffset))
    this.batches = this.batches.filter((batch) => RecordBatch.lastOffset(batch) >= this.startOffset)
  }

  /** `slots`: how many keys the map has room for. */
  compact(slots: number): void {
    const newest = KeyMap.for(slots, slots * 32)
    let cleanTo = this.endOffset
    for (const batch of this.batches) {
      if (RecordBatch.lastOffset(batch) < this.#cleanTo || addKeys(newest, batch)) continue
      cleanTo = RecordBatch.baseOffset(batch)
      break
    }
    const keep = keepBy(newest, { logEndOffset: this.endOffset, nowMs: this.nowMs, deleteRetentionMs })
    const horizonMs = this.nowMs + deleteRetentionMs
    const left: Array<Uint8Array> = []
    const merged = new MergedRecords(keep, horizonMs, ({ fields, records }) =>
      left.push(RecordBatch.buildBatch(fields, records.slice()))
    )
    for (const batch of this.batches) {
      if (RecordBatch.baseOffset(batch) >= cleanTo) {
        merged.end()
        left.push(batch)
      } else if (this.#isVerbatim) {
        const filtered = filterBatch(batch, keep, horizonMs)
        if (filtered !== undefined) left.push(filtered)
      } else merged.add(batch)
    }
    merged.end()
    this.batches = left
    this.#cleanTo = Math.max(this.#cleanTo, cleanTo)
  }

  records(): Array<Plain> {
    return this.batches.flatMap(recordsIn).filter(({ offset }) => offset >= this.startOffset)
  }
}

/** The last value per key; keys whose last value is a tombstone are not there. */
const lastValues = (records: ReadonlyArray<Plain>, startOffset = 0): Map<string, Plain> => {
  const values = new Map<string, Plain>()
  for (const record of records) values.set(record.key!, record)
  for (const [key, record] of values) {
    if (record.value === null || record.offset < startOffset) values.delete(key)
  }
  return values
}

type Step =
  | { readonly _tag: "Append"; readonly keys: ReadonlyArray<readonly [number, boolean]> }
  | { readonly _tag: "Compact"; readonly slots: number }
  | { readonly _tag: "MoveStart"; readonly by: number }
  | { readonly _tag: "Wait"; readonly ms: number }

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    fc.record({
      _tag: fc.constant("Append" as const),
      keys: fc.array(
        fc.tuple(
          fc.integer({ min: 0, max: 60 }),
          fc.integer({ min: 0, max: 3 }).map((n) => n === 0)
        ),
        {
          minLength: 1,
          maxLength: 30
        }
      )
    }),
    fc.record({ _tag: fc.constant("Compact" as const), slots: fc.constantFrom(12, 24, 100) }),
    fc.record({ _tag: fc.constant("MoveStart" as const), by: fc.integer({ min: 0, max: 10 }) }),
    fc.record({ _tag: fc.constant("Wait" as const), ms: fc.constantFrom(10, 600, 1001) })
  ),
  { maxLength: 25 }
)

const run = (log: LogModel, step: Step): void => {
  switch (step._tag) {
    case "Append":
      return log.append(step.keys)
    case "Compact":
      return log.compact(step.slots)
    case "MoveStart":
      return log.moveStart(log.startOffset + step.by)
    case "Wait":
      log.nowMs += step.ms
  }
}

describe.each([
  ["producers' batches", true],
  ["the server's batches", false]
])("Compaction of %s", (_name, isVerbatim) => {
  it("leaves what was appended, in order, and the last value of every key", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const log = new LogModel(isVerbatim)
        for (const step of script) {
          run(log, step)
          const records = log.records()
          for (const record of records) expect(record).toEqual(log.appended[record.offset])
          const offsets = records.map(({ offset }) => offset)
          expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b))
          // A reader from the start on sees the same last values as one who has read all.
          expect(lastValues(records)).toEqual(lastValues(log.appended, log.startOffset))
          if (log.startOffset < log.endOffset) expect(offsets.at(-1)).toBe(log.endOffset - 1)
        }
      }),
      { numRuns: 300 }
    )
  })

  it("leaves one record per key, tombstones for their time and no longer", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const log = new LogModel(isVerbatim)
        log.append([[0, false]])
        for (const step of script) run(log, step._tag === "MoveStart" ? { _tag: "Wait", ms: 0 } : step)
        log.compact(100)
        const records = log.records()
        expect(new Set(records.map(({ key }) => key)).size).toBe(records.length)
        const newest = new Map(log.appended.map((record) => [record.key, record]))
        log.nowMs += deleteRetentionMs
        log.compact(100)
        const expected = [...newest.values()].filter(
          ({ value, offset }) => value !== null || offset === log.endOffset - 1
        )
        expect(log.records()).toEqual(expected.sort((a, b) => a.offset - b.offset))
      }),
      { numRuns: 300 }
    )
  })
})

const oneRecord = (offset: number, value: string | null, fields: Partial<RecordBatch.BatchFields>): Uint8Array =>
  batchOf([{ offset, timestampMs: 50, key: `k${offset}`, value }], "none", fields)

describe("MergedRecords", () => {
  it("makes few batches of many with a record left in each", () => {
    const records = Array.from({ length: 2000 }, (_, offset) => ({
      offset,
      timestampMs: offset,
      key: "k",
      value: "x".repeat(100)
    }))
    const out: Array<Uint8Array> = []
    const merged = new MergedRecords(
      (_record, offset) => offset % 10 === 3,
      0,
      ({ fields, records: bytes }) => out.push(RecordBatch.buildBatch(fields, bytes.slice()))
    )
    for (let at = 0; at < 2000; at += 10) merged.add(batchOf(records.slice(at, at + 10)))
    merged.end()
    expect(out.length).toBe(1)
    expect(RecordBatch.baseOffset(out[0]!)).toBe(3)
    expect(RecordBatch.lastOffset(out[0]!)).toBe(1993)
    expect(recordsIn(out[0]!)).toEqual(records.filter(({ offset }) => offset % 10 === 3))
  })

  it("never puts two leader epochs or two delete horizons into one batch", () => {
    const out: Array<Uint8Array> = []
    const merged = new MergedRecords(
      () => true,
      900,
      ({ fields, records }) => out.push(RecordBatch.buildBatch(fields, records.slice()))
    )
    merged.add(oneRecord(0, "v", { partitionLeaderEpoch: 1 }))
    merged.add(oneRecord(1, null, { partitionLeaderEpoch: 1 }))
    merged.add(oneRecord(2, "v", { partitionLeaderEpoch: 1 }))
    merged.add(oneRecord(3, null, { partitionLeaderEpoch: 1, hasDeleteHorizon: true, baseTimestampMs: 700 }))
    merged.add(oneRecord(4, "v", { partitionLeaderEpoch: 2 }))
    merged.end()
    expect(out.map((each) => [RecordBatch.baseOffset(each), RecordBatch.lastOffset(each)])).toEqual([
      [0, 2],
      [3, 3],
      [4, 4]
    ])
    expect(out.map((each) => RecordBatch.deleteHorizon(each))).toEqual([900, 700, undefined])
    expect(out.map((each) => RecordBatch.partitionLeaderEpoch(each))).toEqual([1, 1, 2])
  })
})
