import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
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

it("is let go of by who has it only, and leaves nothing else", () => {
  const directory = mkdtempSync(join(tmpdir(), "logbrook-lock-"))
  const file = join(directory, "lock")
  acquireLock(directory)
  writeFileSync(file, "1 2 another")
  releaseLock(directory)
  expect(readFileSync(file, "utf8")).toBe("1 2 another")
  expect(acquireLock(directory)).toBe("unclean")
  expect(readdirSync(directory)).toEqual(["lock"])
  releaseLock(directory)
  expect(readdirSync(directory)).toEqual([])
  rmSync(directory, { recursive: true })
})

it("is one process's when many take over at the same time from one that has ended", async () => {
  const directory = mkdtempSync(join(tmpdir(), "logbrook-lock-"))
  const lock = join(import.meta.dirname, "../../src/journal/lock.ts")
  const script = `
    const { acquireLock } = await import(${JSON.stringify(lock)})
    while (Date.now() < Number(process.argv[1])) {}
    try { acquireLock(process.argv[2]); console.log("has it") } catch { console.log("is late") }
    setInterval(() => undefined, 1000)`
  for (let round = 0; round < 3; round++) {
    writeFileSync(join(directory, "lock"), "4999999 1 none")
    const startMs = String(Date.now() + 700)
    const takers = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ["--input-type=module", "-e", script, startMs, directory])
    )
    const words = await Promise.all(takers.map(async ({ stdout }) => String((await once(stdout, "data"))[0]).trim()))
    expect(words.filter((word) => word === "has it")).toHaveLength(1)
    // Whoever has it lives until all have spoken.
    const ended = takers.map((taker) => once(taker, "exit"))
    for (const taker of takers) taker.kill("SIGKILL")
    await Promise.all(ended)
  }
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
