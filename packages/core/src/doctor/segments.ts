import * as fs from "node:fs"
import * as path from "node:path"
import { lockState } from "../journal/lock.ts"
import { JournalError } from "../journal/Journal.ts"
import { isEnvironment } from "../journal/lmdbHeader.ts"
import { LmdbSegment } from "../journal/LmdbSegment.ts"
import type { Findings } from "./Finding.ts"
import { PageDamage } from "./LmdbFile.ts"
import { SegmentFile } from "./SegmentFile.ts"
import type { SegmentSource } from "./SegmentSource.ts"

const segmentPattern = /^seg-\d{8}\.mdb$/
/** What LMDB keeps beside a file: readers of living processes. */
const readersPattern = /^seg-\d{8}\.mdb-lock$/
const otherFiles = new Set(["lock", "cluster-id"])

export interface SegmentName {
  readonly name: string
  readonly file: string
  readonly bytes: number
}

export interface Listing {
  readonly segments: ReadonlyArray<SegmentName>
  /** Files that this version does not know: nothing can be said about them. */
  readonly unknown: ReadonlyArray<string>
  /** Of a roll or a repair that was cut short. */
  readonly leftovers: ReadonlyArray<string>
}

/** A data directory's files. Throws `JournalError` "Io". */
export const listSegments = (directory: string): Listing => {
  let names: Array<string>
  try {
    names = fs.readdirSync(directory).sort()
  } catch (error) {
    throw new JournalError("Io", `cannot read ${directory}: ${(error as Error).message}`)
  }
  const segments: Array<SegmentName> = []
  const unknown: Array<string> = []
  const leftovers: Array<string> = []
  for (const name of names) {
    const file = path.join(directory, name)
    if (segmentPattern.test(name)) {
      // Dropped between the listing and now: the chain begins behind it.
      const stat = fs.statSync(file, { throwIfNoEntry: false })
      if (stat !== undefined) segments.push({ name, file, bytes: stat.size })
    } else if (readersPattern.test(name)) {
      if (!names.includes(name.slice(0, -"-lock".length))) leftovers.push(name)
    } else if (name.endsWith(".tmp")) leftovers.push(name)
    else if (!otherFiles.has(name)) unknown.push(name)
  }
  return { segments, unknown, leftovers }
}

/** Room for what a writer may add while it is read. */
const mapBytesOf = (bytes: number): number => Math.max(4 * bytes, 4 * 1024 * 1024 * 1024)

/** Opens a segment that somebody may be writing to through LMDB, any other page by page. */
const openSource = ({ file, bytes }: SegmentName, isWritten: boolean): SegmentSource | undefined => {
  if (!isWritten) return SegmentFile.open(file)
  return isEnvironment(file) ? LmdbSegment.open(file, { mapBytes: mapBytesOf(bytes), readOnly: true }) : undefined
}

export interface OpenedSegment extends SegmentName {
  readonly source: SegmentSource
}

/** True while a living process writes to the directory; its newest segment changes under its readers. */
export const isWritten = (directory: string): boolean => lockState(directory).state === "held"

/** Opens one segment; what cannot be opened is a finding. */
export const openSegment = (
  segment: SegmentName,
  isNewest: boolean,
  isLive: boolean,
  findings: Findings
): OpenedSegment | undefined => {
  const { name } = segment
  try {
    const source = openSource(segment, isNewest && isLive)
    if (source !== undefined) return { ...segment, source }
    if (isNewest) findings.notice("leftover", "a roll was cut short: nothing is in it", { segment: name })
    else findings.damage("segment", "has no format version", { segment: name })
  } catch (error) {
    if (!(error instanceof PageDamage) && !(error instanceof JournalError)) throw error
    findings.damage("segment", error.message, { segment: name })
  }
  return undefined
}
