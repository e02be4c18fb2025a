import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { conformancePage, testsByStatement } from "../../../../scripts/mqtt-conformance.ts"
import { standards, statementsById } from "./statements.ts"

const tests = testsByStatement()
const bound = [...statementsById].filter(([, { binds }]) => binds !== "client").map(([id]) => id)

const read = (name: string): string => readFileSync(join(import.meta.dirname, name), "utf8")

describe("the statements of MQTT", () => {
  it("are as many as the standards have", () => {
    // Appendix B of each standard.
    expect(standards.map(({ name, statements }) => [name, Object.keys(statements).length])).toEqual([
      ["MQTT 5.0", 251],
      ["MQTT 3.1.1", 141],
      ["MQTT 3.1", 10]
    ])
  })

  it("that bind a server have a test of their number each, and no test has another one", () => {
    expect([...tests.keys()].toSorted()).toEqual(bound.toSorted())
  })

  it("have tests that run: none is left out, and every suite is part of the one test", () => {
    const suites = new Set(tests.values())
    for (const name of suites)
      expect(read(name), name).not.toMatch(/\b(?:it|describe|conforms)\.(skip|only|todo|fails|skipIf|runIf)\b/)
    const imported = Array.from(read("conformance.test.ts").matchAll(/^import "\.\/(.+)"$/gm), ([, name]) => name!)
    expect(imported.toSorted()).toEqual([...suites].toSorted())
  })

  it("are in docs/mqtt-conformance.md with 0 missing and 0 failing: node scripts/mqtt-conformance.ts", () => {
    const page = readFileSync(join(import.meta.dirname, "../../../../docs/mqtt-conformance.md"), "utf8")
    expect(page).toBe(conformancePage(tests, () => "passes"))
    expect(page.match(/\d+ pass, 0 missing, 0 failing\./g)).toHaveLength(standards.length)
  })
})
