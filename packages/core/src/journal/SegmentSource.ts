import type { BatchRef } from "./batchRef.ts"
import type { Extent } from "./Extent.ts"
import { readFrame, type FrameHead } from "./Frame.ts"
import type { Commit, Seq, SnapshotPage } from "./Journal.ts"

/** The contents of a segment, whoever reads it: `LmdbSegment` in the writer's process, `SegmentFile` elsewhere. */
export interface SegmentSource {
  readonly path: string
  readonly firstSeq: Seq
  /** The oldest event whose frame is here; with `nextSeq`: there is none. */
  readonly firstEventSeq: Seq
  /** Visits the frames with keys from `from` below `end`, until `visit` says false; so does the answer then. */
  readonly scan: (from: Seq, end: Seq, visit: (frame: Buffer, key: Seq) => boolean) => boolean
  readonly frame: (seq: Seq) => Buffer | undefined
  readonly chunk: (seq: Seq, index: number) => Buffer | undefined
  /** A run of a settled segment. */
  readonly batch: (logId: number, lastOffset: number) => Buffer | undefined
  readonly isSettled: boolean
  /** The bytes that frames and snapshots take of a settled segment's file. */
  readonly historyBytes: number
  /** Visits a settled segment's runs, in the order of logs and offsets. Throws `JournalError` "Corrupt". */
  readonly visitRuns: (visit: (extent: Extent) => void) => void
  /** The from seqs of the sealed snapshots, newest first. */
  readonly sealed: () => ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }>
  readonly page: (fromSeq: Seq, index: number) => SnapshotPage | undefined
  readonly close: () => void | Promise<void>
}

/** The bytes that a reference of this frame is to; undefined where there are none. */
export const recordsOf = (
  source: Pick<SegmentSource, "chunk" | "batch">,
  frame: Buffer,
  head: FrameHead,
  ref: BatchRef
): Buffer | undefined => {
  if (ref.place === "value") return source.batch(ref.logId, ref.baseOffset + ref.count - 1)
  const whole = ref.place === "frame" ? frame : source.chunk(head.firstSeq, ref.chunk)
  if (whole === undefined || ref.position + ref.byteLength > whole.length) return undefined
  return whole.subarray(ref.position, ref.position + ref.byteLength)
}

/** A frame with all that belongs to it, as it was once appended; what is not there is left out. */
export const commitOf = (
  source: Pick<SegmentSource, "chunk" | "batch">,
  frame: Buffer,
  isWanted: (ref: BatchRef) => boolean
): Commit => {
  const batches: Array<Commit["batches"][number]> = []
  let refCount = 0
  const head = readFrame(frame, {
    records: (_seq, ref) => {
      refCount++
      if (ref.place !== "value" || !isWanted(ref)) return
      const lastOffset = ref.baseOffset + ref.count - 1
      const bytes = source.batch(ref.logId, lastOffset)
      if (bytes !== undefined) batches.push({ logId: ref.logId, lastOffset, bytes })
    }
  })
  const chunks = Array.from({ length: head.chunks }, (_, index) => source.chunk(head.firstSeq, index))
  const stored = [...chunks.map((chunk) => chunk?.length ?? 0), ...batches.map(({ bytes }) => bytes.length)]
  return {
    firstSeq: head.firstSeq,
    nextSeq: head.nextSeq,
    frame,
    chunks: chunks.map((chunk) => chunk ?? Buffer.alloc(0)),
    batches,
    refCount,
    byteLength: stored.reduce((sum, bytes) => sum + bytes, frame.length)
  }
}
