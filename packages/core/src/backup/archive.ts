import * as fs from "node:fs"
import * as path from "node:path"
import { create, extract } from "tar"
import { JournalError } from "../journal/JournalError.ts"
import { syncDirectory } from "../journal/segmentFiles.ts"
import { copyPattern, manifestFile, readManifest } from "./Manifest.ts"

const isBackupFile = (name: string): boolean => name === manifestFile || copyPattern.test(name)

/** The file system's errors have a system call; those of the format do not. */
const named = (error: unknown, file: string): unknown => {
  if (!(error instanceof Error) || error instanceof JournalError) return error
  return new JournalError("syscall" in error ? "Io" : "Corrupt", `${file}: ${error.message}`)
}

/** Packs a backup's directory into one POSIX tar, which appears whole or not at all. Rejects with `JournalError`. */
export const packBackup = async (directory: string, file: string): Promise<void> => {
  const manifest = readManifest(directory)
  if (manifest === undefined) throw new JournalError("Io", `${directory} holds no backup`)
  const building = `${file}.tmp`
  try {
    const names = [manifestFile, ...manifest.segments.map((segment) => segment.file)]
    await create({ file: building, cwd: directory, portable: true, strict: true }, names)
    const handle = await fs.promises.open(building, "r+")
    await handle.sync().finally(() => handle.close())
    fs.renameSync(building, file)
    syncDirectory(path.dirname(path.resolve(file)))
  } catch (error) {
    fs.rmSync(building, { force: true })
    throw named(error, file)
  }
}

/**
 * Unpacks such a file into an empty directory. Rejects with `JournalError`: "Corrupt" for one that is cut off or holds
 * what is no backup's. Whether what it holds is whole, the restore finds out.
 */
export const unpackBackup = async (file: string, directory: string): Promise<void> => {
  let foreign: string | undefined
  const filter = (name: string): boolean => {
    if (isBackupFile(name)) return true
    foreign ??= name
    return false
  }
  try {
    await extract({ file, cwd: directory, strict: true, preserveOwner: false, filter })
  } catch (error) {
    throw named(error, file)
  }
  if (foreign !== undefined) throw new JournalError("Corrupt", `${file} holds ${foreign}, which is no backup's`)
  if (readManifest(directory) === undefined) throw new JournalError("Corrupt", `${file} holds no backup`)
}
