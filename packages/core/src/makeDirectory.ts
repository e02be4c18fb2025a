import * as fs from "node:fs"
import * as path from "node:path"
import { JournalError } from "./journal/JournalError.ts"
import { syncDirectory } from "./journal/segmentFiles.ts"

/**
 * Makes a directory and those above it, durably: a power cut must not forget it with all that is in it. A directory
 * that is there is fine. Throws `JournalError` "Io". Node's own (`recursive: true`, up to 24 at least) never returns
 * for a path such as `/proc/x`, where the parent exists and says ENOENT.
 */
export const makeDirectory = (directory: string): void => {
  try {
    makePath(directory)
  } catch (error) {
    throw new JournalError("Io", `cannot make ${directory}: ${(error as Error).message}`)
  }
}

const makePath = (directory: string): void => {
  try {
    makeOne(directory)
  } catch (error) {
    const parent = path.dirname(path.resolve(directory))
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || fs.existsSync(parent)) throw error
    makePath(parent)
    makeOne(directory)
  }
}

const makeOne = (directory: string): void => {
  try {
    fs.mkdirSync(directory)
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === "EEXIST" && fs.statSync(directory).isDirectory()
    if (!isThere) throw error
    return
  }
  syncParent(directory)
}

const syncParent = (directory: string): void => {
  try {
    syncDirectory(path.dirname(path.resolve(directory)))
  } catch (error) {
    // A directory that may be written to and not read cannot be synced.
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error
  }
}
