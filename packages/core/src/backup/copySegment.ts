import * as fs from "node:fs"
import { crc32c } from "@node-rs/crc32"
import { readFrameHead, type BatchRef } from "../journal/Frame.ts"
import { JournalError, type Commit, type Seq } from "../journal/Journal.ts"
import { LmdbSegment } from "../journal/LmdbSegment.ts"
import { PageDamage } from "../doctor/LmdbFile.ts"
import { commitOf, type SegmentSource } from "../doctor/SegmentSource.ts"
import type { Pause } from "./files.ts"

/** Written as one transaction; read between two pauses, so that no reader is held open for long. */
const stepBytes = 4 * 1024 * 1024
/** Addresses that LMDB reserves: what a copy takes above its source, at most. */
const mapBytesAbove = 1024 * 1024 * 1024

export interface CopyOptions {
  /** Commits that end behind this seq are not copied. */
  readonly endSeq: Seq
  readonly pause: Pause
  /** Records that cannot be read are left out, with what refers to them kept; else they end the copy with an error. */
  readonly salvage: boolean
}

/**
 * Writes a segment's whole commits before `endSeq`, with the snapshots that know nothing behind them, into a fresh file,
 * durable once this resolves. Resolves with one after the last event. Throws `JournalError` and `PageDamage`.
 */
export const copySegment = async (source: SegmentSource, file: string, options: CopyOptions): Promise<Seq> => {
  const mapBytes = 2 * fs.statSync(source.path).size + mapBytesAbove
  const target = LmdbSegment.create(file, mapBytes, source.firstSeq)
  try {
    let nextSeq = source.firstSeq
    for (;;) {
      const commits = readStep(source, nextSeq, options)
      if (commits.length === 0) break
      await allAccepted(commits.map((commit) => target.write(commit)))
      nextSeq = commits.at(-1)!.nextSeq
      await options.pause(commits.reduce((sum, { byteLength }) => sum + byteLength, 0))
    }
    await copySnapshots(source, target, nextSeq, options)
    return nextSeq
  } finally {
    await target.close()
    fs.rmSync(`${file}-lock`, { force: true })
  }
}

/** The next whole commits; none at the end. A frame's view is gone with its visit, so each is copied. */
const readStep = (source: SegmentSource, from: Seq, { endSeq, salvage }: CopyOptions): Array<Commit> => {
  const frames: Array<Buffer> = []
  let bytes = 0
  source.scan(from, endSeq, (view) => {
    const frame = Buffer.from(view)
    if (readFrameHead(frame).nextSeq > endSeq) return false
    frames.push(frame)
    bytes += frame.length
    return bytes < stepBytes && frames.length < framesPerStep
  })
  const isWhole = (ref: BatchRef): boolean => {
    const bytes = guarded(salvage, () => source.batch(ref.logId, ref.baseOffset + ref.count - 1))
    return bytes !== undefined && crc32c(bytes) === ref.crc
  }
  const reader = salvage ? readable(source) : source
  const commits: Array<Commit> = []
  for (let i = 0, taken = 0; i < frames.length && taken < 4 * stepBytes; i++) {
    const commit = commitOf(reader, frames[i]!, salvage ? isWhole : () => true)
    commits.push(commit)
    taken += commit.byteLength
  }
  return commits
}

const framesPerStep = 1024

const guarded = <A>(salvage: boolean, read: () => A): A | undefined => {
  try {
    return read()
  } catch (error) {
    if (salvage && error instanceof PageDamage) return undefined
    throw error
  }
}

/** Where damaged pages hold nothing. */
const readable = (source: SegmentSource): Pick<SegmentSource, "chunk" | "batch"> => ({
  chunk: (seq, index) => guarded(true, () => source.chunk(seq, index)),
  batch: (logId, lastOffset) => guarded(true, () => source.batch(logId, lastOffset))
})

const allAccepted = async (puts: ReadonlyArray<Promise<boolean>>): Promise<void> => {
  const accepted = await Promise.all(puts)
  if (accepted.includes(false)) throw new JournalError("Io", "LMDB refused a copied frame")
}

const copySnapshots = async (
  source: SegmentSource,
  target: LmdbSegment,
  endSeq: Seq,
  { salvage, pause }: CopyOptions
): Promise<void> => {
  const seals = guarded(salvage, () => source.sealed()) ?? []
  for (const { fromSeq, pages } of seals) {
    const found = Array.from({ length: pages }, (_, index) => guarded(salvage, () => source.page(fromSeq, index)))
    if (fromSeq > endSeq || found.some((page) => page !== undefined && page.seq > endSeq)) continue
    const puts = found.flatMap((page, index) => (page === undefined ? [] : [target.writePage(fromSeq, index, page)]))
    await allAccepted([...puts, target.seal(fromSeq, pages)])
    await pause(found.reduce((sum, page) => sum + (page?.bytes.length ?? 0), 0))
  }
}
