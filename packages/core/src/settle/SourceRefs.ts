import type { SegmentSource } from "../journal/SegmentSource.ts"
import type { BatchRef } from "../journal/batchRef.ts"
import { readFrame, type FrameHead } from "../journal/Frame.ts"
import type { Seq } from "../journal/Journal.ts"
import { LogIndex } from "../storage/LogIndex.ts"
import { eachFrame, gap } from "./frames.ts"
import type { Pace } from "./Pace.ts"
import type { StartOffsets } from "./SettleJob.ts"

/** The references of one log in the segment that is settled, above its start. */
export interface SourceLog {
  readonly logId: number
  readonly startOffset: number
  readonly index: LogIndex
}

const skipped = -1

/** All references of a segment: by log, and in the order of the frames. 65 bytes each. */
export class SourceRefs {
  /** By log id, ascending. */
  readonly logs: ReadonlyArray<SourceLog>
  readonly frameSeqs: Array<Seq> = []
  /** The place in `ordinals` of each frame's first reference; one more at the end. */
  readonly firstRefs: Array<number> = [0]
  /** The place in `logs` of the log of each reference that is kept. */
  readonly ordinals: Array<number> = []
  /** Records that are kept. */
  records = 0
  readonly #ordinalOf = new Map<number, number>()
  /** The next offset of every log, also of those that are not kept. */
  readonly #nextOffset = new Map<number, number>()

  constructor(startOffsets: StartOffsets) {
    const sorted = [...startOffsets].sort(([a], [b]) => a - b)
    this.logs = sorted.map(([logId, startOffset]) => ({ logId, startOffset, index: new LogIndex() }))
    this.logs.forEach(({ logId }, ordinal) => this.#ordinalOf.set(logId, ordinal))
  }

  /** Throws `JournalError`: "Gap" where the segment's frames or a log's references are not dense, "Corrupt". */
  collect(source: SegmentSource, nextSeq: Seq, pace: Pace): Promise<void> {
    return eachFrame(source, source.firstSeq, nextSeq, pace, (frame, head) => {
      readFrame(frame, { records: (seq, ref) => this.#add(head, seq, ref) }, head)
      this.frameSeqs.push(head.firstSeq)
      this.firstRefs.push(this.ordinals.length)
    })
  }

  #add(head: FrameHead, seq: Seq, ref: BatchRef): void {
    const expected = this.#nextOffset.get(ref.logId)
    if (expected !== undefined && expected !== ref.baseOffset) {
      throw gap(`log ${ref.logId} goes on at offset ${ref.baseOffset} (seq ${seq}), expected ${expected}`)
    }
    const endOffset = ref.baseOffset + ref.count
    this.#nextOffset.set(ref.logId, endOffset)
    const ordinal = this.#ordinalOf.get(ref.logId) ?? skipped
    if (ordinal === skipped || endOffset <= this.logs[ordinal]!.startOffset) return
    this.logs[ordinal]!.index.add(head.firstSeq, head.epoch, ref)
    this.ordinals.push(ordinal)
    this.records += ref.count
  }
}
