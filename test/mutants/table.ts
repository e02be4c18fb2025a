import type { Mutant } from "./Mutant.ts"
import type { Outcome } from "./runTests.ts"

const caughtBy = (outcome: Outcome | undefined): string => {
  if (outcome === undefined) return "not run"
  if (outcome._tag === "Failed") {
    const file = outcome.file === undefined ? "" : `\`${outcome.file.replace(/^packages\/\w+\/test\//, "")}\`: `
    return `${file}${outcome.test.replaceAll("|", "\\|")}`
  }
  return outcome._tag === "Passed" ? "**nothing**" : "a test that did not end"
}

/** The page of the documentation. */
export const tableOf = (mutants: ReadonlyArray<Mutant>, outcomes: ReadonlyMap<Mutant, Outcome>): string =>
  `${[
    "# Planted faults in the source",
    "",
    "Written by `npm run mutants -- --table docs/mutants.md`: each fault was planted into a copy of the source, and the tests of its",
    "package were run up to the first that failed. CI runs a part each time, by the commit.",
    "",
    `| Fault | File | Caught by |`,
    "|---|---|---|",
    ...mutants.map((mutant) => {
      const id = mutant.id.replaceAll("|", "\\|")
      return `| ${id} | \`${mutant.file}\` | ${caughtBy(outcomes.get(mutant))} |`
    })
  ].join("\n")}\n`
