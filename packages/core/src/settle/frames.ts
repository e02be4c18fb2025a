import type { SegmentSource } from "../journal/SegmentSource.ts"
import { readFrameHead, type FrameHead } from "../journal/Frame.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import type { Pace } from "./Pace.ts"

const stepBytes = 1024 * 1024

/**
 * Visits the frames from `fromSeq` to `nextSeq`, some at a time. Throws `JournalError`: "Gap" where they are not dense,
 * "Corrupt" with the place.
 */
export const eachFrame = async (
  source: SegmentSource,
  fromSeq: Seq,
  nextSeq: Seq,
  pace: Pace,
  visit: (frame: Buffer, head: FrameHead) => void
): Promise<void> => {
  let seq = fromSeq
  while (seq < nextSeq) {
    seq = step(source, seq, nextSeq, visit)
    await pace.step()
  }
  if (seq !== nextSeq) throw gap(`the last frame ends at seq ${seq}, expected ${nextSeq}`)
}

/** Takes the next frames; tells where they end. */
const step = (source: SegmentSource, from: Seq, nextSeq: Seq, visit: (frame: Buffer, head: FrameHead) => void): Seq => {
  let expectedSeq = from
  let bytes = 0
  source.scan(from, nextSeq, (frame, key) => {
    const head = headAt(frame, key)
    if (head.firstSeq !== expectedSeq) throw gap(`a frame begins at seq ${head.firstSeq}, expected ${expectedSeq}`)
    visit(frame, head)
    expectedSeq = head.nextSeq
    bytes += frame.length
    return bytes < stepBytes
  })
  if (expectedSeq === from) throw gap(`no frame begins at seq ${from}`)
  return expectedSeq
}

const headAt = (frame: Buffer, seq: Seq): FrameHead => {
  try {
    return readFrameHead(frame)
  } catch (error) {
    throw new JournalError((error as JournalError).reason, `at seq ${seq}: ${(error as Error).message}`)
  }
}

export const gap = (message: string): JournalError => new JournalError("Gap", message)
