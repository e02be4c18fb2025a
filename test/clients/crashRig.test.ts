import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { runCommand, type Finished } from "../support/runCommand.ts"

const rig = (...args: ReadonlyArray<string>): Promise<Finished> =>
  runCommand(process.execPath, [path.join(import.meta.dirname, "../crash/rig.ts"), "--seed", "7", ...args])

const lastLine = ({ stdout }: Finished): string => stdout.toString("utf8").trimEnd().split("\n").at(-1)!

describe("the crash rig", () => {
  it("holds over a few kills", async () => {
    const finished = await rig("--kills", "4")
    // All that it says, so that a failure tells its reason.
    expect(finished.stdout.toString("utf8")).toMatch(/\nheld: 4 kills.*\n$/)
    expect(finished.code).toBe(0)
  })

  it.each(["qos1", "qos2", "produce", "commit", "sample", "state"])(
    "fails when one acknowledged entry is left out: %s",
    async (kind) => {
      const finished = await rig("--kills", "1", "--lose", kind)
      expect(lastLine(finished)).toMatch(/^FAILED: 1 kills/)
      expect(finished.code).toBe(1)
    }
  )
})
