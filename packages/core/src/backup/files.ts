import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { JournalError } from "../journal/JournalError.ts"
import { syncDirectory } from "../journal/segmentFiles.ts"
import { makeDirectory } from "../makeDirectory.ts"

const stepBytes = 1024 * 1024

export type Pause = (bytes: number) => Promise<void> | void

const eachStep = async (file: string, pause: Pause, visit: (bytes: Buffer) => void): Promise<number> => {
  const descriptor = fs.openSync(file, "r")
  const piece = Buffer.allocUnsafeSlow(stepBytes)
  let at = 0
  try {
    for (;;) {
      const read = fs.readSync(descriptor, piece, 0, stepBytes, at)
      if (read === 0) return at
      visit(piece.subarray(0, read))
      at += read
      await pause(read)
    }
  } finally {
    fs.closeSync(descriptor)
  }
}

export interface Digest {
  readonly bytes: number
  /** Lower-case hexadecimal digits. */
  readonly sha256: string
}

export const digestOf = async (file: string, pause: Pause): Promise<Digest> => {
  const hash = createHash("sha256")
  const bytes = await eachStep(file, pause, (piece) => hash.update(piece))
  return { bytes, sha256: hash.digest("hex") }
}

/** Copies in steps and syncs; the digest is of what was read. */
export const copyFile = async (from: string, to: string, pause: Pause): Promise<Digest> => {
  const hash = createHash("sha256")
  const target = fs.openSync(to, "w")
  try {
    const bytes = await eachStep(from, pause, (piece) => {
      hash.update(piece)
      for (let done = 0; done < piece.length;) done += fs.writeSync(target, piece, done)
    })
    fs.fsyncSync(target)
    return { bytes, sha256: hash.digest("hex") }
  } finally {
    fs.closeSync(target)
  }
}

/** Whole or not at all: written beside, synced, renamed. */
export const writeWhole = (file: string, text: string): void => {
  const building = `${file}.tmp`
  const descriptor = fs.openSync(building, "w")
  try {
    fs.writeFileSync(descriptor, text)
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
  fs.renameSync(building, file)
  syncDirectory(path.dirname(file))
}

/** Throws `JournalError` "Io" unless the directory is empty or can be made; makes it. */
export const makeEmptyDirectory = (directory: string): void => {
  makeDirectory(directory)
  if (fs.readdirSync(directory).length > 0) throw new JournalError("Io", `${directory} is not empty`)
}

/** Throws `JournalError` "Io" if the directory's file system has not this much room. */
export const throwIfNoRoom = (directory: string, bytes: number): void => {
  const { bavail, bsize } = fs.statfsSync(directory)
  if (bavail * bsize < bytes) {
    throw new JournalError("Io", `${directory} has ${bavail * bsize} bytes free, ${bytes} are needed`)
  }
}
