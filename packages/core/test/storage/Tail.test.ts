import type { Commit } from "@logbrook/core/journal/Journal"
import { Tail } from "@logbrook/core/storage/Tail"
import { describe, expect, it } from "vitest"
import { plainCommit } from "../support/commits.ts"

const ofBytes = (firstSeq: number, byteLength: number): Commit => ({ ...plainCommit(firstSeq), byteLength })

describe("Tail", () => {
  it("keeps the newest commits within its bytes", () => {
    const tail = new Tail(100)
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
    const tail = new Tail(100)
    tail.add(ofBytes(1, 50))
    tail.add(ofBytes(2, 101))
    expect(tail.commits).toBe(0)
    tail.add(ofBytes(3, 100))
    expect(tail.get(3)?.firstSeq).toBe(3)
  })
})
