import { BufferPool } from "@logbrook/core/BufferPool"
import { systemClock } from "@logbrook/core/Clock"
import { crc32c } from "@logbrook/core/Crc32c"
import type { Extent } from "@logbrook/core/journal/Extent"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { Log } from "@logbrook/core/storage/Log"
import { LogReader } from "@logbrook/core/storage/LogReader"
import { Tail } from "@logbrook/core/storage/Tail"
import { describe, expect, it } from "vitest"
import { encodeRecords } from "../support/commits.ts"

const logId = 5
const mib = 1024 * 1024

const batchAt = (baseOffset: number, valueBytes: number): Uint8Array => {
  const { bytes } = encodeRecords([{ key: null, value: "v".repeat(valueBytes), timestampMs: 1000 }])
  const fields = { baseOffset, partitionLeaderEpoch: 1, count: 1, baseTimestampMs: 1000, maxTimestampMs: 1000 }
  return RecordBatch.buildBatch(fields, bytes)
}

/** Compared as bytes: element by element takes minutes. */
const expectSame = (found: ReadonlyArray<Uint8Array>, wanted: ReadonlyArray<Uint8Array>): void => {
  expect(found.map(({ length }) => length)).toEqual(wanted.map(({ length }) => length))
  expect(Buffer.concat(found).equals(Buffer.concat(wanted))).toBe(true)
}

/** A journal with a settled segment of runs, which counts how often one is read. */
class Runs extends MemoryJournal {
  readonly #runs = new Map<number, Buffer>()
  reads = 0

  constructor() {
    super(systemClock, 1e9)
  }

  put(log: Log, batches: ReadonlyArray<Uint8Array>): void {
    const bytes = Buffer.concat(batches)
    const baseOffset = RecordBatch.baseOffset(batches[0]!)
    this.#runs.set(baseOffset + batches.length - 1, bytes)
    const run: Extent = {
      logId,
      producer: undefined,
      baseOffset,
      count: batches.length,
      firstTimestampMs: 1000,
      maxTimestampMs: 1000,
      byteLength: bytes.length,
      crc: crc32c(bytes),
      place: "run",
      chunk: 0,
      position: Math.max(...batches.map(({ length }) => length)),
      verbatim: true,
      epoch: 1,
      isCompacted: false
    }
    log.appendRun(1, run)
  }

  override run(_: number, __: number, lastOffset: number): Buffer | undefined {
    this.reads++
    return this.#runs.get(lastOffset)
  }
}

/** Runs of so many batches of `valueBytes` each. */
const open = (runs: ReadonlyArray<number>, valueBytes: number) => {
  const journal = new Runs()
  const log = new Log(logId)
  const stored: Array<Uint8Array> = []
  for (const count of runs) {
    const batches = Array.from({ length: count }, (_, i) => batchAt(stored.length + i, valueBytes))
    stored.push(...batches)
    journal.put(log, batches)
  }
  const reader = new LogReader(journal, new Tail(0, new BufferPool(0)), 64 * 1024)
  const taken: Array<number> = []
  const take = (bytes: number): Uint8Array => {
    taken.push(bytes)
    // As buffers that go round, longer than what was asked for.
    return new Uint8Array(bytes + 1000)
  }
  const read = (bytesMax: number, isPassedOn: boolean) => reader.read(log, 0, bytesMax, { take, isPassedOn })
  return { journal, stored, taken, read }
}

describe("batches that are passed on", () => {
  it("lie one behind the other in a buffer that has room for them, and for no more", () => {
    const { stored, taken, read } = open([1, 3, 2, 1], 10_000)
    const bytes = stored.reduce((sum, { length }) => sum + length, 0)
    const batches = read(1e9, true)
    expectSame(batches, stored)
    expect(taken).toEqual([bytes])
    for (const [i, batch] of batches.entries()) {
      const before = batches[i - 1]
      expect(batch.buffer).toBe(batches[0]!.buffer)
      expect(batch.byteOffset).toBe(before === undefined ? 0 : before.byteOffset + before.length)
    }
  })

  it("lie in buffers of 1 MiB at most, but for a longer batch, and in no longer ones than what is asked for", () => {
    const { stored, taken, read } = open(
      Array.from({ length: 40 }, () => 1),
      100_000
    )
    expectSame(read(1e9, true), stored)
    expect(taken.reduce((sum, bytes) => sum + bytes)).toBe(stored.reduce((sum, { length }) => sum + length, 0))
    expect(Math.max(...taken)).toBeLessThanOrEqual(mib)
    expect(taken.length).toBe(4)
    taken.length = 0
    expectSame(read(250_000, true), stored.slice(0, 2))
    expect(taken).toEqual([stored[0]!.length + stored[1]!.length])
    const large = open([1, 1], 2 * mib)
    expectSame(large.read(1e9, true), large.stored)
    expect(large.taken).toEqual(large.stored.map(({ length }) => length))
  })

  it("are not kept in memory by one another for readers in the server", () => {
    const { stored, taken, read } = open([1, 1, 1], 10_000)
    expectSame(read(1e9, false), stored)
    expect(taken).toEqual(stored.map(({ length }) => length))
  })
})

it("a run whose one batch has no room any more is not read", () => {
  for (const isPassedOn of [false, true]) {
    const { journal, stored, read } = open([1, 1, 1], 10_000)
    expectSame(read(25_000, isPassedOn), stored.slice(0, 2))
    expect(journal.reads).toBe(2)
  }
})

it("a run is read as far as there is room, one batch of the first in any case", () => {
  const { stored, read } = open([2, 2], 10_000)
  expectSame(read(35_000, true), stored.slice(0, 3))
  expectSame(read(1, true), stored.slice(0, 1))
})
