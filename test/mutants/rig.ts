/**
 * Plants faults into a copy of the checkout, one after the other, and runs the tests that must catch them.
 *
 *     npm run mutants                                all of them
 *     npm run mutants -- --part 3/15                 every fifteenth, from the third on
 *     npm run mutants -- --only Splitter             those whose name or file has this text
 *     npm run mutants -- --table docs/mutants.md     writes what caught what
 *     npm run mutants -- --caught --part 3/5         of those that were caught before, as CI does: none may survive
 *     npm run mutants -- --record                    adds those that are caught to `caught.txt`
 *     npm run mutants -- --check                     is every fault still one? Plants none
 *
 * `--parallel N` (2). A test that does not end in time has caught its fault. Exits with 0 only if every fault is caught, and its
 * tests pass without it.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { partOf } from "../support/part.ts"
import { mutants } from "./all.ts"
import { copyCheckout } from "./sources.ts"
import type { Mutant } from "./Mutant.ts"
import { plant, whatIsWrong } from "./plant.ts"
import { runTests, type Outcome } from "./runTests.ts"
import { tableOf } from "./table.ts"

/** Far longer than the slowest of the tests takes: a fault that makes them stand still is caught. */
const faultTimeoutMs = 180_000
/** Of all tests together, without a fault. */
const soundTimeoutMs = 1_200_000

const root = path.resolve(import.meta.dirname, "../..")

const { values } = parseArgs({
  options: {
    part: { type: "string", default: "1/1" },
    only: { type: "string", default: "" },
    parallel: { type: "string", default: "2" },
    table: { type: "string" },
    caught: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
    check: { type: "boolean", default: false }
  }
})

/** The list stays true: a text that has gone from its file is an error, not a fault that is caught. */
const wrong = mutants.flatMap(
  (mutant) => whatIsWrong(root, mutant)?.replace(/^/, `${mutant.id} (${mutant.file}): `) ?? []
)
const names = new Set(mutants.map(({ id, file }) => `${id} ${file}`))
if (names.size < mutants.length) wrong.push("two faults of one file have one name")
for (const each of wrong) console.log(each)
if (wrong.length > 0 || values.check) {
  console.log(`${mutants.length} faults, ${wrong.length} of them to be mended`)
  process.exit(wrong.length === 0 ? 0 : 1)
}

/** The faults that some run has seen caught, one in a line: what CI holds on to until every fault was run. */
const caughtFile = path.join(import.meta.dirname, "caught.txt")
const nameOf = ({ id, file }: Mutant): string => `${id} (${file})`
const caughtBefore = new Set(fs.readFileSync(caughtFile, "utf8").split("\n"))

const wanted = partOf(
  mutants.filter(
    (mutant) =>
      `${mutant.id} ${mutant.file}`.includes(values.only) && (!values.caught || caughtBefore.has(nameOf(mutant)))
  ),
  values.part
)
const outcomes = new Map<Mutant, Outcome>()

/** Works off `jobs` in copies of the checkout, some at a time. */
const inCopies = async <Job>(
  jobs: ReadonlyArray<Job>,
  work: (copy: string, job: Job) => Promise<void>
): Promise<void> => {
  const left = jobs.values()
  const workOff = async (): Promise<void> => {
    const copy = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-mutants-"))
    try {
      copyCheckout(root, copy)
      for (const job of left) await work(copy, job)
    } finally {
      fs.rmSync(copy, { recursive: true, force: true })
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs.length, Number(values.parallel)) }, workOff))
}

let isSound = wanted.length > 0
const tests = [...new Set(wanted.flatMap((mutant) => mutant.tests))]
await inCopies([tests], async (copy) => {
  const outcome = await runTests(copy, tests, soundTimeoutMs)
  if (outcome._tag === "Passed") return
  isSound = false
  console.log(`without a fault: ${outcome._tag === "Failed" ? outcome.test : "no end"}`)
})
if (isSound) {
  await inCopies(wanted, async (copy, mutant) => {
    const restore = plant(copy, mutant)
    const outcome = await runTests(copy, mutant.tests, faultTimeoutMs)
    restore()
    outcomes.set(mutant, outcome)
    console.log(`${outcome._tag === "Passed" ? "SURVIVED" : "caught"}  ${mutant.id}`)
  })
}
const survived = wanted.filter((mutant) => outcomes.get(mutant)?._tag === "Passed")
if (values.record) {
  // What has gone from the list of faults goes from here as well.
  const isCaught = (mutant: Mutant): boolean => {
    const outcome = outcomes.get(mutant)
    return outcome === undefined ? caughtBefore.has(nameOf(mutant)) : outcome._tag !== "Passed"
  }
  fs.writeFileSync(caughtFile, `${mutants.filter(isCaught).map(nameOf).join("\n")}\n`)
}
if (values.table !== undefined && isSound) fs.writeFileSync(path.resolve(root, values.table), tableOf(wanted, outcomes))
console.log(`${outcomes.size - survived.length} of ${wanted.length} faults caught`)
process.exit(isSound && survived.length === 0 ? 0 : 1)
