import { freshBuffers } from "@logbrook/core/BufferPool"
import { type Codec, compress } from "@logbrook/core/Compression"
import { defaultLimits } from "@logbrook/core/Limits"
import * as Batch from "@logbrook/core/RecordBatch"
import { expect, it } from "vitest"
import { TestClock } from "../../../core/test/support/TestClock.ts"
import { type Recompressed, type Recompression, Recompressor } from "../../src/kafka/Recompressor.ts"
import { batchOf } from "./kit.ts"

/** A recompressor whose thread and shards do as they are told. */
const setUp = () => {
  const clock = new TestClock()
  const inThread: Array<() => void> = []
  const waitForRoom: Array<() => void> = []
  const shards = { hasRoom: true, whenRoom: (resume: () => void) => void waitForRoom.push(resume) }
  const kept = { bytes: 0 }
  const host = {
    broker: { clock, shards },
    requestBuffers: freshBuffers,
    took: (bytes: number) => void (kept.bytes += bytes),
    gave: (bytes: number) => void (kept.bytes -= bytes)
  }
  const recompressor = new Recompressor(host, {
    later: (codec, bytes, done) => void inThread.push(() => done(compress(codec, bytes))),
    largeBytesMin: 10_000
  })
  return { clock, inThread, waitForRoom, shards, kept, recompressor }
}

const wanted = (valueBytes: number, codec: Codec | "none" | undefined, more: Partial<Recompression> = {}) => {
  const bytes = batchOf(["a".repeat(valueBytes)])
  const recordsBytes = bytes.length - Batch.batchHeaderBytes
  return { bytes, recordsBytes, codec, limits: defaultLimits, ...more }
}

const codecOf = (made: Recompressed): string | undefined =>
  made instanceof Uint8Array ? Batch.compression(made) : made.message

it("large batches are compressed in a thread, one at a time over all requests, in the order of coming", () => {
  const { recompressor, inThread, clock, kept } = setUp()
  const told: Array<string> = []
  recompressor.recompress([wanted(20_000, "gzip"), wanted(30_000, "zstd")], (made) => {
    told.push(`first ${made.map(codecOf).join()}`)
  })
  recompressor.recompress([wanted(10, "lz4")], (made) => told.push(`second ${made.map(codecOf).join()}`))
  expect(kept.bytes).toBeGreaterThan(50_000)
  expect([inThread.length, told]).toEqual([1, []])
  clock.runTurns()
  expect(inThread.length).toBe(1)
  inThread.shift()!()
  expect([inThread.length, told]).toEqual([1, []])
  clock.runTurns()
  inThread.shift()!()
  clock.runTurns()
  expect(told).toEqual(["first gzip,zstd", "second lz4"])
  expect([inThread.length, kept.bytes]).toEqual([0, 0])
})

it("no other batch is begun in the turn of the event loop that has begun a large one", () => {
  const { recompressor, inThread, clock } = setUp()
  recompressor.recompress([wanted(20_000, "gzip"), wanted(20_000, "gzip")], () => undefined)
  inThread.shift()!()
  expect(inThread.length).toBe(0)
  clock.runTurn()
  expect(inThread.length).toBe(1)
})

it("a few small ones are made at once, and many in several turns of the event loop", () => {
  const { recompressor, clock } = setUp()
  let isMade = false
  recompressor.recompress([wanted(9000, "gzip"), wanted(10, "none")], (made) => {
    isMade = true
    expect(made.map(codecOf)).toEqual(["gzip", "none"])
  })
  expect(isMade).toBe(true)
  for (const valueBytes of [10, 9000]) {
    const told: Array<number> = []
    clock.runTurns()
    recompressor.recompress(
      Array.from({ length: 100 }, () => wanted(valueBytes, "snappy")),
      ({ length }) => void told.push(length)
    )
    let turns = 0
    while (told.length === 0 && clock.runTurn()) turns++
    expect(told).toEqual([100])
    // By their bytes, and by what a call costs: 2,048 bytes, of 32,768 in a turn.
    expect(turns).toBe(valueBytes === 10 ? 6 : 33)
  }
})

it("nothing is begun while the shards are full", () => {
  const { recompressor, shards, waitForRoom } = setUp()
  let isMade = false
  shards.hasRoom = false
  recompressor.recompress([wanted(10, "none")], () => (isMade = true))
  expect([isMade, waitForRoom.length]).toEqual([false, 1])
  shards.hasRoom = true
  waitForRoom.shift()!()
  expect(isMade).toBe(true)
})

it("a batch that becomes too large is told as such, and those that stay as they are have their place", () => {
  const { recompressor, inThread, clock } = setUp()
  const told: Array<Recompressed> = []
  const limits = { ...defaultLimits, recordBatchBytesMax: 70 }
  const asIt = wanted(20_000, undefined)
  recompressor.recompress([wanted(20_000, "gzip", { limits }), asIt, wanted(200, "none", { limits })], (made) => {
    told.push(...made)
  })
  inThread.shift()!()
  clock.runTurns()
  expect(told.map((made) => (made instanceof Batch.InvalidBatch ? made.reason : made === asIt.bytes))).toEqual([
    "MessageTooLarge",
    true,
    "MessageTooLarge"
  ])
})
