import type { Seq } from "../journal/Journal.ts"
import { checked, cuts, gather, type Slice } from "./gather.ts"
import type { LogSource, Piece, SettleSource } from "./LogSource.ts"
import type { Pace } from "./Pace.ts"
import type { StartOffsets, SettleTools } from "./SettleJob.ts"
import { SourceRefs } from "./SourceRefs.ts"

/** A segment as it was written: records in frames, chunks and values, in the order of commits. */
export class FrameSource implements LogSource {
  readonly segment: SettleSource
  readonly #nextSeq: Seq
  readonly #refs: SourceRefs
  readonly #cuts: Iterator<ReadonlyArray<Slice>>
  /** The slices of the cut that is in memory, the next one, and where that one's small records begin. */
  #slices: ReadonlyArray<Slice> = []
  #at = 0
  #gathered: Buffer = Buffer.alloc(0)
  #position = 0
  #isRead = false

  /** Small records are sorted in memory, `gatherBytesMax` at a time. */
  constructor(segment: SettleSource, nextSeq: Seq, startOffsets: StartOffsets, gatherBytesMax: number) {
    this.segment = segment
    this.#nextSeq = nextSeq
    this.#refs = new SourceRefs(startOffsets)
    this.#cuts = cuts(this.#refs.logs, gatherBytesMax)[Symbol.iterator]()
  }

  collect(pace: Pace): Promise<void> {
    return this.#refs.collect(this.segment, this.#nextSeq, pace)
  }

  get frameSeqs(): ReadonlyArray<Seq> {
    return this.#refs.frameSeqs
  }

  get records(): number {
    return this.#refs.records
  }

  async *piecesOf(logId: number, tools: SettleTools): AsyncIterable<Iterable<Piece>> {
    for (let slice = await this.#next(tools); slice !== undefined; slice = await this.#next(tools)) {
      if (this.#refs.logs[slice.ordinal]!.logId !== logId) return
      yield this.#pieces(slice)
      this.#at++
    }
  }

  async #next({ pace, at }: SettleTools): Promise<Slice | undefined> {
    if (this.#at === this.#slices.length && !this.#isRead) {
      const cut = this.#cuts.next()
      this.#isRead = cut.done === true
      this.#slices = cut.done === true ? [] : cut.value
      this.#at = 0
      this.#position = 0
      // Before the next ones, so that they are not in memory twice.
      this.#gathered = Buffer.alloc(0)
      this.#gathered = await gather(this.segment, this.#refs, this.#slices, pace)
      at?.("gathered")
    }
    return this.#slices[this.#at]
  }

  *#pieces({ ordinal, from, to }: Slice): Iterable<Piece> {
    const { logId, index } = this.#refs.logs[ordinal]!
    for (let i = from; i < to; i++) {
      const ref = index.at(i)
      const { place, byteLength, baseOffset, count, verbatim } = ref
      if (place === "value") {
        const lastOffset = baseOffset + count - 1
        const { segment } = this
        const bytes = verbatim ? segment.batch(logId, lastOffset) : segment.batchView(logId, lastOffset)
        yield { ref, bytes: checked(logId, ref, bytes) }
      } else {
        yield { ref, bytes: this.#gathered.subarray(this.#position, this.#position + byteLength) }
        this.#position += byteLength
      }
    }
  }
}
