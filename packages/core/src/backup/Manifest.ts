import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { parseSegmentName } from "../journal/segmentNames.ts"
import type { Digest } from "./files.ts"

export const manifestFile = "backup.json"
export const backupFormat = 1

export interface BackedUpSegment extends Digest {
  /** As in the data directory. */
  readonly name: string
  /** As in the backup: the name and the digest's first digits, so that no copy overwrites another. */
  readonly file: string
  readonly firstSeq: Seq
  readonly nextSeq: Seq
  /** Copied byte by byte after its roll: it will not change. False for the newest, which holds what there was up to `nextSeq`. */
  readonly isClosed: boolean
}

/** The contents of a backup, written last: `backup.json`. */
export interface Manifest {
  readonly format: number
  /** The cluster id of the server whose data this is; empty if it never ran. */
  readonly clusterId: string
  /** When it was made, ISO 8601. */
  readonly time: string
  readonly firstSeq: Seq
  /** The seq after the last event. */
  readonly nextSeq: Seq
  /** The time of the last event, Unix milliseconds. */
  readonly lastTimeMs: number
  readonly epoch: number
  readonly segments: ReadonlyArray<BackedUpSegment>
}

/** A segment's name with a digest's first digits. */
export const copyPattern = /^seg-\d{8,}(-\d{8,})?(\.runs(-\d{1,9})?)?-[0-9a-f]{16}\.mdb$/

/** `seg-00000007.mdb` with this digest. */
export const copyName = (name: string, sha256: string): string => `${name.slice(0, -4)}-${sha256.slice(0, 16)}.mdb`

/** Whether a backup of this name is one file instead of a directory. */
export const isArchive = (name: string): boolean => name.endsWith(".tar")

const digest = (manifest: Manifest): string => createHash("sha256").update(JSON.stringify(manifest)).digest("hex")

export const encodeManifest = (manifest: Manifest): string =>
  `${JSON.stringify({ ...manifest, sha256: digest(manifest) }, null, 2)}\n`

/** Undefined where there is no backup. Throws `JournalError`: "Corrupt" for one that was changed, "UnknownFormat". */
export const readManifest = (directory: string): Manifest | undefined => {
  const file = path.join(directory, manifestFile)
  let text: string
  try {
    text = fs.readFileSync(file, "utf8")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw new JournalError("Io", `cannot read ${file}: ${(error as Error).message}`)
  }
  let read: Manifest & { readonly sha256?: unknown }
  try {
    read = JSON.parse(text) as typeof read
  } catch {
    throw new JournalError("Corrupt", `${file} is no JSON`)
  }
  const { sha256, ...manifest } = read
  if (manifest.format !== backupFormat) {
    throw new JournalError("UnknownFormat", `${file} has format ${manifest.format}; this version reads ${backupFormat}`)
  }
  if (sha256 !== digest(manifest)) throw new JournalError("Corrupt", `${file} was changed: its checksum fails`)
  if (!manifest.segments.every(({ name, file }) => parseSegmentName(name) !== undefined && copyPattern.test(file))) {
    throw new JournalError("Corrupt", `${file} names files that are none of a backup's`)
  }
  return manifest
}
