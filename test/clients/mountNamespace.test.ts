import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { expect, it } from "vitest"

const program = path.join(import.meta.dirname, "../support/mountsAlone.ts")

it("keeps what a rig mounts from everybody else, and ends with the rig", async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-mount-"))
  const child = spawn(process.execPath, [program, directory], { stdio: ["pipe", "pipe", "inherit"] })
  expect(String((await once(child.stdout, "data"))[0])).toBe("mounted\n")
  expect(fs.readlinkSync(`/proc/${child.pid}/ns/mnt`)).not.toBe(fs.readlinkSync("/proc/self/ns/mnt"))
  expect(fs.readdirSync(`/proc/${child.pid}/root${directory}`)).toEqual(["inside"])
  expect(fs.readdirSync(directory)).toEqual([])
  child.stdin.end()
  expect(await once(child, "exit")).toEqual([0, null])
  fs.rmdirSync(directory)
})
