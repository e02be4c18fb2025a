import * as fs from "node:fs"
import * as path from "node:path"
import { JournalError } from "./JournalError.ts"

const lockFile = (directory: string): string => path.join(directory, "lock")

const read = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8").trim()
  } catch {
    return undefined
  }
}

/** A process id is used again after a crash or a boot: with the boot's id and the start time it is another process. */
const identity = (pid: number): string | undefined => {
  const stat = read(`/proc/${pid}/stat`)
  if (stat === undefined) return fs.existsSync("/proc/self") ? undefined : aliveWithoutProc(pid)
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  // A zombie has ended and let go of everything; where nobody waits for it, it stays.
  if (fields[0] === "Z" || fields[0] === "X") return undefined
  const startedAt = fields[19]
  return `${pid} ${startedAt} ${read("/proc/sys/kernel/random/boot_id")}`
}

const aliveWithoutProc = (pid: number): string | undefined => {
  try {
    process.kill(pid, 0)
    return `${pid} 0`
  } catch {
    return undefined
  }
}

/** Behind the identity of a writer that took over from one that had ended without letting go. */
const takenOver = " taken-over"

export interface LockState {
  /** "stale": the writer has ended without letting go. */
  readonly state: "free" | "held" | "stale"
  readonly pid: number
  /** Whether the writer itself took over from one that had ended without letting go. */
  readonly hadTakenOver: boolean
}

/** Whether the directory's writer lives. */
export const lockState = (directory: string): LockState => stateOf(read(lockFile(directory)))

const stateOf = (text: string | undefined): LockState => {
  if (text === undefined) return { state: "free", pid: 0, hadTakenOver: false }
  const hadTakenOver = text.endsWith(takenOver)
  const holder = hadTakenOver ? text.slice(0, -takenOver.length) : text
  const pid = Number(holder.split(" ")[0])
  return { state: pid > 0 && identity(pid) === holder ? "held" : "stale", pid, hadTakenOver }
}

/** How the writers before this one have ended, without letting go ("unclean") or not; "uncleanAgain": the last two. */
export type LastEnd = "clean" | "unclean" | "uncleanAgain"

/** Whole at once, so that nobody reads half of it; false if there is a lock. */
const make = (file: string, text: string): boolean => {
  const draft = `${file}.${process.pid}`
  try {
    fs.writeFileSync(draft, text)
    fs.linkSync(draft, file)
    return true
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === "EEXIST") return false
    if (code === undefined || !withoutLinks.has(code)) throw new JournalError("Io", `cannot lock: ${message}`)
    return makeWithoutLink(file, text)
  } finally {
    fs.rmSync(draft, { force: true })
  }
}

/** The errors of file systems without hard links. */
const withoutLinks: ReadonlySet<string> = new Set(["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"])

const makeWithoutLink = (file: string, text: string): boolean => {
  try {
    fs.writeFileSync(file, text, { flag: "wx" })
    return true
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === "EEXIST") return false
    throw new JournalError("Io", `cannot lock: ${message}`)
  }
}

/** Takes away a lock whose writer has ended; false if it had become another's meanwhile, which is put back. */
const removeStale = (file: string, text: string): boolean => {
  const taken = `${file}.${process.pid}.stale`
  try {
    fs.renameSync(file, taken)
    const isSame = read(taken) === text
    if (!isSame) fs.linkSync(taken, file)
    return isSame
  } catch {
    // Somebody else has taken it away.
    return false
  } finally {
    fs.rmSync(taken, { force: true })
  }
}

const inUse = (directory: string, pid: number): JournalError =>
  new JournalError("Locked", `${directory} is in use by process ${pid}`)

/** Throws `JournalError` "Locked" while the writer's process lives. */
export const throwIfHeld = (directory: string): void => {
  const { state, pid } = lockState(directory)
  if (state === "held") throw inUse(directory, pid)
}

/** Makes the caller the one writer of a directory. Throws `JournalError` "Locked" while the last writer's process lives. */
export const acquireLock = (directory: string): LastEnd => {
  const file = lockFile(directory)
  const own = identity(process.pid) ?? String(process.pid)
  let lastEnd: LastEnd = "clean"
  for (let attempt = 0; attempt < 2; attempt++) {
    // After two in a row everything is looked at: the next one counts anew.
    if (make(file, lastEnd === "unclean" ? own + takenOver : own)) return lastEnd
    const text = read(file)
    const { state, pid, hadTakenOver } = stateOf(text)
    if (state === "held") throw inUse(directory, pid)
    if (text === undefined || !removeStale(file, text)) break
    lastEnd = hadTakenOver ? "uncleanAgain" : "unclean"
  }
  throw new JournalError("Locked", `${directory} is being taken by another process`)
}

/** For a start that failed after such an end: nobody holds the directory, and the next start looks at everything. */
export const leaveSuspect = (directory: string): void => {
  try {
    fs.writeFileSync(lockFile(directory), `0${takenOver}`)
  } catch {
    // The lock that stays is one of a process that has ended, soon.
  }
}

/** Only one's own: it may have been taken over from a process that looked as if it had ended. */
export const releaseLock = (directory: string): void => {
  const file = lockFile(directory)
  const own = identity(process.pid) ?? String(process.pid)
  const text = read(file)
  if (text === own || text === own + takenOver) fs.rmSync(file, { force: true })
}
