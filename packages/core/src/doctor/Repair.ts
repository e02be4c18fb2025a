import * as fs from "node:fs"
import * as path from "node:path"
import type { AnyDefinition } from "../actor/Definition.ts"
import { copySegment } from "../backup/copySegment.ts"
import { copyFile, makeEmptyDirectory, throwIfNoRoom, writeWhole, type Pause } from "../backup/files.ts"
import { raiseEpoch } from "../backup/raiseEpoch.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { syncDirectory } from "../journal/segmentFiles.ts"
import { diagnose, type Diagnosis } from "./Doctor.ts"
import type { Finding } from "./Finding.ts"
import { SegmentFile } from "../journal/SegmentFile.ts"
import { listSegments } from "./segments.ts"

export interface RepairOptions {
  /** As it was diagnosed; nobody may write to it. */
  readonly diagnosis: Diagnosis
  /** Must be empty, or not be there. */
  readonly target: string
  readonly definitions: ReadonlyArray<AnyDefinition>
  readonly nowMs: () => number
  readonly pause: (bytes: number, bytesTotal: number) => Promise<void> | void
}

export interface Repaired {
  /** The diagnosis of the new directory. */
  readonly diagnosis: Diagnosis
  /** Events from here up to where the journal ended are lost; undefined if none are. */
  readonly lostFromSeq: Seq | undefined
  /** Up to where the damaged journal could be read. */
  readonly lostToSeq: Seq
  /** Records that are lost although their events are kept. */
  readonly lostRecords: ReadonlyArray<Finding>
  /** Why what comes next has no higher epoch although events are lost; undefined if it has, or none are. */
  readonly epochRefused: string | undefined
}

/**
 * Writes what is whole into a new directory: all events before the first damage, whole segments as they are, damaged ones
 * frame by frame. Nothing is made up: records that cannot be read are left out, and reading them stays an error. Where events
 * are lost, the epoch of what comes next is far above theirs.
 * Throws `JournalError` "Io" if nothing can be saved, and "Locked" for a directory that is in use.
 */
export const repair = async (options: RepairOptions): Promise<Repaired> => {
  const { diagnosis, target } = options
  const { directory, firstBadSeq, findings } = diagnosis
  if (diagnosis.isLive) throw new JournalError("Locked", `${directory} is in use: stop the server before the repair`)
  const endSeq = firstBadSeq ?? diagnosis.nextSeq
  const { segments } = listSegments(directory)
  const damaged = new Set(findings.filter(({ isDamage }) => isDamage).map(({ segment }) => segment))
  const bytesTotal = 2 * segments.reduce((sum, { bytes }) => sum + bytes, 0)
  const pause: Pause = (bytes) => options.pause(bytes, bytesTotal)
  makeEmptyDirectory(target)
  throwIfNoRoom(target, bytesTotal / 2)
  let nextSeq: Seq | undefined
  for (const { name, file } of segments) {
    if (nextSeq !== undefined && nextSeq >= endSeq) break
    const to = path.join(target, name)
    const source = openWhole(file)
    if (source === undefined || (nextSeq !== undefined && source.firstSeq !== nextSeq)) break
    try {
      if (!damaged.has(name) && diagnosis.moreFindings === 0 && source.nextSeq <= endSeq) {
        nextSeq = source.nextSeq
        await copyFile(file, to, pause)
      } else nextSeq = await copySegment(source, to, { endSeq, pause, salvage: true })
    } finally {
      source.close()
    }
  }
  if (nextSeq === undefined) {
    fs.rmdirSync(target)
    throw new JournalError("Io", "nothing can be saved: the oldest segment cannot be opened; restore a backup")
  }
  const clusterId = path.join(directory, "cluster-id")
  if (fs.existsSync(clusterId)) writeWhole(path.join(target, "cluster-id"), fs.readFileSync(clusterId, "utf8"))
  const repaired = await diagnose({ directory: target, definitions: options.definitions, pause })
  const epochRefused = firstBadSeq === undefined ? undefined : await raised(target, diagnosis.epoch, options)
  syncDirectory(target)
  return {
    diagnosis: repaired,
    lostFromSeq: firstBadSeq === undefined ? undefined : nextSeq,
    lostToSeq: diagnosis.nextSeq,
    lostRecords: findings.filter(({ kind, seq }) => kind === "records" && seq !== undefined && seq < nextSeq),
    epochRefused
  }
}

/** Undefined, or why not: a copy whose states cannot be folded is one where no server starts either. */
const raised = async (target: string, epoch: number, options: RepairOptions): Promise<string | undefined> => {
  try {
    await raiseEpoch(target, epoch, options)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Undefined for one of which nothing can be read. */
const openWhole = (file: string): SegmentFile | undefined => {
  try {
    return SegmentFile.open(file)
  } catch {
    return undefined
  }
}
