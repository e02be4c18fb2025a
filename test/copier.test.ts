import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { waitUntil } from "./support/waitUntil.ts"
import { Copier, type CopierOptions } from "./transactions/Copier.ts"

const waitMsMax = 60_000
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-copier-"))
afterAll(() => fs.rmSync(directory, { recursive: true }))

const optionsOf = (name: string): CopierOptions => {
  const log = path.join(directory, name)
  return { brokers: "", from: "in", to: "out", name, abortShare: 0, seed: 0, restartsMax: 2, log }
}

const program = (text: string) => ({ command: process.execPath, args: ["-e", text, "--"] })

/** Until it has ended for good. */
const ended = (copier: Copier): Promise<boolean> => waitUntil("its end", waitMsMax, () => !copier.isRunning)

/** One that has ended and that nobody has asked for how does not run either. */
const runs = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

describe("a copier", () => {
  const held: Array<number> = []
  afterAll(() => {
    for (const pid of held.filter(runs)) process.kill(pid, "SIGKILL")
  })

  it("is started anew so often as it may, where its producer can go on no more", async () => {
    const copier = new Copier(program("process.exit(3)"), optionsOf("fenced"))
    await waitUntil("its last start", waitMsMax, () => copier.counts.started === 3)
    await ended(copier)
    expect(copier.counts).toMatchObject({ started: 3, restarted: 2 })
  })

  it("is not started anew after another end", async () => {
    const copier = new Copier(program("process.exit(1)"), optionsOf("broken"))
    await ended(copier)
    expect(copier.counts).toMatchObject({ started: 1, restarted: 0 })
  })

  it("whose program is not there has ended, and its log tells", async () => {
    const options = optionsOf("none")
    const copier = new Copier({ command: path.join(directory, "no-such-program"), args: [] }, options)
    await ended(copier)
    await copier.end()
    expect(fs.readFileSync(options.log, "utf8")).toContain("no-such-program")
  })

  it("that nothing can start has ended, and its log tells", async () => {
    const options = optionsOf("nothing")
    const searched = process.env["PATH"]
    process.env["PATH"] = directory
    const copier = new Copier({ command: "no-such-program", args: [] }, options)
    process.env["PATH"] = searched
    await ended(copier)
    expect(fs.readFileSync(options.log, "utf8")).toContain("ENOENT")
  })

  it.runIf(process.platform === "linux")("that is held on does not outlive who holds it", async () => {
    const options = optionsOf("held")
    // Only the first one commits: the other is waited for.
    const text =
      "console.log(process.pid); if (process.argv.at(-1) === '0') console.log('committed'); process.stdin.resume()"
    const holder = `
      const { Copier } = await import(${JSON.stringify(path.join(import.meta.dirname, "transactions/Copier.ts"))})
      const copier = new Copier(${JSON.stringify(program(text))}, ${JSON.stringify(options)})
      const looking = setInterval(() => {
        if (copier.counts.committed === 0) return
        clearInterval(looking)
        void copier.replace(${waitMsMax})
      }, 10)`
    const rig = spawn(process.execPath, ["--conditions=source", "--input-type=module", "-e", holder], {
      stdio: ["ignore", "inherit", "inherit"]
    })
    const pids = await waitUntil("both", waitMsMax, () => {
      const found = fs.existsSync(options.log) ? fs.readFileSync(options.log, "utf8").match(/^\d+$/gm) : null
      return found?.length === 2 && found.map(Number)
    })
    held.push(...pids)
    expect(fs.readFileSync(`/proc/${pids[0]}/status`, "utf8")).toMatch(/^State:\s+T/m)
    const exited = once(rig, "exit")
    rig.kill("SIGKILL")
    await exited
    await waitUntil("the end of both", waitMsMax, () => !pids.some(runs))
  })
})
