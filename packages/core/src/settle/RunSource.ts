import { follows, type Extent } from "../journal/Extent.ts"
import type { Seq } from "../journal/Journal.ts"
import { LogIndex } from "../storage/LogIndex.ts"
import { eachFrame, gap } from "./frames.ts"
import { checked } from "./gather.ts"
import type { LogSource, Piece, SettleSource } from "./LogSource.ts"
import type { Pace } from "./Pace.ts"
import type { StartOffsets } from "./SettleJob.ts"

/** A settled segment: its runs are read one by one, as they lie there. */
export class RunSource implements LogSource {
  readonly segment: SettleSource
  readonly frameSeqs: Array<Seq> = []
  records = 0
  readonly #nextSeq: Seq
  readonly #keptFromSeq: Seq
  readonly #startOffsets: ReadonlyMap<number, number>
  readonly #indexes = new Map<number, LogIndex>()

  /** Frames before `keptFromSeq` are left out. */
  constructor(segment: SettleSource, nextSeq: Seq, startOffsets: StartOffsets, keptFromSeq: Seq) {
    this.segment = segment
    this.#nextSeq = nextSeq
    this.#keptFromSeq = Math.min(Math.max(keptFromSeq, segment.firstEventSeq), nextSeq)
    this.#startOffsets = new Map(startOffsets)
  }

  async collect(pace: Pace): Promise<void> {
    this.segment.visitRuns((extent) => this.#add(extent))
    await eachFrame(this.segment, this.#keptFromSeq, this.#nextSeq, pace, (_frame, { firstSeq }) => {
      this.frameSeqs.push(firstSeq)
    })
  }

  #add(extent: Extent): void {
    const { logId, baseOffset, count } = extent
    const startOffset = this.#startOffsets.get(logId)
    if (startOffset === undefined || baseOffset + count <= startOffset) return
    let index = this.#indexes.get(logId)
    if (index === undefined) this.#indexes.set(logId, (index = new LogIndex()))
    else if (!follows(index.at(index.count - 1), extent)) {
      throw gap(`a run of log ${logId} begins at offset ${baseOffset}, expected ${index.endOffset}`)
    }
    index.addRun(this.segment.firstSeq, extent)
    this.records += count
  }

  async *piecesOf(logId: number): AsyncIterable<Iterable<Piece>> {
    const index = this.#indexes.get(logId)
    if (index !== undefined) yield this.#pieces(logId, index)
  }

  *#pieces(logId: number, index: LogIndex): Iterable<Piece> {
    for (let i = 0; i < index.count; i++) {
      const ref = index.at(i)
      yield { ref, bytes: checked(logId, ref, this.segment.batch(logId, ref.baseOffset + ref.count - 1)) }
    }
  }
}
