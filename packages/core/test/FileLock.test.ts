import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { beforeEach, expect, it } from "vitest"
import { FileLock } from "../src/FileLock.ts"
import { temporaryDirectory } from "./support/temporary.ts"

let file: string
let lock: FileLock

beforeEach(() => {
  file = join(temporaryDirectory(), "lock")
  lock = new FileLock(file)
})

/** A process whose child has ended and is never waited for. */
const zombie = `import os, sys, time
pid = os.fork()
if pid == 0: os._exit(0)
print(pid, flush=True)
time.sleep(30)`

/** As if this process had ended. */
const die = (): void => writeFileSync(file, readFileSync(file, "utf8").replace(String(process.pid), "4999999"))

it("tells how the holders before have ended, two of them", () => {
  expect(lock.state).toEqual({ state: "free", pid: 0, hadTakenOver: false })
  expect(lock.take()).toEqual({ isOurs: true, lastEnd: "clean" })
  expect(lock.take()).toEqual({ isOurs: false, pid: process.pid })
  die()
  expect(lock.state).toEqual({ state: "stale", pid: 4_999_999, hadTakenOver: false })
  expect(lock.take()).toEqual({ isOurs: true, lastEnd: "unclean" })
  expect(lock.state).toEqual({ state: "held", pid: process.pid, hadTakenOver: true })
  die()
  expect(lock.take()).toEqual({ isOurs: true, lastEnd: "uncleanAgain" })
  die()
  expect(lock.take()).toEqual({ isOurs: true, lastEnd: "unclean" })
  lock.release()
  expect(lock.take()).toEqual({ isOurs: true, lastEnd: "clean" })
  lock.leaveSuspect()
  expect(lock.take()).toEqual({ isOurs: true, lastEnd: "uncleanAgain" })
})

it("is let go of by who has it only, and leaves nothing else", () => {
  lock.take()
  writeFileSync(file, "1 2 another")
  lock.release()
  expect(readFileSync(file, "utf8")).toBe("1 2 another")
  expect(lock.take()).toEqual({ isOurs: true, lastEnd: "unclean" })
  expect(readdirSync(dirname(file))).toEqual(["lock"])
  lock.release()
  expect(readdirSync(dirname(file))).toEqual([])
})

it("is nobody's where its file cannot be", () => {
  expect(() => new FileLock(join(file, "none", "lock")).take()).toThrow("ENOENT")
})

it("is one process's when many take over at the same time from one that has ended", async () => {
  const source = join(import.meta.dirname, "../src/FileLock.ts")
  const script = `
    const { FileLock } = await import(${JSON.stringify(source)})
    while (Date.now() < Number(process.argv[1])) {}
    console.log(new FileLock(process.argv[2]).take().isOurs ? "has it" : "is late")
    setInterval(() => undefined, 1000)`
  for (let round = 0; round < 3; round++) {
    writeFileSync(file, "4999999 1 none")
    const startMs = String(Date.now() + 700)
    const takers = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ["--input-type=module", "-e", script, startMs, file])
    )
    const words = await Promise.all(takers.map(async ({ stdout }) => String((await once(stdout, "data"))[0]).trim()))
    expect(words.filter((word) => word === "has it")).toHaveLength(1)
    // Whoever has it lives until all have spoken.
    const ended = takers.map((taker) => once(taker, "exit"))
    for (const taker of takers) taker.kill("SIGKILL")
    await Promise.all(ended)
  }
})

it.runIf(existsSync("/proc/self/stat"))("is free when its holder has ended and nobody has waited for it", async () => {
  const parent = spawn("python3", ["-c", zombie], { stdio: ["ignore", "pipe", "inherit"] })
  try {
    const pid = Number(String(await new Promise((resolve) => parent.stdout.once("data", resolve))))
    const stat = (): string => readFileSync(`/proc/${pid}/stat`, "utf8")
    await expect.poll(() => stat().split(") ")[1]![0]).toBe("Z")
    const startedAt = stat().split(") ")[1]!.split(" ")[19]
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    writeFileSync(file, `${pid} ${startedAt} ${bootId}`)
    expect(lock.take()).toEqual({ isOurs: true, lastEnd: "unclean" })
  } finally {
    parent.kill("SIGKILL")
  }
})
