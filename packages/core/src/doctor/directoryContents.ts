import * as fs from "node:fs"
import { copyPattern, isArchive, manifestFile } from "../backup/Manifest.ts"
import { JournalError } from "../journal/JournalError.ts"
import { parseSegmentName } from "../journal/segmentNames.ts"

/**
 * The contents of a path. `lost`: a data directory all of whose segments are gone. `archive`: a backup in one file;
 * `file`: any other file. `other`: files that are none of ours.
 */
export type DirectoryContents =
  | "journal"
  | "backup"
  | "partOfBackup"
  | "lost"
  | "empty"
  | "missing"
  | "archive"
  | "file"
  | "other"

/** Tells a directory's contents by its names. */
export const contentsOf = (names: ReadonlyArray<string>): DirectoryContents => {
  if (names.length === 0) return "empty"
  // No server begins a journal beside it.
  if (names.includes(manifestFile)) return "backup"
  if (names.some((name) => parseSegmentName(name) !== undefined)) return "journal"
  if (names.some((name) => copyPattern.test(name))) return "partOfBackup"
  // It is of another version: whoever opens it says so.
  if (names.some((name) => /^seg-.*\.mdb$/.test(name))) return "journal"
  return names.includes("cluster-id") ? "lost" : "other"
}

/** Throws `JournalError` "Io" for what cannot be read. */
export const directoryContents = (directory: string): DirectoryContents => {
  try {
    const stat = fs.statSync(directory, { throwIfNoEntry: false })
    if (stat === undefined) return "missing"
    if (!stat.isDirectory()) return isArchive(directory) ? "archive" : "file"
    return contentsOf(fs.readdirSync(directory))
  } catch (error) {
    throw new JournalError("Io", `cannot read ${directory}: ${(error as Error).message}`)
  }
}
