import { LmdbFile, PageDamage } from "../doctor/LmdbFile.ts"
import { JournalError } from "./Journal.ts"
import { tableNames } from "./LmdbSegment.ts"

const attemptsMax = 5

/**
 * Whether a file is an LMDB environment; false if it was never written to.
 * Throws `JournalError` "Corrupt" for meta pages and roots that are not whole, and for a file that lacks pages: lmdb 3.5.6
 * maps it, and ends the process with SIGSEGV or SIGBUS.
 */
export const isEnvironment = (file: string): boolean => {
  for (let attempt = 1; ; attempt++) {
    try {
      return looksWhole(file)
    } catch (error) {
      if (!(error instanceof PageDamage)) throw error
      // Beside a writer, a commit may fall between two reads.
      if (attempt === attemptsMax) throw new JournalError("Corrupt", `${file} is damaged: ${error.message}`)
    }
  }
}

const looksWhole = (file: string): boolean => {
  const opened = LmdbFile.open(file)
  if (opened === undefined) return false
  try {
    opened.checkRoots(tableNames)
    return true
  } finally {
    opened.close()
  }
}
