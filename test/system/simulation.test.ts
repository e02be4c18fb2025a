import { execFile } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

const run = promisify(execFile)

/** The last line of the simulation, in a process of its own. Rejects if an invariant did not hold. */
const simulate = async (...args: ReadonlyArray<string>): Promise<string> => {
  const out = mkdtempSync(join(tmpdir(), "logbrook-simulation-"))
  const command = ["--conditions=source", "test/simulation/main.ts", "--out", out, ...args]
  const { stdout } = await run(process.execPath, command, { maxBuffer: 64 * 1024 * 1024 })
  return stdout.trimEnd().split("\n").at(-1)!
}

/** Each found a fault of the product once, see docs/lab/reliability.md. */
const seedsThatFound = [
  5, 6, 26, 65, 97, 127, 141, 344, 440, 478, 624, 757, 817, 1351, 2422, 2985, 4112, 4656, 5680, 17379
]

describe("the simulated server", () => {
  it("keeps every invariant for thirty seeds, and does the same in another process", async () => {
    const [one, other] = await Promise.all([simulate("--seeds", "30"), simulate("--seeds", "30")])
    expect(one).toMatch(/^0 of 30 failed; hash [0-9a-f]{16}$/)
    expect(other).toBe(one)
  }, 180_000)

  it.each(seedsThatFound)("keeps them for seed %i, which once it did not", async (seed) => {
    expect(await simulate("--seed", String(seed))).toMatch(/^every invariant held; hash/)
  })

  it("is caught at what it must not do", async () => {
    const last = await simulate("--faults", "--only", "before the commit is durable")
    expect(last).toBe("1 of 1 planted faults caught")
  })
})
