import * as fs from "node:fs"

export interface LockState {
  /** "stale": the holder has ended without letting go. */
  readonly state: "free" | "held" | "stale"
  readonly pid: number
  /** Whether the holder itself took over from one that had ended without letting go. */
  readonly hadTakenOver: boolean
}

/** How the holders before this one have ended, without letting go ("unclean") or not; "uncleanAgain": the last two. */
export type LastEnd = "clean" | "unclean" | "uncleanAgain"

/** Whether the lock was taken; if not, the process that has it. A `pid` of 0: another process takes it at this moment. */
export type Taken =
  | { readonly isOurs: true; readonly lastEnd: LastEnd }
  | { readonly isOurs: false; readonly pid: number }

/**
 * A lock between processes of one machine: a file that names the one that has it. It is there as a whole or not at all, and may be
 * taken over once its process has ended.
 */
export class FileLock {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  get state(): LockState {
    return stateOf(read(this.#file))
  }

  /** Never waits. Throws what the file system says. */
  take(): Taken {
    const own = ownIdentity()
    let lastEnd: LastEnd = "clean"
    for (let attempt = 0; attempt < 2; attempt++) {
      // After two in a row it counts anew.
      if (make(this.#file, lastEnd === "unclean" ? own + takenOver : own)) return { isOurs: true, lastEnd }
      const text = read(this.#file)
      const { state, pid, hadTakenOver } = stateOf(text)
      if (state === "held") return { isOurs: false, pid }
      if (text === undefined || !removeStale(this.#file, text)) break
      lastEnd = hadTakenOver ? "uncleanAgain" : "unclean"
    }
    return { isOurs: false, pid: 0 }
  }

  /** Only one's own: it may have been taken over from a process that looked as if it had ended. */
  release(): void {
    const own = ownIdentity()
    const text = read(this.#file)
    if (text === own || text === own + takenOver) fs.rmSync(this.#file, { force: true })
  }

  /** Nobody has it, and for the next one the last two have ended without letting go. Throws what the file system says. */
  leaveSuspect(): void {
    fs.writeFileSync(this.#file, `0${takenOver}`)
  }
}

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

const ownIdentity = (): string => identity(process.pid) ?? String(process.pid)

/** Behind the identity of a holder that took over from one that had ended without letting go. */
const takenOver = " taken-over"

const stateOf = (text: string | undefined): LockState => {
  if (text === undefined) return { state: "free", pid: 0, hadTakenOver: false }
  const hadTakenOver = text.endsWith(takenOver)
  const holder = hadTakenOver ? text.slice(0, -takenOver.length) : text
  const pid = Number(holder.split(" ")[0])
  return { state: pid > 0 && identity(pid) === holder ? "held" : "stale", pid, hadTakenOver }
}

/** Whole at once, so that nobody reads half of it; false if there is a lock. */
const make = (file: string, text: string): boolean => {
  const draft = `${file}.${process.pid}`
  try {
    fs.writeFileSync(draft, text)
    fs.linkSync(draft, file)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "EEXIST") return false
    if (code === undefined || !withoutLinks.has(code)) throw error
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
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    throw error
  }
}

/** Takes away a lock whose holder has ended; false if it had become another's meanwhile, which is put back. */
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
