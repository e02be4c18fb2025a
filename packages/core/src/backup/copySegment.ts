import * as fs from "node:fs"
import { crc32c } from "@node-rs/crc32"
import { commitOf, type SegmentSource } from "../journal/SegmentSource.ts"
import type { BatchRef } from "../journal/batchRef.ts"
import { readFrame, readFrameHead } from "../journal/Frame.ts"
import type { Commit, Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { LmdbSegment } from "../journal/LmdbSegment.ts"
import { allAccepted, guarded, type CopyOptions } from "./copying.ts"
import { copyRuns } from "./copyRuns.ts"

/** Written as one transaction; read between two pauses, so that no reader is held open for long. */
const stepBytes = 4 * 1024 * 1024
/** Addresses that LMDB reserves: what a copy takes above its source, at most. */
const mapBytesAbove = 1024 * 1024 * 1024

/**
 * Writes a segment's whole commits before `endSeq`, with the snapshots that know nothing behind them, into a fresh file,
 * durable once this resolves. Resolves with one after the last event. Throws `JournalError` and `PageDamage`.
 */
export const copySegment = async (source: SegmentSource, file: string, options: CopyOptions): Promise<Seq> => {
  const mapBytes = 2 * fs.statSync(source.path).size + mapBytesAbove
  if (source.isSettled) return copySettled(source, file, mapBytes, options)
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

/**
 * The same of a settled segment, whose runs are cut where the frames that are copied end. Records whose events have expired
 * are kept as they are. Throws `JournalError` "Gap" if the end lies among those: nothing tells which were there by then.
 */
const copySettled = async (
  source: SegmentSource,
  file: string,
  mapBytes: number,
  options: CopyOptions
): Promise<Seq> => {
  const { firstSeq, firstEventSeq } = source
  if (options.endSeq < firstEventSeq) {
    const message = `events ${firstSeq} to ${firstEventSeq - 1} have expired: their records cannot be cut before them`
    throw new JournalError("Gap", message)
  }
  fs.rmSync(file, { force: true })
  const target = LmdbSegment.createSettled(file, mapBytes, firstSeq)
  try {
    const logEnds = new Map<number, number>()
    let nextSeq = firstEventSeq
    for (;;) {
      const frames = framesOf(source, nextSeq, options.endSeq)
      if (frames.length === 0) break
      const puts = frames.map((frame) => {
        const head = readFrame(frame, {
          records: (_seq, { logId, baseOffset, count }) => logEnds.set(logId, baseOffset + count)
        })
        nextSeq = head.nextSeq
        return target.putFrame(head.firstSeq, frame)
      })
      await allAccepted(puts)
      await options.pause(frames.reduce((sum, frame) => sum + frame.length, 0))
    }
    const isEverythingRead = await addEndsBehind(source, nextSeq, logEnds, options)
    // A log that no event refers to has records of expired events only.
    const otherEnd = firstEventSeq > firstSeq && isEverythingRead ? Infinity : 0
    const runBytes = await copyRuns(source, target, (logId) => logEnds.get(logId) ?? otherEnd, options)
    await copySnapshots(source, target, nextSeq, options)
    await target.complete({ nextSeq, firstEventSeq, runBytes })
    return nextSeq
  } finally {
    await target.close()
    fs.rmSync(`${file}-lock`, { force: true })
  }
}

/**
 * Adds where the records of the events from `fromSeq` on begin, of logs that have none before; false if damage does not
 * let it see all of them.
 */
const addEndsBehind = async (
  source: SegmentSource,
  fromSeq: Seq,
  logEnds: Map<number, number>,
  { salvage, pause }: CopyOptions
): Promise<boolean> => {
  for (let seq = fromSeq; ;) {
    const frames = guarded(salvage, () => framesOf(source, seq, Number.MAX_SAFE_INTEGER))
    if (frames === undefined) return false
    if (frames.length === 0) return true
    for (const frame of frames) {
      const head = readFrame(frame, {
        records: (_seq, { logId, baseOffset }) => {
          if (!logEnds.has(logId)) logEnds.set(logId, baseOffset)
        }
      })
      seq = head.nextSeq
    }
    await pause(frames.reduce((sum, frame) => sum + frame.length, 0))
  }
}

/** The next whole frames; none at the end. A frame's view is gone with its visit, so each is copied. */
const framesOf = (source: SegmentSource, from: Seq, endSeq: Seq): Array<Buffer> => {
  const frames: Array<Buffer> = []
  let bytes = 0
  source.scan(from, endSeq, (view) => {
    const frame = Buffer.from(view)
    if (readFrameHead(frame).nextSeq > endSeq) return false
    frames.push(frame)
    bytes += frame.length
    return bytes < stepBytes && frames.length < framesPerStep
  })
  return frames
}

/** The next whole commits; none at the end. */
const readStep = (source: SegmentSource, from: Seq, { endSeq, salvage }: CopyOptions): Array<Commit> => {
  const frames = framesOf(source, from, endSeq)
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

/** Where damaged pages hold nothing. */
const readable = (source: SegmentSource): Pick<SegmentSource, "chunk" | "batch"> => ({
  chunk: (seq, index) => guarded(true, () => source.chunk(seq, index)),
  batch: (logId, lastOffset) => guarded(true, () => source.batch(logId, lastOffset))
})

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
