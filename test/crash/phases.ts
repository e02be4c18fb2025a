import * as fs from "node:fs"
import * as path from "node:path"
import { SegmentFile } from "@logbrook/core/journal/SegmentFile"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { chainOf, parseSegmentName } from "@logbrook/core/journal/segmentNames"

export type Phase = "roll" | "settling" | "taken over"

const namesIn = (directory: string): ReadonlyArray<string> =>
  fs.existsSync(directory) ? fs.readdirSync(directory) : []

/** Written by a worker: a settling, rewriting, merging or compaction. */
const isWritten = (name: string): boolean => /\.runs.*\.tmp$/.test(name)

export const isSettling = (directory: string): boolean => namesIn(directory).some(isWritten)

/** What was under way in a data directory, by what a start finds there. */
export const phasesOf = (directory: string): ReadonlyArray<Phase> => {
  const names = namesIn(directory)
  const phases: Array<Phase> = []
  if (names.some((name) => name.endsWith(".mdb.tmp"))) phases.push("roll")
  if (names.some(isWritten)) phases.push("settling")
  if (chainOf(names).superseded.length > 0) phases.push("taken over")
  return phases
}

/** Of a data directory that nobody has open: the snapshot that the last roll began is not complete. */
export const lacksSnapshot = (directory: string): boolean => {
  const newest = chainOf(namesIn(directory)).live.at(-1)
  if (newest === undefined) return false
  try {
    const segment = SegmentFile.open(path.join(directory, newest.name))
    const lacks = segment.sealed().length === 0
    segment.close()
    return lacks
  } catch (error) {
    if (error instanceof JournalError) return true
    throw error
  }
}

/** Whether a segment of this name was the first, and is gone. */
export const isDropped = (directory: string, name: string): boolean => {
  const segment = parseSegmentName(name)
  const names = namesIn(directory)
  const first = chainOf(names).live[0]
  return segment !== undefined && first !== undefined && !names.includes(name) && segment.lastNumber < first.number
}

/** LMDB's locks of segments from before the first one that is left: they go after their segments. */
export const dropLeftovers = (directory: string): ReadonlyArray<string> => {
  const names = namesIn(directory)
  const first = chainOf(names).live[0]?.number ?? 0
  return names.filter((name) => {
    const segment = name.endsWith("-lock") ? parseSegmentName(name.slice(0, -"-lock".length)) : undefined
    return segment !== undefined && segment.lastNumber < first
  })
}

/** Whether a backup into this directory was cut short. */
export const isBackupCut = (directory: string): boolean =>
  namesIn(directory).some((name) => name === "lock" || /\.(tmp|copy)(-lock)?$/.test(name))

/** Whether the data directory's last writer ended without letting go. */
export const isLocked = (directory: string): boolean => fs.existsSync(path.join(directory, "lock"))
