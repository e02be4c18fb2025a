import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

export type Outcome =
  | { readonly _tag: "Passed" }
  /** The first test that did. */
  | { readonly _tag: "Failed"; readonly test: string }
  | { readonly _tag: "TimedOut" }

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly status: string
    readonly name: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string; readonly fullName: string }>
  }>
}

const firstFailed = (file: string): string => {
  if (!fs.existsSync(file)) return "the run itself"
  const { testResults } = JSON.parse(fs.readFileSync(file, "utf8")) as Report
  for (const { status, name, assertionResults } of testResults) {
    const failed = assertionResults.find((each) => each.status === "failed")
    if (failed !== undefined) return `${path.basename(name)}: ${failed.fullName}`
    if (status === "failed") return `${path.basename(name)}, as a whole`
  }
  return "an error outside of the tests"
}

/** Runs unit tests of a copy of the checkout, up to the first that fails. */
export const runTests = (copy: string, tests: ReadonlyArray<string>, timeoutMs: number): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const report = path.join(copy, "mutants-report.json")
    fs.rmSync(report, { force: true })
    const args = ["node_modules/vitest/vitest.mjs", "run", "--project", "unit", "--bail", "1", "--reporter", "json"]
    const child = spawn(process.execPath, [...args, "--outputFile", report, ...tests], {
      cwd: copy,
      stdio: "ignore",
      // Its workers end with it.
      detached: true
    })
    const timer = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), timeoutMs)
    child.on("error", reject)
    child.on("close", (code) => {
      clearTimeout(timer)
      if (code === 0) resolve({ _tag: "Passed" })
      else if (code === null) resolve({ _tag: "TimedOut" })
      else resolve({ _tag: "Failed", test: firstFailed(report) })
    })
  })
