import * as fs from "node:fs"
import * as path from "node:path"
import { JournalError } from "../journal/JournalError.ts"
import { isPins } from "../journal/pinNames.ts"
import { lockOf, namesIn, occupancyFile } from "../journal/segmentFiles.ts"
import { chainOf, holderOf, parseSegmentName } from "../journal/segmentNames.ts"
import { isSpare } from "../journal/SpareFiles.ts"
import type { Findings } from "./Finding.ts"
import { SegmentFile } from "../journal/SegmentFile.ts"
import type { SegmentSource } from "../journal/SegmentSource.ts"

const others: ReadonlySet<string> = new Set(["lock", occupancyFile, lockOf(occupancyFile), "cluster-id"])
const isOther = (name: string): boolean => others.has(name) || isSpare(name) || isPins(name)

export interface ListedSegment {
  readonly name: string
  readonly file: string
  readonly bytes: number
}

export interface Listing {
  readonly segments: ReadonlyArray<ListedSegment>
  /** Files that this version does not know: nothing can be said about them. */
  readonly unknown: ReadonlyArray<string>
  /** Files of a roll or a repair that was cut short. */
  readonly leftovers: ReadonlyArray<string>
}

/**
 * Finds the segment that took the place of another while it was read: settled, rewritten, or merged with its
 * neighbours. It holds the same records but those that have expired, and the same events but those that are no longer
 * kept. Undefined if nothing did.
 */
export const heldInstead = ({ name, file }: ListedSegment): ListedSegment | undefined => {
  const directory = path.dirname(file)
  for (let attempt = 1; ; attempt++) {
    const holder = holderOf(namesIn(directory), name)
    if (holder === undefined || holder.name === name) return undefined
    const stat = fs.statSync(path.join(directory, holder.name), { throwIfNoEntry: false })
    // Replaced once more between the listing and now.
    if (stat === undefined && attempt < attemptsMax) continue
    return stat && { name: holder.name, file: path.join(directory, holder.name), bytes: stat.size }
  }
}

const attemptsMax = 5

/** A data directory's files. Throws `JournalError` "Io". */
export const listSegments = (directory: string): Listing => {
  const names = namesIn(directory).sort()
  const { live, superseded } = chainOf(names)
  const segments: Array<ListedSegment> = []
  for (const { name } of live) {
    const file = path.join(directory, name)
    // Dropped between the listing and now: the chain begins behind it.
    const stat = fs.statSync(file, { throwIfNoEntry: false })
    if (stat !== undefined) segments.push({ name, file, bytes: stat.size })
  }
  const unknown: Array<string> = []
  const leftovers = superseded.map(({ name }) => name)
  for (const name of names) {
    if (parseSegmentName(name) !== undefined || isOther(name)) continue
    // LMDB keeps this file beside a segment: it has the readers of living processes.
    const ofSegment = name.endsWith("-lock") ? name.slice(0, -"-lock".length) : undefined
    if (ofSegment !== undefined && parseSegmentName(ofSegment) !== undefined) {
      if (!names.includes(ofSegment)) leftovers.push(name)
    } else if (/\.tmp(-lock)?$/.test(name)) leftovers.push(name)
    else unknown.push(name)
  }
  return { segments, unknown, leftovers: leftovers.sort() }
}

export interface OpenedSegment extends ListedSegment {
  readonly source: SegmentSource
}

/** Opens one segment, which a living process writes to or not; what cannot be opened is a finding. */
export const openSegment = (
  segment: ListedSegment,
  isWritten: boolean,
  findings: Findings
): OpenedSegment | undefined => {
  try {
    return { ...segment, source: SegmentFile.open(segment.file, isWritten) }
  } catch (error) {
    if (!(error instanceof JournalError)) throw error
    findings.damage("segment", error.message, { segment: segment.name })
    return undefined
  }
}
