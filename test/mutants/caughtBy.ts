import * as fs from "node:fs"
import * as path from "node:path"
import type { Mutant } from "./Mutant.ts"

/** Of each fault that some run has seen caught: the test file that did. Tells where to look first, never what is caught. */
export type CaughtBy = ReadonlyMap<string, string>

const recordFile = path.join(import.meta.dirname, "caughtBy.json")

export const nameOf = ({ id, file }: Mutant): string => `${id} (${file})`

export const readCaughtBy = (): CaughtBy =>
  new Map(Object.entries(JSON.parse(fs.readFileSync(recordFile, "utf8")) as Record<string, string>))

/** In the order of the list of faults; what has gone from that goes from here as well. */
export const writeCaughtBy = (caughtBy: CaughtBy, mutants: ReadonlyArray<Mutant>): void => {
  const entries = mutants.flatMap((mutant) => {
    const file = caughtBy.get(nameOf(mutant))
    return file === undefined ? [] : [[nameOf(mutant), file]]
  })
  fs.writeFileSync(recordFile, `${JSON.stringify(Object.fromEntries(entries), undefined, 2)}\n`)
}

/**
 * The test files that are likely to catch a fault: the one that did before; else those that caught others of its source file, and
 * the one that bears its name. A fault that passes them still meets all of its tests.
 */
export const likelyTests = (
  mutant: Mutant,
  mutants: ReadonlyArray<Mutant>,
  caughtBy: CaughtBy
): ReadonlyArray<string> => {
  const before = caughtBy.get(nameOf(mutant))
  if (before !== undefined) return [before]
  const ofItsFile = mutants.flatMap((other) => (other.file === mutant.file ? (caughtBy.get(nameOf(other)) ?? []) : []))
  const [packageName] = mutant.file.split("/")
  const named = mutant.file.replace(`${packageName}/src/`, `packages/${packageName}/test/`).replace(/\.ts$/, ".test.ts")
  return [...new Set([...ofItsFile, named])]
}
