import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "vitest"
import { acquireLock, leaveSuspect, lockState, releaseLock } from "../../src/journal/lock.ts"

/** A process whose child has ended and is never waited for. */
const zombie = `import os, sys, time
pid = os.fork()
if pid == 0: os._exit(0)
print(pid, flush=True)
time.sleep(30)`

it("tells how the writers before have ended, two of them", () => {
  const directory = mkdtempSync(join(tmpdir(), "logbrook-lock-"))
  const file = join(directory, "lock")
  /** As if this process had ended. */
  const die = (): void => writeFileSync(file, readFileSync(file, "utf8").replace(String(process.pid), "4999999"))
  expect(acquireLock(directory)).toBe("clean")
  expect(() => acquireLock(directory)).toThrow(`in use by process ${process.pid}`)
  die()
  expect(acquireLock(directory)).toBe("unclean")
  expect(lockState(directory)).toEqual({ state: "held", pid: process.pid, hadTakenOver: true })
  die()
  expect(acquireLock(directory)).toBe("uncleanAgain")
  die()
  expect(acquireLock(directory)).toBe("unclean")
  releaseLock(directory)
  expect(acquireLock(directory)).toBe("clean")
  leaveSuspect(directory)
  expect(acquireLock(directory)).toBe("uncleanAgain")
  rmSync(directory, { recursive: true })
})

it.runIf(existsSync("/proc/self/stat"))("is free when its holder has ended and nobody has waited for it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "logbrook-lock-"))
  const parent = spawn("python3", ["-c", zombie], { stdio: ["ignore", "pipe", "inherit"] })
  try {
    const pid = Number(String(await new Promise((resolve) => parent.stdout.once("data", resolve))))
    const stat = (): string => readFileSync(`/proc/${pid}/stat`, "utf8")
    await expect.poll(() => stat().split(") ")[1]![0]).toBe("Z")
    const startedAt = stat().split(") ")[1]!.split(" ")[19]
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    writeFileSync(join(directory, "lock"), `${pid} ${startedAt} ${bootId}`)
    expect(acquireLock(directory)).toBe("unclean")
  } finally {
    parent.kill("SIGKILL")
    rmSync(directory, { recursive: true })
  }
})
