import { crc32c } from "@node-rs/crc32"
import * as path from "node:path"
import type { BatchRef } from "../journal/batchRef.ts"
import { readFrame, readFrameHead, type FrameHead } from "../journal/Frame.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import * as RecordBatch from "../RecordBatch.ts"
import type { Covered, ChainState } from "./ChainState.ts"
import { checkRuns } from "./checkRuns.ts"
import type { Findings } from "./Finding.ts"
import { PageDamage } from "../journal/LmdbFile.ts"
import { SegmentFile } from "../journal/SegmentFile.ts"
import { recordsOf, type SegmentSource } from "../journal/SegmentSource.ts"

const framesPerStep = 256
const bytesPerStep = 4 * 1024 * 1024

export interface CheckOptions {
  /** Frames from here on are not looked at. */
  readonly endSeq: Seq
  /** Told between two steps; may wait, so that others get the disk and the processor. */
  readonly pause: (bytes: number) => Promise<void> | void
}

/**
 * Reads all of a segment: its pages if nobody writes to it, frames with their checksums, seqs, epochs, the records that
 * they refer to with theirs, offsets, snapshots' values. `chain` moves on over what is whole.
 */
export const checkSegment = async (
  source: SegmentSource,
  chain: ChainState,
  findings: Findings,
  { endSeq, pause }: CheckOptions
): Promise<void> => {
  const segment = path.basename(source.path)
  if (source instanceof SegmentFile && !source.isWritten)
    source.check((message) => findings.damage("page", message, { segment }))
  if (chain.nextSeq !== undefined && source.firstSeq !== chain.nextSeq) {
    findings.damage("gap", `begins at seq ${source.firstSeq}, expected ${chain.nextSeq}`, { segment })
    chain.firstBadSeq ??= chain.nextSeq
  }
  chain.nextSeq = source.firstEventSeq
  if (source.firstEventSeq > source.firstSeq) {
    // Where events have expired, nobody knows how far logs went on; and nobody can fold what is before.
    chain.logEnds.clear()
    chain.frames = 0
    chain.events = 0
  }
  const check = new FrameCheck(source, segment, chain, findings)
  for (let isMore = true; isMore;) {
    const before = chain.bytes
    isMore = check.step(endSeq)
    await pause(chain.bytes - before)
  }
  const statedSeq = source instanceof SegmentFile ? source.statedNextSeq : undefined
  if (statedSeq !== undefined && endSeq > statedSeq && chain.nextSeq !== statedSeq) {
    findings.damage("gap", `its frames end at seq ${chain.nextSeq}, expected ${statedSeq}`, { segment })
    chain.firstBadSeq ??= chain.nextSeq
  }
  if (source.isSettled) await checkRuns(source, check.covered, chain, findings, pause)
}

class FrameCheck {
  readonly #source: SegmentSource
  readonly #segment: string
  readonly #chain: ChainState
  readonly #findings: Findings
  /** By log: what this segment's frames refer to. */
  readonly covered = new Map<number, Covered>()
  #from: Seq

  constructor(source: SegmentSource, segment: string, chain: ChainState, findings: Findings) {
    this.#source = source
    this.#segment = segment
    this.#chain = chain
    this.#findings = findings
    this.#from = source.firstEventSeq
  }

  /** Looks at some frames; false once there are no more, or none that can be reached. */
  step(endSeq: Seq): boolean {
    const chain = this.#chain
    const bytesMax = chain.bytes + bytesPerStep
    let frames = 0
    try {
      return !this.#source.scan(this.#from, endSeq, (frame, key) => {
        this.#from = key + 1
        this.#frame(frame, key)
        return ++frames < framesPerStep && chain.bytes < bytesMax
      })
    } catch (error) {
      if (!(error instanceof PageDamage)) throw error
      this.#bad(`frames from seq ${this.#from} on cannot be reached: ${error.message}`, chain.nextSeq ?? this.#from)
      return false
    }
  }

  #bad(message: string, seq: Seq): void {
    this.#findings.damage("frame", message, { segment: this.#segment, seq })
    this.#chain.firstBadSeq ??= Math.min(seq, this.#chain.nextSeq ?? seq)
  }

  #frame(frame: Buffer, key: Seq): void {
    const chain = this.#chain
    let head: FrameHead
    const refs: Array<{ readonly seq: Seq; readonly ref: BatchRef }> = []
    try {
      head = readFrameHead(frame)
      readFrame(frame, { records: (seq, ref) => refs.push({ seq, ref }) }, head)
    } catch (error) {
      if (!(error instanceof JournalError)) throw error
      this.#bad(error.message, key)
      return
    }
    if (head.firstSeq !== key) this.#bad(`a frame that begins at seq ${head.firstSeq} stands under ${key}`, key)
    else if (head.firstSeq !== chain.nextSeq) {
      const message = `a frame begins at seq ${head.firstSeq}, expected ${chain.nextSeq}`
      this.#findings.damage("gap", message, { segment: this.#segment, seq: head.firstSeq })
      chain.firstBadSeq ??= chain.nextSeq
    }
    if (head.epoch < chain.epoch) {
      const message = `epoch ${head.epoch} behind epoch ${chain.epoch}`
      this.#findings.damage("epoch", message, { segment: this.#segment, seq: key })
      chain.firstBadSeq ??= key
    }
    chain.nextSeq = head.nextSeq
    chain.epoch = Math.max(chain.epoch, head.epoch)
    chain.timeMs = head.timeMs
    chain.frames++
    chain.events += head.entries
    chain.bytes += frame.length
    for (const { seq, ref } of refs) this.#records(frame, head, seq, ref)
  }

  #records(frame: Buffer, head: FrameHead, seq: Seq, ref: BatchRef): void {
    const chain = this.#chain
    const { logId, baseOffset, count } = ref
    const place = { segment: this.#segment, seq, logId, baseOffset, lastOffset: baseOffset + count - 1 }
    const expected = chain.logEnds.get(logId)
    if (expected !== undefined && expected !== baseOffset) {
      this.#findings.damage("offsets", `offset ${baseOffset} where ${expected} was next`, place)
    }
    chain.logEnds.set(logId, baseOffset + count)
    const covered = this.covered.get(logId)
    if (covered === undefined) this.covered.set(logId, { baseOffset, endOffset: baseOffset + count })
    else covered.endOffset = baseOffset + count
    chain.records += count
    // Runs are read after the frames.
    if (ref.place === "run") return
    if (ref.place !== "frame") chain.bytes += ref.byteLength
    const wrong = this.#wrong(frame, head, ref)
    if (wrong !== undefined) this.#findings.damage("records", wrong, place)
  }

  /** Says what is wrong with the bytes of a reference. */
  #wrong(frame: Buffer, head: FrameHead, ref: BatchRef): string | undefined {
    try {
      const bytes = recordsOf(this.#source, frame, head, ref)
      if (bytes === undefined) return "records are missing"
      if (bytes.length !== ref.byteLength || crc32c(bytes) !== ref.crc) return "records fail their checksum"
      const isBatch = ref.verbatim || ref.place === "value"
      if (isBatch && RecordBatch.baseOffset(bytes) !== ref.baseOffset) return "a batch of another offset"
      return undefined
    } catch (error) {
      if (!(error instanceof PageDamage)) throw error
      return `records cannot be reached: ${error.message}`
    }
  }
}
