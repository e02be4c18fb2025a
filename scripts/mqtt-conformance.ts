import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { standards, type Standard } from "../packages/server/test/conformance/statements.ts"

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..")
const folder = "packages/server/test/conformance"
const page = path.join(root, "docs/mqtt-conformance.md")

export type Result = "passes" | "fails" | "missing"

/** The statements that the tests of a source name, each as often as it is named. */
const idsIn = (source: string): ReadonlyArray<string> =>
  Array.from(source.matchAll(/"((?:5\.0|3\.1\.1) MQTT-[\d.]+-\d+|3\.1 [A-Z]+-\d+)"/g), ([, id]) => id!)

/** By statement the source of its test. */
export const testsByStatement = (): ReadonlyMap<string, string> => {
  const names = fs.readdirSync(path.join(root, folder)).filter((name) => /^[a-z]\w+\.ts$/.test(name))
  return new Map(
    names.flatMap((name) =>
      idsIn(fs.readFileSync(path.join(root, folder, name), "utf8")).map((id) => [id, name] as const)
    )
  )
}

const count = (all: ReadonlyArray<Result>, result: Result): number => all.filter((each) => each === result).length

const rowsOf = (
  { prefix, statements }: Standard,
  tests: ReadonlyMap<string, string>,
  resultOf: (id: string) => Result
) =>
  Object.entries(statements).map(([number, { binds, text, note }]) => {
    const id = prefix + number
    const file = tests.get(id)
    const result = binds === "client" ? undefined : file === undefined ? "missing" : resultOf(id)
    const test = file === undefined ? "" : `[${file.replace(/\.ts$/, "")}](../${folder}/${file})`
    const name = prefix.endsWith("MQTT-") ? `MQTT-${number}` : number
    const said = note === "" ? `${text}.` : `${text}. ${note}`
    return {
      binds,
      result,
      line: `| ${name} | ${binds} | ${said.replaceAll("|", "\\|")} | ${test} | ${result ?? ""} |`
    }
  })

const sectionOf = (
  standard: Standard,
  tests: ReadonlyMap<string, string>,
  resultOf: (id: string) => Result
): string => {
  const rows = rowsOf(standard, tests, resultOf)
  const results = rows.flatMap(({ result }) => result ?? [])
  return [
    `## ${standard.name}`,
    `${rows.length} statements, of which ${results.length} bind a server: ${count(results, "passes")} pass, ` +
      `${count(results, "missing")} missing, ${count(results, "fails")} failing.`,
    "",
    "| Statement | Binds | What it asks for | Test | Result |\n|---|---|---|---|---|",
    ...rows.map(({ line }) => line)
  ].join("\n")
}

const head = `# Conformance to MQTT
Every numbered statement of MQTT 5.0 and 3.1.1 (their appendix B), and what MQTT 3.1 has otherwise, in our words. A statement that binds
a server, alone or with clients, has a test with its number in its name, such as \`[5.0 MQTT-3.1.0-1]\` or \`[3.1.1 MQTT-3.1.0-1]\`: bytes
over real sockets to the server. What binds clients only is listed, and has nothing to test.

\`node scripts/mqtt-conformance.ts\` runs the tests and writes this page. They are part of \`npm test\`, with one more that compares
the page with the tests and the statements.`

/** The page for these results. */
export const conformancePage = (tests: ReadonlyMap<string, string>, resultOf: (id: string) => Result): string =>
  `${[head, ...standards.map((standard) => sectionOf(standard, tests, resultOf))].join("\n\n")}\n`

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly assertionResults: ReadonlyArray<{ readonly title: string; readonly status: string }>
  }>
}

/** Runs the tests: by statement whether all of its tests pass. */
const run = (): ReadonlyMap<string, Result> => {
  const output = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-conformance-")), "report.json")
  const vitest = path.join(root, "node_modules/vitest/vitest.mjs")
  const tests = `${folder}/conformance.test.ts`
  const options = ["run", "--project", "unit", tests, "--reporter=json", `--outputFile=${output}`]
  spawnSync(process.execPath, [vitest, ...options], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
  const report = JSON.parse(fs.readFileSync(output, "utf8")) as Report
  const results = new Map<string, Result>()
  for (const { title, status } of report.testResults.flatMap(({ assertionResults }) => assertionResults)) {
    const id = /^\[(.+?)\] /.exec(title)?.[1]
    if (id === undefined) continue
    if (results.get(id) !== "fails") results.set(id, status === "passed" ? "passes" : "fails")
  }
  return results
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const results = run()
  fs.writeFileSync(
    page,
    conformancePage(testsByStatement(), (id) => results.get(id) ?? "missing")
  )
}
