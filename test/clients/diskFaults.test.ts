import * as path from "node:path"
import { expect, it } from "vitest"
import { runCommand } from "../support/runCommand.ts"

const rig = path.join(import.meta.dirname, "../diskfaults/rig.ts")

/** Five operations in a row hold every write and sync of a commit. */
it("loses nothing that was acknowledged when one operation of a commit fails", async () => {
  const args = ["--conditions=source", rig, "--from", "60", "--operations", "64", "--only", "EIO at"]
  const { code, stdout } = await runCommand(process.execPath, args)
  const text = stdout.toString("utf8")
  expect(text).toMatch(/held: 5 runs, 0 with faults/)
  expect(text).not.toMatch(/never 5/)
  expect(code).toBe(0)
})
