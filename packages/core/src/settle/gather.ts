import { crc32c } from "@node-rs/crc32"
import type { SegmentSource } from "../journal/SegmentSource.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import type { Located } from "../storage/LogIndex.ts"
import type { Pace } from "./Pace.ts"
import type { SourceLog, SourceRefs } from "./SourceRefs.ts"

/** References `from` to `to` of one log, whose small records take `bytes`. */
export interface Slice {
  readonly ordinal: number
  readonly from: number
  to: number
  bytes: number
}

const stepBytes = 1024 * 1024

/** The references in the order of logs and offsets, cut where the small records reach `bytesMax`. A log is in a cut once at most. */
export function* cuts(logs: ReadonlyArray<SourceLog>, bytesMax: number): Iterable<ReadonlyArray<Slice>> {
  let slices: Array<Slice> = []
  let bytes = 0
  for (let ordinal = 0; ordinal < logs.length; ordinal++) {
    const { index } = logs[ordinal]!
    let slice: Slice | undefined
    for (let i = 0; i < index.count; i++) {
      const { place, byteLength } = index.at(i)
      const smallBytes = place === "value" ? 0 : byteLength
      if (bytes + smallBytes > bytesMax && slices.length > 0) {
        yield slices
        slices = []
        slice = undefined
        bytes = 0
      }
      if (slice === undefined) slices.push((slice = { ordinal, from: i, to: i, bytes: 0 }))
      slice.to = i + 1
      slice.bytes += smallBytes
      bytes += smallBytes
    }
  }
  if (slices.length > 0) yield slices
}

/** Throws `JournalError` "Corrupt" with the place unless these are the bytes that the commit referred to. */
export const checked = (logId: number, ref: Located, bytes: Uint8Array | undefined): Uint8Array => {
  if (bytes === undefined || bytes.length !== ref.byteLength || crc32c(bytes) !== ref.crc) {
    throw new JournalError(
      "Corrupt",
      `records of log ${logId} at offset ${ref.baseOffset} (seq ${ref.frameSeq}) fail their checksum`
    )
  }
  return bytes
}

interface Cursor {
  readonly end: number
  /** The next reference, and where its bytes go. */
  at: number
  position: number
}

/**
 * Reads the frames once, in order, and sorts the small records of a cut by log: to read each log's records where they lie
 * would copy a whole frame for each. The answer holds the slices' records one after the other.
 * Throws `JournalError` "Corrupt".
 */
export const gather = async (
  source: SegmentSource,
  refs: SourceRefs,
  slices: ReadonlyArray<Slice>,
  pace: Pace
): Promise<Buffer> => {
  const out = Buffer.allocUnsafeSlow(slices.reduce((sum, { bytes }) => sum + bytes, 0))
  const cursors: Array<Cursor | undefined> = refs.logs.map(() => undefined)
  let position = 0
  let fromSeq: Seq = Infinity
  let toSeq: Seq = 0
  for (const { ordinal, from, to, bytes } of slices) {
    const { index } = refs.logs[ordinal]!
    cursors[ordinal] = { at: from, end: to, position }
    position += bytes
    fromSeq = Math.min(fromSeq, index.at(from).frameSeq)
    toSeq = Math.max(toSeq, index.at(to - 1).frameSeq)
  }
  let bytes = 0
  for (let frame = 0; frame < refs.frameSeqs.length; frame++) {
    const seq = refs.frameSeqs[frame]!
    if (seq < fromSeq) continue
    if (seq > toSeq) break
    bytes += gatherFrame(source, refs, frame, cursors, out)
    if (bytes < stepBytes) continue
    bytes = 0
    await pace.step()
  }
  return out
}

/** Tells how many bytes were read. */
const gatherFrame = (
  source: SegmentSource,
  refs: SourceRefs,
  frame: number,
  cursors: ReadonlyArray<Cursor | undefined>,
  out: Buffer
): number => {
  const seq = refs.frameSeqs[frame]!
  const reader = new FrameBytes(source, seq)
  for (let i = refs.firstRefs[frame]!; i < refs.firstRefs[frame + 1]!; i++) {
    const ordinal = refs.ordinals[i]!
    const cursor = cursors[ordinal]
    if (cursor === undefined || cursor.at >= cursor.end) continue
    const { logId, index } = refs.logs[ordinal]!
    const ref = index.at(cursor.at)
    // A frame in which a slice begins may have references of the log before it.
    if (ref.frameSeq !== seq) continue
    cursor.at++
    if (ref.place === "value") continue
    out.set(checked(logId, ref, reader.bytesOf(ref)), cursor.position)
    cursor.position += ref.byteLength
  }
  return reader.bytesRead
}

/** The small records of one commit. */
class FrameBytes {
  readonly #source: SegmentSource
  readonly #seq: Seq
  #frame: Buffer | undefined
  #chunk: Buffer | undefined
  #chunkIndex = -1
  bytesRead = 0

  constructor(source: SegmentSource, seq: Seq) {
    this.#source = source
    this.#seq = seq
  }

  bytesOf({ place, chunk, position, byteLength }: Located): Uint8Array | undefined {
    const whole = place === "chunk" ? this.#chunkAt(chunk) : this.#wholeFrame()
    return whole?.subarray(position, position + byteLength)
  }

  #wholeFrame(): Buffer | undefined {
    if (this.#frame === undefined) {
      this.#frame = this.#source.frame(this.#seq)
      this.bytesRead += this.#frame?.length ?? 0
    }
    return this.#frame
  }

  #chunkAt(index: number): Buffer | undefined {
    if (this.#chunkIndex !== index) {
      this.#chunk = this.#source.chunk(this.#seq, index)
      this.#chunkIndex = index
      this.bytesRead += this.#chunk?.length ?? 0
    }
    return this.#chunk
  }
}
