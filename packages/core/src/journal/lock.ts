import * as path from "node:path"
import { FileLock, type LastEnd, type LockState, type Taken } from "../FileLock.ts"
import { JournalError } from "./JournalError.ts"

// The lock of a data directory: the file `lock` in it names its one writer.

const lockOf = (directory: string): FileLock => new FileLock(path.join(directory, "lock"))

/** Whether the directory's writer lives. */
export const lockState = (directory: string): LockState => lockOf(directory).state

const inUse = (directory: string, pid: number): JournalError =>
  new JournalError(
    "Locked",
    `${directory} is ${pid === 0 ? "being taken by another process" : `in use by process ${pid}`}`
  )

/** Throws `JournalError` "Locked" while the writer's process lives. */
export const throwIfHeld = (directory: string): void => {
  const { state, pid } = lockState(directory)
  if (state === "held") throw inUse(directory, pid)
}

const take = (directory: string): Taken => {
  try {
    return lockOf(directory).take()
  } catch (error) {
    throw new JournalError("Io", `cannot lock: ${(error as Error).message}`)
  }
}

/** Makes the caller the one writer of a directory. Throws `JournalError` "Locked" while the last writer's process lives, or "Io". */
export const acquireLock = (directory: string): LastEnd => {
  const taken = take(directory)
  if (!taken.isOurs) throw inUse(directory, taken.pid)
  return taken.lastEnd
}

/** For a start that failed after an unclean end: nobody holds the directory, and the next start looks at everything. */
export const leaveSuspect = (directory: string): void => {
  try {
    lockOf(directory).leaveSuspect()
  } catch {
    // The lock that stays is one of a process that has ended, soon.
  }
}

export const releaseLock = (directory: string): void => lockOf(directory).release()
