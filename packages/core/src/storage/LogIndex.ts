import type { BatchRef, Place } from "../journal/batchRef.ts"
import type { Extent } from "../journal/Extent.ts"
import type { Seq } from "../journal/Journal.ts"

/**
 * Where a commit's records of one partition are, as `LogIndex` keeps it; or a run of a settled segment, whose `frameSeq`
 * is the segment's first, and whose `position` is as in `Extent`.
 */
export interface Located {
  readonly frameSeq: Seq
  readonly baseOffset: number
  readonly count: number
  readonly firstTimestampMs: number
  readonly maxTimestampMs: number
  readonly byteLength: number
  readonly crc: number
  readonly place: Place
  readonly chunk: number
  readonly position: number
  readonly verbatim: boolean
  /** Only of runs, see `Extent`. */
  readonly isCompacted: boolean
  readonly epoch: number
}

/** The part of a log that lies in settled segments, as its compaction sees it. */
export interface Compactable {
  /** The first offset that was never cleaned; undefined if all were. */
  readonly dirtyFrom: number | undefined
  /** Where the runs end that are cleaned next. */
  readonly cleanTo: number
  /** Stored bytes of the runs that were cleaned, of those that are next, and of those that may be cleaned after them. */
  readonly cleanBytes: number
  readonly dirtyBytes: number
  readonly laterBytes: number
  /** The first dirty run's first time, Unix ms. */
  readonly dirtySinceMs: number
  /** The segments of the runs before `cleanTo`, by their first seqs, ascending. */
  readonly segments: ReadonlyArray<Seq>
}

/** Per reference: four float64 (base offset, frame seq, first and max time), then six uint32. */
const referenceBytes = 56
const floats = referenceBytes / 8
const words = referenceBytes / 4
const firstWord = 8
const places: ReadonlyArray<Place> = ["frame", "chunk", "value", "run"]
/** Five bits beside the chunk: whether it is verbatim, two of the place, whether it is compacted, whether it was checked. */
const compactedBit = 8
const checkedBit = 16
const chunkShift = 5
const capacityMin = 8
/** A buffer of which less than this share is used gives way to a smaller one when a segment was settled. */
const usedShareMin = 1 / 4

/** The most bytes that the first batch there takes, as readers get it, without the header of a batch that the server builds. */
export const batchBytesMax = ({ place, position, byteLength }: Located): number =>
  place === "run" ? position : byteLength

/**
 * The references of one partition in offset order, 56 bytes each: found by a binary search (0.1 µs),
 * where a probe of the segments would take 55-102 µs.
 */
export class LogIndex {
  #float = new Float64Array(0)
  #word = new Uint32Array(0)
  /** The first reference's place: those before it were dropped, and their room is taken back by the next `#grow`. */
  #head = 0
  #count = 0
  /** Whole bytes of the records that are referred to. */
  byteLength = 0

  get count(): number {
    return this.#count
  }

  /** The offset after the last one; the log start offset of an empty log is not known here. */
  get endOffset(): number {
    return this.#count === 0 ? 0 : this.#endOffset(this.#count - 1)
  }

  #baseOffset(i: number): number {
    return this.#float[(this.#head + i) * floats]!
  }

  #maxTimestampMs(i: number): number {
    return this.#float[(this.#head + i) * floats + 2]!
  }

  #firstTimestampMs(i: number): number {
    return this.#float[(this.#head + i) * floats + 3]!
  }

  #isCompacted(i: number): boolean {
    return (this.#word[(this.#head + i) * words + firstWord + 4]! & compactedBit) !== 0
  }

  #endOffset(i: number): number {
    return this.#baseOffset(i) + this.#word[(this.#head + i) * words + firstWord]!
  }

  #byteLength(i: number): number {
    return this.#word[(this.#head + i) * words + firstWord + 1]!
  }

  #frameSeq(i: number): Seq {
    return this.#float[(this.#head + i) * floats + 1]!
  }

  #place(i: number): Place {
    return places[(this.#word[(this.#head + i) * words + firstWord + 4]! >>> 1) & 3]!
  }

  /** Whether one batch or several lie there, and not records to build one of. */
  #isBatches(i: number): boolean {
    const place = this.#place(i)
    return place === "run" || place === "value" || (this.#word[(this.#head + i) * words + firstWord + 4]! & 1) === 1
  }

  add(frameSeq: Seq, epoch: number, ref: BatchRef): void {
    this.#add(frameSeq, epoch, ref, false)
  }

  /** A run of the settled segment that begins at `segmentSeq`, behind all that is there. */
  addRun(segmentSeq: Seq, extent: Extent): void {
    this.#add(segmentSeq, extent.epoch, extent, extent.isCompacted)
  }

  #add(frameSeq: Seq, epoch: number, ref: BatchRef, isCompacted: boolean): void {
    if ((this.#head + this.#count + 1) * floats > this.#float.length) this.#resize(this.#count * 2)
    this.#put(this.#count++, frameSeq, epoch, ref, isCompacted)
    this.byteLength += ref.byteLength
  }

  #put(i: number, frameSeq: Seq, epoch: number, ref: BatchRef, isCompacted: boolean): void {
    const at = this.#head + i
    const f = at * floats
    const w = at * words + firstWord
    this.#float[f] = ref.baseOffset
    this.#float[f + 1] = frameSeq
    this.#float[f + 2] = ref.maxTimestampMs
    this.#float[f + 3] = ref.firstTimestampMs
    this.#word[w] = ref.count
    this.#word[w + 1] = ref.byteLength
    this.#word[w + 2] = ref.crc
    this.#word[w + 3] = ref.position
    this.#word[w + 4] =
      (ref.chunk << chunkShift) |
      (isCompacted ? compactedBit : 0) |
      (places.indexOf(ref.place) << 1) |
      (ref.verbatim ? 1 : 0)
    this.#word[w + 5] = epoch
  }

  /** Makes room for `count` references, and moves those that there are to its beginning. */
  #resize(count: number): void {
    const float = new Float64Array(Math.max(capacityMin, count) * floats)
    float.set(this.#float.subarray(this.#head * floats, (this.#head + this.#count) * floats))
    this.#head = 0
    this.#float = float
    this.#word = new Uint32Array(float.buffer)
  }

  at(i: number): Located {
    const f = (this.#head + i) * floats
    const w = (this.#head + i) * words + firstWord
    const packed = this.#word[w + 4]!
    return {
      frameSeq: this.#float[f + 1]!,
      baseOffset: this.#float[f]!,
      count: this.#word[w]!,
      firstTimestampMs: this.#float[f + 3]!,
      maxTimestampMs: this.#float[f + 2]!,
      byteLength: this.#word[w + 1]!,
      crc: this.#word[w + 2]!,
      position: this.#word[w + 3]!,
      chunk: packed >>> chunkShift,
      place: places[(packed >>> 1) & 3]!,
      verbatim: (packed & 1) === 1,
      isCompacted: (packed & compactedBit) !== 0,
      epoch: this.#word[w + 5]!
    }
  }

  /** Whether what lies there on the disk was compared with its CRC since the start or, if that was later, since its segment was settled. */
  isChecked(i: number): boolean {
    return (this.#word[(this.#head + i) * words + firstWord + 4]! & checkedBit) !== 0
  }

  noteChecked(i: number): void {
    this.#word[(this.#head + i) * words + firstWord + 4]! |= checkedBit
  }

  /** The bytes from `from` on of references that are batches as they lie there, one behind the other, as many as are at most `bytesMax`. */
  batchBytesFrom(from: number, bytesMax: number): number {
    let bytes = 0
    for (let i = from; i < this.#count && this.#isBatches(i) && bytes + this.#byteLength(i) <= bytesMax; i++) {
      bytes += this.#byteLength(i)
    }
    return bytes
  }

  /** The reference that holds `offset`, else the first one behind it; `count` if there is none. */
  find(offset: number): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#endOffset(middle) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** How many references begin below `offset`. */
  findEnd(offset: number): number {
    const at = this.find(offset)
    return at < this.#count && this.#baseOffset(at) < offset ? at + 1 : at
  }

  /** The first reference whose newest record is at or after `timestampMs`; `count` if there is none. */
  findTimestamp(timestampMs: number): number {
    let i = 0
    while (i < this.#count && this.#maxTimestampMs(i) < timestampMs) i++
    return i
  }

  /** The first reference that is not older than `timestampMs`; one without times (-1) is as old as `writtenMs` says of its commit. */
  findUnexpired(timestampMs: number, writtenMs: (frameSeq: Seq) => number): number {
    for (let i = 0; i < this.#count; i++) {
      const newestMs = this.#maxTimestampMs(i)
      if ((newestMs >= 0 ? newestMs : writtenMs(this.#frameSeq(i))) >= timestampMs) return i
    }
    return this.#count
  }

  /** The reference from `from` on with the highest time, the first of equals; -1 if there is none. */
  findMaxTimestamp(from: number): number {
    let found = -1
    for (let i = from; i < this.#count; i++) {
      if (found < 0 || this.#maxTimestampMs(i) > this.#maxTimestampMs(found)) found = i
    }
    return found
  }

  /** The first reference that is left when the oldest are given up for as long as `bytes` remain. */
  findByBytesFromEnd(bytes: number): number {
    let left = this.byteLength
    let i = 0
    while (i < this.#count && left - this.#byteLength(i) >= bytes) left -= this.#byteLength(i++)
    return i
  }

  /** The first reference of a commit at or after `seq`; `count` if there is none. */
  findSeq(seq: Seq): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#frameSeq(middle) >= seq) high = middle
      else low = middle + 1
    }
    return low
  }

  /**
   * Puts the runs of a settled segment from `fromSeq` to `endSeq` in the place of its references, or of its former runs;
   * tells how many they were. Where there are fewer, only what lies before them is moved: it is little.
   */
  replace(fromSeq: Seq, endSeq: Seq, extents: ReadonlyArray<Extent>): number {
    const first = this.findSeq(fromSeq)
    const end = this.findSeq(endSeq)
    const gone = end - first - extents.length
    for (let i = first; i < end; i++) this.byteLength -= this.#byteLength(i)
    if (gone >= 0) {
      const head = this.#head * floats
      this.#float.copyWithin(head + gone * floats, head, head + first * floats)
      this.#head += gone
    } else {
      this.#resize(this.#count - gone)
      this.#float.copyWithin((end - gone) * floats, end * floats, this.#count * floats)
    }
    this.#count -= gone
    extents.forEach((extent, i) => {
      this.#put(first + i, fromSeq, extent.epoch, extent, extent.isCompacted)
      this.byteLength += extent.byteLength
    })
    this.#shrink()
    return end - first
  }

  /**
   * Adds the stored bytes of runs to the sums of their segments, from the run that holds `offset` on; looks at
   * `looksMax` references at most. Tells the offset to go on with; undefined at the end.
   */
  sumRuns(offset: number, looksMax: number, sums: Map<Seq, number>): number | undefined {
    const first = this.find(offset)
    const end = Math.min(this.#count, first + looksMax)
    for (let i = first; i < end; i++) {
      if (this.#place(i) !== "run") continue
      const seq = this.#frameSeq(i)
      sums.set(seq, (sums.get(seq) ?? 0) + this.#byteLength(i))
    }
    return end < this.#count ? this.#baseOffset(end) : undefined
  }

  /**
   * Up to the first run that is not clean and has a record newer than `toMs` or not stable, or to the first reference that is no run. For
   * each segment the keys of all that is dirty are read, so that not more is cleaned at once than what lies in as many
   * segments as clean runs do, but `dirtySegmentsMin` in any case. Nothing from `stableOffset` on is cleaned: it may still be aborted.
   */
  compactable(toMs: number, dirtySegmentsMin: number, stableOffset = Infinity): Compactable {
    const segments: Array<Seq> = []
    let [cleanTo, cleanBytes, dirtyBytes, laterBytes, dirtySinceMs] = [0, 0, 0, 0, Infinity]
    let dirtyFrom: number | undefined
    let dirtySegmentsMax = 0
    for (let i = 0; i < this.#count && this.#place(i) === "run"; i++) {
      const isClean = this.#isCompacted(i)
      if (!isClean && (this.#maxTimestampMs(i) > toMs || this.#endOffset(i) > stableOffset)) break
      if (!isClean && dirtyFrom === undefined) {
        dirtyFrom = this.#baseOffset(i)
        dirtySegmentsMax = segments.length + Math.max(dirtySegmentsMin, segments.length)
      }
      const isNewSegment = segments.at(-1) !== this.#frameSeq(i)
      if (laterBytes > 0 || (dirtyFrom !== undefined && isNewSegment && segments.length >= dirtySegmentsMax)) {
        laterBytes += this.#byteLength(i)
        continue
      }
      if (isClean) cleanBytes += this.#byteLength(i)
      else {
        dirtyBytes += this.#byteLength(i)
        dirtySinceMs = Math.min(dirtySinceMs, this.#firstTimestampMs(i))
      }
      cleanTo = this.#endOffset(i)
      if (isNewSegment) segments.push(this.#frameSeq(i))
    }
    return { dirtyFrom, cleanTo, cleanBytes, dirtyBytes, laterBytes, dirtySinceMs, segments }
  }

  /** Forgets the references that lie wholly below `offset`: nobody may read them any more. */
  dropBelow(offset: number): void {
    const dropped = this.find(offset)
    for (let i = 0; i < dropped; i++) this.byteLength -= this.#byteLength(i)
    this.#head += dropped
    this.#count -= dropped
    if (this.#count === 0) this.#head = 0
    this.#shrink()
  }

  /** Gives room back that is mostly unused. */
  #shrink(): void {
    const capacity = this.#float.length / floats
    if (capacity > capacityMin && this.#count < capacity * usedShareMin) this.#resize(Math.ceil(this.#count * 1.5))
  }
}
