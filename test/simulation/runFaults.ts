import { partOf } from "../support/part.ts"
import { plantedFaults } from "./faults/all.ts"
import { makePlan } from "./Plan.ts"
import { Simulation } from "./Simulation.ts"

const seedsMax = 1000

/** Prints which seed caught which planted fault, as a table; false if one was not caught by a thousand seeds. */
export const runFaults = async (from: number, only: string, part: string): Promise<boolean> => {
  let missed = 0
  let caught = 0
  console.log("| Planted fault | Seeds run | Caught as |\n|---|---|---|")
  const wanted = plantedFaults.filter(({ name }) => name.includes(only))
  for (const { name, plant } of partOf(wanted, part)) {
    let found: string | undefined
    let runs = 0
    while (found === undefined && runs < seedsMax) {
      found = (await new Simulation(makePlan(from + runs), plant()).run()).violation
      runs++
    }
    if (found === undefined) missed++
    else caught++
    const what = found === undefined ? "**not caught**" : found.split("\n")[0]!.slice(0, 110).replaceAll("|", "\\|")
    console.log(`| ${name} | ${runs} | ${what} |`)
  }
  console.log(`${caught} of ${caught + missed} planted faults caught`)
  return missed === 0 && caught > 0
}
