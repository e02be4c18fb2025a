import * as fs from "node:fs"
import * as path from "node:path"
import { JournalError } from "../journal/Journal.ts"
import type { Findings } from "./Finding.ts"
import { SegmentFile } from "./SegmentFile.ts"
import type { SegmentSource } from "./SegmentSource.ts"

const segmentPattern = /^seg-\d{8}(\.runs)?\.mdb$/
/** What LMDB keeps beside a file: readers of living processes. */
const readersPattern = /^seg-\d{8}(\.runs)?\.mdb-lock$/
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

/** The name under which a segment goes on once it is settled. */
const settledName = (name: string): string => name.replace(/(\.runs)?\.mdb$/, ".runs.mdb")

/** What took a segment's place while it was read: the same events and records, settled. */
export const settledInstead = ({ name, file }: SegmentName): SegmentName | undefined => {
  const settled = path.join(path.dirname(file), settledName(name))
  const stat = settled === file ? undefined : fs.statSync(settled, { throwIfNoEntry: false })
  return stat && { name: settledName(name), file: settled, bytes: stat.size }
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
    if (segmentPattern.test(name) && names.includes(settledName(name)) && name !== settledName(name)) {
      // Its settled file counts: a crash came before it was removed, or a server is about to.
      leftovers.push(name)
    } else if (segmentPattern.test(name)) {
      // Dropped between the listing and now: the chain begins behind it.
      const stat = fs.statSync(file, { throwIfNoEntry: false })
      if (stat !== undefined) segments.push({ name, file, bytes: stat.size })
    } else if (readersPattern.test(name)) {
      if (!names.includes(name.slice(0, -"-lock".length))) leftovers.push(name)
    } else if (/\.tmp(-lock)?$/.test(name)) leftovers.push(name)
    else if (!otherFiles.has(name)) unknown.push(name)
  }
  return { segments, unknown, leftovers }
}

export interface OpenedSegment extends SegmentName {
  readonly source: SegmentSource
}

/** Opens one segment, which a living process writes to or not; what cannot be opened is a finding. */
export const openSegment = (
  segment: SegmentName,
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
