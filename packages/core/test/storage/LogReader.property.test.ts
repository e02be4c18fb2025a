import { compress, type Codec } from "@logbrook/core/Compression"
import type { Limits } from "@logbrook/core/Limits"
import { chunkBytesMax } from "@logbrook/core/journal/Frame"
import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { Log } from "@logbrook/core/storage/Log"
import type { ReadOptions } from "@logbrook/core/storage/LogReader"
import type { LogStore } from "@logbrook/core/storage/LogStore"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { encodeRecords, type RecordContent } from "../support/commits.ts"
import { ShardHarness } from "../support/ShardHarness.ts"
import type { TestClock } from "../support/TestClock.ts"

const logId = 5
/** A second log, whose records lie between those of the first. */
const otherLogId = 6

type Step =
  | { readonly _tag: "records"; readonly records: ReadonlyArray<RecordContent> }
  | { readonly _tag: "batch"; readonly records: ReadonlyArray<RecordContent>; readonly codec: Codec | "none" }
  | { readonly _tag: "others"; readonly count: number; readonly bytes: number }
  | { readonly _tag: "turn" }
  | { readonly _tag: "start"; readonly share: number }
  | { readonly _tag: "restart" }

const text = fc.string({ maxLength: 12 })
const value = fc.oneof<Array<fc.WeightedArbitrary<string | null>>>(
  { weight: 8, arbitrary: fc.option(text) },
  { weight: 2, arbitrary: fc.nat(6000).map((length) => "v".repeat(length)) }
)
const record = (times: fc.Arbitrary<number>): fc.Arbitrary<RecordContent> =>
  fc.record({
    key: fc.option(text),
    value,
    timestampMs: times,
    headers: fc.array(fc.tuple<[string, string | null]>(text, fc.option(text)), { maxLength: 3 })
  })

const fromMs = 1_800_000_000_000
const close = fc.nat(1000).map((ms) => fromMs + ms)
/** A producer's own times may be anything, also far apart within one batch. */
const anyTime = fc.oneof(close, fc.nat(2 ** 41))
const records = (times: fc.Arbitrary<number>, maxLength: number) => fc.array(record(times), { minLength: 1, maxLength })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ _tag: fc.constant("records" as const), records: records(close, 8) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("batch" as const),
      records: records(anyTime, 12),
      codec: fc.constantFrom("none", "gzip", "snappy", "lz4", "zstd")
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      _tag: fc.constant("others" as const),
      count: fc.integer({ min: 1, max: 12 }),
      bytes: fc.nat(4000)
    })
  },
  { weight: 8, arbitrary: fc.constant({ _tag: "turn" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("start" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) })
  },
  { weight: 1, arbitrary: fc.constant({ _tag: "restart" as const }) }
)

interface Kept extends RecordContent {
  readonly offset: number
}

const shownBytes = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())

const recordsIn = (batch: Uint8Array): Array<Kept> => {
  const found: Array<Kept> = []
  const baseOffset = RecordBatch.baseOffset(batch)
  const baseMs = RecordBatch.baseTimestamp(batch)
  iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (reader) => {
    found.push({
      offset: baseOffset + reader.offsetDelta,
      key: shownBytes(reader.key()),
      value: shownBytes(reader.value()),
      timestampMs: baseMs + reader.timestampDelta,
      headers: reader.headers().map(([name, content]) => [shownBytes(name)!, shownBytes(content)] as const)
    })
  })
  return found
}

class Writer {
  harness: ShardHarness
  readonly kept: Array<Kept> = []
  startOffset = 0
  readonly #limits: Partial<Limits>

  constructor(tailBytesMax: number, synthesisedBatchBytesMax: number) {
    this.#limits = { tailBytesMax, synthesisedBatchBytesMax, commitInFlightBytesMax: 1e9 }
    this.harness = new ShardHarness({ limits: this.#limits, segmentBytes: 100_000 }).start()
  }

  #keep(contents: ReadonlyArray<RecordContent>): void {
    for (const content of contents) this.kept.push({ ...content, offset: this.kept.length })
  }

  take(each: Step): void {
    const { clock } = this.harness
    if (each._tag === "records") {
      // Partition batches are decided before the asks of their turn.
      clock.runTurns()
      this.putRecords(each.records)
      clock.runTurns()
    } else if (each._tag === "batch") this.#batch(each.records, each.codec)
    else if (each._tag === "others") {
      for (let i = 0; i < each.count; i++) {
        const bytes = encodeRecords([{ key: null, value: "o".repeat(each.bytes), timestampMs: fromMs }]).bytes
        const command = {
          _tag: "AppendRecords",
          count: 1,
          firstTimestampMs: fromMs,
          maxTimestampMs: fromMs,
          bytes
        } as const
        this.harness.tell(`partition/${otherLogId + i}`, command)
      }
    } else if (each._tag === "turn") clock.runTurns()
    else if (each._tag === "start") {
      clock.runTurns()
      const offset = Math.floor(each.share * this.kept.length)
      this.harness.tell(`partition/${logId}`, { _tag: "MoveLogStart", offset })
      clock.runTurns()
      this.startOffset = Math.max(this.startOffset, offset)
    } else this.#restart(clock)
  }

  putRecords(contents: ReadonlyArray<RecordContent>): void {
    const { shard } = this.harness
    const { records } = shard.partitionBatch(logId, "test")
    for (const content of contents) {
      if (records.count === 0) records.begin(content.timestampMs)
      const shiftMs = content.timestampMs - records.firstTimestampMs
      records.appendRecords(encodeRecords([content]).bytes, 1, records.count, shiftMs)
    }
    shard.recordsAdded(100)
    this.#keep(contents)
  }

  #batch(contents: ReadonlyArray<RecordContent>, codec: Codec | "none"): void {
    const { bytes, count, firstTimestampMs, maxTimestampMs } = encodeRecords(contents)
    const header = {
      baseOffset: 0,
      partitionLeaderEpoch: -1,
      codec,
      count,
      baseTimestampMs: firstTimestampMs,
      maxTimestampMs
    }
    const batch = RecordBatch.buildBatch(header, codec === "none" ? bytes : compress(codec, bytes))
    this.harness.tell(`partition/${logId}`, {
      _tag: "AppendBatch",
      count,
      firstTimestampMs,
      maxTimestampMs,
      bytes: batch
    })
    this.#keep(contents)
  }

  #restart(clock: TestClock): void {
    clock.runTurns()
    this.harness.shard.stop()
    this.harness = new ShardHarness({ clock, journal: this.harness.journal, limits: this.#limits }).start()
  }

  readFrom(offset: number, bytesMax: number, options: ReadOptions = {}): Array<Uint8Array> {
    const { logs } = this.harness.shard
    return logs.read(logs.log(logId), offset, bytesMax, options)
  }
}

const checkReads = (writer: Writer, bytesMax: number): void => {
  const { kept, startOffset } = writer
  for (let offset = 0; offset <= kept.length; offset++) {
    const batches = writer.readFrom(offset, bytesMax)
    const passedOn = writer.readFrom(offset, bytesMax, { isPassedOn: true })
    expect(passedOn.map(({ length }) => length)).toEqual(batches.map(({ length }) => length))
    expect(Buffer.concat(passedOn).equals(Buffer.concat(batches))).toBe(true)
    const found = batches.flatMap(recordsIn)
    const first = Math.max(offset, startOffset)
    if (first >= kept.length) {
      expect(batches).toEqual([])
      continue
    }
    // The batch that holds the offset may begin before it, and nothing is left out behind it.
    expect(found[0]!.offset).toBeLessThanOrEqual(first)
    expect(found.at(-1)!.offset).toBeGreaterThanOrEqual(first)
    expect(found).toEqual(kept.slice(found[0]!.offset, found.at(-1)!.offset + 1))
    const bytes = batches.reduce((sum, batch) => sum + batch.length, 0)
    if (batches.length > 1) expect(bytes).toBeLessThanOrEqual(bytesMax)
  }
}

const at = ({ offset, timestampMs }: Kept) => ({ offset, timestampMs })

const checkTimes = (writer: Writer, logs: LogStore, log: Log): void => {
  const visible = writer.kept.slice(writer.startOffset)
  for (const timestampMs of [-1, 2 ** 42, ...visible.flatMap((kept) => [kept.timestampMs, kept.timestampMs + 1])]) {
    const wanted = visible.find((kept) => kept.timestampMs >= timestampMs)
    expect(logs.offsetForTimestamp(log, timestampMs)).toEqual(wanted && at(wanted))
  }
  const highest = Math.max(...visible.map((kept) => kept.timestampMs))
  const newest = visible.find((kept) => kept.timestampMs === highest)
  expect(logs.maxTimestamp(log)).toEqual(newest && at(newest))
}

describe("reading a log", () => {
  it("gives exactly the records that were written, from any offset, from memory and from the journal", () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 40, size: "max" }),
        fc.constantFrom(0, 20_000, 32 * 1024 * 1024),
        fc.constantFrom(300, 5000, 64 * 1024),
        fc.constantFrom(1, 1000, 20_000, 1e9),
        (steps, tailBytesMax, synthesisedBytesMax, bytesMax) => {
          const writer = new Writer(tailBytesMax, synthesisedBytesMax)
          for (const each of steps) writer.take(each)
          writer.harness.clock.runTurns()
          expect(writer.harness.defects).toEqual([])
          const { logs } = writer.harness.shard
          const log = logs.log(logId)
          expect([log.startOffset, log.highWatermark]).toEqual([writer.startOffset, writer.kept.length])
          checkReads(writer, bytesMax)
          checkTimes(writer, logs, log)
        }
      ),
      { numRuns: 80 }
    )
  })
})

const writeCommits = (commits: number, gapMs: number): Writer => {
  const writer = new Writer(1e9, 64 * 1024)
  for (let i = 0; i < commits; i++) {
    writer.take({ _tag: "records", records: [{ key: null, value: "", timestampMs: fromMs + i * gapMs, headers: [] }] })
  }
  return writer
}

describe("batches that the server builds", () => {
  it("are one, of many commits", () => {
    const batches = writeCommits(1000, 1).readFrom(0, 1e9)
    expect(batches).toHaveLength(1)
    expect(RecordBatch.count(batches[0]!)).toBe(1000)
  })

  it("end before records whose moved deltas no longer fit", () => {
    // Seven bytes each where they lie, and more than twice that when a first record is years away.
    const writer = writeCommits(9000, 3_000_000_000)
    const batches = writer.readFrom(0, 1e9)
    expect(batches.flatMap(recordsIn).map((found) => found.offset)).toEqual(writer.kept.map((kept) => kept.offset))
    for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(64 * 1024 + RecordBatch.batchHeaderBytes)
  })

  it("never cross an epoch", () => {
    const writer = writeCommits(3, 1)
    writer.take({ _tag: "restart" })
    writer.take({ _tag: "records", records: [{ key: null, value: "", timestampMs: fromMs, headers: [] }] })
    const batches = writer.readFrom(0, 1e9)
    expect(batches.map((batch) => [RecordBatch.partitionLeaderEpoch(batch), RecordBatch.count(batch)])).toEqual([
      [1, 3],
      [2, 1]
    ])
  })

  it("come from chunks when many partitions write in one turn", () => {
    const writer = new Writer(0, 64 * 1024)
    writer.take({ _tag: "others", count: 20, bytes: 3000 })
    writer.putRecords([{ key: "k", value: "first", timestampMs: fromMs, headers: [] }])
    writer.take({ _tag: "turn" })
    expect(20 * 3000).toBeGreaterThan(chunkBytesMax)
    const { logs } = writer.harness.shard
    expect(logs.log(logId).index.at(0).place).toBe("chunk")
    expect(writer.readFrom(0, 1e9).flatMap(recordsIn)).toEqual(writer.kept)
  })
})

describe("a reader", () => {
  it("refuses records that fail their checksum", () => {
    const writer = new Writer(0, 64 * 1024)
    writer.take({ _tag: "records", records: [{ key: "k", value: "v", timestampMs: fromMs, headers: [] }] })
    const { journal } = writer.harness
    const frame = journal.frame(journal.nextSeq - 1)!
    // In memory the journal's own bytes are handed out: this is a bit that turned on disk.
    frame[frame.length - 1]! ^= 1
    expect(() => writer.readFrom(0, 1e9)).toThrow(expect.objectContaining({ reason: "Corrupt" }))
  })
})
