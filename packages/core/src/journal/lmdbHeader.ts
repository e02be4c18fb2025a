import * as fs from "node:fs"
import { JournalError } from "./Journal.ts"

const metaMagic = 0xbeef_c0de
const metaVersion = 2
const magicAt = 24
const versionAt = 28
const pageSizeAt = 48
const headBytes = 52

const isMeta = (head: Buffer): boolean =>
  head.readUInt32LE(magicAt) === metaMagic && head.readUInt32LE(versionAt) === metaVersion

/**
 * Whether a file begins with LMDB's two meta pages; false if it was never written to.
 * Throws `JournalError` "Corrupt" for anything else: lmdb 3.5.6 ends the process with SIGSEGV when it cannot open a file.
 */
export const isEnvironment = (file: string): boolean => {
  const descriptor = fs.openSync(file, "r")
  try {
    const first = Buffer.alloc(headBytes)
    fs.readSync(descriptor, first, 0, headBytes, 0)
    if (first.every((byte) => byte === 0)) return false
    const second = Buffer.alloc(headBytes)
    if (isMeta(first)) fs.readSync(descriptor, second, 0, headBytes, first.readUInt32LE(pageSizeAt))
    if (isMeta(first) && isMeta(second)) return true
    throw new JournalError("Corrupt", `${file} is no LMDB environment`)
  } finally {
    fs.closeSync(descriptor)
  }
}
