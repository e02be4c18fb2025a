import { readFrame, readFrameHead, type BatchRef, type FrameHead } from "../journal/Frame.ts"
import { JournalError, type Seq } from "../journal/Journal.ts"
import type { SegmentSource } from "../doctor/SegmentSource.ts"
import { LogIndex } from "../storage/LogIndex.ts"
import type { Pace } from "./Pace.ts"

/** One log's references in the segment that is settled, above its start. */
export interface SourceLog {
  readonly logId: number
  readonly startOffset: number
  readonly index: LogIndex
}

const stepBytes = 1024 * 1024
const skipped = -1

/** All references of a segment: by log, and in the order of the frames. 65 bytes each. */
export class SourceRefs {
  /** By log id, ascending. */
  readonly logs: ReadonlyArray<SourceLog>
  readonly frameSeqs: Array<Seq> = []
  /** Of each frame: its first reference's place in `ordinals`; one more at the end. */
  readonly firstRefs: Array<number> = [0]
  /** Of each reference that is kept: its log's place in `logs`. */
  readonly ordinals: Array<number> = []
  /** Records that are kept. */
  records = 0
  readonly #ordinalOf = new Map<number, number>()
  /** Of every log, also of those that are not kept. */
  readonly #nextOffset = new Map<number, number>()

  constructor(startOffsets: ReadonlyArray<readonly [logId: number, startOffset: number]>) {
    const sorted = [...startOffsets].sort(([a], [b]) => a - b)
    this.logs = sorted.map(([logId, startOffset]) => ({ logId, startOffset, index: new LogIndex() }))
    this.logs.forEach(({ logId }, ordinal) => this.#ordinalOf.set(logId, ordinal))
  }

  /** Throws `JournalError`: "Gap" where the segment's frames or a log's references are not dense, "Corrupt". */
  async collect(source: SegmentSource, nextSeq: Seq, pace: Pace): Promise<void> {
    let seq = source.firstSeq
    while (seq < nextSeq) {
      seq = this.#step(source, seq, nextSeq)
      await pace.step()
    }
    if (seq !== nextSeq) throw gap(`the last frame ends at seq ${seq}, expected ${nextSeq}`)
  }

  /** Takes the next frames; tells where they end. */
  #step(source: SegmentSource, from: Seq, nextSeq: Seq): Seq {
    let expectedSeq = from
    let bytes = 0
    source.scan(from, nextSeq, (frame, key) => {
      const head = headAt(frame, key)
      readFrame(frame, { records: (seq, ref) => this.#add(head, seq, ref) }, head)
      if (head.firstSeq !== expectedSeq) throw gap(`a frame begins at seq ${head.firstSeq}, expected ${expectedSeq}`)
      this.frameSeqs.push(head.firstSeq)
      this.firstRefs.push(this.ordinals.length)
      expectedSeq = head.nextSeq
      bytes += frame.length
      return bytes < stepBytes
    })
    if (expectedSeq === from) throw gap(`no frame begins at seq ${from}`)
    return expectedSeq
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

const headAt = (frame: Buffer, seq: Seq): FrameHead => {
  try {
    return readFrameHead(frame)
  } catch (error) {
    throw new JournalError((error as JournalError).reason, `at seq ${seq}: ${(error as Error).message}`)
  }
}

const gap = (message: string): JournalError => new JournalError("Gap", message)
