import { LmdbFile, PageDamage } from "./LmdbFile.ts"
import { JournalError } from "./JournalError.ts"

/**
 * Throws `JournalError` "Corrupt" for a file that is no whole LMDB environment, since lmdb 3.5.6 maps it and ends the
 * process with SIGSEGV or SIGBUS: meta pages, roots and the file's length are looked at, or `everyPage` of its tables.
 */
export const throwIfDamaged = (file: string, everyPage: boolean, tables: ReadonlyArray<string>): void => {
  try {
    look(file, everyPage, tables)
  } catch (error) {
    if (!(error instanceof PageDamage)) throw error
    throw new JournalError("Corrupt", `${file} is damaged: ${error.message}`)
  }
}

const look = (file: string, everyPage: boolean, tables: ReadonlyArray<string>): void => {
  const opened = LmdbFile.open(file)
  try {
    if (!everyPage) opened.checkRoots(tables)
    else {
      opened.check(tables, (damage) => {
        throw damage
      })
    }
  } finally {
    opened.close()
  }
}
