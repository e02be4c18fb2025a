import { FrameBuilder } from "@logbrook/core/journal/Frame"
import type { SegmentInfo } from "@logbrook/core/journal/Journal"
import { keptFromSeq } from "@logbrook/core/shard/expiry"
import { expect, it } from "vitest"

const segment = (firstSeq: number): SegmentInfo => ({
  name: `seg-${firstSeq}`,
  firstSeq,
  nextSeq: firstSeq + 10,
  bytes: 100,
  firstEventSeq: firstSeq,
  historyBytes: 50,
  isSettled: true
})

const frameAt = (seq: number): Buffer => {
  const frame = new FrameBuilder(seq, 1, 1000 * seq)
  frame.hash("shard/0", Buffer.alloc(8))
  return Buffer.from(frame.build().commit.frame)
}

/** Four segments from seq 1 on; what is needed begins at 31. */
const keptFrom = (isHistory: (endedAtMs: number) => boolean, damagedSeq?: number): number => {
  const frame = (seq: number): Buffer => (seq === damagedSeq ? frameAt(seq).fill(7, 30) : frameAt(seq))
  const journal = { firstSeq: 1, frame, segments: () => [1, 11, 21, 31].map(segment) }
  return keptFromSeq(journal, { recordsSeq: 31, replaySeq: 31 }, ({ endedAtMs }) => isHistory(endedAtMs))
}

it("keeps the events that are history, and what a replay needs", () => {
  expect(keptFrom(() => false)).toBe(31)
  expect(keptFrom(() => true)).toBe(1)
  // The second one ended when the third began.
  expect(keptFrom((endedAtMs) => endedAtMs >= 21_000)).toBe(11)
})

it("keeps what a damaged frame tells nothing of", () => {
  expect(keptFrom(() => false, 11)).toBe(1)
  expect(keptFrom((endedAtMs) => endedAtMs >= 31_000, 21)).toBe(11)
})
