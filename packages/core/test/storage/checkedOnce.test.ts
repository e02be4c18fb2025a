import { BufferPool } from "@logbrook/core/BufferPool"
import { systemClock } from "@logbrook/core/Clock"
import { compress } from "@logbrook/core/Compression"
import { crc32c } from "@logbrook/core/Crc32c"
import type { Extent } from "@logbrook/core/journal/Extent"
import { readFrame } from "@logbrook/core/journal/Frame"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { Log } from "@logbrook/core/storage/Log"
import { LogReader, type ReadOptions } from "@logbrook/core/storage/LogReader"
import { Tail } from "@logbrook/core/storage/Tail"
import { describe, expect, it } from "vitest"
import { appended, buildCommit, encodeRecords, staged } from "../support/commits.ts"

const logId = 5
const passedOn: ReadOptions = { isPassedOn: true }
/** As a client compares it: from the attributes on. */
const hasValidCrc = (batch: Uint8Array): boolean => crc32c(batch.subarray(21)) === RecordBatch.crc(batch)
const corrupt = expect.objectContaining({ reason: "Corrupt" })

/** Its records are that many bytes: above 4 KiB they leave the frame. */
const batchOf = (valueBytes: number, codec: "none" | "zstd" = "none"): Uint8Array => {
  const { bytes, count, firstTimestampMs, maxTimestampMs } = encodeRecords([
    { key: null, value: "v".repeat(valueBytes), timestampMs: 1_800_000_000_000 }
  ])
  const fields = {
    baseOffset: 0,
    partitionLeaderEpoch: 1,
    codec,
    count,
    baseTimestampMs: firstTimestampMs,
    maxTimestampMs
  }
  return RecordBatch.buildBatch(fields, codec === "none" ? bytes : compress(codec, bytes))
}

/** A bit turns on the disk: the memory of this journal stands for it. */
const damage = (bytes: Uint8Array): void => {
  bytes[bytes.length - 3]! ^= 1
}

/** A journal whose settled segment has one run. */
class OneRun extends MemoryJournal {
  readonly bytes: Buffer

  constructor(bytes: Uint8Array) {
    super(systemClock, 1e9)
    this.bytes = Buffer.from(bytes)
  }

  override run(): Buffer {
    return this.bytes
  }
}

/** A run of one batch. */
const extentOf = (batch: Uint8Array, verbatim: boolean): Extent => ({
  logId,
  producer: undefined,
  baseOffset: 0,
  count: 1,
  firstTimestampMs: 0,
  maxTimestampMs: 0,
  byteLength: batch.length,
  crc: crc32c(batch),
  place: "run",
  chunk: 0,
  position: 10_000,
  verbatim,
  epoch: 1,
  isCompacted: false
})

/** One commit with a producer's batch that is a value of its own, or the server's records in the frame. */
const written = async (tail: Tail, isProducers: boolean) => {
  const journal = new MemoryJournal(systemClock, 1e9)
  const log = new Log(logId)
  const records = isProducers
    ? { ...staged(logId, 0, 1, batchOf(5000)), verbatim: true }
    : staged(logId, 0, 1, encodeRecords([{ key: null, value: "own", timestampMs: 1_800_000_000_000 }]).bytes)
  const { commit } = buildCommit(journal.nextSeq, { records: [records] })
  expect(await appended(journal, commit)).toBeUndefined()
  readFrame(commit.frame, { records: (seq, ref) => log.append(seq, 1, ref) })
  tail.add(commit)
  const read = (options?: ReadOptions) => new LogReader(journal, tail, 64 * 1024).read(log, 0, 1e6, options)
  return {
    journal,
    read,
    stored: isProducers ? journal.batch(commit.firstSeq, logId, 0)! : journal.frame(commit.firstSeq)!
  }
}

const emptyTail = (): Tail => new Tail(0, new BufferPool(0))

describe("a batch that goes on to a client as it is stored", () => {
  it("is checked by its first read of the disk, and then by the client", async () => {
    const { read, stored } = await written(emptyTail(), true)
    const [batch] = read(passedOn)
    expect(hasValidCrc(batch!)).toBe(true)
    damage(stored)
    const [damaged] = read(passedOn)
    expect(hasValidCrc(damaged!)).toBe(false)
  })

  it("does not go on if its first read finds it damaged, nor if later ones do", async () => {
    const { read, stored } = await written(emptyTail(), true)
    damage(stored)
    expect(() => read(passedOn)).toThrow(corrupt)
    expect(() => read(passedOn)).toThrow(corrupt)
  })

  it("counts as checked whoever has read it first", async () => {
    const { read, stored } = await written(emptyTail(), true)
    expect(read()).toHaveLength(1)
    damage(stored)
    expect(read(passedOn)).toHaveLength(1)
  })

  it("is checked on the disk although it was read in memory before", async () => {
    const tail = new Tail(100_000, new BufferPool(0))
    const { journal, read, stored } = await written(tail, true)
    expect(read(passedOn)).toHaveLength(1)
    expect(read()).toHaveLength(1)
    // It gives way to another commit.
    tail.add(buildCommit(journal.nextSeq, { records: [staged(logId + 1, 0, 1, batchOf(200_000))] }).commit)
    damage(stored)
    expect(() => read(passedOn)).toThrow(corrupt)
  })
})

describe("a batch is checked at each read", () => {
  it("by those who look into it themselves", async () => {
    const { read, stored } = await written(emptyTail(), true)
    expect(read()).toHaveLength(1)
    damage(stored)
    expect(() => read()).toThrow(corrupt)
  })

  it("that the server builds of its own records, since nobody could find the damage in it", async () => {
    const { read, stored } = await written(emptyTail(), false)
    expect(read(passedOn)).toHaveLength(1)
    damage(stored)
    expect(() => read(passedOn)).toThrow(corrupt)
  })

  it("that the server unpacks for a client without zstd, and not that which it gives as it is", () => {
    const stored = batchOf(5000, "zstd")
    const journal = new OneRun(stored)
    const log = new Log(logId)
    log.appendRun(1, extentOf(stored, false))
    const reader = new LogReader(journal, emptyTail(), 64 * 1024)
    expect(reader.read(log, 0, 1e6, passedOn)).toHaveLength(1)
    damage(journal.bytes)
    expect(reader.read(log, 0, 1e6, { isPassedOn: true, readsZstd: true })).toHaveLength(1)
    expect(() => reader.read(log, 0, 1e6, passedOn)).toThrow(corrupt)
  })

  it("that lies in a run whose segment begins with a commit that is in memory still", () => {
    const tail = new Tail(1e6, new BufferPool(0))
    tail.add(buildCommit(1, { records: [staged(logId + 1, 0, 1, batchOf(10))] }).commit)
    const stored = batchOf(5000)
    const journal = new OneRun(stored)
    const log = new Log(logId)
    log.appendRun(1, extentOf(stored, true))
    damage(journal.bytes)
    expect(() => new LogReader(journal, tail, 64 * 1024).read(log, 0, 1e6, passedOn)).toThrow(corrupt)
  })
})
