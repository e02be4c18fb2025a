import * as RecordBatch from "@logbrook/core/RecordBatch"
import { freshBuffers } from "@logbrook/core/BufferPool"
import { describe, expect, it } from "vitest"
import { History, recordsIn } from "../settle/History.ts"
import { temporaryDirectory } from "../support/temporary.ts"

const fromMs = 1_800_000_000_000
const logId = 1
const valueBytes = 100
const commits = 4000

/** Server-built records over several runs, the last few of them not settled; a producer's batch between both. */
const open = async (): Promise<History> => {
  const history = await History.open(temporaryDirectory(), 3_000_000)
  for (let n = 0; n < commits; n++) {
    history.records(logId, [{ key: null, value: `${n} `.padEnd(valueBytes, "x"), timestampMs: fromMs + n }])
    if (n % 100 === 99) await history.flush()
  }
  history.batch(logId, [{ key: null, value: "sent", timestampMs: fromMs }], "gzip")
  await history.roll()
  expect(await history.settle()).toEqual([])
  history.records(logId, [{ key: null, value: "new", timestampMs: fromMs }])
  await history.flush()
  return history
}

const read = (history: History, offset: number, bytesMax: number, readsZstd: boolean): Array<Uint8Array> => {
  const { logs } = history.harness.shard
  return logs.read(logs.log(logId), offset, bytesMax, { take: freshBuffers.take, readsZstd })
}

/** Stored bytes of all runs, one after the other. */
const storedRuns = ({ harness, journal }: History): Buffer => {
  const { index } = harness.shard.logs.log(logId)
  const runs = Array.from({ length: index.count }, (_, i) => index.at(i)).filter(({ place }) => place === "run")
  return Buffer.concat(
    runs.map(({ frameSeq, baseOffset, count }) => Buffer.from(journal.run(frameSeq, logId, baseOffset + count - 1)!))
  )
}

describe("a reader that knows zstd", () => {
  it("gets settled batches byte for byte as they are stored, and plain ones behind them", async () => {
    const history = await open()
    const batches = read(history, 0, 1e9, true)
    const codecs = batches.map((batch) => RecordBatch.compression(batch))
    expect(codecs.slice(0, -2).filter((codec) => codec === "zstd").length).toBeGreaterThan(3)
    expect(codecs.slice(-2)).toEqual(["gzip", "none"])
    const stored = storedRuns(history)
    expect(Buffer.concat(batches.slice(0, -1)).equals(stored)).toBe(true)
    const plain = read(history, 0, 1e9, false)
    expect(plain.every((batch) => RecordBatch.compression(batch) !== "zstd")).toBe(true)
    expect(batches.flatMap((batch) => recordsIn(batch, history.sent))).toEqual(
      plain.flatMap((batch) => recordsIn(batch, history.sent))
    )
    await history.close()
  })

  it("gets whole batches from the one that holds the offset, as many as fit, one at least", async () => {
    const history = await open()
    const all = read(history, 0, 1e9, true)
    const [, second, third, fourth] = all as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
    const within = RecordBatch.baseOffset(second) + 1
    expect(read(history, within, second.length + third.length, true)).toEqual([second, third])
    expect(read(history, within, second.length + third.length + fourth.length - 1, true)).toEqual([second, third])
    expect(read(history, within, 1, true)).toEqual([second])
    expect(read(history, commits, 1e9, true)).toEqual(all.slice(-2))
    await history.close()
  })
})
