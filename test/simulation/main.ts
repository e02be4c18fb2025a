/**
 * Deterministic simulation: the server's actors, shard and protocol shells over a simulated clock, disk and network.
 *
 *     npm run simulate -- --seeds 500 --from 1
 *     npm run simulate -- --seed 42 --trace            everything that happened
 *     npm run simulate -- --plan FILE --trace          the same of a plan that was made smaller
 *     npm run simulate -- --faults [--only TEXT]       are the planted faults (whose names have TEXT) caught?
 *     npm run simulate -- --faults --part 2/5          those of the second of five parts
 *
 * Exits with 0 only if every invariant held; the last line has a hash of everything that happened.
 */
import { parseArgs } from "node:util"
import { readFileSync } from "node:fs"
import { runFaults } from "./runFaults.ts"
import { runOne, runSeeds } from "./runSeeds.ts"
import { makePlan, type Plan } from "./Plan.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "500" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    plan: { type: "string" },
    trace: { type: "boolean", default: false },
    faults: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    part: { type: "string", default: "1/1" },
    out: { type: "string", default: "test/simulation/failures" }
  }
})

const from = Number(values.from)
const count = Number(values.seeds)
const isOk = values.faults
  ? await runFaults(from, values.only, values.part)
  : values.plan !== undefined
    ? await runOne(JSON.parse(readFileSync(values.plan, "utf8")) as Plan, values.trace, values.out)
    : values.seed !== undefined
      ? await runOne(makePlan(Number(values.seed)), values.trace, values.out)
      : await runSeeds(from, count, values.out)
process.exitCode = isOk ? 0 : 1
