import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { partOf } from "./support/part.ts"

const counting = fileURLToPath(new URL("../.ci/counting.sh", import.meta.url))
const root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-ci-"))
afterAll(() => fs.rmSync(root, { recursive: true }))

/** What bash prints. */
const bash = (script: string): string =>
  execFileSync("bash", ["-uo", "pipefail", "-c", script], { cwd: root, encoding: "utf8" })

const file = { status: "passed", assertionResults: [{}] }
const report = { numPassedTests: 3, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [file] }

/** The last line of a run whose tests have this exit code and report. */
const verdict = (exitCode: number, written: object | undefined): string => {
  const directory = fs.mkdtempSync(path.join(root, "run-"))
  if (written !== undefined) fs.writeFileSync(path.join(directory, "test.json"), JSON.stringify(written))
  const script = `reports=${directory}; . ${counting}; npm() { return ${exitCode}; }; tests test; verdict && echo ok || echo no`
  return bash(script).trim().split("\n").slice(-2).join(": ")
}

const checked = (command: string): string => bash(`. ${counting}; check name ${command}; verdict; true`)

describe("the counting of .ci/run", () => {
  it("takes the tests that passed", () => {
    expect(verdict(0, report)).toBe("3 passed, 0 failed: ok")
  })

  it("counts an exit code that no test of the report explains, as after an unhandled rejection", () => {
    expect(verdict(1, report)).toBe("3 passed, 1 failed: no")
  })

  it("counts failures once, whatever the exit code", () => {
    const failed = { ...report, numPassedTests: 2, numFailedTests: 1 }
    expect(verdict(1, failed)).toBe("2 passed, 1 failed: no")
    expect(verdict(0, failed)).toBe("2 passed, 1 failed: no")
  })

  it("counts tests that were skipped, and files that could not be loaded, as failed", () => {
    expect(verdict(0, { ...report, numPendingTests: 1, numTodoTests: 1 })).toBe("3 passed, 2 failed: no")
    const broken = { status: "failed", assertionResults: [] }
    expect(verdict(1, { ...report, testResults: [file, broken] })).toBe("3 passed, 1 failed: no")
  })

  it("counts a report that is missing or empty as failed", () => {
    expect(verdict(0, undefined)).toBe("0 passed, 1 failed: no")
    expect(verdict(0, { ...report, numPassedTests: 0 })).toBe("0 passed, 1 failed: no")
  })

  it("gives the options of tests to vitest, and names them", () => {
    const printed = bash(`reports=.; . ${counting}; npm() { echo "$@"; }; tests test:long --shard=2/3`)
    expect(printed).toContain("== npm run test:long --shard=2/3\n")
    expect(printed).toMatch(/^run --silent test:long -- .*--outputFile=.\/test:long.json --shard=2\/3$/m)
  })

  it("counts another check by its exit code", () => {
    expect(checked("true")).toContain("1 passed, 0 failed")
    expect(checked("false")).toContain("FAILED: name\n\n0 passed, 1 failed")
  })

  it("gives every part its turn, by the commit", () => {
    const turn = (commit: string): string => bash(`. ${counting}; git() { echo ${commit}; }; turn 5`).trim()
    expect(["0000000f", "0000001f", "0000002f", "0000003f", "0000004f", "0000005f"].map(turn)).toEqual([
      "1/5",
      "2/5",
      "3/5",
      "4/5",
      "5/5",
      "1/5"
    ])
    expect(bash(`. ${counting}; git() { return 1; }; turn 5; turn 5 1`)).toBe("1/5\n1/5\n")
  })
})

describe("a turn within another one", () => {
  it("goes by other digits of the commit", () => {
    const commit = ["0000001", "0000002", "0000000", "0000000", "0000003", "00000"].join("")
    const turns = [0, 1, 4].map((which) => bash(`. ${counting}; git() { echo ${commit}; }; turn 5 ${which}`).trim())
    expect(turns).toEqual(["2/5", "3/5", "4/5"])
  })
})

describe("parts", () => {
  it("are disjoint and make the whole", () => {
    const parts = ["1/3", "2/3", "3/3"].map((part) => partOf([1, 2, 3, 4, 5], part))
    expect(parts).toEqual([[1, 4], [2, 5], [3]])
    expect(partOf([1, 2], "1/1")).toEqual([1, 2])
  })

  it("are refused when they are none", () => {
    for (const part of ["0/3", "4/3", "1", "1/0", "x"]) expect(() => partOf([1], part)).toThrow("--part")
  })
})
