import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { describe, expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"

const source = join(import.meta.dirname, "../../src/journal/LmdbJournal.ts")

/** Another process that has the journal, until it is killed. */
const writerOf = async (directory: string) => {
  const script = `
    const { LmdbJournal } = await import(${JSON.stringify(source)})
    LmdbJournal.open({ directory: process.argv[1], segmentBytes: 1e6, segmentRefsMax: 1000 })
    console.log("open")
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, directory])
  let errors = ""
  child.stderr.on("data", (text) => (errors += text))
  await Promise.race([
    once(child.stdout, "data"),
    once(child, "exit").then(() => Promise.reject(new Error(`the writer ended: ${errors}`)))
  ])
  return child
}

const openAt = (directory: string): LmdbJournal =>
  LmdbJournal.open({ directory, segmentBytes: 1e6, segmentRefsMax: 1000 })

describe("a directory whose writer cannot be seen, as in another container", () => {
  it("is in use while that lives, however often one tries, and free at once when it was killed", async () => {
    const directory = temporaryDirectory()
    const writer = await writerOf(directory)
    // The process that the lock names is not here.
    const lock = "4999999 1 another container"
    writeFileSync(join(directory, "lock"), lock)
    for (let i = 0; i < 3; i++) {
      expect(() => openAt(directory)).toThrow(`in use by process ${writer.pid}, as it is called where it runs`)
    }
    expect(readFileSync(join(directory, "lock"), "utf8")).toBe(lock)
    await expect(writerOf(directory)).rejects.toThrow("is in use by process")
    const ended = once(writer, "exit")
    writer.kill("SIGKILL")
    await ended
    const journal = openAt(directory)
    expect(() => openAt(directory)).toThrow(`in use by process ${process.pid}`)
    await journal.close()
    expect(existsSync(join(directory, "lock"))).toBe(false)
    await openAt(directory).close()
  })

  it("is one process's, or nobody's, when many begin at the same time", async () => {
    const root = temporaryDirectory()
    const directories = Array.from({ length: 6 }, (_, i) => join(root, String(i)))
    const script = `
      const { LmdbJournal } = await import(${JSON.stringify(source)})
      const [startMs, ...directories] = process.argv.slice(1)
      const words = directories.map((directory, i) => {
        while (Date.now() < Number(startMs) + 80 * i) {}
        try {
          LmdbJournal.open({ directory, segmentBytes: 1e6, segmentRefsMax: 1000 })
          return "has it"
        } catch (error) {
          return String(error.reason ?? error)
        }
      })
      console.log(JSON.stringify(words))
      setInterval(() => undefined, 1000)`
    const startMs = String(Date.now() + 1500)
    const starters = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ["--input-type=module", "-e", script, startMs, ...directories])
    )
    const words = await Promise.all(
      starters.map(async ({ stdout }) => JSON.parse(String((await once(stdout, "data"))[0])) as ReadonlyArray<string>)
    )
    for (const starter of starters) starter.kill("SIGKILL")
    for (const [i] of directories.entries()) {
      const told = words.map((each) => each[i]!)
      expect(told.filter((word) => word === "has it").length).toBeLessThanOrEqual(1)
      expect(told.filter((word) => word !== "has it" && word !== "Locked")).toEqual([])
    }
    expect(words.flat()).toContain("has it")
  })

  it("is taken although what would tell is damaged: it holds nothing", async () => {
    const directory = temporaryDirectory()
    await openAt(directory).close()
    const file = join(directory, "lock.lmdb")
    const whole = readFileSync(file)
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.alloc(whole.length),
      Buffer.alloc(whole.length, 7),
      whole.subarray(0, 100)
    ]) {
      writeFileSync(file, bytes)
      await openAt(directory).close()
      expect(readFileSync(file)).toHaveLength(whole.length)
    }
  })
})
