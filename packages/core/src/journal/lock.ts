import * as fs from "node:fs"
import * as path from "node:path"
import { JournalError } from "./Journal.ts"

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

/** Whether the directory's writer lives; "stale": it has ended without letting go. */
export const lockState = (directory: string): { readonly state: "free" | "held" | "stale"; readonly pid: number } => {
  const holder = read(lockFile(directory))
  if (holder === undefined) return { state: "free", pid: 0 }
  const pid = Number(holder.split(" ")[0])
  return { state: pid > 0 && identity(pid) === holder ? "held" : "stale", pid }
}

/** One writer per directory; false if the last one has ended without letting go. Throws `JournalError` "Locked" while its process lives. */
export const acquireLock = (directory: string): boolean => {
  const file = lockFile(directory)
  const own = identity(process.pid) ?? String(process.pid)
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      fs.writeFileSync(file, own, { flag: "wx" })
      return attempt === 0
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        throw new JournalError("Io", `cannot lock ${directory}: ${(error as Error).message}`)
      }
    }
    const { state, pid } = lockState(directory)
    if (state === "held") {
      throw new JournalError("Locked", `${directory} is in use by process ${pid}`)
    }
    fs.rmSync(file, { force: true })
  }
  throw new JournalError("Locked", `${directory} is being taken by another process`)
}

export const releaseLock = (directory: string): void => fs.rmSync(lockFile(directory), { force: true })
