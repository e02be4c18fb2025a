import * as fs from "node:fs"
import * as path from "node:path"
import { open, type RootDatabase, type Transaction } from "lmdb"
import { JournalError } from "./JournalError.ts"
import { throwIfDamaged } from "./lmdbHeader.ts"
import { forgetStores } from "./lmdbStores.ts"
import { lockOf, occupancyFile } from "./segmentFiles.ts"

const mapBytes = 1024 * 1024

/**
 * Tells writers apart that cannot see each other's processes, in two containers. The file `lock` names a process;
 * this lock the kernel lets go of when the process ends, however it ends. LMDB locks the table of readers beside a
 * file (fcntl) for as long as anybody has it open, and whoever opens it alone finds it empty; a writer is in it as a
 * reader.
 */
export class Occupancy {
  readonly #environment: RootDatabase
  readonly #presence: Transaction

  private constructor(environment: RootDatabase, presence: Transaction) {
    this.#environment = environment
    this.#presence = presence
  }

  /** Throws `JournalError` "Locked" while another process has the directory, "Io" for what the file system says. */
  static take(directory: string): Occupancy {
    const file = path.join(directory, occupancyFile)
    const environment = openAt(file)
    const pids = readersOf(environment)
    if (pids.length > 0) {
      // Not a reader itself: LMDB strikes nobody off when it closes, not even the same process id of another container.
      void environment.close()
      forgetStores(environment)
      throw inUse(directory, pids)
    }
    const presence = enter(environment)
    const all = readersOf(environment)
    // Two at the same time: each stays in the table until it ends, for the other to see.
    if (presence === undefined || all.length !== 1) throw inUse(directory, all)
    return new Occupancy(environment, presence)
  }

  async release(): Promise<void> {
    this.#presence.done()
    await this.#environment.close()
    forgetStores(this.#environment)
  }
}

/** Undefined if LMDB refuses it: a process of the same id, in another container, has just entered. */
const enter = (environment: RootDatabase): Transaction | undefined => {
  try {
    return environment.useReadTransaction()
  } catch {
    return undefined
  }
}

const inUse = (directory: string, pids: ReadonlyArray<number>): JournalError =>
  new JournalError("Locked", `${directory} is in use by process ${pids.join(" and ")}, as it is called where it runs`)

const openAt = (file: string): RootDatabase => {
  try {
    if (fs.existsSync(file)) renewIfDamaged(file)
    return open({ path: file, noSubdir: true, mapSize: mapBytes, overlappingSync: false } as never)
  } catch (error) {
    throw new JournalError("Io", `cannot lock ${file}: ${(error as Error).message}`)
  }
}

/** It holds nothing; and LMDB would end the process. */
const renewIfDamaged = (file: string): void => {
  if (!isDamaged(file)) return
  // Or it is not whole yet: another process is making it.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, makingMsMax)
  if (!isDamaged(file)) return
  for (const each of [file, lockOf(file)]) fs.rmSync(each, { force: true })
}

const makingMsMax = 200

const isDamaged = (file: string): boolean => {
  try {
    throwIfDamaged(file, false, [])
    return false
  } catch (error) {
    if (!(error instanceof JournalError)) throw error
    return true
  }
}

/** LMDB's own text: a line for each, with its process id, thread and transaction. */
const readersOf = (environment: RootDatabase): ReadonlyArray<number> =>
  Array.from(environment.readerList().matchAll(/^\s*(\d+) [0-9a-f]+ /gm), ([, pid]) => Number(pid))
