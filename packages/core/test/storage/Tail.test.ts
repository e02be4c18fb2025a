import { BufferPool } from "@logbrook/core/BufferPool"
import type { Commit } from "@logbrook/core/journal/Journal"
import { Tail } from "@logbrook/core/storage/Tail"
import { describe, expect, it } from "vitest"
import { plainCommit } from "../support/commits.ts"

const ofBytes = (firstSeq: number, byteLength: number): Commit => ({ ...plainCommit(firstSeq), byteLength })

describe("Tail", () => {
  it("keeps the newest commits within its bytes", () => {
    const tail = new Tail(100, new BufferPool(0))
    for (let seq = 1; seq <= 1000; seq++) {
      tail.add(ofBytes(seq, 30))
      const oldest = Math.max(1, seq - 2)
      expect(tail.commits).toBe(seq - oldest + 1)
      expect(tail.get(oldest)?.firstSeq).toBe(oldest)
      expect(tail.get(seq)?.firstSeq).toBe(seq)
      expect(tail.get(oldest - 1)).toBeUndefined()
    }
  })

  it("keeps nothing of a commit that is larger than all of it", () => {
    const tail = new Tail(100, new BufferPool(0))
    tail.add(ofBytes(1, 50))
    tail.add(ofBytes(2, 101))
    expect(tail.commits).toBe(0)
    tail.add(ofBytes(3, 100))
    expect(tail.get(3)?.firstSeq).toBe(3)
  })

  it("lends buffers that go round, and gives them back when their commit leaves", () => {
    const buffers = new BufferPool(1 << 20)
    const tail = new Tail(10_000, buffers)
    const bytes = buffers.take(5000).fill(7)
    const commit: Commit = { ...ofBytes(1, 5000), batches: [{ logId: 3, lastOffset: 9, bytes }] }
    tail.add(commit)
    expect(tail.batch(commit, 3, 8)).toBeUndefined()
    expect(tail.batch(commit, 3, 9)).toBe(bytes)
    tail.add(ofBytes(2, 6000))
    expect(buffers.freeBytes).toBe(bytes.length)
    expect(buffers.take(5000).buffer).toBe(bytes.buffer)
  })
})
