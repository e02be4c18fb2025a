/**
 * Plants faults into a copy of the checkout, one after the other, and runs the tests that must catch them.
 *
 *     npm run mutants                                all of them
 *     npm run mutants -- --part 3/15                 every fifteenth, from the third on
 *     npm run mutants -- --only Splitter             those whose name or file has this text
 *     npm run mutants -- --caught --part 3/5         of those that `caughtBy.json` knows, as CI does: none may survive
 *     npm run mutants -- --uncaught                  of those that it does not know
 *     npm run mutants -- --record                    notes in `caughtBy.json` what caught each, which is then run first
 *     npm run mutants -- --table docs/mutants.md     writes what that file knows as a page. Plants none
 *     npm run mutants -- --check                     is every fault still one? Plants none
 *
 * `--parallel N` (2). A test that does not end in time has caught its fault. What caught a fault must pass without it, under the
 * same bounds. Exits with 0 only if every fault is caught.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { partOf } from "../support/part.ts"
import { mutants } from "./all.ts"
import { likelyTests, nameOf, readCaughtBy, writeCaughtBy } from "./caughtBy.ts"
import type { Mutant } from "./Mutant.ts"
import { plant, whatIsWrong } from "./plant.ts"
import { runTests, type Outcome } from "./runTests.ts"
import { copyCheckout } from "./sources.ts"
import { tableOf } from "./table.ts"

const root = path.resolve(import.meta.dirname, "../..")

const { values } = parseArgs({
  options: {
    part: { type: "string", default: "1/1" },
    only: { type: "string", default: "" },
    parallel: { type: "string", default: "2" },
    table: { type: "string" },
    caught: { type: "boolean", default: false },
    uncaught: { type: "boolean", default: false },
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

const caughtBy = new Map(readCaughtBy())
if (values.table !== undefined) {
  fs.writeFileSync(path.resolve(root, values.table), tableOf(mutants, caughtBy))
  process.exit(0)
}

const isWanted = (mutant: Mutant): boolean => {
  const wasCaught = caughtBy.has(nameOf(mutant))
  if ((values.caught && !wasCaught) || (values.uncaught && wasCaught)) return false
  return `${mutant.id} ${mutant.file}`.includes(values.only)
}
const wanted = partOf(mutants.filter(isWanted), values.part)
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

/** Test files, or directories of them, that were run without a fault, and whether they passed. */
const sound = new Map<string, Promise<boolean>>()

const passWithoutFault = (copy: string, tests: ReadonlyArray<string>): Promise<boolean> => {
  const key = tests.join(" ")
  const known = sound.get(key)
  if (known !== undefined) return known
  const passes = runTests(copy, tests).then((outcome) => {
    if (outcome._tag === "Failed") console.log(`WITHOUT A FAULT  ${outcome.file ?? key}: ${outcome.test}`)
    if (outcome._tag === "TimedOut") console.log(`WITHOUT A FAULT  ${key}: no end`)
    return outcome._tag === "Passed"
  })
  sound.set(key, passes)
  return passes
}

let isSound = true

/** The file that failed where a fault ended the process, so that no test tells of it. */
const onlyFile = ([first, ...more]: ReadonlyArray<string>): string | undefined =>
  more.length === 0 && first?.endsWith(".test.ts") ? first : undefined

/** Plants a fault, and runs first the tests that are likely to catch it, then all of its tests. */
const meet = async (copy: string, mutant: Mutant): Promise<Outcome> => {
  const likely = likelyTests(mutant, mutants, caughtBy).filter((file) => fs.existsSync(path.join(copy, file)))
  const restore = plant(copy, mutant)
  let tests = likely.length > 0 ? likely : mutant.tests
  let outcome = await runTests(copy, tests)
  if (outcome._tag === "Passed" && tests !== mutant.tests) {
    tests = mutant.tests
    outcome = await runTests(copy, tests)
  }
  restore()
  if (outcome._tag === "Failed" && outcome.file === undefined) outcome = { ...outcome, file: onlyFile(tests) }
  if (outcome._tag === "Passed") return outcome
  const file = outcome._tag === "Failed" ? outcome.file : undefined
  if (!(await passWithoutFault(copy, file === undefined ? tests : [file]))) isSound = false
  return outcome
}

await inCopies(wanted, async (copy, mutant) => {
  const startMs = performance.now()
  const outcome = await meet(copy, mutant)
  outcomes.set(mutant, outcome)
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0).padStart(4)
  console.log(`${outcome._tag === "Passed" ? "SURVIVED" : "caught  "} ${seconds} s  ${nameOf(mutant)}`)
  if (!values.record) return
  if (outcome._tag === "Failed" && outcome.file !== undefined) caughtBy.set(nameOf(mutant), outcome.file)
  else caughtBy.delete(nameOf(mutant))
  writeCaughtBy(caughtBy, mutants)
})
const survived = wanted.filter((mutant) => outcomes.get(mutant)?._tag === "Passed")
console.log(`${outcomes.size - survived.length} of ${wanted.length} faults caught`)
process.exit(isSound && wanted.length > 0 && survived.length === 0 ? 0 : 1)
