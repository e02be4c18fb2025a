import { keepBy } from "@logbrook/core/compact/keepRecord"
import { KeyMap } from "@logbrook/core/compact/KeyMap"
import { RecordReader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { describe, expect, it } from "vitest"
import { batchOf } from "./batches.ts"

const nowMs = 1_800_000_000_000
const newest = KeyMap.for(16, 1 << 20)
newest.put(Buffer.from("a"), 7)
const keep = keepBy(newest, { logEndOffset: 100, nowMs, deleteRetentionMs: 1000 })

/** Whether a record of the key at the offset stays, where its batch has this delete horizon. */
const stays = (key: string | null, value: string | null, offset: number, deleteHorizonMs?: number): boolean => {
  const batch = batchOf([{ offset, timestampMs: 1000, key, value }])
  const reader = new RecordReader().reset(RecordBatch.recordsOf(batch))
  reader.next()
  return keep(reader, offset, deleteHorizonMs)
}

describe("keepBy", () => {
  it("keeps the newest record of a key, and none that is older", () => {
    expect(stays("a", "1", 7)).toBe(true)
    expect(stays("a", "1", 6)).toBe(false)
    expect(stays("a", null, 6, nowMs + 1)).toBe(false)
  })

  it("keeps the newest tombstone of a key until its delete horizon", () => {
    expect(stays("a", null, 7)).toBe(true)
    expect(stays("a", null, 7, nowMs + 1)).toBe(true)
    expect(stays("a", null, 7, nowMs)).toBe(false)
  })

  it("keeps no record without a key, but the log's last, whatever that is", () => {
    expect(stays(null, "1", 50)).toBe(false)
    expect(stays(null, "1", 99)).toBe(true)
    expect(stays("a", null, 99, nowMs - 1)).toBe(true)
  })
})
