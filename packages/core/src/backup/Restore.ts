import * as fs from "node:fs"
import * as path from "node:path"
import type { AnyDefinition } from "../actor/Definition.ts"
import { diagnose, type Diagnosis } from "../doctor/Doctor.ts"
import { PageDamage } from "../journal/LmdbFile.ts"
import { SegmentFile } from "../journal/SegmentFile.ts"
import { readFrameHead } from "../journal/Frame.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { syncDirectory } from "../journal/segmentFiles.ts"
import { copySegment } from "./copySegment.ts"
import { copyFile, makeEmptyDirectory, throwIfNoRoom, writeWhole, type Pause } from "./files.ts"
import { readManifest, type BackedUpSegment, type Manifest } from "./Manifest.ts"
import { raiseEpoch } from "./raiseEpoch.ts"

/** The last event that counts, or the time from which on none does. */
export type Until = { readonly seq: Seq } | { readonly timeMs: number }

export interface RestoreOptions {
  readonly backup: string
  /** Must be empty, or not be there. */
  readonly dataDir: string
  readonly until: Until | undefined
  /** The definitions that can fold the events. */
  readonly definitions: ReadonlyArray<AnyDefinition>
  readonly nowMs: () => number
  readonly pause: (bytes: number, bytesTotal: number) => Promise<void> | void
}

export interface Restored {
  readonly manifest: Manifest
  readonly firstSeq: Seq
  /** The seq after the last event of the backup that was restored. */
  readonly nextSeq: Seq
  /** The time of the last commit that was restored, Unix milliseconds. */
  readonly lastTimeMs: number
  readonly diagnosis: Diagnosis
}

/**
 * Makes a data directory from a backup, whole commits up to `until`: the last commit that ends at or before the seq, or
 * all before the first commit later than the time. Each file's digest is compared, the result is read as a whole and
 * folded, and only then gets its name. Throws `JournalError`; nothing is left then.
 */
export const restore = async (options: RestoreOptions): Promise<Restored> => {
  const { backup, dataDir, definitions } = options
  const manifest = readManifest(backup)
  if (manifest === undefined) throw new JournalError("Io", `${backup} holds no backup`)
  makeEmptyDirectory(dataDir)
  const building = `${path.resolve(dataDir)}.restoring`
  if (fs.existsSync(building)) {
    throw new JournalError("Io", `${building} was left by a restore that was cut short: remove it`)
  }
  fs.mkdirSync(building)
  const bytesTotal = 3 * manifest.segments.reduce((sum, { bytes }) => sum + bytes, 0)
  const pause = (bytes: number): Promise<void> | void => options.pause(bytes, bytesTotal)
  try {
    const endSeq = endSeqOf(options, manifest)
    throwIfNoRoom(
      building,
      manifest.segments.reduce((sum, { bytes }) => sum + bytes, 0)
    )
    for (const segment of manifest.segments) {
      if (segment.firstSeq < endSeq || segment === manifest.segments[0]) {
        await restoreSegment(backup, building, segment, endSeq, pause)
      }
    }
    if (manifest.clusterId !== "") writeWhole(path.join(building, "cluster-id"), manifest.clusterId)
    const diagnosis = await diagnose({ directory: building, definitions, pause })
    throwIfUnsound(diagnosis, manifest)
    const lastTimeMs = await raiseEpoch(building, manifest.epoch, options)
    syncDirectory(building)
    fs.rmdirSync(dataDir)
    fs.renameSync(building, dataDir)
    syncDirectory(path.dirname(path.resolve(dataDir)))
    return { manifest, firstSeq: diagnosis.firstSeq, nextSeq: diagnosis.nextSeq, lastTimeMs, diagnosis }
  } catch (error) {
    fs.rmSync(building, { recursive: true, force: true })
    if (error instanceof PageDamage) throw new JournalError("Corrupt", `the backup is damaged: ${error.message}`)
    throw error
  }
}

const throwIfUnsound = ({ findings, isClean }: Diagnosis, { firstSeq }: Manifest): void => {
  if (isClean) return
  const wrong = findings.find(({ isDamage }) => isDamage)!
  const where = [wrong.segment, wrong.seq === undefined ? "" : `seq ${wrong.seq}`].filter(Boolean).join(", ")
  const isTooEarly = wrong.kind === "state" && firstSeq > 1
  const hint = isTooEarly ? "; the backup has no snapshot that early: restore to a later point" : ""
  throw new JournalError("Corrupt", `the restored journal is not sound: ${where}: ${wrong.message}${hint}`)
}

/**
 * The seq after the last event that is wanted. Throws `JournalError` "Gap" for a point before the backup's first event,
 * or a seq behind its last.
 */
const endSeqOf = ({ until, backup }: RestoreOptions, manifest: Manifest): Seq => {
  if (until === undefined) return manifest.nextSeq
  const endSeq = "seq" in until ? until.seq + 1 : seqAfter(until.timeMs, backup, manifest)
  if (endSeq <= manifest.firstSeq) {
    throw new JournalError("Gap", `the backup begins at seq ${manifest.firstSeq}, behind the wanted point`)
  }
  if (endSeq <= manifest.nextSeq) return endSeq
  throw new JournalError("Gap", `the backup ends at seq ${manifest.nextSeq - 1}, before the wanted ${endSeq - 1}`)
}

/** The first event that is later. */
const seqAfter = (timeMs: number, backup: string, { segments, nextSeq }: Manifest): Seq => {
  for (const { file, nextSeq: end } of segments) {
    const source = SegmentFile.open(path.join(backup, file))
    let later: Seq | undefined
    try {
      source.scan(source.firstSeq, end, (frame) => {
        const head = readFrameHead(frame)
        if (head.timeMs > timeMs) later = head.firstSeq
        return later === undefined
      })
    } finally {
      source.close()
    }
    if (later !== undefined) return later
  }
  return nextSeq
}

const restoreSegment = async (
  backup: string,
  building: string,
  { name, file, sha256, bytes, nextSeq }: BackedUpSegment,
  endSeq: Seq,
  pause: Pause
): Promise<void> => {
  const to = path.join(building, name)
  const digest = await copyFile(path.join(backup, file), to, pause)
  if (digest.sha256 !== sha256 || digest.bytes !== bytes) {
    throw new JournalError("Corrupt", `${file} is not what was backed up: its digest differs`)
  }
  if (nextSeq <= endSeq) return
  const whole = `${to}.whole`
  fs.renameSync(to, whole)
  const source = SegmentFile.open(whole)
  try {
    await copySegment(source, to, { endSeq, pause, salvage: false })
  } finally {
    source.close()
  }
  fs.rmSync(whole)
}
