import { nameOf, type CaughtBy } from "./caughtBy.ts"
import type { Mutant } from "./Mutant.ts"

const cell = (text: string): string => text.replaceAll("|", "\\|")

/** The page of the documentation. */
export const tableOf = (mutants: ReadonlyArray<Mutant>, caughtBy: CaughtBy): string => {
  const rows = mutants.map((mutant) => {
    const file = caughtBy.get(nameOf(mutant))
    const by = file === undefined ? "**no test known**" : `\`${file.replace(/^packages\/\w+\/test\//, "")}\``
    return `| ${cell(mutant.id)} | \`${mutant.file}\` | ${by} |`
  })
  const caught = mutants.filter((mutant) => caughtBy.has(nameOf(mutant))).length
  return `${[
    "# Planted faults in the source",
    "",
    "`npm run mutants -- --table docs/mutants.md` writes this page from `test/mutants/caughtBy.json`, the record of the runs. A run",
    "plants each fault into a copy of the source, and runs the tests of its package up to the first that fails. The table names the",
    "file of that test, below the package's `test/`. The runs were not all at one commit: `git blame` of the record tells the commit",
    "of each line. CI runs a part of the recorded faults each time, and fails if one of them survives.",
    "",
    `Of ${mutants.length} faults ${caught} were seen caught by a test that can be named; of the other ${mutants.length - caught} none is known: they were`,
    "not run yet, or ended the process that runs the tests.",
    "",
    "| Fault | File | Caught by |",
    "|---|---|---|",
    ...rows
  ].join("\n")}\n`
}
