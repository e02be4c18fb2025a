import * as fs from "node:fs"
import * as path from "node:path"
import { systemClock } from "../Clock.ts"
import { JournalError } from "./JournalError.ts"
import { parseSegmentName, segmentName } from "./segmentNames.ts"

const temporaryPattern = /^seg-\d{8,}\.runs\.tmp(-lock)?$/

/** The file that a worker writes that settles or rewrites the segment of this number, or merges from it on. */
export const temporaryFile = (directory: string, number: number): string =>
  path.join(directory, segmentName(number, number, 1).name.replace(/mdb$/, "tmp"))

/** Throws `JournalError` "Io". */
export const namesIn = (directory: string): Array<string> => {
  try {
    return fs.readdirSync(directory)
  } catch (error) {
    throw new JournalError("Io", `cannot read ${directory}: ${(error as Error).message}`)
  }
}

/** Removes what crashes left: files of settlings, which are done again, and LMDB's locks of segments that were being removed. */
export const removeTemporaries = (directory: string): void => {
  const names = new Set(namesIn(directory))
  const isLeftLock = (name: string): boolean => {
    const file = name.endsWith(lockEnding) ? name.slice(0, -lockEnding.length) : ""
    return parseSegmentName(file) !== undefined && !names.has(file)
  }
  for (const name of names) {
    if (temporaryPattern.test(name) || isLeftLock(name)) fs.rmSync(path.join(directory, name))
  }
}

export const removeEnvironment = (file: string): void => {
  for (const name of [file, lockOf(file)]) fs.rmSync(name, { force: true })
}

const lockEnding = "-lock"

/** LMDB's own, beside each of its files. */
export const lockOf = (file: string): string => `${file}${lockEnding}`

/** An LMDB environment in which nothing is ever written: see `Occupancy`. */
export const occupancyFile = "lock.lmdb"

/** A power cut may forget a file whose directory was not synced, whatever was synced in the file. */
export const syncDirectory = (directory: string): void => {
  // Windows has no such call.
  if (process.platform === "win32") return
  const descriptor = fs.openSync(directory, "r")
  try {
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** The same off the event loop. */
const syncDirectoryAside = async (directory: string): Promise<void> => {
  if (process.platform === "win32") return
  const handle = await fs.promises.open(directory, "r")
  await handle.sync().finally(() => handle.close())
}

/** An unlink of a large file stalls appends (p99 from 3 to 11-15 ms): it is cut in steps of 8 MB every 10 ms. */
const truncateStepBytes = 8 * 1024 * 1024
const truncateStepMs = 10

/** A file that has another name, for a backup that reads it, stays as it is. */
export const unlinkInSteps = async (file: string): Promise<void> => {
  const handle = await fs.promises.open(file, "r+")
  try {
    await fs.promises.unlink(file)
    // Asked behind the unlink: nobody can give it another name any more.
    const { nlink, size: wholeBytes } = await handle.stat()
    if (nlink > 0) return
    // Else a power cut could bring the name back, with a file that was cut.
    await syncDirectoryAside(path.dirname(file))
    for (let size = wholeBytes; size > 0; size -= truncateStepBytes) {
      await handle.truncate(Math.max(0, size - truncateStepBytes))
      const { promise, resolve } = Promise.withResolvers<void>()
      systemClock.after(truncateStepMs, resolve)
      await promise
    }
  } finally {
    await handle.close()
  }
}
