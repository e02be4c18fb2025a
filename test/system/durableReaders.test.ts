import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { readLog } from "../readers/readLog.ts"
import { runCommand } from "../support/runCommand.ts"

const rig = path.join(import.meta.dirname, "../readers/rig.ts")

const timeoutMs = 600_000

const ran = async (
  ...args: ReadonlyArray<string>
): Promise<{ readonly code: number | null; readonly told: string }> => {
  const { code, stdout, stderr } = await runCommand(process.execPath, [rig, ...args], { timeoutMs })
  return { code, told: `${stdout.toString("utf8")}${stderr}` }
}

describe("durable readers of a stream", () => {
  it(
    "have all of it, at QoS 2 once, over kills of the server and of themselves",
    async () => {
      const { code, told } = await ran("--kills", "3")
      expect(told).toContain("all holds")
      expect(code).toBe(0)
    },
    timeoutMs
  )

  it(
    "are found out when they lose records, or forget what they have of their sessions",
    async () => {
      const loses = await ran("--kills", "1", "--wrong", "loses")
      expect(loses).toMatchObject({ code: 1, told: expect.stringContaining("is missing") as string })
      const forgets = await ran("--kills", "3", "--wrong", "forgets")
      expect(forgets).toMatchObject({ code: 1, told: expect.stringContaining("came 2 times") as string })
    },
    timeoutMs
  )

  it("go on by their files", () => {
    const { counts, unreleased, late } = readLog("connected\n7 0:1\n8 0:2\n7 released\n9 0:1\nconnected\n0 0:1\n")
    expect([...counts]).toEqual([
      ["0:1", 3],
      ["0:2", 1]
    ])
    expect([...unreleased]).toEqual([8, 9])
    expect(late).toEqual(["0:1"])
  })
})
