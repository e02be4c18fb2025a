import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

export type Outcome =
  | { readonly _tag: "Passed" }
  /** The first test that did; `file` is missing where an error outside of all tests failed the run. */
  | { readonly _tag: "Failed"; readonly file: string | undefined; readonly test: string }
  | { readonly _tag: "TimedOut" }

/** A test that stands still is told: far longer than the slowest takes, and shorter than what `npm test` waits. */
const testTimeoutMs = 60_000
/** Of one run of tests. */
const runTimeoutMs = 600_000

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly status: string
    readonly name: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string; readonly fullName: string }>
  }>
}

const firstFailed = (copy: string, report: string): Outcome => {
  if (!fs.existsSync(report)) return { _tag: "Failed", file: undefined, test: "the run itself" }
  const { testResults } = JSON.parse(fs.readFileSync(report, "utf8")) as Report
  for (const { status, name, assertionResults } of testResults) {
    const file = path.relative(fs.realpathSync(copy), name)
    const failed = assertionResults.find((each) => each.status === "failed")
    if (failed !== undefined) return { _tag: "Failed", file, test: failed.fullName }
    if (status === "failed") return { _tag: "Failed", file, test: "the file as a whole" }
  }
  return { _tag: "Failed", file: undefined, test: "an error outside of the tests" }
}

const killGroup = (pid: number): void => {
  try {
    process.kill(-pid, "SIGKILL")
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}

/** Runs unit tests of a copy of the checkout, up to the first that fails. */
export const runTests = (copy: string, tests: ReadonlyArray<string>): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const report = path.join(copy, "mutants-report.json")
    fs.rmSync(report, { force: true })
    const args = ["node_modules/vitest/vitest.mjs", "run", "--project", "unit", "--bail", "1", "--reporter", "json"]
    const timeouts = ["--testTimeout", `${testTimeoutMs}`]
    const child = spawn(process.execPath, [...args, ...timeouts, "--outputFile", report, ...tests], {
      cwd: copy,
      stdio: "ignore",
      // A group of its own, with its workers.
      detached: true
    })
    const timer = setTimeout(() => killGroup(child.pid!), runTimeoutMs)
    child.on("error", reject)
    child.on("close", (code) => {
      clearTimeout(timer)
      // A worker that stands still in a loop outlives the run that has given it up.
      killGroup(child.pid!)
      if (code === 0) resolve({ _tag: "Passed" })
      else if (code === null) resolve({ _tag: "TimedOut" })
      else resolve(firstFailed(copy, report))
    })
  })
