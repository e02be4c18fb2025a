import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { EngineProcess } from "./ecosystem/EngineProcess.ts"

const startMsMax = 60_000

/** Says `ready`, and then waits to be ended. */
const waiting = (name: string): EngineProcess =>
  new EngineProcess(name, process.execPath, ["-e", "setInterval(() => {}, 1000); console.log('ready')"])

describe("a program of a test", () => {
  const temporary = os.tmpdir()
  const own = fs.mkdtempSync(path.join(temporary, "logbrook-engines-"))
  beforeAll(() => void (process.env["TMPDIR"] = own))
  afterAll(async () => {
    await EngineProcess.stopAll()
    process.env["TMPDIR"] = temporary
    fs.rmSync(own, { recursive: true })
  })

  it("is stopped with all others, though nobody kept it, and nothing that one has said is left", async () => {
    const [running, killed] = [waiting("one"), waiting("other")]
    await Promise.all([running, killed].map((each) => each.until("ready", startMsMax, () => each.said() === "ready\n")))
    await killed.kill()
    await expect(killed.until("more", startMsMax, () => false)).rejects.toThrow("other has ended\nready\n")
    await EngineProcess.stopAll()
    expect(running.isRunning).toBe(false)
    expect(fs.readdirSync(own)).toEqual([])
  })

  it("that cannot be started has ended, and tells why", async () => {
    const none = new EngineProcess("none", path.join(own, "no-such-program"), [])
    await expect(none.until("ready", startMsMax, () => false)).rejects.toThrow(/none has ended\nspawn .* ENOENT/)
    await EngineProcess.stopAll()
    expect(fs.readdirSync(own)).toEqual([])
  })
})
