import * as path from "node:path"
import { expect, it } from "vitest"
import { runCommand } from "../support/runCommand.ts"

const rig = path.join(import.meta.dirname, "../transactions/rig.ts")

it("copiers of version 1 and 2 in transactions copy each record once over a few kills, and a zombie of one is fenced", async () => {
  const args = ["--conditions=source", rig, "--kills", "4", "--seed", "7", "--copiers", "librdkafka,java"]
  const { code, stdout, stderr } = await runCommand(process.execPath, args, { timeoutMs: 170_000 })
  // All that it says, so that a failure tells its reason.
  expect(`${stdout.toString("utf8")}${stderr}`).toContain("\nall holds\n")
  expect(code).toBe(0)
})
